//! What a capability allows: rights, trust and badge.

use core::fmt;

bitflags::bitflags! {
    /// What the holder of a capability may do with its object. The numbers are part of the boundary between domain and
    /// kernel: a bit once given never changes its meaning.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct Rights: u32 {
        /// Send messages to it, signal it, give to it.
        const SEND = 1 << 0;
        /// Receive messages or signals from it.
        const RECEIVE = 1 << 1;
        /// Map its memory for reading.
        const MAP_READ = 1 << 2;
        /// Map its memory for writing.
        const MAP_WRITE = 1 << 3;
        /// Map its memory for execution.
        const EXECUTE = 1 << 4;
        /// Derive from it, or move it, into another domain's space.
        const GRANT = 1 << 5;
        /// Derive from it, or copy it, within the holder's own space.
        const DERIVE = 1 << 6;
        /// Revoke what was derived from it.
        const REVOKE = 1 << 7;
        /// Read what it is.
        const INSPECT = 1 << 8;
        /// Give up time to it, or hand it a time slice.
        const YIELD = 1 << 9;
        /// Start, stop and configure its object.
        const CONTROL = 1 << 10;
    }
}

/// How far the holder is trusted: four bits, 0x0 to 0xF, only ever lowered by derivation.
///
/// 0x0 to 0x7 is user code, 0x8 to 0xD a LibOS, 0xE and 0xF the kernel and its trusted base.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Trust(u8);

/// The three bands of trust.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Band {
    /// 0x0 to 0x7.
    User,
    /// 0x8 to 0xD.
    LibOs,
    /// 0xE and 0xF.
    Kernel,
}

impl Trust {
    /// No trust at all, the lowest level of user code.
    pub const USER: Self = Self(0x0);
    /// The highest level of user code.
    pub const USER_MAX: Self = Self(0x7);
    /// The lowest level of a LibOS.
    pub const LIBOS: Self = Self(0x8);
    /// The highest level of a LibOS.
    pub const LIBOS_MAX: Self = Self(0xD);
    /// The trusted base, the lowest level of the kernel's band.
    pub const BASE: Self = Self(0xE);
    /// The kernel itself, the highest level.
    pub const KERNEL: Self = Self(0xF);

    /// The trust of this level, if it is 0x0 to 0xF.
    pub const fn new(level: u8) -> Option<Self> {
        if level <= 0xF { Some(Self(level)) } else { None }
    }

    /// The level, 0x0 to 0xF.
    pub const fn level(self) -> u8 {
        self.0
    }

    /// The lower of two trusts.
    #[must_use]
    pub const fn min(self, other: Self) -> Self {
        if self.0 <= other.0 { self } else { other }
    }

    /// The band this level is in.
    pub const fn band(self) -> Band {
        match self.0 {
            0x0..=0x7 => Band::User,
            0x8..=0xD => Band::LibOs,
            _ => Band::Kernel,
        }
    }
}

impl fmt::Display for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#X}", self.0)
    }
}

/// A word that the object's owner reads on whatever arrives through a capability, so that it can tell holders apart.
///
/// 0 means "no badge". A badge is given once: a capability derived from a badged one keeps its badge.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Badge(pub u64);

impl Badge {
    /// No badge.
    pub const NONE: Self = Self(0);

    /// Whether this is a badge at all.
    pub const fn is_some(self) -> bool {
        self.0 != 0
    }
}
