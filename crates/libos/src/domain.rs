//! This program, as the kernel knows it.

use alloc::{boxed::Box, collections::BTreeMap, sync::Arc, vec::Vec};

use crossbeam_queue::SegQueue;
use feuerbird_abi::{Call, PAYLOAD_BYTES, Request, Role, Status};
use feuerbird_capability::{Slot, Trust};
use feuerbird_channel::{Ended, Home, Terms};
use feuerbird_serialization::{Identity, Layer, Message};
use spin::Mutex;
use zerocopy::{FromBytes, IntoBytes};

use crate::{
    Answer, AuditLog, DomainHandle, Error, Gate, GateError, Granted, Handle, Receiver, Repossession, Sender,
    SharedRegion,
    binding::{Binding, Lanes, PAGE_BYTES},
};

/// The validity words of a domain, which the kernel writes.
pub(crate) type Table<G> = <<G as Gate>::Home as Home>::Reader;

type RevocationHandler = Arc<dyn Fn(u64) + Send + Sync>;

/// A program as its kernel knows it: a capability space, and what it has bound.
///
/// Cheap to clone; all clones are the same domain.
pub struct Domain<G: Gate> {
    pub(crate) inner: Arc<Inner<G>>,
}

pub(crate) struct Inner<G: Gate> {
    pub(crate) gate: G,
    pub(crate) table: Arc<Table<G>>,
    own: Slot,
    audit: Option<Slot>,
    trust: Trust,
    /// Locked for a few steps of control work only, never on the data path.
    bindings: Mutex<BTreeMap<u64, Binding<G>>>,
    pub(crate) granted: SegQueue<Granted>,
    pub(crate) repossessed: Mutex<Vec<Repossession>>,
    pub(crate) on_revocation: Mutex<Option<RevocationHandler>>,
    sequence: core::sync::atomic::AtomicU64,
}

impl<G: Gate> Clone for Domain<G> {
    fn clone(&self) -> Self {
        Self { inner: Arc::clone(&self.inner) }
    }
}

impl<G: Gate> Domain<G> {
    /// Says hello through a fresh gate, as `name` where the kernel side admits by name. For homes; programs get their
    /// domain from the home.
    ///
    /// # Errors
    /// [`Error`], where the kernel does not answer as a kernel does.
    pub fn enter(gate: G, name: &str) -> Result<Self, Error> {
        let mut nothing = [];
        let answer = gate.call(Request::new(Call::Hello, 0, &[]), name.as_bytes(), None, &mut nothing)?;
        let [own, trust, words, audit, ..] = answer.reply.values;
        let bytes = usize::try_from(words).map_err(|_| Error::Garbled)?.saturating_mul(8);
        let table = gate.map_memory(answer.handle.ok_or(Error::Garbled)?, bytes).ok_or(Error::PeerMemory)?;
        let inner = Inner {
            table: Arc::new(table),
            own: Slot::from_bits(own),
            audit: Some(Slot::from_bits(audit)).filter(|slot| *slot != Slot::NULL),
            trust: Trust::new(trust as u8).ok_or(Error::Garbled)?,
            bindings: Mutex::new(BTreeMap::new()),
            granted: SegQueue::new(),
            repossessed: Mutex::new(Vec::new()),
            on_revocation: Mutex::new(None),
            sequence: core::sync::atomic::AtomicU64::new(1),
            gate,
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// The way to the kernel, for homes.
    pub fn gate(&self) -> &G {
        &self.inner.gate
    }

    /// How far this domain is trusted.
    pub fn trust(&self) -> Trust {
        self.inner.trust
    }

    /// The capability for this domain itself. Granted to another domain, it lets that one grant to this one.
    pub fn own(&self) -> DomainHandle<G> {
        DomainHandle(self.handle(self.inner.own))
    }

    /// The capability for the audit log; only a first domain has it at first, and may grant it.
    pub fn audit(&self) -> Option<AuditLog<G>> {
        self.inner.audit.map(|slot| AuditLog(self.handle(slot)))
    }

    /// A handle on a slot of this domain's space.
    pub fn handle(&self, slot: Slot) -> Handle<G> {
        Handle { domain: self.clone(), slot }
    }

    /// Makes an endpoint: a channel that nobody has bound yet. The handle has all rights.
    ///
    /// # Errors
    /// [`Error::Refused`] where the kernel has no room.
    pub fn endpoint(&self, terms: Terms) -> Result<Handle<G>, Error> {
        let answer = self.call(Call::CreateEndpoint, &[terms.to_bits()], None)?;
        Ok(self.handle(Slot::from_bits(answer.reply.values[0])))
    }

    /// Makes a new domain, trusted so far and not started yet, with an empty capability space to grant into; and the
    /// gate it will enter by, where the home starts programs.
    ///
    /// # Errors
    /// [`Error::Refused`].
    pub fn create_domain(&self, trust: Trust) -> Result<(DomainHandle<G>, Option<G::Handle>), Error> {
        let answer = self.call(Call::CreateDomain, &[u64::from(trust.level())], None)?;
        let slot = Slot::from_bits(answer.reply.values[0]);
        Ok((DomainHandle(self.handle(slot)), answer.handle))
    }

    /// Makes memory that only this domain writes, `bytes` bytes in whole pages.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`], [`Error::Refused`].
    pub fn region(&self, bytes: usize) -> Result<SharedRegion<G>, Error> {
        let bytes = bytes.next_multiple_of(PAGE_BYTES);
        let (writer, handle) = self.inner.gate.make_memory(bytes).ok_or(Error::OutOfMemory)?;
        let answer = self.call(Call::RegisterRegion, &[bytes as u64], Some(handle))?;
        let handle = self.handle(Slot::from_bits(answer.reply.values[0]));
        Ok(SharedRegion { writer, handle })
    }

    /// Binds the sending side of the endpoint that `handle` names.
    ///
    /// # Errors
    /// [`Error::TypeMismatch`] where the endpoint carries another type, [`Error::Refused`] where the right to send is
    /// missing or revoked.
    pub fn sender<T: Message>(&self, handle: &Handle<G>) -> Result<Sender<T, G>, Error> {
        self.sender_at_least(handle, Layer::Raw)
    }

    /// Binds the sending side, with messages carried in `layer` or a stricter one.
    ///
    /// # Errors
    /// As for [`sender`](Self::sender).
    pub fn sender_at_least<T: Message>(
        &self,
        handle: &Handle<G>,
        layer: Layer,
    ) -> Result<Sender<T, G>, Error> {
        let lanes = Arc::new(SegQueue::new());
        let out = Lanes::Out(Arc::clone(&lanes));
        let (binding, validity) = self.bind(handle.slot, Role::Sender, T::IDENTITY, layer, out)?;
        let sender = feuerbird_channel::Sender::new(self.inner.gate.home(), validity, lanes);
        Ok(Sender::new(sender, self.clone(), binding))
    }

    /// Binds the receiving side of the endpoint that `handle` names.
    ///
    /// # Errors
    /// As for [`sender`](Self::sender).
    pub fn receiver<T: Message>(&self, handle: &Handle<G>) -> Result<Receiver<T, G>, Error> {
        self.receiver_at_least(handle, Layer::Raw)
    }

    /// Binds the receiving side, with messages carried in `layer` or a stricter one.
    ///
    /// # Errors
    /// As for [`sender`](Self::sender).
    pub fn receiver_at_least<T: Message>(
        &self,
        handle: &Handle<G>,
        layer: Layer,
    ) -> Result<Receiver<T, G>, Error> {
        let lanes = Arc::new(SegQueue::new());
        let into = Lanes::In(Arc::clone(&lanes));
        let (binding, validity) = self.bind(handle.slot, Role::Receiver, T::IDENTITY, layer, into)?;
        let receiver = feuerbird_channel::Receiver::new(self.inner.gate.home(), validity, lanes);
        Ok(Receiver::new(receiver, self.clone(), binding))
    }

    /// Waits for a capability that another domain grants to this one; they come in the order in which they were granted.
    ///
    /// # Errors
    /// [`Error::DeadlinePassed`].
    pub fn granted(&self, timeout_ns: u64) -> Result<(Handle<G>, Granted), Error> {
        let home = self.inner.gate.home();
        let deadline = home.now_ns().saturating_add(timeout_ns);
        loop {
            if let Some(granted) = self.inner.granted.pop() {
                return Ok((self.handle(granted.slot), granted));
            }
            if home.now_ns() >= deadline {
                return Err(Error::DeadlinePassed);
            }
            home.wait(&[], 200_000);
        }
    }

    /// Chooses what to do when the kernel asks to let a binding go: `handler` is given the deadline (nanoseconds of the
    /// monotonic clock, 0 for none), and when it returns the binding is let go. It runs on the home's upcall thread.
    pub fn on_revocation(&self, handler: impl Fn(u64) + Send + Sync + 'static) {
        *self.inner.on_revocation.lock() = Some(Arc::new(handler));
    }

    /// What was taken from this domain by force, so far.
    pub fn repossessed(&self) -> Vec<Repossession> {
        self.inner.repossessed.lock().clone()
    }

    /// Ends every binding, because nobody is left who could: for homes, when the kernel side is gone. What was sent before
    /// can still be received.
    pub fn kernel_gone(&self) {
        for binding in self.inner.bindings.lock().values_mut() {
            binding.end(Ended::Died);
        }
    }

    /// Makes one system call without payload.
    pub(crate) fn call(
        &self,
        call: Call,
        arguments: &[u64],
        handle: Option<G::Handle>,
    ) -> Result<Answer<G::Handle>, Error> {
        let mut nothing = [];
        Ok(self.inner.gate.call(self.request(call, arguments), &[], handle, &mut nothing)?)
    }

    pub(crate) fn request(&self, call: Call, arguments: &[u64]) -> Request {
        let sequence = self.inner.sequence.fetch_add(1, core::sync::atomic::Ordering::Relaxed);
        Request::new(call, sequence, arguments)
    }

    /// Runs `act` on a binding, if it is still there.
    pub(crate) fn with_binding<R>(&self, binding: u64, act: impl FnOnce(&mut Binding<G>) -> R) -> Option<R> {
        self.inner.bindings.lock().get_mut(&binding).map(act)
    }

    /// Ends a binding that its owner dropped.
    pub(crate) fn unbind(&self, binding: u64) {
        let ended = self.inner.bindings.lock().remove(&binding);
        if let Some(mut ended) = ended {
            let regions = ended.end(Ended::Unbound);
            // The kernel may have ended it first, or be gone: either way there is nothing left to end.
            let _ = self.call(Call::Unbind, &[binding], None);
            self.drop_regions(regions);
        }
    }

    fn bind(
        &self,
        slot: Slot,
        role: Role,
        identity: Identity,
        layer: Layer,
        lanes: Lanes<G::Home>,
    ) -> Result<(u64, feuerbird_channel::Validity<Table<G>>), Error> {
        let arguments = [slot.to_bits(), role as u64, u64::from(layer.to_number())];
        let request = self.request(Call::Bind, &arguments);
        let mut contract = [0; PAYLOAD_BYTES];
        // Held across the call, so that the first upcall about this binding finds it; upcalls wait as long.
        let mut bindings = self.inner.bindings.lock();
        let answer = self
            .inner
            .gate
            .call(request, identity.as_bytes(), None, &mut contract)
            .map_err(|error| mismatch(error, &identity, &contract))?;
        let [binding, _trust, terms, word, value, _] = answer.reply.values;
        let made = Terms::from_bits(terms)
            .map_err(Error::from)
            .and_then(|terms| Ok((terms, self.validity(word, value)?)));
        let (terms, validity) = match made {
            Ok(made) => made,
            Err(error) => {
                let _ = self.call(Call::Unbind, &[binding], None);
                return Err(error);
            }
        };
        bindings.insert(binding, Binding::new(terms, layer, lanes, validity.share()));
        Ok((binding, validity))
    }
}

/// Says what differs where two sides disagree about a type.
fn mismatch(error: GateError, ours: &Identity, contract: &[u8; PAYLOAD_BYTES]) -> Error {
    match error {
        GateError::Refused(Status::ContractMismatch, bytes) => Identity::read_from_bytes(&contract[..bytes])
            .ok()
            .and_then(|theirs| ours.difference(&theirs))
            .map_or(Error::Refused(Status::ContractMismatch), |mismatch| {
                Error::TypeMismatch(Box::new(mismatch))
            }),
        other => other.into(),
    }
}
