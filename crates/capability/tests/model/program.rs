//! Programs: operations as values, and how to draw them at random.

use feuerbird_capability::*;
use proptest::prelude::*;

use super::Model;

/// One operation. `which` picks a capability and `space` a space, modulo how many there are.
#[derive(Clone, Debug)]
pub(crate) enum Op {
    Mint { space: u8, kind: u8, rights: u32, trust: u8, range: (u64, u64) },
    Derive { which: u16, ask: Ask },
    Grant { which: u16, to: u8, ask: Ask },
    Copy { which: u16 },
    Move { which: u16 },
    MoveTo { which: u16, to: u8 },
    Delete { which: u16 },
    Revoke { which: u16 },
    Sweep { budget: usize },
    CreateSpace { limit: u32 },
    DestroySpace { space: u8 },
    Forge { space: u8, index: u32, generation: u32 },
}

/// What to ask of a parent: a part of what it has, or anything.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ask {
    pub(crate) is_modest: bool,
    pub(crate) rights: u32,
    pub(crate) trust: u8,
    pub(crate) badge: u64,
    pub(crate) range: Option<(u64, u64)>,
}

impl Ask {
    /// All that the parent has.
    pub(crate) const ALL: Self =
        Self { is_modest: true, rights: u32::MAX, trust: 0xF, badge: 0, range: None };

    pub(crate) fn of(&self, parent: &Capability) -> Derivation {
        let rights = Rights::from_bits_truncate(self.rights);
        let trust = Trust::new(self.trust & 0xF).unwrap();
        let derivation = match self.is_modest {
            true => Derivation::masking(parent, rights, trust),
            false => Derivation::new(rights, trust),
        };
        let range = self.range.map(|(start, length)| match self.is_modest && parent.range.length > 0 {
            true => {
                let offset = start % parent.range.length;
                Range::new(parent.range.start + offset, length.min(parent.range.length - offset))
            }
            false => Range::new(start, length),
        });
        Derivation { badge: Some(Badge(self.badge)), range, ..derivation }
    }
}

impl Model {
    /// Does one operation, predicts its result, and checks everything.
    pub(crate) fn step(&mut self, op: &Op) {
        let which = match *op {
            Op::Derive { which, .. } | Op::Grant { which, .. } | Op::Copy { which } | Op::Move { which } => {
                which
            }
            Op::MoveTo { which, .. } | Op::Delete { which } | Op::Revoke { which } => which,
            _ => 0,
        };
        match (op, self.pick(which)) {
            (Op::Mint { space, kind, rights, trust, range }, _) => {
                let capability = capability(*kind, *rights, *trust, *range);
                self.mint(self.pick_space(*space), capability);
            }
            (Op::Sweep { budget }, _) => self.sweep(*budget),
            (Op::CreateSpace { limit }, _) => self.create_space(*limit),
            (Op::DestroySpace { space }, _) => self.destroy_space(self.pick_space(*space)),
            (Op::Forge { space, index, generation }, _) => {
                self.forge(self.pick_space(*space), Slot { index: *index, generation: *generation });
            }
            (_, None) => {}
            (Op::Derive { ask, .. }, Some(id)) => self.derive(id, ask, None),
            (Op::Grant { to, ask, .. }, Some(id)) => self.derive(id, ask, Some(self.pick_space(*to))),
            (Op::Copy { .. }, Some(id)) => self.copy(id),
            (Op::Move { .. }, Some(id)) => self.move_to(id, None),
            (Op::MoveTo { to, .. }, Some(id)) => self.move_to(id, Some(self.pick_space(*to))),
            (Op::Delete { .. }, Some(id)) => self.delete(id),
            (Op::Revoke { .. }, Some(id)) => self.revoke(id),
        }
        self.check();
        self.forget();
    }

    /// One of the live by position times four; plus 2, the youngest; plus 3, by position among all that are known.
    fn pick(&self, which: u16) -> Option<u32> {
        let any: Vec<_> = self.known.keys().copied().collect();
        let live: Vec<_> = any.iter().copied().filter(|id| self.is_live(*id)).collect();
        if which % 4 == 2 && !live.is_empty() {
            return live.last().copied();
        }
        let from = if which % 4 == 3 || live.is_empty() { any } else { live };
        (!from.is_empty()).then(|| from[(which / 4) as usize % from.len()])
    }

    /// One of the live spaces by position times four, from the youngest; plus 3, one of the last ever made.
    fn pick_space(&self, which: u8) -> usize {
        let live: Vec<_> = (0..self.spaces.len()).rev().filter(|space| self.spaces[*space].is_live).collect();
        let any: Vec<_> = (0..self.spaces.len()).rev().take(super::SPACES + 1).collect();
        let from = if which % 4 == 3 || live.is_empty() { any } else { live };
        from[(which / 4) as usize % from.len()]
    }
}

pub(crate) fn capability(kind: u8, rights: u32, trust: u8, (start, length): (u64, u64)) -> Capability {
    let kind = ObjectKind::ALL[kind as usize % ObjectKind::ALL.len()];
    Capability {
        object: Object { kind, id: u64::from(trust) },
        rights: Rights::from_bits_truncate(rights),
        trust: Trust::new(trust & 0xF).unwrap(),
        badge: Badge::NONE,
        range: Range::new(start, length),
    }
}

/// Rights, more often all or nearly all than few.
fn rights() -> impl Strategy<Value = u32> {
    prop_oneof![3 => Just(u32::MAX), 2 => (0..11u32).prop_map(|bit| !(1 << bit)), 1 => any::<u32>()]
}

fn range() -> impl Strategy<Value = (u64, u64)> {
    prop_oneof![12 => (0..16u64, 0..16u64), 1 => (u64::MAX - 4..=u64::MAX, 0..8u64)]
}

fn ask() -> impl Strategy<Value = Ask> {
    let badge = prop_oneof![3 => Just(0), 1 => 1..4u64];
    let range = prop_oneof![1 => Just(None), 1 => range().prop_map(Some)];
    let parts =
        (prop::bool::weighted(0.85), rights(), prop_oneof![3 => Just(0xF), 1 => 0..16u8], badge, range);
    parts.prop_map(|(is_modest, rights, trust, badge, range)| Ask { is_modest, rights, trust, badge, range })
}

fn op() -> impl Strategy<Value = Op> {
    let mint = (any::<u8>(), any::<u8>(), rights(), 0..16u8, range());
    prop_oneof![
        8 => mint.prop_map(|(space, kind, rights, trust, range)| Op::Mint { space, kind, rights, trust, range }),
        16 => (any::<u16>(), ask()).prop_map(|(which, ask)| Op::Derive { which, ask }),
        16 => (any::<u16>(), any::<u8>(), ask()).prop_map(|(which, to, ask)| Op::Grant { which, to, ask }),
        6 => any::<u16>().prop_map(|which| Op::Copy { which }),
        4 => any::<u16>().prop_map(|which| Op::Move { which }),
        6 => (any::<u16>(), any::<u8>()).prop_map(|(which, to)| Op::MoveTo { which, to }),
        10 => any::<u16>().prop_map(|which| Op::Delete { which }),
        8 => any::<u16>().prop_map(|which| Op::Revoke { which }),
        12 => (0..5usize).prop_map(|budget| Op::Sweep { budget }),
        3 => (0..12u32).prop_map(|limit| Op::CreateSpace { limit }),
        1 => any::<u8>().prop_map(|space| Op::DestroySpace { space }),
        4 => (any::<u8>(), 0..26u32, 0..6u32)
            .prop_map(|(space, index, generation)| Op::Forge { space, index, generation }),
    ]
}

/// Programs of up to `length` operations.
pub(crate) fn programs(length: usize) -> impl Strategy<Value = Vec<Op>> {
    prop::collection::vec(op(), 1..=length)
}
