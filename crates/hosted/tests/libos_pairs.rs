//! What a domain does with pairs that come to a lane, and with those that come to none.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod made_up;

use std::{sync::atomic::Ordering::SeqCst, thread, time::Duration};

use feuerbird_abi::{Call, Reason, Status, UNHEARD_OF, Upcall, UpcallKind};
use feuerbird_channel::{AttachError, Lie, RecvError, SendError, layout::Half};
use feuerbird_hosted::os::memory::WriterMemory;
use feuerbird_libos::Error;
use feuerbird_numa::{NodeId, Placement};
use feuerbird_serialization::Plain;
use feuerbird_zero_copy::WriteRegion;

use made_up::*;

#[test]
fn a_pair_that_comes_to_nothing_is_told_to_the_endpoint_whatever_it_failed_by() {
    let (domain, gate) = domain();
    let endpoint = domain.endpoint(terms()).unwrap();
    let number = next_number(&gate);
    let mut sender = domain.sender::<Plain<u64>>(&endpoint).unwrap();
    *gate.refuses.lock().unwrap() = Some(Call::Share);
    assert_eq!(domain.upcall(&joined(number, 1), None), Err(Error::Refused(Status::QuotaExceeded)));
    assert_eq!(sender.send(&1), Err(SendError::Disconnected));
    *gate.refuses.lock().unwrap() = None;
    domain.upcall(&joined(number, 2), None).unwrap();
    let (_theirs, _, bytes) = peer_half(Half::Consumer, 0);
    let lost_on_its_way = upcall(UpcallKind::Shared, &[number, 2, bytes]);
    assert_eq!(domain.upcall(&lost_on_its_way, None), Err(Error::Garbled));
    assert_eq!(sender.send(&1), Err(SendError::Disconnected));
    assert_eq!(gate.count(Call::Delete), 2, "our halves are of no use");
    assert_eq!(
        gate.arguments(Call::Part),
        [[number, 1], [number, 2]],
        "the peers hear that they wait for nobody"
    );
    let late = upcall(UpcallKind::PeerLeft, &[number, 2, Reason::Died as u64]);
    assert_eq!((domain.upcall(&late, None), sender.try_send(&1)), (Ok(()), Err(SendError::Disconnected)));
    assert_eq!(gate.count(Call::Part), 2, "once for each");
}

#[test]
fn a_lane_that_carries_is_not_ended_by_a_second_sharing_that_lost_its_memory() {
    let (domain, gate) = domain();
    let endpoint = domain.endpoint(terms()).unwrap();
    let number = next_number(&gate);
    let mut sender = domain.sender::<Plain<u64>>(&endpoint).unwrap();
    domain.upcall(&joined(number, 1), None).unwrap();
    let (_theirs, fd, bytes) = peer_half(Half::Consumer, 0);
    let shared = upcall(UpcallKind::Shared, &[number, 1, bytes]);
    domain.upcall(&shared, Some(fd)).unwrap();
    assert_eq!(domain.upcall(&shared, None), Ok(()));
    sender.try_send(&1).unwrap();
    assert_eq!(gate.count(Call::Part), 0);
}

#[test]
fn who_waits_for_a_peer_that_leaves_before_there_is_a_lane_hears_of_it() {
    let (domain, gate) = domain();
    let endpoint = domain.endpoint(terms()).unwrap();
    for (reason, told) in [(Reason::Unbound, SendError::Disconnected), (Reason::Revoked, SendError::Revoked)]
    {
        let number = next_number(&gate);
        let mut sender = domain.sender::<Plain<u64>>(&endpoint).unwrap();
        domain.upcall(&joined(number, 1), None).unwrap();
        let waiting = thread::spawn(move || sender.send(&1));
        thread::sleep(Duration::from_millis(20));
        domain.upcall(&upcall(UpcallKind::PeerLeft, &[number, 1, reason as u64]), None).unwrap();
        assert_eq!(in_time(move || waiting.join().unwrap()), Err(told));
    }
    assert_eq!(gate.count(Call::Delete), 2, "our halves are of no use");
    assert_eq!(gate.count(Call::Part), 0, "the kernel knows");
}

#[test]
fn who_left_unheard_of_is_gone_and_who_is_coming_is_not() {
    let (domain, gate) = domain();
    let endpoint = domain.endpoint(terms()).unwrap();
    let number = next_number(&gate);
    let mut sender = domain.sender::<Plain<u64>>(&endpoint).unwrap();
    let left = |reason| upcall(UpcallKind::PeerLeft, &[number, UNHEARD_OF, reason as u64]);
    domain.upcall(&left(Reason::Died), None).unwrap();
    assert_eq!(sender.try_send(&1), Err(SendError::Disconnected));
    domain.upcall(&joined(number, 1), None).unwrap();
    domain.upcall(&left(Reason::Died), None).unwrap();
    assert_eq!(sender.try_send(&1), Err(SendError::Full), "the lane is being made");
    let (_theirs, fd, bytes) = peer_half(Half::Consumer, 0);
    domain.upcall(&upcall(UpcallKind::Shared, &[number, 1, bytes]), Some(fd)).unwrap();
    sender.try_send(&1).unwrap();

    let number = next_number(&gate);
    let mut receiver = domain.receiver::<Plain<u64>>(&endpoint).unwrap();
    domain.upcall(&joined(number, 2), None).unwrap();
    domain.upcall(&upcall(UpcallKind::PeerLeft, &[number, UNHEARD_OF, 1]), None).unwrap();
    assert_eq!(receiver.try_recv(|value| value), Err(RecvError::Empty));
    domain.upcall(&upcall(UpcallKind::PeerLeft, &[number, 2, 1]), None).unwrap();
    assert_eq!(receiver.try_recv(|value| value), Err(RecvError::Disconnected));
}

#[test]
fn a_peer_that_wishes_for_what_there_is_not_is_told_and_told_of() {
    let (domain, gate) = domain();
    let endpoint = domain.endpoint(terms()).unwrap();
    let number = next_number(&gate);
    let mut sender = domain.sender::<Plain<u64>>(&endpoint).unwrap();
    let joined = upcall(UpcallKind::PeerJoined, &[number, 1, 0, 0xff, 1, 1]);
    assert_eq!(domain.upcall(&joined, None), Err(Error::Garbled));
    assert_eq!(gate.arguments(Call::Part), [[number, 1]]);
    assert_eq!(sender.try_send(&1), Err(SendError::PeerMisbehaved(Lie::Header)));
    assert_eq!(sender.statistics().misbehaved, 1);
}

#[test]
fn what_is_owed_is_not_more_than_what_is_there() {
    let (domain, gate) = domain();
    let endpoint = domain.endpoint(terms()).unwrap();
    let number = next_number(&gate);
    let _sender = domain.sender::<Plain<u64>>(&endpoint).unwrap();
    *gate.without_room.lock().unwrap() = usize::MAX;
    for peer in 0..1000 {
        let _cannot_share = domain.upcall(&joined(number, peer), None);
        domain.upcall(&upcall(UpcallKind::PeerLeft, &[number, peer, 1]), None).unwrap();
    }
    let _stays = domain.upcall(&joined(number, 1000), None);
    *gate.without_room.lock().unwrap() = 0;
    until(|| gate.said(Call::Part) > 0);
    thread::sleep(Duration::from_millis(50));
    assert!(gate.said(Call::Part) <= 2, "one, and one that was being said when its peer left");
}

#[test]
fn what_has_no_room_on_the_way_to_the_kernel_is_said_later_and_nobody_waits_for_it() {
    let (domain, gate) = domain();
    let endpoint = domain.endpoint(terms()).unwrap();
    let number = next_number(&gate);
    let sender = domain.sender::<Plain<u64>>(&endpoint).unwrap();
    domain.upcall(&joined(number, 1), None).unwrap();
    *gate.without_room.lock().unwrap() = usize::MAX;
    in_time(move || drop(sender));
    assert!(domain.receiver::<Plain<u64>>(&endpoint).is_err());
    assert_eq!((gate.count(Call::Bind), gate.count(Call::Delete)), (2, 1));
    *gate.without_room.lock().unwrap() = 0;
    until(|| gate.said(Call::Unbind) == 1 && gate.said(Call::Delete) == 1);
    thread::sleep(Duration::from_millis(30));
    assert_eq!((gate.said(Call::Unbind), gate.said(Call::Delete)), (1, 1), "once");
    // What was let go is answered for as well.
    let number = next_number(&gate);
    let sender = domain.sender::<Plain<u64>>(&endpoint).unwrap();
    *gate.without_room.lock().unwrap() = 3;
    let asked = Upcall::new(UpcallKind::RevocationRequested, 77, &[number, u64::MAX, 0]);
    domain.upcall(&asked, None).unwrap();
    until(|| gate.said(Call::Acknowledge) == 1);
    // And nobody is kept alive by what it owes.
    *gate.without_room.lock().unwrap() = usize::MAX;
    drop(sender);
    let weak = domain.downgrade();
    drop((domain, endpoint));
    until(|| weak.upgrade().is_none());
}

#[test]
fn a_region_made_for_a_binding_that_was_dropped_meanwhile_is_deleted() {
    let (domain, gate) = domain();
    let endpoint = domain.endpoint(terms()).unwrap();
    let number = next_number(&gate);
    let sender = domain.sender::<Plain<u64>>(&endpoint).unwrap();
    gate.hold(Some(Call::RegisterRegion));
    let telling = domain.clone();
    let joining = thread::spawn(move || telling.upcall(&joined(number, 1), None).unwrap());
    gate.until_called(Call::RegisterRegion, 1);
    drop(sender);
    let region = next_number(&gate);
    gate.hold(None);
    joining.join().unwrap();
    assert_eq!(gate.count(Call::Share), 0);
    let calls = gate.calls.lock().unwrap();
    let deleted = calls.iter().find(|(call, _)| *call == Call::Delete).map(|(_, arguments)| arguments[0]);
    assert_eq!(deleted, Some(region));
}

#[test]
fn only_memory_that_is_waited_for_and_of_the_exact_size_is_mapped() {
    let (domain, gate) = domain();
    let endpoint = domain.endpoint(terms()).unwrap();
    let number = next_number(&gate);
    let mut sender = domain.sender::<Plain<u64>>(&endpoint).unwrap();
    let mapped = || gate.mapped.load(SeqCst) - 1;
    let share = |peer: u64, more: usize| {
        let (writer, fd, bytes) = peer_half(Half::Consumer, more);
        let shared = domain.upcall(&upcall(UpcallKind::Shared, &[number, peer, bytes]), Some(fd));
        (shared, writer)
    };
    assert_eq!(share(1, 0).0, Ok(()), "from nobody");
    assert_eq!(mapped(), 0);
    domain.upcall(&joined(number, 1), None).unwrap();
    assert_eq!(share(1, 1).0, Err(Error::PeerMemory), "one page more");
    assert_eq!(mapped(), 0);
    assert_eq!(share(1, 0).0, Ok(()), "a second try is not waited for");
    assert_eq!(mapped(), 0);
    assert_eq!(sender.try_send(&1), Err(SendError::PeerMisbehaved(Lie::Header)));
    assert_eq!(gate.count(Call::Delete), 1, "our half is of no use");

    domain.upcall(&joined(number, 2), None).unwrap();
    let (shared, _theirs) = share(2, 0);
    assert_eq!((shared, mapped()), (Ok(()), 1));
    assert_eq!((share(2, 0).0, mapped()), (Ok(()), 1), "twice");
    sender.try_send(&1).unwrap();
}

#[test]
fn memory_that_was_withdrawn_before_a_lane_was_made_of_it_is_held_against_nobody() {
    let (domain, gate) = domain();
    let endpoint = domain.endpoint(terms()).unwrap();
    let number = next_number(&gate);
    let mut receiver = domain.receiver::<Plain<u64>>(&endpoint).unwrap();
    domain.upcall(&joined(number, 1), None).unwrap();
    let (_, _, bytes) = peer_half(Half::Producer, 0);
    let withdrawn = WriterMemory::create("zeroes", bytes as usize).unwrap();
    gate.words.0.writable().iter().for_each(|word| word.store(2, SeqCst));
    let shared = domain.upcall(&upcall(UpcallKind::Shared, &[number, 1, bytes]), Some(withdrawn.1));
    assert_eq!(shared, Err(Error::Attach(AttachError::Ended)));
    assert_eq!(receiver.try_recv(|value| value), Err(RecvError::Empty), "why is not known yet");
    domain.upcall(&upcall(UpcallKind::Repossessed, &[number, 0]), None).unwrap();
    assert_eq!(receiver.try_recv(|value| value), Err(RecvError::Revoked));
    assert_eq!(receiver.statistics().misbehaved, 0);
}

#[test]
fn a_sender_that_was_revoked_before_it_became_a_lane_is_told_to_the_receiver_as_that() {
    let (domain, gate) = domain();
    let endpoint = domain.endpoint(terms()).unwrap();
    let number = next_number(&gate);
    let mut receiver = domain.receiver::<Plain<u64>>(&endpoint).unwrap();
    domain.upcall(&joined(number, 1), None).unwrap();
    let left = upcall(UpcallKind::PeerLeft, &[number, 1, Reason::Revoked as u64]);
    domain.upcall(&left, None).unwrap();
    assert_eq!(receiver.try_recv(|value| value), Err(RecvError::Revoked));
}

#[test]
fn a_sender_that_never_became_a_lane_is_told_to_the_receiver() {
    let (domain, gate) = domain();
    let endpoint = domain.endpoint(terms()).unwrap();
    let number = next_number(&gate);
    let mut receiver = domain.receiver::<Plain<u64>>(&endpoint).unwrap();
    domain.upcall(&joined(number, 1), None).unwrap();
    let (_, _, bytes) = peer_half(Half::Producer, 0);
    let empty = WriterMemory::create("no header", bytes as usize).unwrap();
    let shared = domain.upcall(&upcall(UpcallKind::Shared, &[number, 1, bytes]), Some(empty.1));
    assert!(matches!(shared, Err(Error::Attach(_))), "{shared:?}");
    assert_eq!(receiver.try_recv(|value| value), Err(RecvError::PeerMisbehaved(Lie::Header)));
    assert_eq!(receiver.statistics().misbehaved, 1);
    assert_eq!(receiver.try_recv(|value| value), Err(RecvError::Disconnected), "told once");

    // Where the fault is ours there is nobody to blame, and nobody to wait for either.
    *gate.refuses.lock().unwrap() = Some(Call::RegisterRegion);
    let number = next_number(&gate);
    let mut sender = domain.sender::<Plain<u64>>(&endpoint).unwrap();
    assert_eq!(domain.upcall(&joined(number, 2), None), Err(Error::Refused(Status::QuotaExceeded)));
    assert_eq!(sender.send(&1), Err(SendError::Disconnected));
}

#[test]
fn a_lane_lies_near_the_thread_that_bound_and_not_near_the_one_that_makes_lanes() {
    let (domain, gate) = domain();
    let endpoint = domain.endpoint(terms()).unwrap();
    let near = |node| NodeId::new(node).map(Placement::Nearest);
    let number = next_number(&gate);
    HERE.set(near(2));
    let _sender = domain.sender::<Plain<u64>>(&endpoint).unwrap();
    HERE.set(near(1));
    let _region = domain.region(PAGE).unwrap();
    let upcalls = domain.clone();
    thread::spawn(move || {
        HERE.set(near(7));
        upcalls.upcall(&joined(number, 1), None).unwrap();
    })
    .join()
    .unwrap();
    assert_eq!(*gate.placed.lock().unwrap(), [near(1), near(2)]);
}

/// A receiver goes while something comes along for it, and another one is being bound: nobody else would ever delete it.
#[test]
fn what_came_along_for_a_binding_that_is_gone_is_deleted() {
    let (domain, gate) = domain();
    let endpoint = domain.endpoint(terms()).unwrap();
    let along = |binding, slot| upcall(UpcallKind::GrantedAlong, &[binding, 1, 1, 0, slot, 4]);
    domain.upcall(&along(70, 0x1_0000_0007), None).unwrap();
    let deleted = || gate.arguments(Call::Delete).into_iter().map(|it| it[0]).collect::<Vec<_>>();
    assert_eq!(deleted(), [0x1_0000_0007], "no binding is being made");
    gate.hold(Some(Call::Bind));
    thread::scope(|scope| {
        let binding = scope.spawn(|| domain.receiver::<Plain<u64>>(&endpoint).map(drop));
        gate.until_called(Call::Bind, 1);
        domain.upcall(&along(70, 0x1_0000_0008), None).unwrap();
        assert_eq!(deleted().len(), 1, "it may be the new one's");
        gate.hold(None);
        binding.join().unwrap().unwrap();
    });
    assert_eq!(deleted(), [0x1_0000_0007, 0x1_0000_0008]);
}

/// What comes along for a peer's messages goes with the lane, and with a peer that came to none.
#[test]
fn what_came_along_and_was_not_read_goes_with_the_pair() {
    let (domain, gate) = domain();
    let endpoint = domain.endpoint(terms()).unwrap();
    let number = next_number(&gate);
    let receiver = domain.receiver::<Plain<u64>>(&endpoint).unwrap();
    let along = |peer, slot| upcall(UpcallKind::GrantedAlong, &[number, peer, 1, 0, slot, 4]);
    let deleted = |slot| gate.arguments(Call::Delete).iter().any(|it| it[0] == slot);
    for peer in [1, 2] {
        domain.upcall(&joined(number, peer), None).unwrap();
        domain.upcall(&along(peer, 0x1_0000_0040 + peer), None).unwrap();
    }
    let (_theirs, fd, bytes) = peer_half(Half::Producer, 0);
    domain.upcall(&upcall(UpcallKind::Shared, &[number, 1, bytes]), Some(fd)).unwrap();
    assert!(!deleted(0x1_0000_0041) && !deleted(0x1_0000_0042));
    for peer in [1, 2] {
        domain.upcall(&upcall(UpcallKind::PeerLeft, &[number, peer, Reason::Unbound as u64]), None).unwrap();
    }
    assert!(!deleted(0x1_0000_0041), "a message of its may still be read");
    assert!(deleted(0x1_0000_0042), "it never came to a lane");
    drop(receiver);
    assert!(deleted(0x1_0000_0041));
}
