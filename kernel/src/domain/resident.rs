//! One domain: its address space, what it holds of the machine, and where it stands.

use feuerbird_abi::{Access, Fault, GATE_ADDRESS, GATE_FAULT, GATE_MESSAGE, Status};
use feuerbird_exokernel::DomainId;
use zerocopy::IntoBytes;

use crate::cpu::state::{FloatState, Registers};
use crate::memory::frames::{Chains, Wanted};
use crate::memory::object::{self, KERNEL, Memory};
use crate::memory::paging::{AddressSpace, Flags, KernelSpace, MapError};

/// How many handles a domain can have.
const HANDLES: usize = 64;

/// What a domain does. The short ways write two of these: a number of 32 bits, and what it holds at [`DEADLINE`](Self::DEADLINE).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum State {
    /// Nobody has started it yet.
    New = 0,
    /// It runs, or will at its next slice.
    Ready = Self::READY,
    /// It waits for an upcall, until then.
    Waiting { deadline_ns: u64 } = 2,
    /// It waits for the answer to a system call.
    Calling = 3,
    /// It waits in a transfer or for a notification, until then.
    Transferring { deadline_ns: u64 } = Self::TRANSFERRING,
}

impl State {
    pub(crate) const READY: u32 = 1;
    pub(crate) const TRANSFERRING: u32 = 4;
    /// Behind the number, by the layout that `repr(u32)` promises.
    pub(crate) const DEADLINE: usize = 8;
}

/// Where a domain's exceptions go, and on which stack. The entry is 0 where the kernel ends it instead.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub(crate) struct FaultHandler {
    pub(crate) entry: u64,
    pub(crate) stack: u64,
}

/// What a domain has mapped: its page tables. They go with the domain, or later when a core still uses them.
#[derive(Debug)]
pub(crate) struct Mapped {
    space: AddressSpace,
}

/// One domain.
#[derive(Debug)]
pub(crate) struct Resident {
    pub(crate) domain: DomainId,
    pub(crate) state: State,
    /// The core whose slices it has.
    pub(crate) core: usize,
    /// What it has in its registers, while they are put away.
    pub(crate) registers: Registers,
    /// Whether the registers are here, and not on a core's stack. The answer to a call that waits is written here, so a domain
    /// that waits is put away at once.
    pub(crate) is_put_away: bool,
    /// As the registers, while the domain is no core's current one.
    pub(crate) float: FloatState,
    pub(crate) mapped: Mapped,
    /// The physical address of its tables, and where parts of its gate page are in ring 0: for the short ways.
    pub(crate) root: u64,
    pub(crate) gate_message: usize,
    pub(crate) gate_fault: usize,
    /// It was told something that it has not heard.
    pub(crate) is_told: bool,
    /// Its gate page.
    pub(crate) gate: Memory,
    /// Its validity words.
    pub(crate) words: Memory,
    pub(crate) fault_handler: FaultHandler,
    /// What has come for it and was not delivered: see [`events`](crate::domain::events).
    pub(crate) events: u64,
    /// It was told that its slice ends, and has not given up its core since.
    pub(crate) is_warned: bool,
    /// Slices that it loses because it overstayed, and how often in a row it did.
    pub(crate) owes: u32,
    pub(crate) overstays: u32,
    handles: [Option<Memory>; HANDLES],
}

impl Resident {
    /// A domain with a gate page and validity words, and nothing else.
    ///
    /// # Errors
    /// [`Status::ObjectsFull`], [`Status::QuotaExceeded`].
    pub(crate) fn new(domain: DomainId, core: usize, kernel: &KernelSpace) -> Result<Self, Status> {
        let gate = Memory::new(domain, 1, Wanted::Any)?;
        let words = Memory::new(domain, 1, Wanted::Any)?;
        words.set_writer(KERNEL);
        let mut mapped = Mapped { space: AddressSpace::new(domain, kernel).map_err(status)? };
        if let Err(status) = mapped.map(&gate, GATE_ADDRESS, Access::Write) {
            mapped.space.stop_paying();
            mapped.end();
            return Err(status);
        }
        let handles = [const { None }; HANDLES];
        let (registers, float) = (Registers::USER, FloatState::FRESH);
        let page = gate.first();
        let (gate_message, gate_fault) = (page.address_of(GATE_MESSAGE), page.address_of(GATE_FAULT));
        Ok(Self {
            domain,
            state: State::New,
            core,
            registers,
            is_put_away: true,
            float,
            root: mapped.root(),
            mapped,
            gate_message,
            gate_fault,
            is_told: false,
            gate,
            words,
            fault_handler: FaultHandler::default(),
            events: 0,
            is_warned: false,
            owes: 0,
            overstays: 0,
            handles,
        })
    }

    /// Keeps the registers here from now on.
    pub(crate) fn put_away(&mut self, registers: &Registers) {
        self.registers = *registers;
        self.is_put_away = true;
    }

    /// Where its exceptions go, and on which stack.
    pub(crate) fn fault_handler(&self) -> Option<(u64, u64)> {
        let FaultHandler { entry, stack } = self.fault_handler;
        (entry != 0).then_some((entry, stack))
    }

    /// Lets the domain handle an exception of its own, if it wants to and is not at it already.
    pub(crate) fn upcall_fault(&self, registers: &mut Registers, address: u64) -> bool {
        let Some((entry, stack)) = self.fault_handler() else { return false };
        let page = self.gate.first();
        if page.word(GATE_FAULT / 8) != 0 {
            return false;
        }
        let Registers { vector, error, rip, rflags, rsp, .. } = *registers;
        let fault = Fault { is_handling: 1, vector, error, address, rip, rflags, rsp };
        page.write(GATE_FAULT, fault.as_bytes());
        (registers.rip, registers.rsp, registers.rflags) = (entry, stack, Registers::USER.rflags);
        true
    }

    /// Has every handle for memory be one for other memory: a number stays what it was, to be closed by who has it.
    pub(crate) fn replace(&mut self, memory: &Memory, other: &Memory) {
        self.handles.iter_mut().flatten().for_each(|handle| handle.become_other(memory, other));
    }

    /// How many references to memory it has beside the pages that it has mapped.
    pub(crate) fn references(&self) -> usize {
        [&self.gate, &self.words].len() + self.handles.iter().flatten().count()
    }

    /// Whether it has a handle for memory, or a page of it mapped.
    pub(crate) fn has(&self, memory: &Memory) -> bool {
        self.handles.iter().flatten().any(|handle| handle.is(memory)) || self.mapped.tables().has(memory)
    }

    /// How many handles it has for memory, and pages of it that it has mapped.
    pub(crate) fn count(&self, memory: &Memory) -> u32 {
        let handles = self.handles.iter().flatten().filter(|handle| handle.is(memory)).count();
        handles as u32 + self.mapped.tables().count(memory)
    }

    /// Keeps a handle for the domain; the number is never 0.
    pub(crate) fn keep(&mut self, memory: Memory) -> Result<u64, Status> {
        let place = self.handles.iter().position(Option::is_none).ok_or(Status::ObjectsFull)?;
        self.handles[place] = Some(memory);
        Ok(place as u64 + 1)
    }

    /// Whether another handle has room.
    pub(crate) fn has_room(&self) -> bool {
        self.handles.iter().any(Option::is_none)
    }

    /// The memory that a number names.
    pub(crate) fn memory(&self, number: u64) -> Result<&Memory, Status> {
        let place = usize::try_from(number).ok().and_then(|number| number.checked_sub(1));
        let handle = place.and_then(|place| self.handles.get(place)?.as_ref());
        handle.ok_or(Status::NoHandle)
    }

    /// Closes a handle.
    pub(crate) fn release(&mut self, number: u64) -> Result<Memory, Status> {
        self.memory(number)?;
        self.handles[number as usize - 1].take().ok_or(Status::NoHandle)
    }
}

impl Mapped {
    /// The physical address of the tables.
    pub(crate) fn root(&self) -> u64 {
        self.space.root()
    }

    /// Maps memory whole, or not at all.
    pub(crate) fn map(&mut self, memory: &Memory, address: u64, access: Access) -> Result<(), Status> {
        self.space.map(address, memory, 0..memory.pages(), flags(access)).map_err(status)
    }

    /// Takes away memory that was mapped whole at an address. The processor is to be flushed before anybody runs.
    pub(crate) fn unmap(&mut self, address: u64) -> Result<(), Status> {
        let frame = self.space.mapped_at(address).ok_or(Status::BadArgument)?;
        let object = object::Mapped::of(&Chains::look(), frame).ok_or(Status::BadArgument)?;
        if object.first() != frame {
            return Err(Status::BadArgument);
        }
        // What was taken back is the same page of the kernel's many times.
        let together = if object.writer() == KERNEL { self.space.mapped_together(address) } else { 1 };
        let pages = object.pages().max(together);
        self.space.unmap(address, pages).map(|_| ()).map_err(status)
    }

    /// The tables, to be changed page by page.
    pub(crate) fn space(&mut self) -> &mut AddressSpace {
        &mut self.space
    }

    /// As [`space`](Self::space), to look at.
    pub(crate) fn tables(&self) -> &AddressSpace {
        &self.space
    }

    /// Gives everything back. No core uses the tables any more.
    pub(crate) fn end(self) {
        self.space.end();
    }
}

/// What the processor is told of an access.
pub(crate) fn flags(access: Access) -> Flags {
    match access {
        Access::Read => Flags::USER_READ,
        Access::Write => Flags::USER_WRITE,
        Access::Execute => Flags::USER_EXECUTE,
    }
}

/// What a caller is told of tables that were not changed.
pub(crate) fn status(error: MapError) -> Status {
    match error {
        MapError::BadAddress | MapError::Occupied | MapError::Empty => Status::BadArgument,
        MapError::Forbidden => Status::MissingRight,
        MapError::NoFrames => Status::ObjectsFull,
        MapError::NoQuota => Status::QuotaExceeded,
    }
}
