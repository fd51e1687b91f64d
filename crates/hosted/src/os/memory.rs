//! Shared memory with one writer: a memfd, sealed so that no second writable mapping can ever exist.
//!
//! The order matters: allocate, map for writing, then seal. `F_SEAL_FUTURE_WRITE` leaves the mapping that exists writable
//! and refuses every later one, also to whoever gets the descriptor, also through `/proc/self/fd`. `F_SEAL_SHRINK` stops
//! a writer from truncating under its readers (SIGBUS there).

use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    ptr::NonNull,
};

use feuerbird_zero_copy::{Region, Words, WriteRegion, sync::AtomicU64};
use rustix::{
    fs::{FallocateFlags, MemfdFlags, SealFlags, fallocate, fcntl_add_seals, ftruncate, memfd_create},
    io::Errno,
    mm::{Advice, madvise},
};

use super::mapping::Mapping;
pub use super::seal::{SealError, check_backed, check_sealed};

/// The seals of our own memory.
const SEALS: SealFlags =
    SealFlags::SHRINK.union(SealFlags::GROW).union(SealFlags::FUTURE_WRITE).union(SealFlags::SEAL);

/// From linux/mempolicy.h; libc lacks it.
const MPOL_MF_MOVE: libc::c_uint = 1 << 1;

/// How memory is to be made; the default allocates all of it, wherever the kernel likes, in small pages.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Options {
    /// Allocate pages when they are first touched. Then memory shortage is a SIGBUS in the writer *or a reader* instead
    /// of an error here, and readers who ask [`check_backed`] refuse it.
    pub sparse: bool,
    /// The NUMA node to allocate on.
    pub node: Option<u32>,
    /// Ask for transparent huge pages.
    pub huge_pages: bool,
}

/// What became of the wishes that the kernel may refuse. `None`: it was not asked for.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Granted {
    /// Placement on the node.
    pub node: Option<Result<(), Errno>>,
    /// Huge pages.
    pub huge_pages: Option<Result<(), Errno>>,
}

/// Memory that this process, and nobody else, writes.
#[derive(Debug)]
pub struct WriterMemory {
    mapping: Mapping,
    granted: Granted,
}

/// Memory that another process may be writing, mapped read-only.
#[derive(Debug)]
pub struct ReaderMemory {
    mapping: Mapping,
    /// Invariant: true only where the supervisor said that its writer belongs to the trusted base, which was vouched for
    /// when its capability was granted.
    is_vouched_for: bool,
}

impl WriterMemory {
    /// Makes zeroed memory, allocated and sealed, and the descriptor to send to readers.
    ///
    /// `bytes` is a multiple of 8, and not 0. `name` is what `/proc/<pid>/maps` shows.
    ///
    /// # Errors
    /// `InvalidInput` for an odd size; otherwise what the kernel says, above all `StorageFull` or `OutOfMemory`.
    ///
    /// # Cost
    /// Clears all pages: some 0.3 ms for a MiB. Make a pool once, not a memory per message.
    pub fn create(name: &str, bytes: usize) -> io::Result<(Self, OwnedFd)> {
        Self::create_with(name, bytes, Options::default())
    }

    /// As [`create`](Self::create), with wishes; [`granted`](Self::granted) says what became of them.
    ///
    /// # Errors
    /// As for [`create`](Self::create). A wish that is refused is not an error.
    pub fn create_with(name: &str, bytes: usize, options: Options) -> io::Result<(Self, OwnedFd)> {
        let size = memory_size(bytes)?;
        let fd = sealable(name)?;
        ftruncate(&fd, size)?;
        let mut memory = Self { mapping: Mapping::create(fd.as_fd(), bytes)?, granted: Granted::default() };
        // Placement before allocation: allocated pages that this process has not touched would not move any more.
        memory.granted = Granted {
            node: options.node.map(|node| memory.bind(node)),
            huge_pages: options.huge_pages.then(|| advise(&memory.mapping, Advice::LinuxHugepage)),
        };
        if !options.sparse {
            fallocate(&fd, FallocateFlags::empty(), 0, size)?;
        }
        // A forked child would be a second writer until it execs.
        advise(&memory.mapping, Advice::LinuxDontFork)?;
        fcntl_add_seals(&fd, SEALS)?;
        Ok((memory, fd))
    }

    /// What became of the wishes.
    pub fn granted(&self) -> Granted {
        self.granted
    }

    /// Moves the memory to a NUMA node, as far as the kernel can: pages that this process has touched, and those not
    /// allocated yet.
    ///
    /// # Errors
    /// What the kernel says; the memory stays usable.
    pub fn place_on(&self, node: u32) -> io::Result<()> {
        Ok(self.bind(node)?)
    }

    /// Where it starts; aligned to a page.
    pub fn base(&self) -> NonNull<u8> {
        self.mapping.base()
    }

    /// `mbind` with "prefer this node": binding strictly would turn a full node into SIGBUS.
    fn bind(&self, node: u32) -> Result<(), Errno> {
        let mut nodes = [0_u64; 16];
        let word = nodes.get_mut(node as usize / 64).ok_or(Errno::INVAL)?;
        *word = 1 << (node % 64);
        // SAFETY: the range is our own mapping, and the mask has the 1024 bits we claim (the kernel takes one less than
        // it is told, hence the + 1). Moving pages does not change what they hold.
        let result = unsafe {
            libc::syscall(
                libc::SYS_mbind,
                self.mapping.base().as_ptr(),
                self.mapping.bytes(),
                libc::MPOL_PREFERRED,
                nodes.as_ptr(),
                nodes.len() * 64 + 1,
                MPOL_MF_MOVE,
            )
        };
        if result == 0 { Ok(()) } else { Err(last_errno()) }
    }
}

impl ReaderMemory {
    /// Says that its writer belongs to the trusted base, which runs the loan discipline. Inside this crate only: the
    /// invariant of the field is the caller's duty.
    pub(crate) fn vouched_for(self) -> Self {
        Self { is_vouched_for: true, ..self }
    }

    /// Maps memory that somebody sent, after checking that it is sealed and of the agreed size.
    ///
    /// The descriptor may be closed afterwards. Every page is there when this returns: one that the peer left out (a hole, which
    /// [`check_backed`] cannot see beside blocks reserved beyond the end) is allocated now and not on the first read, where
    /// a shortage would be a SIGBUS; the seals keep new holes from being punched.
    ///
    /// # Errors
    /// [`MapError::Seal`]: the peer's fault. [`MapError::Os`]: the kernel has no room for the mapping, or for its holes.
    pub fn map(fd: BorrowedFd<'_>, bytes: usize) -> Result<Self, MapError> {
        memory_size(bytes).map_err(|_| MapError::Os(Errno::INVAL))?;
        check_sealed(fd, bytes)?;
        let mapping = Mapping::open(fd, bytes)
            .map_err(|error| MapError::Os(Errno::from_io_error(&error).unwrap_or(Errno::NOMEM)))?;
        advise(&mapping, Advice::LinuxPopulateRead).map_err(MapError::Os)?;
        Ok(Self { mapping, is_vouched_for: false })
    }

    /// Where it starts; aligned to a page.
    pub fn base(&self) -> NonNull<u8> {
        self.mapping.base()
    }
}

/// Tries what a hostile receiver would: to map somebody's memory for writing. The mapping is gone when this returns.
///
/// # Errors
/// What the kernel says; `PermissionDenied` for memory that is sealed.
pub fn try_mapping_writable(fd: BorrowedFd<'_>, bytes: usize) -> io::Result<()> {
    Mapping::create(fd, bytes).map(drop)
}

/// Why memory was not mapped.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum MapError {
    /// The kernel refused.
    #[error("memory could not be mapped ({0}); free memory or raise vm.max_map_count")]
    Os(Errno),
    /// The peer misbehaved.
    #[error(transparent)]
    Seal(#[from] SealError),
}

// SAFETY: the mapping's invariants: the same memory until drop, aligned to a page, and the shrink seal set before the
// value was handed out keeps it backed. Writing needs the one `WriterMemory`.
unsafe impl Region for WriterMemory {
    #[inline]
    fn words(&self) -> Words<'_> {
        Words::new(self.mapping.words())
    }

    #[inline]
    fn copy_out(&self, offset: usize, into: &mut [u8]) {
        self.mapping.copy_out(offset, into);
    }
}

// SAFETY: mapped writable in `create_with`, and the future-write seal allows no second writable mapping in the system;
// `WriterMemory` is not `Clone`, and its mapping is not inherited by forked children.
unsafe impl WriteRegion for WriterMemory {
    #[inline]
    fn writable(&self) -> &[AtomicU64] {
        self.mapping.words()
    }

    #[inline]
    fn copy_in(&self, offset: usize, from: &[u8]) {
        // SAFETY: a `WriterMemory` holds a mapping made by `Mapping::create`, which is writable.
        unsafe { self.mapping.copy_in(offset, from) }
    }
}

// SAFETY: the mapping's invariants; `map` has checked the shrink seal and the size. It is mapped read-only, so in this
// process nobody writes it except through the `WriterMemory` that made it, should that live here too. It is vouched for
// by the invariant of the field.
unsafe impl Region for ReaderMemory {
    #[inline]
    fn words(&self) -> Words<'_> {
        Words::new(self.mapping.words())
    }

    #[inline]
    fn is_vouched_for(&self) -> bool {
        self.is_vouched_for
    }

    #[inline]
    fn copy_out(&self, offset: usize, into: &mut [u8]) {
        self.mapping.copy_out(offset, into);
    }
}

/// A memfd that can be sealed, and never executed where the kernel (6.3) knows that.
fn sealable(name: &str) -> Result<OwnedFd, Errno> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    match memfd_create(name, flags | MemfdFlags::NOEXEC_SEAL) {
        Err(Errno::INVAL) => memfd_create(name, flags),
        result => result,
    }
}

fn memory_size(bytes: usize) -> io::Result<u64> {
    let valid = bytes > 0 && bytes.is_multiple_of(8) && isize::try_from(bytes).is_ok();
    if valid { Ok(bytes as u64) } else { Err(io::ErrorKind::InvalidInput.into()) }
}

fn advise(mapping: &Mapping, advice: Advice) -> Result<(), Errno> {
    // SAFETY: the range is our own mapping, and no advice given in this file changes what the memory holds.
    unsafe { madvise(mapping.base().as_ptr().cast(), mapping.bytes(), advice) }
}

fn last_errno() -> Errno {
    Errno::from_io_error(&io::Error::last_os_error()).unwrap_or(Errno::IO)
}
