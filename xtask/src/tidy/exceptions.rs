//! The lists of `tidy`: where a rule does not hold, and why. A new entry is a decision for review.

/// A file, or a folder when the path ends with `/`, and why it is listed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Exception {
    pub(super) path: &'static str,
    pub(super) reason: &'static str,
}

impl Exception {
    pub(super) fn covers(&self, path: &str) -> bool {
        path == self.path || self.path.ends_with('/') && path.starts_with(self.path)
    }
}

const fn listed(path: &'static str, reason: &'static str) -> Exception {
    Exception { path, reason }
}

const HEAP_PROMISE: &str =
    "promises, as each caller must, that the two halves of a heap region are used as one writer's";

/// Where unsafe code may stand.
pub(super) const UNSAFE: &[Exception] = &[
    listed("crates/zero-copy/src/region.rs", "views of memory that somebody else writes"),
    listed("crates/zero-copy/src/heap.rs", "regions on the heap, for tests, loom and Miri"),
    listed("crates/zero-copy/src/pool.rs", "borrows loaned buffers in place"),
    listed("crates/zero-copy/tests/", HEAP_PROMISE),
    listed("crates/zero-copy/benches/", HEAP_PROMISE),
    listed("crates/channel/src/producer.rs", "finds the words of a lane, once"),
    listed("crates/channel/src/producer/claim.rs", "borrows loaned buffers in place"),
    listed("crates/channel/src/consumer.rs", "borrows a trusted producer's buffers in place"),
    listed(
        "crates/channel/src/validity.rs",
        "keeps the region beside its view, and reads one checked word through it",
    ),
    listed("crates/channel/src/view.rs", "finds a lane's words once instead of at every access"),
    listed("crates/channel/tests/", HEAP_PROMISE),
    listed("crates/channel/benches/", HEAP_PROMISE),
    listed("crates/serialization/tests/allocation.rs", "a global allocator that counts"),
    listed("crates/serialization/tests/common/guarded.rs", "maps pages that nobody may read"),
    listed("crates/serialization/tests/guard_pages.rs", "reads a page that nobody may read"),
    listed("crates/serialization/tests/racing_writer.rs", HEAP_PROMISE),
    listed("crates/formats/tests/allocation.rs", "a global allocator that counts"),
    listed("crates/formats/tests/channel.rs", HEAP_PROMISE),
    listed("crates/formats/tests/common/table.rs", "a FlatBuffers table, as `flatc` writes them"),
    listed("crates/hosted/src/os/", "system calls and mappings"),
    listed("crates/hosted/tests/", "calls the kernel past the sandbox and the seals, as an attacker would"),
    listed(
        "kernel/src/boot.rs",
        "promises what of memory is whose, once, and silences the old interrupt controllers",
    ),
    listed("kernel/src/console.rs", "ports of the serial line and of the exit device"),
    listed("kernel/src/cpu/", "the processor: entry paths, tables, control registers, the APIC, other cores"),
    listed("kernel/src/domain/current.rs", "is called by the entry paths by name"),
    listed("kernel/src/domain/lock.rs", "the one lock, which the entry paths give back"),
    listed("kernel/src/domain/run.rs", "leaves to ring 3, and loads page tables"),
    listed("kernel/src/memory/direct.rs", "all physical memory, read and written as frames"),
    listed("kernel/src/memory/frames.rs", "names frames out of the memory map"),
    listed("kernel/src/memory/heap.rs", "the allocator"),
    listed("kernel/src/memory/layout.rs", "the linker's symbols"),
    listed("kernel/src/memory/paging.rs", "names frames out of page tables"),
    listed("kernel/programs/src/gate.rs", "system calls, and the page that goes with them"),
    listed("kernel/programs/src/fault.rs", "the way back from an exception, and what makes one"),
    listed("kernel/programs/src/events.rs", "the way back from an event"),
    listed(
        "kernel/programs/src/os/switch.rs",
        "from one thread's registers to another's, and the way back from a handler",
    ),
    listed("kernel/programs/src/transfer.rs", "calls with messages in registers and in the gate page"),
    listed("kernel/programs/src/heap.rs", "the allocator of the LibOS"),
    listed("kernel/programs/src/memory.rs", "memory that the kernel has mapped, as regions with one writer"),
    listed("kernel/programs/src/tests/attack.rs", "does what a domain must not"),
    listed("kernel/programs/src/tests/float.rs", "looks at the vector registers"),
    listed(
        "kernel/programs/src/tests/policies/running.rs",
        "computes in all registers while it is preempted",
    ),
    listed("kernel/programs/src/tests/transfers.rs", "looks at what a call leaves in registers"),
    listed("kernel/programs/src/tests/space.rs", "touches pages as their mapping changes"),
    listed("kernel/programs/src/child.rs", "reads the program file, which has no writer"),
    listed("tests/tests/quiet.rs", "a global allocator that counts"),
    listed("benches/src/raw.rs", "the limit to compare with: a ring without any protection"),
    listed("benches/src/groups/serialization/flat.rs", "the traits of FlatBuffers are unsafe to implement"),
];

/// Files of more than 600 lines.
pub(super) const LONG: &[Exception] = &[];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_exception_has_a_reason() {
        for entry in UNSAFE.iter().chain(LONG) {
            assert!(entry.reason.len() > 10, "{}", entry.path);
        }
    }

    #[test]
    fn a_folder_covers_what_is_in_it_and_a_file_only_itself() {
        assert!(listed("a/b/", "").covers("a/b/c.rs"));
        assert!(listed("a/b.rs", "").covers("a/b.rs"));
        assert!(!listed("a/b", "").covers("a/bc.rs"));
    }
}
