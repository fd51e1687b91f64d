//! Quotas: each table ends with a clear refusal, for the one who filled it only, and gives back what is given back.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod world;

use feuerbird_abi::{Call, Role, Status};
use feuerbird_capability::{Rights, Trust};
use feuerbird_exokernel::Limits;
use world::{Answered, World};

const LIMITS: Limits = Limits {
    domains: 4,
    slots_per_domain: 40,
    endpoints_per_domain: 3,
    regions_per_domain: 3,
    region_bytes_per_domain: 1000,
    bindings_per_domain: 3,
    bindings_per_endpoint: 3,
    words_per_domain: 16,
    peers_per_binding: 8,
    revocations_per_domain: 2,
    notices_per_domain: 2,
    children_per_domain: 2,
    audit_records: 64,
    along_per_domain: 6,
    refusals_per_turn: 16,
    steps_per_call: 64,
    memory_objects: 0,
};

/// Calls until it is refused; returns what it got and why it ended.
fn exhaust(mut call: impl FnMut() -> Answered) -> (Vec<u64>, Status) {
    let mut got = Vec::new();
    loop {
        match call() {
            Ok(values) => got.push(values[0]),
            Err(status) => return (got, status),
        }
        assert!(got.len() < 1000, "there is no limit");
    }
}

#[test]
fn endpoints() {
    let mut world = World::with(LIMITS);
    let other = world.child(Trust::USER).id;
    let (got, status) = exhaust(|| world.call(world.root, Call::CreateEndpoint, &[0]));
    assert_eq!((got.len(), status), (3, Status::QuotaExceeded));
    world.ok(other, Call::CreateEndpoint, &[0]);
    // One that is still bound is still charged.
    let bound = world.bind(world.root, got[0], Role::Sender, 0).unwrap();
    world.ok(world.root, Call::Delete, &[got[1]]);
    world.ok(world.root, Call::CreateEndpoint, &[0]);
    world.ok(world.root, Call::Unbind, &[bound.number]);
    assert_eq!(world.call(world.root, Call::CreateEndpoint, &[0]), Err(Status::QuotaExceeded));
    world.ok(world.root, Call::Delete, &[got[0]]);
    world.ok(world.root, Call::CreateEndpoint, &[0]);
}

#[test]
fn regions_and_their_bytes() {
    let mut world = World::with(LIMITS);
    let root = world.root;
    let (got, status) = exhaust(|| world.region(root, 100));
    assert_eq!((got.len(), status), (3, Status::QuotaExceeded));
    world.ok(root, Call::Delete, &[got[0]]);
    assert_eq!(world.region(root, 801), Err(Status::QuotaExceeded));
    assert_eq!(world.region(root, u64::MAX), Err(Status::QuotaExceeded));
    world.region(root, 800).unwrap();
}

#[test]
fn slots() {
    let mut world = World::with(LIMITS);
    let child = world.child(Trust::USER);
    let (got, status) = exhaust(|| world.call(world.root, Call::Copy, &[world.root_slot]));
    assert_eq!((got.len(), status), (37, Status::SlotsFull));
    assert_eq!(world.call(world.root, Call::CreateEndpoint, &[0]), Err(Status::SlotsFull));
    assert_eq!(world.region(world.root, 1), Err(Status::SlotsFull));
    assert_eq!(world.call(world.root, Call::CreateDomain, &[0]), Err(Status::SlotsFull));
    assert!(world.kernel.machine().created.is_empty());
    // A grant fills the receiver's.
    let full = [world.root_slot, child.slot, 1, 0, 0];
    let (granted, status) = exhaust(|| world.call(world.root, Call::Grant, &full));
    assert_eq!((granted.len(), status), (39, Status::SlotsFull));
    world.ok(world.root, Call::Delete, &[got[0]]);
    world.endpoint(0);
}

#[test]
fn bindings() {
    let mut world = World::with(LIMITS);
    let endpoint = world.endpoint(0);
    let root = world.root;
    let (got, status) =
        exhaust(|| world.bind(root, endpoint, Role::Sender, 0).map(|bound| [bound.number, 0, 0, 0, 0, 0]));
    assert_eq!((got.len(), status), (3, Status::QuotaExceeded));
    world.ok(root, Call::Unbind, &[got[1]]);
    world.bind(root, endpoint, Role::Sender, 0).unwrap();
}

#[test]
fn validity_words() {
    let limits = Limits { words_per_domain: 4, ..LIMITS };
    let mut world = World::with(limits);
    let child = world.child(Trust::USER);
    let endpoint = world.endpoint(0);
    let slot = world.grant(endpoint, child, Rights::RECEIVE, Trust::USER);
    for _ in 0..2 {
        world.bind(world.root, endpoint, Role::Sender, 0).unwrap();
    }
    // One word for the binding and one for each of two peers: a second one does not fit.
    world.bind(child.id, slot, Role::Receiver, 0).unwrap();
    assert_eq!(world.bind(child.id, slot, Role::Receiver, 0), Err(Status::QuotaExceeded));
    assert_eq!(world.joined().len(), 4);
    // The root has none left either: it is left out where others bind, and that is all.
    assert_eq!(world.bind(world.root, endpoint, Role::Sender, 0), Err(Status::QuotaExceeded));
}

#[test]
fn bindings_at_one_endpoint() {
    let limits = Limits { bindings_per_domain: 8, bindings_per_endpoint: 2, peers_per_binding: 4, ..LIMITS };
    let mut world = World::with(Limits { words_per_domain: 64, ..limits });
    let endpoint = world.endpoint(0);
    let root = world.root;
    let (greedy, honest) = (world.child(Trust::USER), world.child(Trust::USER));
    let both = [greedy, honest].map(|child| world.grant(endpoint, child, Rights::SEND, Trust::USER));
    let receiving = world.bind(root, endpoint, Role::Receiver, 0).unwrap();
    let bind = |world: &mut World| {
        world.bind(greedy.id, both[0], Role::Sender, 0).map(|bound| [bound.number, 0, 0, 0, 0, 0])
    };
    let (got, status) = exhaust(|| bind(&mut world));
    assert_eq!((got.len(), status), (2, Status::QuotaExceeded));
    // It can neither fill the receiver's peers nor keep the next one out.
    world.joined();
    world.bind(honest.id, both[1], Role::Sender, 0).unwrap();
    let met = world.joined();
    assert!(met.iter().any(|(to, joined)| (*to, joined.binding) == (root, receiving.number)), "{met:?}");
    // The other role, and another endpoint, count apart; and what is let go can be had again.
    world.bind(root, endpoint, Role::Sender, 0).unwrap();
    world.ok(greedy.id, Call::Unbind, &[got[0]]);
    bind(&mut world).unwrap();
}

#[test]
fn domains_and_children() {
    let mut world = World::with(LIMITS);
    let (got, status) = exhaust(|| world.call(world.root, Call::CreateDomain, &[0]));
    assert_eq!((got.len(), status), (2, Status::QuotaExceeded));
    world.kernel.boot_domain(Trust::USER).unwrap();
    assert_eq!(world.kernel.boot_domain(Trust::USER), Err(Status::ObjectsFull));
    world.ok(world.root, Call::DestroyDomain, &[got[0]]);
    world.ok(world.root, Call::CreateDomain, &[0]);
}

#[test]
fn children_of_children_count_against_all_above_them() {
    let mut world = World::with(Limits { domains: 64, children_per_domain: 32, ..LIMITS });
    let root = world.root;
    let create = |world: &mut World, by| world.call(by, Call::CreateDomain, &[0]);
    create(&mut world, root).unwrap();
    let greedy = world.kernel.machine().created[0];
    // A whole family of them, as deep as it gets: each one creates what it may.
    let mut family = vec![greedy];
    let mut next = 0;
    while let Some(&creator) = family.get(next) {
        while create(&mut world, creator).is_ok() {
            family.push(*world.kernel.machine().created.last().unwrap());
            assert!(family.len() < 60, "the table is full of one domain's children");
        }
        assert_eq!(create(&mut world, creator), Err(Status::QuotaExceeded));
        next += 1;
    }
    assert_eq!(family.len(), 1 + 32 / 8);
    // The root has all the rest, and not more.
    let (rest, status) = exhaust(|| create(&mut world, root));
    assert_eq!((rest.len() + family.len(), status), (32, Status::QuotaExceeded));
    // And nobody else has, though its own quota is not used up.
    let late = *world.kernel.machine().created.last().unwrap();
    assert_eq!(create(&mut world, late), Err(Status::QuotaExceeded));
    // Who dies leaves its children to who pays for them.
    world.kernel.domain_died(greedy);
    assert_eq!(world.kernel.verify(), Ok(()));
    let (again, _) = exhaust(|| create(&mut world, root));
    assert_eq!(again.len(), 1);
    family[1..].iter().for_each(|&child| world.kernel.domain_died(child));
    let (again, _) = exhaust(|| create(&mut world, root));
    assert_eq!(again.len(), 4);
}

#[test]
fn revocations() {
    let mut world = World::with(LIMITS);
    let child = world.child(Trust::USER);
    let endpoint = world.endpoint(0);
    let slot = world.grant(endpoint, child, Rights::SEND, Trust::USER);
    world.bind(child.id, slot, Role::Sender, 0).unwrap();
    for _ in 0..2 {
        world.full(world.root, Call::Revoke, &[endpoint, 10], &[], None);
    }
    assert_eq!(world.call(world.root, Call::Revoke, &[endpoint, 10]), Err(Status::QuotaExceeded));
    world.at(10);
    assert_eq!(world.kernel.machine().replies.len(), 2);
    world.ok(world.root, Call::Revoke, &[endpoint, 0]);
}

#[test]
fn the_depth_of_derivation() {
    let mut world = World::with(LIMITS);
    let mut slot = world.endpoint(0);
    let rights = u64::from(Rights::all().bits());
    let (got, status) = exhaust(|| {
        let derived = world.call(world.root, Call::Derive, &[slot, rights, 0, 0, 0, 0])?;
        slot = derived[0];
        Ok(derived)
    });
    assert_eq!((got.len(), status), (usize::from(feuerbird_capability::DEPTH_LIMIT), Status::TooDeep));
}
