//! Values without a schema of their own: integers, arrays and `repr(C)` structs.

use core::marker::PhantomData;

use zerocopy::{FromBytes, Immutable, IntoBytes};

use crate::message::aligned;
use crate::{DecodeError, EncodeError, Format, Identity, Layer, Message, full, lite, plain_capnp, raw};

/// The id of `struct Plain` in `schemas/plain.capnp`.
const SCHEMA: u64 = 0xd7a3_0be4_916c_58f2;

/// A value whose bytes are its meaning: no padding, no pointers, and every bit pattern is one. `zerocopy` derives the rest:
///
/// ```
/// use feuerbird_serialization::{Layer, Message, Plain, PlainValue};
/// use zerocopy::{FromBytes, Immutable, IntoBytes};
///
/// #[derive(Clone, Copy, Debug, PartialEq, FromBytes, IntoBytes, Immutable)]
/// #[repr(C)]
/// struct Position {
///     x: f64,
///     y: f64,
/// }
///
/// impl PlainValue for Position {
///     const NAME: &str = "example.Position";
/// }
///
/// let mut buffer = [0_u64; 8];
/// let bytes = buffer.as_mut_bytes();
/// let length = Plain::<Position>::encode(&Position { x: 1.0, y: 2.0 }, Layer::Full, bytes)?;
/// let received = Plain::<Position>::decode(&bytes[..length], Layer::Full)?;
/// assert_eq!(received, Position { x: 1.0, y: 2.0 });
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait PlainValue: Copy + FromBytes + IntoBytes + Immutable + 'static {
    /// The name both ends compare; up to 64 bytes count.
    const NAME: &str;

    /// Changed whenever the meaning of the bytes changes and their size does not.
    const VERSION: u64 = 0;
}

macro_rules! plain_values {
    ($($value:ident)*) => {
        $(impl PlainValue for $value { const NAME: &str = stringify!($value); })*
    };
}
plain_values!(u8 u16 u32 u64 u128 usize i8 i16 i32 i64 i128 isize f32 f64);

impl PlainValue for () {
    const NAME: &str = "()";
}

/// An array has its element's name; the size tells them apart.
impl<T: PlainValue, const N: usize> PlainValue for [T; N] {
    const NAME: &str = T::NAME;
    const VERSION: u64 = T::VERSION;
}

/// The message that is one [`PlainValue`]. In the Cap'n Proto layers it is `struct Plain` of `schemas/plain.capnp`.
#[derive(Clone, Copy, Debug)]
pub struct Plain<T>(PhantomData<fn() -> T>);

impl<T: PlainValue> Message for Plain<T> {
    const IDENTITY: Identity = Identity::of::<T>(T::NAME, SCHEMA, T::VERSION);

    type View<'a> = T;

    #[inline]
    fn encoded_bound(_: &T, layer: Layer) -> usize {
        match layer {
            Layer::Raw => size_of::<T>(),
            Layer::Lite => lite::size::<0>(size_of::<T>()),
            Layer::Full => full::size::<0>(size_of::<T>()),
        }
    }

    #[inline]
    fn encode(value: &T, format: impl Into<Format>, out: &mut [u8]) -> Result<usize, EncodeError> {
        let format = format.into();
        let bytes = value.as_bytes();
        let fill = |out: &mut [u8]| {
            out.copy_from_slice(bytes);
            []
        };
        match format.layer {
            Layer::Raw => raw::write(0, out, |_| *value),
            Layer::Lite => lite::write(bytes.len(), format.checksum, out, fill),
            Layer::Full => full::write(bytes.len(), out, fill),
        }
    }

    #[inline]
    fn decode(bytes: &[u8], format: impl Into<Format>) -> Result<T, DecodeError> {
        let format = format.into();
        aligned(bytes)?;
        match format.layer {
            Layer::Raw => match raw::read(bytes)? {
                (value, []) => Ok(value),
                _ => Err(DecodeError::TrailingBytes),
            },
            Layer::Lite => exactly(lite::read(bytes, format.checksum)?.bytes(0)?),
            Layer::Full => full::read(bytes, |reader| {
                let root: plain_capnp::plain::Reader<'_> = reader.get_root().map_err(full::refused)?;
                exactly(root.get_value().map_err(full::refused)?)
            }),
        }
    }
}

/// The value that `bytes` are, if they are neither more nor fewer than it has.
#[inline]
fn exactly<T: PlainValue>(bytes: &[u8]) -> Result<T, DecodeError> {
    T::read_from_bytes(bytes).map_err(|_| DecodeError::WrongType)
}
