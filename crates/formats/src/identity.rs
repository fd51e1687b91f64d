//! What two ends compare of a message in one of these formats.

use feuerbird_serialization::{Identity, Name};

/// A type of message that says its name, for formats whose types do not.
pub trait Named {
    /// The name both ends compare, with whatever qualifies it: `example.Reading`.
    const NAME: &str;
}

/// The identity of a message in some format: `format:package.name`, or `format:name` where the package is empty.
///
/// Of a long name the first 64 bytes are kept, for people; a hash of all of it tells apart what is cut off. Neither says which fields
/// there are: these formats have their own rules for types that grow.
///
/// ```
/// use feuerbird_formats::identity;
/// assert_eq!(identity("protobuf", "example", "Reading").name.to_string(), "protobuf:example.Reading");
/// ```
pub const fn identity(format: &str, package: &str, name: &str) -> Identity {
    let dot = if package.is_empty() { "" } else { "." };
    let pieces = [format, ":", package, dot, name];
    let mut text = Name::new("");
    let (mut piece, mut at, mut hash) = (0, 0, OFFSET);
    while piece < pieces.len() {
        let bytes = pieces[piece].as_bytes();
        let mut byte = 0;
        while byte < bytes.len() {
            if at < Name::CAPACITY {
                text.0[at] = bytes[byte];
                at += 1;
            }
            hash = step(hash, bytes[byte]);
            byte += 1;
        }
        piece += 1;
    }
    Identity { name: text, ..Identity::of_schema("", hash) }
}

/// FNV-1a with 64 bits (Fowler, Noll, Vo): not against forgery, which no identity withstands.
const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
const PRIME: u64 = 0x0000_0100_0000_01b3;

const fn step(hash: u64, byte: u8) -> u64 {
    (hash ^ byte as u64).wrapping_mul(PRIME)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_tells_identities_apart() {
        let ours = identity("protobuf", "a", "B");
        for theirs in [
            identity("messagepack", "a", "B"),
            identity("protobuf", "b", "B"),
            identity("protobuf", "a", "C"),
        ] {
            assert!(ours.difference(&theirs).is_some());
        }
        assert_eq!(identity("f", "", "B").name.to_string(), "f:B");
    }

    #[test]
    fn what_is_cut_off_counts() {
        let long = "x".repeat(100);
        let (a, b) = (identity("f", &long, "A"), identity("f", &long, "B"));
        assert_eq!(a.name, b.name);
        assert!(a.difference(&b).is_some());
    }

    #[test]
    fn the_hash_is_the_published_one() {
        // From the authors' test vectors.
        assert_eq!(b"foobar".iter().fold(OFFSET, |hash, &byte| step(hash, byte)), 0x8594_4171_f739_67e8);
    }
}
