//! Messages between two pages that nobody may read: whatever is in them, no decoder looks beyond either end.
//!
//! The code of this crate cannot, as it has no unsafe code; what it calls has: the `capnp` crate, `zerocopy`, and the checksum by
//! the processor's instructions (`--features hardware-crc`).
#![allow(clippy::unwrap_used)] // functions that tests share count as no tests
#![cfg(not(miri))] // a mapping, and faults

mod common;
#[path = "common/guarded.rs"]
mod guarded;
#[path = "common/visit.rs"]
mod visit;

use common::{Aligned, FORMATS, FULL, LITE, RAW};
use feuerbird_serialization::{
    Checks, Encode, Format, Layer, Message, Plain, Stable, pack, packed_bound, sample::SampleMessage, unpack,
    unpacked_size,
};

#[allow(missing_docs, dead_code, unreachable_pub, clippy::all)]
mod everything {
    include!(concat!(env!("OUT_DIR"), "/everything.rs"));
}
use everything::*;
use guarded::{Guarded, INSIDE, PAGE};
use visit::Seen;

/// All that can be done with bytes from elsewhere.
fn decode(bytes: &[u8]) {
    let Ok(stable) = Stable::new(bytes) else { return };
    let checked_raw = Format { checks: Checks::Pointers, ..RAW };
    let unchecked = [LITE, FULL].map(|format| Format { checks: Checks::Lengths, ..format });
    for format in FORMATS.into_iter().chain([checked_raw]).chain(unchecked) {
        if let Ok(view) = EverythingMessage::decode(stable, format) {
            visit::everything(&mut Seen::new(100_000), view);
        }
        if let Ok(view) = SampleMessage::decode(stable, format) {
            std::hint::black_box(view.payload().iter().fold(0, |sum, byte| sum ^ byte));
        }
        let _ = Plain::<[u64; 4]>::decode(stable, format);
    }
    let mut unpacked = vec![0; 1 << 16];
    let _ = (unpacked_size(bytes), unpack(bytes, &mut unpacked));
}

fn decode_guarded(memory: &mut Guarded, bytes: &[u8]) {
    decode(memory.at_the_end(bytes));
    decode(memory.at_the_start(bytes));
}

fn honest(format: Format) -> Aligned {
    let leaf = Tree { label: "leaf", ..Tree::default() };
    let tree = Tree { label: "root", children: &[leaf, leaf], next: Some(&leaf) };
    let lists = Lists { texts: &["a", "zwölf"], uint16s: &[1, 2, 3], trees: &[tree], ..Lists::default() };
    let sent = Everything { lists: Some(&lists), text: "text", data: b"in the end", ..Everything::default() };
    let mut out = Aligned::new(&vec![0; sent.encoded_bound(format)]);
    sent.encode(format, out.bytes_mut()).unwrap();
    out
}

#[test]
fn no_truncation_is_read_beyond_its_ends() {
    let mut memory = Guarded::new();
    for format in FORMATS {
        let whole = honest(format);
        for length in 0..=whole.bytes().len() {
            decode_guarded(&mut memory, &whole.bytes()[..length]);
        }
        let mut packed = vec![0; packed_bound(whole.bytes().len())];
        let length = pack(whole.bytes(), &mut packed).unwrap();
        for length in 0..=length {
            decode_guarded(&mut memory, &packed[..length]);
        }
    }
}

#[test]
fn no_changed_word_leads_beyond_the_ends() {
    let mut memory = Guarded::new();
    let mut chosen = vec![0, 1, 3, u64::MAX, 1 << 32, 1 << 63];
    for offset in [-(1 << 29), -30, -1, 0, 1, 30, (1 << 29) - 1] {
        chosen.extend([(1, 0), (0, 3), (u16::MAX, u16::MAX)].map(|(d, p)| common::to_struct(offset, d, p)));
        chosen.extend([(2, 300), (6, 30), (7, 30), (0, 9)].map(|(e, n)| common::to_list(offset, e, n)));
    }
    chosen
        .extend([(0, 0, false), (0, 70, true), (9, 1, true)].map(|(s, at, two)| common::to_far(s, at, two)));
    for format in [RAW, LITE, Layer::Lite.format(), FULL] {
        let whole = honest(format);
        for word in 0..whole.bytes().len() / 8 {
            for value in &chosen {
                let mut changed = whole.clone();
                changed.bytes_mut()[word * 8..][..8].copy_from_slice(&value.to_le_bytes());
                // Once more as the end of what was sent: pointers behind it lead into the guard.
                decode(memory.at_the_end(changed.bytes()));
                decode(memory.at_the_end(&changed.bytes()[..word * 8 + 8]));
            }
        }
    }
}

/// The guards guard: a read of one byte more ends the process.
#[test]
fn a_read_beyond_the_end_is_a_fault() {
    const CHILD: &str = "FEUERBIRD_TEST_READ_BEYOND";
    if let Ok(offset) = std::env::var(CHILD) {
        let memory = Guarded::new();
        // SAFETY: not sound, on purpose: the byte lies in a guard page, and this process ends here.
        let byte = unsafe { memory.base().add(offset.parse().unwrap()).read_volatile() };
        unreachable!("{byte} was read");
    }
    for offset in [PAGE - 1, PAGE + INSIDE] {
        let mut child = std::process::Command::new(std::env::current_exe().unwrap());
        child.args(["--exact", "a_read_beyond_the_end_is_a_fault"]).env(CHILD, offset.to_string());
        let status = child.output().unwrap().status;
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(11), "SIGSEGV");
    }
}
