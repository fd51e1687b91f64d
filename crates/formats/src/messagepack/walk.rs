//! One look at a whole message before anything is made of it: lengths, counts and depth, whatever the types are.
//!
//! From the MessagePack specification (github.com/msgpack/msgpack, spec.md), section "Formats".

use feuerbird_serialization::{DEPTH_LIMIT, DecodeError};

/// Checks that the bytes are one value and nothing else, nested no deeper than [`DEPTH_LIMIT`] arrays and maps.
pub(super) fn check(bytes: &[u8]) -> Result<(), DecodeError> {
    let mut rest = bytes;
    // How many values are still to come at each depth.
    let mut left = [0_u64; DEPTH_LIMIT + 1];
    left[0] = 1;
    let mut depth = 0;
    loop {
        if left[depth] > 0 {
            left[depth] -= 1;
            let inside = value(&mut rest)?;
            // A value takes at least one byte: a count beyond the bytes is a lie, found here and not after as many steps.
            if inside > rest.len() as u64 {
                return Err(DecodeError::Truncated);
            }
            if inside > 0 {
                depth += 1;
                *left.get_mut(depth).ok_or(DecodeError::TooDeep)? = inside;
            }
        } else if depth > 0 {
            depth -= 1;
        } else if rest.is_empty() {
            return Ok(());
        } else {
            return Err(DecodeError::TrailingBytes);
        }
    }
}

/// Passes over a value without what is nested in it, and says how many values that are.
fn value(rest: &mut &[u8]) -> Result<u64, DecodeError> {
    let marker = number(rest, 1)? as u8;
    let bytes = match marker {
        0x00..=0x7F | 0xE0..=0xFF | 0xC0 | 0xC2 | 0xC3 => 0, // small integers, nil, false, true
        0x80..=0x8F => return Ok(2 * u64::from(marker & 0x0F)), // maps: keys and values
        0xDE => return Ok(2 * number(rest, 2)?),
        0xDF => return Ok(2 * number(rest, 4)?),
        0x90..=0x9F => return Ok(u64::from(marker & 0x0F)), // arrays
        0xDC => return number(rest, 2),
        0xDD => return number(rest, 4),
        0xA0..=0xBF => u64::from(marker & 0x1F), // texts and bytes
        0xC4 | 0xD9 => number(rest, 1)?,
        0xC5 | 0xDA => number(rest, 2)?,
        0xC6 | 0xDB => number(rest, 4)?,
        0xC7 => 1 + number(rest, 1)?, // extensions: a type, then bytes
        0xC8 => 1 + number(rest, 2)?,
        0xC9 => 1 + number(rest, 4)?,
        0xD4..=0xD8 => 1 + (1 << (marker - 0xD4)),
        0xCC | 0xD0 => 1, // integers and floats
        0xCD | 0xD1 => 2,
        0xCE | 0xD2 | 0xCA => 4,
        0xCF | 0xD3 | 0xCB => 8,
        0xC1 => return Err(DecodeError::Malformed), // never used
    };
    take(rest, bytes)?;
    Ok(0)
}

/// The big-endian number in the next bytes, at most 4.
fn number(rest: &mut &[u8], bytes: u64) -> Result<u64, DecodeError> {
    Ok(take(rest, bytes)?.iter().fold(0, |number, &byte| number << 8 | u64::from(byte)))
}

fn take<'a>(rest: &mut &'a [u8], bytes: u64) -> Result<&'a [u8], DecodeError> {
    let bytes = usize::try_from(bytes).map_err(|_| DecodeError::Truncated)?;
    rest.split_off(..bytes).ok_or(DecodeError::Truncated)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every marker, followed by as many bytes as it asks for and no more, is a value; one byte less or more is not.
    #[test]
    fn every_marker_takes_what_the_reader_takes() {
        for marker in (0..=0xFF).filter(|&marker| marker != 0xC1) {
            let mut bytes = vec![marker];
            // Zeros: lengths of nothing, counts of nothing, numbers.
            while let Err(error) = check(&bytes) {
                assert_eq!(error, DecodeError::Truncated, "{marker:#x}");
                bytes.push(0);
            }
            let mut reader = &bytes[..];
            let read = serde::de::IgnoredAny::deserialize_from(&mut reader);
            assert!(read.is_ok() && reader.is_empty(), "{marker:#x}: {read:?}, {reader:?}");
            bytes.push(0);
            assert_eq!(check(&bytes), Err(DecodeError::TrailingBytes), "{marker:#x}");
        }
        assert_eq!(check(&[0xC1]), Err(DecodeError::Malformed));
        assert_eq!(check(&[]), Err(DecodeError::Truncated));
    }

    trait DeserializeFrom: Sized {
        fn deserialize_from(reader: &mut &[u8]) -> Result<Self, rmp_serde::decode::Error>;
    }

    impl<T: serde::de::DeserializeOwned> DeserializeFrom for T {
        fn deserialize_from(reader: &mut &[u8]) -> Result<Self, rmp_serde::decode::Error> {
            rmp_serde::from_read(reader)
        }
    }

    #[test]
    fn depth_and_counts_are_bounded() {
        let nested = |depth| [vec![0x91; depth], vec![0xC0]].concat();
        assert_eq!(check(&nested(DEPTH_LIMIT)), Ok(()));
        assert_eq!(check(&nested(DEPTH_LIMIT + 1)), Err(DecodeError::TooDeep));
        for count in [[0xDD, 0xFF, 0xFF, 0xFF, 0xFF, 0xC0], [0xDF, 0xFF, 0xFF, 0xFF, 0xFF, 0xC0]] {
            assert_eq!(check(&count), Err(DecodeError::Truncated));
        }
    }
}
