//! This program, as the kernel knows it.

use alloc::{
    boxed::Box,
    sync::{Arc, Weak},
    vec::Vec,
};
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use feuerbird_abi::{Call, PAYLOAD_BYTES, Request, Role, Status};
use feuerbird_capability::{Slot, Trust};
use feuerbird_channel::{Arriving, Ended, Home, Terms, Validity};
use feuerbird_serialization::{Identity, Layer, Message};
use spin::Mutex;
use zerocopy::{FromBytes, IntoBytes};

use crate::{
    Answer, AuditLog, DomainHandle, Error, Gate, GateError, Granted, Handle, Missed, Receiver, Repossession,
    Sender, SharedRegion,
    along::Pocket,
    binding::{self, Binding, Common, Failures, Lanes, PAGE_BYTES, Wish},
    owed::Owed,
    recent::Recent,
    revocation::Revocations,
    table::Table,
};

/// The validity words of a domain, which the kernel writes.
pub(crate) type Words<G> = <<G as Gate>::Home as Home>::Reader;

/// How many grants wait for [`Domain::granted`]: as many as a domain of the hosted home has slots.
const GRANTED: usize = 1024;

/// How often to look for a grant, in nanoseconds.
const GRANT_POLL_NS: u64 = 200_000;

/// How many repossessions are remembered.
const REPOSSESSED: usize = 256;

/// A program as its kernel knows it: a capability space, and what it has bound.
///
/// Cheap to clone; all clones are the same domain. It ends when the last of them, and of the handles and endpoints made
/// through it, is dropped: the kernel then takes back all it held.
///
/// # Locking
/// Bindings, grants, repossessions, what came beside messages and what is owed to the kernel lie behind spin locks that are held for
/// one edit, a few hundred nanoseconds: never across a system call, while memory is made or mapped, or while anything of the
/// program's runs.
pub struct Domain<G: Gate> {
    pub(crate) inner: Arc<Inner<G>>,
}

/// A domain that may have ended: for threads and handlers that must not keep it alive.
pub struct WeakDomain<G: Gate>(Weak<Inner<G>>);

pub(crate) struct Inner<G: Gate> {
    pub(crate) gate: G,
    pub(crate) words: Arc<Words<G>>,
    own: Slot,
    audit: Option<Slot>,
    trust: Trust,
    pub(crate) table: Mutex<Table<G>>,
    pub(crate) granted: Mutex<Recent<Granted>>,
    pub(crate) repossessed: Mutex<Recent<Repossession>>,
    pub(crate) revocations: Mutex<Revocations>,
    pub(crate) pocket: Mutex<Pocket>,
    pub(crate) owed: Mutex<Owed>,
    /// The kernel is gone, and everything that it said before was acted on.
    is_alone: AtomicBool,
    sequence: AtomicU64,
}

impl<G: Gate> WeakDomain<G> {
    /// The domain, unless it has ended.
    pub fn upgrade(&self) -> Option<Domain<G>> {
        self.0.upgrade().map(|inner| Domain { inner })
    }
}

impl<G: Gate> Clone for WeakDomain<G> {
    fn clone(&self) -> Self {
        Self(Weak::clone(&self.0))
    }
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
        let words = gate.map_memory(answer.handle.ok_or(Error::Garbled)?, bytes)?;
        let inner = Inner {
            words: Arc::new(words),
            own: Slot::from_bits(own),
            audit: Some(Slot::from_bits(audit)).filter(|slot| *slot != Slot::NULL),
            trust: Trust::new(trust as u8).ok_or(Error::Garbled)?,
            table: Mutex::new(Table::new()),
            granted: Mutex::new(Recent::new(GRANTED)),
            repossessed: Mutex::new(Recent::new(REPOSSESSED)),
            revocations: Mutex::new(Revocations::default()),
            pocket: Mutex::new(Pocket::default()),
            owed: Mutex::new(Owed::default()),
            is_alone: AtomicBool::new(false),
            sequence: AtomicU64::new(1),
            gate,
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// The same domain, without keeping it alive.
    pub fn downgrade(&self) -> WeakDomain<G> {
        WeakDomain(Arc::downgrade(&self.inner))
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

    /// Makes memory that only this domain writes, `bytes` bytes in whole pages, near the calling thread.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`], [`Error::Refused`].
    pub fn region(&self, bytes: usize) -> Result<SharedRegion<G>, Error> {
        let bytes = bytes.next_multiple_of(PAGE_BYTES);
        let gate = &self.inner.gate;
        let made = gate.make_memory_placed(bytes, gate.placement());
        let (writer, handle) = made.ok_or(Error::OutOfMemory)?;
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
        let lanes = Arc::new(Arriving::new());
        let bound =
            self.bind(handle.slot, T::IDENTITY, Wish::new(layer, T::LAYOUT), Lanes::Out(Arc::clone(&lanes)))?;
        let sender = feuerbird_channel::Sender::new(self.inner.gate.home(), bound.validity, lanes);
        Ok(Sender::new(sender.with_failures(bound.failures), self.clone(), bound.number))
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
        let lanes = Arc::new(Arriving::new());
        let bound =
            self.bind(handle.slot, T::IDENTITY, Wish::new(layer, T::LAYOUT), Lanes::In(Arc::clone(&lanes)))?;
        let receiver = feuerbird_channel::Receiver::new(self.inner.gate.home(), bound.validity, lanes);
        Ok(Receiver::new(receiver.with_failures(bound.failures), self.clone(), bound.number))
    }

    /// Waits for a capability that another domain grants to this one; they come in the order in which they were granted.
    /// 1024 wait for this call; beyond, the oldest is dropped and counted ([`missed`](Self::missed)).
    ///
    /// # Errors
    /// [`Error::DeadlinePassed`]. [`Error::KernelGone`] where nobody is left who could grant, and all that was granted before
    /// was returned.
    pub fn granted(&self, timeout_ns: u64) -> Result<(Handle<G>, Granted), Error> {
        let home = self.inner.gate.home();
        let deadline = home.now_ns().saturating_add(timeout_ns);
        loop {
            // Looked at first: what came before the end is there when the end is seen.
            let is_alone = self.inner.is_alone.load(Ordering::Acquire);
            let granted = self.inner.granted.lock().pop();
            if let Some(granted) = granted {
                return Ok((self.handle(granted.slot), granted));
            }
            if is_alone {
                return Err(Error::KernelGone);
            }
            if home.now_ns() >= deadline {
                return Err(Error::DeadlinePassed);
            }
            home.wait(&[], GRANT_POLL_NS);
        }
    }

    /// What was taken from this domain by force, oldest first: the newest 256; see [`missed`](Self::missed).
    pub fn repossessed(&self) -> Vec<Repossession> {
        self.inner.repossessed.lock().all()
    }

    /// What came faster than this program looked, and was dropped.
    pub fn missed(&self) -> Missed {
        let granted = self.inner.granted.lock().lost();
        Missed { granted, repossessed: self.inner.repossessed.lock().lost() }
    }

    /// Ends every binding, because nobody is left who could: for homes, when the kernel side is gone and every upcall of its
    /// was acted on. What was sent before can still be received.
    pub fn kernel_gone(&self) {
        let remains: Vec<_> = self.inner.table.lock().all().map(|binding| binding.end(Ended::Died)).collect();
        drop(remains);
        self.inner.is_alone.store(true, Ordering::Release);
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
        let sequence = self.inner.sequence.fetch_add(1, Ordering::Relaxed);
        Request::new(call, sequence, arguments)
    }

    /// Makes an edit of a binding, if it is still there.
    ///
    /// # Locking
    /// Under the table's lock: `edit` neither calls nor maps nor drops what does.
    pub(crate) fn with_binding<R>(&self, number: u64, edit: impl FnOnce(&mut Binding<G>) -> R) -> Option<R> {
        self.inner.table.lock().binding(number).map(edit)
    }

    /// Ends a binding that its owner dropped.
    pub(crate) fn unbind(&self, number: u64) {
        let ended = self.inner.table.lock().remove(number);
        if let Some(mut ended) = ended {
            let remains = ended.end(Ended::Unbound);
            self.forget_revocation(number);
            self.forget_parting(number, None);
            self.give_back(Call::Unbind, [number, 0]);
            self.delete_all(remains.regions());
        }
    }

    fn bind(
        &self,
        slot: Slot,
        identity: Identity,
        wish: Wish,
        lanes: Lanes<G::Home>,
    ) -> Result<Bound<G>, Error> {
        let asking = self.inner.table.lock().begin();
        let made = self.ask_to_bind(slot, &identity, wish, lanes);
        let mut table = self.inner.table.lock();
        let (stale, made) = match made {
            Ok((bound, binding)) => (table.install(asking, bound.number, binding), Ok(bound)),
            Err(error) => (table.end(asking), Err(error)),
        };
        drop(table);
        self.drop_stale(stale.iter().map(|(upcall, _)| upcall));
        drop(stale);
        let bound = made?;
        // What came early is acted on here, in order; what comes meanwhile waits behind it.
        loop {
            let next = self.inner.table.lock().next_early(bound.number);
            let Some((upcall, handle)) = next else { return Ok(bound) };
            // A pair that comes to nothing says so at the endpoint.
            let _ = self.on_binding(&upcall, handle);
        }
    }

    fn ask_to_bind(
        &self,
        slot: Slot,
        identity: &Identity,
        wish: Wish,
        lanes: Lanes<G::Home>,
    ) -> Result<(Bound<G>, Binding<G>), Error> {
        let role = if matches!(lanes, Lanes::Out(_)) { Role::Sender } else { Role::Receiver };
        let arguments = [slot.to_bits(), role as u64, wish.to_bits()];
        let request = self.request(Call::Bind, &arguments);
        let mut contract = [0; PAYLOAD_BYTES];
        let gate = &self.inner.gate;
        let answer = gate
            .call(request, identity.as_bytes(), None, &mut contract)
            .map_err(|error| mismatch(error, identity, &contract))?;
        let [number, _trust, terms, word, value, _] = answer.reply.values;
        let made = Terms::from_bits(terms)
            .map_err(Error::from)
            .and_then(|terms| Ok((terms, self.validity(word, value)?)));
        let (terms, validity) = match made {
            Ok(made) => made,
            Err(error) => {
                self.give_back(Call::Unbind, [number, 0]);
                return Err(error);
            }
        };
        let failures = binding::failures();
        let common = Common { terms, wish, lanes, placement: gate.placement() };
        let binding = Binding::new(common, Arc::clone(&failures), validity.share());
        Ok((Bound { number, validity, failures }, binding))
    }
}

/// A binding as its endpoint needs it.
struct Bound<G: Gate> {
    number: u64,
    validity: Validity<Words<G>>,
    failures: Failures,
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
