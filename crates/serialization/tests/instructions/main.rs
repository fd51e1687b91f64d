//! What the interface costs, in instructions: a message through the traits, with its format known only at run time, beside the
//! same work written out for one format, and beside the `capnp` crate used directly.
//!
//! Counts and not times, so that they are the same on every run and a test can hold on to them. Run without a harness; says what it
//! counted.

mod count;

use std::hint::black_box;
use std::process::ExitCode;

use capnp::message::{Builder, ReaderOptions, SingleSegmentAllocator};
use feuerbird_serialization::{Encode, Format, Layer, Message, Stable, frame, wire::Structure};
use zerocopy::{FromBytes, IntoBytes};

use count::{Failure, SUBJECT, count, run_child};

#[allow(missing_docs, dead_code, unreachable_pub, clippy::all)]
mod bench {
    include!(concat!(env!("OUT_DIR"), "/bench.rs"));
}
#[allow(missing_docs, dead_code, unused_qualifications, unreachable_pub, clippy::all, clippy::unwrap_used)]
mod bench_capnp {
    include!(concat!(env!("OUT_DIR"), "/bench_capnp.rs"));
}
use bench::{Tick, TickMessage, TickRaw, TickReader};

/// The most instructions that the traits may add where the format is known when the program is compiled.
const KNOWN: i64 = 8;
/// The most that a format chosen at run time may add: one look at it ([`Format::known`]), registers saved for the longest of the paths
/// behind that, and what keeps the compiler from knowing the format here.
const ANY: i64 = 40;

const TICK: Tick = Tick { id: 1, time: 2, price: 3.0, size: 4.0, kind: 5, flags: 6 };

fn sum(view: &TickReader<'_>) -> u64 {
    let (price, size) = (view.price().to_bits(), view.size().to_bits());
    view.id() ^ view.time() ^ price ^ size ^ u64::from(view.kind()) ^ u64::from(view.flags())
}

fn sum_raw(tick: &TickRaw) -> u64 {
    let (price, size) = (tick.price.to_bits(), tick.size.to_bits());
    tick.id ^ tick.time ^ price ^ size ^ u64::from(tick.kind) ^ u64::from(tick.flags)
}

/// Through the traits, in any format: what a channel does for a binding.
#[inline(never)]
fn read_generic<M: Message>(bytes: &[u8], format: Format, each: impl FnOnce(M::View<'_>) -> u64) -> u64 {
    format.known(|format| decoded::<M>(bytes, format, each))
}

#[inline(never)]
fn write_generic<M: Message>(value: &impl Encode<M>, format: Format, out: &mut [u8]) -> usize {
    format.known(|format| encoded(value, format, out))
}

/// Written out: the fields of a Raw message by `zerocopy`, without anything of this crate.
#[inline(never)]
fn read_raw_directly(bytes: &[u8]) -> u64 {
    match TickRaw::ref_from_bytes(bytes) {
        Ok(tick) => sum_raw(tick),
        Err(_) => 0,
    }
}

#[inline(never)]
fn write_raw_directly(tick: &TickRaw, out: &mut [u8]) -> usize {
    match out.get_mut(..size_of::<TickRaw>()) {
        Some(place) => {
            place.copy_from_slice(tick.as_bytes());
            place.len()
        }
        None => 0,
    }
}

/// Written out for one format: the functions that the traits call, with the format known when this was compiled.
#[inline(never)]
fn read_lite_directly(bytes: &[u8]) -> u64 {
    let format = Layer::Lite.format();
    let opened = Stable::new(bytes).and_then(|bytes| frame::open(bytes, format, Tick::DATA, Tick::POINTERS));
    opened.map_or(0, |fields| sum(&TickReader::from(fields)))
}

#[inline(never)]
fn read_full_directly(bytes: &[u8]) -> u64 {
    let format = Layer::Full.format();
    let opened = Stable::new(bytes).and_then(|bytes| frame::open(bytes, format, Tick::DATA, Tick::POINTERS));
    opened.map_or(0, |fields| sum(&TickReader::from(fields)))
}

#[inline(never)]
fn write_lite_directly(tick: &Tick, out: &mut [u8]) -> usize {
    frame::write(Layer::Lite.format(), out, (Tick::DATA, Tick::POINTERS, 0), |to| tick.write(to)).unwrap_or(0)
}

#[inline(never)]
fn write_full_directly(tick: &Tick, out: &mut [u8]) -> usize {
    frame::write(Layer::Full.format(), out, (Tick::DATA, Tick::POINTERS, 0), |to| tick.write(to)).unwrap_or(0)
}

/// The `capnp` crate as its users use it: its own limits, no check but those of its getters.
#[inline(never)]
fn read_by_capnp(mut bytes: &[u8]) -> capnp::Result<u64> {
    let options = ReaderOptions::new();
    let reader = capnp::serialize::read_message_from_flat_slice_no_alloc(&mut bytes, options)?;
    let tick: bench_capnp::tick::Reader<'_> = reader.get_root()?;
    let (price, size) = (tick.get_price().to_bits(), tick.get_size().to_bits());
    Ok(tick.get_id()
        ^ tick.get_time()
        ^ price
        ^ size
        ^ u64::from(tick.get_kind())
        ^ u64::from(tick.get_flags()))
}

/// In memory that is there already, then framed.
#[inline(never)]
fn write_by_capnp(tick: &Tick, out: &mut [u8]) -> capnp::Result<()> {
    let mut scratch = Words([0; 128]);
    let mut allocator = SingleSegmentAllocator::new(&mut scratch.0);
    let mut builder = Builder::new(&mut allocator);
    let mut root: bench_capnp::tick::Builder<'_> = builder.init_root();
    root.set_id(tick.id);
    root.set_time(tick.time);
    root.set_price(tick.price);
    root.set_size(tick.size);
    root.set_kind(tick.kind);
    root.set_flags(tick.flags);
    capnp::serialize::write_message(out, &builder)
}

/// Nothing: what stopping and going on costs by itself.
fn nothing() {}

/// A subject: what it does, written out; through the traits with a known format; through the traits with any.
struct Case {
    name: &'static str,
    direct: fn(),
    known: fn(),
    any: fn(),
    /// The same by the `capnp` crate alone, where it has such a thing.
    capnp: Option<fn()>,
}

/// The ways of a [`Case`].
const WAYS: usize = 4;

fn bytes(layer: Layer) -> &'static [u8] {
    let (length, bytes) = message(layer);
    &bytes[..*length]
}

fn read_any(layer: Layer, each: impl FnOnce(TickReader<'_>) -> u64) {
    let format = black_box(layer.format());
    black_box(read_generic::<TickMessage>(black_box(bytes(layer)), format, each));
}

const CASES: [Case; 6] = [
    Case {
        name: "Raw, read",
        direct: || {
            black_box(read_raw_directly(black_box(bytes(Layer::Raw))));
        },
        known: || {
            black_box(read_raw_known(black_box(bytes(Layer::Raw))));
        },
        any: || read_any(Layer::Raw, |view| view.as_raw().map_or(0, sum_raw)),
        capnp: None,
    },
    Case {
        name: "Raw, write",
        direct: || {
            black_box(write_raw_directly(black_box(&raw()), black_box(&mut [0; 128])));
        },
        known: || {
            black_box(write_raw_known(black_box(&raw()), black_box(&mut [0; 128])));
        },
        any: || {
            let format = black_box(Layer::Raw.format());
            black_box(write_generic::<TickMessage>(black_box(&raw()), format, black_box(&mut [0; 128])));
        },
        capnp: None,
    },
    Case {
        name: "Lite with crc32c, read",
        direct: || {
            black_box(read_lite_directly(black_box(bytes(Layer::Lite))));
        },
        known: || {
            black_box(read_lite_known(black_box(bytes(Layer::Lite))));
        },
        any: || read_any(Layer::Lite, |view| sum(&view)),
        capnp: None,
    },
    Case {
        name: "Lite with crc32c, write",
        direct: || {
            black_box(write_lite_directly(black_box(&TICK), black_box(&mut [0; 128])));
        },
        known: || {
            black_box(write_lite_known(black_box(&TICK), black_box(&mut [0; 128])));
        },
        any: || {
            let format = black_box(Layer::Lite.format());
            black_box(write_generic::<TickMessage>(black_box(&TICK), format, black_box(&mut [0; 128])));
        },
        capnp: None,
    },
    Case {
        name: "Full, read",
        direct: || {
            black_box(read_full_directly(black_box(bytes(Layer::Full))));
        },
        known: || {
            black_box(read_full_known(black_box(bytes(Layer::Full))));
        },
        any: || read_any(Layer::Full, |view| sum(&view)),
        capnp: Some(|| {
            let _ = black_box(read_by_capnp(black_box(bytes(Layer::Full))));
        }),
    },
    Case {
        name: "Full, write",
        direct: || {
            black_box(write_full_directly(black_box(&TICK), black_box(&mut [0; 128])));
        },
        known: || {
            black_box(write_full_known(black_box(&TICK), black_box(&mut [0; 128])));
        },
        any: || {
            let format = black_box(Layer::Full.format());
            black_box(write_generic::<TickMessage>(black_box(&TICK), format, black_box(&mut [0; 128])));
        },
        capnp: Some(|| {
            let _ = black_box(write_by_capnp(black_box(&TICK), black_box(&mut [0; 128])));
        }),
    },
];

#[inline(never)]
fn read_raw_known(bytes: &[u8]) -> u64 {
    decoded::<TickMessage>(bytes, Layer::Raw, |view| view.as_raw().map_or(0, sum_raw))
}
#[inline(never)]
fn read_lite_known(bytes: &[u8]) -> u64 {
    decoded::<TickMessage>(bytes, Layer::Lite, |view| sum(&view))
}
#[inline(never)]
fn read_full_known(bytes: &[u8]) -> u64 {
    decoded::<TickMessage>(bytes, Layer::Full, |view| sum(&view))
}
#[inline(never)]
fn write_raw_known(tick: &TickRaw, out: &mut [u8]) -> usize {
    encoded::<TickMessage>(tick, Layer::Raw, out)
}
#[inline(never)]
fn write_lite_known(tick: &Tick, out: &mut [u8]) -> usize {
    encoded::<TickMessage>(tick, Layer::Lite, out)
}
#[inline(never)]
fn write_full_known(tick: &Tick, out: &mut [u8]) -> usize {
    encoded::<TickMessage>(tick, Layer::Full, out)
}

#[inline(always)]
fn decoded<M: Message>(
    bytes: &[u8],
    format: impl Into<Format>,
    each: impl FnOnce(M::View<'_>) -> u64,
) -> u64 {
    match Stable::new(bytes).and_then(|bytes| M::decode(bytes, format)) {
        Ok(view) => each(view),
        Err(_) => 0,
    }
}

#[inline(always)]
fn encoded<M: Message>(value: &impl Encode<M>, format: impl Into<Format>, out: &mut [u8]) -> usize {
    value.encode(format, out).unwrap_or(0)
}

fn raw() -> TickRaw {
    let Tick { id, time, price, size, kind, flags } = TICK;
    TickRaw { id, time, price, size, kind, flags }
}

/// A message that starts at a multiple of 8. Made before anything is counted: see [`run_child`].
fn message(layer: Layer) -> (&'static usize, &'static [u8; 128]) {
    static MESSAGES: [std::sync::OnceLock<(usize, Words)>; 3] = [const { std::sync::OnceLock::new() }; 3];
    let place = &MESSAGES[usize::from(layer.to_number())];
    let (length, words) = place.get_or_init(|| {
        let mut words = Words([0; 128]);
        (TICK.encode(layer, &mut words.0).unwrap_or(0), words)
    });
    (length, &words.0)
}

#[repr(align(8))]
struct Words([u8; 128]);

fn subject(number: usize) -> fn() {
    match number.checked_sub(1) {
        None => nothing,
        Some(number) => {
            let Case { direct, known, any, capnp, .. } = CASES[number / WAYS];
            [direct, known, any, capnp.unwrap_or(nothing)][number % WAYS]
        }
    }
}

fn main() -> ExitCode {
    if let Some(number) = std::env::var(SUBJECT).ok().and_then(|number| number.parse().ok()) {
        run_child(subject(number));
        return ExitCode::SUCCESS;
    }
    match compare() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => {
            eprintln!("the interface costs more than {KNOWN} instructions, or {ANY} in any format");
            ExitCode::FAILURE
        }
        Err(Failure::Untraceable) => {
            eprintln!("not tested: this machine does not let a process be traced");
            ExitCode::SUCCESS
        }
        Err(Failure::Failed(error)) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn compare() -> Result<bool, Failure> {
    let stops = count(0)?;
    let mut good = true;
    println!(
        "{:<26} {:>8} {:>16} {:>16} {:>16}",
        "instructions", "direct", "traits", "any format", "capnp directly"
    );
    for (index, Case { name, capnp, .. }) in CASES.iter().enumerate() {
        let counted = |way| count(1 + WAYS * index + way).map(|count| count - stops);
        let (direct, known, any) = (counted(0)?, counted(1)?, counted(2)?);
        let theirs = capnp.map_or(Ok(String::new()), |_| counted(3).map(|count| count.to_string()))?;
        let more = |other: u64| other as i64 - direct as i64;
        good &= more(known) <= KNOWN && more(any) <= ANY;
        let (with_traits, in_any) = (more(known), more(any));
        println!(
            "{name:<26} {direct:>8} {known:>8} ({with_traits:>+5}) {any:>8} ({in_any:>+5}) {theirs:>16}"
        );
    }
    Ok(good)
}
