//! Ports of the machine, for domains that may use them.

use x86_64::instructions::port::Port;

/// How much is read or written at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Width {
    One,
    Two,
    Four,
}

impl Width {
    pub(crate) fn from_bytes(bytes: u64) -> Option<Self> {
        match bytes {
            1 => Some(Self::One),
            2 => Some(Self::Two),
            4 => Some(Self::Four),
            _ => None,
        }
    }
}

/// Ports that are nobody's but the kernel's: `start..end`. The old interrupt controllers, which stay silent; the end of the emulator; the
/// serial line.
pub(crate) const KERNELS: [(u64, u64); 4] = [(0x20, 0x22), (0xa0, 0xa2), (0xf4, 0xf8), (0x3f8, 0x400)];

/// How many ports there are.
pub(crate) const COUNT: u64 = 0x1_0000;

/// Reads a port that the kernel does not use itself.
pub(crate) fn read(port: u16, width: Width) -> u32 {
    // SAFETY: the devices behind the ports that are handed out are their holders' to use or misuse. That none of them writes
    // memory of others is what the machine promises without bus masters; see ARCHITECTURE.md, "What is not defended".
    unsafe {
        match width {
            Width::One => Port::<u8>::new(port).read().into(),
            Width::Two => Port::<u16>::new(port).read().into(),
            Width::Four => Port::<u32>::new(port).read(),
        }
    }
}

/// Writes a port that the kernel does not use itself.
pub(crate) fn write(port: u16, width: Width, value: u32) {
    // SAFETY: as in `read`.
    unsafe {
        match width {
            Width::One => Port::<u8>::new(port).write(value as u8),
            Width::Two => Port::<u16>::new(port).write(value as u16),
            Width::Four => Port::<u32>::new(port).write(value),
        }
    }
}
