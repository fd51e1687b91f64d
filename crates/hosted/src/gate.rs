//! A domain's way to its supervisor: one socket, one thread that listens, one that acts on upcalls.

use std::{
    collections::{HashMap, VecDeque},
    os::fd::{AsFd, OwnedFd},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc},
    thread,
};

use feuerbird_abi::{Call, Class, RECORD_BYTES, Reply, Request, Status, Upcall};
use feuerbird_libos::{Answer, Domain, Gate, GateError, MemoryError, WeakDomain, Work, annul};
use feuerbird_numa::Placement;
use rustix::net::{Shutdown, shutdown};
use zerocopy::FromBytes;

use crate::{
    home::{LinuxHome, PeerLife},
    os::{
        memory::{MapError, Options, ReaderMemory, WriterMemory},
        socket::{Message, ReceiveError, SendError, Socket},
    },
    placement::Nodes,
    vouch::Vouched,
};

/// The gate of a domain that is, or is in, a Linux process. Closes with the last clone.
#[derive(Clone, Debug)]
pub struct SocketGate {
    open: Arc<Open>,
}

/// What the users of a gate hold, and its threads do not: when it goes, so do they.
#[derive(Debug)]
struct Open {
    shared: Arc<Shared>,
}

impl Drop for Open {
    fn drop(&mut self) {
        // The listener wakes up and ends, and with it the thread that acts on upcalls. What was sent is still heard at the
        // other end. It cannot fail but where the other end has closed, which wakes the listener as well.
        let _ = shutdown(&self.shared.socket, Shutdown::Both);
    }
}

#[derive(Debug)]
struct Shared {
    socket: Socket,
    home: LinuxHome,
    /// Callers that wait for a reply, by sequence. `None` once the supervisor is gone.
    waiting: Mutex<Option<HashMap<u64, mpsc::Sender<Message>>>>,
    /// Whose memory may be read in place.
    vouched: Vouched,
}

impl SocketGate {
    /// Enters a domain through a connected socket and starts the two threads that serve it. They end with the socket, or
    /// soon after the last user of the domain has let go of it.
    ///
    /// # Errors
    /// [`feuerbird_libos::Error`] where there is no supervisor at the other end; [`GateError::Closed`] stands for a thread
    /// that could not be started, too.
    pub(crate) fn enter(socket: Socket, name: &str) -> Result<Domain<Self>, feuerbird_libos::Error> {
        let waiting = Mutex::new(Some(HashMap::new()));
        let shared =
            Arc::new(Shared { socket, home: LinuxHome::new(), waiting, vouched: Vouched::default() });
        let gate = Self { open: Arc::new(Open { shared }) };
        let upcalls = Arc::new(Upcalls::default());
        let arriving = Arc::clone(&upcalls);
        let listener = Arc::clone(&gate.open.shared);
        spawn_thread("feuerbird-gate", move || {
            listener.listen(&upcalls);
            upcalls.end();
        })?;
        let domain = Domain::enter(gate, name)?;
        let acting = domain.downgrade();
        spawn_thread("feuerbird-upcall", move || act(&acting, &arriving))?;
        Ok(domain)
    }
}

fn spawn_thread(name: &str, body: impl FnOnce() + Send + 'static) -> Result<(), feuerbird_libos::Error> {
    let spawned = thread::Builder::new().name(name.into()).stack_size(256 << 10).spawn(body);
    spawned.map(drop).map_err(|_| feuerbird_libos::Error::OutOfMemory)
}

/// Acts on upcalls, one after the other. A thread of its own, because acting makes system calls; and one that does not keep
/// the domain alive between two upcalls.
fn act(domain: &WeakDomain<SocketGate>, arriving: &Upcalls) {
    while let Some((upcall, handle)) = arriving.next() {
        let Some(domain) = domain.upgrade() else { return };
        // A revocation handler of the program's runs here where there was no thread for it. If it panics, the panic has been
        // reported, and the domain must go on to hear: nothing of it is left half-changed, for handlers run under no lock.
        let acted = catch_unwind(AssertUnwindSafe(|| domain.upcall(&upcall, handle)));
        if let Ok(Err(error)) = acted
            && std::env::var_os("FEUERBIRD_TRACE").is_some()
        {
            eprintln!("feuerbird: upcall {}: {error}", upcall.kind);
        }
    }
    if let Some(domain) = domain.upgrade() {
        domain.kernel_gone();
    }
}

/// Upcalls that arrived and were not acted on. Bounded as an outbox is, however long acting on one takes.
#[derive(Debug, Default)]
struct Upcalls {
    arrived: Mutex<Arrived>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Arrived {
    upcalls: VecDeque<(Upcall, Option<OwnedFd>)>,
    is_over: bool,
}

impl Upcalls {
    fn push(&self, upcall: Upcall, handle: Option<OwnedFd>) {
        let mut arrived = self.lock();
        let annulled = annul(&mut arrived.upcalls, &upcall, |(older, _)| Some(*older));
        arrived.upcalls.extend(annulled.newer.map(|newer| (newer, handle)));
        self.changed.notify_one();
    }

    /// The next upcall; `None` when the supervisor is gone and all were acted on.
    fn next(&self) -> Option<(Upcall, Option<OwnedFd>)> {
        let arrived = self.lock();
        let waited = self.changed.wait_while(arrived, |it| it.upcalls.is_empty() && !it.is_over);
        waited.unwrap_or_else(PoisonError::into_inner).upcalls.pop_front()
    }

    fn end(&self) {
        self.lock().is_over = true;
        self.changed.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, Arrived> {
        self.arrived.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shared {
    fn listen(&self, upcalls: &Upcalls) {
        loop {
            match self.socket.receive() {
                Ok(message) => self.sort(message, upcalls),
                Err(ReceiveError::Closed | ReceiveError::Os(_)) => break,
                // The supervisor is trusted, and sends nothing of the kind.
                Err(_) => {}
            }
        }
        // Every caller's channel closes with the table.
        *self.waiting.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn sort(&self, mut message: Message, upcalls: &Upcalls) {
        let upcall = Upcall::read_from_bytes(message.record()).ok();
        if let Some(upcall) = upcall.filter(|upcall| upcall.class == Class::Upcall as u32) {
            let handle = message.fds[0].take();
            self.vouched.hear(&upcall, handle.as_ref().map(AsFd::as_fd));
            upcalls.push(upcall, handle);
            return;
        }
        let sequence = u64::from_ne_bytes(message.record()[8..16].try_into().expect("a record has 64 bytes"));
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(caller) = waiting.as_mut().and_then(|callers| callers.remove(&sequence)) {
            let _ = caller.send(message);
        }
    }
}

/// What it means for a call that it could not be sent.
fn unsent(error: SendError) -> GateError {
    match error {
        SendError::PayloadTooLong | SendError::TooManyDescriptors => GateError::TooLong,
        SendError::TooManyInFlight | SendError::NoMemory | SendError::Full => GateError::Shortage,
        SendError::Closed | SendError::Os(_) => GateError::Closed,
    }
}

impl Gate for SocketGate {
    type Home = LinuxHome;
    type Handle = OwnedFd;

    fn call(
        &self,
        request: Request,
        payload: &[u8],
        handle: Option<OwnedFd>,
        payload_out: &mut [u8],
    ) -> Result<Answer<OwnedFd>, GateError> {
        let shared = &self.open.shared;
        let (caller, reply) = mpsc::channel();
        let mut waiting = shared.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.as_mut().ok_or(GateError::Closed)?.insert(request.sequence, caller);
        drop(waiting);
        let record: &[u8; RECORD_BYTES] = zerocopy::transmute_ref!(&request);
        let handles: Vec<_> = handle.iter().map(AsFd::as_fd).collect();
        if let Err(error) = shared.socket.send(record, payload, &handles) {
            let mut waiting = shared.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            waiting.as_mut().map(|callers| callers.remove(&request.sequence));
            return Err(unsent(error));
        }
        let mut message = reply.recv().map_err(|_| GateError::Closed)?;
        // Not before: until then the supervisor may still tell of their peers.
        match Call::from_number(request.number) {
            Some(Call::Unbind) => shared.vouched.forget(request.arguments[0]),
            Some(Call::Part) => shared.vouched.forget_peer(request.arguments[0], request.arguments[1]),
            _ => {}
        }
        let reply = Reply::read_from_bytes(message.record()).map_err(|_| GateError::Garbled)?;
        let bytes = message.payload().len().min(payload_out.len());
        payload_out[..bytes].copy_from_slice(&message.payload()[..bytes]);
        match Status::from_number(reply.status) {
            // What the call was for came, and this process had no descriptor left to take it with.
            Some(Status::Ok) if message.has_lost_descriptors => {
                Err(GateError::Refused(Status::ObjectsFull, 0))
            }
            Some(Status::Ok) => Ok(Answer { reply, payload: bytes, handle: message.fds[0].take() }),
            Some(status) => Err(GateError::Refused(status, bytes)),
            None => Err(GateError::Garbled),
        }
    }

    fn home(&self) -> LinuxHome {
        self.open.shared.home
    }

    fn make_memory(&self, bytes: usize) -> Option<(WriterMemory, OwnedFd)> {
        self.make_memory_placed(bytes, None)
    }

    fn placement(&self) -> Option<Placement> {
        Nodes::of_this_machine().placement()
    }

    fn make_memory_placed(
        &self,
        bytes: usize,
        placement: Option<Placement>,
    ) -> Option<(WriterMemory, OwnedFd)> {
        let node = placement.and_then(|placement| Nodes::of_this_machine().node(placement, bytes));
        let options = Options { node: node.map(|node| node.index().into()), ..Options::default() };
        WriterMemory::create_with("feuerbird", bytes, options).ok()
    }

    fn map_memory(&self, handle: OwnedFd, bytes: usize) -> Result<ReaderMemory, MemoryError> {
        let memory = ReaderMemory::map(handle.as_fd(), bytes).map_err(|error| match error {
            MapError::Os(_) => MemoryError::Shortage,
            MapError::Seal(_) => MemoryError::NotAsPromised,
        })?;
        Ok(if self.open.shared.vouched.take(&handle) { memory.vouched_for() } else { memory })
    }

    fn life(&self, handle: OwnedFd) -> PeerLife {
        handle.into()
    }

    fn run_beside(&self, work: Work) -> Result<(), Work> {
        // A thread that cannot be started drops what it should run, so the work waits where both sides reach it.
        let place = Arc::new(Mutex::new(Some(work)));
        let taken = Arc::clone(&place);
        let take = |place: &Mutex<Option<Work>>| place.lock().unwrap_or_else(PoisonError::into_inner).take();
        let run = move || {
            if let Some(work) = take(&taken) {
                work();
            }
        };
        match thread::Builder::new().name("feuerbird-beside".into()).spawn(run) {
            Ok(_) => Ok(()),
            Err(_) => take(&place).map_or(Ok(()), Err),
        }
    }
}
