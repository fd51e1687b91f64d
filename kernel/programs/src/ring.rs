//! The gate of `feuerbird-libos` in ring 3: calls by `SYSCALL`, memory that the kernel maps, and one thread.
//!
//! Nobody stands beside the program to hear what the kernel says. It is heard while the program waits, and when it asks for that
//! with [`hear`]; what is to run beside the program runs then as well, after what was heard.

use alloc::collections::VecDeque;

use feuerbird_abi::{PAYLOAD_BYTES, Reply, Request, Status};
use feuerbird_channel::Watched;
use feuerbird_libos::{Answer, Error, Gate, GateError, MemoryError, WeakDomain, Work};
use spin::Mutex;

use crate::gate::{self, HandleNumber};
use crate::memory::{self, OwnMemory, PeerMemory};

/// This domain, as `feuerbird-libos` has it.
pub(crate) type Domain = feuerbird_libos::Domain<Ring>;

/// A capability of this domain's.
pub(crate) type Handle = feuerbird_libos::Handle<Ring>;

/// Where channels run here, and the way to the kernel.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ring;

/// A handle that is closed when it is dropped: what the kernel made of it stays.
#[derive(Debug)]
pub(crate) struct Held(HandleNumber);

/// There is nothing to ask: the validity word says it all, because the kernel ends a pair with either domain.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Life;

/// Whose upcalls are heard.
static DOMAIN: Mutex<Option<WeakDomain<Ring>>> = Mutex::new(None);

/// What is to run beside the program.
static BESIDE: Mutex<VecDeque<Work>> = Mutex::new(VecDeque::new());

/// Where the memory is, and how many bytes, that was last made for a lane: for who means to misuse it.
static OWN: Mutex<Option<(u64, u64)>> = Mutex::new(None);

/// The address and the bytes of this domain's half of its last lane, if it has had one.
pub(crate) fn own_memory() -> Option<(u64, u64)> {
    *OWN.lock()
}

/// Becomes a domain. Who does so again, after the first has ended, hears as the second from then on.
///
/// # Errors
/// As [`feuerbird_libos::Domain::enter`].
pub(crate) fn enter() -> Result<Domain, Error> {
    let domain = Domain::enter(Ring, "")?;
    *DOMAIN.lock() = Some(domain.downgrade());
    Ok(domain)
}

/// Acts on what the kernel has said, and runs what is to run beside.
///
/// # Cost
/// One call where nothing was said.
pub(crate) fn hear() {
    hear_until(0);
}

/// As [`hear`]; waits until the deadline for the first word.
fn hear_until(mut deadline_ns: u64) {
    let domain = DOMAIN.lock().as_ref().and_then(WeakDomain::upgrade);
    let Some(domain) = domain else { return };
    while let Ok(Some((upcall, handle))) = gate::wait(core::mem::take(&mut deadline_ns)) {
        // A pair that comes to nothing says so at its endpoint.
        let _ = domain.upcall(&upcall, held(handle));
    }
    drop(domain);
    loop {
        // Not under the lock: what runs may wait, and hear.
        let next = BESIDE.lock().pop_front();
        match next {
            Some(work) => work(),
            None => return,
        }
    }
}

/// Waits for so long, or less where something is said, and acts on it.
fn rest(nanoseconds: u64) {
    hear_until(gate::now_ns().saturating_add(nanoseconds));
}

fn held(handle: HandleNumber) -> Option<Held> {
    (handle != 0).then_some(Held(handle))
}

impl Drop for Held {
    fn drop(&mut self) {
        // The kernel takes it back with the domain at the latest.
        let _ = memory::release(self.0);
    }
}

impl feuerbird_channel::Home for Ring {
    type Writer = OwnMemory;
    type Reader = PeerMemory;
    type Life = Life;

    fn now_ns(&self) -> u64 {
        gate::now_ns()
    }

    fn wait(&self, watched: &[Watched], timeout_ns: u64) {
        if watched.is_empty() {
            return rest(timeout_ns);
        }
        // Nobody wakes who waits for a word: the core's next domain runs, which may be the one that is waited for.
        gate::give_way();
        hear();
    }

    fn wake(&self, _: *const u64) {}

    fn has_heavy_barrier(&self) -> bool {
        false
    }

    fn heavy_barrier(&self) {}

    fn is_dead(&self, _: &Life) -> bool {
        false
    }
}

impl Gate for Ring {
    type Home = Self;
    type Handle = Held;

    fn call(
        &self,
        request: Request,
        payload: &[u8],
        handle: Option<Held>,
        payload_out: &mut [u8],
    ) -> Result<Answer<Held>, GateError> {
        if payload.len() > PAYLOAD_BYTES {
            return Err(GateError::TooLong);
        }
        let beside = handle.as_ref().map_or(0, |handle| handle.0);
        let (status, answer) = gate::request(request.number.into(), request.arguments, payload, beside);
        let status = u32::try_from(status).ok().and_then(Status::from_number).ok_or(GateError::Garbled)?;
        let length = gate::payload(&answer, payload_out);
        match status {
            Status::Ok => Ok(Answer {
                reply: Reply::new(status, request.sequence, &answer.values),
                payload: length,
                handle: held(answer.handle),
            }),
            refusal => Err(GateError::Refused(refusal, length)),
        }
    }

    fn catch_up(&self) {
        hear();
    }

    fn home(&self) -> Self {
        *self
    }

    fn make_memory(&self, bytes: usize) -> Option<(OwnMemory, Held)> {
        let (memory, handle) = OwnMemory::new(bytes).ok()?;
        *OWN.lock() = Some((memory.address(), bytes as u64));
        Some((memory, Held(handle)))
    }

    fn map_memory(&self, handle: Held, bytes: usize) -> Result<PeerMemory, MemoryError> {
        // The kernel has said how large it is, lets nobody make it smaller, and has a frame for each of its pages.
        PeerMemory::new(handle.0, bytes as u64).map_err(|_| MemoryError::Shortage)
    }

    fn life(&self, _: Held) -> Life {
        Life
    }

    fn run_beside(&self, work: Work) -> Result<(), Work> {
        BESIDE.lock().push_back(work);
        Ok(())
    }
}
