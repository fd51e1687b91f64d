//! A domain's way to its supervisor: one socket, one thread that listens, one that acts on upcalls.

use std::{
    collections::HashMap,
    os::fd::{AsFd, OwnedFd},
    panic::{self, AssertUnwindSafe},
    sync::{Arc, Mutex, PoisonError, mpsc},
    thread,
};

use feuerbird_abi::{Class, RECORD_BYTES, Reply, Request, Status, Upcall};
use feuerbird_libos::{Answer, Domain, Gate, GateError};
use zerocopy::FromBytes;

use crate::{
    home::LinuxHome,
    os::{
        memory::{ReaderMemory, WriterMemory},
        socket::{Message, ReceiveError, Socket},
    },
};

/// The gate of a domain that is, or is in, a Linux process.
#[derive(Clone, Debug)]
pub struct SocketGate {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    socket: Socket,
    home: LinuxHome,
    /// Callers that wait for a reply, by sequence. `None` once the supervisor is gone.
    waiting: Mutex<Option<HashMap<u64, mpsc::Sender<Message>>>>,
}

impl SocketGate {
    /// Enters a domain through a connected socket and starts the two threads that serve it. They end with the socket.
    ///
    /// # Errors
    /// [`feuerbird_libos::Error`] where there is no supervisor at the other end; [`GateError::Closed`] stands for a thread
    /// that could not be started, too.
    pub(crate) fn enter(socket: Socket, name: &str) -> Result<Domain<Self>, feuerbird_libos::Error> {
        let waiting = Mutex::new(Some(HashMap::new()));
        let gate = Self { shared: Arc::new(Shared { socket, home: LinuxHome::new(), waiting }) };
        let (upcalls, arriving) = mpsc::channel();
        let listener = Arc::clone(&gate.shared);
        spawn_thread("feuerbird-gate", move || listener.listen(&upcalls))?;
        let domain = Domain::enter(gate, name)?;
        let acting = domain.clone();
        spawn_thread("feuerbird-upcall", move || act(&acting, &arriving))?;
        Ok(domain)
    }
}

fn spawn_thread(name: &str, body: impl FnOnce() + Send + 'static) -> Result<(), feuerbird_libos::Error> {
    let spawned = thread::Builder::new().name(name.into()).stack_size(256 << 10).spawn(body);
    spawned.map(drop).map_err(|_| feuerbird_libos::Error::OutOfMemory)
}

/// Acts on upcalls, one after the other. A thread of its own, because acting makes system calls.
fn act(domain: &Domain<SocketGate>, arriving: &mpsc::Receiver<Message>) {
    while let Ok(mut message) = arriving.recv() {
        let Ok(upcall) = Upcall::read_from_bytes(message.record()) else { continue };
        let handle = message.fds[0].take();
        // A handler of the program's may panic; the domain has to hear the next upcall all the same.
        let acted = panic::catch_unwind(AssertUnwindSafe(|| domain.upcall(&upcall, handle)));
        if let Ok(Err(error)) = acted
            && std::env::var_os("FEUERBIRD_TRACE").is_some()
        {
            eprintln!("feuerbird: upcall {}: {error}", upcall.kind);
        }
    }
    domain.kernel_gone();
}

impl Shared {
    fn listen(&self, upcalls: &mpsc::Sender<Message>) {
        loop {
            match self.socket.receive() {
                Ok(message) => self.sort(message, upcalls),
                Err(ReceiveError::Closed | ReceiveError::Os(_)) => break,
                // The supervisor is trusted; a record lost to a full descriptor table is answered by its caller's error.
                Err(_) => {}
            }
        }
        // Every caller's channel closes with the table.
        *self.waiting.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn sort(&self, message: Message, upcalls: &mpsc::Sender<Message>) {
        let class = u32::from_ne_bytes(message.record()[..4].try_into().expect("a record has 64 bytes"));
        if class == Class::Upcall as u32 {
            let _ = upcalls.send(message);
            return;
        }
        let sequence = u64::from_ne_bytes(message.record()[8..16].try_into().expect("a record has 64 bytes"));
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(caller) = waiting.as_mut().and_then(|callers| callers.remove(&sequence)) {
            let _ = caller.send(message);
        }
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
        let (caller, reply) = mpsc::channel();
        let mut waiting = self.shared.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.as_mut().ok_or(GateError::Closed)?.insert(request.sequence, caller);
        drop(waiting);
        let record: &[u8; RECORD_BYTES] = zerocopy::transmute_ref!(&request);
        let handles: Vec<_> = handle.iter().map(AsFd::as_fd).collect();
        if self.shared.socket.send(record, payload, &handles).is_err() {
            let mut waiting = self.shared.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            waiting.as_mut().map(|callers| callers.remove(&request.sequence));
            return Err(GateError::Closed);
        }
        let mut message = reply.recv().map_err(|_| GateError::Closed)?;
        let reply = Reply::read_from_bytes(message.record()).map_err(|_| GateError::Garbled)?;
        let bytes = message.payload().len().min(payload_out.len());
        payload_out[..bytes].copy_from_slice(&message.payload()[..bytes]);
        match Status::from_number(reply.status) {
            Some(Status::Ok) => Ok(Answer { reply, payload: bytes, handle: message.fds[0].take() }),
            Some(status) => Err(GateError::Refused(status, bytes)),
            None => Err(GateError::Garbled),
        }
    }

    fn home(&self) -> LinuxHome {
        self.shared.home
    }

    fn make_memory(&self, bytes: usize) -> Option<(WriterMemory, OwnedFd)> {
        WriterMemory::create("feuerbird", bytes).ok()
    }

    fn map_memory(&self, handle: OwnedFd, bytes: usize) -> Option<ReaderMemory> {
        ReaderMemory::map(handle.as_fd(), bytes).ok()
    }

    fn life(&self, handle: OwnedFd) -> OwnedFd {
        handle
    }
}
