//! Messages that the `capnp` crate's own types have built, for programs that have code for them.

use capnp::{
    message::{Allocator, TypedBuilder},
    traits::{HasTypeId, Owned},
};

use crate::{
    DecodeError, Encode, EncodeError, Format, Framing, Message, SEGMENTS_LIMIT, frame,
    wire::{segments::Many, walk},
};

/// A builder of the `capnp` crate is sent as what it has built: in standard framing with all of its segments, behind a header if it is
/// one segment. Raw, whose bytes are in no framing of that crate, refuses it ([`EncodeError::Refused`]), and so does Lite where
/// there are more segments than one.
///
/// It does not compile where `T` is of another struct of the schema than the message. Before anything is written, the walk that
/// receivers make is made here, so that none of them takes this sender for an attacker.
///
/// ```text
/// let mut sample = TypedBuilder::<sample_capnp::sample::Owned>::new_default();
/// sample.init_root().set_sequence(1);
/// sender.send(&sample)?; // a `Sender<SampleMessage, _>`
/// ```
impl<M, T, A> Encode<M> for TypedBuilder<T, A>
where
    M: Message,
    T: Owned,
    T::Reader<'static>: HasTypeId,
    A: Allocator,
{
    fn encoded_bound(&self, format: impl Into<Format>) -> usize {
        let segments = &self.borrow_inner().get_segments_for_output();
        size(segments, format.into())
    }

    fn encode(&self, format: impl Into<Format>, out: &mut [u8]) -> Result<usize, EncodeError> {
        const {
            assert!(
                M::IDENTITY.schema == <T::Reader<'static> as HasTypeId>::TYPE_ID,
                "the types of the capnp crate are those of another struct"
            );
        }
        let (format, segments) = (format.into(), &self.borrow_inner().get_segments_for_output());
        let most = match format.framing {
            Framing::Bare => 0,
            Framing::Header => 1,
            Framing::Table => SEGMENTS_LIMIT,
        };
        if segments.is_empty() || segments.len() > most {
            return Err(EncodeError::Refused);
        }
        walk::check(Many(segments), format.capabilities).map_err(refusal)?;
        let needed = size(segments, format);
        let message = out.get_mut(..needed).ok_or(EncodeError::BufferTooSmall { needed })?;
        let framed = if format.framing == Framing::Header { &mut message[8..] } else { &mut *message };
        write(segments, framed)?;
        if format.framing == Framing::Header {
            frame::seal(format, message);
        }
        Ok(needed)
    }
}

/// How many bytes the segments take, with their table and a header.
fn size(segments: &[&[u8]], format: Format) -> usize {
    let header = if format.framing == Framing::Header { 8 } else { 0 };
    segments
        .iter()
        .fold(header + table_size(segments.len()), |sum, segment| sum.saturating_add(segment.len()))
}

/// Count and lengths, in whole words.
fn table_size(segments: usize) -> usize {
    (segments / 2 + 1) * 8
}

/// Writes a table and segments into exactly as many bytes as they take.
fn write(segments: &[&[u8]], framed: &mut [u8]) -> Result<(), EncodeError> {
    let number = |number: usize| u32::try_from(number).map_err(|_| EncodeError::TooLarge);
    let (table, mut body) = framed.split_at_mut(table_size(segments.len()));
    table.fill(0);
    let (entries, _) = table.as_chunks_mut::<4>();
    entries[0] = number(segments.len() - 1)?.to_le_bytes();
    for (entry, segment) in entries[1..].iter_mut().zip(segments) {
        *entry = number(segment.len() / 8)?.to_le_bytes();
        let place;
        (place, body) = body.split_at_mut(segment.len());
        place.copy_from_slice(segment);
    }
    Ok(())
}

/// What a receiver would say, as the sender's own mistake.
fn refusal(error: DecodeError) -> EncodeError {
    match error {
        DecodeError::TooDeep | DecodeError::Amplified => EncodeError::TooLarge,
        // Of a builder's pointers none but those of capabilities can be wrong.
        DecodeError::WrongPointer => EncodeError::NoCapability,
        _ => EncodeError::Refused,
    }
}
