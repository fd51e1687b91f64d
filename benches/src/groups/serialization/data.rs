//! What is sent: a small message of fixed size, and one that grows with its points.

use feuerbird_formats::Named;
use rkyv::{Archive, Serialize as RkyvSerialize};
use serde::{Deserialize, Serialize};

/// A small message: six fields, 40 bytes, which are 64 with the header and the root pointer of Lite.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, Archive, RkyvSerialize)]
pub(super) struct Tick {
    pub id: u64,
    pub time: u64,
    pub price: f64,
    pub size: f64,
    pub kind: u32,
    pub flags: u32,
}

/// An element of a [`Cloud`]: 32 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, Archive, RkyvSerialize)]
pub(super) struct Point {
    pub x: f64,
    pub y: f64,
    pub z: f64,
    pub id: u64,
}

/// A message with a text, a list of structs and bytes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Archive, RkyvSerialize)]
pub(super) struct Cloud {
    pub source: String,
    pub sequence: u64,
    pub points: Vec<Point>,
    pub colors: Vec<u8>,
}

/// Something whose every field and byte is added up, so that a reader proves that it has read all.
pub(super) trait Digest {
    /// The sum, wrapping.
    fn digest(&self) -> u64;
}

/// Adds up bytes, eight at a time.
pub(super) fn sum_bytes(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<8>();
    let sum = words.iter().fold(0_u64, |sum, word| sum.wrapping_add(u64::from_le_bytes(*word)));
    rest.iter().fold(sum, |sum, byte| sum.wrapping_add(u64::from(*byte)))
}

/// Adds up the fields of a tick.
#[inline(always)]
pub(super) fn sum_tick(id: u64, time: u64, price: f64, size: f64, kind: u32, flags: u32) -> u64 {
    [time, price.to_bits(), size.to_bits(), kind.into(), flags.into()].into_iter().fold(id, u64::wrapping_add)
}

/// Adds up the fields of a point.
#[inline(always)]
pub(super) fn sum_point(x: f64, y: f64, z: f64, id: u64) -> u64 {
    [y.to_bits(), z.to_bits(), id].into_iter().fold(x.to_bits(), u64::wrapping_add)
}

impl Named for Tick {
    const NAME: &str = "bench.Tick";
}

impl Named for Cloud {
    const NAME: &str = "bench.Cloud";
}

impl Digest for Tick {
    fn digest(&self) -> u64 {
        sum_tick(self.id, self.time, self.price, self.size, self.kind, self.flags)
    }
}

impl Digest for Cloud {
    fn digest(&self) -> u64 {
        let points = self.points.iter().map(|point| sum_point(point.x, point.y, point.z, point.id));
        let points = points.fold(0_u64, u64::wrapping_add);
        [sum_bytes(self.source.as_bytes()), points, sum_bytes(&self.colors)]
            .into_iter()
            .fold(self.sequence, u64::wrapping_add)
    }
}

/// The small message.
pub(super) fn tick() -> Tick {
    Tick { id: 7, time: 1_700_000_000_000_000_000, price: 101.25, size: 300.0, kind: 3, flags: 0x11 }
}

/// A message with a text, a list and bytes whose content is 64 bytes: eight of text, a number, one point, sixteen of colors.
pub(super) fn cloud_of_64_bytes() -> Cloud {
    let Cloud { sequence, points, .. } = cloud(1);
    Cloud { source: "scanner1".to_owned(), sequence, points, colors: (1..=16).collect() }
}

/// A cloud of so many points, a multiple of 8; 24 make about 1 KiB, 1 976 about 64 KiB.
pub(super) fn cloud(points: usize) -> Cloud {
    let point = |index: usize| {
        let at = index as f64;
        Point { x: at, y: at * 0.5, z: at * 0.25, id: index as u64 * 31 }
    };
    Cloud {
        source: "front left scanner, second floor".to_owned(),
        sequence: 42,
        points: (0..points).map(point).collect(),
        colors: (0..points).map(|index| (index % 251) as u8).collect(),
    }
}
