//! What domains and the bootable kernel say to each other about memory: lists of changes to page tables, and which frames are free.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// One run of pages in the list of [`MachineCall::EditSpace`](crate::MachineCall::EditSpace).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Edit {
    /// Where it begins: a page's address.
    pub address: u64,
    /// What is to be mapped: a handle, or the slot of a capability for frames; 0 for any other action.
    pub memory: u64,
    /// The first page of that memory; 0 for any other action.
    pub first: u32,
    /// How many pages, at least 1.
    pub pages: u16,
    /// An [`EditAction`].
    pub action: u16,
}

/// What is done with a run of pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u16)]
pub enum EditAction {
    /// Whatever is mapped there goes.
    Unmap = 0,
    /// Memory is mapped for reading. All of the run must be empty.
    MapRead = 1,
    /// As [`MapRead`](Self::MapRead), for writing too, by the memory's one writer.
    MapWrite = 2,
    /// As [`MapRead`](Self::MapRead), for executing too, where nobody may write it.
    MapExecute = 3,
    /// What is mapped can only be read from now on. All of the run must be mapped.
    ProtectRead = 4,
    /// As [`ProtectRead`](Self::ProtectRead), and written, by the memory's one writer.
    ProtectWrite = 5,
    /// As [`ProtectRead`](Self::ProtectRead), and executed, where nobody may write it.
    ProtectExecute = 6,
}

impl EditAction {
    /// Every action, in the order of its number.
    pub const ALL: [Self; 7] = [
        Self::Unmap,
        Self::MapRead,
        Self::MapWrite,
        Self::MapExecute,
        Self::ProtectRead,
        Self::ProtectWrite,
        Self::ProtectExecute,
    ];

    /// The action with this number, if there is one.
    pub fn from_number(number: u16) -> Option<Self> {
        Self::ALL.get(usize::from(number)).copied()
    }
}

/// How many pages one list may name.
pub const EDIT_PAGES: u32 = 1024;

/// The pages that [`MachineCall::FreeFrames`](crate::MachineCall::FreeFrames) gives for reading, as 64-bit words that the kernel
/// changes at any time: what is free may be another's a moment later.
pub mod free_map {
    /// The word that says how many frames there are, used and free; their names are the numbers below that.
    pub const FRAMES: usize = 0;
    /// The first of [`NODES`] words that say how many frames of each node are free.
    pub const FREE: usize = 8;
    /// How many nodes are told apart; memory of others counts as the last one's.
    pub const NODES: usize = 8;
    /// From here on pairs of words: so many frames in a row, beginning with frame 0, and their node. No frames: the end.
    pub const RUNS: usize = 64;
    /// Where the bitmap begins, in words: the second page. A bit for each frame, 1 where it is free.
    pub const WORDS_BEFORE_BITMAP: usize = 512;
}
