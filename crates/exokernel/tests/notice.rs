//! Time to let go: what is in use by a capability when that is revoked, until its holder lets go of it or the deadline comes.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod world;

use feuerbird_abi::{AuditKind, Call, NO_BINDING, Role, Status, Upcall, UpcallKind};
use feuerbird_capability::{Badge, Capability, Object, ObjectKind, Range, Rights, Slot, Trust};
use feuerbird_exokernel::fake::FakeHandle;
use feuerbird_exokernel::{DomainId, Limits, Outcome};

use world::World;

const LIMITS: Limits =
    Limits { domains: 8, memory_objects: 64, slots_per_domain: 64, notices_per_domain: 4, ..Limits::SMALL };
const MEMORY: FakeHandle = FakeHandle::Memory { number: 7, bytes: 4 * 4096, writer: None };
const DUE: u64 = 1000;

/// The kinds that a home mints.
const HOME_KINDS: [ObjectKind; 3] = [ObjectKind::TimeSlice, ObjectKind::IoPort, ObjectKind::Interrupt];

fn all() -> u64 {
    u64::from((Rights::all() - Rights::EXECUTE).bits())
}

/// One step of work for each call, or as many as there are.
fn worlds() -> [World; 2] {
    [1, 512].map(|steps_per_call| World::with(Limits { steps_per_call, ..LIMITS }))
}

fn frames(world: &mut World) -> u64 {
    world.kernel.mint_frames(world.root, MEMORY, 4).unwrap().to_bits()
}

fn mint(world: &mut World, kind: ObjectKind) -> u64 {
    let object = Object { kind, id: 1 };
    let (rights, trust) = (Rights::all(), Trust::USER);
    let capability = Capability { object, rights, trust, badge: Badge::NONE, range: Range::new(0, 16) };
    world.kernel.mint_for(world.root, capability).unwrap().to_bits()
}

fn grant(world: &mut World, by: DomainId, slot: u64, to: u64) -> u64 {
    world.ok(by, Call::Grant, &[slot, to, all() & held(world, by, slot), 0, 0])[0]
}

fn held(world: &World, domain: DomainId, slot: u64) -> u64 {
    let mut held = world.kernel.held(domain);
    u64::from(held.find(|(it, _)| it.to_bits() == slot).unwrap().1.rights.bits())
}

fn revoke(world: &mut World, by: DomainId, slot: u64, deadline: u64) -> bool {
    matches!(world.full(by, Call::Revoke, &[slot, deadline], &[], None), Outcome::Reply(_))
}

/// Does all that is left to do at this time.
fn at(world: &mut World, now: u64) {
    while world.at(now) == Some(0) {}
}

fn claim_frames(world: &mut World, domain: DomainId, slot: u64) -> Result<(), Status> {
    world.kernel.claim_frames(domain, Slot::from_bits(slot), Rights::MAP_READ, None).map(|_| ())
}

/// To whom the pages went, in order.
fn moves(world: &mut World) -> Vec<(DomainId, DomainId)> {
    let moves = std::mem::take(&mut world.kernel.machine_mut().handed_over);
    moves.iter().map(|(memory, from, to, _)| (*memory == MEMORY).then_some((*from, *to)).unwrap()).collect()
}

/// What a domain was told of a slot's end: the upcall that it can acknowledge.
fn noticed(world: &mut World, domain: DomainId) -> Vec<Upcall> {
    world.told(domain, UpcallKind::RevocationRequested)
}

/// The last answers that were not given at once: (revoked, by force).
fn answers(world: &mut World) -> Vec<[u64; 2]> {
    let replies = std::mem::take(&mut world.kernel.machine_mut().replies);
    replies.iter().map(|(_, it)| [it.values[0], it.values[1]]).collect()
}

fn given_up(world: &World) -> Vec<(u64, u64)> {
    let records = world.kernel.audit().since(1).filter(|it| it.kind == AuditKind::GivenUp as u16);
    records.map(|it| (it.slot, it.detail)).collect()
}

#[test]
fn pages_stay_until_the_deadline_and_then_go_by_force() {
    for mut world in worlds() {
        let (root, slot, child) = (world.root, frames(&mut world), world.child(Trust::USER));
        let there = grant(&mut world, root, slot, child.slot);
        moves(&mut world);
        assert!(!revoke(&mut world, root, slot, DUE));
        // Unusable at once, whether the sweep has come there or not.
        assert_eq!(claim_frames(&mut world, child.id, there), Err(Status::NoCapability));
        assert_eq!(claim_frames(&mut world, root, slot), Err(Status::Busy));
        at(&mut world, 0);
        let told = noticed(&mut world, child.id);
        let expected = [NO_BINDING, NO_BINDING, DUE, there, ObjectKind::Frame.number()];
        assert_eq!((told.len(), &told[0].values[..5]), (1, &expected[..]));
        at(&mut world, DUE - 1);
        assert_eq!((moves(&mut world), answers(&mut world)), (vec![], vec![]));
        assert_eq!(claim_frames(&mut world, root, slot), Err(Status::Busy));
        at(&mut world, DUE);
        assert_eq!((moves(&mut world), answers(&mut world)), (vec![(child.id, root)], vec![[1, 1]]));
        assert_eq!(claim_frames(&mut world, root, slot), Ok(()));
        let taken = world.told(child.id, UpcallKind::Repossessed);
        assert_eq!((taken.len(), taken[0].values[1]), (1, there));
        assert_eq!(given_up(&world), [(there, 1)]);
    }
}

#[test]
fn who_acknowledges_lets_go_and_is_not_told_again() {
    for mut world in worlds() {
        let (root, slot, child) = (world.root, frames(&mut world), world.child(Trust::USER));
        let there = grant(&mut world, root, slot, child.slot);
        revoke(&mut world, root, slot, DUE);
        at(&mut world, 0);
        moves(&mut world);
        let told = noticed(&mut world, child.id)[0].sequence;
        assert_eq!(world.call(root, Call::Acknowledge, &[told]), Err(Status::BadArgument));
        world.ok(child.id, Call::Acknowledge, &[told]);
        assert_eq!(world.call(child.id, Call::Acknowledge, &[told]), Err(Status::BadArgument));
        assert_eq!((moves(&mut world), answers(&mut world)), (vec![(child.id, root)], vec![[1, 0]]));
        assert!(world.told(child.id, UpcallKind::Repossessed).is_empty());
        assert_eq!(given_up(&world), [(there, 0)]);
    }
}

#[test]
fn only_who_has_the_pages_has_time() {
    for mut world in worlds() {
        let (root, slot) = (world.root, frames(&mut world));
        let (middle, last) = (world.child(Trust::USER), world.child(Trust::USER));
        let known = world.grant(last.slot, middle, Rights::SEND, Trust::USER);
        let there = grant(&mut world, root, slot, middle.slot);
        let beyond = grant(&mut world, middle.id, there, known);
        moves(&mut world);
        assert!(!revoke(&mut world, root, slot, DUE));
        at(&mut world, 0);
        let requested = UpcallKind::RevocationRequested as u32;
        let told = world.upcalls().into_iter().filter(|(_, it, _)| it.kind == requested);
        let told: Vec<_> = told.map(|(to, it, _)| (to, it.values[3])).collect();
        assert_eq!((told, moves(&mut world)), (vec![(last.id, beyond)], vec![]));
        at(&mut world, DUE);
        assert_eq!((moves(&mut world), answers(&mut world)), (vec![(last.id, root)], vec![[2, 1]]));
    }
}

/// Whoever dies, the pages do not stay with whom they were revoked from.
#[test]
fn a_death_ends_the_time() {
    type Deaths = (fn(&mut World, DomainId, u64), bool);
    let deaths: [Deaths; 3] = [
        (|world, child, _| world.kernel.domain_died(child), true),
        (|world, _, _| world.kernel.domain_died(world.root), false),
        (|world, _, slot| _ = world.ok(world.root, Call::Delete, &[slot]), true),
    ];
    for (die, is_owner_alive) in deaths {
        for mut world in worlds() {
            let (root, slot, child) = (world.root, frames(&mut world), world.child(Trust::USER));
            grant(&mut world, root, slot, child.slot);
            revoke(&mut world, root, slot, DUE);
            at(&mut world, 0);
            moves(&mut world);
            die(&mut world, child.id, slot);
            at(&mut world, 1);
            let moves = moves(&mut world);
            assert_eq!((moves.len(), moves[0].0), (1, child.id));
            assert_eq!(answers(&mut world).len(), usize::from(is_owner_alive));
            assert_eq!(world.kernel.verify(), Ok(()));
        }
    }
}

/// A revocation whose sweep has not come to who has the pages when the last other name for them goes.
#[test]
fn pages_without_a_name_do_not_stay_with_whom_they_were_revoked_from() {
    let mut world = World::with(Limits { steps_per_call: 1, ..LIMITS });
    let (root, slot, child) = (world.root, frames(&mut world), world.child(Trust::USER));
    let other = world.endpoint(0);
    for _ in 0..20 {
        world.ok(root, Call::Derive, &[other, 1, 0, 0, 0, 0]);
    }
    grant(&mut world, root, slot, child.slot);
    moves(&mut world);
    revoke(&mut world, root, other, 0);
    revoke(&mut world, root, slot, 0);
    world.ok(root, Call::Delete, &[slot]);
    at(&mut world, 1);
    assert_eq!(moves(&mut world), [(child.id, DomainId::from_bits(0))]);
    assert_eq!(world.kernel.verify(), Ok(()));
}

/// So many capabilities to revoke that one step for each call leaves most of them to be swept.
fn keep_the_sweep_busy(world: &mut World) {
    let other = world.endpoint(0);
    for _ in 0..20 {
        world.ok(world.root, Call::Derive, &[other, 1, 0, 0, 0, 0]);
    }
    revoke(world, world.root, other, DUE);
}

/// Whoever was above them has ended, too, and the sweep has not come anywhere.
#[test]
fn pages_do_not_stay_with_whom_they_were_revoked_from_when_nobody_is_left_above() {
    for deadline in [0, DUE] {
        let mut world = World::with(Limits { steps_per_call: 1, ..LIMITS });
        let (owner, child) = (world.child(Trust::USER), world.child(Trust::USER));
        let slot = world.kernel.mint_frames(owner.id, MEMORY, 4).unwrap().to_bits();
        let known = world.grant(child.slot, owner, Rights::SEND, Trust::USER);
        grant(&mut world, owner.id, slot, known);
        moves(&mut world);
        keep_the_sweep_busy(&mut world);
        revoke(&mut world, owner.id, slot, deadline);
        world.kernel.domain_died(owner.id);
        at(&mut world, 1);
        assert_eq!(moves(&mut world), [(child.id, DomainId::from_bits(0))]);
    }
}

/// Who has ended keeps nobody from having pages, and nobody from having time for them.
#[test]
fn the_time_of_who_has_ended_is_nobody_elses() {
    let mut world = World::with(Limits { steps_per_call: 1, ..LIMITS });
    let (root, slot, endpoint) = (world.root, frames(&mut world), world.endpoint(0));
    let (first, second) = (world.child(Trust::USER), world.child(Trust::USER));
    let way = world.grant(endpoint, first, Rights::SEND, Trust::USER);
    world.bind(first.id, way, Role::Sender, 0).unwrap();
    grant(&mut world, root, slot, first.slot);
    revoke(&mut world, root, slot, DUE);
    at(&mut world, 0);
    moves(&mut world);
    // One step: its binding goes, and what it had notice of is still to be taken down.
    world.kernel.domain_died(first.id);
    assert_eq!(claim_frames(&mut world, root, slot), Ok(()));
    let there = grant(&mut world, root, slot, second.slot);
    assert_eq!(moves(&mut world), [(first.id, root), (root, second.id)]);
    assert_eq!(claim_frames(&mut world, second.id, there), Ok(()));
    revoke(&mut world, root, slot, DUE);
    at(&mut world, DUE - 1);
    assert_eq!((noticed(&mut world, second.id).len(), moves(&mut world)), (1, vec![]));
    at(&mut world, DUE);
    assert_eq!(moves(&mut world), [(second.id, root)]);
}

/// Pages that came back to who had lent them, by time that is not needed any more, and go on.
#[test]
fn who_has_pages_by_an_elder_capability_hands_them_on_at_once() {
    for mut world in worlds() {
        let [first, second, third] = [(); 3].map(|()| world.child(Trust::USER));
        let slot = world.kernel.mint_frames(first.id, MEMORY, 4).unwrap().to_bits();
        let to_second = world.grant(second.slot, first, Rights::SEND, Trust::USER);
        let to_third = world.grant(third.slot, first, Rights::SEND, Trust::USER);
        let back = world.grant(first.slot, second, Rights::SEND, Trust::USER);
        let there = grant(&mut world, first.id, slot, to_second);
        grant(&mut world, second.id, there, back);
        revoke(&mut world, second.id, there, DUE);
        at(&mut world, 0);
        world.ok(second.id, Call::Delete, &[there]);
        moves(&mut world);
        grant(&mut world, first.id, slot, to_third);
        assert_eq!(moves(&mut world), [(first.id, third.id)]);
    }
}

#[test]
fn without_a_deadline_nobody_has_time() {
    for mut world in worlds() {
        let (root, slot, child) = (world.root, frames(&mut world), world.child(Trust::USER));
        grant(&mut world, root, slot, child.slot);
        moves(&mut world);
        revoke(&mut world, root, slot, 0);
        at(&mut world, 0);
        assert_eq!((noticed(&mut world, child.id), moves(&mut world)), (vec![], vec![(child.id, root)]));
        assert_eq!(given_up(&world), []);
    }
}

#[test]
fn a_part_that_its_holder_revokes_takes_nothing_away() {
    for mut world in worlds() {
        let (root, slot) = (world.root, frames(&mut world));
        for range in [[0, 0], [1, 2]] {
            world.ok(root, Call::Derive, &[slot, all() & held(&world, root, slot), 0, 0, range[0], range[1]]);
            let is_done = revoke(&mut world, root, slot, DUE);
            at(&mut world, 0);
            assert!(is_done || answers(&mut world) == [[1, 0]]);
            assert_eq!((noticed(&mut world, root), moves(&mut world)), (vec![], vec![]));
        }
    }
}

#[test]
fn what_is_mapped_of_a_region_stays_as_long() {
    for mut world in worlds() {
        let (owner, child) = (world.child(Trust::USER), world.child(Trust::USER));
        let known = world.grant(child.slot, owner, Rights::SEND, Trust::USER);
        let region = world.region(owner.id, 64).unwrap()[0];
        let there = grant(&mut world, owner.id, region, known);
        world.ok(child.id, Call::MapRegion, &[there]);
        assert!(!revoke(&mut world, owner.id, region, DUE));
        at(&mut world, DUE - 1);
        assert_eq!(world.call(child.id, Call::MapRegion, &[there]), Err(Status::NoCapability));
        assert_eq!(noticed(&mut world, child.id)[0].values[3], there);
        assert_eq!(world.kernel.machine().withdrawn, []);
        // Also where its owner does not live to see it.
        world.kernel.domain_died(owner.id);
        at(&mut world, DUE - 1);
        let withdrawn: Vec<_> = world.kernel.machine().withdrawn.iter().map(|(from, _)| *from).collect();
        assert_eq!(withdrawn, [child.id]);
        assert_eq!(world.kernel.verify(), Ok(()));
    }
}

/// A second capability for the same region that goes meanwhile takes nothing along.
#[test]
fn what_is_mapped_stays_whatever_else_ends_meanwhile() {
    for mut world in worlds() {
        let (root, child) = (world.root, world.child(Trust::USER));
        let region = world.region(root, 64).unwrap()[0];
        let revoked = world.ok(root, Call::Copy, &[region])[0];
        grant(&mut world, root, revoked, child.slot);
        let other = grant(&mut world, root, region, child.slot);
        revoke(&mut world, root, revoked, DUE);
        at(&mut world, 0);
        world.ok(child.id, Call::Delete, &[other]);
        at(&mut world, DUE - 1);
        assert_eq!(world.kernel.machine().withdrawn, []);
        at(&mut world, DUE);
        assert_eq!(world.kernel.machine().withdrawn.len(), 1);
    }
}

#[test]
fn a_part_of_a_region_maps_nothing_and_there_is_nothing_to_let_go() {
    for mut world in worlds() {
        let (root, child) = (world.root, world.child(Trust::USER));
        let region = world.region(root, 64).unwrap()[0];
        let part = world.ok(root, Call::Derive, &[region, held(&world, root, region), 0, 0, 0, 32])[0];
        grant(&mut world, root, part, child.slot);
        let is_answered = revoke(&mut world, root, part, DUE);
        at(&mut world, 0);
        assert!(is_answered || answers(&mut world).len() == 1);
        assert_eq!(noticed(&mut world, child.id), []);
    }
}

fn claim(world: &World, domain: DomainId, slot: u64, kind: ObjectKind) -> Result<Range, Status> {
    world.kernel.claim(domain, Slot::from_bits(slot), kind, Rights::CONTROL).map(|it| it.range)
}

fn claim_use(world: &World, domain: DomainId, slot: u64, kind: ObjectKind) -> Result<Range, Status> {
    world.kernel.claim_use(domain, Slot::from_bits(slot), kind, Rights::CONTROL).map(|it| it.range)
}

#[test]
fn slices_ports_and_lines_are_used_until_the_deadline_and_nothing_new_is_begun() {
    for kind in HOME_KINDS {
        for mut world in worlds() {
            let (root, slot, child) = (world.root, mint(&mut world, kind), world.child(Trust::USER));
            let there = grant(&mut world, root, slot, child.slot);
            let slots = Slot::from_bits(there);
            let range = Ok(Range::new(0, 16));
            assert!(!revoke(&mut world, root, slot, DUE));
            for now in [0, DUE - 1] {
                assert_eq!(claim(&world, child.id, there, kind), Err(Status::NoCapability));
                assert_eq!(claim_use(&world, child.id, there, kind), range, "at {now}");
                let other = HOME_KINDS[(kind.number() as usize - 5) % 3];
                assert_eq!(claim_use(&world, child.id, there, other), Err(Status::NoCapability));
                assert_eq!(claim_use(&world, root, there, kind), Err(Status::NoCapability));
                let derive = [there, all(), 0, 0, 0, 1];
                assert_eq!(world.call(child.id, Call::Derive, &derive), Err(Status::NoCapability));
                assert_eq!(world.kernel.machine().taken_back, []);
                at(&mut world, now);
            }
            // Also where nobody has come to take it yet.
            world.kernel.machine_mut().now_ns = DUE;
            assert_eq!(claim_use(&world, child.id, there, kind), Err(Status::NoCapability));
            at(&mut world, DUE);
            assert_eq!(claim_use(&world, child.id, there, kind), Err(Status::NoCapability));
            assert_eq!(world.kernel.machine().taken_back, [slots]);
            assert_eq!(answers(&mut world), [[1, 1]]);
            assert_eq!(world.told(child.id, UpcallKind::Repossessed)[0].values[1], there);
        }
    }
}

/// Who has not been told yet uses it as well, if it will be told: the sweep may be busy elsewhere.
#[test]
fn before_the_sweep_it_is_used_if_there_is_time() {
    for (deadline, expected) in [(DUE, Ok(Range::new(0, 16))), (0, Err(Status::NoCapability))] {
        let mut world = World::with(Limits { steps_per_call: 1, ..LIMITS });
        let (root, kind) = (world.root, ObjectKind::IoPort);
        let (slot, child) = (mint(&mut world, kind), world.child(Trust::USER));
        let there = grant(&mut world, root, slot, child.slot);
        keep_the_sweep_busy(&mut world);
        world.full(root, Call::Revoke, &[slot, deadline], &[], None);
        assert_eq!((world.kernel.next_deadline(), noticed(&mut world, child.id)), (Some(0), vec![]));
        assert_eq!(claim(&world, child.id, there, kind), Err(Status::NoCapability));
        assert_eq!(claim_use(&world, child.id, there, kind), expected);
        at(&mut world, 0);
        assert_eq!(claim_use(&world, child.id, there, kind), expected);
    }
}

#[test]
fn what_was_done_by_a_capability_goes_where_it_goes_and_ends_with_it() {
    for kind in HOME_KINDS {
        let mut world = World::with(LIMITS);
        let (root, slot) = (world.root, mint(&mut world, kind));
        let moved = world.ok(root, Call::Move, &[slot])[0];
        let [old, new] = [slot, moved].map(Slot::from_bits);
        assert_eq!(world.kernel.machine().followed, [(old, new)]);
        assert_eq!(world.kernel.machine().taken_back, []);
        world.ok(root, Call::Delete, &[moved]);
        assert_eq!(world.kernel.machine().taken_back, [new]);
    }
}

#[test]
fn a_shorter_deadline_holds_for_what_has_time_already() {
    for mut world in worlds() {
        let (root, slot, child) = (world.root, frames(&mut world), world.child(Trust::USER));
        grant(&mut world, root, slot, child.slot);
        revoke(&mut world, root, slot, 1_000_000);
        at(&mut world, 0);
        moves(&mut world);
        revoke(&mut world, root, slot, DUE);
        at(&mut world, DUE);
        assert_eq!(moves(&mut world), [(child.id, root)]);
        assert_eq!(answers(&mut world).len(), 2);
    }
}

/// That of a revocation which another one is about: whoever comes along later is about neither.
#[test]
fn a_stranger_shortens_nobody_s_time_and_waits_for_nobody() {
    for mut world in worlds() {
        let (root, slot) = (world.root, mint(&mut world, ObjectKind::IoPort));
        let [middle, last, stranger] = [(); 3].map(|()| world.child(Trust::USER));
        let known = world.grant(last.slot, middle, Rights::SEND, Trust::USER);
        let there = grant(&mut world, root, slot, middle.slot);
        grant(&mut world, middle.id, there, known);
        revoke(&mut world, middle.id, there, 2 * DUE);
        at(&mut world, 0);
        revoke(&mut world, root, slot, DUE);
        at(&mut world, 0);
        let own = world.ok(stranger.id, Call::CreateEndpoint, &[0])[0];
        let is_answered = revoke(&mut world, stranger.id, own, 0);
        at(&mut world, 0);
        assert!(is_answered && answers(&mut world).is_empty());
        assert_eq!(world.kernel.machine().taken_back, []);
        // Who is above both still gets both.
        at(&mut world, DUE);
        assert_eq!((world.kernel.machine().taken_back.len(), answers(&mut world).len()), (2, 2));
    }
}

/// There is a limit to how much a domain has time for, and who would have more loses that at once.
#[test]
fn beyond_the_quota_there_is_no_time() {
    for mut world in worlds() {
        let (root, child) = (world.root, world.child(Trust::USER));
        let (limit, slot) = (LIMITS.notices_per_domain as usize, mint(&mut world, ObjectKind::IoPort));
        for _ in 0..limit {
            grant(&mut world, root, slot, child.slot);
            revoke(&mut world, root, slot, DUE);
            at(&mut world, 0);
        }
        assert_eq!(
            (noticed(&mut world, child.id).len(), world.kernel.machine().taken_back.len()),
            (limit, 0)
        );
        let slot = frames(&mut world);
        grant(&mut world, root, slot, child.slot);
        moves(&mut world);
        revoke(&mut world, root, slot, DUE);
        at(&mut world, 0);
        assert_eq!((noticed(&mut world, child.id), moves(&mut world)), (vec![], vec![(child.id, root)]));
        at(&mut world, DUE);
        assert_eq!(world.kernel.machine().taken_back.len(), limit);
        assert_eq!(world.kernel.verify(), Ok(()));
    }
}

#[test]
fn a_pair_and_pages_of_one_holder_end_each_by_itself() {
    for mut world in worlds() {
        let (root, child) = (world.root, world.child(Trust::USER));
        let (endpoint, slot) = (world.endpoint(0), frames(&mut world));
        let way = world.grant(endpoint, child, Rights::SEND, Trust::USER);
        world.bind(child.id, way, Role::Sender, 0).unwrap();
        grant(&mut world, root, slot, child.slot);
        moves(&mut world);
        revoke(&mut world, root, endpoint, 500);
        revoke(&mut world, root, slot, DUE);
        at(&mut world, 0);
        let told = noticed(&mut world, child.id);
        assert_eq!(told.len(), 2);
        let of_pages = told.iter().find(|it| it.values[0] == NO_BINDING).unwrap();
        world.ok(child.id, Call::Acknowledge, &[of_pages.sequence]);
        at(&mut world, 1);
        assert_eq!(moves(&mut world), [(child.id, root)]);
        at(&mut world, DUE);
        let mut answers = answers(&mut world);
        answers.sort_unstable();
        assert_eq!(answers, [[1, 0], [1, 1]]);
    }
}
