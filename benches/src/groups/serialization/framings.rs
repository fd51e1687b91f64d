//! Full in its other framings: more segments than one, and packed.

use feuerbird_serialization::{Encode, Layer, Message, Stable, pack, unpack};
use zerocopy::{FromBytes, IntoBytes};

use super::{
    Codec,
    data::{self, sum_tick},
    fixed::raw,
    layers::bench::{Tick, TickMessage, TickReader},
};

fn sum(view: &TickReader<'_>) -> u64 {
    sum_tick(view.id(), view.time(), view.price(), view.size(), view.kind(), view.flags())
}

/// In two segments, as implementations send it that had no room left in the first: there is nothing in that but a far pointer to the
/// landing pad in front of the struct. Laid out by hand, because the `capnp` crate makes more segments than one only with an allocation
/// for each message.
pub(super) struct Segments;

impl Codec<data::Tick> for Segments {
    type View<'a> = TickReader<'a>;

    fn write(&mut self, value: &data::Tick, out: &mut [u64]) -> Option<usize> {
        let fields = <[u64; 5]>::read_from_bytes(raw(value).as_bytes()).ok()?;
        // One segment more than one, of one word and of six; a far pointer to the second; a struct of five words behind its pad.
        let words = [1 | 1 << 32, 6, 2 | 1 << 32, 5 << 32];
        let (head, rest) = out.split_first_chunk_mut()?;
        *head = words;
        *rest.first_chunk_mut()? = fields;
        Some((words.len() + fields.len()) * 8)
    }

    fn open<'a>(&'a mut self, bytes: &'a [u8]) -> Option<TickReader<'a>> {
        TickMessage::decode(Stable::new(bytes).ok()?, Layer::Full).ok()
    }

    fn sum(view: &TickReader<'_>) -> Option<u64> {
        Some(sum(view))
    }
}

/// In one segment, packed.
#[derive(Default)]
pub(super) struct Packed([u64; 16]);

impl Codec<data::Tick> for Packed {
    type View<'a> = TickReader<'a>;

    fn write(&mut self, value: &data::Tick, out: &mut [u64]) -> Option<usize> {
        let data::Tick { id, time, price, size, kind, flags } = *value;
        let tick = Tick { id, time, price, size, kind, flags };
        let length = tick.encode(Layer::Full, self.0.as_mut_bytes()).ok()?;
        pack(&self.0.as_bytes()[..length], out.as_mut_bytes()).ok()
    }

    fn open<'a>(&'a mut self, bytes: &'a [u8]) -> Option<TickReader<'a>> {
        let length = unpack(bytes, self.0.as_mut_bytes()).ok()?;
        TickMessage::decode(Stable::new(&self.0.as_bytes()[..length]).ok()?, Layer::Full).ok()
    }

    fn sum(view: &TickReader<'_>) -> Option<u64> {
        Some(sum(view))
    }
}
