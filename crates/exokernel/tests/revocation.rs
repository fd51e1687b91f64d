//! Revocation: unusable at once, visible until the deadline, then by force; and what cannot get around it.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod world;

use feuerbird_abi::{Call, Reason, Role, Status, UpcallKind};
use feuerbird_capability::{Rights, Trust};
use feuerbird_exokernel::fake::FakeHandle;
use feuerbird_exokernel::{DomainId, Limits, Outcome};
use world::{Child, Meeting, World, values};

/// The deferred replies so far: (revoked, by force).
fn replies(world: &World) -> Vec<(u64, u64)> {
    let replies = world.kernel.machine().replies.iter();
    replies.map(|(_, reply)| values(reply).unwrap()).map(|values| (values[0], values[1])).collect()
}

#[test]
fn without_a_deadline_everything_is_over_when_it_returns() {
    let mut meeting = Meeting::new();
    let root = meeting.world.root;
    let answered = meeting.world.ok(root, Call::Revoke, &[meeting.endpoint, 0]);
    assert_eq!(answered[..2], [2, 2]);
    assert!(!meeting.is_valid());
    let upcalls = meeting.world.upcalls();
    let kinds = |child: Child| -> Vec<u32> {
        upcalls.iter().filter(|(to, ..)| *to == child.id).map(|(_, upcall, _)| upcall.kind).collect()
    };
    // Whose binding goes first is open; the other one's peer has left by then.
    let taken = UpcallKind::Repossessed as u32;
    assert!(kinds(meeting.sender).contains(&taken) && kinds(meeting.receiver).contains(&taken));
    let told = |kind: UpcallKind| upcalls.iter().filter(|(_, it, _)| it.kind == kind as u32).count();
    assert_eq!(told(UpcallKind::PeerLeft), 1);
    assert_eq!(told(UpcallKind::RevocationRequested), 0);
    let sender = meeting.sender.id;
    assert_eq!(meeting.world.bind(sender, meeting.sender_slot, Role::Sender, 0), Err(Status::NoCapability));
    // The revoker itself stays.
    meeting.world.bind(root, meeting.endpoint, Role::Sender, 0).unwrap();
    assert_eq!(meeting.world.ok(root, Call::Revoke, &[meeting.endpoint, 0])[..2], [0, 0]);
}

/// Who shared memory, and what with: all that may be taken back.
fn share_both_ways(meeting: &mut Meeting) {
    let sides = [
        (meeting.sender.id, meeting.sending.number, meeting.at_sender.peer),
        (meeting.receiver.id, meeting.receiving.number, meeting.at_receiver.peer),
    ];
    for (side, binding, peer) in sides {
        let region = meeting.world.region(side, 64).unwrap()[0];
        meeting.world.ok(side, Call::Share, &[binding, peer, region]);
    }
}

/// From whom what was taken back, and who keeps what, each with whose memory it is; in order.
fn settled(world: &World) -> [Vec<(DomainId, Option<DomainId>)>; 2] {
    let machine = world.kernel.machine();
    [&machine.withdrawn, &machine.kept].map(|list| {
        let mut list: Vec<_> = list.iter().map(|(holder, memory)| (*holder, writer(memory))).collect();
        list.sort_unstable();
        list
    })
}

#[test]
fn whoever_is_revoked_loses_what_the_other_side_shared() {
    let mut meeting = Meeting::new();
    share_both_ways(&mut meeting);
    let root = meeting.world.root;
    meeting.world.ok(root, Call::Revoke, &[meeting.endpoint, 0]);
    let (sender, receiver) = (meeting.sender.id, meeting.receiver.id);
    let mut both = vec![(sender, Some(receiver)), (receiver, Some(sender))];
    both.sort_unstable();
    assert_eq!(settled(&meeting.world), [both, vec![]]);
}

#[test]
fn who_leaves_loses_what_was_shared_and_who_stays_keeps_it_at_its_own_cost() {
    for call in [Call::Unbind, Call::Part] {
        let mut meeting = Meeting::new();
        share_both_ways(&mut meeting);
        let (sender, receiver) = (meeting.sender.id, meeting.receiver.id);
        let arguments = [meeting.receiving.number, meeting.at_receiver.peer];
        meeting.world.ok(receiver, call, &arguments);
        let expected = [vec![(receiver, Some(sender))], vec![(sender, Some(receiver))]];
        assert_eq!(settled(&meeting.world), expected, "{call:?}");
    }
    // Who is dead has nothing to lose.
    let mut meeting = Meeting::new();
    share_both_ways(&mut meeting);
    let (root, sender, receiver) = (meeting.world.root, meeting.sender.id, meeting.receiver.id);
    meeting.world.ok(root, Call::DestroyDomain, &[meeting.sender.slot]);
    assert_eq!(settled(&meeting.world), [vec![], vec![(receiver, Some(sender))]]);
}

#[test]
fn what_a_capability_gives_too_survives_the_peer() {
    let mut meeting = Meeting::new();
    let (root, sender) = (meeting.world.root, meeting.sender.id);
    let binding = meeting.world.bind(root, meeting.endpoint, Role::Receiver, 0).unwrap().number;
    let peer = meeting.world.joined().iter().find(|(to, _)| *to == root).unwrap().1.peer;
    let region = meeting.world.region(root, 64).unwrap()[0];
    meeting.world.ok(root, Call::Share, &[binding, peer, region]);
    let mapped = meeting.world.grant(region, meeting.sender, Rights::MAP_READ, Trust::USER);
    // A capability that cannot be mapped by is no authority to go on.
    let mute = meeting.world.grant(region, meeting.sender, Rights::INSPECT, Trust::USER);
    meeting.world.ok(root, Call::Unbind, &[binding]);
    assert_eq!(settled(&meeting.world), [vec![], vec![]]);
    meeting.world.ok(sender, Call::Delete, &[mapped]);
    assert_eq!(settled(&meeting.world)[0], [(sender, Some(root))]);
    meeting.world.ok(sender, Call::Delete, &[mute]);
    assert_eq!(settled(&meeting.world)[0], [(sender, Some(root))]);
}

#[test]
fn deleting_a_capability_does_not_keep_what_was_mapped_by_it() {
    let mut world = World::new();
    let (root, child) = (world.root, world.child(Trust::USER));
    let region = world.region(root, 4096).unwrap()[0];
    let granted = world.grant(region, child, Rights::MAP_READ, Trust::USER);
    world.ok(child.id, Call::MapRegion, &[granted]);
    world.ok(child.id, Call::Delete, &[granted]);
    // The revocation finds nobody any more, so it must have gone before.
    assert_eq!(world.ok(root, Call::Revoke, &[region, 0])[..2], [0, 0]);
    assert_eq!(settled(&world)[0], [(child.id, Some(root))]);
}

#[test]
fn a_reader_of_the_log_that_is_none_any_more_loses_its_pages() {
    let mut world = World::new();
    let (root, audit) = (world.root, world.audit_slot);
    let (revoked, deleting) = (world.child(Trust::USER), world.child(Trust::USER));
    let first = world.grant(audit, deleting, Rights::INSPECT, Trust::USER);
    let second = world.grant(audit, deleting, Rights::INSPECT, Trust::USER);
    world.grant(audit, revoked, Rights::INSPECT, Trust::USER);
    world.ok(deleting.id, Call::Delete, &[first]);
    assert_eq!(world.kernel.machine().withdrawn_logs, [], "it has another capability");
    world.ok(deleting.id, Call::Delete, &[second]);
    assert_eq!(world.kernel.machine().withdrawn_logs, [deleting.id]);
    world.ok(root, Call::Revoke, &[audit, 0]);
    assert_eq!(world.kernel.machine().withdrawn_logs, [deleting.id, revoked.id]);
}

fn writer(memory: &FakeHandle) -> Option<DomainId> {
    match memory {
        FakeHandle::Memory { writer, .. } => *writer,
        _ => None,
    }
}

#[test]
fn a_revoked_region_is_taken_back_from_who_mapped_it() {
    let mut meeting = Meeting::new();
    let (root, sender) = (meeting.world.root, meeting.sender.id);
    let region = meeting.world.region(root, 64).unwrap()[0];
    let rights = u64::from((Rights::MAP_READ | Rights::DERIVE).bits());
    let grant = [region, meeting.sender.slot, rights, 0, 0];
    let granted = meeting.world.ok(root, Call::Grant, &grant)[0];
    let copy = meeting.world.ok(sender, Call::Derive, &[granted, rights, 0, 0, 0, 0])[0];
    meeting.world.ok(sender, Call::MapRegion, &[copy]);
    meeting.world.ok(sender, Call::Delete, &[copy]);
    assert!(meeting.world.kernel.machine().withdrawn.is_empty());
    meeting.world.ok(root, Call::Revoke, &[region, 0]);
    let holders: Vec<_> =
        meeting.world.kernel.machine().withdrawn.iter().map(|(holder, _)| *holder).collect();
    assert_eq!(holders, [sender], "and not from its owner");
}

#[test]
fn with_a_deadline_pairs_last_until_it_and_nothing_new_begins() {
    let mut meeting = Meeting::new();
    let (sender, root) = (meeting.sender.id, meeting.world.root);
    let region = meeting.world.region(sender, 64).unwrap()[0];
    meeting.revoke_later(meeting.endpoint, 1000);
    let told = meeting.world.told(sender, UpcallKind::RevocationRequested);
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].values[..3], [meeting.sending.number, u64::MAX, 1000]);
    assert!(meeting.is_valid(), "a pair goes on until the deadline");

    let refused = meeting.world.bind(sender, meeting.sender_slot, Role::Sender, 0);
    assert_eq!(refused, Err(Status::NoCapability));
    let share = [meeting.sending.number, meeting.at_sender.peer, region];
    assert_eq!(meeting.world.call(sender, Call::Share, &share), Err(Status::NoCapability));
    meeting.world.bind(root, meeting.endpoint, Role::Receiver, 0).unwrap();
    assert!(meeting.world.joined().is_empty(), "a revoked binding found a new peer");

    assert_eq!(meeting.world.at(999), Some(1000));
    assert!(meeting.is_valid());
    assert!(replies(&meeting.world).is_empty());
    assert_eq!(meeting.world.at(1000), None);
    assert!(!meeting.is_valid());
    assert_eq!(replies(&meeting.world), [(2, 2)]);
    assert_eq!(meeting.world.told(sender, UpcallKind::Repossessed).len(), 1);
}

#[test]
fn force_changes_the_words_before_it_tells_and_answers_last() {
    let mut meeting = Meeting::new();
    let (sender, root) = (meeting.sender, meeting.world.root);
    // A revocation of the sender only: the receiver is a bystander.
    let rights = u64::from(Rights::all().bits());
    let middle = meeting.world.ok(root, Call::Derive, &[meeting.endpoint, rights, 0, 0, 0, 0])[0];
    let slot = meeting.world.grant(middle, sender, Rights::SEND, Trust::USER);
    meeting.world.bind(sender.id, slot, Role::Sender, 9).unwrap();
    let met = meeting.world.joined();
    meeting.revoke_later(middle, 10);
    meeting.world.upcalls();
    meeting.world.at(10);
    assert!(met.iter().all(|(to, joined)| !meeting.world.is_valid(*to, joined)));
    assert!(meeting.is_valid(), "the binding by the other capability is untouched");
    let upcalls = meeting.world.upcalls();
    let kinds: Vec<_> = upcalls.iter().map(|(to, upcall, _)| (*to, upcall.kind)).collect();
    let left = (meeting.receiver.id, UpcallKind::PeerLeft as u32);
    assert_eq!(kinds, [left, (sender.id, UpcallKind::Repossessed as u32)]);
    assert_eq!(upcalls[0].1.values[2], Reason::Revoked as u64);
    assert_eq!(upcalls[1].1.values[1], slot);
    assert_eq!(replies(&meeting.world), [(1, 1)]);
}

#[test]
fn whoever_acknowledges_is_not_taken_by_force() {
    let mut meeting = Meeting::new();
    let (sender, receiver) = (meeting.sender.id, meeting.receiver.id);
    meeting.revoke_later(meeting.endpoint, 1000);
    let upcalls = meeting.world.upcalls();
    let sequence = |domain| upcalls.iter().find(|(to, ..)| *to == domain).unwrap().1.sequence;
    let (at_sender, at_receiver) = (sequence(sender), sequence(receiver));
    assert_eq!(meeting.world.call(sender, Call::Acknowledge, &[at_sender + 7]), Err(Status::BadArgument));
    meeting.world.ok(sender, Call::Acknowledge, &[at_sender]);
    assert!(!meeting.is_valid());
    assert!(replies(&meeting.world).is_empty());
    // The other one lets go in another way.
    meeting.world.ok(receiver, Call::Unbind, &[meeting.receiving.number]);
    assert_eq!(replies(&meeting.world), [(2, 0)]);
    let late = meeting.world.call(receiver, Call::Acknowledge, &[at_receiver]);
    assert_eq!(late, Err(Status::BadArgument));
    assert!(meeting.world.told(sender, UpcallKind::Repossessed).is_empty());
    assert_eq!(meeting.world.at(5000), None);
}

#[test]
fn a_revocation_above_is_not_answered_before_the_one_below() {
    let mut meeting = Meeting::new();
    let (root, sender) = (meeting.world.root, meeting.sender);
    let rights = u64::from(Rights::all().bits());
    let upper = meeting.world.ok(root, Call::Derive, &[meeting.endpoint, rights, 0, 0, 0, 0])[0];
    let middle = meeting.world.ok(root, Call::Derive, &[upper, rights, 0, 0, 0, 0])[0];
    let slot = meeting.world.grant(middle, sender, Rights::SEND, Trust::USER);
    meeting.world.bind(sender.id, slot, Role::Sender, 9).unwrap();
    let met = meeting.world.joined();
    let is_valid = |meeting: &Meeting| met.iter().all(|(to, joined)| meeting.world.is_valid(*to, joined));
    meeting.revoke_later(middle, 1_000_000);
    assert!(is_valid(&meeting));
    // `middle` is revoked itself: nothing that was derived from it may go on when this is answered.
    meeting.world.ok(root, Call::Revoke, &[upper, 0]);
    assert!(!is_valid(&meeting));
    assert_eq!(replies(&meeting.world), [(1, 1)], "and the first one is answered too");
    assert!(meeting.is_valid());
}

#[test]
fn asking_again_can_shorten_the_time_and_both_are_answered() {
    let mut meeting = Meeting::new();
    meeting.revoke_later(meeting.endpoint, 1_000_000);
    meeting.revoke_later(meeting.endpoint, 50);
    assert_eq!(meeting.world.at(49), Some(50));
    assert!(meeting.is_valid());
    meeting.world.at(50);
    assert!(!meeting.is_valid());
    assert_eq!(replies(&meeting.world), [(2, 2), (0, 0)]);
}

#[test]
fn a_moved_revoker_is_still_the_same() {
    let mut meeting = Meeting::new();
    let root = meeting.world.root;
    meeting.revoke_later(meeting.endpoint, 1_000_000);
    let moved = meeting.world.ok(root, Call::Move, &[meeting.endpoint])[0];
    let unrelated = meeting.world.endpoint(0);
    meeting.world.ok(root, Call::Delete, &[unrelated]);
    assert_eq!(meeting.world.at(1), Some(1_000_000), "moving the revoker took the time away");
    assert!(meeting.is_valid());
    meeting.world.ok(root, Call::Revoke, &[moved, 0]);
    assert!(!meeting.is_valid());
}

#[test]
fn without_a_revoker_there_is_no_time() {
    let mut meeting = Meeting::new();
    meeting.revoke_later(meeting.endpoint, 1_000_000);
    let root = meeting.world.root;
    meeting.world.ok(root, Call::Delete, &[meeting.endpoint]);
    meeting.world.at(1);
    assert!(!meeting.is_valid());
    assert_eq!(replies(&meeting.world), [(2, 2)]);
}

#[test]
fn a_revocation_of_another_branch_takes_nobody_s_time() {
    let mut meeting = Meeting::new();
    let root = meeting.world.root;
    let other = meeting.world.endpoint(0);
    let slot = meeting.world.grant(other, meeting.sender, Rights::SEND, Trust::USER);
    meeting.world.bind(meeting.sender.id, slot, Role::Sender, 0).unwrap();
    meeting.revoke_later(meeting.endpoint, 1_000_000);
    assert_eq!(meeting.world.ok(root, Call::Revoke, &[other, 0])[..2], [1, 1]);
    assert!(meeting.is_valid());
    assert_eq!(meeting.world.at(1), Some(1_000_000));
}

#[test]
fn unusable_at_once_however_much_hangs_on_it() {
    let limits = Limits { domains: 4, slots_per_domain: 2000, steps_per_call: 8, ..Limits::SMALL };
    let mut meeting = Meeting::of(World::with(limits), Trust::USER, Trust::LIBOS);
    let (root, sender) = (meeting.world.root, meeting.sender.id);
    for _ in 0..1000 {
        let rights = u64::from(Rights::SEND.bits());
        let derive = [meeting.endpoint, rights, 0, 0, 0, 0];
        meeting.world.sequence += 1;
        let request = feuerbird_abi::Request::new(Call::Derive, meeting.world.sequence, &derive);
        meeting.world.kernel.dispatch(root, &request, &[], None);
    }
    let before = meeting.world.kernel.audit().next_sequence();
    meeting.revoke_later(meeting.endpoint, 0);
    let steps = meeting.world.kernel.audit().next_sequence() - before;
    assert!(steps <= 1 + 8, "one call did {steps} steps");
    let refused = meeting.world.bind(sender, meeting.sender_slot, Role::Sender, 0);
    assert_eq!(refused, Err(Status::NoCapability));
    // The sweep has not come to the sender's binding, which finds no new peer all the same.
    meeting.world.upcalls();
    meeting.world.bind(root, meeting.endpoint, Role::Receiver, 0).unwrap();
    assert!(meeting.world.joined().is_empty());
    assert!(meeting.is_valid());
    let region = meeting.world.region(sender, 64).unwrap()[0];
    let share = [meeting.sending.number, meeting.at_sender.peer, region];
    assert_eq!(meeting.world.call(sender, Call::Share, &share), Err(Status::NoCapability));
    assert!(replies(&meeting.world).is_empty(), "not answered while something may hang on it");
    assert_eq!(meeting.world.at(1), None);
    assert!(!meeting.is_valid());
    assert_eq!(replies(&meeting.world), [(1002, 2)]);
}

#[test]
fn holders_of_other_capabilities_are_told_that_they_are_gone() {
    let mut world = World::new();
    let (root, child) = (world.root, world.child(Trust::USER));
    let region = world.region(root, 4096).unwrap()[0];
    let granted = world.grant(region, child, Rights::MAP_READ, Trust::USER);
    assert_eq!(world.ok(child.id, Call::MapRegion, &[granted])[0], 4096);
    assert_eq!(world.ok(root, Call::Revoke, &[region, 0])[..2], [1, 0]);
    assert_eq!(world.call(child.id, Call::MapRegion, &[granted]), Err(Status::NoCapability));
    let told = world.told(child.id, UpcallKind::Repossessed);
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].values[..2], [u64::MAX, granted]);
}

#[test]
fn revoking_needs_the_right() {
    let mut meeting = Meeting::new();
    let sender = meeting.sender.id;
    let refused = meeting.world.call(sender, Call::Revoke, &[meeting.sender_slot, 0]);
    assert_eq!(refused, Err(Status::MissingRight));
    let refused = meeting.world.call(sender, Call::Revoke, &[meeting.endpoint, 0]);
    assert_eq!(refused, Err(Status::NoCapability));
    assert!(meeting.is_valid());
}

#[test]
fn the_requester_s_death_does_not_keep_anything_alive() {
    let mut meeting = Meeting::new();
    let owner = meeting.world.child(Trust::LIBOS);
    let rights = Rights::all();
    let own = meeting.world.grant(meeting.endpoint, owner, rights, Trust::LIBOS);
    let peer = meeting.world.grant(meeting.world.root_slot, owner, Rights::SEND, Trust::USER);
    let send = [own, peer, u64::from(Rights::SEND.bits()), 0, 0];
    let slot = meeting.world.ok(owner.id, Call::Grant, &send)[0];
    let root = meeting.world.root;
    meeting.world.bind(root, slot, Role::Sender, 0).unwrap();
    let met = meeting.world.joined();
    let outcome = meeting.world.full(owner.id, Call::Revoke, &[own, 1_000_000], &[], None);
    assert!(matches!(outcome, Outcome::Pending));
    meeting.world.kernel.domain_died(owner.id);
    meeting.world.at(1);
    assert!(met.iter().all(|(to, joined)| !meeting.world.is_valid(*to, joined)));
    assert!(replies(&meeting.world).is_empty());
}

#[test]
fn asking_again_cannot_lengthen_the_time() {
    let mut meeting = Meeting::new();
    meeting.revoke_later(meeting.endpoint, 50);
    meeting.revoke_later(meeting.endpoint, 1_000_000);
    assert_eq!(meeting.world.at(49), Some(50));
    assert!(meeting.is_valid());
    meeting.world.at(50);
    assert!(!meeting.is_valid());
    assert_eq!(replies(&meeting.world).len(), 2);
}

#[test]
fn a_revocation_that_comes_while_another_is_swept_keeps_its_own_deadline() {
    let limits = Limits { domains: 4, steps_per_call: 1, ..Limits::SMALL };
    let mut meeting = Meeting::of(World::with(limits), Trust::USER, Trust::LIBOS);
    let (root, other) = (meeting.world.root, meeting.world.endpoint(0));
    for _ in 0..50 {
        meeting.world.ok(root, Call::Derive, &[other, 1, 0, 0, 0, 0]);
    }
    meeting.revoke_later(other, 1_000_000);
    meeting.revoke_later(meeting.endpoint, 0);
    meeting.world.at(1);
    assert!(!meeting.is_valid());
    assert_eq!(replies(&meeting.world).len(), 2);
}
