//! Random domains that hand about, use, revoke and let go of frames, regions, slices, ports and lines; and what of that they may use at
//! each moment, by a model of it that knows nothing of sweeps, chains and notices.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod model;
mod random;
mod world;

use feuerbird_abi::{Call, NO_BINDING, Status, UpcallKind};
use feuerbird_capability::{Badge, Capability, Object, ObjectKind, Range, Rights, Slot, Trust};
use feuerbird_exokernel::fake::FakeHandle;
use feuerbird_exokernel::{DomainId, Limits, Machine, Outcome, Plain};

use model::{Cap, Model, State};
use random::Random;
use world::{Child, World, values};

const DOMAINS: usize = 5;
const UNITS: u64 = 8;
const LIMITS: Limits = Limits {
    domains: 8,
    memory_objects: 512,
    slots_per_domain: 64,
    notices_per_domain: 6,
    audit_records: 16,
    ..Limits::SMALL
};

/// What is handed about, the first ones more often.
const KINDS: [ObjectKind; 8] = [
    ObjectKind::Frame,
    ObjectKind::Frame,
    ObjectKind::Frame,
    ObjectKind::Region,
    ObjectKind::Region,
    ObjectKind::TimeSlice,
    ObjectKind::IoPort,
    ObjectKind::Interrupt,
];

/// What the tests came to see, so that they prove something.
#[derive(Debug, Default)]
struct Seen {
    notices: u32,
    forced: u32,
    acknowledged: u32,
    moves: u32,
    early: u32,
    late: u32,
    withdrawn: u32,
    in_notice: u32,
}

struct Hands {
    world: World,
    random: Random,
    all: [Child; DOMAINS],
    /// By whom, to whom: a slot that names the other one.
    known: [[u64; DOMAINS]; DOMAINS],
    model: Model,
    /// Of the machine's lists, how much was looked at.
    looked: [usize; 4],
    seen: Seen,
}

impl Hands {
    fn new(seed: u64, steps_per_call: u32, pieces: u32) -> Self {
        let mut world = World::with(Limits { steps_per_call, ..LIMITS });
        world.kernel.machine_mut().pieces = pieces;
        let root = Child { id: world.root, slot: world.root_slot };
        let children = [(); DOMAINS - 1].map(|()| world.child(Trust::USER));
        let all = [root, children[0], children[1], children[2], children[3]];
        let known = all.map(|by| all.map(|to| world.grant(to.slot, by, Rights::SEND, Trust::USER)));
        let random = Random(0x9e37_79b9_7f4a_7c15u64.wrapping_mul(seed));
        let (model, looked) = (Model::default(), [0; 4]);
        Self { world, random, all, known, model, looked, seen: Seen::default() }
    }

    fn below(&mut self, end: u64) -> u64 {
        self.random.below(end)
    }

    fn step(&mut self) {
        match self.below(40) {
            0..3 => self.mint(),
            3..19 => self.hand_on(),
            19..22 => self.in_a_slot(Call::Move),
            22..24 => self.in_a_slot(Call::Delete),
            24..28 => self.revoke(),
            28..31 => self.acknowledge(),
            31 if self.below(3) == 0 => self.die(),
            32 if self.below(2) == 0 => self.keep_the_sweep_busy(),
            31..34 => self.map_a_region(),
            34..37 => self.world.kernel.machine_mut().now_ns += 40,
            _ => _ = self.world.kernel.tick(self.world.now()),
        }
    }

    /// A new thing, for whom it is.
    fn mint(&mut self) {
        let (domain, kind) = (self.below(DOMAINS as u64) as usize, KINDS[self.below(8) as usize]);
        let holder = self.all[domain].id;
        let number = self.model.caps.len() as u64 + 1;
        let memory = |writer| FakeHandle::Memory { number, bytes: UNITS, writer };
        let object = Object { kind, id: number };
        let rights = Rights::all() - Rights::EXECUTE;
        let slot = match kind {
            ObjectKind::Frame => {
                self.world.kernel.mint_frames(holder, memory(None), UNITS).ok().map(Slot::to_bits)
            }
            ObjectKind::Region => {
                let handle = Some(memory(Some(holder)));
                let answer = self.world.answer(holder, Call::RegisterRegion, &[UNITS], &[], handle);
                values(&answer.reply).ok().map(|it| it[0])
            }
            _ => {
                let range = Range::new(0, UNITS);
                let capability = Capability { object, rights, trust: Trust::USER, badge: Badge::NONE, range };
                self.world.kernel.mint_for(holder, capability).ok().map(Slot::to_bits)
            }
        };
        if let Some(slot) = slot {
            self.enter(None, domain, slot, number);
        }
    }

    /// Somebody has a capability.
    fn enter(&mut self, parent: Option<usize>, domain: usize, slot: u64, thing: u64) {
        let holder = self.all[domain].id;
        let (_, held) = self.world.kernel.held(holder).find(|(it, _)| it.to_bits() == slot).unwrap();
        let (kind, range, rights) = (held.object.kind, held.range, held.rights);
        let whole = range == Range::new(0, UNITS);
        let state = State::Live;
        let cap = Cap { parent, domain, holder, slot, kind, thing, range, rights, whole, state, ends: 0 };
        self.model.enter(cap);
    }

    /// One that is there, mostly a young one.
    fn any_live(&mut self) -> Option<usize> {
        let live: Vec<usize> = self.model.live().collect();
        let young = live.len() as u64 - self.below(live.len().max(1) as u64).min(live.len() as u64);
        let index =
            if self.below(2) == 0 { young.saturating_sub(1) } else { self.below(live.len().max(1) as u64) };
        live.get(index as usize).copied()
    }

    fn hand_on(&mut self) {
        let Some(from) = self.any_live() else { return };
        let Cap { domain: by, slot, kind, thing, range, rights, .. } = self.model.caps[from];
        let without = [Rights::empty(), Rights::empty(), Rights::MAP_WRITE, Rights::REVOKE];
        let rights = u64::from((rights - without[self.below(4) as usize]).bits());
        let holder = self.all[by].id;
        if self.below(3) == 0 {
            let part = kind != ObjectKind::Frame || self.below(2) == 0;
            let length = if part { 1 + self.below(range.length) } else { range.length };
            let start = range.start + self.below(range.length - length + 1);
            let words = [slot, rights, 0, 0, start, length];
            if let Some(made) = self.plainly(holder, Call::Derive, words) {
                self.enter(Some(from), by, made[0], thing);
            }
        } else {
            let to = self.below(DOMAINS as u64) as usize;
            let before = self.model.pages.get(&thing).copied();
            let words = [slot, self.known[by][to], rights, 0, 0, 0];
            let Ok(made) = self.world.call(holder, Call::Grant, &words) else { return };
            self.enter(Some(from), to, made[0], thing);
            self.look();
            if kind == ObjectKind::Frame && by != to {
                assert_eq!(before, Some(holder), "what is granted is there");
                assert_eq!(self.model.pages[&thing], self.all[to].id, "and goes before the answer");
            }
        }
    }

    /// By one way or the other.
    fn plainly(&mut self, caller: DomainId, call: Call, mut words: [u64; 6]) -> Option<[u64; 6]> {
        if self.below(2) == 0 {
            return self.world.call(caller, call, &words).ok();
        }
        let plain = self.world.kernel.dispatch_plain(caller, call as u32, &mut words).unwrap();
        (plain == Plain::Done).then_some(words)
    }

    fn in_a_slot(&mut self, call: Call) {
        let Some(chosen) = self.any_live() else { return };
        let Cap { holder, slot, kind, .. } = self.model.caps[chosen];
        let made = self.plainly(holder, call, [slot, 0, 0, 0, 0, 0]).unwrap();
        if call == Call::Move {
            self.model.caps[chosen].slot = made[0];
            let both = [slot, made[0]].map(Slot::from_bits);
            let followed = self.world.kernel.machine().followed.last() == Some(&both.into());
            assert_eq!(followed, !matches!(kind, ObjectKind::Frame | ObjectKind::Region));
        } else {
            self.model.caps[chosen].state = State::Deleted;
        }
    }

    fn revoke(&mut self) {
        let Some(chosen) = self.any_live() else { return };
        let Cap { holder, slot, rights, .. } = self.model.caps[chosen];
        let now = self.world.now();
        let deadline = [0, now + 1 + self.below(200), now + 50, now + 100_000][self.below(4) as usize];
        let is_busy = self.world.kernel.next_deadline() == Some(0);
        let outcome = self.world.full(holder, Call::Revoke, &[slot, deadline], &[], None);
        let is_accepted = match &outcome {
            Outcome::Reply(answer) => values(&answer.reply).is_ok(),
            Outcome::Pending => true,
        };
        if !is_accepted {
            assert!(!rights.contains(Rights::REVOKE) || self.model.unanswered_by(holder) >= 8);
            return;
        }
        let is_answered = matches!(outcome, Outcome::Reply(_));
        self.model.revoke(chosen, deadline, self.world.sequence, is_busy, is_answered);
    }

    fn acknowledge(&mut self) {
        let untold: Vec<usize> =
            (0..self.model.told.len()).filter(|&it| self.model.told[it].is_open).collect();
        let Some(&chosen) = self.random.of(&untold) else { return };
        let told = self.model.told[chosen];
        // It may be being taken already, piece by piece, which is by force.
        let is_being_taken = self.world.kernel.machine().is_withdrawing();
        let stranger = self.all[self.below(DOMAINS as u64) as usize].id;
        // Who may have been told of something else by an upcall of this number.
        if !self.model.told.iter().any(|it| (it.holder, it.sequence) == (stranger, told.sequence)) {
            let refused = self.world.call(stranger, Call::Acknowledge, &[told.sequence]);
            assert_eq!(refused, Err(Status::BadArgument));
        }
        match self.world.call(told.holder, Call::Acknowledge, &[told.sequence]) {
            Ok(_) => {
                self.model.told[chosen].is_open = false;
                self.seen.acknowledged += 1;
            }
            Err(status) => assert!(status == Status::BadArgument && is_being_taken),
        }
    }

    fn map_a_region(&mut self) {
        let caps = &self.model.caps;
        let regions: Vec<usize> =
            self.model.live().filter(|&it| caps[it].kind == ObjectKind::Region).collect();
        let Some(&chosen) = self.random.of(&regions) else { return };
        let Cap { holder, slot, thing, .. } = self.model.caps[chosen];
        if self.world.call(holder, Call::MapRegion, &[slot]).is_ok() {
            self.model.mapped.insert((holder, thing));
        }
    }

    /// By what is of no interest.
    fn keep_the_sweep_busy(&mut self) {
        let root = self.world.root;
        let Ok([endpoint, ..]) = self.world.call(root, Call::CreateEndpoint, &[0]) else { return };
        for _ in 0..8 {
            let _ = self.world.call(root, Call::Derive, &[endpoint, 1, 0, 0, 0, 0]);
        }
        self.model.mix(self.world.kernel.next_deadline() == Some(0));
        self.world.full(root, Call::Revoke, &[endpoint, 1 << 30], &[], None);
        self.world.ok(root, Call::Delete, &[endpoint]);
    }

    /// Somebody else comes in its place.
    fn die(&mut self) {
        let domain = 1 + self.below(DOMAINS as u64 - 1) as usize;
        let dead = self.all[domain].id;
        self.world.kernel.domain_died(dead);
        self.model.die(dead);
        let mut child = self.world.kernel.adopt_domain(self.world.root, Trust::USER);
        while child.is_err() {
            // Until the sweep has been there.
            self.world.kernel.tick(self.world.now());
            child = self.world.kernel.adopt_domain(self.world.root, Trust::USER);
        }
        let (id, slot) = child.unwrap();
        for by in (0..DOMAINS).filter(|&by| by != domain) {
            self.world.ok(self.all[by].id, Call::Delete, &[self.known[by][domain]]);
        }
        self.world.ok(self.world.root, Call::Delete, &[self.all[domain].slot]);
        self.all[domain] = Child { id, slot: slot.to_bits() };
        let [new, all] = [[self.all[domain]; DOMAINS], self.all];
        self.known[domain] = std::array::from_fn(|to| self.introduce(new[to], all[to]));
        (0..DOMAINS).for_each(|by| self.known[by][domain] = self.introduce(all[by], new[by]));
    }

    fn introduce(&mut self, by: Child, to: Child) -> u64 {
        self.world.grant(to.slot, by, Rights::SEND, Trust::USER)
    }

    /// Takes in what the machine was told since.
    fn look(&mut self) {
        let machine = self.world.kernel.machine();
        for (memory, from, to, _) in &machine.handed_over[self.looked[0]..] {
            self.model.hand_over(number(memory), *from, *to);
            self.seen.moves += 1;
        }
        for slot in &machine.taken_back[self.looked[1]..] {
            self.model.take_back(slot.to_bits());
        }
        for (from, memory) in &machine.withdrawn[self.looked[2]..] {
            self.seen.withdrawn += u32::from(self.model.mapped.remove(&(*from, number(memory))));
        }
        for (_, reply) in &machine.replies[self.looked[3]..] {
            self.model.answer(reply.sequence);
        }
        self.looked = [
            machine.handed_over.len(),
            machine.taken_back.len(),
            machine.withdrawn.len(),
            machine.replies.len(),
        ];
        for (to, upcall, _) in self.world.upcalls() {
            let [binding, _, _, slot, ..] = upcall.values;
            if upcall.kind == UpcallKind::RevocationRequested as u32 {
                assert_eq!(binding, NO_BINDING);
                self.model.tell(to, upcall.sequence, slot);
                self.seen.notices += 1;
            } else if upcall.kind == UpcallKind::Repossessed as u32 {
                self.seen.forced += u32::from(self.model.repossess(upcall.values[1]));
            }
        }
    }

    /// Does all that can be done now.
    fn settle(&mut self) {
        let now = self.world.now();
        while self.world.kernel.tick(now).is_some_and(|next| next <= now) {}
    }

    fn check(&mut self) {
        self.look();
        assert_eq!(self.world.kernel.verify(), Ok(()));
        let now = self.world.now();
        let next = self.world.kernel.next_deadline();
        let is_settled = next.is_none_or(|next| next > now);
        if next.is_none() {
            self.model.all_is_over();
        }
        self.model.check(now, is_settled, next);
        for index in 0..self.model.caps.len() {
            self.check_claims(index, now);
        }
        let (early, late) = self.model.proven;
        (self.seen.early, self.seen.late) = (early, late);
    }

    /// What the kernel says of one capability is what the model says.
    fn check_claims(&mut self, index: usize, now: u64) {
        let cap = self.model.caps[index];
        let Cap { holder, kind, thing, .. } = cap;
        let (slot, is_live) = (Slot::from_bits(cap.slot), cap.state == State::Live);
        let kernel = &mut self.world.kernel;
        match kind {
            ObjectKind::Frame => {
                let needed = Rights::MAP_READ;
                let claimed = kernel.claim_frames(holder, slot, needed, Some(cap.range)).is_ok();
                // What is claimed may be given back at that moment, by who has ended.
                self.look();
                assert!(!claimed || is_live && self.model.pages[&thing] == holder);
            }
            ObjectKind::Region => (),
            _ => {
                let claimed = kernel.claim(holder, slot, kind, Rights::CONTROL);
                assert_eq!(claimed.is_ok(), is_live, "{cap:?}");
                let used = kernel.claim_use(holder, slot, kind, Rights::CONTROL);
                let may = is_live || self.model.may_still_use(index, now);
                assert!(used.is_err() || may, "{cap:?} at {now}");
                assert!(used.is_ok_and(|it| it.range == cap.range) || !is_live);
                self.seen.in_notice += u32::from(used.is_ok() && !is_live);
            }
        }
    }

    /// Everybody goes, and nothing is left.
    fn end(&mut self) {
        self.world.kernel.machine_mut().now_ns = 1 << 40;
        self.settle();
        self.check();
        assert!(self.model.is_all_answered());
        for domain in 1..DOMAINS {
            let id = self.all[domain].id;
            self.world.kernel.domain_died(id);
            self.model.die(id);
        }
        self.settle();
        self.check();
        for left in self.model.live().collect::<Vec<_>>() {
            self.world.ok(self.world.root, Call::Delete, &[self.model.caps[left].slot]);
            self.model.caps[left].state = State::Deleted;
        }
        self.settle();
        self.check();
        self.model.check_all_ended();
    }
}

fn number(memory: &FakeHandle) -> u64 {
    let FakeHandle::Memory { number, .. } = *memory else { panic!("not memory: {memory:?}") };
    number
}

fn run_all(seeds: std::ops::Range<u64>, steps_per_call: u32, pieces: u32) {
    let mut all = Seen::default();
    for seed in seeds {
        let mut hands = Hands::new(seed, steps_per_call, pieces);
        for step in 0..200 {
            hands.step();
            if step % 12 == 11 {
                hands.settle();
            }
            hands.check();
        }
        hands.end();
        let Seen { notices, forced, acknowledged, moves, early, late, withdrawn, in_notice } = hands.seen;
        all.notices += notices;
        all.forced += forced;
        all.acknowledged += acknowledged;
        all.moves += moves;
        all.early += early;
        all.late += late;
        all.withdrawn += withdrawn;
        all.in_notice += in_notice;
    }
    let Seen { notices, forced, acknowledged, moves, early, late, withdrawn, in_notice } = all;
    let least = [notices, forced, acknowledged, moves, early, late, withdrawn, in_notice];
    assert!(least.into_iter().all(|it| it > 50), "little happens, and that proves little: {all:?}");
}

#[test]
fn only_who_may_uses_anything_with_all_work_done_at_once() {
    run_all(1..400, 512, 0);
}

#[test]
fn only_who_may_uses_anything_with_work_left_over() {
    run_all(400..800, 1, 0);
}

#[test]
fn only_who_may_uses_anything_with_memory_taken_piece_by_piece() {
    run_all(800..1000, 1, 3);
    run_all(1000..1200, 7, 5);
}
