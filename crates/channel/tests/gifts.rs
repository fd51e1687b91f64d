//! Capabilities beside messages, over a kernel that is a table.
#![cfg(not(loom))]
#![allow(clippy::unwrap_used)] // a test may unwrap

mod support;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use feuerbird_capability::{Badge, Rights, Slot, Trust};
use feuerbird_channel::{
    Arriving, Consumer, Gift, GrantError, Granter, HeapHome, LaneIn, LaneOut, Lie, MAX_GIFTS, Overflow,
    Receiver, RecvError, SendError, Sender, Terms, Validity, WhenFull, layout::Stamp,
};
use feuerbird_serialization::Plain;
use feuerbird_zero_copy::{WriteRegion, sync::Ordering};
use support::{Halves, halves, lane};

/// What one receiver was granted, deletes, and how its kernel refuses.
#[derive(Debug, Default)]
struct Space {
    granted: Mutex<BTreeMap<u64, Vec<Slot>>>,
    deleted: Mutex<Vec<Slot>>,
    refusal: Mutex<Option<GrantError>>,
}

/// Both ends' way to it.
#[derive(Clone, Debug, Default)]
struct Kernel(Arc<Space>);

impl Granter for Kernel {
    fn grant(&mut self, token: u64, gifts: &[Gift]) -> Result<(), GrantError> {
        if let Some(refusal) = *self.0.refusal.lock().unwrap() {
            return Err(refusal);
        }
        let slots = gifts.iter().map(|gift| gift.slot).collect();
        assert_eq!(self.0.granted.lock().unwrap().insert(token, slots), None, "a token is used once");
        Ok(())
    }

    fn take(&mut self, token: u64, count: usize, is_wanted: bool) -> Vec<Slot> {
        let mut slots = self.0.granted.lock().unwrap().remove(&token).unwrap_or_default();
        if !is_wanted {
            self.0.deleted.lock().unwrap().append(&mut slots);
        }
        slots.resize(count, Slot::NULL);
        slots
    }

    fn delete(&mut self, slots: &[Slot]) {
        self.0.deleted.lock().unwrap().extend(slots);
    }
}

type Message = Plain<[u64; 8]>;
type Coming<L> = Arc<Arriving<L>>;

struct Ends {
    sender: Sender<Message, HeapHome>,
    receiver: Receiver<Message, HeapHome>,
    outgoing: Coming<LaneOut<HeapHome>>,
    kernel: Kernel,
}

fn slot(index: u32) -> Slot {
    Slot { index, generation: 1 }
}

fn gift(index: u32) -> Gift {
    Gift { slot: slot(index), rights: Rights::SEND, trust: Trust::USER, badge: Badge::NONE }
}

fn ends(terms: Terms, trust: Trust) -> Ends {
    let kernel = Kernel::default();
    let (producer, consumer) = lane(terms);
    let (outgoing, arriving) = (Arc::default(), Arc::default());
    let sender = Sender::new(HeapHome, Validity::unconditional(), Arc::clone(&outgoing));
    let receiver = Receiver::new(HeapHome, Validity::unconditional(), Arc::clone(&arriving));
    outgoing.push(LaneOut::new(producer, trust, terms).with_granter(Box::new(kernel.clone())));
    arriving.push(LaneIn::new(consumer, trust, terms).with_granter(Box::new(kernel.clone())));
    Ends { sender, receiver, outgoing, kernel }
}

/// Messages in their slots and in buffers, in every layer, in place too.
#[test]
fn what_goes_beside_a_message_comes_with_it() {
    for (bytes, level) in [(120, 0), (120, 8), (120, 15), (1000, 0), (1000, 8), (1000, 15)] {
        let terms = Terms::new(bytes, 4).unwrap();
        let Ends { mut sender, mut receiver, kernel, .. } = ends(terms, Trust::new(level).unwrap());
        for round in 0..20_u64 {
            sender.send(&[round; 8]).unwrap();
            sender.send_with(&[!round; 8], &[gift(1), gift(2)]).unwrap();
            assert_eq!(receiver.recv_with(0, |it, slots| (it, slots.to_vec())), Ok(([round; 8], vec![])));
            let both = vec![slot(1), slot(2)];
            assert_eq!(receiver.recv_with(0, |it, slots| (it, slots.to_vec())), Ok(([!round; 8], both)));
        }
        assert!(kernel.0.deleted.lock().unwrap().is_empty(), "they are the program's");
        assert_eq!(sender.finish(0), Ok(()));
    }
}

#[test]
fn messages_read_in_place_have_theirs_too() {
    let terms = Terms::new(120, 4).unwrap();
    let kernel = Kernel::default();
    let (producer, mut consumer) = lane(terms);
    // SAFETY: the producer is that of this crate.
    unsafe { consumer.trust_producer() };
    let (outgoing, arriving) = (Arc::default(), Arc::default());
    let mut sender = Sender::<Message, _>::new(HeapHome, Validity::unconditional(), Arc::clone(&outgoing));
    let mut receiver =
        Receiver::<Message, _>::new(HeapHome, Validity::unconditional(), Arc::clone(&arriving));
    outgoing.push(LaneOut::new(producer, Trust::KERNEL, terms).with_granter(Box::new(kernel.clone())));
    arriving.push(LaneIn::new(consumer, Trust::KERNEL, terms).with_granter(Box::new(kernel)));
    sender.send_with(&[5; 8], &[gift(3)]).unwrap();
    assert_eq!(receiver.recv_with(0, |it, slots| (it, slots.to_vec())), Ok(([5; 8], vec![slot(3)])));
    assert_eq!((receiver.statistics().copies_avoided, receiver.statistics().copies_made), (1, 0));
}

#[test]
fn who_does_not_want_them_has_them_deleted() {
    let Ends { mut sender, mut receiver, kernel, .. } = ends(Terms::new(120, 4).unwrap(), Trust::USER);
    sender.send_with(&[1; 8], &[gift(1), gift(2)]).unwrap();
    assert_eq!(receiver.recv(|it| it), Ok([1; 8]));
    assert_eq!(*kernel.0.deleted.lock().unwrap(), [slot(1), slot(2)]);
}

#[test]
fn what_was_taken_back_is_a_slot_that_holds_nothing() {
    let Ends { mut sender, mut receiver, kernel, .. } = ends(Terms::new(120, 4).unwrap(), Trust::USER);
    sender.send_with(&[1; 8], &[gift(1)]).unwrap();
    kernel.0.granted.lock().unwrap().clear();
    assert_eq!(receiver.recv_with(0, |_, slots| slots.to_vec()), Ok(vec![Slot::NULL]));
}

#[test]
fn nothing_is_sent_that_was_not_granted() {
    let Ends { mut sender, mut receiver, kernel, .. } = ends(Terms::new(120, 4).unwrap(), Trust::USER);
    let refuse = |error: Option<GrantError>| *kernel.0.refusal.lock().unwrap() = error;
    sender.set_when_full(WhenFull::Return);
    for error in [GrantError::NoCapability, GrantError::Denied] {
        refuse(Some(error));
        assert_eq!(sender.send_with(&[1; 8], &[gift(1)]), Err(SendError::Ungranted(error)));
    }
    for error in [GrantError::NoRoom, GrantError::Over] {
        refuse(Some(error));
        assert_eq!(sender.send_with(&[1; 8], &[gift(1)]), Err(SendError::Full), "{error:?}");
    }
    refuse(None);
    let many = [gift(1); MAX_GIFTS + 1];
    assert_eq!(sender.send_with(&[1; 8], &many), Err(SendError::Ungranted(GrantError::TooMany)));
    assert_eq!(receiver.try_recv(|it| it), Err(RecvError::Empty));
    sender.send_with(&[2; 8], &[]).unwrap();
    sender.send_with(&[3; 8], &many[1..]).unwrap();
    assert_eq!(receiver.try_recv(|it| it), Ok([2; 8]));
    // So many are on their way already.
    assert_eq!(sender.send_with(&[4; 8], &many[..1]), Err(SendError::Full));
    sender.send(&[5; 8]).unwrap();
    assert_eq!(receiver.recv_with(0, |it, slots| (it[0], slots.len())), Ok((3, MAX_GIFTS)));
    sender.send_with(&[6; 8], &many[..1]).unwrap();
    assert_eq!(
        [(); 2].map(|()| receiver.recv_with(0, |it, slots| (it[0], slots.len()))),
        [Ok((5, 0)), Ok((6, 1))]
    );
}

#[test]
fn a_message_and_its_tail_have_room_or_are_refused() {
    let Ends { mut sender, receiver: _receiver, .. } = ends(Terms::new(64, 4).unwrap(), Trust::KERNEL);
    sender.send(&[1; 8]).unwrap();
    assert_eq!(sender.send_with(&[1; 8], &[gift(1)]), Err(SendError::TooLarge));
}

/// What a receiver left is granted again to whoever takes the message, in order and in that one's layer.
#[test]
fn what_a_receiver_leaves_is_granted_to_the_next() {
    let terms = Terms::new(1000, 4).unwrap();
    for (before, after) in [(Trust::USER, Trust::USER), (Trust::USER, Trust::LIBOS)] {
        let Ends { mut sender, mut receiver, outgoing, kernel } = ends(terms, before);
        sender.send_with(&[1; 8], &[gift(1)]).unwrap();
        sender.send(&[2; 8]).unwrap();
        sender.send_with(&[3; 8], &[gift(3), gift(4)]).unwrap();
        assert_eq!(receiver.recv_with(0, |it, slots| (it[0], slots.to_vec())), Ok((1, vec![slot(1)])));
        drop(receiver);
        let (producer, consumer) = lane(terms);
        let (next, arriving) = (Kernel::default(), Arc::new(Arriving::new()));
        outgoing.push(LaneOut::new(producer, after, terms).with_granter(Box::new(next.clone())));
        arriving.push(LaneIn::new(consumer, after, terms).with_granter(Box::new(next.clone())));
        let mut receiver = Receiver::<Message, _>::new(HeapHome, Validity::unconditional(), arriving);
        assert_eq!(sender.receivers(), 1);
        sender.send(&[5; 8]).unwrap();
        let mut take = || receiver.recv_with(0, |it, slots| (it[0], slots.to_vec())).unwrap();
        assert_eq!([take(), take(), take()], [(2, vec![]), (3, vec![slot(3), slot(4)]), (5, vec![])]);
        assert_eq!(kernel.0.granted.lock().unwrap().len(), 1, "what was granted to the first one stays");
        assert_eq!((sender.statistics().redelivered, sender.finish(0)), (2, Ok(())));
    }
}

/// A message whose capabilities are gone by then goes to nobody, and is counted.
#[test]
fn what_can_not_be_granted_again_is_not_delivered_without() {
    let terms = Terms::new(120, 4).unwrap();
    let Ends { mut sender, receiver, outgoing, .. } = ends(terms, Trust::USER);
    sender.send_with(&[1; 8], &[gift(1)]).unwrap();
    drop(receiver);
    let (producer, mut consumer) = lane(terms);
    let next = Kernel::default();
    *next.0.refusal.lock().unwrap() = Some(GrantError::NoCapability);
    outgoing.push(LaneOut::new(producer, Trust::USER, terms).with_granter(Box::new(next)));
    assert_eq!(sender.receivers(), 1);
    assert_eq!(sender.finish(0), Err(SendError::Ungranted(GrantError::NoCapability)));
    assert_eq!((sender.statistics().undelivered, sender.finish(0)), (1, Ok(())));
    assert_eq!(consumer.take_into(&mut [0; 120]), Ok(None));
}

/// What this side may not grant any more holds nothing up: neither a lane that is full, nor one that may still come.
#[test]
fn what_can_not_be_granted_again_holds_nothing_up() {
    let terms = Terms::new(120, 4).unwrap();
    let Ends { mut sender, receiver, outgoing, .. } = ends(terms, Trust::USER);
    let _coming = outgoing.expect();
    sender.send_with(&[1; 8], &[gift(1)]).unwrap();
    drop(receiver);
    let (producer, mut consumer) = lane(terms);
    let next = Kernel::default();
    *next.0.refusal.lock().unwrap() = Some(GrantError::Denied);
    outgoing.push(LaneOut::new(producer, Trust::USER, terms).with_granter(Box::new(next)));
    assert_eq!(sender.receivers(), 1);
    sender.set_when_full(WhenFull::Return);
    assert_eq!(sender.send(&[2; 8]), Ok(()));
    assert_eq!(sender.statistics().undelivered, 1);
    assert!(consumer.take_into(&mut [0; 120]).unwrap().is_some());
}

/// A message whose handler panics keeps nothing, and neither does one that is refused.
#[test]
fn what_came_beside_a_message_that_nobody_got_is_deleted() {
    let Ends { mut sender, mut receiver, kernel, .. } = ends(Terms::new(120, 4).unwrap(), Trust::USER);
    sender.send_with(&[1; 8], &[gift(1)]).unwrap();
    let panicking =
        std::panic::AssertUnwindSafe(|| receiver.recv_with(0, |_, _| -> () { panic!("handler") }));
    assert!(std::panic::catch_unwind(panicking).is_err());
    assert_eq!(*kernel.0.deleted.lock().unwrap(), [slot(1)]);
}

#[test]
fn where_nobody_grants_or_messages_are_dropped_nothing_goes_beside_them() {
    let elsewhere = Err(SendError::Ungranted(GrantError::Elsewhere));
    let dropping = Terms::new(120, 4).unwrap().overflow(Overflow::DropOldest);
    let Ends { mut sender, receiver: _receiver, .. } = ends(dropping, Trust::USER);
    assert_eq!(sender.send_with(&[1; 8], &[gift(1)]), elsewhere);
    let (mut sender, _receiver) = feuerbird_channel::local::<Message, _>(HeapHome, 120, 4);
    assert_eq!(sender.send_with(&[1; 8], &[gift(1)]), elsewhere);
}

/// A sender that says capabilities where there are none, or too many, or does not say which.
#[test]
fn a_tail_that_can_not_be_ends_the_lane() {
    let terms = Terms::new(120, 4).unwrap();
    let tail = |count: u64| [7_u64.to_le_bytes(), count.to_le_bytes()].concat();
    let lies = [vec![0; 8], tail(0), tail(MAX_GIFTS as u64 + 1), tail(u64::MAX)];
    for (index, bytes) in lies.into_iter().enumerate() {
        let mut receiver = liar(terms, &bytes, true);
        assert_eq!(receiver.try_recv(|it| it), Err(RecvError::PeerMisbehaved(Lie::Gifts)), "lie {index}");
        assert_eq!(receiver.try_recv(|it| it), Err(RecvError::Disconnected));
    }
    let honest = [&[0; 64][..], &tail(1)].concat();
    let mut receiver = liar(terms, &honest, false);
    assert_eq!(receiver.try_recv(|it| it), Err(RecvError::PeerMisbehaved(Lie::Gifts)), "nobody grants here");
    let mut receiver = liar(terms, &honest, true);
    assert_eq!(receiver.recv_with(0, |_, slots| slots.to_vec()), Ok(vec![Slot::NULL]));
}

/// A receiver whose sender has published these bytes as a message with capabilities beside it.
fn liar(terms: Terms, bytes: &[u8], grants: bool) -> Receiver<Message, HeapHome> {
    let Halves { layout, out, out_view, back, .. } = halves(terms);
    out.copy_in(layout.slot_bytes(0), bytes);
    let stamp = Stamp::new(0, bytes.len(), false).with_gifts();
    out.writable()[layout.stamp_word(0)].store(stamp.0, Ordering::Release);
    let consumer =
        Consumer::attach(HeapHome, terms, back, out_view, Validity::unconditional(), None).unwrap();
    let arriving = Arc::new(Arriving::new());
    let lane = LaneIn::new(consumer, Trust::KERNEL, terms);
    arriving.push(if grants { lane.with_granter(Box::new(Kernel::default())) } else { lane });
    Receiver::new(HeapHome, Validity::unconditional(), arriving)
}
