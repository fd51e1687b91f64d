//! Single operations in one thread: capability lookup, a message in each layer.

use std::collections::VecDeque;
use std::hint::black_box;
use std::time::{Duration, Instant};

use crossbeam_queue::ArrayQueue;
use feuerbird_capability::{
    Badge, Capabilities, Capability, Derivation, Node, Object, ObjectKind, Range, Rights, Slot, Space,
    SpaceId, Trust,
};
use feuerbird_hosted::os::memory::WriterMemory;
use feuerbird_serialization::sample::{Sample, SampleMessage};
use feuerbird_serialization::{Checksum, Format, Layer, Message};
use feuerbird_zero_copy::{Pool, PoolLayout, SizeClass};
use zerocopy::IntoBytes;

use crate::case::{Case, Ours, Subject, size_name};
use crate::disturbance::{Measured, Watch};
use crate::link::LinkError;
use crate::raw::cycles;
use crate::row::{Target, Unit};
use crate::statistics::Summary;

/// Every case of this file.
pub fn cases() -> Vec<Case> {
    vec![lookup(), loan(), small_message(), large_message()]
}

/// Cycles of `operation`, which says whether its result was right.
fn repeat(budget: Duration, batch: u32, mut operation: impl FnMut() -> bool) -> Result<Measured, LinkError> {
    let (mut samples, since, watch) = (vec![], Instant::now(), Watch::this_thread());
    while samples.is_empty() || since.elapsed() < budget {
        let (mut good, start) = (true, cycles());
        for _ in 0..batch {
            good &= operation();
        }
        samples.push((cycles() - start) as f64 / f64::from(batch));
        if !good {
            return Err(LinkError::Altered);
        }
    }
    let cycles = Summary::of(&mut samples).ok_or(LinkError::Stalled)?.median;
    Ok(Measured { cycles, disturbed: watch.share() })
}

fn lookup() -> Case {
    let at_depth = |depth: u32| Ours {
        subject: Subject::new(format!("depth {depth}"), move |_, budget| {
            let (system, space, slot) = capability_at(depth).ok_or(LinkError::Altered)?;
            repeat(budget, 256, || system.lookup(space, black_box(slot), Rights::SEND).is_ok())
        }),
        target: Target::None,
    };
    Case {
        name: "capability lookup".to_owned(),
        unit: Unit::Cycles,
        ours: vec![at_depth(0), at_depth(4)],
        limit: Subject::new("array index, generation and rights compared, no revocation", |_, budget| {
            let table: Vec<(u32, u32)> = (0..64).map(|i| (7, i | 1)).collect();
            repeat(budget, 256, || {
                let entry = table.get(black_box(5_usize));
                entry.is_some_and(|(generation, rights)| *generation == black_box(7) && rights & 1 == 1)
            })
        }),
        rivals: vec![],
    }
}

type System = Capabilities<Vec<Node>, Vec<Space>>;

/// A capability that was derived `depth` times.
fn capability_at(depth: u32) -> Option<(System, SpaceId, Slot)> {
    let mut system = Capabilities::new(vec![Node::EMPTY; 64], vec![Space::EMPTY; 2]);
    let space = system.create_space(u32::MAX).ok()?;
    let object = Object { kind: ObjectKind::Endpoint, id: 1 };
    let (rights, trust) = (Rights::all(), Trust::LIBOS);
    let root = Capability { object, rights, trust, badge: Badge::NONE, range: Range::EMPTY };
    let mut slot = system.mint(space, root).ok()?;
    for _ in 0..depth {
        slot = system.derive(space, slot, Derivation::new(Rights::all(), Trust::LIBOS)).ok()?;
    }
    Some((system, space, slot))
}

/// A buffer's way without its bytes: loaned, published to a reader, given back.
fn loan() -> Case {
    const BUFFERS: u32 = 256;
    Case {
        name: "pool loan + publish + release, 64 B buffers".to_owned(),
        unit: Unit::Cycles,
        ours: vec![Ours {
            subject: Subject::new("one reader", |_, budget| {
                let layout =
                    PoolLayout::new(0, &[SizeClass::new(64, BUFFERS)]).map_err(|_| LinkError::Altered)?;
                let (memory, _) = WriterMemory::create("bench-pool", layout.end().next_multiple_of(4096))?;
                let mut pool = Pool::new(memory, layout, BUFFERS).map_err(|_| LinkError::Altered)?;
                let reader = pool.add_reader().ok_or(LinkError::Altered)?;
                repeat(budget, 256, || {
                    let loan = pool.loan(black_box(64));
                    let Ok(Ok(id)) = loan.map(|loan| loan.publish(reader)) else { return false };
                    pool.release(reader, black_box(id)).is_ok()
                })
            }),
            target: Target::None,
        }],
        limit: Subject::new("first-in-first-out free list, nothing remembered", |_, budget| {
            let mut free: VecDeque<u32> = (0..BUFFERS).collect();
            repeat(budget, 256, || {
                let Some(id) = free.pop_front() else { return false };
                free.push_back(black_box(id));
                true
            })
        }),
        rivals: vec![Subject::new("crossbeam ArrayQueue as free list", |_, budget| {
            let free = ArrayQueue::new(BUFFERS as usize);
            (0..BUFFERS).try_for_each(|id| free.push(id)).map_err(|_| LinkError::Altered)?;
            repeat(budget, 256, || free.pop().is_some_and(|id| free.push(black_box(id)).is_ok()))
        })],
    }
}

/// Bytes of payload with which a Raw message takes 64.
const SMALL: usize = 32;
/// Bytes of payload of the large message.
const LARGE: usize = 64 << 10;

fn small_message() -> Case {
    let lite_without = Format { layer: Layer::Lite, checksum: Checksum::Off };
    message_case(
        SMALL,
        vec![
            message::<SMALL>("Raw", Layer::Raw.into(), Target::Value(12.0)),
            message::<SMALL>("Lite without checksum", lite_without, Target::Value(60.0)),
            message::<SMALL>("Lite with crc32c", Layer::Lite.into(), Target::Value(90.0)),
            message::<SMALL>("Full, one segment", Layer::Full.into(), Target::Value(200.0)),
        ],
    )
}

fn large_message() -> Case {
    let lite_without = Format { layer: Layer::Lite, checksum: Checksum::Off };
    message_case(
        LARGE,
        vec![
            message::<LARGE>("Raw", Layer::Raw.into(), Target::None),
            message::<LARGE>("Lite without checksum", lite_without, Target::None),
            message::<LARGE>("Lite with crc32c", Layer::Lite.into(), Target::None),
            message::<LARGE>("Full, one segment", Layer::Full.into(), Target::None),
        ],
    )
}

fn message_case(payload: usize, ours: Vec<Ours>) -> Case {
    let words = payload / 8 + 4;
    Case {
        name: format!("message with {} payload: write, copy in, check, read all", size_name(payload)),
        unit: Unit::Cycles,
        ours,
        limit: Subject::new("the same words written, copied and read, unchecked", move |_, budget| {
            let (source, mut shared, mut private) =
                (vec![3_u64; words], vec![0_u64; words], vec![0_u64; words]);
            repeat(budget, batch(payload), || {
                black_box(&mut shared[..]).copy_from_slice(black_box(&source[..]));
                private.copy_from_slice(black_box(&shared[..]));
                black_box(&private[..]).iter().fold(0, |sum, word| word.wrapping_add(sum)) == 3 * words as u64
            })
        }),
        rivals: vec![],
    }
}

fn batch(payload: usize) -> u32 {
    if payload <= 4096 { 64 } else { 2 }
}

/// One message through one layer, as a channel does it for a peer it does not trust: written into shared memory, copied in,
/// checked, every field and byte read.
fn message<const PAYLOAD: usize>(name: &str, format: Format, target: Target) -> Ours {
    let run = move |budget| {
        let payload = vec![3_u64; PAYLOAD / 8];
        let room = PAYLOAD / 8 + 64;
        let (mut shared, mut private) = (vec![0_u64; room], vec![0_u64; room]);
        let sample = Sample { sequence: 1, producer: 2, sent_at: 3, digest: 4, payload: payload.as_bytes() };
        repeat(budget, batch(PAYLOAD), || {
            let out = black_box(&mut shared[..]).as_mut_bytes();
            let Ok(length) = SampleMessage::encode(black_box(&sample), format, out) else { return false };
            let words = length.div_ceil(8);
            private[..words].copy_from_slice(&black_box(&shared[..])[..words]);
            let bytes = &black_box(&private[..]).as_bytes()[..length];
            SampleMessage::decode(bytes, format)
                .is_ok_and(|view| read_all(&view) == 10 + 3 * (PAYLOAD / 8) as u64)
        })
    };
    Ours { subject: Subject::new(name, move |_, budget| run(budget)), target }
}

fn read_all(view: &Sample<'_>) -> u64 {
    let words = view.payload.chunks_exact(8);
    let payload =
        words.fold(0_u64, |sum, word| sum.wrapping_add(word.try_into().map_or(0, u64::from_le_bytes)));
    view.sequence + u64::from(view.producer) + view.sent_at + view.digest + payload
}
