//! Derived plain values: what both ends compare, and that they travel.
#![allow(clippy::unwrap_used)] // functions that tests share count as no tests

mod common;

use common::{Aligned, FORMATS, FULL, LITE, RAW, decode_plain};
use feuerbird_serialization::{DecodeError, Encode, Identity, Message, Mismatch, Plain, PlainValue};
use zerocopy::{FromBytes, Immutable, IntoBytes, TryFromBytes};

#[derive(Clone, Copy, Debug, PartialEq, FromBytes, IntoBytes, Immutable, PlainValue)]
#[plain_value(name = "test.Position")]
#[repr(C)]
struct Position {
    x: f64,
    y: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, FromBytes, IntoBytes, Immutable, PlainValue)]
#[repr(C, align(16))]
struct Track {
    id: [u32; 2],
    corner: Position,
    path: [Position; 3],
    rest: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, FromBytes, IntoBytes, Immutable, PlainValue)]
#[repr(transparent)]
struct Id(u64);

#[derive(Clone, Copy, Debug, PartialEq, FromBytes, IntoBytes, Immutable, PlainValue)]
#[repr(C)]
struct Nothing;

fn identity<T: PlainValue>() -> Identity {
    Plain::<T>::IDENTITY
}

fn arrives<T: PlainValue + PartialEq + core::fmt::Debug>(value: T) {
    for format in FORMATS {
        let mut out = Aligned::new(&vec![0xEE; value.encoded_bound(format)]);
        assert_eq!(Encode::<Plain<T>>::encode(&value, format, out.bytes_mut()), Ok(out.bytes().len()));
        assert_eq!(decode_plain::<T>(out.bytes(), format), Ok(value), "{format:?}");
    }
}

#[test]
fn derived_values_travel_in_every_format() {
    let corner = Position { x: 1.5, y: -2.0 };
    arrives(corner);
    arrives(Track { id: [1, 2], corner, path: [corner; 3], rest: 9 });
    arrives(Id(7));
    arrives(Nothing);
}

#[derive(Clone, Copy, Debug, PartialEq, TryFromBytes, IntoBytes, Immutable, PlainValue)]
#[repr(i8)]
enum Mode {
    Off,
    On = -3,
}

#[derive(Clone, Copy, Debug, PartialEq, TryFromBytes, IntoBytes, Immutable, PlainValue)]
#[repr(C)]
struct Switch {
    letter: char,
    is_locked: bool,
    modes: [Mode; 3],
}

/// Not every bit pattern of a `bool`, a `char` or an enum is one: what is none is refused in every layer, also in Raw, where nothing else
/// of a value is looked at.
#[test]
fn bit_patterns_that_are_no_value_are_refused() {
    let value = Switch { letter: 'ß', is_locked: true, modes: [Mode::On, Mode::Off, Mode::On] };
    arrives(value);
    arrives(Mode::On);
    arrives(false);
    // 4 bytes of letter, one of bool, three of modes.
    for (at, byte) in [(3, 0x7F), (2, 0xFF), (4, 2), (4, 0xFF), (5, 1), (7, 0x80)] {
        for format in [RAW, LITE, FULL] {
            let mut out = Aligned::new(&vec![0; value.encoded_bound(format)]);
            value.encode(format, out.bytes_mut()).unwrap();
            let start = out.bytes().len() - 8;
            out.bytes_mut()[start + at] = byte;
            assert_eq!(
                decode_plain::<Switch>(out.bytes(), format),
                Err(DecodeError::WrongType),
                "{at}: {byte}"
            );
        }
    }
    let short = Aligned::new(&[0; 7]);
    assert_eq!(decode_plain::<Switch>(short.bytes(), RAW), Err(DecodeError::Truncated));
}

#[test]
fn variants_of_an_enum_are_part_of_its_layout() {
    mod renumbered {
        use super::*;
        #[derive(Clone, Copy, TryFromBytes, IntoBytes, Immutable, PlainValue)]
        #[repr(i8)]
        #[allow(dead_code)] // only its identity is looked at
        pub(super) enum Mode {
            Off,
            On,
        }
    }
    let (one, other) = (identity::<Mode>(), identity::<renumbered::Mode>());
    assert!(matches!(one.difference(&other), Some(Mismatch::Layout { .. })));
}

#[test]
fn an_identity_has_name_size_and_alignment() {
    assert_eq!((Position::NAME, Track::NAME, Id::NAME), ("test.Position", "Track", "Id"));
    let track = identity::<Track>();
    assert_eq!((track.size, track.alignment), (80, 16));
    assert_eq!((identity::<Nothing>().size, identity::<Nothing>().layout), (0, Nothing::VERSION));
}

/// Definitions of one name and size, each of which differs from the first in one thing.
macro_rules! variants {
    ($($variant:ident { $($field:ident: $ty:ty),* } $(version $version:literal)?;)*) => {{
        $(mod $variant {
            use super::*;
            #[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, PlainValue)]
            #[plain_value(name = "Variant" $(, version = $version)?)]
            #[repr(C)]
            #[allow(dead_code)] // only its identity is looked at
            pub(super) struct Variant { $($field: $ty),* }
        })*
        [$(identity::<$variant::Variant>()),*]
    }};
}

#[test]
fn whatever_differs_in_a_field_is_another_layout() {
    let identities = variants! {
        first { x: u32, y: u32, z: Position };
        swapped { y: u32, x: u32, z: Position };
        renamed { x: u32, why: u32, z: Position };
        float { x: u32, y: f32, z: Position };
        signed { x: i32, y: u32, z: Position };
        joined { x: u64, z: Position };
        array { x: [u32; 2], z: Position };
        moved { z: Position, x: u32, y: u32 };
        inside { x: u32, y: u32, z: [f64; 2] };
        later { x: u32, y: u32, z: Position } version 1;
    };
    for (index, one) in identities.iter().enumerate() {
        assert_eq!(one.difference(one), None);
        for other in &identities[..index] {
            assert!(matches!(one.difference(other), Some(Mismatch::Layout { .. })), "{index}");
        }
    }
}

/// Both ends need not be built by the same compiler: the hash is FNV-1a of what is written here, and never changes.
#[test]
fn the_layout_of_a_definition_is_always_the_same_number() {
    let mut bytes = 0_u64.to_le_bytes().to_vec();
    for (name, offset) in [("x", 0_u64), ("y", 8)] {
        bytes.extend([1_u64, u64::from(name.as_bytes()[0])].map(u64::to_le_bytes).concat()[..9].iter());
        bytes.extend([offset, 8].map(u64::to_le_bytes).concat());
        bytes.extend(3_u64.to_le_bytes());
        bytes.extend(b"f64");
        bytes.extend(0_u64.to_le_bytes());
    }
    let hash = bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    assert_eq!(Position::VERSION, hash);
}
