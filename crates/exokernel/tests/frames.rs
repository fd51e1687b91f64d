//! Memory that is one domain's at a time: who has it after grants, deletions, revocations and deaths.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod world;

use feuerbird_abi::{AuditKind, Call, Status};
use feuerbird_capability::{ObjectKind, Range, Rights, Slot, Trust};
use feuerbird_exokernel::fake::FakeHandle;
use feuerbird_exokernel::{DomainId, Limits, Outcome, Sent};

use world::{Answered, Child, World, values};

const LIMITS: Limits =
    Limits { domains: 8, memory_objects: 64, slots_per_domain: 64, audit_records: 1 << 12, ..Limits::SMALL };
const MEMORY: FakeHandle = FakeHandle::Memory { number: 7, bytes: 4 * 4096, writer: None };
const READ: Rights = Rights::MAP_READ;
const WRITE: Rights = Rights::MAP_WRITE;

/// Everything but execution.
const ALL: Rights = Rights::MAP_READ
    .union(Rights::MAP_WRITE)
    .union(Rights::GRANT)
    .union(Rights::DERIVE)
    .union(Rights::REVOKE)
    .union(Rights::INSPECT);

fn setting() -> (World, u64, [Child; 3]) {
    setting_with(LIMITS)
}

fn setting_with(limits: Limits) -> (World, u64, [Child; 3]) {
    let mut world = World::with(limits);
    let slot = world.kernel.mint_frames(world.root, MEMORY, 4).unwrap().to_bits();
    let children = [(); 3].map(|()| world.child(Trust::USER));
    (world, slot, children)
}

/// Gives `by` a capability to grant to `to` by.
fn introduce(world: &mut World, by: Child, to: Child) -> u64 {
    world.grant(to.slot, by, Rights::SEND, Trust::USER)
}

fn claim(world: &mut World, domain: DomainId, slot: u64, rights: Rights) -> Result<(), Status> {
    world.kernel.claim_frames(domain, Slot::from_bits(slot), rights, None).map(|_| ())
}

fn try_grant(world: &mut World, by: DomainId, slot: u64, to: u64, rights: Rights) -> Answered {
    world.call(by, Call::Grant, &[slot, to, rights.bits().into(), 0, 0])
}

fn last(world: &mut World) -> (DomainId, DomainId, bool) {
    let (memory, from, to, is_writable) = world.kernel.machine_mut().handed_over.pop().unwrap();
    assert_eq!((memory, world.kernel.machine().handed_over.len()), (MEMORY, 0));
    (from, to, is_writable)
}

#[test]
fn a_grant_hands_over_and_each_end_gives_back() {
    let (mut world, slot, [first, second, _]) = setting();
    let root = world.root;
    let there = world.grant(slot, first, ALL, Trust::USER);
    assert_eq!(last(&mut world), (root, first.id, true));
    assert_eq!(claim(&mut world, root, slot, READ), Err(Status::Busy));
    assert_eq!(claim(&mut world, first.id, there, WRITE), Ok(()));
    // Handed over is handed over: there is nothing to hand over twice.
    assert_eq!(try_grant(&mut world, root, slot, second.slot, READ), Err(Status::Busy));
    assert_eq!(world.call(root, Call::Derive, &[slot, 4, 0, 0, 0, 0]), Err(Status::BadArgument));
    let known = introduce(&mut world, first, second);
    let beyond = try_grant(&mut world, first.id, there, known, READ).unwrap()[0];
    assert_eq!(last(&mut world), (first.id, second.id, false));
    assert_eq!(claim(&mut world, second.id, beyond, WRITE), Err(Status::MissingRight));
    assert_eq!(claim(&mut world, second.id, beyond, READ), Ok(()));
    // The one in the middle lets go: what it has handed over stays where it is, and goes back further.
    world.ok(first.id, Call::Delete, &[there]);
    assert!(world.kernel.machine().handed_over.is_empty());
    world.ok(second.id, Call::Delete, &[beyond]);
    assert_eq!(last(&mut world), (second.id, root, true));
    assert_eq!(claim(&mut world, root, slot, WRITE), Ok(()));
    // A revocation takes them from whoever has them.
    let there = world.grant(slot, first, ALL, Trust::USER);
    last(&mut world);
    let beyond = try_grant(&mut world, first.id, there, known, ALL).unwrap()[0];
    last(&mut world);
    world.ok(root, Call::Revoke, &[slot, 0]);
    assert_eq!(last(&mut world), (second.id, root, true));
    assert_eq!(claim(&mut world, second.id, beyond, READ), Err(Status::NoCapability));
    assert_eq!(claim(&mut world, root, slot, WRITE), Ok(()));
}

#[test]
fn a_death_gives_back_to_the_nearest_who_lives() {
    // So that the sweep has not come there yet.
    let (mut world, slot, [first, second, _]) = setting_with(Limits { steps_per_call: 1, ..LIMITS });
    let root = world.root;
    let there = world.grant(slot, first, ALL, Trust::USER);
    let known = introduce(&mut world, first, second);
    let beyond = try_grant(&mut world, first.id, there, known, ALL).unwrap()[0];
    world.kernel.machine_mut().handed_over.clear();
    world.kernel.domain_died(first.id);
    assert_eq!(claim(&mut world, second.id, beyond, WRITE), Ok(()));
    world.kernel.domain_died(second.id);
    assert_eq!(claim(&mut world, root, slot, WRITE), Ok(()));
    assert_eq!(last(&mut world), (second.id, root, true));
    assert_eq!(world.kernel.verify(), Ok(()));
}

#[test]
fn what_a_lender_leaves_stays_with_who_has_it() {
    let (mut world, slot, [first, second, _]) = setting();
    let root = world.root;
    let there = world.grant(slot, first, ALL, Trust::USER);
    world.ok(root, Call::Delete, &[slot]);
    last(&mut world);
    let own =
        |world: &mut World, by, slot| world.kernel.own_frames(by, Slot::from_bits(slot), READ).map(|_| ());
    assert_eq!(own(&mut world, first.id, there), Ok(()));
    let known = introduce(&mut world, first, second);
    let beyond = try_grant(&mut world, first.id, there, known, ALL).unwrap()[0];
    assert_eq!(own(&mut world, second.id, beyond), Err(Status::NotSealed));
}

#[test]
fn parts_map_and_give_nothing_away() {
    let (mut world, slot, [first, ..]) = setting();
    let root = world.root;
    let all = u64::from(ALL.bits());
    let part = world.ok(root, Call::Derive, &[slot, all, 0, 0, 1, 2])[0];
    let pages = |world: &mut World, start, length| {
        let range = Some(Range::new(start, length));
        world.kernel.claim_frames(root, Slot::from_bits(part), READ, range).map(|_| ())
    };
    assert_eq!(pages(&mut world, 1, 2), Ok(()));
    assert_eq!(pages(&mut world, 0, 2), Err(Status::Escalation));
    assert_eq!(pages(&mut world, 3, 2), Err(Status::BadArgument));
    assert_eq!(pages(&mut world, u64::MAX, 2), Err(Status::BadArgument));
    assert_eq!(try_grant(&mut world, root, part, first.slot, READ), Err(Status::Escalation));
    assert_eq!(try_grant(&mut world, root, slot, first.slot, READ), Err(Status::BadArgument));
    world.ok(root, Call::Revoke, &[slot, 0]);
    assert!(world.kernel.machine().handed_over.is_empty());
    // A part that is left where the pages have gone back maps nothing.
    let there = world.grant(slot, first, ALL, Trust::USER);
    let part = world.ok(first.id, Call::Derive, &[there, all, 0, 0, 0, 1])[0];
    world.ok(first.id, Call::Delete, &[there]);
    assert_eq!(claim(&mut world, first.id, part, READ), Err(Status::Busy));
    assert_eq!(claim(&mut world, root, slot, WRITE), Ok(()));
}

/// Whoever has had pages for a while could keep a part, and with it all frames, from who pays for them.
#[test]
fn a_part_keeps_nothing_when_nobody_has_the_whole() {
    let (mut world, slot, [first, ..]) = setting();
    let (root, all) = (world.root, u64::from(ALL.bits()));
    let there = world.grant(slot, first, ALL, Trust::USER);
    let part = world.ok(first.id, Call::Derive, &[there, all, 0, 0, 0, 1])[0];
    world.ok(first.id, Call::Delete, &[there]);
    assert_eq!(claim(&mut world, root, slot, WRITE), Ok(()));
    world.ok(root, Call::Delete, &[slot]);
    let range = Some(Range::new(0, 1));
    let left = world.kernel.claim_frames(first.id, Slot::from_bits(part), READ, range).map(|_| ());
    assert_eq!(left, Err(Status::NoCapability));
    world.ok(first.id, Call::Delete, &[part]);
    assert_eq!(world.kernel.verify(), Ok(()));
}

/// What is in the way is dead already: worth trying again, and nobody's mistake.
#[test]
fn what_the_sweep_has_not_reached_is_no_mistake_of_the_caller() {
    let (mut world, slot, [first, second, _]) = setting_with(Limits { steps_per_call: 1, ..LIMITS });
    let root = world.root;
    let there = world.grant(slot, first, ALL, Trust::USER);
    // So much that the sweep is not over with the call.
    for _ in 0..20 {
        let region = world.region(first.id, 4096).unwrap()[0];
        world.ok(first.id, Call::Copy, &[region]);
    }
    world.ok(first.id, Call::Inspect, &[there]);
    world.kernel.domain_died(first.id);
    let own = world.kernel.own_frames(root, Slot::from_bits(slot), READ).map(|_| ());
    let granted = try_grant(&mut world, root, slot, second.slot, ALL).map(|_| ());
    assert_eq!((own, granted), (Err(Status::Busy), Err(Status::Busy)));
    while let Some(0) = world.kernel.next_deadline() {
        world.kernel.tick(0);
    }
    assert_eq!(world.kernel.own_frames(root, Slot::from_bits(slot), READ).map(|_| ()), Ok(()));
    try_grant(&mut world, root, slot, second.slot, ALL).unwrap();
    assert_eq!(world.kernel.verify(), Ok(()));
}

#[test]
fn what_others_use_is_not_handed_over() {
    let (mut world, slot, [first, ..]) = setting();
    let root = world.root;
    world.kernel.machine_mut().shared.push(MEMORY);
    assert_eq!(try_grant(&mut world, root, slot, first.slot, READ), Err(Status::Busy));
    let own = world.root_slot;
    assert!(try_grant(&mut world, root, slot, own, READ).is_ok());
}

#[test]
fn weaker_capabilities_of_the_same_domain_take_nothing_from_it() {
    let (mut world, slot, _) = setting();
    let root = world.root;
    let weak = world.ok(root, Call::Derive, &[slot, READ.bits().into(), 0, 0, 0, 0])[0];
    assert_eq!(claim(&mut world, root, slot, WRITE), Ok(()));
    assert!(world.kernel.machine().handed_over.is_empty());
    world.ok(root, Call::Delete, &[slot]);
    assert_eq!(last(&mut world), (root, root, false));
    assert_eq!(claim(&mut world, root, weak, READ), Ok(()));
}

#[test]
fn each_change_of_hands_is_in_the_log() {
    let (mut world, slot, [first, ..]) = setting();
    world.grant(slot, first, ALL, Trust::USER);
    world.ok(world.root, Call::Revoke, &[slot, 0]);
    let kinds: Vec<_> = world
        .kernel
        .audit()
        .since(1)
        .filter(|it| it.object_kind == ObjectKind::Frame as u8)
        .map(|it| it.kind)
        .collect();
    let expected = [AuditKind::Minted, AuditKind::Granted, AuditKind::RevocationBegan, AuditKind::Revoked];
    assert_eq!(kinds, expected.map(|kind| kind as u16));
}

/// Marsaglia's xorshift.
fn next(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}

/// Random domains that hand one object about.
struct Hands {
    world: World,
    all: [Child; 4],
    /// By whom, to whom: a slot that names the other one.
    known: [[u64; 4]; 4],
    /// Slots that there were, with whose they are.
    slots: Vec<(usize, u64)>,
    state: u64,
    /// How often a part was claimed.
    claimed: u32,
}

impl Hands {
    fn new(seed: u64) -> Self {
        let (mut world, slot, [first, second, third]) =
            setting_with(Limits { steps_per_call: if seed.is_multiple_of(2) { 1 } else { 512 }, ..LIMITS });
        let all = [Child { id: world.root, slot: world.root_slot }, first, second, third];
        let known = all.map(|by| all.map(|to| introduce(&mut world, by, to)));
        let state = 0x9e37_79b9_7f4a_7c15u64.wrapping_mul(seed);
        Self { world, all, known, slots: vec![(0, slot)], state, claimed: 0 }
    }

    fn below(&mut self, end: u64) -> u64 {
        next(&mut self.state) % end
    }

    fn step(&mut self) {
        let chosen = self.below(self.slots.len() as u64) as usize;
        let (by, slot) = self.slots[chosen];
        let rights = ALL - Rights::from_bits_truncate(self.below(4) as u32 * READ.bits());
        let rights = u64::from(rights.bits());
        let to = self.below(4) as usize;
        let (holder, call, arguments) = match self.below(80) {
            0..4 if by != 0 || self.below(4) == 0 => (by, Call::Delete, [slot, 0, 0, 0, 0, 0]),
            4..8 => (by, Call::Revoke, [slot, 0, 0, 0, 0, 0]),
            8..12 => (by, Call::Move, [slot, 0, 0, 0, 0, 0]),
            12 if by != 0 => return self.world.kernel.domain_died(self.all[by].id),
            12..24 => (by, Call::Derive, [slot, rights, 0, 0, self.below(4), 1 + self.below(4)]),
            24..36 => (by, Call::Derive, [slot, rights, 0, 0, 0, 0]),
            _ => (to, Call::Grant, [slot, self.known[by][to], rights, 0, 0, 0]),
        };
        // A revocation may be answered later.
        if let Outcome::Reply(answer) = self.world.full(self.all[by].id, call, &arguments, &[], None)
            && let Ok(made) = values(&answer.reply)
        {
            self.slots.push((holder, made[0]));
        }
    }

    /// Whether anybody has a capability for all pages.
    fn is_named(&self) -> bool {
        let held = self.all.iter().flat_map(|it| self.world.kernel.held(it.id));
        held.into_iter().any(|(_, it)| it.object.kind == ObjectKind::Frame && it.range == Range::new(0, 4))
    }

    /// Who has the pages, as the machine was told, and whether for writing.
    fn told(&self) -> (DomainId, bool) {
        let moves = &self.world.kernel.machine().handed_over;
        moves.iter().fold((self.world.root, true), |has, (_, from, to, is_writable)| {
            assert_eq!(*from, has.0);
            (*to, *is_writable)
        })
    }

    /// One domain at most can use any of the pages, and it is the one that the machine was told, with no more rights; and no part of them
    /// is anybody's after the last capability for all of them has gone.
    fn check(&mut self) {
        self.told();
        assert_eq!(self.world.kernel.verify(), Ok(()));
        for (by, slot) in self.slots.clone() {
            let id = self.all[by].id;
            for pages in [None, Some(Range::new(0, 4)), Some(Range::new(self.below(4), 1))] {
                let may = |world: &mut World, needed| {
                    world.kernel.claim_frames(id, Slot::from_bits(slot), needed, pages).is_ok()
                };
                // What is claimed may be given back at that moment, by who has ended.
                if may(&mut self.world, Rights::empty()) {
                    let can_write = may(&mut self.world, WRITE);
                    let has = self.told();
                    assert_eq!(id, has.0);
                    assert!(self.is_named());
                    assert!(has.1 || !can_write);
                    self.claimed += u32::from(pages.is_some_and(|pages| pages.length == 1));
                }
            }
        }
    }
}

#[test]
fn never_two_at_once() {
    let (mut moves, mut claimed, mut ended) = (0, 0, 0);
    for seed in 1..400 {
        let mut hands = Hands::new(seed);
        for _ in 0..120 {
            hands.step();
            hands.check();
        }
        moves += hands.world.kernel.machine().handed_over.len();
        claimed += hands.claimed;
        ended += u32::from(!hands.is_named());
    }
    assert!(moves > 1000 && claimed > 1000, "{moves} moves and {claimed} parts prove little");
    assert!(ended > 20, "{ended} ends prove little");
}

/// To find out that pages may not be handed over takes long, so a server hears of the next one in its next call.
#[test]
fn one_refused_hand_over_is_enough_for_a_call() {
    let (mut world, _, children) = setting();
    let root = world.root;
    let endpoint = world.endpoint(0);
    let sent = |capability| Sent { length: 1, capability };
    for child in children {
        let frames = world.kernel.mint_frames(child.id, MEMORY, 4).unwrap().to_bits();
        let way = world.grant(endpoint, child, Rights::SEND, Trust::USER);
        assert_eq!(world.kernel.send(child.id, way, sent(frames)), Ok(None));
    }
    world.kernel.machine_mut().shared.push(MEMORY);
    for answered in 1..=3 {
        assert_eq!(world.kernel.receive(root, endpoint), Err(Status::Interrupted));
        assert_eq!(world.kernel.machine().replies.len(), answered);
    }
    let refused = world.kernel.machine().replies.iter().all(|(_, it)| it.status == Status::Busy as u32);
    assert!(refused && world.kernel.receive(root, endpoint) == Ok(()), "nobody queues any more");
    assert_eq!(world.kernel.verify(), Ok(()));
}
