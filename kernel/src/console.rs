//! The serial line, the words of a panic, and the end of the machine.

use core::fmt::{self, Write};
use core::panic::PanicInfo;
use core::sync::atomic::{AtomicBool, Ordering};

use spin::Mutex;
use x86_64::instructions::port::Port;

/// The first serial port of a PC.
const COM1: u16 = 0x3f8;

/// QEMU's isa-debug-exit, where `cargo xtask qemu` puts it.
const EXIT_PORT: u16 = 0xf4;

/// How the machine's run ended. QEMU exits with twice the number plus one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Exit {
    /// All went well.
    Success = 0x10,
    /// A test failed, or the root domain said so.
    Failure = 0x11,
    /// The kernel broke one of its own promises.
    Panic = 0x12,
}

/// A 16550 at a port, polled.
struct Serial {
    data: Port<u8>,
    line_status: Port<u8>,
}

impl Serial {
    const fn new(base: u16) -> Self {
        Self { data: Port::new(base), line_status: Port::new(base + 5) }
    }

    fn write_byte(&mut self, byte: u8) {
        // SAFETY: these two ports are the serial line's alone, and writing to it changes no memory.
        unsafe {
            while self.line_status.read() & 0x20 == 0 {
                core::hint::spin_loop();
            }
            self.data.write(byte);
        }
    }

    fn read_byte(&mut self) -> Option<u8> {
        // SAFETY: as in `write_byte`: reading takes a byte from the line and changes no memory.
        unsafe { (self.line_status.read() & 1 != 0).then(|| self.data.read()) }
    }
}

impl Write for Serial {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            if byte == b'\n' {
                self.write_byte(b'\r');
            }
            self.write_byte(byte);
        }
        Ok(())
    }
}

/// Interrupts are off wherever the kernel prints, so that its holder goes on.
static SERIAL: Mutex<Serial> = Mutex::new(Serial::new(COM1));

/// Writes to the serial line.
///
/// # Locking
/// Takes the serial line's lock for the length of the text.
pub(crate) fn print(arguments: fmt::Arguments<'_>) {
    // The serial line takes everything.
    let _ = SERIAL.lock().write_fmt(arguments);
}

/// Takes a byte that has come over the serial line.
pub(crate) fn read() -> Option<u8> {
    SERIAL.lock().read_byte()
}

/// Writes bytes that a domain chose: whatever is not plain text is shown as a dot.
pub(crate) fn print_foreign(bytes: &[u8]) {
    let mut serial = SERIAL.lock();
    for byte in bytes {
        let shown = matches!(byte, b'\n' | b' '..=b'~');
        let _ = serial.write_char(if shown { char::from(*byte) } else { '.' });
    }
}

macro_rules! println {
    ($($part:tt)*) => { $crate::console::print(format_args!("{}\n", format_args!($($part)*))) };
}
pub(crate) use println;

/// Ends the machine. Where there is no exit device, its cores stop.
pub(crate) fn exit(how: Exit) -> ! {
    // SAFETY: the port ends the emulator, or is nothing.
    unsafe { Port::new(EXIT_PORT).write(how as u32) };
    loop {
        x86_64::instructions::interrupts::disable();
        x86_64::instructions::hlt();
    }
}

/// The first core that panics says why; the line may be held by a core that will never let go, so it is taken by force.
#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    static PANICKING: AtomicBool = AtomicBool::new(false);
    x86_64::instructions::interrupts::disable();
    if PANICKING.swap(true, Ordering::SeqCst) {
        loop {
            x86_64::instructions::hlt();
        }
    }
    let mut serial = Serial::new(COM1);
    let place = info.location().map_or(("nowhere", 0), |at| (at.file(), at.line()));
    let _ = writeln!(serial, "\nKERNEL PANIC at {}:{}: {}", place.0, place.1, info.message());
    exit(Exit::Panic)
}
