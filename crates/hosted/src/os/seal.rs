//! Is this descriptor memory that only its maker can write, and that cannot shrink?

use std::os::fd::BorrowedFd;

use rustix::{
    fs::{FileType, SealFlags, Stat, fcntl_get_seals, fstat},
    io::Errno,
};

/// What a peer's memory has to carry: no shrinking (a reader would die of SIGBUS), no growing, no further writer, and no
/// change to these seals. `F_SEAL_WRITE` (nobody writes any more) serves in the place of `F_SEAL_FUTURE_WRITE`.
const FIXED: SealFlags = SealFlags::SHRINK.union(SealFlags::GROW).union(SealFlags::SEAL);

/// Why a descriptor is not memory with one writer. The peer's doing, all of it.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum SealError {
    /// It has no seals to ask for: not memory at all, or a file.
    #[error("peer sent a descriptor that is not sealable memory; have it send a memfd")]
    NotMemory,
    /// A required seal is missing.
    #[error(
        "peer sent memory without the seals shrink, grow, future-write and seal; have it seal before sending"
    )]
    Unsealed,
    /// It is of another size than agreed.
    #[error("peer sent memory of {actual} bytes where {expected} were agreed")]
    Size {
        /// What was agreed.
        expected: u64,
        /// What it is.
        actual: u64,
    },
    /// It has holes: reading one allocates memory in the reader's name, and fails with SIGBUS when there is none.
    #[error("peer sent memory with holes; have it allocate up front")]
    Sparse,
}

/// Checks that nobody but the maker's existing mapping can write this memory, and that it has exactly `bytes` bytes.
///
/// After `Ok` nothing of it can change: the seals are sealed.
///
/// # Errors
/// Any [`SealError`] but [`SealError::Sparse`], for which there is [`check_backed`].
pub fn check_sealed(fd: BorrowedFd<'_>, bytes: usize) -> Result<(), SealError> {
    // The seals first: only when they are on does the size stay what it is.
    let seals = fcntl_get_seals(fd).map_err(|_| SealError::NotMemory)?;
    if !seals.contains(FIXED) || !seals.intersects(SealFlags::FUTURE_WRITE | SealFlags::WRITE) {
        return Err(SealError::Unsealed);
    }
    let stat = regular(fd)?;
    let (expected, actual) = (bytes as u64, u64::try_from(stat.st_size).unwrap_or(0));
    if expected == actual { Ok(()) } else { Err(SealError::Size { expected, actual }) }
}

/// Checks that sealed memory has no holes, so that reading it allocates nothing.
///
/// To be asked after [`check_sealed`]: the write seals also stop the punching of new holes.
///
/// # Errors
/// [`SealError::Sparse`], or [`SealError::NotMemory`].
pub fn check_backed(fd: BorrowedFd<'_>) -> Result<(), SealError> {
    let stat = regular(fd)?;
    // st_blocks counts units of 512 bytes whatever the block size is.
    if stat.st_blocks.saturating_mul(512) >= stat.st_size { Ok(()) } else { Err(SealError::Sparse) }
}

fn regular(fd: BorrowedFd<'_>) -> Result<Stat, SealError> {
    let stat = fstat(fd).map_err(|_: Errno| SealError::NotMemory)?;
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => Ok(stat),
        _ => Err(SealError::NotMemory),
    }
}
