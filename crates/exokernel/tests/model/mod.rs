//! Who may use what, by what was granted, deleted and revoked, and by who has ended. Slow, and without any of the kernel's ways.
#![allow(unreachable_pub, reason = "shared by module, not by crate")]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::{BTreeMap, BTreeSet};

use feuerbird_capability::{ObjectKind, Range, Rights};
use feuerbird_exokernel::DomainId;

/// One capability that there is or was.
#[derive(Clone, Copy, Debug)]
pub struct Cap {
    pub parent: Option<usize>,
    /// Whose, by place; and who that was.
    pub domain: usize,
    pub holder: DomainId,
    /// Where it is, or was last.
    pub slot: u64,
    pub kind: ObjectKind,
    /// What it is for: memory by the machine's number.
    pub thing: u64,
    pub range: Range,
    pub rights: Rights,
    /// For all of it.
    pub whole: bool,
    pub state: State,
    /// How often the machine took back what was done by it.
    pub ends: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Live,
    Deleted,
    Revoked,
    /// Its domain has ended.
    Died,
}

/// A revocation that was asked for.
#[derive(Clone, Debug)]
struct Asked {
    requester: DomainId,
    revoker: usize,
    deadline: u64,
    sequence: u64,
    is_answered: bool,
    /// Nobody would be answered, but it is over.
    is_over: bool,
    /// May share another one's deadline, which is about something else.
    is_mixed: bool,
    below: BTreeSet<usize>,
}

/// Somebody was told that it loses what it uses.
#[derive(Clone, Copy, Debug)]
pub struct Told {
    pub holder: DomainId,
    pub sequence: u64,
    cap: usize,
    /// Neither acknowledged nor over.
    pub is_open: bool,
}

#[derive(Default)]
pub struct Model {
    pub caps: Vec<Cap>,
    asked: Vec<Asked>,
    pub told: Vec<Told>,
    /// Who has which memory, by what the machine was told.
    pub pages: BTreeMap<u64, DomainId>,
    /// Who has mapped which region.
    pub mapped: BTreeSet<(DomainId, u64)>,
    dead: BTreeSet<DomainId>,
    /// How often it was seen that somebody still had time, and that one whose time was over had lost all.
    pub proven: (u32, u32),
}

/// Whom nobody is.
const NOBODY: DomainId = DomainId::from_bits(0);

impl Model {
    pub fn enter(&mut self, cap: Cap) {
        if cap.kind == ObjectKind::Frame && cap.parent.is_none() {
            self.pages.insert(cap.thing, cap.holder);
        }
        self.caps.push(cap);
    }

    pub fn live(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.caps.len()).filter(|&it| self.caps[it].state == State::Live)
    }

    pub fn unanswered_by(&self, requester: DomainId) -> usize {
        self.asked.iter().filter(|it| it.requester == requester && !it.is_answered).count()
    }

    /// All that was ever derived from one, dead or not.
    fn below(&self, revoker: usize) -> BTreeSet<usize> {
        let mut below = BTreeSet::new();
        for (index, cap) in self.caps.iter().enumerate() {
            if cap.parent.is_some_and(|parent| parent == revoker || below.contains(&parent)) {
                below.insert(index);
            }
        }
        below
    }

    pub fn revoke(&mut self, revoker: usize, deadline: u64, sequence: u64, is_busy: bool, is_answered: bool) {
        let requester = self.caps[revoker].holder;
        let below = self.below(revoker);
        for &index in &below {
            if self.caps[index].state == State::Live {
                self.caps[index].state = State::Revoked;
            }
        }
        let is_mixed = self.mix(is_busy);
        let is_over = is_answered;
        self.asked.push(Asked {
            requester,
            revoker,
            deadline,
            sequence,
            is_answered,
            is_over,
            is_mixed,
            below,
        });
    }

    /// Another revocation comes. Whether it may wait for some that it is not about.
    pub fn mix(&mut self, is_busy: bool) -> bool {
        let is_gone = |it: &Asked| matches!(self.caps[it.revoker].state, State::Deleted | State::Died);
        let is_mixed = is_busy || self.open().any(is_gone);
        if is_mixed {
            self.asked.iter_mut().filter(|it| !it.is_over).for_each(|it| it.is_mixed = true);
        }
        is_mixed
    }

    fn open(&self) -> impl Iterator<Item = &Asked> {
        self.asked.iter().filter(|it| !it.is_over)
    }

    pub fn answer(&mut self, sequence: u64) {
        if let Some(asked) = self.asked.iter_mut().find(|it| it.sequence == sequence) {
            assert!(!asked.is_answered, "answered twice");
            (asked.is_answered, asked.is_over) = (true, true);
        }
    }

    /// No revocation is left.
    pub fn all_is_over(&mut self) {
        self.asked.iter_mut().for_each(|it| it.is_over = true);
        assert!(self.is_all_answered());
        self.told.iter_mut().for_each(|it| it.is_open = false);
    }

    pub fn is_all_answered(&self) -> bool {
        self.asked.iter().all(|it| it.is_answered || self.dead.contains(&it.requester))
    }

    pub fn die(&mut self, domain: DomainId) {
        self.dead.insert(domain);
        for cap in self.caps.iter_mut().filter(|it| it.holder == domain && it.state == State::Live) {
            cap.state = State::Died;
        }
        self.told.iter_mut().filter(|it| it.holder == domain).for_each(|it| it.is_open = false);
        self.mapped.retain(|(holder, _)| *holder != domain);
    }

    pub fn tell(&mut self, holder: DomainId, sequence: u64, slot: u64) {
        let cap = self.caps.iter().position(|it| it.slot == slot).unwrap();
        assert_eq!((self.caps[cap].holder, self.caps[cap].state), (holder, State::Revoked));
        assert!(self.told.iter().all(|it| it.cap != cap), "told twice");
        self.told.push(Told { holder, sequence, cap, is_open: true });
    }

    /// Whether that ended time that somebody had.
    pub fn repossess(&mut self, slot: u64) -> bool {
        let Some(cap) = self.caps.iter().position(|it| it.slot == slot) else { return false };
        assert_eq!(self.caps[cap].state, State::Revoked);
        let Some(told) = self.told.iter_mut().find(|it| it.cap == cap) else { return false };
        assert!(std::mem::take(&mut told.is_open), "by force after it was let go");
        true
    }

    pub fn take_back(&mut self, slot: u64) {
        let cap = self.caps.iter_mut().find(|it| it.slot == slot).unwrap();
        assert_ne!(cap.state, State::Live);
        cap.ends += 1;
        assert_eq!(cap.ends, 1, "{cap:?}");
    }

    pub fn hand_over(&mut self, memory: u64, from: DomainId, to: DomainId) {
        assert_eq!(self.pages.insert(memory, to), Some(from));
    }

    /// Whether a revocation above it was answered.
    fn is_finally_gone(&self, cap: usize) -> bool {
        self.asked.iter().any(|it| it.is_answered && it.below.contains(&cap))
    }

    fn about(&self, cap: usize) -> impl Iterator<Item = &Asked> {
        self.open().filter(move |it| it.below.contains(&cap))
    }

    /// Whether a revoked capability's holder may still have time.
    pub fn may_still_use(&self, cap: usize, now: u64) -> bool {
        self.caps[cap].state == State::Revoked
            && !self.dead.contains(&self.caps[cap].holder)
            && !self.is_finally_gone(cap)
            && self.about(cap).all(|it| it.deadline > now)
            && self.told.iter().all(|it| it.cap != cap || it.is_open)
    }

    /// Whether nothing can have ended the time that a holder was given.
    fn must_have_time(&self, told: &Told, now: u64) -> bool {
        let is_granted = |it: &Asked| {
            let is_there = matches!(self.caps[it.revoker].state, State::Live | State::Revoked);
            !it.is_mixed && is_there && !self.dead.contains(&it.requester) && it.deadline > now
        };
        told.is_open && self.about(told.cap).all(is_granted)
    }

    /// Who should have some memory, if anybody may look at it.
    fn youngest(&self, memory: u64) -> Option<DomainId> {
        let is_it = |it: &&Cap| it.kind == ObjectKind::Frame && it.thing == memory && it.whole;
        self.caps.iter().filter(is_it).rfind(|it| it.state == State::Live).map(|it| it.holder)
    }

    /// Whether a domain has a capability for all of some memory.
    fn holds_all(&self, domain: DomainId, memory: u64) -> bool {
        let is_it = |it: &Cap| it.kind == ObjectKind::Frame && it.thing == memory && it.whole;
        self.caps.iter().any(|it| is_it(it) && it.state == State::Live && it.holder == domain)
    }

    pub fn check(&mut self, now: u64, is_settled: bool, next: Option<u64>) {
        self.check_told(now);
        if is_settled {
            for asked in self.open().filter(|it| !self.dead.contains(&it.requester)) {
                assert!(asked.deadline > now, "not answered at its deadline: {asked:?}");
                assert!(next.is_some_and(|next| next <= asked.deadline), "nobody comes: {asked:?}");
            }
        }
        for index in 0..self.caps.len() {
            self.check_uses(index, now, is_settled);
        }
        for (&memory, &holder) in &self.pages {
            self.check_pages(memory, holder, now, is_settled);
        }
        for &(holder, region) in &self.mapped {
            self.check_mapped(holder, region);
        }
    }

    fn check_told(&mut self, now: u64) {
        for told in &self.told {
            assert!(!told.is_open || !self.is_finally_gone(told.cap), "answered too early: {told:?}");
            if self.must_have_time(told, now) {
                let cap = &self.caps[told.cap];
                assert_eq!(
                    cap.ends,
                    0,
                    "taken too early: {cap:?}, {told:?} of {:?} at {now}",
                    self.about(told.cap).collect::<Vec<_>>()
                );
                let is_there = match cap.kind {
                    // Who had them by an elder capability, too, can have granted them on.
                    ObjectKind::Frame => {
                        self.pages[&cap.thing] == told.holder || self.holds_all(told.holder, cap.thing)
                    }
                    _ => true,
                };
                assert!(is_there, "taken too early: {cap:?}");
                self.proven.0 += 1;
            }
        }
        self.proven.1 += (0..self.caps.len()).filter(|&it| self.is_finally_gone(it)).count() as u32;
    }

    /// Of slices, ports and lines: used as long as it may be, and no longer.
    fn check_uses(&self, index: usize, now: u64, is_settled: bool) {
        let cap = &self.caps[index];
        if matches!(cap.kind, ObjectKind::Frame | ObjectKind::Region) {
            return;
        }
        let is_over = match cap.state {
            State::Live => false,
            State::Deleted => true,
            State::Died => is_settled,
            State::Revoked => self.is_finally_gone(index) || is_settled && !self.has_time(index, now),
        };
        assert!(cap.ends == 1 || !is_over, "{cap:?} at {now}");
    }

    /// Whether its holder was told, and did not let go.
    fn has_time(&self, cap: usize, now: u64) -> bool {
        self.may_still_use(cap, now) && self.told.iter().any(|it| it.cap == cap && it.is_open)
    }

    fn check_pages(&self, memory: u64, holder: DomainId, now: u64, is_settled: bool) {
        let youngest = self.youngest(memory);
        if youngest == Some(holder) || youngest.is_none() && holder == NOBODY {
            return;
        }
        let excuses = self.caps.iter().enumerate().any(|(index, cap)| {
            let is_it = cap.kind == ObjectKind::Frame && cap.thing == memory && cap.whole;
            is_it
                && cap.holder == holder
                && match cap.state {
                    State::Live => false,
                    // To let the last name go keeps what is mapped by it.
                    State::Deleted => youngest.is_none(),
                    State::Died => !is_settled || youngest.is_none(),
                    State::Revoked if is_settled => self.has_time(index, now),
                    State::Revoked => !self.is_finally_gone(index),
                }
        });
        assert!(excuses, "{holder:?} has memory {memory}, and not {youngest:?}");
    }

    /// What was mapped of a region is there by a capability, or by time that is not over; or its owner has ended.
    fn check_mapped(&self, holder: DomainId, region: u64) {
        let is_it = |it: &Cap| it.kind == ObjectKind::Region && it.thing == region;
        let minted = self.caps.iter().find(|it| is_it(it) && it.parent.is_none()).unwrap();
        let is_named = self.caps.iter().any(|it| is_it(it) && it.state == State::Live);
        if minted.holder == holder || self.dead.contains(&minted.holder) || !is_named {
            return;
        }
        let mut held =
            self.caps.iter().enumerate().filter(|(_, it)| is_it(it) && it.holder == holder && it.whole);
        let may = held.any(|(index, it)| match it.state {
            State::Live => true,
            State::Revoked => !self.is_finally_gone(index),
            State::Deleted | State::Died => false,
        });
        assert!(may, "{holder:?} has region {region} mapped");
    }

    /// All that was done by slices, ports and lines was taken back.
    pub fn check_all_ended(&self) {
        for cap in self.caps.iter().filter(|it| !matches!(it.kind, ObjectKind::Frame | ObjectKind::Region)) {
            assert_eq!(cap.ends, 1, "{cap:?}");
        }
    }
}
