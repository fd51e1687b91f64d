//! Ours, in each layer, and the limit: the same words copied.

use feuerbird_serialization::{Checksum, Encode, Format, Layer, Message, Stable};
use zerocopy::{FromBytes, IntoBytes};

use super::{
    Codec,
    data::{self, sum_bytes, sum_point, sum_tick},
};

/// Made from `schemas/bench.capnp`.
#[allow(missing_docs, dead_code, unreachable_pub, clippy::all)]
mod bench {
    include!(concat!(env!("OUT_DIR"), "/bench.rs"));
}

use bench::{CloudMessage, CloudReader, Point, Tick, TickMessage, TickRaw, TickReader};

/// Lite without its checksum.
pub(super) const LITE_WITHOUT: Format = Layer::Lite.format().with_checksum(Checksum::Off);

/// A message in one of the layers.
pub(super) struct Layered(pub(super) Format);

#[inline(always)]
fn sum(view: &TickReader<'_>) -> u64 {
    sum_tick(view.id(), view.time(), view.price(), view.size(), view.kind(), view.flags())
}

impl Codec<data::Tick> for Layered {
    #[inline]
    fn write(&mut self, value: &data::Tick, out: &mut [u64]) -> Option<usize> {
        let data::Tick { id, time, price, size, kind, flags } = *value;
        Tick { id, time, price, size, kind, flags }.encode(self.0, out.as_mut_bytes()).ok()
    }

    #[inline]
    fn read(&mut self, bytes: &[u8]) -> Option<u64> {
        let view = TickMessage::decode(Stable::new(bytes).ok()?, self.0).ok()?;
        Some(sum(&view))
    }
}

impl Codec<data::Cloud> for Layered {
    fn write(&mut self, value: &data::Cloud, out: &mut [u64]) -> Option<usize> {
        // In place, point by point: a program that has other data than ours would do the same.
        let below = value.source.len() / 8 + 1 + 1 + value.points.len() * 4 + value.colors.len().div_ceil(8);
        let written = CloudMessage::build(self.0, below, out.as_mut_bytes(), |mut cloud| {
            cloud.set_sequence(value.sequence);
            cloud.set_source(&value.source)?;
            cloud.set_points_from(value.points.len(), |index| {
                let data::Point { x, y, z, id } = value.points[index];
                Point { x, y, z, id }
            })?;
            cloud.set_colors(&value.colors)
        });
        written.ok()
    }

    fn read(&mut self, bytes: &[u8]) -> Option<u64> {
        let view = CloudMessage::decode(Stable::new(bytes).ok()?, self.0).ok()?;
        Some(sum_cloud(&view))
    }
}

fn sum_cloud(view: &CloudReader<'_>) -> u64 {
    let point = |point: bench::PointReader<'_>| sum_point(point.x(), point.y(), point.z(), point.id());
    let points = view.points().iter().map(point).fold(0_u64, u64::wrapping_add);
    [sum_bytes(view.source().as_bytes()), points, sum_bytes(view.colors())]
        .into_iter()
        .fold(view.sequence(), u64::wrapping_add)
}

/// The tick as its own bytes, in a layer that is known when the program is compiled: what a channel between two parts of the
/// trusted base does.
pub(super) struct Fixed;

impl Codec<data::Tick> for Fixed {
    #[inline]
    fn write(&mut self, value: &data::Tick, out: &mut [u64]) -> Option<usize> {
        let data::Tick { id, time, price, size, kind, flags } = *value;
        TickRaw { id, time, price, size, kind, flags }.encode(Layer::Raw, out.as_mut_bytes()).ok()
    }

    #[inline]
    fn read(&mut self, bytes: &[u8]) -> Option<u64> {
        let view = TickMessage::decode(Stable::new(bytes).ok()?, Layer::Raw).ok()?;
        let tick = view.as_raw()?;
        Some(sum_tick(tick.id, tick.time, tick.price, tick.size, tick.kind, tick.flags))
    }
}

/// The limit for the tick: its words copied, and read without any check.
pub(super) struct Copied;

/// The limit for the cloud: its words, laid out before, copied, and read without any check.
#[derive(Default)]
pub(super) struct CopiedWords(Vec<u64>);

impl Codec<data::Tick> for Copied {
    #[inline]
    fn write(&mut self, value: &data::Tick, out: &mut [u64]) -> Option<usize> {
        let data::Tick { id, time, price, size, kind, flags } = *value;
        let tick = TickRaw { id, time, price, size, kind, flags };
        out.as_mut_bytes().get_mut(..size_of::<TickRaw>())?.copy_from_slice(tick.as_bytes());
        Some(size_of::<TickRaw>())
    }

    #[inline]
    fn read(&mut self, bytes: &[u8]) -> Option<u64> {
        let tick = TickRaw::ref_from_bytes(bytes).ok()?;
        Some(sum_tick(tick.id, tick.time, tick.price, tick.size, tick.kind, tick.flags))
    }
}

impl Codec<data::Cloud> for CopiedWords {
    fn write(&mut self, value: &data::Cloud, out: &mut [u64]) -> Option<usize> {
        if self.0.is_empty() {
            let points =
                value.points.iter().flat_map(|p| [p.x.to_bits(), p.y.to_bits(), p.z.to_bits(), p.id]);
            let bytes = value.source.bytes().chain(value.colors.iter().copied()).collect::<Vec<u8>>();
            let words = bytes.as_chunks::<8>().0.iter().map(|word| u64::from_le_bytes(*word));
            self.0 = std::iter::once(value.sequence).chain(points).chain(words).collect();
        }
        out.get_mut(..self.0.len())?.copy_from_slice(&self.0);
        Some(self.0.len() * 8)
    }

    fn read(&mut self, bytes: &[u8]) -> Option<u64> {
        let words = <[u64]>::ref_from_bytes(bytes).ok()?;
        Some(words.iter().fold(0_u64, |sum, word| sum.wrapping_add(*word)))
    }
}
