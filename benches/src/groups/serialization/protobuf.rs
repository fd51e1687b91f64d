//! prost: Protocol Buffers, decoded into owned values.

use prost::{Message, Name};
use zerocopy::IntoBytes;

use super::{
    Codec,
    data::{self, sum_bytes, sum_point, sum_tick},
};

#[derive(Clone, PartialEq, Message)]
pub(super) struct Tick {
    #[prost(fixed64, tag = "1")]
    id: u64,
    #[prost(fixed64, tag = "2")]
    time: u64,
    #[prost(double, tag = "3")]
    price: f64,
    #[prost(double, tag = "4")]
    size: f64,
    #[prost(uint32, tag = "5")]
    kind: u32,
    #[prost(uint32, tag = "6")]
    flags: u32,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Point {
    #[prost(double, tag = "1")]
    x: f64,
    #[prost(double, tag = "2")]
    y: f64,
    #[prost(double, tag = "3")]
    z: f64,
    #[prost(uint64, tag = "4")]
    id: u64,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Cloud {
    #[prost(string, tag = "1")]
    source: String,
    #[prost(uint64, tag = "2")]
    sequence: u64,
    #[prost(message, repeated, tag = "3")]
    points: Vec<Point>,
    #[prost(bytes = "vec", tag = "4")]
    colors: Vec<u8>,
}

impl Name for Tick {
    const PACKAGE: &'static str = "bench";
    const NAME: &'static str = "Tick";
}

impl Name for Cloud {
    const PACKAGE: &'static str = "bench";
    const NAME: &'static str = "Cloud";
}

/// What prost has a message for.
pub(super) trait Proto {
    type Wire: Message + Name + Default + 'static;

    fn to_wire(&self) -> Self::Wire;

    fn sum(wire: &Self::Wire) -> u64;
}

impl Proto for data::Tick {
    type Wire = Tick;

    fn to_wire(&self) -> Tick {
        let Self { id, time, price, size, kind, flags } = *self;
        Tick { id, time, price, size, kind, flags }
    }

    fn sum(wire: &Tick) -> u64 {
        let Tick { id, time, price, size, kind, flags } = *wire;
        sum_tick(id, time, price, size, kind, flags)
    }
}

impl Proto for data::Cloud {
    type Wire = Cloud;

    fn to_wire(&self) -> Cloud {
        let point = |&data::Point { x, y, z, id }: &data::Point| Point { x, y, z, id };
        Cloud {
            source: self.source.clone(),
            sequence: self.sequence,
            points: self.points.iter().map(point).collect(),
            colors: self.colors.clone(),
        }
    }

    fn sum(wire: &Cloud) -> u64 {
        let points = wire.points.iter().map(|point| sum_point(point.x, point.y, point.z, point.id));
        let points = points.fold(0_u64, u64::wrapping_add);
        let rest = sum_bytes(wire.source.as_bytes()).wrapping_add(sum_bytes(&wire.colors));
        wire.sequence.wrapping_add(points).wrapping_add(rest)
    }
}

/// The codec. Making prost's own value is part of writing: it is what a program that has other data does.
pub(super) struct Prost;

impl<T: Proto> Codec<T> for Prost {
    type View<'a> = T::Wire;

    fn write(&mut self, value: &T, out: &mut [u64]) -> Option<usize> {
        let message = value.to_wire();
        let mut out = out.as_mut_bytes();
        message.encode(&mut out).ok()?;
        Some(message.encoded_len())
    }

    fn open<'a>(&'a mut self, bytes: &'a [u8]) -> Option<T::Wire> {
        T::Wire::decode(bytes).ok()
    }

    fn sum(wire: &T::Wire) -> Option<u64> {
        Some(T::sum(wire))
    }
}
