//! Where things lie in a shared pool. The one place that knows offsets.
//!
//! ```text
//! base   PoolHeader (128 bytes): what the owner says it laid out; a reader compares, and goes by its own copy
//! +128   class 0: count buffers of bytes each, then class 1, ...; every buffer starts at a multiple of 64
//! ```
//!
//! The return ring, in memory that the *reader* writes, is an array of words, one stamp per return.

use feuerbird_numa::NodeId;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::{LayoutError, Region, WriteRegion};

/// How many size classes a pool can have.
pub const MAX_CLASSES: usize = 4;

/// "FBpool" and the layout's version, in one word.
const MAGIC: u64 = u64::from_le_bytes(*b"FBpool\x00\x01");

/// Size of the header in front of the buffers, in bytes.
pub const HEADER_BYTES: usize = size_of::<PoolHeader>();

/// Buffers of one size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SizeClass {
    /// Size of a buffer in bytes, a multiple of 64.
    pub bytes: u32,
    /// How many there are.
    pub count: u32,
    /// The NUMA node whose memory they should lie in.
    pub node: Option<NodeId>,
}

impl SizeClass {
    /// `count` buffers of at least `bytes` bytes (rounded up to 64), on any node.
    pub fn new(bytes: u32, count: u32) -> Self {
        Self { bytes: bytes.next_multiple_of(64), count, node: None }
    }

    /// The same on one node.
    #[must_use]
    pub fn on(self, node: NodeId) -> Self {
        Self { node: Some(node), ..self }
    }
}

/// The number of a buffer in its pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BufferId(pub u32);

/// The first bytes of a pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct PoolHeader {
    magic: u64,
    classes: [ClassRecord; MAX_CLASSES],
    reserved: [u64; 7],
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
struct ClassRecord {
    bytes: u32,
    count: u32,
    /// The node plus one; 0 for any.
    node: u32,
    reserved: u32,
}

const _: () = {
    assert!(HEADER_BYTES == 128);
    assert!(core::mem::offset_of!(PoolHeader, magic) == 0);
    assert!(core::mem::offset_of!(PoolHeader, classes) == 8);
    assert!(size_of::<ClassRecord>() == 16);
};

/// One word of a return ring: the low half says which lap and place wrote it, the high half which buffer comes back.
///
/// Written by the reader with a release store; read by the owner with an acquire load. The stamp of place `i` is
/// `i + 1` truncated to 32 bits, so a word is new exactly when its low half is the one expected next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ReturnStamp(pub(crate) u64);

impl ReturnStamp {
    pub(crate) fn new(index: u64, id: BufferId) -> Self {
        Self(u64::from(Self::turn(index)) | (u64::from(id.0) << 32))
    }

    pub(crate) fn turn(index: u64) -> u32 {
        (index as u32).wrapping_add(1)
    }

    pub(crate) fn id(self) -> BufferId {
        BufferId((self.0 >> 32) as u32)
    }
}

/// A pool's geometry, in private memory. Both sides compute it from what they agreed on, not from the shared header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolLayout {
    base: usize,
    classes: [SizeClass; MAX_CLASSES],
    used: usize,
}

impl PoolLayout {
    /// A pool that starts at byte `base` of its region (rounded up to 64).
    ///
    /// # Errors
    /// [`LayoutError::BadClasses`] unless there are 1 to [`MAX_CLASSES`] classes, each with buffers, sizes never shrinking;
    /// [`LayoutError::TooLarge`] when it exceeds 2^40 bytes.
    pub fn new(base: usize, classes: &[SizeClass]) -> Result<Self, LayoutError> {
        let mut table = [SizeClass { bytes: 0, count: 0, node: None }; MAX_CLASSES];
        let good = |class: &SizeClass| class.bytes > 0 && class.bytes.is_multiple_of(64) && class.count > 0;
        if classes.is_empty()
            || classes.len() > MAX_CLASSES
            || !classes.iter().all(good)
            || !classes.is_sorted_by_key(|class| class.bytes)
        {
            return Err(LayoutError::BadClasses);
        }
        table[..classes.len()].copy_from_slice(classes);
        let total: u128 = classes.iter().map(|class| u128::from(class.bytes) * u128::from(class.count)).sum();
        let buffers: u64 = classes.iter().map(|class| u64::from(class.count)).sum();
        if total > 1 << 40 || base > 1 << 40 || buffers > u64::from(u32::MAX) {
            return Err(LayoutError::TooLarge);
        }
        Ok(Self { base: base.next_multiple_of(64), classes: table, used: classes.len() })
    }

    /// The classes, smallest buffers first.
    pub fn classes(&self) -> &[SizeClass] {
        &self.classes[..self.used]
    }

    /// How many buffers there are in all.
    pub fn buffers(&self) -> u32 {
        self.classes().iter().map(|class| class.count).sum()
    }

    /// Where the pool ends, in bytes from the region's start.
    pub fn end(&self) -> usize {
        self.classes()
            .iter()
            .fold(self.base + HEADER_BYTES, |end, class| end + class.bytes as usize * class.count as usize)
    }

    /// Where a buffer starts, in bytes from the region's start; `None` where there is no such buffer.
    #[inline]
    pub fn offset(&self, id: BufferId) -> Option<usize> {
        self.place(id).map(|(offset, _)| offset)
    }

    /// How many bytes a buffer holds; `None` where there is no such buffer.
    #[inline]
    pub fn capacity(&self, id: BufferId) -> Option<usize> {
        self.place(id).map(|(_, class)| self.classes[class].bytes as usize)
    }

    /// Start and class of a buffer.
    #[inline]
    pub(crate) fn place(&self, id: BufferId) -> Option<(usize, usize)> {
        let mut first = 0;
        let mut start = self.base + HEADER_BYTES;
        for (index, class) in self.classes().iter().enumerate() {
            if id.0 - first < class.count {
                return Some((start + (id.0 - first) as usize * class.bytes as usize, index));
            }
            first += class.count;
            start += class.count as usize * class.bytes as usize;
        }
        None
    }

    /// Writes the header. Once, by the owner, before a reader maps the region.
    pub fn write_header(&self, region: &impl WriteRegion) {
        region.copy_in(self.base, self.header().as_bytes());
    }

    /// Compares a peer's header with what was agreed on. Once, when a reader attaches; nothing is taken from it.
    ///
    /// # Errors
    /// [`LayoutError::TooLarge`] where the region is too small, [`LayoutError::PeerMisbehaved`] where the header differs.
    pub fn check(&self, region: &impl Region) -> Result<(), LayoutError> {
        if region.len() < self.end() {
            return Err(LayoutError::TooLarge);
        }
        let mut seen = [0; HEADER_BYTES];
        region.copy_out(self.base, &mut seen);
        if seen == self.header().as_bytes() { Ok(()) } else { Err(LayoutError::PeerMisbehaved) }
    }

    fn header(&self) -> PoolHeader {
        let mut classes = [ClassRecord::default(); MAX_CLASSES];
        for (record, class) in classes.iter_mut().zip(self.classes()) {
            let node = class.node.map_or(0, |node| u32::from(node.index()) + 1);
            *record = ClassRecord { bytes: class.bytes, count: class.count, node, reserved: 0 };
        }
        PoolHeader { magic: MAGIC, classes, reserved: [0; 7] }
    }
}
