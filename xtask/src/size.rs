//! `size`: how much has to be trusted, in lines and in bytes.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::context::{Context, Failure};
use crate::image;
use crate::metadata::{Package, Workspace};
use crate::qemu;
use crate::run;
use crate::source::{code_only, has_word, without};

/// Counts the lines of the trusted base, the share of them that is unsafe, and the bytes of the kernel's image.
///
/// The trusted base is the kernel with the crates of this workspace that it links. Lines are those with code or assembly, without
/// comments, blank lines and tests; unsafe are those inside of an `unsafe` block, function or implementation.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Prints one JSON object instead of the table.
    #[arg(long)]
    json: bool,
}

/// Lines of a package.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Lines {
    files: usize,
    code: usize,
    is_unsafe: usize,
}

/// Bytes that the image takes when it runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Image {
    code: u64,
    constants: u64,
    data: u64,
    zeroes: u64,
}

/// Counts and prints.
pub(crate) fn run(context: &Context, args: &Args) -> Result<(), Failure> {
    let workspace = Workspace::load(context)?;
    let (own, foreign) = trusted(&workspace);
    let counted: Vec<_> = own
        .iter()
        .map(|package| Ok((package.name.as_str(), count(package)?)))
        .collect::<Result<_, Failure>>()?;
    let file = qemu::build(context)?.join(qemu::KERNEL);
    let bytes =
        std::fs::read(&file).map_err(|error| Failure::io("cannot read the kernel's image", &error))?;
    let image =
        Image::read(&bytes).ok_or_else(|| Failure::Failed("the kernel's image is no ELF file".to_owned()))?;
    run::print(&if args.json { json(&counted, &foreign, image) } else { table(&counted, &foreign, image) });
    Ok(())
}

/// The kernel's packages of this workspace, and the names of the others that these link themselves.
fn trusted(workspace: &Workspace) -> (Vec<&Package>, BTreeSet<&str>) {
    let mut own: Vec<&Package> = workspace.package(qemu::KERNEL).into_iter().collect();
    let mut foreign = BTreeSet::new();
    let mut at = 0;
    while at < own.len() {
        for edge in own[at].dependencies.iter().filter(|edge| edge.kind.is_none() && !edge.optional) {
            match workspace.package(&edge.name) {
                Some(package) if own.iter().any(|it| it.name == package.name) => {}
                Some(package) => own.push(package),
                None => _ = foreign.insert(edge.name.as_str()),
            }
        }
        at += 1;
    }
    (own, foreign)
}

fn count(package: &Package) -> Result<Lines, Failure> {
    let roots = package.targets.iter().filter(|it| it.kind.iter().any(|kind| kind == "lib" || kind == "bin"));
    let mut files: Vec<PathBuf> = roots.map(|target| target.src_path.clone()).collect();
    let mut lines = Lines::default();
    while let Some(file) = files.pop() {
        let text = std::fs::read_to_string(&file)
            .map_err(|error| Failure::io(format!("cannot read {}", file.display()), &error))?;
        let code = without(&code_only(&text), |condition| {
            (has_word(condition, "test") || has_word(condition, "feature")) && !has_word(condition, "not")
        });
        lines.files += 1;
        lines.code += lines_of_code(&text, &code);
        lines.is_unsafe += lines_of_unsafe(&code);
        files.extend(modules(&file, &code));
    }
    Ok(lines)
}

/// The files of the modules that a file declares.
fn modules(file: &Path, code: &str) -> Vec<PathBuf> {
    let is_root = ["lib.rs", "main.rs", "mod.rs"].iter().any(|name| file.ends_with(name));
    let folder = if is_root { file.parent().map(Path::to_path_buf) } else { Some(file.with_extension("")) };
    let Some(folder) = folder else { return Vec::new() };
    let names = code.lines().filter_map(|line| {
        let name = line.trim().strip_suffix(';')?.rsplit_once("mod ")?;
        (name.0.is_empty() || name.0.starts_with("pub")).then_some(name.1)
    });
    let places = names.flat_map(|name| [folder.join(format!("{name}.rs")), folder.join(name).join("mod.rs")]);
    places.filter(|place| place.is_file()).collect()
}

/// Lines with code; those inside of a string are assembly, or printed.
fn lines_of_code(text: &str, code: &str) -> usize {
    let is_comment = |line: &str| line.trim_start().starts_with("//");
    let mut tests = 0_usize;
    let mut count = 0;
    for (line, code) in text.lines().zip(code.lines()) {
        // Tests are left out of the code, and stand at the end of a file.
        tests += usize::from(line.contains("#[cfg(test)]") || line.contains("#[cfg(all(test"));
        let is_string = code.trim().is_empty() && !line.trim().is_empty() && !is_comment(line) && tests == 0;
        count += usize::from(!code.trim().is_empty() || is_string);
    }
    count
}

/// Lines from an `unsafe` that begins a block or an item to the end of it.
fn lines_of_unsafe(code: &str) -> usize {
    let mut lines = BTreeSet::new();
    for (at, _) in code.match_indices("unsafe") {
        let before = code[..at].bytes().next_back();
        let rest = &code[at + "unsafe".len()..];
        let is_word = before.is_none_or(|byte| !byte.is_ascii_alphanumeric() && byte != b'_');
        // `unsafe(no_mangle)` and the names of lints are none.
        if !is_word || !rest.starts_with([' ', '\n']) {
            continue;
        }
        let first = code[..at].matches('\n').count();
        lines.extend(first..=first + rest[..end_of_block(rest)].matches('\n').count());
    }
    let all: Vec<_> = code.lines().collect();
    lines.into_iter().filter(|line| all.get(*line).is_some_and(|line| !line.trim().is_empty())).count()
}

fn end_of_block(code: &str) -> usize {
    let mut depth = 0_usize;
    for (at, character) in code.char_indices() {
        match character {
            ';' if depth == 0 => return at,
            '{' => depth += 1,
            '}' if depth <= 1 => return at,
            '}' => depth -= 1,
            _ => {}
        }
    }
    code.len()
}

impl Image {
    /// Adds up the segments that are loaded of a 64-bit ELF file.
    fn read(bytes: &[u8]) -> Option<Self> {
        let mut image = Self::default();
        for segment in image::segments(bytes)? {
            match segment.flags & 3 {
                1 => image.code += segment.in_file,
                2 | 3 => image.data += segment.in_file,
                _ => image.constants += segment.in_file,
            }
            image.zeroes += segment.in_memory.saturating_sub(segment.in_file);
        }
        Some(image)
    }
}

fn total(counted: &[(&str, Lines)]) -> Lines {
    counted.iter().fold(Lines::default(), |sum, (_, lines)| Lines {
        files: sum.files + lines.files,
        code: sum.code + lines.code,
        is_unsafe: sum.is_unsafe + lines.is_unsafe,
    })
}

fn table(counted: &[(&str, Lines)], foreign: &BTreeSet<&str>, image: Image) -> String {
    let mut text =
        format!("{:<28} {:>6} {:>7} {:>7} {:>7}\n", "trusted base", "files", "lines", "unsafe", "share");
    for (name, lines) in counted.iter().copied().chain([("together", total(counted))]) {
        let share = 100.0 * lines.is_unsafe as f64 / lines.code.max(1) as f64;
        // Writing into a string does not fail.
        let _ = writeln!(
            text,
            "{name:<28} {:>6} {:>7} {:>7} {share:>5.1} %",
            lines.files, lines.code, lines.is_unsafe
        );
    }
    let kib = |bytes: u64| bytes as f64 / 1024.0;
    let Image { code, constants, data, zeroes } = image;
    let foreign: Vec<_> = foreign.iter().copied().collect();
    let _ = write!(
        text,
        "linked from elsewhere, not counted: {}\n\nimage: {:.1} KiB of code, {:.1} KiB of constants, {:.1} KiB of data, {:.1} KiB of \
         zeroes\n",
        foreign.join(", "),
        kib(code),
        kib(constants),
        kib(data),
        kib(zeroes)
    );
    text
}

fn json(counted: &[(&str, Lines)], foreign: &BTreeSet<&str>, image: Image) -> String {
    let rows: Vec<_> = counted
        .iter()
        .map(|(name, it)| json!({"crate": name, "files": it.files, "lines": it.code, "unsafe": it.is_unsafe}))
        .collect();
    let all = total(counted);
    let bytes =
        json!({"code": image.code, "constants": image.constants, "data": image.data, "zeroes": image.zeroes});
    let whole = json!({"crates": rows, "lines": all.code, "unsafe": all.is_unsafe, "foreign": foreign, "image_bytes": bytes});
    format!("{whole}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_blanks_and_tests_are_no_code_and_assembly_is() {
        let text = "//! Words.\n\nfn a() {\n    asm!(\n        \"nop\n        ret\",\n    );\n}\n\n#[cfg(test)]\nmod tests {\n    \"x\n\n    y\";\n}\n";
        let code = without(&code_only(text), |condition| condition == "test");
        assert_eq!(lines_of_code(text, &code), 6);
    }

    #[test]
    fn unsafe_lines_are_those_of_blocks_and_items() {
        let code = "fn a() {\n    unsafe {\n        b();\n\n        c()\n    }\n}\nunsafe fn d() { e() }\n#[unsafe(no_mangle)]\nfn f() {}\nunsafe_op();\n";
        assert_eq!(lines_of_unsafe(code), 5);
    }

    #[test]
    fn modules_lie_beside_roots_and_below_others() {
        let context = Context::new(true);
        let names = |file: &str| {
            modules(&context.root.join(file), "mod source;\npub(crate) mod kernel;\nmod no {}\n")
        };
        assert_eq!(names("xtask/src/main.rs"), [context.root.join("xtask/src/source.rs")]);
        assert_eq!(names("xtask/src/bench.rs"), [context.root.join("xtask/src/bench/kernel.rs")]);
    }

    #[test]
    fn the_trusted_base_is_the_kernel_and_what_it_links() {
        let workspace = Workspace::load(&Context::new(true)).unwrap();
        let (own, foreign) = trusted(&workspace);
        let names: Vec<_> = own.iter().map(|package| package.name.as_str()).collect();
        assert!(names.contains(&"feuerbird-capability") && names.contains(&"feuerbird-exokernel"));
        assert!(!names.contains(&"feuerbird-hosted") && foreign.contains("x86_64"));
        assert!(own.iter().all(|package| count(package).unwrap().code > 100));
    }

    #[test]
    fn an_image_is_code_constants_and_data() {
        let own = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        let image = Image::read(&own).unwrap();
        assert!(image.code > 10_000 && image.constants > 1000);
    }
}
