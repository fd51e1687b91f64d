//! MessagePack, by `rmp-serde`.
//!
//! A view is the value, which owns its memory. `rmp-serde` alone makes room for as many elements as a list says it has (up to 1 MiB
//! for 5 bytes), and follows nested enums as deep as they go. So an iterative walk over the whole message comes first: one value and
//! nothing behind it, every length and every count covered by bytes that are there, nesting up to [`DEPTH_LIMIT`]. After that
//! memory stays in proportion (the crate's table says which), and what can still be wrong are types.
//!
//! A struct is an array of its fields, as `rmp-serde` writes them; a map of names to fields is read too. Add fields at the end, with
//! `#[serde(default)]`.

mod walk;

use std::{io, ops::Deref};

use feuerbird_serialization::{DecodeError, Encode, EncodeError, Format, Identity, Message, Stable};
use rmp_serde::{decode, encode};
use serde::{Serialize, de::DeserializeOwned};

use crate::{Named, identity};

#[cfg(doc)]
use feuerbird_serialization::DEPTH_LIMIT;

/// The message that is a `T` in MessagePack, and a value of it.
///
/// `MessagePack<Reading>` is what a channel's type names and what arrives. `MessagePack(&reading)` can be sent as well, so that a
/// value is not moved for it. There is an example at the top of this crate.
///
/// # Cost
/// The value is gone through twice to send it: once to count, once to write. Neither allocates, unless the value's `Serialize` does,
/// or does not say how long a list is (`#[serde(flatten)]` for one).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct MessagePack<T>(pub T);

impl<T> Deref for MessagePack<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: Serialize + DeserializeOwned + Named + 'static> Message for MessagePack<T> {
    const IDENTITY: Identity = identity("messagepack", "", T::NAME);

    type View<'a> = Self;

    fn decode(bytes: Stable<'_>, _: impl Into<Format>) -> Result<Self, DecodeError> {
        walk::check(bytes.bytes())?;
        rmp_serde::from_slice(bytes.bytes()).map(Self).map_err(|error| refusal(&error))
    }
}

impl<T: Serialize + DeserializeOwned + Named + 'static> Encode<Self> for MessagePack<T> {
    fn encoded_bound(&self, _: impl Into<Format>) -> usize {
        count(&self.0)
    }

    fn encode(&self, _: impl Into<Format>, out: &mut [u8]) -> Result<usize, EncodeError> {
        write(&self.0, out)
    }
}

impl<T: Serialize + DeserializeOwned + Named + 'static> Encode<MessagePack<T>> for MessagePack<&T> {
    fn encoded_bound(&self, _: impl Into<Format>) -> usize {
        count(self.0)
    }

    fn encode(&self, _: impl Into<Format>, out: &mut [u8]) -> Result<usize, EncodeError> {
        write(self.0, out)
    }
}

/// How many bytes [`write`] writes, up to where the value refuses.
fn count(value: &impl Serialize) -> usize {
    let mut counter = Counter(0);
    // What the value refuses, it refuses again when it is written; that is where the error belongs.
    let _ = encode::write(&mut counter, value);
    counter.0
}

fn write(value: &impl Serialize, out: &mut [u8]) -> Result<usize, EncodeError> {
    let room = out.len();
    let mut rest = out;
    match encode::write(&mut rest, value) {
        Ok(()) => Ok(room - rest.len()),
        Err(encode::Error::InvalidValueWrite(_)) => Err(EncodeError::BufferTooSmall { needed: count(value) }),
        Err(encode::Error::DepthLimitExceeded) => Err(EncodeError::TooLarge),
        Err(_) => Err(EncodeError::Refused),
    }
}

/// Takes bytes and keeps their number.
struct Counter(usize);

impl io::Write for Counter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 = self.0.saturating_add(bytes.len());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn refusal(error: &decode::Error) -> DecodeError {
    use decode::Error as E;
    match error {
        E::InvalidMarkerRead(_) | E::InvalidDataRead(_) => DecodeError::Truncated,
        E::Utf8Error(_) => DecodeError::InvalidText,
        E::DepthLimitExceeded => DecodeError::TooDeep,
        E::TypeMismatch(_) | E::OutOfRange | E::LengthMismatch(_) | E::Uncategorized(_) | E::Syntax(_) => {
            DecodeError::WrongType
        }
    }
}
