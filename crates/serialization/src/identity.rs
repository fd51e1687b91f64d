//! What a message type is, compared once when two ends bind.

use core::fmt;

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// A name of at most 64 bytes of UTF-8, padded with zeros. It may come from a peer: printing it escapes what is not text.
#[derive(Clone, Copy, PartialEq, Eq, Hash, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(transparent)]
pub struct Name(pub [u8; Self::CAPACITY]);

impl Name {
    /// How many bytes a name has room for.
    pub const CAPACITY: usize = 64;

    /// The name with this text, cut off behind 64 bytes.
    pub const fn new(text: &str) -> Self {
        let text = text.as_bytes();
        let mut bytes = [0; Self::CAPACITY];
        let mut at = 0;
        while at < text.len() && at < Self::CAPACITY {
            bytes[at] = text[at];
            at += 1;
        }
        Self(bytes)
    }

    /// The bytes in front of the padding.
    fn text(&self) -> &[u8] {
        let end = self.0.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
        self.0.get(..end).unwrap_or_default()
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for chunk in self.text().utf8_chunks() {
            write!(f, "{}", chunk.valid().escape_debug())?;
            write!(f, "{}", chunk.invalid().escape_ascii())?;
        }
        Ok(())
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

/// What both ends must agree on before a message of this type is sent. 128 bytes that may lie in shared memory.
///
/// Every bit pattern is an `Identity`, so one that a peer wrote can be read and compared without further checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Identity {
    /// The message's name.
    pub name: Name,
    /// The Cap'n Proto id of the message's struct.
    pub schema: u64,
    /// What names the Raw layout: changed when a field moves. 0 where name, size and alignment say it all.
    pub layout: u64,
    /// Bytes of the fixed part in the Raw layer.
    pub size: u32,
    /// Alignment of the fixed part in the Raw layer, in bytes.
    pub alignment: u32,
    /// Zero.
    pub reserved: [u8; 40],
}

const _: () = assert!(size_of::<Identity>() == 128 && align_of::<Identity>() == 8);

impl Identity {
    /// The identity of a message whose fixed Raw part is laid out as `T`.
    pub const fn of<T>(name: &str, schema: u64, layout: u64) -> Self {
        assert!(size_of::<T>() <= u32::MAX as usize, "the fixed part is too large");
        Self {
            name: Name::new(name),
            schema,
            layout,
            size: size_of::<T>() as u32,
            alignment: align_of::<T>() as u32,
            reserved: [0; 40],
        }
    }

    /// The identity of a schema's struct, which may grow: neither its size nor its layout is part of it.
    pub const fn of_schema(name: &str, schema: u64) -> Self {
        Self { name: Name::new(name), schema, layout: 0, size: 0, alignment: 0, reserved: [0; 40] }
    }

    /// The first thing in which `theirs` differs from this one, or `None` if they are the same.
    pub fn difference(&self, theirs: &Self) -> Option<Mismatch> {
        if self.name != theirs.name {
            Some(Mismatch::Name { ours: self.name, theirs: theirs.name })
        } else if self.size != theirs.size {
            Some(Mismatch::Size { ours: self.size, theirs: theirs.size })
        } else if self.alignment != theirs.alignment {
            Some(Mismatch::Alignment { ours: self.alignment, theirs: theirs.alignment })
        } else if self.schema != theirs.schema {
            Some(Mismatch::Schema { ours: self.schema, theirs: theirs.schema })
        } else if self.layout != theirs.layout {
            Some(Mismatch::Layout { ours: self.layout, theirs: theirs.layout })
        } else if self.reserved != theirs.reserved {
            Some(Mismatch::Reserved)
        } else {
            None
        }
    }
}

/// In what two identities differ; its text is for the person who has to find out why a bind was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mismatch {
    /// The names differ.
    #[allow(missing_docs)]
    Name { ours: Name, theirs: Name },
    /// The sizes of the fixed Raw part differ.
    #[allow(missing_docs)]
    Size { ours: u32, theirs: u32 },
    /// The alignments of the fixed Raw part differ.
    #[allow(missing_docs)]
    Alignment { ours: u32, theirs: u32 },
    /// The Cap'n Proto ids differ.
    #[allow(missing_docs)]
    Schema { ours: u64, theirs: u64 },
    /// The Raw layouts differ although their sizes are the same.
    #[allow(missing_docs)]
    Layout { ours: u64, theirs: u64 },
    /// Their identity uses bytes that are reserved: it is of a later version, or not an identity.
    Reserved,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name { ours, theirs } => write!(f, "name: ours {ours:?}, theirs {theirs:?}"),
            Self::Size { ours, theirs } => write!(f, "size: ours {ours} bytes, theirs {theirs}"),
            Self::Alignment { ours, theirs } => write!(f, "alignment: ours {ours} bytes, theirs {theirs}"),
            Self::Schema { ours, theirs } => write!(f, "schema: ours {ours:#018x}, theirs {theirs:#018x}"),
            Self::Layout { ours, theirs } => write!(f, "layout: ours {ours:#018x}, theirs {theirs:#018x}"),
            Self::Reserved => f.write_str("theirs has bytes set that are reserved"),
        }
    }
}

impl core::error::Error for Mismatch {}

#[cfg(test)]
mod tests {
    extern crate alloc;

    use alloc::string::ToString;

    use super::*;

    const OURS: Identity = Identity::of::<[u64; 8]>("Order", 7, 1);

    #[test]
    fn equal_identities_do_not_differ() {
        assert_eq!(OURS.difference(&OURS), None);
    }

    #[test]
    fn a_difference_says_what_differs() {
        let says = |theirs: Identity| OURS.difference(&theirs).unwrap().to_string();
        assert_eq!(says(Identity { size: 72, ..OURS }), "size: ours 64 bytes, theirs 72");
        assert_eq!(says(Identity { alignment: 16, ..OURS }), "alignment: ours 8 bytes, theirs 16");
        assert_eq!(
            says(Identity { schema: 8, ..OURS }),
            "schema: ours 0x0000000000000007, theirs 0x0000000000000008"
        );
        assert_eq!(
            says(Identity { layout: 2, ..OURS }),
            "layout: ours 0x0000000000000001, theirs 0x0000000000000002"
        );
        assert_eq!(says(Identity { reserved: [1; 40], ..OURS }), "theirs has bytes set that are reserved");
    }

    #[test]
    fn a_hostile_name_prints_as_harmless_text() {
        let theirs = Identity { name: Name::new("\x1b[2J\u{9b}x"), ..OURS };
        let text = OURS.difference(&theirs).unwrap().to_string();
        assert!(text.chars().all(|c| !c.is_control()), "{text}");
        let text = Name([0xFF; 64]).to_string();
        assert!(text.starts_with("\\xff"));
    }

    #[test]
    fn every_flipped_bit_is_a_difference() {
        for bit in 0..128 * 8 {
            let mut theirs = OURS;
            theirs.as_mut_bytes()[bit / 8] ^= 1 << (bit % 8);
            assert!(OURS.difference(&theirs).is_some(), "bit {bit}");
        }
    }
}
