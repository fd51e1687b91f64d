//! One value in every format, so that each test runs on all of them.
#![allow(dead_code, clippy::unwrap_used)] // each test file uses its part; a test may unwrap

pub(crate) mod table;

use feuerbird_formats::{
    Named,
    flatbuffers::{Finished, FlatBuffer},
    messagepack::MessagePack,
    protobuf::Protobuf,
};
use feuerbird_serialization::{DecodeError, Encode, Identity, Layer, Message, Stable};
use flatbuffers::FlatBufferBuilder;
use table::{ReadingArgs, ReadingTable};

/// A value with a field of each kind, and one that nests.
#[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
pub(crate) struct Reading {
    #[prost(uint64, tag = "1")]
    pub(crate) sequence: u64,
    #[prost(string, tag = "2")]
    pub(crate) label: String,
    #[prost(bytes = "vec", tag = "3")]
    pub(crate) payload: Vec<u8>,
    #[prost(uint32, repeated, tag = "4")]
    pub(crate) samples: Vec<u32>,
    #[prost(message, optional, boxed, tag = "5")]
    pub(crate) next: Option<Box<Self>>,
}

impl prost::Name for Reading {
    const PACKAGE: &'static str = "test";
    const NAME: &'static str = "Reading";
}

impl Named for Reading {
    const NAME: &str = "test.Reading";
}

/// A value whose payload and samples have so many elements.
pub(crate) fn reading(elements: usize) -> Reading {
    Reading {
        sequence: 1 << 40,
        label: "käse".repeat(elements / 64 + 1),
        payload: (0..elements).map(|at| (at * 7) as u8).collect(),
        samples: (0..elements as u32).map(|at| at * 0x0101).collect(),
        next: Some(Box::new(Reading { sequence: 2, label: "inner".into(), ..Reading::default() })),
    }
}

/// The same, wrapped in so many others.
pub(crate) fn nested(depth: usize) -> Reading {
    (1..depth).fold(Reading { sequence: 9, ..Reading::default() }, |inner, _| Reading {
        next: Some(Box::new(inner)),
        ..Reading::default()
    })
}

/// Bytes that start at a multiple of 8.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Aligned {
    words: Vec<u64>,
    length: usize,
}

impl Aligned {
    pub(crate) fn new(bytes: &[u8]) -> Self {
        let mut aligned = Self { words: vec![0; bytes.len().div_ceil(8)], length: bytes.len() };
        aligned.bytes_mut().copy_from_slice(bytes);
        aligned
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &zerocopy::IntoBytes::as_bytes(&self.words[..])[..self.length]
    }

    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        &mut zerocopy::IntoBytes::as_mut_bytes(&mut self.words[..])[..self.length]
    }

    pub(crate) fn stable(&self) -> Stable<'_> {
        Stable::new(self.bytes()).unwrap()
    }
}

/// Encodes as a channel does: into as many bytes as the bound says, which is exact in these formats.
pub(crate) fn encode<M: Message>(value: &impl Encode<M>) -> Aligned {
    let bound = value.encoded_bound(Layer::Full);
    let mut out = Aligned::new(&vec![0xEE; bound]);
    assert_eq!(value.encode(Layer::Full, out.bytes_mut()), Ok(bound));
    out
}

/// A format, by what tests do with it.
pub(crate) trait Case: 'static {
    type Message: Message;
    const NAME: &str;

    fn encoded(reading: &Reading) -> Aligned;
    /// What the handler sees.
    fn read(view: &<Self::Message as Message>::View<'_>) -> Reading;
    /// Decodes without making a value of the view.
    fn check(bytes: &Aligned) -> Result<(), DecodeError> {
        Self::Message::decode(bytes.stable(), Layer::Full).map(drop)
    }
    fn decoded(bytes: &Aligned) -> Result<Reading, DecodeError> {
        Self::Message::decode(bytes.stable(), Layer::Full).map(|view| Self::read(&view))
    }
    fn identity() -> Identity {
        Self::Message::IDENTITY
    }
}

pub(crate) struct Prost;
pub(crate) struct Rmp;
pub(crate) struct Flat;

impl Case for Prost {
    type Message = Protobuf<Reading>;
    const NAME: &str = "protobuf";

    fn encoded(reading: &Reading) -> Aligned {
        encode(&Protobuf(reading))
    }

    fn read(view: &Protobuf<Reading>) -> Reading {
        view.0.clone()
    }
}

impl Case for Rmp {
    type Message = MessagePack<Reading>;
    const NAME: &str = "messagepack";

    fn encoded(reading: &Reading) -> Aligned {
        encode(&MessagePack(reading))
    }

    fn read(view: &MessagePack<Reading>) -> Reading {
        view.0.clone()
    }
}

/// The name of the table's message.
pub(crate) struct FlatReading;

impl Named for FlatReading {
    const NAME: &str = "test.Reading";
}

impl feuerbird_formats::flatbuffers::Table for FlatReading {
    type Root<'a> = ReadingTable<'a>;
}

impl Case for Flat {
    type Message = FlatBuffer<FlatReading>;
    const NAME: &str = "flatbuffers";

    fn encoded(reading: &Reading) -> Aligned {
        let mut builder = FlatBufferBuilder::new();
        encode(&built(&mut builder, reading))
    }

    fn read(view: &<Self::Message as Message>::View<'_>) -> Reading {
        from_table(view.root())
    }
}

/// The value in a builder, finished.
pub(crate) fn built<'b>(
    builder: &'b mut FlatBufferBuilder<'_>,
    reading: &Reading,
) -> Finished<'b, FlatReading> {
    let mut chain: Vec<_> = std::iter::successors(Some(reading), |one| one.next.as_deref()).collect();
    let mut next = None;
    while let Some(one) = chain.pop() {
        let args = ReadingArgs {
            sequence: one.sequence,
            label: (!one.label.is_empty()).then(|| builder.create_string(&one.label)),
            payload: (!one.payload.is_empty()).then(|| builder.create_vector(&one.payload)),
            samples: (!one.samples.is_empty()).then(|| builder.create_vector(&one.samples)),
            next,
        };
        next = Some(ReadingTable::create(builder, &args));
    }
    FlatBuffer::finish(builder, next.unwrap())
}

fn from_table(table: ReadingTable<'_>) -> Reading {
    Reading {
        sequence: table.sequence(),
        label: table.label().unwrap_or_default().into(),
        payload: table.payload().map(|bytes| bytes.bytes().to_vec()).unwrap_or_default(),
        samples: table.samples().map(|samples| samples.iter().collect()).unwrap_or_default(),
        next: table.next().map(|next| Box::new(from_table(next))),
    }
}

/// Runs a generic function for every format.
#[macro_export]
macro_rules! for_every_format {
    ($function:ident) => {
        $function::<$crate::common::Prost>();
        $function::<$crate::common::Rmp>();
        $function::<$crate::common::Flat>();
    };
}

/// Pseudo-random numbers, the same in every run (xorshift64, Marsaglia 2003).
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit.max(1) as u64) as usize
    }
}
