//! A revocation that comes while a message is being copied out.
#![cfg(not(loom))]
#![allow(clippy::unwrap_used)] // a test may unwrap

mod support;

use feuerbird_channel::{Consumer, Ended, HeapHome, Home, PollError, Producer, Terms, Validity, Watched};
use feuerbird_zero_copy::{HeapReader, HeapWriter, Region, Words};
use std::sync::{Arc, OnceLock};
use support::halves;

/// A view of a peer's memory whose pair is revoked just before bytes are copied out of it.
#[derive(Debug)]
struct Untimely(HeapReader, Arc<OnceLock<Validity<Self>>>);

// SAFETY: the words are those of the region inside.
unsafe impl Region for Untimely {
    fn words(&self) -> Words<'_> {
        self.0.words()
    }

    fn copy_out(&self, offset: usize, into: &mut [u8]) {
        if let Some(pair) = self.1.get() {
            pair.end(Ended::Revoked);
        }
        self.0.copy_out(offset, into);
    }
}

/// The heap's home with such views.
#[derive(Clone, Debug)]
struct UntimelyHome;

impl Home for UntimelyHome {
    type Writer = HeapWriter;
    type Reader = Untimely;
    type Life = core::convert::Infallible;

    fn now_ns(&self) -> u64 {
        0
    }
    fn wait(&self, _: &[Watched], _: u64) {}
    fn wake(&self, _: *const u64) {}
    fn has_heavy_barrier(&self) -> bool {
        true
    }
    fn heavy_barrier(&self) {}
    fn is_dead(&self, life: &Self::Life) -> bool {
        match *life {}
    }
}

#[test]
fn a_message_whose_copy_a_revocation_overtook_is_not_taken_and_goes_to_another() {
    let terms = Terms::new(1024, 4).unwrap();
    let halves = halves(terms);
    let valid = Validity::unconditional();
    let mut producer = Producer::attach(HeapHome, terms, halves.out, halves.back_view, valid, None).unwrap();
    let pair: Arc<OnceLock<Validity<Untimely>>> = Arc::default();
    let view = Untimely(halves.out_view, Arc::clone(&pair));
    let valid = Validity::unconditional();
    let mut consumer = Consumer::attach(UntimelyHome, terms, halves.back, view, valid, None).unwrap();
    producer.claim(500).unwrap().publish_copy(&[7; 500]).unwrap();
    pair.set(consumer.validity().share()).unwrap();

    assert_eq!(consumer.take_into(&mut [0; 1024]), Err(PollError::Revoked));
    assert_eq!(consumer.taken(), 0);
    let mut left = Vec::new();
    assert_eq!(producer.recover(|bytes| left.extend_from_slice(bytes)), 1);
    assert_eq!(left, [7; 500]);
}
