//! What a domain does with what its kernel says: before a reply, too late, too often, and never again.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod made_up;

use std::{
    io::Read,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
        mpsc,
    },
    thread,
    time::Duration,
};

use feuerbird_abi::{Call, NO_BINDING, Reason, Status, Upcall, UpcallKind};
use feuerbird_capability::Slot;
use feuerbird_channel::layout::Half;
use feuerbird_libos::{Error, Repossession};
use feuerbird_serialization::Plain;
use rustix::process::{Resource, getrlimit};

use made_up::*;

#[test]
fn what_is_told_about_a_binding_before_its_reply_is_acted_on_after_it_in_order() {
    let (domain, gate) = domain();
    let endpoint = domain.endpoint(terms()).unwrap();
    let number = next_number(&gate);
    gate.hold(Some(Call::Bind));
    let binding = {
        let (domain, endpoint) = (domain.clone(), endpoint.clone());
        thread::spawn(move || domain.sender::<Plain<u64>>(&endpoint).unwrap())
    };
    gate.until_called(Call::Bind, 1);
    let (_theirs, fd, bytes) = peer_half(Half::Consumer, 0);
    let telling = domain.clone();
    in_time(move || {
        telling.upcall(&joined(number, 1), None).unwrap();
        telling.upcall(&upcall(UpcallKind::Shared, &[number, 1, bytes]), Some(fd)).unwrap();
        telling.upcall(&joined(number, 2), None).unwrap();
        telling.upcall(&upcall(UpcallKind::PeerLeft, &[number, 2, Reason::Died as u64]), None).unwrap();
    });
    gate.hold(None);
    let mut sender = binding.join().unwrap();
    assert_eq!(sender.receivers(), 1);
    assert_eq!(gate.count(Call::Share), 1, "nothing is made for the peer that came and left unheard");
    assert_eq!(gate.count(Call::Delete), 0);
    sender.try_send(&1).unwrap();
}

#[test]
fn peers_that_come_and_go_while_a_reply_is_on_its_way_leave_nothing() {
    let (domain, gate) = domain();
    let endpoint = domain.endpoint(terms()).unwrap();
    let number = next_number(&gate);
    gate.hold(Some(Call::Bind));
    let binding = {
        let (domain, endpoint) = (domain.clone(), endpoint.clone());
        thread::spawn(move || domain.sender::<Plain<u64>>(&endpoint).unwrap())
    };
    gate.until_called(Call::Bind, 1);
    // A handle of each, of which none may stay: this process has no room for so many, or holds at most a few.
    for peer in 0..2 * getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX).min(4096) {
        let handle = gate.words.1.try_clone().unwrap();
        domain.upcall(&joined(number, peer), Some(handle)).unwrap();
        let left = upcall(UpcallKind::PeerLeft, &[number, peer, Reason::Unbound as u64]);
        domain.upcall(&left, None).unwrap();
    }
    let held = std::fs::read_dir("/proc/self/fd").unwrap().count();
    assert!(held < 1000, "{held} handles are kept");
    gate.hold(None);
    assert_eq!(binding.join().unwrap().receivers(), 0);
    assert_eq!(gate.count(Call::Share), 0);
}

#[test]
fn a_request_to_let_go_goes_with_its_binding() {
    let (domain, gate) = domain();
    let endpoint = domain.endpoint(terms()).unwrap();
    let (first, _one) = (next_number(&gate), domain.receiver::<Plain<u64>>(&endpoint).unwrap());
    let (second, two) = (next_number(&gate), domain.receiver::<Plain<u64>>(&endpoint).unwrap());
    let (release, released) = mpsc::channel::<()>();
    let released = Mutex::new(released);
    let handled = Arc::new(AtomicUsize::new(0));
    let counting = Arc::clone(&handled);
    domain.on_revocation(move |_| {
        counting.fetch_add(1, SeqCst);
        let _ = released.lock().unwrap().recv();
    });
    for binding in [first, second] {
        let asked = Upcall::new(UpcallKind::RevocationRequested, binding, &[binding, u64::MAX, 0]);
        domain.upcall(&asked, None).unwrap();
    }
    until(|| handled.load(SeqCst) == 1);
    drop(two);
    drop(release);
    gate.until_called(Call::Acknowledge, 1);
    thread::sleep(Duration::from_millis(20));
    assert_eq!((handled.load(SeqCst), gate.count(Call::Acknowledge)), (1, 1));
}

/// Asks to let go of what is mapped by the capability in a slot.
fn asked_for_slot(sequence: u64, slot: u64) -> Upcall {
    Upcall::new(UpcallKind::RevocationRequested, sequence, &[NO_BINDING, NO_BINDING, 9, slot, 4, 1])
}

#[test]
fn what_is_mapped_by_a_capability_is_let_go_at_once_or_when_the_handler_has_returned() {
    let (domain, gate) = domain();
    domain.upcall(&asked_for_slot(1, 7), None).unwrap();
    assert_eq!(gate.count(Call::Acknowledge), 1, "nobody wants to look after it");
    let (release, released) = mpsc::channel::<()>();
    let released = Mutex::new(released);
    let (began, begins) = mpsc::channel();
    domain.on_revocation(move |deadline| {
        began.send(deadline).unwrap();
        let _ = released.lock().unwrap().recv();
    });
    (2..=4).for_each(|slot| domain.upcall(&asked_for_slot(slot, slot), None).unwrap());
    assert_eq!(begins.recv_timeout(PATIENCE), Ok(9));
    assert_eq!(domain.upcall(&asked_for_slot(5, 4), None), Err(Error::Garbled), "one slot ends once");
    // What was taken by force meanwhile is nothing to look after any more.
    domain.upcall(&upcall(UpcallKind::Repossessed, &[NO_BINDING, 3, 4, 1]), None).unwrap();
    assert_eq!(gate.count(Call::Acknowledge), 1);
    drop(release);
    gate.until_called(Call::Acknowledge, 3);
    thread::sleep(Duration::from_millis(20));
    let calls = gate.calls.lock().unwrap();
    let acknowledged = calls.iter().filter(|(call, _)| *call == Call::Acknowledge).map(|(_, it)| it[0]);
    assert_eq!(acknowledged.collect::<Vec<_>>(), [1, 2, 4]);
}

#[test]
fn a_kernel_that_stands_still_holds_up_only_who_called_it() {
    let (domain, gate) = domain();
    let endpoint = domain.endpoint(terms()).unwrap();
    let number = next_number(&gate);
    let mut sender = domain.sender::<Plain<u64>>(&endpoint).unwrap();
    gate.hold(Some(Call::Bind));
    let binding = {
        let (domain, endpoint) = (domain.clone(), endpoint.clone());
        thread::spawn(move || domain.receiver::<Plain<u64>>(&endpoint).map(drop))
    };
    gate.until_called(Call::Bind, 2);
    let telling = domain.clone();
    in_time(move || telling.upcall(&joined(number, 1), None).unwrap());
    let (_theirs, fd, bytes) = peer_half(Half::Consumer, 0);
    let telling = domain.clone();
    in_time(move || telling.upcall(&upcall(UpcallKind::Shared, &[number, 1, bytes]), Some(fd)).unwrap());
    assert_eq!(sender.receivers(), 1);
    in_time(move || drop(sender));
    gate.hold(None);
    binding.join().unwrap().unwrap();
}

#[test]
fn what_came_early_for_nobody_is_dropped_with_its_handle() {
    let (domain, gate) = domain();
    let endpoint = domain.endpoint(terms()).unwrap();
    gate.hold(Some(Call::Bind));
    let binding = {
        let (domain, endpoint) = (domain.clone(), endpoint.clone());
        thread::spawn(move || domain.sender::<Plain<u64>>(&endpoint).err())
    };
    gate.until_called(Call::Bind, 1);
    let (reading, writing) = std::io::pipe().unwrap();
    let telling = domain.clone();
    in_time(move || telling.upcall(&joined(7, 1), Some(writing.into())).unwrap());
    *gate.refuses.lock().unwrap() = Some(Call::Bind);
    gate.hold(None);
    assert_eq!(binding.join().unwrap(), Some(Error::Refused(Status::QuotaExceeded)));
    let mut reading = reading;
    assert_eq!(in_time(move || reading.read(&mut [0]).unwrap()), 0, "the handle is closed");
}

#[test]
fn a_revocation_handler_that_takes_long_delays_nobody_and_one_that_panics_lets_go() {
    let (domain, gate) = domain();
    let endpoint = domain.endpoint(terms()).unwrap();
    let first = next_number(&gate);
    let _one = domain.receiver::<Plain<u64>>(&endpoint).unwrap();
    let second = next_number(&gate);
    let _two = domain.receiver::<Plain<u64>>(&endpoint).unwrap();
    let third = next_number(&gate);
    let mut sender = domain.sender::<Plain<u64>>(&endpoint).unwrap();
    let (release, released) = mpsc::channel::<()>();
    let released = Mutex::new(released);
    domain.on_revocation(move |deadline| {
        released.lock().unwrap_or_else(|error| error.into_inner()).recv().unwrap();
        assert_eq!(deadline, 5, "the first one panics");
    });
    let ask = |binding: u64, deadline: u64| {
        let told = Upcall::new(UpcallKind::RevocationRequested, binding, &[binding, u64::MAX, deadline]);
        let domain = domain.clone();
        in_time(move || domain.upcall(&told, None).unwrap());
    };
    ask(first, 4);
    ask(second, 5);
    // Both wait for the handler; a peer joins all the same.
    let (_theirs, fd, bytes) = peer_half(Half::Consumer, 0);
    let telling = domain.clone();
    in_time(move || {
        telling.upcall(&joined(third, 1), None).unwrap();
        telling.upcall(&upcall(UpcallKind::Shared, &[third, 1, bytes]), Some(fd)).unwrap();
    });
    assert_eq!(sender.receivers(), 1);
    assert_eq!(gate.count(Call::Acknowledge), 0, "nothing is let go before the handler has returned");
    release.send(()).unwrap();
    gate.until_called(Call::Acknowledge, 1);
    thread::sleep(Duration::from_millis(20));
    assert_eq!(gate.count(Call::Acknowledge), 1, "one after the other");
    release.send(()).unwrap();
    gate.until_called(Call::Acknowledge, 2);
    let calls = gate.calls.lock().unwrap();
    let acknowledged: Vec<_> =
        calls.iter().filter(|(call, _)| *call == Call::Acknowledge).map(|(_, it)| it[0]).collect();
    assert_eq!(acknowledged, [first, second]);
}

#[test]
fn a_handler_that_never_returns_does_not_keep_the_domain() {
    let (domain, gate) = domain();
    let endpoint = domain.endpoint(terms()).unwrap();
    let number = next_number(&gate);
    let receiver = domain.receiver::<Plain<u64>>(&endpoint).unwrap();
    let (began, begins) = mpsc::channel();
    domain.on_revocation(move |_| {
        began.send(()).unwrap();
        thread::sleep(Duration::from_secs(600));
    });
    let asked = Upcall::new(UpcallKind::RevocationRequested, 1, &[number, u64::MAX, 0]);
    domain.upcall(&asked, None).unwrap();
    begins.recv_timeout(PATIENCE).unwrap();
    let weak = domain.downgrade();
    drop((domain, endpoint, receiver));
    until(|| weak.upgrade().is_none());
}

#[test]
fn a_flood_of_news_is_kept_in_bounded_memory_and_what_is_lost_is_counted() {
    let (domain, _gate) = domain();
    for index in 1..=1500 {
        domain.upcall(&upcall(UpcallKind::Granted, &[index, 1, 0, 0, 0]), None).unwrap();
        domain.upcall(&upcall(UpcallKind::Repossessed, &[u64::MAX, index, 0, 0]), None).unwrap();
    }
    let missed = domain.missed();
    assert_eq!((missed.granted, missed.repossessed), (1500 - 1024, 1500 - 256));
    let granted: Vec<_> =
        std::iter::from_fn(|| domain.granted(0).ok()).map(|(_, granted)| granted.slot).collect();
    assert!(granted.iter().copied().eq((1500 - 1023..=1500).map(Slot::from_bits)), "the newest, in order");
    let taken = domain.repossessed();
    assert!(taken.iter().copied().eq(
        (1500 - 255..=1500).map(|index| Repossession { binding: u64::MAX, slot: Slot::from_bits(index) })
    ));
}

#[test]
fn a_wait_for_a_grant_ends_with_the_kernel_and_not_before_what_it_granted() {
    let (domain, _gate) = domain();
    let waiting = domain.clone();
    let (said, says) = mpsc::channel();
    thread::spawn(move || {
        for _ in 0..3 {
            said.send(waiting.granted(u64::MAX).map(|(_, granted)| granted.slot)).unwrap();
        }
    });
    for index in [1, 2] {
        domain.upcall(&upcall(UpcallKind::Granted, &[index, 1, 0, 0, 0]), None).unwrap();
    }
    domain.kernel_gone();
    let said: Vec<_> = (0..3).map(|_| says.recv_timeout(PATIENCE).expect("it hangs")).collect();
    assert_eq!(said, [Ok(Slot::from_bits(1)), Ok(Slot::from_bits(2)), Err(Error::KernelGone)]);
}
