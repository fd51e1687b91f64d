//! Fixed structs: ours as its own bytes, `zerocopy` alone, and the limit, words copied.

use feuerbird_serialization::{Encode, Layer, Message, Stable};
use zerocopy::{FromBytes, IntoBytes};

use super::{
    Codec,
    data::{self, sum_tick},
    layers::bench::{TickMessage, TickRaw},
};

/// The tick as its own bytes, in a layer that is known when the program is compiled: what a channel between two parts of the
/// trusted base does.
pub(super) struct Fixed;

/// The tick as its bytes lie in a message.
pub(super) fn raw(value: &data::Tick) -> TickRaw {
    let data::Tick { id, time, price, size, kind, flags } = *value;
    TickRaw { id, time, price, size, kind, flags }
}

#[inline(always)]
fn sum(tick: &TickRaw) -> u64 {
    sum_tick(tick.id, tick.time, tick.price, tick.size, tick.kind, tick.flags)
}

impl Codec<data::Tick> for Fixed {
    type View<'a> = &'a TickRaw;

    #[inline]
    fn write(&mut self, value: &data::Tick, out: &mut [u64]) -> Option<usize> {
        raw(value).encode(Layer::Raw, out.as_mut_bytes()).ok()
    }

    #[inline]
    fn open<'a>(&'a mut self, bytes: &'a [u8]) -> Option<&'a TickRaw> {
        TickMessage::decode(Stable::new(bytes).ok()?, Layer::Raw).ok()?.as_raw()
    }

    #[inline]
    fn sum(tick: &&TickRaw) -> Option<u64> {
        Some(sum(tick))
    }
}

/// The same by `zerocopy` and nothing of ours.
pub(super) struct Zerocopy;

impl Codec<data::Tick> for Zerocopy {
    type View<'a> = &'a TickRaw;

    #[inline]
    fn write(&mut self, value: &data::Tick, out: &mut [u64]) -> Option<usize> {
        out.as_mut_bytes().get_mut(..size_of::<TickRaw>())?.copy_from_slice(raw(value).as_bytes());
        Some(size_of::<TickRaw>())
    }

    #[inline]
    fn open<'a>(&'a mut self, bytes: &'a [u8]) -> Option<&'a TickRaw> {
        TickRaw::ref_from_bytes(bytes).ok()
    }

    #[inline]
    fn sum(tick: &&TickRaw) -> Option<u64> {
        Some(sum(tick))
    }
}

/// What is laid out as words before anything is measured.
pub(super) trait Words {
    /// The words whose sum is the [digest](data::Digest), but for how fields smaller than a word lie.
    fn words(&self) -> Vec<u64>;
}

impl Words for data::Tick {
    fn words(&self) -> Vec<u64> {
        let Self { id, time, price, size, kind, flags } = *self;
        vec![id, time, price.to_bits(), size.to_bits(), u64::from(kind) + u64::from(flags)]
    }
}

impl Words for data::Cloud {
    fn words(&self) -> Vec<u64> {
        let points = self.points.iter().flat_map(|p| [p.x.to_bits(), p.y.to_bits(), p.z.to_bits(), p.id]);
        let bytes = self.source.bytes().chain(self.colors.iter().copied()).collect::<Vec<u8>>();
        let words = bytes.as_chunks::<8>().0.iter().map(|word| u64::from_le_bytes(*word));
        std::iter::once(self.sequence).chain(points).chain(words).collect()
    }
}

/// The limit: the value's words, laid out before, copied, and read without any check.
#[derive(Default)]
pub(super) struct Memcpy(Vec<u64>);

impl<T: Words> Codec<T> for Memcpy {
    type View<'a> = &'a [u64];

    #[inline]
    fn write(&mut self, value: &T, out: &mut [u64]) -> Option<usize> {
        if self.0.is_empty() {
            self.0 = value.words();
        }
        out.get_mut(..self.0.len())?.copy_from_slice(&self.0);
        Some(self.0.len() * 8)
    }

    #[inline]
    fn open<'a>(&'a mut self, bytes: &'a [u8]) -> Option<&'a [u64]> {
        <[u64]>::ref_from_bytes(bytes).ok()
    }

    #[inline]
    fn sum(words: &&[u64]) -> Option<u64> {
        Some(words.iter().fold(0_u64, |sum, word| sum.wrapping_add(*word)))
    }
}
