//! Bindings: who meets whom, with which trust, under which contract, and how a meeting ends.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod world;

use feuerbird_abi::{
    Along, AuditKind, CONTRACT_BYTES, Call, GRANTS_ALONG, Reason, Role, Status, UNHEARD_OF, UpcallKind,
};
use feuerbird_capability::{ObjectKind, Rights, Trust};
use feuerbird_exokernel::Limits;
use feuerbird_exokernel::fake::FakeHandle;
use world::{CONTRACT, Meeting, World, values};
use zerocopy::IntoBytes;

#[test]
fn both_sides_are_told_of_each_other() {
    let meeting = Meeting::new();
    let (sender, receiver) = (&meeting.at_sender, &meeting.at_receiver);
    assert_eq!(sender.binding, meeting.sending.number);
    assert_eq!(receiver.binding, meeting.receiving.number);
    assert_eq!((sender.terms, receiver.terms), (6, 5));
    assert_eq!((meeting.sending.terms, meeting.receiving.terms), (77, 77));
    assert_eq!(sender.death, Some(FakeHandle::Death(meeting.receiver.id)));
    assert_eq!(receiver.death, Some(FakeHandle::Death(meeting.sender.id)));
    assert!(meeting.is_valid());
    let word = meeting.world.kernel.machine().word(meeting.sender.id, meeting.sending.word);
    assert_eq!(word, meeting.sending.value);
    assert_ne!(meeting.sending.word, sender.word, "a binding and its pairs have words of their own");
}

#[test]
fn the_trust_of_a_pair_is_the_lower_of_the_two() {
    for (sender, receiver) in [(0x0, 0x8), (0xD, 0x3), (0x9, 0x9), (0xF, 0xE)] {
        let trust = |level| Trust::new(level).unwrap();
        let meeting = Meeting::of(World::new(), trust(sender), trust(receiver));
        let lower = u64::from(sender.min(receiver));
        assert_eq!((meeting.at_sender.trust, meeting.at_receiver.trust), (lower, lower));
        assert_eq!(meeting.sending.trust, u64::from(sender));
    }
}

#[test]
fn every_sender_meets_every_receiver_once() {
    let mut world = World::new();
    let endpoint = world.endpoint(0);
    let children: Vec<_> = (0..5).map(|_| world.child(Trust::USER)).collect();
    let role = |index: usize| if index.is_multiple_of(2) { Role::Sender } else { Role::Receiver };
    for (index, &child) in children.iter().enumerate() {
        let slot = world.grant(endpoint, child, Rights::SEND | Rights::RECEIVE, Trust::USER);
        world.bind(child.id, slot, role(index), index as u64).unwrap();
    }
    let mut met: Vec<(u64, usize)> = Vec::new();
    for (to, joined) in world.joined() {
        let own = children.iter().position(|child| child.id == to).unwrap();
        assert_ne!(own % 2, joined.terms as usize % 2, "two of one role have met");
        met.push((joined.peer, own));
    }
    met.sort_unstable();
    met.dedup();
    assert_eq!(met.len(), 2 * 3 * 2);
}

#[test]
fn a_domain_can_meet_itself() {
    let mut world = World::new();
    let endpoint = world.endpoint(0);
    world.bind(world.root, endpoint, Role::Sender, 1).unwrap();
    let receiving = world.bind(world.root, endpoint, Role::Receiver, 2).unwrap();
    let met = world.joined();
    assert_eq!(met.len(), 2);
    assert_ne!(met[0].1.word, met[1].1.word);
    assert_eq!(met[0].1.peer, met[1].1.peer);
    world.ok(world.root, Call::Unbind, &[receiving.number]);
    assert!(met.iter().all(|(to, joined)| !world.is_valid(*to, joined)));
}

#[test]
fn who_parts_from_one_peer_keeps_the_others() {
    let mut meeting = Meeting::new();
    let (sender, receiver) = (meeting.sender.id, meeting.receiver.id);
    let third = meeting.world.child(Trust::USER);
    let slot = meeting.world.grant(meeting.endpoint, third, Rights::SEND, Trust::USER);
    let late = meeting.world.bind(third.id, slot, Role::Sender, 9).unwrap();
    let joined = meeting.world.joined();
    let own = joined.iter().find(|(to, _)| *to == third.id).unwrap().1;
    let call = |world: &mut World, who, arguments: &[u64]| {
        values(&world.answer(who, Call::Part, arguments, &[], None).reply).map(drop)
    };
    let (binding, peer) = (meeting.receiving.number, own.peer);
    assert_eq!(call(&mut meeting.world, sender, &[meeting.sending.number, peer]), Err(Status::NoPeer));
    assert_eq!(call(&mut meeting.world, sender, &[binding, peer]), Err(Status::NoBinding));
    assert_eq!(call(&mut meeting.world, receiver, &[binding, u64::MAX]), Err(Status::NoPeer));
    assert_eq!(call(&mut meeting.world, receiver, &[binding, peer]), Ok(()));
    assert_eq!(call(&mut meeting.world, receiver, &[binding, peer]), Err(Status::NoPeer));
    let told = meeting.world.upcalls();
    assert_eq!(told.len(), 1, "only the other side is told");
    let (to, upcall) = (told[0].0, told[0].1);
    assert_eq!((to, UpcallKind::from_number(upcall.kind)), (third.id, Some(UpcallKind::PeerLeft)));
    assert_eq!(upcall.values[..3], [late.number, peer, Reason::Unbound as u64]);
    assert!(!meeting.world.is_valid(third.id, &own) && meeting.is_valid(), "and the other pair goes on");
}

#[test]
fn the_first_binding_fixes_the_contract() {
    let mut meeting = Meeting::new();
    let (world, sender) = (&mut meeting.world, meeting.sender);
    let arguments = [meeting.sender_slot, 0, 0];
    let refused = world.answer(sender.id, Call::Bind, &arguments, b"something else", None);
    assert_eq!(values(&refused.reply), Err(Status::ContractMismatch));
    assert_eq!(&*refused.payload, CONTRACT);
    // A prefix is something else too.
    let refused = world.answer(sender.id, Call::Bind, &arguments, &CONTRACT[..5], None);
    assert_eq!(values(&refused.reply), Err(Status::ContractMismatch));
    let long = [0; CONTRACT_BYTES + 1];
    let refused = world.answer(sender.id, Call::Bind, &arguments, &long, None);
    assert_eq!(values(&refused.reply), Err(Status::BadArgument));
    assert!(world.joined().is_empty());
}

#[test]
fn binding_needs_the_right_of_its_role() {
    let mut meeting = Meeting::new();
    let (sender, receiver) = (meeting.sender.id, meeting.receiver.id);
    let (send, receive) = (meeting.sender_slot, meeting.receiver_slot);
    let own = meeting.world.ok(sender, Call::Hello, &[])[0];
    let world = &mut meeting.world;
    assert_eq!(world.bind(sender, send, Role::Receiver, 0), Err(Status::MissingRight));
    assert_eq!(world.bind(receiver, receive, Role::Sender, 0), Err(Status::MissingRight));
    assert_eq!(world.bind(sender, own, Role::Sender, 0), Err(Status::WrongKind));
    // Another domain's slot is a number like any other.
    assert_eq!(world.bind(receiver, send, Role::Sender, 0), Err(Status::NoCapability));
    assert_eq!(world.call(sender, Call::Bind, &[send, 2, 0]), Err(Status::BadArgument));
}

#[test]
fn unbinding_changes_both_words_and_tells_the_peer() {
    let mut meeting = Meeting::new();
    let (sender, number) = (meeting.sender.id, meeting.sending.number);
    assert_eq!(
        meeting.world.call(meeting.receiver.id, Call::Unbind, &[number]),
        Err(Status::NoBinding),
        "only the holder can"
    );
    assert!(meeting.is_valid());
    meeting.world.ok(sender, Call::Unbind, &[number]);
    assert!(!meeting.is_valid());
    assert_ne!(meeting.world.kernel.machine().word(sender, meeting.sending.word), meeting.sending.value);
    assert_eq!(meeting.world.call(sender, Call::Unbind, &[number]), Err(Status::NoBinding));
    assert_eq!(meeting.reasons(meeting.receiver), [Reason::Unbound]);
}

#[test]
fn deleting_the_capability_ends_the_binding_and_moving_it_does_not() {
    let mut meeting = Meeting::new();
    let sender = meeting.sender.id;
    let moved = meeting.world.ok(sender, Call::Move, &[meeting.sender_slot])[0];
    assert_ne!(moved, meeting.sender_slot);
    assert!(meeting.is_valid());
    meeting.world.ok(sender, Call::Delete, &[moved]);
    assert!(!meeting.is_valid());
    assert_eq!(meeting.reasons(meeting.receiver), [Reason::Unbound]);
}

#[test]
fn a_moved_capability_still_meets_and_is_still_revoked() {
    let mut meeting = Meeting::new();
    let sender = meeting.sender.id;
    meeting.world.ok(sender, Call::Move, &[meeting.sender_slot]);
    let other = meeting.world.child(Trust::USER);
    let slot = meeting.world.grant(meeting.endpoint, other, Rights::RECEIVE, Trust::USER);
    meeting.world.bind(other.id, slot, Role::Receiver, 0).unwrap();
    assert_eq!(meeting.world.joined().len(), 2);
    meeting.world.ok(meeting.world.root, Call::Revoke, &[meeting.endpoint, 0]);
    assert!(!meeting.is_valid());
}

#[test]
fn a_word_is_used_again_with_another_value() {
    let mut meeting = Meeting::new();
    let sender = meeting.sender.id;
    meeting.world.ok(sender, Call::Unbind, &[meeting.sending.number]);
    for _ in 0..1000 {
        let again = meeting.world.bind(sender, meeting.sender_slot, Role::Sender, 5).unwrap();
        for (to, joined) in meeting.world.joined() {
            assert!(meeting.world.is_valid(to, &joined));
            assert_ne!(joined.peer, meeting.at_sender.peer, "a pair's number recurred");
        }
        meeting.world.ok(sender, Call::Unbind, &[again.number]);
        assert!(!meeting.is_valid(), "the first pair came back");
    }
}

#[test]
fn whoever_has_no_room_for_a_peer_is_left_out_and_others_are_not() {
    let limits = Limits { domains: 8, peers_per_binding: 2, ..Limits::SMALL };
    let mut world = World::with(limits);
    let endpoint = world.endpoint(0);
    let receivers: Vec<_> = (0..2).map(|_| world.child(Trust::USER)).collect();
    let receive = |world: &mut World, child| {
        let slot = world.grant(endpoint, child, Rights::RECEIVE, Trust::USER);
        world.bind(child.id, slot, Role::Receiver, 0).unwrap()
    };
    receive(&mut world, receivers[0]);
    let [_, _, third] = [0; 3].map(|_| world.bind(world.root, endpoint, Role::Sender, 0).unwrap().number);
    let upcalls = world.upcalls();
    let count = |kind| upcalls.iter().filter(|(_, upcall, _)| upcall.kind == kind as u32).count();
    assert_eq!(count(UpcallKind::PeerJoined), 4, "two of three senders have met the receiver");
    let left: Vec<_> = upcalls.iter().filter(|(_, it, _)| it.kind == UpcallKind::PeerLeft as u32).collect();
    let [(to, told, None)] = left[..] else { panic!("the third one alone is told: {left:?}") };
    assert_eq!((*to, &told.values[..3]), (world.root, &[third, UNHEARD_OF, Reason::Unbound as u64][..]));
    receive(&mut world, receivers[1]);
    assert_eq!(world.joined().len(), 4);
}

#[test]
fn sharing_hands_the_region_to_that_peer_only() {
    let mut meeting = Meeting::new();
    let sender = meeting.sender.id;
    let region = meeting.world.region(sender, 4096).unwrap()[0];
    let (binding, peer) = (meeting.at_sender.binding, meeting.at_sender.peer);
    meeting.world.upcalls();
    meeting.world.ok(sender, Call::Share, &[binding, peer, region]);
    let upcalls = meeting.world.upcalls();
    let [(to, upcall, Some(FakeHandle::Memory { bytes: 4096, writer, .. }))] = upcalls[..] else {
        panic!("{upcalls:?}")
    };
    assert_eq!((to, upcall.kind, writer), (meeting.receiver.id, UpcallKind::Shared as u32, Some(sender)));
    assert_eq!(upcall.values[..3], [meeting.receiving.number, meeting.at_receiver.peer, 4096]);
}

#[test]
fn each_side_of_a_pair_shares_once() {
    let mut meeting = Meeting::new();
    let (sender, receiver) = (meeting.sender.id, meeting.receiver.id);
    let sides = [(sender, meeting.at_sender), (receiver, meeting.at_receiver)];
    meeting.world.upcalls();
    for (side, joined) in sides {
        let regions = [0; 2].map(|_| meeting.world.region(side, 4096).unwrap()[0]);
        let share = |region| [joined.binding, joined.peer, region];
        meeting.world.ok(side, Call::Share, &share(regions[0]));
        for region in regions {
            let again = meeting.world.call(side, Call::Share, &share(region));
            assert_eq!(again, Err(Status::AlreadyShared), "a peer could be told things without end");
        }
    }
    assert_eq!(meeting.world.upcalls().len(), 2);
}

#[test]
fn sharing_is_refused_where_anything_is_anothers() {
    let mut meeting = Meeting::new();
    let (sender, receiver) = (meeting.sender.id, meeting.receiver.id);
    let region = meeting.world.region(sender, 4096).unwrap()[0];
    let foreign = meeting.world.region(meeting.world.root, 4096).unwrap()[0];
    let granted = meeting.world.grant(foreign, meeting.sender, Rights::MAP_READ, Trust::USER);
    let (binding, peer) = (meeting.at_sender.binding, meeting.at_sender.peer);
    let world = &mut meeting.world;
    let rights = u64::from((Rights::MAP_READ | Rights::DERIVE).bits());
    let part = world.ok(sender, Call::Derive, &[region, rights, 0, 0, 0, 1024])[0];
    let refusals = [
        (receiver, [binding, peer, region], Status::NoBinding),
        (sender, [meeting.receiving.number, peer, region], Status::NoBinding),
        (sender, [binding, peer + 1, region], Status::NoPeer),
        (sender, [binding, u64::MAX, region], Status::NoPeer),
        (sender, [binding, peer, foreign], Status::NoCapability),
        (sender, [binding, peer, granted], Status::BadArgument),
        (sender, [binding, peer, part], Status::Escalation),
        (sender, [binding, peer, meeting.sender_slot], Status::WrongKind),
    ];
    world.upcalls();
    for (caller, arguments, status) in refusals {
        assert_eq!(world.call(caller, Call::Share, &arguments), Err(status), "{arguments:x?}");
    }
    assert!(world.upcalls().is_empty());
}

/// What a sender puts beside a message.
fn along(slot: u64, rights: Rights) -> Along {
    Along { slot, badge: 0, rights: rights.bits(), trust: 0 }
}

fn grant_along(meeting: &mut Meeting, list: &[Along]) -> Result<[u64; 6], Status> {
    let arguments = [meeting.at_sender.binding, meeting.at_sender.peer, 7];
    let sender = meeting.sender.id;
    values(&meeting.world.answer(sender, Call::GrantAlong, &arguments, list.as_bytes(), None).reply)
}

/// A region of the sender's, which it may grant.
fn gift(meeting: &mut Meeting) -> u64 {
    meeting.world.region(meeting.sender.id, 4096).unwrap()[0]
}

#[test]
fn pages_go_along_a_pair_unless_others_use_them() {
    let mut meeting = Meeting::new();
    let (sender, receiver) = (meeting.sender.id, meeting.receiver.id);
    let memory = FakeHandle::Memory { number: 1, bytes: 4096, writer: None };
    let slot = meeting.world.kernel.mint_frames(sender, memory, 1).unwrap().to_bits();
    let pages = [along(slot, Rights::MAP_READ)];
    meeting.world.kernel.machine_mut().shared.push(memory);
    assert_eq!(grant_along(&mut meeting, &pages), Err(Status::Busy));
    assert!(meeting.world.kernel.machine().handed_over.is_empty());
    meeting.world.kernel.machine_mut().shared.clear();
    grant_along(&mut meeting, &pages).unwrap();
    assert_eq!(meeting.world.kernel.machine().handed_over, [(memory, sender, receiver, false)]);
    assert_eq!(grant_along(&mut meeting, &pages), Err(Status::Busy));
}

#[test]
fn capabilities_go_along_a_pair_in_order() {
    let mut meeting = Meeting::new();
    let (sender, receiver) = (meeting.sender.id, meeting.receiver.id);
    let gifts = [gift(&mut meeting), gift(&mut meeting)];
    meeting.world.upcalls();
    grant_along(&mut meeting, &gifts.map(|slot| along(slot, Rights::MAP_READ))).unwrap();
    let told = meeting.world.upcalls();
    assert_eq!(told.len(), 2);
    for (place, (to, upcall, handle)) in told.into_iter().enumerate() {
        assert_eq!((to, upcall.kind, handle), (receiver, UpcallKind::GrantedAlong as u32, None));
        let [binding, peer, token, at, slot, kind] = upcall.values;
        assert_eq!((binding, peer), (meeting.receiving.number, meeting.at_receiver.peer));
        assert_eq!((token, at, kind), (7, place as u64, ObjectKind::Region.number()));
        assert_eq!(meeting.world.ok(receiver, Call::MapRegion, &[slot])[0], 4096, "it can be used");
        meeting.world.ok(sender, Call::Revoke, &[gifts[place], 0]);
        assert_eq!(meeting.world.call(receiver, Call::MapRegion, &[slot]), Err(Status::NoCapability));
    }
    let granted = meeting.world.kernel.audit().since(0).filter(|it| it.kind == AuditKind::Granted as u16);
    let by_sender = granted.filter(|it| (it.subject, it.target) == (sender.to_bits(), receiver.to_bits()));
    assert_eq!(by_sender.count(), 2, "each is in the log");
}

#[test]
fn all_that_goes_along_is_granted_or_nothing_is() {
    let mut meeting = Meeting::new();
    let good = along(gift(&mut meeting), Rights::MAP_READ);
    let (send, more) = (meeting.sender_slot, Rights::MAP_READ | Rights::MAP_WRITE);
    let before = meeting.world.kernel.held(meeting.receiver.id).count();
    let records = meeting.world.kernel.audit().next_sequence();
    let bad = [
        (along(0, Rights::SEND), Status::NoCapability),
        (along(send, Rights::SEND), Status::MissingRight),
        (along(good.slot, more), Status::Escalation),
        (Along { rights: u32::MAX, ..good }, Status::BadArgument),
        (Along { trust: 16, ..good }, Status::BadArgument),
    ];
    meeting.world.upcalls();
    for (bad, status) in bad {
        assert_eq!(grant_along(&mut meeting, &[good, bad]), Err(status));
    }
    assert_eq!(grant_along(&mut meeting, &[]), Err(Status::BadArgument));
    assert_eq!(grant_along(&mut meeting, &[good; GRANTS_ALONG + 1]), Err(Status::BadArgument));
    let arguments = [meeting.at_sender.binding, meeting.at_sender.peer, 7];
    let ragged = &[good].as_bytes().to_vec()[..23];
    let refused = meeting.world.answer(meeting.sender.id, Call::GrantAlong, &arguments, ragged, None);
    assert_eq!(values(&refused.reply), Err(Status::BadArgument));
    assert!(meeting.world.upcalls().is_empty(), "nobody heard of anything");
    assert_eq!(meeting.world.kernel.held(meeting.receiver.id).count(), before);
    let logged = meeting.world.kernel.audit().since(records).all(|it| it.kind == AuditKind::Refused as u16);
    assert!(logged && meeting.world.kernel.verify().is_ok());
}

#[test]
fn a_sender_puts_no_more_into_a_space_than_its_holder_takes() {
    let mut meeting = Meeting::new();
    let good = along(gift(&mut meeting), Rights::MAP_READ | Rights::INSPECT);
    let receiver = meeting.receiver.id;
    let mut came = Vec::new();
    let mut give = |meeting: &mut Meeting, count| {
        let result = grant_along(meeting, &vec![good; count]);
        came.extend(meeting.world.told(receiver, UpcallKind::GrantedAlong).iter().map(|it| it.values[4]));
        (result.map(drop), came.clone())
    };
    meeting.world.upcalls();
    for _ in 0..GRANTS_ALONG / 2 {
        give(&mut meeting, 2).0.unwrap();
    }
    let (refused, came) = give(&mut meeting, 1);
    assert_eq!(refused, Err(Status::QuotaExceeded));
    // Kept elsewhere, deleted, revoked: each makes room for one.
    let moved = meeting.world.ok(receiver, Call::Move, &[came[0]])[0];
    assert_eq!(give(&mut meeting, 2).0, Err(Status::QuotaExceeded));
    give(&mut meeting, 1).0.unwrap();
    assert_eq!(give(&mut meeting, 1).0, Err(Status::QuotaExceeded));
    meeting.world.ok(receiver, Call::Delete, &[came[1]]);
    give(&mut meeting, 1).0.unwrap();
    assert_eq!(give(&mut meeting, 1).0, Err(Status::QuotaExceeded));
    meeting.world.ok(receiver, Call::Inspect, &[moved]);
    meeting.world.ok(meeting.sender.id, Call::Revoke, &[good.slot, 0]);
    give(&mut meeting, GRANTS_ALONG).0.unwrap();
    assert_eq!(give(&mut meeting, 1).0, Err(Status::QuotaExceeded), "never more at one time");
}

#[test]
fn senders_that_come_and_go_do_not_fill_a_space() {
    let limits = Limits { along_per_domain: 6, ..Limits::SMALL };
    let mut meeting = Meeting::of(World::with(limits), Trust::USER, Trust::USER);
    let good = along(gift(&mut meeting), Rights::MAP_READ);
    let (sender, receiver) = (meeting.sender.id, meeting.receiver.id);
    meeting.world.upcalls();
    let mut came = Vec::new();
    let mut refused = 0;
    for _ in 0..10 {
        let result = grant_along(&mut meeting, &[good; 2]);
        refused += u32::from(result == Err(Status::QuotaExceeded));
        came.extend(meeting.world.told(receiver, UpcallKind::GrantedAlong).iter().map(|it| it.values[4]));
        meeting.world.ok(sender, Call::Unbind, &[meeting.at_sender.binding]);
        meeting.world.bind(sender, meeting.sender_slot, Role::Sender, 1).unwrap();
        meeting.at_sender = meeting.world.joined().into_iter().find(|(to, _)| *to == sender).unwrap().1;
    }
    assert_eq!((came.len(), refused), (6, 7));
    meeting.world.ok(receiver, Call::Delete, &[came[0]]);
    meeting.world.ok(receiver, Call::Move, &[came[1]]);
    grant_along(&mut meeting, &[good; 2]).unwrap();
    assert_eq!(grant_along(&mut meeting, &[good]), Err(Status::QuotaExceeded));
    // What died is out of the count as well, and the next domain of its place begins with none.
    meeting.world.ok(sender, Call::Revoke, &[good.slot, 0]);
    grant_along(&mut meeting, &[good; 4]).unwrap();
    meeting.world.ok(meeting.world.root, Call::DestroyDomain, &[meeting.receiver.slot]);
    assert_eq!(meeting.world.kernel.verify(), Ok(()));
}

#[test]
fn capabilities_go_along_pairs_of_the_caller_only_and_from_senders() {
    let mut meeting = Meeting::new();
    let (sender, receiver) = (meeting.sender.id, meeting.receiver.id);
    let list = [along(gift(&mut meeting), Rights::MAP_READ)];
    let theirs = [along(meeting.world.region(receiver, 4096).unwrap()[0], Rights::MAP_READ)];
    let (at_sender, at_receiver) = (meeting.at_sender, meeting.at_receiver);
    let mut refused = |who, binding, peer, list: &[Along]| {
        values(&meeting.world.answer(who, Call::GrantAlong, &[binding, peer, 1], list.as_bytes(), None).reply)
            .unwrap_err()
    };
    assert_eq!(refused(sender, at_receiver.binding, at_sender.peer, &list), Status::NoBinding);
    assert_eq!(refused(sender, at_sender.binding, u64::MAX, &list), Status::NoPeer);
    assert_eq!(refused(receiver, at_receiver.binding, at_receiver.peer, &theirs), Status::BadArgument);
    meeting.revoke_later(meeting.endpoint, 1_000_000);
    assert_eq!(grant_along(&mut meeting, &list), Err(Status::NoBinding), "also before the deadline");
}
