//! What this domain owes the kernel: the ends of things, said again until the way there has room for them.

use alloc::{boxed::Box, collections::VecDeque};

use feuerbird_abi::Call;
use feuerbird_channel::Home;

use crate::{Domain, Error, Gate, WeakDomain};

/// How long the way is left alone when it had no room, in nanoseconds.
const PAUSE_NS: u64 = 10_000_000;

/// Calls that the way to the kernel had no room for. Each ends something that the kernel keeps for this domain, so that there
/// are never more of them than it may have.
#[derive(Default)]
pub(crate) struct Owed {
    calls: VecDeque<(Call, [u64; 2])>,
    is_settling: bool,
}

impl<G: Gate> Domain<G> {
    /// Ends something in the kernel that this domain needs no more. The kernel may have ended it first, or be gone: then there
    /// is nothing left to end. Where the way there has no room for the moment, it is said later, and nobody waits for it.
    pub(crate) fn give_back(&self, call: Call, what: [u64; 2]) {
        if !self.is_said(call, what) {
            self.inner.owed.lock().calls.push_back((call, what));
            self.settle();
        }
    }

    /// A pair has ended, or with no peer all those of a binding: there is nothing left to part.
    pub(crate) fn forget_parting(&self, binding: u64, peer: Option<u64>) {
        let is_of_it = |[of, with]: [u64; 2]| of == binding && peer.is_none_or(|peer| peer == with);
        self.inner.owed.lock().calls.retain(|(call, what)| *call != Call::Part || !is_of_it(*what));
    }

    /// Sees to what is owed, if anything is and nobody does.
    pub(crate) fn settle(&self) {
        let mut owed = self.inner.owed.lock();
        if owed.calls.is_empty() || core::mem::replace(&mut owed.is_settling, true) {
            return;
        }
        drop(owed);
        let domain = self.downgrade();
        if self.gate().run_beside(Box::new(move || settle_all(&domain))).is_err() {
            // Without a thread for it: with the next upcall.
            self.inner.owed.lock().is_settling = false;
        }
    }

    fn is_said(&self, call: Call, what: [u64; 2]) -> bool {
        !matches!(self.call(call, &what, None), Err(Error::OutOfMemory))
    }

    fn next_owed(&self) -> Option<(Call, [u64; 2])> {
        let mut owed = self.inner.owed.lock();
        let next = owed.calls.pop_front();
        owed.is_settling = next.is_some();
        next
    }
}

fn settle_all<G: Gate>(domain: &WeakDomain<G>) {
    while let Some(domain) = domain.upgrade() {
        let Some((call, what)) = domain.next_owed() else { return };
        if !domain.is_said(call, what) {
            domain.inner.owed.lock().calls.push_front((call, what));
            let home = domain.gate().home();
            // Whoever waits here must not keep it alive.
            drop(domain);
            home.wait(&[], PAUSE_NS);
        }
    }
}
