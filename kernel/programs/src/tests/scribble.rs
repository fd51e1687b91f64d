//! A peer that writes anything, at any moment, over all that it may write of a typed lane; and others at the same endpoint.

use alloc::vec::Vec;

use feuerbird_capability::Rights;
use feuerbird_channel::{RecvError, WhenFull};
use feuerbird_demos_worker::Random;
use feuerbird_libos::Error;
use feuerbird_serialization::sample::{Sample, SampleMessage};

use super::space::{set_word, word};
use super::typed::{GRANTED_NS, Habit, LAYERS, PATIENCE_NS, delete, endpoint, start};
use super::{Checked, Ground, ensure_ends, ensure_page_tables_are_right};
use crate::gate;
use crate::ring::{self, Domain};

/// How many messages the honest sender has, and how it marks them.
const MESSAGES: u64 = 500;
const MARK: u64 = 0x5ca1_ab1e;

/// How often who scribbles does so, with up to so many words.
const ROUNDS: u32 = 1000;
const WORDS: u32 = 8;

/// A receiver gets every message of an honest sender, in order and once, whatever another sender writes meanwhile; and sees that it lies.
pub(super) fn senders(ground: &Ground<'_>) -> Checked {
    for trust in LAYERS {
        let slots = endpoint(trust)?;
        let [_, shared] = slots;
        let to = start(ground, Habit::Endure, trust, &[(shared, Rights::RECEIVE)])?;
        let hostile = start(ground, Habit::ScribbleSending, trust, &[(shared, Rights::SEND)])?;
        let honest = start(ground, Habit::SendMarked, trust, &[(shared, Rights::SEND)])?;
        ensure_ends(honest)?;
        ensure_ends(to)?;
        ensure_ends(hostile)?;
        ensure_page_tables_are_right()?;
        delete(slots)?;
    }
    Ok(())
}

/// A sender goes on or gives up, whatever its receiver writes.
pub(super) fn receivers(ground: &Ground<'_>) -> Checked {
    for trust in LAYERS {
        let slots = endpoint(trust)?;
        let [_, shared] = slots;
        let hostile = start(ground, Habit::ScribbleReceiving, trust, &[(shared, Rights::RECEIVE)])?;
        let from = start(ground, Habit::SendAnyway, trust, &[(shared, Rights::SEND)])?;
        ensure_ends(from)?;
        ensure_ends(hostile)?;
        ensure_page_tables_are_right()?;
        delete(slots)?;
    }
    Ok(())
}

fn marked(sequence: u64) -> Sample<'static> {
    Sample { sequence, producer: 1, sent_at: 0, digest: sequence ^ MARK, payload: &[7; 24] }
}

/// What a hostile domain has for a lane of its own, once there is a peer.
struct Scribbler {
    random: Random,
    address: u64,
    words: u32,
}

impl Scribbler {
    fn new(seed: u64) -> Option<Self> {
        let deadline = gate::now_ns() + PATIENCE_NS;
        while gate::now_ns() < deadline {
            if let Some((address, bytes)) = ring::own_memory() {
                return Some(Self { random: Random::new(seed), address, words: (bytes / 8) as u32 });
            }
            gate::give_way();
            ring::hear();
        }
        None
    }

    /// Does what an honest peer does, then writes anything, lets the other side look, and puts all back: this side's own code is not to
    /// see it.
    fn go_on(&mut self, mut honest: impl FnMut()) {
        // Once: of what this domain allocates nothing comes back.
        let words = 0..u64::from(self.words);
        let mut before: Vec<u64> = words.clone().map(|_| 0).collect();
        let mut changed: Vec<u64> = Vec::with_capacity(words.end as usize);
        for _ in 0..ROUNDS {
            let places = words.clone().map(|index| self.address + 8 * index);
            before.iter_mut().zip(places.clone()).for_each(|(before, place)| *before = word(place));
            honest();
            changed.clear();
            for (before, place) in before.iter_mut().zip(places.clone()) {
                if core::mem::replace(before, word(place)) != *before {
                    changed.push(place);
                }
            }
            self.scribble(&changed);
            gate::give_way();
            let places = words.clone().map(|index| self.address + 8 * index);
            places.zip(&before).for_each(|(place, value)| set_word(place, *value));
            ring::hear();
        }
    }

    /// Writes some words, mostly of what was just sent: anything, small numbers, what was there and one more, what was elsewhere.
    fn scribble(&mut self, changed: &[u64]) {
        for _ in 0..self.random.below(WORDS) {
            let any = self.address + 8 * u64::from(self.random.below(self.words));
            let recent = changed.get(self.random.below(changed.len() as u32 + 1) as usize);
            let place = recent.copied().unwrap_or(any);
            let value = match self.random.below(4) {
                0 => u64::from(self.random.below(u32::MAX)) << 32 | u64::from(self.random.below(u32::MAX)),
                1 => self.random.below(300).into(),
                2 => word(place).wrapping_add(1),
                _ => word(any),
            };
            set_word(place, value);
        }
    }
}

pub(super) fn scribble_sending(domain: &Domain) -> Result<bool, Error> {
    let mut sender = domain.sender::<SampleMessage>(&domain.granted(GRANTED_NS)?.0)?;
    let Some(mut scribbler) = Scribbler::new(0xbad) else { return Ok(false) };
    let message = Sample { sequence: 0, producer: 0, sent_at: 0, digest: 0, payload: &[1; 24] };
    scribbler.go_on(|| _ = sender.try_send(&message));
    Ok(true)
}

pub(super) fn scribble_receiving(domain: &Domain) -> Result<bool, Error> {
    let mut receiver = domain.receiver::<SampleMessage>(&domain.granted(GRANTED_NS)?.0)?;
    let Some(mut scribbler) = Scribbler::new(0xdab) else { return Ok(false) };
    scribbler.go_on(|| _ = receiver.try_recv(|_| ()));
    Ok(true)
}

pub(super) fn send_marked(domain: &Domain) -> Result<bool, Error> {
    let mut sender = domain.sender::<SampleMessage>(&domain.granted(GRANTED_NS)?.0)?;
    sender.set_when_full(WhenFull::Block { timeout_ns: PATIENCE_NS });
    for sequence in 0..MESSAGES {
        if sender.send(&marked(sequence)) != Ok(()) {
            return Ok(false);
        }
    }
    Ok(sender.finish(PATIENCE_NS) == Ok(()))
}

pub(super) fn send_anyway(domain: &Domain) -> Result<bool, Error> {
    let mut sender = domain.sender::<SampleMessage>(&domain.granted(GRANTED_NS)?.0)?;
    sender.set_when_full(WhenFull::Block { timeout_ns: GRANTED_NS });
    let _ = (0..MESSAGES).try_for_each(|sequence| sender.send(&marked(sequence)));
    Ok(true)
}

/// Takes what comes, until it has all that was marked, and has seen a lie.
pub(super) fn endure(domain: &Domain) -> Result<bool, Error> {
    let mut receiver = domain.receiver::<SampleMessage>(&domain.granted(GRANTED_NS)?.0)?;
    let (mut next, mut lies, deadline) = (0, 0, gate::now_ns() + PATIENCE_NS);
    while (next < MESSAGES || lies == 0) && gate::now_ns() < deadline {
        match receiver.recv_timeout(GRANTED_NS, |it| (it.sequence(), it.digest(), it.payload() == [7; 24])) {
            Ok((sequence, digest, is_whole)) if digest == sequence ^ MARK => {
                if sequence != next || !is_whole {
                    return Ok(false);
                }
                next += 1;
            }
            // Of who scribbles.
            Ok(_) => (),
            Err(RecvError::PeerMisbehaved(_) | RecvError::Malformed(_)) => lies += 1,
            // One of them has gone before the other one came.
            Err(RecvError::Disconnected | RecvError::DeadlinePassed) => {
                gate::give_way();
                ring::hear();
            }
            Err(_) => return Ok(false),
        }
    }
    Ok(next == MESSAGES && lies > 0)
}
