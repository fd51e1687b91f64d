//! Upcalls that undo each other: whoever keeps some that wait, keeps few by that, however many come.

use alloc::{collections::VecDeque, vec::Vec};

use feuerbird_abi::{UNHEARD_OF, Undone, Upcall, UpcallKind};

/// What a newer upcall left of a queue.
#[derive(Debug)]
pub struct Annulled<T> {
    /// What goes behind the queue, if anything is left to be heard: the newer one, or what it comes to without those it undid.
    pub newer: Option<Upcall>,
    /// What it undid, in order.
    pub removed: Vec<T>,
}

/// Takes out of a queue what a newer upcall undoes. For homes.
///
/// So a queue is bounded by what its domain may own ([`Upcall::undoes`]). What a peer sent before it left is still to be had: where the domain has heard of the peer, its memory stays announced.
/// Peers that it has not heard of are told together as one that left, so that whoever waits for them hears that they are gone.
///
/// # Cost
/// One look at each that waits; allocates where something goes.
pub fn annul<T>(
    waiting: &mut VecDeque<T>,
    newer: &Upcall,
    upcall: impl Fn(&T) -> Option<Upcall>,
) -> Annulled<T> {
    let mut removed = Vec::new();
    if !sweep(waiting, newer, &upcall, &mut removed) {
        return Annulled { newer: Some(*newer), removed };
    }
    let [binding, _, reason, ..] = newer.values;
    let left = UpcallKind::from_number(newer.kind).filter(|kind| *kind == UpcallKind::PeerLeft);
    let newer = left.map(|kind| Upcall::new(kind, newer.sequence, &[binding, UNHEARD_OF, reason]));
    newer.inspect(|newer| {
        sweep(waiting, newer, &upcall, &mut removed);
    });
    Annulled { newer, removed }
}

/// Whether the newer one itself need not be heard.
fn sweep<T>(
    waiting: &mut VecDeque<T>,
    newer: &Upcall,
    upcall: impl Fn(&T) -> Option<Upcall>,
    removed: &mut Vec<T>,
) -> bool {
    let is_touched = |it: &T| upcall(it).is_some_and(|older| newer.undoes(&older) != Undone::Not);
    if !waiting.iter().any(is_touched) {
        return false;
    }
    let mut is_pointless = false;
    for it in core::mem::take(waiting) {
        // Memory is announced after the peer itself, so that what is still unheard of is known by then.
        let goes = match upcall(&it).map_or(Undone::Not, |older| newer.undoes(&older)) {
            Undone::Not => false,
            Undone::Memory => is_pointless,
            Undone::InPart => true,
            Undone::Wholly => {
                is_pointless = true;
                true
            }
        };
        if goes {
            removed.push(it);
        } else {
            waiting.push_back(it);
        }
    }
    is_pointless
}
