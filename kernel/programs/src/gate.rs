//! System calls, and the page through which what is no register goes.
//!
//! # Invariant
//! The kernel maps the gate page at [`GATE_ADDRESS`] before the domain starts and never takes it away; a domain has one thread, or
//! [others](crate::os) that are not preempted while they call, so nobody else uses the page, and the kernel only while a call is in it.

use core::arch::{asm, global_asm};
use core::fmt::{self, Write};
use core::panic::PanicInfo;

use feuerbird_abi::{Call, GATE_ADDRESS, GATE_UPCALL, MachineCall, PAYLOAD_BYTES, Status, Upcall};
use zerocopy::FromBytes;

global_asm!(".global start", "start:", "xor ebp, ebp", "and rsp, -16", "call domain_main", "ud2",);

global_asm!(".global path_begins", "path_begins:", "ret");

/// Where the first instructions go.
#[unsafe(no_mangle)]
extern "sysv64" fn domain_main(argument: u64, file: u64, bytes: u64) -> ! {
    crate::role::main(argument, file, bytes)
}

/// What memory is named by: a handle's number, or the slot of a capability for frames; 0 is none.
pub(crate) type HandleNumber = u64;

/// What came back.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Answer {
    pub(crate) values: [u64; 6],
    /// The length of the payload in the gate page.
    pub(crate) payload: usize,
    pub(crate) handle: HandleNumber,
}

/// A refusal, with its number where the number has no name.
pub(crate) type Result<T = Answer> = core::result::Result<T, Status>;

/// One system call, with whatever numbers: what comes back, with its status.
#[inline(always)]
pub(crate) fn raw(number: u64, arguments: [u64; 6], payload: u64, handle: u64) -> (u64, Answer) {
    let [mut a, mut b, mut c, mut d, mut e, mut f] = arguments;
    let (mut status, mut length, mut given) = (number, payload, handle);
    // SAFETY: the kernel changes no memory of this domain but the gate page, which is only used by this module; all registers
    // that it may change are named.
    unsafe {
        asm!("syscall", inout("rax") status, inout("rdi") a, inout("rsi") b, inout("rdx") c, inout("r10") d,
            inout("r8") e, inout("r9") f, inout("r12") length, inout("r13") given, out("rcx") _, out("r11") _,
            options(nostack));
    }
    let payload = (length as usize).min(PAYLOAD_BYTES);
    (status, Answer { values: [a, b, c, d, e, f], payload, handle: given })
}

/// The call that does nothing, with nothing around it.
#[inline(always)]
pub(crate) fn null() {
    // SAFETY: as in `raw`; all registers that the kernel may change are named.
    unsafe {
        asm!("syscall", inout("rax") Call::Null as u64 => _, out("rdi") _, out("rsi") _, out("rdx") _, out("r10") _,
            out("r8") _, out("r9") _, inout("r12") 0u64 => _, inout("r13") 0u64 => _, out("rcx") _, out("r11") _,
            options(nostack));
    }
}

fn checked((status, answer): (u64, Answer)) -> Result {
    match u32::try_from(status).ok().and_then(Status::from_number) {
        Some(Status::Ok) => Ok(answer),
        Some(refusal) => Err(refusal),
        None => panic!("the kernel answered with the unknown status {status}"),
    }
}

/// One system call with payload and handle: what comes back, with its status.
pub(crate) fn request(
    number: u64,
    arguments: [u64; 6],
    payload: &[u8],
    handle: HandleNumber,
) -> (u64, Answer) {
    write_page(payload);
    raw(number, arguments, payload.len() as u64, handle)
}

/// A call of the exokernel's, with payload and handle.
pub(crate) fn call_with(call: Call, arguments: &[u64], payload: &[u8], handle: HandleNumber) -> Result {
    checked(request(call as u64, six(arguments), payload, handle))
}

/// A call of the exokernel's.
pub(crate) fn call(call: Call, arguments: &[u64]) -> Result {
    call_with(call, arguments, &[], 0)
}

/// A call of the machine's.
pub(crate) fn machine(call: MachineCall, arguments: &[u64]) -> Result {
    checked(raw(call as u64, six(arguments), 0, 0))
}

/// A call of the machine's, with payload.
pub(crate) fn machine_with(call: MachineCall, arguments: &[u64], payload: &[u8]) -> Result {
    write_page(payload);
    checked(raw(call as u64, six(arguments), payload.len() as u64, 0))
}

/// Waits for an upcall until a time; `None` where the time came first.
pub(crate) fn wait(deadline_ns: u64) -> Result<Option<(Upcall, HandleNumber)>> {
    let answer = machine(MachineCall::Wait, &[deadline_ns])?;
    if answer.values[0] == 0 {
        return Ok(None);
    }
    let mut bytes = [0; size_of::<Upcall>()];
    read_page(GATE_UPCALL, &mut bytes);
    let upcall = Upcall::read_from_bytes(&bytes).map_err(|_| Status::BadArgument)?;
    Ok(Some((upcall, answer.handle)))
}

/// Nanoseconds of the monotonic clock.
pub(crate) fn now_ns() -> u64 {
    machine(MachineCall::Clock, &[]).map_or(0, |answer| answer.values[0])
}

/// The processor's own counter.
pub(crate) fn counter() -> u64 {
    // SAFETY: every x86-64 processor has it, and the kernel lets ring 3 read it.
    unsafe { core::arch::x86_64::_rdtsc() }
}

/// Says to who traces this program (`cargo xtask bench kernel --account`) which path is measured next, and between which two of the
/// next readings of the counter, from 0, it lies. Nothing happens: a debugger stops at it.
#[inline(always)]
pub(crate) fn path_begins(name: &str, first: u64, last: u64) {
    // SAFETY: it returns at once and has changed nothing, so that what is measured is the same with it and without.
    unsafe {
        asm!("call path_begins", in("rdi") name.as_ptr(), in("rsi") name.len(), in("rdx") first, in("rcx") last,
            options(preserves_flags));
    }
}

/// Waits for so many nanoseconds; what it is told meanwhile is forgotten.
pub(crate) fn sleep(nanoseconds: u64) -> Result<()> {
    let deadline = now_ns() + nanoseconds;
    while wait(deadline)?.is_some() {}
    Ok(())
}

/// How long who waits for another domain looks the other way before it calls: the kernel has one lock, and who calls without end
/// keeps others from it.
const PAUSE: u32 = 300;

/// Gives the slice to the core's next domain: what is waited for may need this core.
pub(crate) fn give_way() {
    (0..PAUSE).for_each(|count| _ = core::hint::black_box(count));
    raw(MachineCall::Yield as u64, [0; 6], 0, 0);
}

/// The payload that came with the last answer.
pub(crate) fn payload(answer: &Answer, bytes: &mut [u8]) -> usize {
    let length = answer.payload.min(bytes.len());
    read_page(0, &mut bytes[..length]);
    length
}

/// Ends the machine.
pub(crate) fn power_off(status: u64) -> ! {
    let _ = machine(MachineCall::PowerOff, &[status]);
    exit()
}

/// Ends this domain.
pub(crate) fn exit() -> ! {
    let _ = machine(MachineCall::Exit, &[]);
    unreachable!("a domain does not come back from its end")
}

fn six(arguments: &[u64]) -> [u64; 6] {
    let mut six = [0; 6];
    six[..arguments.len()].copy_from_slice(arguments);
    six
}

fn write_page(bytes: &[u8]) {
    let page = core::ptr::with_exposed_provenance_mut::<u8>(GATE_ADDRESS as usize);
    assert!(bytes.len() <= PAYLOAD_BYTES, "a payload is at most {PAYLOAD_BYTES} bytes");
    // SAFETY: by the invariant; it is in the page, and no reference into the page is ever made.
    unsafe { core::ptr::copy_nonoverlapping(bytes.as_ptr(), page, bytes.len()) }
}

fn read_page(offset: usize, bytes: &mut [u8]) {
    let page = core::ptr::with_exposed_provenance::<u8>(GATE_ADDRESS as usize + offset);
    assert!(offset + bytes.len() <= 4096, "the gate is one page");
    // SAFETY: as in `write_page`.
    unsafe { core::ptr::copy_nonoverlapping(page, bytes.as_mut_ptr(), bytes.len()) }
}

/// Text on its way to the serial line, a line at a time so that domains do not mix theirs.
struct Line {
    bytes: [u8; PAYLOAD_BYTES],
    length: usize,
}

impl Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let taken = text.len().min(PAYLOAD_BYTES - self.length);
        self.bytes[self.length..self.length + taken].copy_from_slice(&text.as_bytes()[..taken]);
        self.length += taken;
        Ok(())
    }
}

/// Writes to the serial line.
pub(crate) fn print(arguments: fmt::Arguments<'_>) {
    let mut line = Line { bytes: [0; PAYLOAD_BYTES], length: 0 };
    // A line that is too long is cut.
    let _ = line.write_fmt(arguments);
    write_page(&line.bytes[..line.length]);
    raw(MachineCall::Print as u64, [0; 6], line.length as u64, 0);
}

macro_rules! println {
    ($($part:tt)*) => { $crate::gate::print(format_args!("{}\n", format_args!($($part)*))) };
}
pub(crate) use println;

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    let place = info.location().map_or(("nowhere", 0), |at| (at.file(), at.line()));
    println!("DOMAIN PANIC at {}:{}: {}", place.0, place.1, info.message());
    power_off(1)
}
