//! Domains: how they begin, what they may hand on, what their end takes along and what it leaves.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod world;

use feuerbird_abi::{Call, Class, Reason, Request, Role, Status, UpcallKind};
use feuerbird_capability::{ObjectKind, Rights, Trust};
use feuerbird_exokernel::fake::FakeHandle;
use feuerbird_exokernel::{DomainId, Outcome};
use world::{Meeting, World, values};

fn bits(rights: Rights) -> u64 {
    u64::from(rights.bits())
}

#[test]
fn the_first_domain_holds_itself_and_the_audit_log() {
    let world = World::new();
    let mut kinds: Vec<ObjectKind> =
        world.kernel.held(world.root).map(|(_, capability)| capability.object.kind).collect();
    kinds.sort_by_key(|kind| kind.number());
    assert_eq!(kinds, [ObjectKind::Domain, ObjectKind::Audit]);
}

#[test]
fn a_new_domain_holds_itself_and_nothing_else() {
    let mut world = World::new();
    let answer = world.answer(world.root, Call::CreateDomain, &[0x8], &[], None);
    let slot = values(&answer.reply).unwrap()[0];
    let child = world.kernel.machine().created[0];
    assert_eq!(answer.handle, Some(FakeHandle::Gate(child)));
    assert_eq!(world.ok(world.root, Call::Inspect, &[slot])[..3], [1, bits(Rights::all()), 0x8]);
    let hello = world.answer(child, Call::Hello, &[], &[], None);
    let [own, trust, words, ..] = values(&hello.reply).unwrap();
    assert_eq!((trust, words), (0x8, u64::from(world.kernel.limits().words_per_domain)));
    assert_eq!(hello.handle, Some(FakeHandle::Words(child)));
    let held: Vec<_> = world.kernel.held(child).map(|(slot, _)| slot.to_bits()).collect();
    assert_eq!(held, [own]);
}

#[test]
fn nobody_makes_a_domain_of_higher_trust() {
    let mut world = World::new();
    let child = world.child(Trust::LIBOS).id;
    assert_eq!(world.call(child, Call::CreateDomain, &[0x9]), Err(Status::Escalation));
    assert_eq!(world.call(child, Call::CreateDomain, &[0x10]), Err(Status::BadArgument));
    assert_eq!(world.kernel.adopt_domain(child, Trust::KERNEL), Err(Status::Escalation));
    world.ok(child, Call::CreateDomain, &[0x8]);
}

#[test]
fn a_machine_that_refuses_leaves_nothing_behind() {
    let mut world = World::new();
    world.kernel.machine_mut().refusal = Some(Status::ObjectsFull);
    for _ in 0..1000 {
        assert_eq!(world.call(world.root, Call::CreateDomain, &[0]), Err(Status::ObjectsFull));
    }
    assert_eq!(world.kernel.held(world.root).count(), 2);
    world.kernel.machine_mut().refusal = None;
    world.ok(world.root, Call::CreateDomain, &[0]);
}

#[test]
fn a_grant_arrives_with_its_badge_and_never_with_more() {
    let mut world = World::new();
    let child = world.child(Trust::USER);
    let endpoint = world.endpoint(0);
    let send = bits(Rights::SEND | Rights::INSPECT | Rights::DERIVE);
    let slot = world.ok(world.root, Call::Grant, &[endpoint, child.slot, send, 0x3, 0xBAD6E])[0];
    let told = world.told(child.id, UpcallKind::Granted);
    assert_eq!(told[0].values[..5], [slot, ObjectKind::Endpoint.number(), send, 0x3, 0xBAD6E]);
    assert_eq!(world.ok(child.id, Call::Inspect, &[slot])[..4], [2, send, 0x3, 0xBAD6E]);
    // The slot is the child's: in the root's space it names nothing.
    assert_eq!(world.call(world.root, Call::Inspect, &[slot]), Err(Status::NoCapability));
    let derive = |rights, trust, badge| [slot, rights, trust, badge, 0, 0];
    for more in [derive(bits(Rights::RECEIVE), 0, 0), derive(send, 0x4, 0), derive(send, 0x3, 7)] {
        assert_eq!(world.call(child.id, Call::Derive, &more), Err(Status::Escalation));
    }
    assert_eq!(world.call(child.id, Call::Derive, &derive(1 << 31, 0, 0)), Err(Status::BadArgument));
    assert_eq!(world.call(child.id, Call::Derive, &derive(1 << 32, 0, 0)), Err(Status::BadArgument));
    world.ok(child.id, Call::Derive, &derive(bits(Rights::SEND), 0x2, 0));
}

#[test]
fn granting_needs_both_rights() {
    let mut world = World::new();
    let (child, other) = (world.child(Trust::USER), world.child(Trust::USER));
    let endpoint = world.endpoint(0);
    let plain = world.grant(endpoint, child, Rights::SEND, Trust::USER);
    let grantable = world.grant(endpoint, child, Rights::SEND | Rights::GRANT, Trust::USER);
    let deaf = world.grant(other.slot, child, Rights::INSPECT, Trust::USER);
    let open = world.grant(other.slot, child, Rights::SEND, Trust::USER);
    let send = bits(Rights::SEND);
    let mut grant = |slot, to| world.call(child.id, Call::Grant, &[slot, to, send, 0, 0]);
    assert_eq!(grant(plain, open), Err(Status::MissingRight));
    assert_eq!(grant(grantable, deaf), Err(Status::MissingRight));
    assert_eq!(grant(grantable, plain), Err(Status::WrongKind));
    assert_eq!(grant(grantable, other.slot), Err(Status::NoCapability));
    grant(grantable, open).unwrap();
}

#[test]
fn death_ends_every_pair_and_tells_every_peer() {
    for dies_first in [true, false] {
        let mut meeting = Meeting::new();
        let (dead, left) = match dies_first {
            true => (meeting.sender, meeting.receiver),
            false => (meeting.receiver, meeting.sender),
        };
        let other = if dies_first { meeting.at_receiver } else { meeting.at_sender };
        meeting.world.kernel.domain_died(dead.id);
        assert!(!meeting.world.is_valid(left.id, &other));
        assert_eq!(meeting.reasons(left), [Reason::Died]);
        assert_eq!(meeting.world.kernel.machine().destroyed, [dead.id]);
        meeting.world.kernel.domain_died(dead.id);
        assert_eq!(meeting.world.kernel.machine().destroyed, [dead.id], "it died twice");
        assert_eq!(meeting.world.call(dead.id, Call::Null, &[]), Err(Status::DomainGone));
        assert_eq!(meeting.world.kernel.verify(), Ok(()));
    }
}

#[test]
fn what_the_dead_had_granted_lives_on_and_its_memory_does_not() {
    let mut world = World::new();
    let (owner, child) = (world.child(Trust::LIBOS), world.child(Trust::USER));
    let to_child = world.grant(child.slot, owner, Rights::SEND, Trust::USER);
    let endpoint = world.ok(owner.id, Call::CreateEndpoint, &[3])[0];
    let region = world.region(owner.id, 64).unwrap()[0];
    let rights = bits(Rights::SEND | Rights::RECEIVE);
    let granted = world.ok(owner.id, Call::Grant, &[endpoint, to_child, rights, 0, 0])[0];
    let readable = world.ok(owner.id, Call::Grant, &[region, to_child, bits(Rights::MAP_READ), 0, 0])[0];
    world.kernel.domain_died(owner.id);
    world.bind(child.id, granted, Role::Sender, 0).unwrap();
    world.bind(child.id, granted, Role::Receiver, 0).unwrap();
    assert_eq!(world.joined().len(), 2, "an endpoint outlives its creator");
    assert_eq!(world.call(child.id, Call::MapRegion, &[readable]), Err(Status::NoCapability));
}

#[test]
fn a_domain_s_number_and_place_are_new_each_time() {
    let mut world = World::new();
    let mut numbers = vec![world.root];
    for _ in 0..100 {
        let child = world.child(Trust::USER);
        assert!(!numbers.contains(&child.id));
        numbers.push(child.id);
        world.ok(world.root, Call::DestroyDomain, &[child.slot]);
        assert!(!world.kernel.is_alive(child.id));
        let again = world.call(world.root, Call::DestroyDomain, &[child.slot]);
        assert_eq!(again, Err(Status::DomainGone));
        let grant = [world.root_slot, child.slot, 0, 0, 0];
        assert_eq!(world.call(world.root, Call::Grant, &grant), Err(Status::DomainGone));
        world.ok(world.root, Call::Delete, &[child.slot]);
    }
}

#[test]
fn destroying_needs_the_right() {
    let mut world = World::new();
    let (child, other) = (world.child(Trust::USER), world.child(Trust::USER));
    let named = world.grant(other.slot, child, Rights::SEND, Trust::USER);
    assert_eq!(world.call(child.id, Call::DestroyDomain, &[named]), Err(Status::MissingRight));
    assert_eq!(world.call(child.id, Call::DestroyDomain, &[other.slot]), Err(Status::NoCapability));
    // Itself it may end.
    let own = world.ok(child.id, Call::Hello, &[])[0];
    world.ok(child.id, Call::DestroyDomain, &[own]);
    assert!(!world.kernel.is_alive(child.id) && world.kernel.is_alive(other.id));
}

#[test]
fn a_caller_or_call_that_does_not_exist_is_refused() {
    let mut world = World::new();
    for bits in [0, 1, u64::MAX, world.root.to_bits() ^ 1 << 32] {
        let refused = world.call(DomainId::from_bits(bits), Call::Null, &[]);
        assert_eq!(refused, Err(Status::DomainGone));
    }
    let valid = Request::new(Call::Null, 1, &[]);
    let wrong = [
        (Request { number: 21, ..valid }, Status::NoSuchCall),
        (Request { number: u32::MAX, ..valid }, Status::NoSuchCall),
        (Request { class: Class::Reply as u32, ..valid }, Status::BadArgument),
    ];
    for (request, status) in wrong {
        let Outcome::Reply(answer) = world.kernel.dispatch(world.root, &request, &[], None) else { panic!() };
        assert_eq!(values(&answer.reply), Err(status));
    }
}

#[test]
fn a_region_must_be_the_caller_s_alone() {
    let mut world = World::new();
    let (root, child) = (world.root, world.child(Trust::USER).id);
    let memory = |writer| Some(FakeHandle::Memory { number: 0, bytes: 64, writer });
    let cases = [
        (64, None, Status::NoHandle),
        (64, memory(None), Status::NotSealed),
        (64, memory(Some(child)), Status::NotSealed),
        (65, memory(Some(root)), Status::BadArgument),
        (0, memory(Some(root)), Status::BadArgument),
        (64, Some(FakeHandle::Words(root)), Status::NoHandle),
    ];
    for (bytes, handle, status) in cases {
        let answer = world.answer(root, Call::RegisterRegion, &[bytes], &[], handle);
        assert_eq!(values(&answer.reply), Err(status), "{handle:?}");
    }
    let slot = world.region(root, 64).unwrap()[0];
    let rights = world.ok(root, Call::Inspect, &[slot])[1];
    assert_eq!(rights & bits(Rights::MAP_WRITE | Rights::MAP_READ), bits(Rights::MAP_READ));
}
