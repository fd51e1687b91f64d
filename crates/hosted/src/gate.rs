//! A domain's way to its supervisor: one socket, one thread that listens, one that acts on upcalls.

use std::{
    collections::{HashMap, VecDeque},
    os::fd::{AsFd, OwnedFd},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError, mpsc},
    thread::{self, ThreadId},
    time::Duration,
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
    upcalls: Upcalls,
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
        let shared = Arc::new(Shared {
            socket,
            home: LinuxHome::new(),
            waiting,
            vouched: Vouched::default(),
            upcalls: Upcalls::default(),
        });
        let gate = Self { open: Arc::new(Open { shared }) };
        let [listener, acting] = [&gate.open.shared; 2].map(Arc::clone);
        spawn_thread("feuerbird-gate", move || listener.listen())?;
        let domain = Domain::enter(gate, name)?;
        let weak = domain.downgrade();
        spawn_thread("feuerbird-upcall", move || act(&weak, &acting.upcalls))?;
        Ok(domain)
    }
}

fn spawn_thread(name: &str, body: impl FnOnce() + Send + 'static) -> Result<(), feuerbird_libos::Error> {
    let spawned = thread::Builder::new().name(name.into()).stack_size(256 << 10).spawn(body);
    spawned.map(drop).map_err(|_| feuerbird_libos::Error::OutOfMemory)
}

/// Acts on what arrives, one after the other. A thread of its own, because acting makes system calls; and one that does not keep
/// the domain alive between two upcalls.
fn act(domain: &WeakDomain<SocketGate>, arriving: &Upcalls) {
    arriving.acting.get_or_init(|| thread::current().id());
    while let Some(arrived) = arriving.next() {
        let (upcall, handle) = match arrived {
            Arrived::Upcall(upcall, handle) => (upcall, handle),
            Arrived::Mark(reached) => {
                // Who waits may have given up.
                let _ = reached.send(());
                continue;
            }
        };
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
    queue: Mutex<Queue>,
    changed: Condvar,
    /// The thread that acts on them.
    acting: OnceLock<ThreadId>,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: VecDeque<Arrived>,
    is_over: bool,
}

#[derive(Debug)]
enum Arrived {
    Upcall(Upcall, Option<OwnedFd>),
    /// Somebody waits until all before it were acted on.
    Mark(mpsc::Sender<()>),
}

impl Arrived {
    fn upcall(&self) -> Option<Upcall> {
        match self {
            Self::Upcall(upcall, _) => Some(*upcall),
            Self::Mark(_) => None,
        }
    }
}

impl Upcalls {
    fn push(&self, upcall: Upcall, handle: Option<OwnedFd>) {
        let mut queue = self.lock();
        let annulled = annul(&mut queue.waiting, &upcall, Arrived::upcall);
        queue.waiting.extend(annulled.newer.map(|newer| Arrived::Upcall(newer, handle)));
        self.changed.notify_one();
    }

    /// Waits until all that are here were acted on, a second at most, and not on the thread that acts.
    fn wait_until_acted_on(&self) {
        if self.acting.get() == Some(&thread::current().id()) {
            return;
        }
        let (mark, reached) = mpsc::channel();
        let mut queue = self.lock();
        if !queue.is_over {
            queue.waiting.push_back(Arrived::Mark(mark));
            self.changed.notify_one();
            drop(queue);
            // A handler of the program's may run there, and wait for this thread.
            let _ = reached.recv_timeout(Duration::from_secs(1));
        }
    }

    /// What is next; `None` when the supervisor is gone and all was acted on.
    fn next(&self) -> Option<Arrived> {
        let queue = self.lock();
        let waited = self.changed.wait_while(queue, |it| it.waiting.is_empty() && !it.is_over);
        waited.unwrap_or_else(PoisonError::into_inner).waiting.pop_front()
    }

    fn end(&self) {
        self.lock().is_over = true;
        self.changed.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shared {
    fn listen(&self) {
        loop {
            match self.socket.receive() {
                Ok(message) => self.sort(message),
                Err(ReceiveError::Closed | ReceiveError::Os(_)) => break,
                // The supervisor is trusted, and sends nothing of the kind.
                Err(_) => {}
            }
        }
        // Every caller's channel closes with the table.
        *self.waiting.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.upcalls.end();
    }

    fn sort(&self, mut message: Message) {
        let upcall = Upcall::read_from_bytes(message.record()).ok();
        if let Some(upcall) = upcall.filter(|upcall| upcall.class == Class::Upcall as u32) {
            let handle = message.fds[0].take();
            self.vouched.hear(&upcall, handle.as_ref().map(AsFd::as_fd));
            self.upcalls.push(upcall, handle);
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

    fn catch_up(&self) {
        self.open.shared.upcalls.wait_until_acted_on();
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
