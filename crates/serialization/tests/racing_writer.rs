//! One thread writes over memory while another opens and reads messages in it: only errors and consistent snapshots come out.
//!
//! Two seconds, at the level of optimisation that the tests are built with; ten where `FEUERBIRD_LONG` is set. `cargo xtask ci race`
//! runs it for ten at all levels in use, the release profile among them.
#![allow(clippy::unwrap_used)] // functions that tests share count as no tests
#![cfg(not(miri))] // seconds of real time

mod common;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use common::{Aligned, FORMATS, FULL, RAW, payload};
use feuerbird_serialization::{
    DecodeError, Encode, Format, Layer, Message, Shared,
    sample::{Sample, SampleMessage},
};

#[allow(missing_docs, dead_code, unreachable_pub, clippy::all)]
mod everything {
    include!(concat!(env!("OUT_DIR"), "/everything.rs"));
}
use everything::{Tree, TreeMessage, TreeReader};

/// Words of the memory that both see.
const WORDS: usize = 64;

fn time() -> Duration {
    let is_long = std::env::var_os("FEUERBIRD_LONG").is_some();
    Duration::from_secs(if is_long { 10 } else { 2 }) / 5
}

fn digest(sequence: u64, payload: &[u8]) -> u64 {
    payload.iter().fold(sequence, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3))
}

/// Runs `read` again and again while somebody else stores one after the other of `messages`, word by word, without any order, and
/// sometimes nonsense between.
fn race(messages: Vec<Aligned>, mut read: impl FnMut(&[AtomicU64])) -> u64 {
    let memory: Arc<[AtomicU64]> = (0..WORDS).map(|_| AtomicU64::new(0)).collect();
    let done = Arc::new(AtomicBool::new(false));
    let writer = {
        let (memory, done) = (Arc::clone(&memory), Arc::clone(&done));
        thread::spawn(move || {
            let mut turn = 0_usize;
            while !done.load(Ordering::Relaxed) {
                let message = &messages[turn % messages.len()];
                let words = message.bytes().as_chunks::<8>().0;
                for (place, word) in memory.iter().zip(words) {
                    place.store(u64::from_le_bytes(*word), Ordering::Relaxed);
                }
                // Long enough to be read whole now and then.
                for _ in 0..turn % 200 {
                    std::hint::spin_loop();
                }
                if turn.is_multiple_of(3) {
                    let nonsense = (turn as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
                    memory[turn % WORDS].store(nonsense, Ordering::Relaxed);
                }
                turn += 1;
            }
        })
    };
    let (since, mut reads) = (Instant::now(), 0);
    while since.elapsed() < time() {
        (0..100).for_each(|_| read(&memory));
        reads += 100;
    }
    done.store(true, Ordering::Relaxed);
    writer.join().unwrap();
    reads
}

fn encoded<M: Message>(value: &impl Encode<M>, format: Format) -> Aligned {
    let mut out = Aligned::new(&vec![0; value.encoded_bound(format)]);
    value.encode(format, out.bytes_mut()).unwrap();
    out
}

#[test]
fn snapshots_are_consistent_or_refused() {
    for format in FORMATS {
        let messages = (0..8_u64).map(|sequence| {
            let payload = payload(40 + sequence as usize);
            let digest = digest(sequence, &payload);
            encoded::<SampleMessage>(
                &Sample { sequence, digest, payload: &payload, ..Sample::default() },
                format,
            )
        });
        let messages: Vec<Aligned> = messages.collect();
        let lengths: Vec<usize> = messages.iter().map(|message| message.bytes().len()).collect();
        let (mut private, mut turn) = (Aligned::new(&[0; WORDS * 8]), 0);
        let (mut whole, mut torn, mut refused) = (0_u64, 0_u64, 0_u64);
        race(messages, |memory| {
            turn += 1;
            let length = lengths[turn % lengths.len()];
            let stable = Shared::new(memory).copy_into(length, private.bytes_mut()).unwrap();
            let range = stable.bytes().as_ptr_range();
            match SampleMessage::decode(stable, format) {
                Ok(view) => {
                    let payload = view.payload();
                    assert!(payload.is_empty() || range.contains(&payload.as_ptr()));
                    if digest(view.sequence(), payload) == view.digest() { whole += 1 } else { torn += 1 }
                }
                Err(error) => {
                    assert!(error.blames_peer());
                    refused += 1;
                }
            }
        });
        assert!(whole > 0, "{format:?}: not one message was read whole");
        // The checksum finds what is torn; the other layers leave it to the program's own digest.
        if format == Layer::Lite.format() {
            assert_eq!(torn, 0, "a torn message passed its checksum");
            assert!(refused > 0, "nothing was ever torn: the test tests nothing");
        } else if format != RAW {
            assert!(torn + refused > 0, "{format:?}: nothing was ever torn: the test tests nothing");
        }
    }
}

/// Reading what a peer still wrote gave 416 invalid `&str` in 45.7 million reads where it was done in place.
#[test]
fn texts_are_always_utf8() {
    let leaf = Tree { label: "leaf: ä ö ü ß 火 鳥", ..Tree::default() };
    let children = [leaf, Tree { label: "second", next: Some(&leaf), ..Tree::default() }];
    let messages = ["a", "ä", "火鳥", "plain ASCII, and longer"]
        .map(|label| encoded::<TreeMessage>(&Tree { label, children: &children, next: Some(&leaf) }, FULL));
    let lengths = messages.each_ref().map(|message| message.bytes().len());
    let (mut private, mut turn, mut read) = (Aligned::new(&[0; WORDS * 8]), 0, 0_u64);
    race(messages.to_vec(), |memory| {
        turn += 1;
        let length = lengths[turn % lengths.len()].min(WORDS * 8);
        let stable = Shared::new(memory).copy_into(length, private.bytes_mut()).unwrap();
        match TreeMessage::decode(stable, FULL) {
            Ok(view) => {
                visit(view);
                read += 1;
            }
            Err(error) => assert_ne!(error, DecodeError::Misaligned),
        }
    });
    assert!(read > 0, "not one message was read whole");
}

fn visit(view: TreeReader<'_>) {
    assert!(core::str::from_utf8(view.label().as_bytes()).is_ok());
    view.children().iter().for_each(visit);
    if view.has_next() {
        visit(view.next());
    }
}
