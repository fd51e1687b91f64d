//! Which processors a thread may run on, and where it runs.

use std::{io, ptr};

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// Pins the calling thread to one processor.
///
/// # Errors
/// `InvalidInput` when there is no such processor, or it is not allowed to this process.
pub fn pin_current_thread(cpu: usize) -> io::Result<()> {
    if cpu >= CpuSet::MAX_CPU {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let mut set = CpuSet::new();
    set.set(cpu);
    Ok(sched_setaffinity(None, &set)?)
}

/// Where the calling thread runs at this moment: the processor, and the NUMA node that the kernel counts it to. Needs no file, so
/// a sandboxed program can ask as well.
///
/// # Errors
/// Where the kernel lacks the call.
pub fn here() -> io::Result<(u32, u32)> {
    let (mut cpu, mut node) = (0_u32, 0_u32);
    // SAFETY: the kernel writes the two integers, which are ours; the third argument has meant nothing since Linux 2.6.24.
    let result =
        unsafe { libc::syscall(libc::SYS_getcpu, &raw mut cpu, &raw mut node, ptr::null::<libc::c_void>()) };
    if result == 0 { Ok((cpu, node)) } else { Err(io::Error::last_os_error()) }
}

/// The processors the calling thread may run on, in ascending order.
///
/// # Errors
/// On machines with more processors than the kernel interface of 1024 can name.
pub fn allowed_cpus() -> io::Result<Vec<usize>> {
    let set = sched_getaffinity(None)?;
    Ok((0..CpuSet::MAX_CPU).filter(|&cpu| set.is_set(cpu)).collect())
}
