//! prost: Protocol Buffers, decoded into owned values.

use prost::Message;
use zerocopy::IntoBytes;

use super::{
    Codec,
    data::{self, sum_bytes, sum_point, sum_tick},
};

#[derive(Clone, PartialEq, Message)]
struct Tick {
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
struct Point {
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
struct Cloud {
    #[prost(string, tag = "1")]
    source: String,
    #[prost(uint64, tag = "2")]
    sequence: u64,
    #[prost(message, repeated, tag = "3")]
    points: Vec<Point>,
    #[prost(bytes = "vec", tag = "4")]
    colors: Vec<u8>,
}

/// The codec. Making prost's own value is part of writing: it is what a program that has other data does.
pub(super) struct Prost;

fn write(message: &impl Message, out: &mut [u64]) -> Option<usize> {
    let mut out = out.as_mut_bytes();
    message.encode(&mut out).ok()?;
    Some(message.encoded_len())
}

impl Codec<data::Tick> for Prost {
    fn write(&mut self, value: &data::Tick, out: &mut [u64]) -> Option<usize> {
        let data::Tick { id, time, price, size, kind, flags } = *value;
        write(&Tick { id, time, price, size, kind, flags }, out)
    }

    fn read(&mut self, bytes: &[u8]) -> Option<u64> {
        let Tick { id, time, price, size, kind, flags } = Tick::decode(bytes).ok()?;
        Some(sum_tick(id, time, price, size, kind, flags))
    }
}

impl Codec<data::Cloud> for Prost {
    fn write(&mut self, value: &data::Cloud, out: &mut [u64]) -> Option<usize> {
        let point = |&data::Point { x, y, z, id }: &data::Point| Point { x, y, z, id };
        let cloud = Cloud {
            source: value.source.clone(),
            sequence: value.sequence,
            points: value.points.iter().map(point).collect(),
            colors: value.colors.clone(),
        };
        write(&cloud, out)
    }

    fn read(&mut self, bytes: &[u8]) -> Option<u64> {
        let cloud = Cloud::decode(bytes).ok()?;
        let points = cloud.points.iter().map(|point| sum_point(point.x, point.y, point.z, point.id));
        let points = points.fold(0_u64, u64::wrapping_add);
        let rest = sum_bytes(cloud.source.as_bytes()).wrapping_add(sum_bytes(&cloud.colors));
        Some(cloud.sequence.wrapping_add(points).wrapping_add(rest))
    }
}
