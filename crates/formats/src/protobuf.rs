//! Protocol Buffers, by `prost`.
//!
//! A view is the value, which owns its memory. `prost` reads a length before it believes it, so memory stays in proportion (the
//! crate's table says which); nesting ends at 100 messages, `prost`'s own limit. A program that switches on `prost`'s feature
//! `no-recursion-limit`, anywhere in its build, takes that limit away.
//!
//! The format has no end of its own: bytes behind a message are further fields of it, known or not, or the message is refused. The
//! length that the channel gives is the end. `prost` does not say what is wrong with a message, so every refusal is
//! [`DecodeError::Malformed`].

use std::ops::Deref;

use feuerbird_serialization::{DecodeError, Encode, EncodeError, Format, Identity, Message, Stable};

use crate::identity;

/// The largest message of the format: 2 GiB, by its definition.
const LARGEST: usize = i32::MAX as usize;

/// The message that is a `T` in Protocol Buffers, and a value of it.
///
/// `Protobuf<Reading>` is what a channel's type names and what arrives. `Protobuf(&reading)` can be sent as well, so that a value
/// is not moved for it.
///
/// ```
/// use feuerbird_formats::protobuf::Protobuf;
/// use feuerbird_serialization::{Encode, Layer, Message, Stable};
/// use zerocopy::IntoBytes;
///
/// #[derive(Clone, PartialEq, prost::Message)] // prost-build writes this, and the name below, from a .proto file
/// struct Reading {
///     #[prost(string, tag = "1")]
///     sensor: String,
///     #[prost(float, tag = "2")]
///     celsius: f32,
/// }
///
/// impl prost::Name for Reading {
///     const PACKAGE: &'static str = "example";
///     const NAME: &'static str = "Reading";
/// }
///
/// let reading = Reading { sensor: "roof".into(), celsius: 21.5 };
/// let mut buffer = [0_u64; 8];
/// let length = Protobuf(&reading).encode(Layer::Full, buffer.as_mut_bytes())?;
/// let received = Protobuf::<Reading>::decode(Stable::new(&buffer.as_bytes()[..length])?, Layer::Full)?;
/// assert_eq!(received.0, reading);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Protobuf<T>(pub T);

impl<T> Deref for Protobuf<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: prost::Message + prost::Name + Default + 'static> Message for Protobuf<T> {
    const IDENTITY: Identity = identity("protobuf", T::PACKAGE, T::NAME);

    type View<'a> = Self;

    fn decode(bytes: Stable<'_>, _: impl Into<Format>) -> Result<Self, DecodeError> {
        // Its error is a box with a text and a path, made for people; there is nothing in it to match on.
        T::decode(bytes.bytes()).map(Self).map_err(|_| DecodeError::Malformed)
    }
}

impl<T: prost::Message + prost::Name + Default + 'static> Encode<Self> for Protobuf<T> {
    fn encoded_bound(&self, _: impl Into<Format>) -> usize {
        self.0.encoded_len()
    }

    fn encode(&self, _: impl Into<Format>, out: &mut [u8]) -> Result<usize, EncodeError> {
        write(&self.0, out)
    }
}

impl<T: prost::Message + prost::Name + Default + 'static> Encode<Protobuf<T>> for Protobuf<&T> {
    fn encoded_bound(&self, _: impl Into<Format>) -> usize {
        self.0.encoded_len()
    }

    fn encode(&self, _: impl Into<Format>, out: &mut [u8]) -> Result<usize, EncodeError> {
        write(self.0, out)
    }
}

fn write(value: &impl prost::Message, mut out: &mut [u8]) -> Result<usize, EncodeError> {
    let room = out.len();
    match value.encode(&mut out) {
        Ok(()) if room - out.len() <= LARGEST => Ok(room - out.len()),
        Ok(()) => Err(EncodeError::TooLarge),
        Err(error) => Err(EncodeError::BufferTooSmall { needed: error.required_capacity() }),
    }
}
