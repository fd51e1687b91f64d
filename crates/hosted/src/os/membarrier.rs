//! A fence that one thread executes on behalf of all others: the dear half of an asymmetric fence.
//!
//! The side on the hot path then only has to stop the compiler (`feuerbird_zero_copy::sync::light_fence`). Works between
//! processes, for those that registered.

use std::io;

use rustix::thread::{MembarrierCommand, membarrier, membarrier_query};

/// Whether this kernel has it. Both sides must agree: a side without it has to use full fences.
pub fn supported() -> bool {
    let query = membarrier_query();
    query.contains_command(MembarrierCommand::RegisterGlobalExpedited)
        && query.contains_command(MembarrierCommand::GlobalExpedited)
}

/// Registers this process, so that others' [`heavy_barrier`] reaches its threads. Before it uses light fences.
///
/// # Errors
/// `InvalidInput` where the kernel does not know it.
pub fn register() -> io::Result<()> {
    Ok(membarrier(MembarrierCommand::RegisterGlobalExpedited)?)
}

/// Makes every running thread of every registered process pass a full memory barrier before it returns.
///
/// # Errors
/// As for [`register`].
///
/// # Cost
/// An interrupt to each processor that runs such a thread: microseconds. For those who are about to sleep.
pub fn heavy_barrier() -> io::Result<()> {
    Ok(membarrier(MembarrierCommand::GlobalExpedited)?)
}
