//! The `capnp` crate's own types over a received message, for programs that have code for them.

use capnp::{
    message::{Reader, ReaderOptions, ReaderSegments, TypedReader},
    traits::{HasTypeId, Owned},
};

use crate::{Checks, DecodeError, Format, Framing, Message, Stable, wire::walk};

/// Every message of a schema, read through the types that the `capnp` crate's generator made of the same schema.
///
/// ```text
/// let message = SampleMessage::decode_capnp::<sample_capnp::sample::Owned>(bytes, Layer::Full)?;
/// let sample: sample_capnp::sample::Reader<'_> = message.expect("Full is Cap'n Proto").get()?;
/// ```
pub trait CapnpMessage: Message {
    /// Checks the message as [`decode`](Message::decode) does, then gives it to the `capnp` crate. `None` in Raw, whose bytes are no
    /// Cap'n Proto message; one with a Lite header is.
    ///
    /// What that crate's types visit, nobody bounds but the walk: here it runs also where the format asks for lengths alone.
    ///
    /// It does not compile where `T` is of another struct of the schema.
    ///
    /// # Errors
    /// What is wrong with the message.
    fn decode_capnp<T>(
        bytes: Stable<'_>,
        format: impl Into<Format>,
    ) -> Result<Option<TypedReader<CapnpSegments<'_>, T>>, DecodeError>
    where
        T: Owned,
        T::Reader<'static>: HasTypeId,
    {
        const {
            assert!(
                Self::IDENTITY.schema == <T::Reader<'static> as HasTypeId>::TYPE_ID,
                "the types of the capnp crate are those of another struct"
            );
        }
        let mut format = format.into();
        if format.framing != Framing::Bare {
            format.checks = format.checks.max(Checks::Pointers);
        }
        Self::decode(bytes, format)?;
        let framed = match format.framing {
            Framing::Bare => return Ok(None),
            // From its second word on, a message with a header is one in standard framing.
            Framing::Header => bytes.bytes().get(8..).ok_or(DecodeError::Truncated)?,
            Framing::Table => bytes.bytes(),
        };
        // The walk has bounded what can be visited; how often the program does so is its own affair.
        let mut options = ReaderOptions::new();
        options.nesting_limit(walk::DEPTH_LIMIT as i32).traversal_limit_in_words(None);
        Ok(Some(TypedReader::new(Reader::new(CapnpSegments { framed }, options))))
    }
}

impl<M: Message> CapnpMessage for M {}

/// The segments of a received message, as the `capnp` crate asks for them.
#[derive(Clone, Copy, Debug)]
pub struct CapnpSegments<'a> {
    /// A message in standard framing: how many segments less one, the words of each, all as `u32`, padding to a whole word, segments.
    framed: &'a [u8],
}

impl CapnpSegments<'_> {
    fn number(&self, index: usize) -> Option<usize> {
        let bytes = self.framed.get(index.checked_mul(4)?..)?.first_chunk::<4>()?;
        usize::try_from(u32::from_le_bytes(*bytes)).ok()
    }
}

impl ReaderSegments for CapnpSegments<'_> {
    fn get_segment(&self, index: u32) -> Option<&[u8]> {
        let (index, count) = (usize::try_from(index).ok()?, self.len());
        if index >= count {
            return None;
        }
        // Rounded up to an odd number of lengths, table and count together are whole words.
        let table = (count | 1).checked_add(1)?.checked_mul(4)?;
        let mut start = table;
        for before in 0..index {
            start = start.checked_add(self.number(before + 1)?.checked_mul(8)?)?;
        }
        self.framed.get(start..)?.get(..self.number(index + 1)?.checked_mul(8)?)
    }

    fn len(&self) -> usize {
        self.number(0).map_or(0, |less_one| less_one.saturating_add(1))
    }
}
