//! The formats that derive from the Rust types: rkyv, MessagePack by rmp-serde, and postcard.

use rkyv::{rancor, ser::writer::Buffer};
use serde::{Serialize, de::DeserializeOwned};
use zerocopy::IntoBytes;

use super::{
    Codec,
    data::{ArchivedCloud, ArchivedTick, Cloud, Digest, Tick, sum_bytes, sum_point, sum_tick},
};

/// rkyv with `bytecheck`: read in place.
pub(super) struct Rkyv;

impl Codec<Tick> for Rkyv {
    type View<'a> = &'a ArchivedTick;

    fn write(&mut self, value: &Tick, out: &mut [u64]) -> Option<usize> {
        let out = Buffer::from(out.as_mut_bytes());
        Some(rkyv::api::high::to_bytes_in::<_, rancor::Error>(value, out).ok()?.len())
    }

    fn open<'a>(&'a mut self, bytes: &'a [u8]) -> Option<Self::View<'a>> {
        rkyv::access::<ArchivedTick, rancor::Error>(bytes).ok()
    }

    fn sum(tick: &Self::View<'_>) -> Option<u64> {
        let (price, size) = (tick.price.to_native(), tick.size.to_native());
        let (kind, flags) = (tick.kind.to_native(), tick.flags.to_native());
        Some(sum_tick(tick.id.to_native(), tick.time.to_native(), price, size, kind, flags))
    }
}

impl Codec<Cloud> for Rkyv {
    type View<'a> = &'a ArchivedCloud;

    fn write(&mut self, value: &Cloud, out: &mut [u64]) -> Option<usize> {
        let out = Buffer::from(out.as_mut_bytes());
        Some(rkyv::api::high::to_bytes_in::<_, rancor::Error>(value, out).ok()?.len())
    }

    fn open<'a>(&'a mut self, bytes: &'a [u8]) -> Option<Self::View<'a>> {
        rkyv::access::<ArchivedCloud, rancor::Error>(bytes).ok()
    }

    fn sum(cloud: &Self::View<'_>) -> Option<u64> {
        let points = cloud.points.iter().map(|point| {
            sum_point(point.x.to_native(), point.y.to_native(), point.z.to_native(), point.id.to_native())
        });
        let points = points.fold(0_u64, u64::wrapping_add);
        let rest = sum_bytes(cloud.source.as_bytes()).wrapping_add(sum_bytes(&cloud.colors));
        Some(cloud.sequence.to_native().wrapping_add(points).wrapping_add(rest))
    }
}

/// rmp-serde, decoded into owned values.
pub(super) struct MessagePack;

impl<T: Serialize + DeserializeOwned + Digest> Codec<T> for MessagePack {
    type View<'a> = T;

    fn write(&mut self, value: &T, out: &mut [u64]) -> Option<usize> {
        let all = out.as_mut_bytes();
        let room = all.len();
        let mut left = all;
        rmp_serde::encode::write(&mut left, value).ok()?;
        Some(room - left.len())
    }

    fn open<'a>(&'a mut self, bytes: &'a [u8]) -> Option<T> {
        rmp_serde::from_slice(bytes).ok()
    }

    fn sum(value: &T) -> Option<u64> {
        Some(value.digest())
    }
}

/// postcard, decoded into owned values.
pub(super) struct Postcard;

impl<T: Serialize + DeserializeOwned + Digest> Codec<T> for Postcard {
    type View<'a> = T;

    fn write(&mut self, value: &T, out: &mut [u64]) -> Option<usize> {
        Some(postcard::to_slice(value, out.as_mut_bytes()).ok()?.len())
    }

    fn open<'a>(&'a mut self, bytes: &'a [u8]) -> Option<T> {
        postcard::from_bytes(bytes).ok()
    }

    fn sum(value: &T) -> Option<u64> {
        Some(value.digest())
    }
}
