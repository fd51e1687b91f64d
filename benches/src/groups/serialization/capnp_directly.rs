//! The `capnp` crate as its users use it: a builder over memory that is reused, and standard framing. Its limit on traversal is off:
//! it counts every read of a message, and here one is read again and again.

use capnp::message::{Builder, Reader, ReaderOptions, SingleSegmentAllocator};
use capnp::serialize::NoAllocSliceSegments;
use zerocopy::IntoBytes;

use super::{
    Codec,
    data::{Cloud, Tick, sum_bytes, sum_point, sum_tick},
};
use crate::bench_capnp;

/// The codec, with the memory that it builds in; the crate wipes of it what a message has used.
pub(super) struct Directly(SingleSegmentAllocator<'static>);

impl Default for Directly {
    fn default() -> Self {
        // Kept for as long as the program runs: a few times a quarter of a megabyte.
        let memory = vec![0_u64; super::ROOM].leak();
        Self(SingleSegmentAllocator::new(memory.as_mut_bytes()))
    }
}

impl Directly {
    fn build(
        &mut self,
        out: &mut [u64],
        fill: impl FnOnce(&mut Builder<&mut SingleSegmentAllocator<'static>>),
    ) -> Option<usize> {
        let mut builder = Builder::new(&mut self.0);
        fill(&mut builder);
        let mut left = out.as_mut_bytes();
        let room = left.len();
        capnp::serialize::write_message(&mut left, &builder).ok()?;
        Some(room - left.len())
    }
}

/// Nothing is checked before a getter is called.
fn open<'a>(mut bytes: &'a [u8]) -> Option<Reader<NoAllocSliceSegments<'a>>> {
    let mut options = ReaderOptions::new();
    options.traversal_limit_in_words(None);
    capnp::serialize::read_message_from_flat_slice_no_alloc(&mut bytes, options).ok()
}

impl Codec<Tick> for Directly {
    type View<'a> = Reader<NoAllocSliceSegments<'a>>;

    fn write(&mut self, value: &Tick, out: &mut [u64]) -> Option<usize> {
        self.build(out, |builder| {
            let mut root: bench_capnp::tick::Builder<'_> = builder.init_root();
            root.set_id(value.id);
            root.set_time(value.time);
            root.set_price(value.price);
            root.set_size(value.size);
            root.set_kind(value.kind);
            root.set_flags(value.flags);
        })
    }

    fn open<'a>(&'a mut self, bytes: &'a [u8]) -> Option<Self::View<'a>> {
        open(bytes)
    }

    fn sum(reader: &Self::View<'_>) -> Option<u64> {
        let tick: bench_capnp::tick::Reader<'_> = reader.get_root().ok()?;
        let (price, size) = (tick.get_price(), tick.get_size());
        Some(sum_tick(tick.get_id(), tick.get_time(), price, size, tick.get_kind(), tick.get_flags()))
    }
}

impl Codec<Cloud> for Directly {
    type View<'a> = Reader<NoAllocSliceSegments<'a>>;

    fn write(&mut self, value: &Cloud, out: &mut [u64]) -> Option<usize> {
        let count = u32::try_from(value.points.len()).ok()?;
        self.build(out, |builder| {
            let mut root: bench_capnp::cloud::Builder<'_> = builder.init_root();
            root.set_source(&value.source[..]);
            root.set_sequence(value.sequence);
            let mut points = root.reborrow().init_points(count);
            for (index, point) in (0..count).zip(&value.points) {
                let mut place = points.reborrow().get(index);
                place.set_x(point.x);
                place.set_y(point.y);
                place.set_z(point.z);
                place.set_id(point.id);
            }
            root.set_colors(&value.colors);
        })
    }

    fn open<'a>(&'a mut self, bytes: &'a [u8]) -> Option<Self::View<'a>> {
        open(bytes)
    }

    fn sum(reader: &Self::View<'_>) -> Option<u64> {
        let cloud: bench_capnp::cloud::Reader<'_> = reader.get_root().ok()?;
        let sum = |point: bench_capnp::point::Reader<'_>| {
            sum_point(point.get_x(), point.get_y(), point.get_z(), point.get_id())
        };
        let points = cloud.get_points().ok()?.iter().map(sum).fold(0_u64, u64::wrapping_add);
        let source = cloud.get_source().ok()?.to_str().ok()?;
        let rest = sum_bytes(source.as_bytes()).wrapping_add(sum_bytes(cloud.get_colors().ok()?));
        Some(cloud.get_sequence().wrapping_add(points).wrapping_add(rest))
    }
}
