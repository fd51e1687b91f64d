//! What the interface costs, in instructions: a message through the traits, with its format known only at run time, beside the
//! same work written out for one format.
//!
//! Counts and not times, so that they are the same on every run and a test can hold on to them: a child process is stepped
//! through one instruction at a time (`ptrace`). Run without a harness; says what it counted.

use std::hint::black_box;
use std::process::{Command, ExitCode};

use feuerbird_serialization::{Encode, Format, Layer, Message, Stable, frame, wire::Structure};
use nix::{
    sys::{
        ptrace,
        signal::{Signal, raise},
        wait::{WaitStatus, waitpid},
    },
    unistd::Pid,
};
use zerocopy::{FromBytes, IntoBytes};

#[allow(missing_docs, dead_code, unreachable_pub, clippy::all)]
mod bench {
    include!(concat!(env!("OUT_DIR"), "/bench.rs"));
}
use bench::{Tick, TickMessage, TickRaw, TickReader};

/// Which subject the child runs: its number.
const SUBJECT: &str = "FEUERBIRD_SUBJECT";

/// The most instructions that the traits may add where the format is known when the program is compiled.
const KNOWN: i64 = 8;
/// The most that a format chosen at run time may add: the branches on it, and a view that is put together in memory because the
/// layers' functions are not copied into each handler.
const ANY: i64 = 90;

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
    decoded::<M>(bytes, format, each)
}

#[inline(never)]
fn write_generic<M: Message>(value: &impl Encode<M>, format: Format, out: &mut [u8]) -> usize {
    encoded(value, format, out)
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

/// Nothing: what stopping and going on costs by itself.
fn nothing() {}

/// A subject: what it does, written out; through the traits with a known format; through the traits with any.
struct Case {
    name: &'static str,
    direct: fn(),
    known: fn(),
    any: fn(),
}

fn bytes(layer: Layer) -> &'static [u8] {
    let (length, bytes) = message(layer);
    &bytes[..*length]
}

fn read_any(layer: Layer, each: impl FnOnce(TickReader<'_>) -> u64) {
    let format = black_box(layer.format());
    black_box(read_generic::<TickMessage>(black_box(bytes(layer)), format, each));
}

const CASES: [Case; 5] = [
    Case {
        name: "Raw, read",
        direct: || {
            black_box(read_raw_directly(black_box(bytes(Layer::Raw))));
        },
        known: || {
            black_box(read_raw_known(black_box(bytes(Layer::Raw))));
        },
        any: || read_any(Layer::Raw, |view| view.as_raw().map_or(0, sum_raw)),
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

/// The child: stops, runs the subject, stops. Everything is warm: the subject has run before.
fn run_child(subject: fn()) {
    subject();
    ptrace::traceme().expect("a parent that may trace");
    raise(Signal::SIGTRAP).expect("stopping");
    subject();
    raise(Signal::SIGTRAP).expect("stopping");
}

fn subject(number: usize) -> fn() {
    match number.checked_sub(1) {
        None => nothing,
        Some(number) => {
            let Case { direct, known, any, .. } = CASES[number / 3];
            [direct, known, any][number % 3]
        }
    }
}

/// How many instructions a subject takes, with what stopping takes.
fn count(number: usize) -> Result<u64, String> {
    let myself = std::env::current_exe().map_err(|error| error.to_string())?;
    let child = Command::new(myself).env(SUBJECT, number.to_string()).spawn();
    let child = child.map_err(|error| error.to_string())?;
    let pid = Pid::from_raw(child.id() as i32);
    let stopped = |what| match waitpid(pid, None) {
        Ok(WaitStatus::Stopped(_, Signal::SIGTRAP)) => Ok(()),
        other => Err(format!("{what}: {other:?}")),
    };
    stopped("the child did not start")?;
    // Out of the first stop, and on until the second: a step that the child's own signal ends has not run an instruction.
    let mut instructions = 0_u64;
    loop {
        ptrace::step(pid, None).map_err(|error| error.to_string())?;
        stopped("the child ended between its stops")?;
        let siginfo = ptrace::getsiginfo(pid).map_err(|error| error.to_string())?;
        // Positive: the kernel's, after a step. Otherwise sent by the child itself.
        if siginfo.si_code <= 0 {
            break;
        }
        instructions += 1;
        if instructions > 1_000_000 {
            return Err("the child does not come to its second stop".to_owned());
        }
    }
    ptrace::cont(pid, None).map_err(|error| error.to_string())?;
    let _ = waitpid(pid, None);
    Ok(instructions)
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
        Err(error) if error.contains("EPERM") => {
            eprintln!("not tested: this machine does not let a process be traced ({error})");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn compare() -> Result<bool, String> {
    let stops = count(0)?;
    let mut good = true;
    println!("{:<26} {:>8} {:>16} {:>16}", "instructions", "direct", "traits", "any format");
    for (index, Case { name, .. }) in CASES.iter().enumerate() {
        let counted = |way| count(1 + 3 * index + way).map(|count| count - stops);
        let (direct, known, any) = (counted(0)?, counted(1)?, counted(2)?);
        let more = |other: u64| other as i64 - direct as i64;
        good &= more(known) <= KNOWN && more(any) <= ANY;
        println!("{name:<26} {direct:>8} {known:>8} ({:>+5}) {any:>8} ({:>+5})", more(known), more(any));
    }
    Ok(good)
}
