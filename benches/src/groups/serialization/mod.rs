//! Serialization: each layer beside other formats, and memory copied as the limit.
//!
//! Three messages: a tick of six fields (40 bytes of them), a cloud of 24 points (about 1 KiB) and one of 1 976 (about 64 KiB).
//! "write" fills memory that is there already; "check + read" checks as the format demands and then reads every field and byte;
//! "round trip" is write, the copy that a receiver makes of memory it does not trust, then check and read.

mod capnp_directly;
mod data;
mod derived;
#[allow(unsafe_code)] // the traits of FlatBuffers are unsafe to implement
mod flat;
mod layers;
mod protobuf;

use std::hint::black_box;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use feuerbird_serialization::{Layer, Shared};
use zerocopy::{FromBytes, IntoBytes};

use self::data::Digest;
use crate::case::{Case, Ours, Subject};
use crate::disturbance::Measured;
use crate::groups::operations::repeat;
use crate::link::LinkError;
use crate::row::{Target, Unit};

/// A format that carries a `T`.
trait Codec<T> {
    /// Writes at the start of `out`, which is large enough, and says how many bytes that are.
    fn write(&mut self, value: &T, out: &mut [u64]) -> Option<usize>;

    /// Checks what was written, then adds up every field.
    fn read(&mut self, bytes: &[u8]) -> Option<u64>;
}

/// What is done with a message.
#[derive(Clone, Copy, PartialEq)]
enum Step {
    Write,
    Read,
    RoundTrip,
}

impl Step {
    const ALL: [Self; 3] = [Self::Write, Self::Read, Self::RoundTrip];

    fn name(self) -> &'static str {
        match self {
            Self::Write => "write",
            Self::Read => "check + read",
            Self::RoundTrip => "round trip",
        }
    }
}

/// Every case of this group.
pub fn cases() -> Vec<Case> {
    let mut cases = vec![];
    for step in Step::ALL {
        cases.push(tick_case(step));
    }
    for (name, points) in [("cloud 1 KiB", 24), ("cloud 64 KiB", 1_976)] {
        cases.extend(Step::ALL.map(|step| cloud_case(name, points, step)));
    }
    cases
}

/// A constructor of a codec, so that each measurement has a fresh one.
type Make<C> = fn() -> C;

fn subject<T, C>(name: &str, step: Step, value: fn() -> T, make: Make<C>) -> Subject
where
    T: Digest + 'static,
    C: Codec<T> + 'static,
{
    Subject::new(name, move |_, budget| measure(step, &value(), make(), budget))
}

/// The most bytes that any of the formats needs for the largest message, in words.
const ROOM: usize = 1 << 15;

fn measure<T: Digest>(
    step: Step,
    value: &T,
    mut codec: impl Codec<T>,
    budget: Duration,
) -> Result<Measured, LinkError> {
    let mut shared = vec![0_u64; ROOM];
    let expected = value.digest();
    let length = codec.write(value, &mut shared).ok_or(LinkError::Altered)?;
    if codec.read(&shared.as_bytes()[..length]) != Some(expected) {
        return Err(LinkError::Altered);
    }
    let batch = if length < 4096 { 256 } else { 16 };
    match step {
        Step::Write => {
            repeat(budget, batch, || codec.write(black_box(value), black_box(&mut shared)) == Some(length))
        }
        Step::Read => {
            repeat(budget, batch, || codec.read(black_box(&shared.as_bytes()[..length])) == Some(expected))
        }
        Step::RoundTrip => round_trip(expected, value, codec, batch, budget),
    }
}

/// The memory in the middle is of atomic words, as memory that a peer may write must be: while it is written, no peer has it.
fn round_trip<T>(
    expected: u64,
    value: &T,
    mut codec: impl Codec<T>,
    batch: u32,
    budget: Duration,
) -> Result<Measured, LinkError> {
    let mut shared: Vec<AtomicU64> = (0..ROOM).map(|_| AtomicU64::new(0)).collect();
    let mut private = vec![0_u64; ROOM];
    repeat(budget, batch, || {
        let Ok(out) = <[u64]>::mut_from_bytes(shared.as_mut_bytes()) else { return false };
        let Some(length) = codec.write(black_box(value), black_box(out)) else { return false };
        let copied = Shared::new(black_box(&shared[..])).copy_into(length, private.as_mut_bytes());
        copied.is_ok_and(|stable| codec.read(black_box(stable.bytes())) == Some(expected))
    })
}

fn tick_case(step: Step) -> Case {
    let target = |round_trip| if step == Step::RoundTrip { Target::Value(round_trip) } else { Target::None };
    let ours = |name: &str, target, make: Make<layers::Layered>| Ours {
        subject: subject(name, step, data::tick, make),
        target,
    };
    Case {
        name: format!("tick, 6 fields, {}", step.name()),
        unit: Unit::Cycles,
        ours: vec![
            Ours {
                subject: subject("Raw, fixed struct", step, data::tick, || layers::Fixed),
                target: target(12.0),
            },
            ours("Raw", Target::None, || layers::Layered(Layer::Raw.format())),
            ours("Lite", target(60.0), || layers::Layered(layers::LITE_WITHOUT)),
            ours("Lite with crc32c", target(90.0), || layers::Layered(Layer::Lite.format())),
            ours("Full", target(200.0), || layers::Layered(Layer::Full.format())),
        ],
        limit: subject("the words copied", step, data::tick, || layers::Copied),
        rivals: vec![
            subject("capnp", step, data::tick, capnp_directly::Directly::default),
            subject("rkyv, checked", step, data::tick, || derived::Rkyv),
            subject("flatbuffers, verified", step, data::tick, flat::Flat::default),
            subject("prost", step, data::tick, || protobuf::Prost),
            subject("rmp-serde", step, data::tick, || derived::MessagePack),
            subject("postcard", step, data::tick, || derived::Postcard),
        ],
    }
}

fn cloud_case(name: &str, points: usize, step: Step) -> Case {
    let value = if points == 24 { || data::cloud(24) } else { || data::cloud(1_976) };
    let ours = |name: &str, make: Make<layers::Layered>| Ours {
        subject: subject(name, step, value, make),
        target: Target::None,
    };
    Case {
        name: format!("{name}, {}", step.name()),
        unit: Unit::Cycles,
        ours: vec![
            ours("Raw", || layers::Layered(Layer::Raw.format())),
            ours("Lite", || layers::Layered(layers::LITE_WITHOUT)),
            ours("Lite with crc32c", || layers::Layered(Layer::Lite.format())),
            ours("Full", || layers::Layered(Layer::Full.format())),
        ],
        limit: subject("the words copied", step, value, layers::CopiedWords::default),
        rivals: vec![
            subject("capnp", step, value, capnp_directly::Directly::default),
            subject("rkyv, checked", step, value, || derived::Rkyv),
            subject("flatbuffers, verified", step, value, flat::Flat::default),
            subject("prost", step, value, || protobuf::Prost),
            subject("rmp-serde", step, value, || derived::MessagePack),
            subject("postcard", step, value, || derived::Postcard),
        ],
    }
}
