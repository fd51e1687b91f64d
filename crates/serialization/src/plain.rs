//! Values without a schema of their own: integers, arrays and `repr(C)` structs.

use core::marker::PhantomData;

use zerocopy::{ConvertError, Immutable, IntoBytes, TryFromBytes};

use crate::{
    Checks, DecodeError, Encode, EncodeError, Format, Framing, Identity, Message, Stable, frame,
    wire::{PointerBuilder, StructBuilder},
};

/// The id of `struct Plain` in `schemas/plain.capnp`.
const SCHEMA: u64 = 0xd7a3_0be4_916c_58f2;
/// Its sections: one pointer, to the bytes.
const DATA: u16 = 0;
const POINTERS: u16 = 1;

/// A value whose bytes are its meaning: no padding, no pointers. Every bit pattern is one, or those that are none are found when it
/// arrives, in every layer ([`DecodeError::WrongType`]): `bool`, enums, and structs of them derive `TryFromBytes` in the place of
/// `FromBytes`, and pay for a look. [Derived](macro@crate::PlainValue), beside what `zerocopy` derives:
///
/// ```
/// use feuerbird_serialization::{Encode, Layer, Message, Plain, PlainValue, Stable};
/// use zerocopy::{FromBytes, Immutable, IntoBytes};
///
/// #[derive(Clone, Copy, Debug, PartialEq, FromBytes, IntoBytes, Immutable, PlainValue)]
/// #[plain_value(name = "example.Position")]
/// #[repr(C)]
/// struct Position {
///     x: f64,
///     y: f64,
/// }
///
/// let mut buffer = [0_u64; 8];
/// let bytes = buffer.as_mut_bytes();
/// let length = Position { x: 1.0, y: 2.0 }.encode(Layer::Full, bytes)?;
/// let received = Plain::<Position>::decode(Stable::new(&bytes[..length])?, Layer::Full)?;
/// assert_eq!(received, Position { x: 1.0, y: 2.0 });
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a plain value",
    label = "its bytes are not all it is, or nobody says which of them are one",
    note = "take an array for what is of varying length",
    note = "a struct of your own is one with `#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, PlainValue)]`",
    note = "an enum, or a struct with one or with a `bool`, derives `TryFromBytes` in the place of `FromBytes`"
)]
pub trait PlainValue: Copy + TryFromBytes + IntoBytes + Immutable + 'static {
    /// The name both ends compare; up to 64 bytes count.
    const NAME: &str;

    /// Changed whenever the meaning of the bytes changes and their size does not. The derive makes it of all fields.
    const VERSION: u64 = 0;
}

/// What a derived [`PlainValue`] is laid out as: the name, place and type of each field, as one number.
///
/// The hash is FNV-1a: it finds accidents. Whoever is trusted with plain values in Raw needs no fence against forged ones.
#[derive(Clone, Copy, Debug)]
pub struct PlainLayout(u64);

impl PlainLayout {
    /// A struct without fields. `version` tells apart what looks the same and means something else.
    pub const fn new(version: u64) -> Self {
        Self(0xcbf2_9ce4_8422_2325).number(version)
    }

    /// The same with one field more.
    #[must_use]
    pub const fn field<F: PlainValue>(self, name: &str, offset: usize) -> Self {
        let place = self.text(name).number(offset as u64).number(size_of::<F>() as u64);
        place.text(F::NAME).number(F::VERSION)
    }

    /// The same with one variant more, of an enum.
    #[must_use]
    pub const fn variant(self, name: &str, number: u64) -> Self {
        self.text(name).number(number)
    }

    /// The number.
    pub const fn hash(self) -> u64 {
        self.0
    }

    /// With its length, so that no two rows of texts run together as one.
    const fn text(self, text: &str) -> Self {
        let (mut layout, mut rest) = (self.number(text.len() as u64), text.as_bytes());
        while let [first, behind @ ..] = rest {
            (layout, rest) = (layout.byte(*first), behind);
        }
        layout
    }

    const fn number(mut self, number: u64) -> Self {
        let mut rest: &[u8] = &number.to_le_bytes();
        while let [first, behind @ ..] = rest {
            (self, rest) = (self.byte(*first), behind);
        }
        self
    }

    const fn byte(self, byte: u8) -> Self {
        Self((self.0 ^ byte as u64).wrapping_mul(0x0000_0100_0000_01b3))
    }
}

macro_rules! plain_values {
    ($($value:ident)*) => {
        $(impl PlainValue for $value { const NAME: &str = stringify!($value); })*
    };
}
plain_values!(u8 u16 u32 u64 u128 usize i8 i16 i32 i64 i128 isize f32 f64 bool char);

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
    fn decode(bytes: Stable<'_>, format: impl Into<Format>) -> Result<T, DecodeError> {
        let format = format.into();
        if format.framing == Framing::Bare {
            return exactly(bytes.bytes());
        }
        let pointer = frame::open(bytes, format, DATA, POINTERS)?.pointer(0);
        if format.checks != Checks::Lengths {
            pointer.check_data()?;
        }
        exactly(pointer.data())
    }
}

impl<T: PlainValue> Encode<Plain<T>> for T {
    #[inline]
    fn encoded_bound(&self, format: impl Into<Format>) -> usize {
        match format.into() {
            Format { framing: Framing::Bare, .. } => size_of::<T>(),
            format => frame::size(format, DATA, POINTERS, size_of::<T>().div_ceil(8)),
        }
    }

    #[inline]
    fn encode(&self, format: impl Into<Format>, out: &mut [u8]) -> Result<usize, EncodeError> {
        let (format, bytes) = (format.into(), self.as_bytes());
        if format.framing == Framing::Bare {
            let needed = bytes.len();
            let out = out.get_mut(..needed).ok_or(EncodeError::BufferTooSmall { needed })?;
            out.copy_from_slice(bytes);
            return Ok(needed);
        }
        let fill = |mut root: StructBuilder<'_>| PointerBuilder::data(root.pointer(0), bytes);
        frame::write(format, out, (DATA, POINTERS, bytes.len().div_ceil(8)), fill)
    }
}

/// The value that `bytes` are, if they are neither more nor fewer than it has, and one of its bit patterns.
#[inline]
fn exactly<T: PlainValue>(bytes: &[u8]) -> Result<T, DecodeError> {
    T::try_read_from_bytes(bytes).map_err(|error| match error {
        ConvertError::Validity(_) => DecodeError::WrongType,
        _ if bytes.len() < size_of::<T>() => DecodeError::Truncated,
        _ => DecodeError::TrailingBytes,
    })
}
