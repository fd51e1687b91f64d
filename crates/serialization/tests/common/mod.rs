//! What the tests share: memory that starts at a multiple of 8, and the messages that the `capnp` crate makes.
#![allow(dead_code, unreachable_pub)]

use feuerbird_serialization::sample::{Sample, SampleMessage};
use feuerbird_serialization::{
    Checksum, DecodeError, Encode, EncodeError, Format, Layer, Message, Plain, PlainValue, Stable,
};
use zerocopy::IntoBytes;

/// Every format there is.
pub const FORMATS: [Format; 4] = [RAW, LITE, Layer::Lite.format(), FULL];

pub const RAW: Format = Layer::Raw.format();
pub const LITE: Format = Layer::Lite.format().with_checksum(Checksum::Off);
pub const FULL: Format = Layer::Full.format();

/// Decodes a sample, and gives it as a plain value.
pub fn decode(bytes: &[u8], format: impl Into<Format>) -> Result<Sample<'_>, DecodeError> {
    SampleMessage::decode(Stable::new(bytes)?, format).map(Sample::from)
}

/// Decodes a plain value.
pub fn decode_plain<T: PlainValue>(bytes: &[u8], format: impl Into<Format>) -> Result<T, DecodeError> {
    Plain::<T>::decode(Stable::new(bytes)?, format)
}

/// Encodes a sample.
pub fn encode(sample: &Sample<'_>, format: impl Into<Format>, out: &mut [u8]) -> Result<usize, EncodeError> {
    sample.encode(format, out)
}

/// Bytes that start at a multiple of 8.
#[derive(Clone, Default)]
pub struct Aligned {
    words: Vec<u64>,
    length: usize,
}

impl Aligned {
    pub fn new(bytes: &[u8]) -> Self {
        let mut words = vec![0_u64; bytes.len().div_ceil(8) + 1];
        words.as_mut_bytes()[..bytes.len()].copy_from_slice(bytes);
        Self { words, length: bytes.len() }
    }

    pub fn of_words(words: &[u64]) -> Self {
        Self::new(words.as_bytes())
    }

    pub fn bytes(&self) -> &[u8] {
        &self.words.as_bytes()[..self.length]
    }

    pub fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.words.as_mut_bytes()[..self.length]
    }
}

pub fn sample(payload: &[u8]) -> Sample<'_> {
    Sample {
        sequence: u64::MAX - 3,
        producer: 0x8765_4321,
        sent_at: 1 << 63,
        digest: 0xABCD_EF01_2345,
        payload,
    }
}

pub fn payload(length: usize) -> Vec<u8> {
    (0..length).map(|i| (i * 31 % 251) as u8 + 1).collect()
}

/// A sample in exactly the memory it needs.
pub fn encoded(view: &Sample<'_>, format: Format) -> Aligned {
    let mut out = Aligned::new(&vec![0xEE; view.encoded_bound(format)]);
    let length = encode(view, format, out.bytes_mut()).unwrap();
    assert_eq!(length, out.bytes().len(), "the bound is exact");
    out
}

/// A segment behind the header of a Lite message without a checksum.
pub fn lite_of(segment: &[u64]) -> Aligned {
    let mut words = vec![u64::from(b'L'), (segment.len() as u64) << 32];
    words.extend_from_slice(segment);
    Aligned::of_words(&words)
}

/// Segments in standard framing.
pub fn full_of(segments: &[&[u64]]) -> Aligned {
    let mut bytes = (segments.len() as u32 - 1).to_le_bytes().to_vec();
    for segment in segments {
        bytes.extend_from_slice(&(segment.len() as u32).to_le_bytes());
    }
    bytes.resize(bytes.len().next_multiple_of(8), 0);
    for segment in segments {
        bytes.extend_from_slice(segment.as_bytes());
    }
    Aligned::new(&bytes)
}

/// A root with the fields of a sample, whose second pointer, unknown here, is `pointer`, with `rest` behind it.
pub fn with_second_pointer(pointer: u64, rest: &[u64]) -> Vec<u64> {
    let mut segment = vec![to_struct(0, 4, 2), 1, 2, 3, 4, 0, pointer];
    segment.extend_from_slice(rest);
    segment
}

/// A pointer to a struct.
pub fn to_struct(offset: i32, data: u16, pointers: u16) -> u64 {
    u64::from((offset << 2) as u32) | u64::from(data) << 32 | u64::from(pointers) << 48
}

/// A pointer to a list.
pub fn to_list(offset: i32, element: u64, count: u64) -> u64 {
    u64::from((offset << 2) as u32) | 1 | element << 32 | count << 35
}

/// A far pointer.
pub fn to_far(segment: u32, at: u32, double: bool) -> u64 {
    2 | u64::from(double) << 2 | u64::from(at) << 3 | u64::from(segment) << 32
}

/// Says that something is not tested here. Where the variable says that nothing may be left out, as in `cargo xtask ci interop`, that
/// is a failure: a test that proves nothing must not look like one that does.
pub fn left_out(why: &str) {
    assert!(std::env::var_os("FEUERBIRD_DEMAND_PEERS").is_none(), "{why}");
    println!("not tested: {why}");
}

/// Whether the reference tool is here; says so where it is not.
pub fn has_capnp_tool() -> bool {
    let version = std::process::Command::new("capnp").arg("--version").output();
    let is_there = version.is_ok_and(|output| output.status.success());
    if !is_there {
        left_out("there is no `capnp` tool here (on Debian: apt-get install capnproto)");
    }
    is_there
}
