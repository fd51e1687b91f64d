//! The bugs that other capability systems had, one test each, and the promises that need a large tree to break.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod world;

use feuerbird_capability::*;
use world::{counted, endpoint, frames, region, system, take_all};

const ALL: Derivation = Derivation::new(Rights::all(), Trust::LIBOS);

#[test]
fn a_slot_reused_after_a_delete_has_a_new_generation() {
    let (mut system, [a, _]) = system(1);
    let first = system.mint(a, endpoint()).unwrap();
    system.delete(a, first).unwrap();
    let second = system.mint(a, endpoint()).unwrap();
    assert_eq!(first.index, second.index);
    assert_ne!(first, second);
    assert_eq!(system.lookup(a, first, Rights::empty()), Err(Error::NoCapability));
    assert_eq!(system.delete(a, first).unwrap_err(), Error::NoCapability);
}

#[test]
fn a_lookup_asks_whose_slot_it_is() {
    let (mut system, [a, b]) = system(4);
    let slot = system.mint(a, endpoint()).unwrap();
    assert_eq!(system.lookup(b, slot, Rights::empty()), Err(Error::NoCapability));
    assert_eq!(system.derive(b, slot, ALL), Err(Error::NoCapability));
    assert_eq!(system.revoke(b, slot), Err(Error::NoCapability));
    assert_eq!(system.delete(b, slot).unwrap_err(), Error::NoCapability);
    assert_eq!(system.move_to(b, slot, b), Err(Error::NoCapability));
}

#[test]
fn a_word_out_of_thin_air_names_nothing() {
    let (mut system, [a, _]) = system(4);
    let slot = system.mint(a, endpoint()).unwrap();
    for bits in (0..64).map(|bit| slot.to_bits() ^ 1 << bit).chain([0, u64::MAX, u64::from(u32::MAX)]) {
        assert_eq!(system.lookup(a, Slot::from_bits(bits), Rights::empty()), Err(Error::NoCapability));
    }
    assert_eq!(Slot::from_bits(slot.to_bits()), slot);
    let nobody = SpaceId::from_bits(a.to_bits() ^ 1 << 40);
    assert_eq!(system.lookup(nobody, slot, Rights::empty()), Err(Error::NoSpace));
}

#[test]
fn a_downgrade_never_upgrades() {
    let (mut system, [a, b]) = system(8);
    let root = Capability { rights: Rights::all() - Rights::SEND, range: Range::new(8, 8), ..region() };
    let slot = system.mint(a, root).unwrap();
    let rights = root.rights;
    let cases = [
        (Derivation::new(Rights::SEND, Trust::USER), Error::MoreRights),
        (Derivation::new(rights, Trust::BASE), Error::HigherTrust),
        (Derivation::new(rights, Trust::USER).with_range(Range::new(7, 2)), Error::OutsideRange),
        (Derivation::new(rights, Trust::USER).with_range(Range::new(15, 2)), Error::OutsideRange),
        (Derivation::new(rights, Trust::USER).with_range(Range::new(9, u64::MAX)), Error::OutsideRange),
    ];
    for (derivation, error) in cases {
        assert_eq!(system.derive(a, slot, derivation), Err(error));
        assert_eq!(system.grant(a, slot, b, derivation), Err(error));
    }
    let masked = Derivation::masking(&root, Rights::all(), Trust::KERNEL);
    let child = system.derive(a, slot, masked).unwrap();
    assert_eq!(system.lookup(a, child, Rights::empty()), Ok(root));
}

#[test]
fn a_badge_once_given_stays() {
    let (mut system, [a, _]) = system(8);
    let slot = system.mint(a, endpoint()).unwrap();
    let badged = system.derive(a, slot, ALL.with_badge(Badge(7))).unwrap();
    assert_eq!(system.derive(a, badged, ALL.with_badge(Badge(8))), Err(Error::AlreadyBadged));
    for derivation in [ALL, ALL.with_badge(Badge::NONE), ALL.with_badge(Badge(7))] {
        let child = system.derive(a, badged, derivation).unwrap();
        assert_eq!(system.lookup(a, child, Rights::empty()).unwrap().badge, Badge(7));
    }
}

#[test]
fn each_operation_demands_its_right() {
    let (mut system, [a, b]) = system(16);
    let mut without = |right: Rights| {
        let rights = Rights::all() - right;
        system.mint(a, Capability { rights, ..endpoint() }).unwrap()
    };
    let [derive, grant, revoke, inspect] =
        [Rights::DERIVE, Rights::GRANT, Rights::REVOKE, Rights::INSPECT].map(&mut without);
    let none = Derivation::new(Rights::empty(), Trust::USER);
    assert_eq!(system.derive(a, derive, none), Err(Error::MissingRight));
    assert_eq!(system.copy(a, derive), Err(Error::MissingRight));
    assert_eq!(system.grant(a, grant, b, none), Err(Error::MissingRight));
    assert_eq!(system.move_to(a, grant, b), Err(Error::MissingRight));
    assert_eq!(system.revoke(a, revoke), Err(Error::MissingRight));
    assert_eq!(system.inspect(a, inspect), Err(Error::MissingRight));
    assert!(system.move_within(a, grant).is_ok());
    assert!(system.delete(a, derive).is_ok());
}

#[test]
fn revoke_remembers_what_is_parked_in_a_message() {
    let (mut system, [a, b]) = system(8);
    // A message in flight is a space of its own: what it carries is granted into it, and moved out on receipt.
    let message = system.create_space(4).unwrap();
    let slot = system.mint(a, endpoint()).unwrap();
    let parked = system.grant(a, slot, message, ALL).unwrap();
    assert_eq!(system.revoke(a, slot), Ok(true));
    assert_eq!(system.move_to(message, parked, b), Err(Error::Revoked));
}

#[test]
fn a_queued_sender_finds_its_ticket_dead() {
    let (mut system, [a, b]) = system(8);
    let slot = system.mint(a, endpoint()).unwrap();
    let far = system.grant(a, slot, b, ALL).unwrap();
    let farther = system.derive(b, far, ALL).unwrap();
    let tickets = [far, farther].map(|slot| system.ticket(b, slot, Rights::SEND).unwrap().1);
    let own = system.ticket(a, slot, Rights::SEND).unwrap().1;
    system.revoke(a, slot).unwrap();
    // Before the sweep, during it, and after: also when the nodes serve others by then.
    assert!(tickets.iter().all(|ticket| !system.is_live(ticket)));
    take_all(&mut system);
    for _ in 0..2 {
        system.mint(b, endpoint()).unwrap();
    }
    assert!(tickets.iter().all(|ticket| !system.is_live(ticket)));
    assert!(system.is_live(&own));
}

#[test]
fn a_ticket_dies_with_its_slot() {
    let (mut system, [a, b]) = system(8);
    let mut tickets = vec![];
    let mut fresh = |system: &mut world::System| {
        let slot = system.mint(a, endpoint()).unwrap();
        tickets.push(system.ticket(a, slot, Rights::SEND).unwrap().1);
        slot
    };
    let (moved, deleted) = (fresh(&mut system), fresh(&mut system));
    let (sent, left) = (fresh(&mut system), fresh(&mut system));
    system.move_within(a, moved).unwrap();
    system.delete(a, deleted).unwrap();
    system.move_to(a, sent, b).unwrap();
    assert_eq!(
        tickets.iter().map(|ticket| system.is_live(ticket)).collect::<Vec<_>>(),
        [false, false, false, true]
    );
    system.destroy_space(a).unwrap();
    assert!(!system.is_live(&tickets[3]));
    assert_eq!(system.lookup(a, left, Rights::empty()), Err(Error::NoSpace));
}

#[test]
fn a_move_makes_no_cycle() {
    let (mut system, [a, b]) = system(8);
    let slot = system.mint(a, endpoint()).unwrap();
    let child = system.grant(a, slot, b, ALL).unwrap();
    // The parent moves to where its child is, the child to where its parent was, and on.
    let slot = system.move_to(a, slot, b).unwrap();
    let child = system.move_to(b, child, a).unwrap();
    assert_eq!(system.parent(a, child), Ok(Some((b, slot))));
    assert_eq!(system.parent(b, slot), Ok(None));
    assert_eq!(system.revoke(a, child), Ok(false));
    assert_eq!(system.revoke(b, slot), Ok(true));
    assert_eq!(system.lookup(a, child, Rights::empty()), Err(Error::Revoked));
}

#[test]
fn a_chain_ends_at_the_depth_limit_with_a_clear_error() {
    let (mut system, [a, _]) = system(64);
    let mut chain = vec![system.mint(a, endpoint()).unwrap()];
    for _ in 0..DEPTH_LIMIT {
        chain.push(system.derive(a, chain[chain.len() - 1], ALL).unwrap());
    }
    let last = chain[chain.len() - 1];
    assert_eq!(system.inspect(a, last).unwrap().depth, DEPTH_LIMIT);
    assert_eq!(system.derive(a, last, ALL), Err(Error::TooDeep));
    assert_eq!(system.copy(a, last).map(|_| ()), Ok(()));
    // Deleting what is between makes no room: the limit counts derivations.
    for slot in &chain[1..chain.len() - 1] {
        system.delete(a, *slot).unwrap();
    }
    assert_eq!(system.derive(a, last, ALL), Err(Error::TooDeep));
    assert_eq!(system.parent(a, last), Ok(Some((a, chain[0]))));
    system.revoke(a, chain[0]).unwrap();
    assert_eq!(system.lookup(a, last, Rights::empty()), Err(Error::Revoked));
    take_all(&mut system);
    assert_eq!(system.usage(a), Ok((1, 64)));
}

#[test]
fn children_outlive_a_deleted_parent_and_end_with_its_parent() {
    let (mut system, [a, b]) = system(8);
    let slot = system.mint(a, endpoint()).unwrap();
    let middle = system.derive(a, slot, ALL).unwrap();
    let child = system.grant(a, middle, b, ALL).unwrap();
    assert_eq!(system.delete(a, middle).unwrap().cause, Cause::Deleted);
    assert_eq!(system.usage(a), Ok((2, 8)), "the deleted one is charged while it is needed");
    assert!(system.lookup(b, child, Rights::SEND).is_ok());
    assert_eq!(system.parent(b, child), Ok(Some((a, slot))));
    system.revoke(a, slot).unwrap();
    assert_eq!(system.lookup(b, child, Rights::SEND), Err(Error::Revoked));
    assert_eq!(take_all(&mut system), [child], "the deleted one is not reported again");
    assert_eq!(system.usage(a), Ok((1, 8)));
}

#[test]
fn a_dead_domain_takes_nobody_with_it() {
    let (mut system, [a, b]) = system(8);
    let slot = system.mint(a, endpoint()).unwrap();
    let child = system.grant(a, slot, b, ALL).unwrap();
    system.destroy_space(a).unwrap();
    assert_eq!(system.destroy_space(a), Err(Error::NoSpace));
    assert!(system.lookup(b, child, Rights::SEND).is_ok());
    assert_eq!(take_all(&mut system), [slot]);
    assert_eq!(system.parent(b, child), Ok(None));
    assert!(system.lookup(b, child, Rights::SEND).is_ok());
}

#[test]
fn exclusive_children_are_disjoint_and_shared_ones_may_overlap() {
    let (mut system, [a, b]) = system(8);
    let (first, second, rest) = (Range::new(0, 4), Range::new(2, 4), Range::new(4, 4));
    let memory = system.mint(a, region()).unwrap();
    system.derive(a, memory, ALL.with_range(first)).unwrap();
    system.derive(a, memory, ALL.with_range(second)).unwrap();
    let memory = system.mint(a, frames()).unwrap();
    let low = system.grant(a, memory, b, ALL.with_range(first)).unwrap();
    assert_eq!(system.derive(a, memory, ALL.with_range(second)), Err(Error::Overlap));
    assert_eq!(system.derive(a, memory, ALL.with_range(Range::new(3, 1))), Err(Error::Overlap));
    assert_eq!(system.derive(a, memory, ALL.with_range(Range::new(4, 0))), Err(Error::EmptyRange));
    assert_eq!(system.copy(a, memory), Err(Error::Exclusive));
    let high = system.derive(a, memory, ALL.with_range(rest)).unwrap();
    // The youngest gives its part back when it ends, the one below it only after that.
    system.delete(b, low).unwrap();
    assert_eq!(system.derive(a, memory, ALL.with_range(first)), Err(Error::Overlap));
    system.delete(a, high).unwrap();
    assert!(system.derive(a, memory, ALL).is_ok());
    system.revoke(a, memory).unwrap();
    assert!(system.derive(a, memory, ALL).is_ok());
}

#[test]
fn a_capability_derived_after_a_revocation_lives() {
    let (mut system, [a, b]) = system(8);
    let slot = system.mint(a, endpoint()).unwrap();
    let before = system.grant(a, slot, b, ALL).unwrap();
    system.revoke(a, slot).unwrap();
    let after = system.grant(a, slot, b, ALL).unwrap();
    assert_eq!(system.lookup(b, before, Rights::SEND), Err(Error::Revoked));
    assert!(system.lookup(b, after, Rights::SEND).is_ok());
    assert_eq!(take_all(&mut system), [before]);
    assert!(system.lookup(b, after, Rights::SEND).is_ok());
}

#[test]
fn a_full_space_harms_itself_only() {
    let (mut system, [a, b]) = system(3);
    let slot = system.mint(a, endpoint()).unwrap();
    system.copy(a, slot).unwrap();
    system.copy(a, slot).unwrap();
    assert_eq!(system.copy(a, slot), Err(Error::SpaceFull));
    assert!(Error::SpaceFull.is_shortage());
    assert!(system.mint(b, endpoint()).is_ok());
}

/// Swallows a result that is not looked at.
fn keep<T>(_: T) {}

/// Steps are counted as accesses to the table of nodes; a lookup's walk is one access and bounded by the depth limit.
#[test]
fn no_operation_takes_longer_in_a_larger_tree() {
    let costs = |descendants: u32| {
        let (mut system, a) = counted(2 * descendants + 16);
        let slot = system.mint(a, endpoint()).unwrap();
        let middle = system.derive(a, slot, ALL).unwrap();
        for _ in 0..descendants {
            let child = system.derive(a, middle, ALL).unwrap();
            system.derive(a, child, ALL).unwrap();
        }
        let mut costs = vec![];
        let mut measure = |system: &mut world::Counted, act: &mut dyn FnMut(&mut world::Counted)| {
            let before = world::accesses();
            act(system);
            costs.push(world::accesses() - before);
        };
        measure(&mut system, &mut |system| keep(system.derive(a, middle, ALL).unwrap()));
        measure(&mut system, &mut |system| keep(system.copy(a, middle).unwrap()));
        measure(&mut system, &mut |system| keep(system.delete(a, middle).unwrap()));
        measure(&mut system, &mut |system| keep(system.revoke(a, slot).unwrap()));
        let before = world::accesses();
        let mut finalised = 0;
        let mut most = 0;
        loop {
            let before = world::accesses();
            let progress = system.sweep(1, |_| finalised += 1);
            most = most.max(world::accesses() - before);
            if progress.is_done {
                break;
            }
        }
        assert_eq!(finalised, 2 * descendants + 2);
        let each = (world::accesses() - before) / u64::from(2 * descendants + 2);
        measure(&mut system, &mut |system| system.destroy_space(a).unwrap());
        (costs, most, each)
    };
    let (small, large) = (costs(2), costs(50_000));
    assert_eq!(small.0, large.0);
    assert_eq!(small.1, large.1);
    assert!(large.2 <= small.2 + 1 && large.1 < 40, "{small:?} {large:?}");
}

#[test]
fn a_million_descendants_are_swept_in_quanta_while_others_work() {
    let count = 1 << 20;
    let (mut system, [a, b]) = system(count + 8);
    let slot = system.mint(a, endpoint()).unwrap();
    let mut parents = vec![slot];
    for index in 0..count as usize {
        // Eight children each: seven levels.
        let child = system.grant(a, parents[index / 8], a, ALL).unwrap();
        parents.push(child);
    }
    let other = system.mint(b, endpoint()).unwrap();
    system.revoke(a, slot).unwrap();
    assert!(parents[1..].iter().all(|slot| system.lookup(a, *slot, Rights::empty()) == Err(Error::Revoked)));
    let (mut finalised, mut quanta) = (0, 0);
    while !system.sweep(1000, |_| finalised += 1).is_done {
        quanta += 1;
        assert!(system.lookup(b, other, Rights::SEND).is_ok());
        let passing = system.derive(b, other, ALL).unwrap();
        system.delete(b, passing).unwrap();
    }
    assert_eq!((finalised, quanta), (count, count / 1000));
    assert_eq!(system.usage(a), Ok((1, count + 8)));
    assert_eq!(system.verify(), Ok(()));
}

/// What is remembered of a lookup is worth as much as another lookup, as long as nothing has ended.
#[test]
fn whatever_ends_a_capability_can_be_seen_in_one_number() {
    let (mut system, [space, other]) = system(8);
    let root = system.mint(space, endpoint()).unwrap();
    let mut seen = system.ended();
    let mut has_grown = |system: &world::System| {
        let before = std::mem::replace(&mut seen, system.ended());
        seen > before
    };
    let ask = Derivation::new(Rights::all(), Trust::USER);
    let child = system.derive(space, root, ask).unwrap();
    system.copy(space, child).unwrap();
    let granted = system.grant(space, child, other, ask).unwrap();
    system.lookup(other, granted, Rights::SEND).unwrap();
    assert!(!has_grown(&system), "nothing has ended");
    let child = system.move_within(space, child).unwrap();
    assert!(has_grown(&system), "the old slot");
    let moved = system.move_to(other, granted, space).unwrap();
    assert!(has_grown(&system), "the slot in the other space");
    system.delete(space, moved).unwrap();
    assert!(has_grown(&system));
    system.derive(space, child, ask).unwrap();
    system.revoke(space, root).unwrap();
    assert!(has_grown(&system));
    system.destroy_space(other).unwrap();
    assert!(has_grown(&system));
}
