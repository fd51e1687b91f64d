//! Ours, in each layer.

use feuerbird_serialization::{Checksum, Encode, Format, Layer, Message, Stable};
use zerocopy::IntoBytes;

use super::{
    Codec,
    data::{self, sum_bytes, sum_point, sum_tick},
};

/// Made from `schemas/bench.capnp`.
#[allow(missing_docs, dead_code, unreachable_pub, clippy::all)]
pub(super) mod bench {
    include!(concat!(env!("OUT_DIR"), "/bench.rs"));
}

use bench::{CloudMessage, CloudReader, Point, Tick, TickMessage, TickReader};

/// Lite without its checksum.
pub(super) const LITE_WITHOUT: Format = Layer::Lite.format().with_checksum(Checksum::Off);

/// A message in one of the layers.
pub(super) struct Layered(pub(super) Format);

#[inline(always)]
fn sum(view: &TickReader<'_>) -> u64 {
    sum_tick(view.id(), view.time(), view.price(), view.size(), view.kind(), view.flags())
}

impl Codec<data::Tick> for Layered {
    type View<'a> = TickReader<'a>;

    #[inline]
    fn write(&mut self, value: &data::Tick, out: &mut [u64]) -> Option<usize> {
        let data::Tick { id, time, price, size, kind, flags } = *value;
        let tick = Tick { id, time, price, size, kind, flags };
        self.0.known(|format| tick.encode(format, out.as_mut_bytes())).ok()
    }

    #[inline]
    fn open<'a>(&'a mut self, bytes: &'a [u8]) -> Option<TickReader<'a>> {
        TickMessage::decode(Stable::new(bytes).ok()?, self.0).ok()
    }

    #[inline]
    fn sum(view: &TickReader<'_>) -> Option<u64> {
        Some(sum(view))
    }

    /// As a channel does it: one look at the format, then code of its own for each.
    #[inline]
    fn read(&mut self, bytes: &[u8]) -> Option<u64> {
        let bytes = Stable::new(bytes).ok()?;
        self.0.known(|format| TickMessage::decode(bytes, format).ok().map(|view| sum(&view)))
    }
}

impl Codec<data::Cloud> for Layered {
    type View<'a> = CloudReader<'a>;

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

    fn open<'a>(&'a mut self, bytes: &'a [u8]) -> Option<CloudReader<'a>> {
        CloudMessage::decode(Stable::new(bytes).ok()?, self.0).ok()
    }

    fn sum(view: &CloudReader<'_>) -> Option<u64> {
        Some(sum_cloud(view))
    }
}

fn sum_cloud(view: &CloudReader<'_>) -> u64 {
    let point = |point: bench::PointReader<'_>| sum_point(point.x(), point.y(), point.z(), point.id());
    let points = view.points().iter().map(point).fold(0_u64, u64::wrapping_add);
    [sum_bytes(view.source().as_bytes()), points, sum_bytes(view.colors())]
        .into_iter()
        .fold(view.sequence(), u64::wrapping_add)
}
