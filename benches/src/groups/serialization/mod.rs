//! Serialization: each layer beside other formats, and memory copied as the limit.
//!
//! Four messages: a tick of six fields (64 bytes with the header and root pointer of Lite), and clouds, which have a text, a list of structs
//! and bytes, of 64 bytes, about 1 KiB and about 64 KiB. "write" fills memory that is there already; "open + check" is all that a
//! receiver does before it reads; "read all" reads every field and byte of what was opened; "round trip" is write, the copy that a
//! receiver makes of memory it does not trust, then open, check and read all. Formats that decode into values do their reading when
//! they open. The limit is memcpy of the message's words, and for the steps that read, adding up those words.

mod capnp_directly;
mod data;
mod derived;
mod fixed;
#[allow(unsafe_code)] // the traits of FlatBuffers are unsafe to implement
mod flat;
mod framings;
mod layers;
mod protobuf;
mod wrapped;

use std::hint::black_box;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use feuerbird_hosted::os::memory::WriterMemory;
use feuerbird_serialization::{Layer, Shared};
use feuerbird_zero_copy::{Region, WriteRegion};
use zerocopy::{FromBytes, IntoBytes};

use self::data::{Cloud, Digest, Tick};
use crate::case::{Case, Ours, Subject};
use crate::disturbance::Measured;
use crate::groups::operations::repeat;
use crate::link::LinkError;
use crate::row::{Target, Unit};

/// A format that carries a `T`.
trait Codec<T> {
    /// What has been opened.
    type View<'a>;

    /// Writes at the start of `out`, which is large enough, and says how many bytes that are.
    fn write(&mut self, value: &T, out: &mut [u64]) -> Option<usize>;

    /// Checks what was written, as the format demands.
    fn open<'a>(&'a mut self, bytes: &'a [u8]) -> Option<Self::View<'a>>;

    /// Adds up every field and byte.
    fn sum(view: &Self::View<'_>) -> Option<u64>;

    /// Both, one behind the other.
    #[inline]
    fn read(&mut self, bytes: &[u8]) -> Option<u64> {
        Self::sum(&self.open(bytes)?)
    }
}

/// What is done with a message.
#[derive(Clone, Copy, PartialEq)]
enum Step {
    Write,
    Open,
    Read,
    RoundTrip,
    /// Copied out of memory that a peer may write, as between processes, then opened: what a receiver pays before it knows anything.
    Receive,
}

impl Step {
    const ALL: [Self; 4] = [Self::Write, Self::Open, Self::Read, Self::RoundTrip];

    fn name(self) -> &'static str {
        match self {
            Self::Write => "write",
            Self::Open => "open + check",
            Self::Read => "read all",
            Self::RoundTrip => "round trip",
            Self::Receive => "copy in + check",
        }
    }

    /// What the limit does: nothing has to be checked in memory that is only copied.
    fn of_limit(self) -> Self {
        if matches!(self, Self::Open | Self::Receive) { Self::Write } else { self }
    }
}

/// Every case of this group.
pub fn cases() -> Vec<Case> {
    let ticks = Step::ALL.map(tick_case);
    let clouds = [
        ("cloud 64 B", data::cloud_of_64_bytes as fn() -> Cloud),
        ("cloud 1 KiB", || data::cloud(24)),
        ("cloud 64 KiB", || data::cloud(1_976)),
    ];
    let clouds = clouds.into_iter().flat_map(|(name, value)| {
        let steps = Step::ALL.into_iter().chain((name == "cloud 64 KiB").then_some(Step::Receive));
        steps.map(move |step| cloud_case(name, value, step)).collect::<Vec<_>>()
    });
    ticks.into_iter().chain(clouds).collect()
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

fn measure<T: Digest, C: Codec<T>>(
    step: Step,
    value: &T,
    mut codec: C,
    budget: Duration,
) -> Result<Measured, LinkError> {
    let mut shared = vec![0_u64; ROOM];
    let expected = value.digest();
    let length = codec.write(value, &mut shared).ok_or(LinkError::Altered)?;
    if codec.read(&shared.as_bytes()[..length]) != Some(expected) {
        return Err(LinkError::Altered);
    }
    let batch = if length < 4096 { 256 } else { 16 };
    let bytes = &shared.as_bytes()[..length];
    match step {
        Step::Write => {
            repeat(budget, batch, || codec.write(black_box(value), black_box(&mut shared)) == Some(length))
        }
        Step::Open => repeat(budget, batch, || black_box(codec.open(black_box(bytes))).is_some()),
        Step::Read => read(expected, &mut codec, bytes, batch, budget),
        Step::RoundTrip => round_trip(expected, value, codec, batch, budget),
        Step::Receive => receive(codec, bytes, batch, budget),
    }
}

fn read<T, C: Codec<T>>(
    expected: u64,
    codec: &mut C,
    bytes: &[u8],
    batch: u32,
    budget: Duration,
) -> Result<Measured, LinkError> {
    let view = codec.open(bytes).ok_or(LinkError::Altered)?;
    repeat(budget, batch, || C::sum(black_box(&view)) == Some(expected))
}

fn receive<T>(
    mut codec: impl Codec<T>,
    bytes: &[u8],
    batch: u32,
    budget: Duration,
) -> Result<Measured, LinkError> {
    let (memory, _) = WriterMemory::create("bench-message", ROOM * 8)?;
    memory.copy_in(0, bytes);
    let mut private = vec![0_u64; ROOM];
    repeat(budget, batch, || {
        let private = &mut private.as_mut_bytes()[..bytes.len()];
        black_box(&memory).copy_out(0, private);
        black_box(codec.open(black_box(private))).is_some()
    })
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
    let layer = |name: &str, target, make: Make<layers::Layered>| Ours {
        subject: subject(name, step, data::tick, make),
        target,
    };
    let mut ours = vec![
        Ours {
            subject: subject("Raw, fixed struct", step, data::tick, || fixed::Fixed),
            target: target(12.0),
        },
        layer("Raw", Target::None, || layers::Layered(Layer::Raw.format())),
        layer("Lite", target(60.0), || layers::Layered(layers::LITE_WITHOUT)),
        layer("Lite with crc32c", target(90.0), || layers::Layered(Layer::Lite.format())),
        layer("Full", target(200.0), || layers::Layered(Layer::Full.format())),
        Ours {
            subject: subject("Full, two segments", step, data::tick, || framings::Segments),
            target: target(450.0),
        },
        Ours {
            subject: subject("Full, packed", step, data::tick, framings::Packed::default),
            target: target(450.0),
        },
    ];
    ours.extend(wrapped(step, data::tick));
    Case {
        name: format!("tick, 6 fields, {}", step.name()),
        unit: Unit::Cycles,
        ours,
        limit: subject("memcpy", step.of_limit(), data::tick, fixed::Memcpy::default),
        rivals: std::iter::once(subject("zerocopy directly", step, data::tick, || fixed::Zerocopy))
            .chain(rivals::<Tick>(step, data::tick))
            .collect(),
    }
}

fn cloud_case(name: &str, value: fn() -> Cloud, step: Step) -> Case {
    let layer = |name: &str, target, make: Make<layers::Layered>| Ours {
        subject: subject(name, step, value, make),
        target,
    };
    let target = if step == Step::Receive { Target::Value(4_500.0) } else { Target::None };
    let mut ours = vec![
        layer("Raw", Target::None, || layers::Layered(Layer::Raw.format())),
        layer("Lite", target, || layers::Layered(layers::LITE_WITHOUT)),
        layer("Lite with crc32c", Target::None, || layers::Layered(Layer::Lite.format())),
        layer("Full", Target::None, || layers::Layered(Layer::Full.format())),
    ];
    ours.extend(wrapped(step, value));
    Case {
        name: format!("{name}, {}", step.name()),
        unit: Unit::Cycles,
        ours,
        limit: subject("memcpy", step.of_limit(), value, fixed::Memcpy::default),
        rivals: rivals::<Cloud>(step, value),
    }
}

/// The other formats as channels carry them.
fn wrapped<T>(step: Step, value: fn() -> T) -> [Ours; 3]
where
    T: Digest + 'static,
    wrapped::Rmp: Codec<T>,
    wrapped::Prost: Codec<T>,
    flat::Wrapped: Codec<T>,
{
    [
        subject("MessagePack", step, value, || wrapped::Rmp),
        subject("Protobuf", step, value, || wrapped::Prost),
        subject("FlatBuffer", step, value, flat::Wrapped::default),
    ]
    .map(|subject| Ours { subject, target: Target::None })
}

fn rivals<T>(step: Step, value: fn() -> T) -> Vec<Subject>
where
    T: Digest + 'static,
    capnp_directly::Directly: Codec<T>,
    derived::Rkyv: Codec<T>,
    flat::Flat: Codec<T>,
    protobuf::Prost: Codec<T>,
    derived::MessagePack: Codec<T>,
    derived::Postcard: Codec<T>,
{
    vec![
        subject("capnp directly", step, value, capnp_directly::Directly::default),
        subject("rkyv, checked", step, value, || derived::Rkyv),
        subject("flatbuffers, verified", step, value, flat::Flat::default),
        subject("prost", step, value, || protobuf::Prost),
        subject("rmp-serde", step, value, || derived::MessagePack),
        subject("postcard", step, value, || derived::Postcard),
    ]
}
