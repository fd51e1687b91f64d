//! The first domain: the program that the loader put beside the kernel, mapped by the kernel. It loads all others itself.

use feuerbird_abi::{Access, GATE_ADDRESS, Status};
use feuerbird_boot::elf::{self, Program, Segment};
use feuerbird_exokernel::DomainId;

use crate::domain::machine::Native;
use crate::domain::resident::{Resident, State};
use crate::memory::frames::Wanted;
use crate::memory::layout::{PAGE_BYTES, USER_END};
use crate::memory::object::{Memory, NOBODY};

/// How large the first domain's stack is, in pages.
const STACK_PAGES: u32 = 16;

/// Why the first domain cannot run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Error {
    /// The file is no program for this machine.
    Program(elf::Error),
    /// There is no memory for it, or its addresses are not a domain's.
    Memory(Status),
}

/// Makes a domain's resident run a program. In its registers it finds the argument, the handle of the whole file for reading,
/// and the file's size.
pub(crate) fn load(machine: &mut Native, domain: DomainId, file: &[u8], argument: u64) -> Result<(), Error> {
    let program = Program::parse(file).map_err(Error::Program)?;
    let resident = machine.resident_mut(domain).ok_or(Error::Memory(Status::DomainGone))?;
    for segment in program.segments() {
        load_segment(resident, &segment).map_err(Error::Memory)?;
    }
    let stack = memory(domain, u64::from(STACK_PAGES) * PAGE_BYTES).map_err(Error::Memory)?;
    // A page stays empty between the stack and the gate.
    let top = GATE_ADDRESS - PAGE_BYTES;
    resident.mapped.map(&stack, top - stack.bytes(), Access::Write).map_err(Error::Memory)?;
    let whole = memory(domain, file.len() as u64).map_err(Error::Memory)?;
    whole.write(0, file);
    whole.set_writer(NOBODY);
    let handle = resident.keep(whole).map_err(Error::Memory)?;
    if program.entry() >= USER_END {
        return Err(Error::Memory(Status::BadArgument));
    }
    let registers = &mut resident.registers;
    (registers.rip, registers.rsp) = (program.entry(), top);
    registers.words = [argument, handle, file.len() as u64, 0, 0, 0];
    resident.state = State::Ready;
    Ok(())
}

fn load_segment(resident: &mut Resident, segment: &Segment<'_>) -> Result<(), Status> {
    let access = match segment.access {
        elf::Access::Read => Access::Read,
        elf::Access::Write => Access::Write,
        elf::Access::Execute => Access::Execute,
    };
    let offset = segment.address % PAGE_BYTES;
    let bytes = offset.checked_add(segment.length).ok_or(Status::BadArgument)?;
    let memory = memory(resident.domain, bytes)?;
    memory.write(offset as usize, segment.bytes);
    if access != Access::Write {
        memory.set_writer(NOBODY);
    }
    resident.mapped.map(&memory, segment.address - offset, access)
}

fn memory(domain: DomainId, bytes: u64) -> Result<Memory, Status> {
    let pages = u32::try_from(bytes.div_ceil(PAGE_BYTES)).map_err(|_| Status::BadArgument)?;
    Memory::new(domain, pages, Wanted::Any)
}
