//! The way into the kernel, whatever the kernel is.

use alloc::boxed::Box;

use feuerbird_abi::{Reply, Request, Status};
use feuerbird_channel::Home;
use feuerbird_numa::Placement;

/// A reply with what came beside it.
#[derive(Debug)]
pub struct Answer<T> {
    /// The reply; its status is `Ok`.
    pub reply: Reply,
    /// How many bytes of payload were written to the caller's buffer.
    pub payload: usize,
    /// A memory object or another handle, where the call gives one.
    pub handle: Option<T>,
}

/// Why a call through a gate failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GateError {
    /// The kernel said no. The payload length of a contract mismatch comes along.
    Refused(Status, usize),
    /// The payload, or what goes beside it, is more than one call carries: caller's mistake. Nothing was sent.
    TooLong,
    /// There is no room on the way for the call: too many handles are under way, or no memory is left. Nothing was sent; try
    /// again later.
    Shortage,
    /// The kernel, or the way to it, is gone.
    Closed,
    /// The kernel answered something that is no answer.
    Garbled,
}

/// Why another domain's memory was not mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemoryError {
    /// There is no room for it, or no memory where it has holes.
    Shortage,
    /// The peer's fault: it is not of the promised size, or could be shrunk or written behind our back.
    NotAsPromised,
}

/// Work to be done on a thread of its own.
pub type Work = Box<dyn FnOnce() + Send>;

/// One domain's way into its kernel: the system calls, and the memory that they need.
pub trait Gate: Send + Sync + 'static {
    /// How channels wait, wake and look after their peers here.
    type Home: Home;
    /// What names a memory object or a process on its way through the gate.
    type Handle: Send;

    /// Makes one system call and waits for its reply. A payload of the reply goes to `payload_out`.
    ///
    /// # Errors
    /// [`GateError`]; a status other than `Ok` is [`GateError::Refused`].
    fn call(
        &self,
        request: Request,
        payload: &[u8],
        handle: Option<Self::Handle>,
        payload_out: &mut [u8],
    ) -> Result<Answer<Self::Handle>, GateError>;

    /// Waits until all upcalls that came before the last reply were acted on ([`Domain::upcall`](crate::Domain::upcall)), but not for ever:
    /// not on the thread that acts, and a second at most where that does something else.
    fn catch_up(&self);

    /// How channels of this domain run.
    fn home(&self) -> Self::Home;

    /// Makes zeroed memory of exactly `bytes` bytes that only this domain can write, and a handle to pass it on.
    ///
    /// # Errors
    /// `None` where there is no memory for it.
    fn make_memory(&self, bytes: usize) -> Option<(<Self::Home as Home>::Writer, Self::Handle)>;

    /// Where memory belongs that the calling thread is going to use. `None` where the home knows of no nodes.
    fn placement(&self) -> Option<Placement> {
        None
    }

    /// As [`make_memory`](Self::make_memory), placed so where the home can: a full node is no reason to fail.
    ///
    /// # Errors
    /// As for [`make_memory`](Self::make_memory).
    fn make_memory_placed(
        &self,
        bytes: usize,
        placement: Option<Placement>,
    ) -> Option<(<Self::Home as Home>::Writer, Self::Handle)> {
        let _ = placement;
        self.make_memory(bytes)
    }

    /// Maps another domain's memory of `bytes` bytes for reading.
    ///
    /// All of it is there when this returns: reading it later cannot run short of memory.
    ///
    /// # Errors
    /// [`MemoryError`].
    fn map_memory(
        &self,
        handle: Self::Handle,
        bytes: usize,
    ) -> Result<<Self::Home as Home>::Reader, MemoryError>;

    /// What tells that another domain has ended.
    fn life(&self, handle: Self::Handle) -> <Self::Home as Home>::Life;

    /// Runs `work` on a thread of its own, which ends with it; at once, and without waiting for it. It may panic.
    ///
    /// # Errors
    /// The work itself, where there is no room for a thread.
    fn run_beside(&self, work: Work) -> Result<(), Work>;
}
