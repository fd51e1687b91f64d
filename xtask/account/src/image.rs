//! What lies at an address: the instruction, and the functions it came from.

use std::path::Path;

use addr2line::Loader;
use iced_x86::{Decoder, DecoderOptions, Instruction};
use object::{Object, ObjectSection, ObjectSymbol, SectionKind};

/// The longest instruction that x86 has.
const LONGEST: usize = 15;

/// A function that an instruction came from, and the line.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Frame {
    pub(crate) function: String,
    /// From the root of the checkout; empty for what is not of the checkout.
    pub(crate) file: String,
    pub(crate) line: u32,
}

impl Frame {
    /// The function's name, with its module's: many are called `get`.
    pub(crate) fn name(&self) -> String {
        let path = self.file.strip_suffix("/mod.rs").or_else(|| self.file.strip_suffix(".rs"));
        match path.and_then(|path| path.rsplit('/').next()) {
            Some(module) => format!("{module}::{}", self.function),
            None => self.function.clone(),
        }
    }
}

/// What assembly has for its file, and 0 for its line: it has only labels.
pub(crate) const ASSEMBLY: &str = "assembly";

/// What an instruction is, as far as following a run depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Kernel,
    /// `RDTSC` in ring 3.
    Reading,
    /// Enters ring 0 on purpose: `SYSCALL` and `UD2`.
    Entry,
    Other,
}

/// The kernel, and the program that is every domain's.
pub(crate) struct Images {
    pub(crate) kernel: Image,
    pub(crate) programs: Image,
}

/// A file that was linked, with its symbols.
pub(crate) struct Image {
    code: Vec<(u64, Vec<u8>)>,
    symbols: Vec<(u64, String)>,
    lines: Loader,
    root: String,
}

impl Images {
    /// Whether an address is the kernel's: it has the upper half.
    pub(crate) fn is_kernel(address: u64) -> bool {
        address >> 63 != 0
    }

    fn of(&self, address: u64) -> &Image {
        if Self::is_kernel(address) { &self.kernel } else { &self.programs }
    }

    pub(crate) fn kind(&self, address: u64) -> Kind {
        match self.of(address).bytes(address) {
            _ if Self::is_kernel(address) => Kind::Kernel,
            [0x0f, 0x31, ..] => Kind::Reading,
            [0x0f, 0x05 | 0x0b, ..] => Kind::Entry,
            _ => Kind::Other,
        }
    }

    pub(crate) fn instruction(&self, address: u64) -> Instruction {
        Decoder::with_ip(64, self.of(address).bytes(address), address, DecoderOptions::NONE).decode()
    }

    /// The functions that an instruction came from, the outermost first.
    pub(crate) fn frames(&self, address: u64) -> Vec<Frame> {
        self.of(address).frames(address)
    }
}

impl Image {
    pub(crate) fn read(file: &Path, root: &Path) -> Result<Self, String> {
        let failed =
            |error: &dyn std::fmt::Display| format!("cannot read the image {}: {error}", file.display());
        let bytes = std::fs::read(file).map_err(|error| failed(&error))?;
        let object = object::File::parse(&*bytes).map_err(|error| failed(&error))?;
        let text = object.sections().filter(|section| section.kind() == SectionKind::Text);
        let code = text.map(|it| it.data().map(|bytes| (it.address(), bytes.to_vec())));
        let named =
            object.symbols().filter(|symbol| !symbol.is_undefined() && symbol.section_index().is_some());
        let mut symbols: Vec<_> =
            named.filter_map(|it| Some((it.address(), it.name().ok()?.to_owned()))).collect();
        symbols.sort();
        Ok(Self {
            code: code.collect::<Result<_, _>>().map_err(|error| failed(&error))?,
            symbols,
            lines: Loader::new(file).map_err(|error| failed(&error))?,
            root: format!("{}/", root.display()),
        })
    }

    pub(crate) fn symbol(&self, name: &str) -> Option<u64> {
        self.symbols.iter().find(|(_, it)| it == name).map(|(address, _)| *address)
    }

    fn bytes(&self, address: u64) -> &[u8] {
        let part = self.code.iter().find_map(|(start, bytes)| {
            let at = usize::try_from(address.checked_sub(*start)?).ok()?;
            bytes.get(at..(at + LONGEST).min(bytes.len()))
        });
        part.unwrap_or_default()
    }

    fn frames(&self, address: u64) -> Vec<Frame> {
        let mut frames = Vec::new();
        if let Ok(mut found) = self.lines.find_frames(address) {
            while let Ok(Some(frame)) = found.next() {
                let name = frame.function.as_ref().and_then(|it| it.demangle().ok().map(|it| plain(&it)));
                let place = frame.location.as_ref();
                let file = place.and_then(|it| it.file).and_then(|it| it.strip_prefix(&self.root));
                frames.push(Frame {
                    function: name.unwrap_or_default(),
                    file: file.unwrap_or_default().to_owned(),
                    line: place.and_then(|it| it.line).unwrap_or_default(),
                });
            }
        }
        frames.reverse();
        if frames.is_empty() {
            frames.push(self.assembly(address));
        }
        frames
    }

    fn assembly(&self, address: u64) -> Frame {
        let place = self.symbols.partition_point(|(it, _)| *it <= address);
        let name = place.checked_sub(1).map(|at| self.symbols[at].1.as_str());
        Frame { function: name.map(plain).unwrap_or_default(), file: ASSEMBLY.to_owned(), line: 0 }
    }
}

/// A function's name without what the compiler needs it for: hashes, and the arguments of generics.
fn plain(name: &str) -> String {
    let (mut plain, mut depth) = (String::new(), 0_usize);
    for character in name.replace("->", "").chars() {
        match character {
            '<' => depth += 1,
            '>' => depth = depth.saturating_sub(1),
            _ if depth == 0 => plain.push(character),
            _ => {}
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_are_named_with_their_modules_and_labels_as_they_are() {
        for (file, name) in
            [("crates/a/src/b.rs", "b::f"), ("crates/a/src/calls/mod.rs", "calls::f"), (ASSEMBLY, "f")]
        {
            let frame = Frame { function: "f".to_owned(), file: file.to_owned(), line: 1 };
            assert_eq!(frame.name(), name);
        }
    }

    #[test]
    fn names_are_without_the_arguments_of_generics() {
        assert_eq!(plain("lookup<feuerbird_kernel::Native, &[u8]>"), "lookup");
        assert_eq!(plain("leave_to_user"), "leave_to_user");
    }
}
