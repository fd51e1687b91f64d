//! Visible revocation: the program may look after what it holds, then the binding, or what is mapped, is let go.
//!
//! The program's handler may take as long as it likes, so it runs beside the upcalls, one request after the other: peers
//! join and leave meanwhile, and the kernel's deadline ends a binding whether its handler has returned or not.

use alloc::{boxed::Box, collections::VecDeque, sync::Arc};

use feuerbird_abi::{Call, NO_BINDING};
use feuerbird_channel::Ended;

use crate::{Domain, Error, Gate, WeakDomain, Work};

type Handler = Arc<dyn Fn(u64) + Send + Sync>;

/// What the kernel asked to let go, and who looks after it.
#[derive(Default)]
pub(crate) struct Revocations {
    handler: Option<Handler>,
    /// Not begun yet. At most one for each binding that is there, and for each capability that the kernel gives time for.
    asked: VecDeque<Asked>,
    is_running: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Asked {
    sequence: u64,
    what: What,
    deadline_ns: u64,
}

/// What is to be let go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    Binding(u64),
    /// What was begun by the capability that was in this slot.
    Used(u64),
}

impl What {
    /// As an upcall names it.
    fn named(binding: u64, slot: u64) -> Self {
        if binding == NO_BINDING { Self::Used(slot) } else { Self::Binding(binding) }
    }
}

impl<G: Gate> Domain<G> {
    /// Chooses what to do when the kernel asks to let something go, a binding or memory that was mapped by a capability that was revoked:
    /// `handler` is given the deadline (nanoseconds of the monotonic clock, 0 for none), and when it returns (or panics) it is let
    /// go. It runs on a thread of its own, for one after the other, and may call this domain; what else the kernel says is acted on
    /// meanwhile.
    ///
    /// A handler that holds this domain or a handle keeps the domain alive for ever; let it hold a [`WeakDomain`].
    pub fn on_revocation(&self, handler: impl Fn(u64) + Send + Sync + 'static) {
        let handler: Handler = Arc::new(handler);
        let old = self.inner.revocations.lock().handler.replace(handler);
        // Outside the lock: it is the program's, and may do anything when it is dropped.
        drop(old);
    }

    pub(crate) fn on_revocation_requested(&self, sequence: u64, values: [u64; 6]) -> Result<(), Error> {
        let [binding, _, deadline_ns, slot, ..] = values;
        let what = What::named(binding, slot);
        if !self.is_there(what) {
            // Its owner dropped it, which lets it go as well.
            return Ok(());
        }
        let asked = Asked { sequence, what, deadline_ns };
        let mut revocations = self.inner.revocations.lock();
        if revocations.handler.is_none() {
            drop(revocations);
            self.let_go(asked);
            return Ok(());
        }
        if revocations.asked.iter().any(|other| other.what == what) {
            return Err(Error::Garbled);
        }
        revocations.asked.push_back(asked);
        let is_running = core::mem::replace(&mut revocations.is_running, true);
        drop(revocations);
        if !is_running && let Err(work) = self.start_handling() {
            // Without a thread for it, it is done here: late for others, but done.
            work();
        }
        Ok(())
    }

    fn start_handling(&self) -> Result<(), Work> {
        let domain = self.downgrade();
        self.gate().run_beside(Box::new(move || Handling { domain, is_done: false }.run()))
    }

    /// The binding is gone: nothing of it is left to look after.
    pub(crate) fn forget_revocation(&self, binding: u64) {
        self.forget(What::Binding(binding));
    }

    /// What was used by a capability in that slot was taken.
    pub(crate) fn forget_used(&self, slot: u64) {
        self.forget(What::Used(slot));
    }

    fn forget(&self, what: What) {
        self.inner.revocations.lock().asked.retain(|asked| asked.what != what);
    }

    fn is_there(&self, what: What) -> bool {
        match what {
            What::Binding(binding) => self.with_binding(binding, |_| ()).is_some(),
            What::Used(_) => true,
        }
    }

    fn let_go(&self, asked: Asked) {
        if let What::Binding(binding) = asked.what {
            let remains = self.with_binding(binding, |binding| binding.end(Ended::Revoked));
            self.delete_all(remains.iter().flat_map(|remains| remains.regions()));
        }
        self.give_back(Call::Acknowledge, [asked.sequence, 0]);
    }

    fn next_asked(&self) -> Option<(Asked, Option<Handler>)> {
        loop {
            let mut revocations = self.inner.revocations.lock();
            let next = revocations.asked.pop_front();
            revocations.is_running = next.is_some();
            let next = next.map(|asked| (asked, revocations.handler.clone()));
            drop(revocations);
            // Its owner may have dropped the binding between the request's coming and its being queued.
            if next.as_ref().is_none_or(|(asked, _)| self.is_there(asked.what)) {
                return next;
            }
        }
    }
}

/// Handles requests until there are none. Holds no domain while the program's handler runs: it may never return.
struct Handling<G: Gate> {
    domain: WeakDomain<G>,
    is_done: bool,
}

impl<G: Gate> Handling<G> {
    fn run(mut self) {
        while let Some((asked, handler)) = self.domain.upgrade().and_then(|domain| domain.next_asked()) {
            // On drop, so that a handler that panics lets go as well.
            let _after = LetGo { domain: &self.domain, asked };
            if let Some(handler) = handler {
                handler(asked.deadline_ns);
            }
        }
        self.is_done = true;
    }
}

impl<G: Gate> Drop for Handling<G> {
    fn drop(&mut self) {
        // A handler panicked. What else was asked for goes on beside; without a thread for that, with the next request: nothing
        // that may panic again can run while this unwinds.
        if let Some(domain) = self.domain.upgrade().filter(|_| !self.is_done)
            && domain.start_handling().is_err()
        {
            domain.inner.revocations.lock().is_running = false;
        }
    }
}

struct LetGo<'a, G: Gate> {
    domain: &'a WeakDomain<G>,
    asked: Asked,
}

impl<G: Gate> Drop for LetGo<'_, G> {
    fn drop(&mut self) {
        if let Some(domain) = self.domain.upgrade() {
            domain.let_go(self.asked);
        }
    }
}
