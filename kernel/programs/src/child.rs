//! Making domains: the first one loads the program again for each, as a LibOS does. The kernel knows nothing of programs.

use core::cell::Cell;

use feuerbird_abi::{Access, Call, MachineCall, Status};
use feuerbird_boot::elf::{self, Program, Segment};
use feuerbird_capability::{Rights, Trust};

use crate::gate::{self, HandleNumber, Result};
use crate::memory::{self, Mapping, PAGE};

/// How large a child's stack is, in pages.
const STACK_PAGES: u64 = 8;

/// Where a child's stack ends.
const STACK_TOP: u64 = 0x7000_0000_0000;

/// The most segments of the program that are shared.
const SEGMENTS: usize = 8;

/// The program file, which the kernel gives the first domain.
#[derive(Debug)]
pub(crate) struct Image {
    mapping: Mapping,
    bytes: usize,
    /// The segments that nobody can write, by their places in the file, once one child has them; 0 until then. All children have the same.
    sealed: [Cell<HandleNumber>; SEGMENTS],
}

impl Image {
    /// Maps the file.
    pub(crate) fn new(handle: HandleNumber, bytes: u64) -> Result<Self> {
        let mapping = Mapping::new(handle, bytes.div_ceil(PAGE), Access::Read)?;
        Ok(Self { mapping, bytes: bytes as usize, sealed: [const { Cell::new(0) }; SEGMENTS] })
    }

    fn program(&self) -> Program<'_> {
        // SAFETY: the kernel made the memory of the file without a writer.
        let file = unsafe { self.mapping.constant_bytes() };
        Program::parse(&file[..self.bytes]).expect("the kernel has loaded this program already")
    }
}

/// A domain that this one has made.
#[derive(Debug)]
pub(crate) struct Child {
    /// The capability for it: whoever has one like it may fill and start it.
    pub(crate) slot: u64,
}

impl Child {
    /// Makes a domain and loads the program into it; it does not run yet.
    ///
    /// # Errors
    /// As the calls it takes; what was made is taken back.
    pub(crate) fn new(image: &Image, trust: Trust) -> Result<Self> {
        let made = gate::call(Call::CreateDomain, &[trust.level().into()])?;
        let child = Self { slot: made.values[0] };
        match child.load(image) {
            Ok(()) => Ok(child),
            Err(status) => child.destroy().and(Err(status)),
        }
    }

    fn load(&self, image: &Image) -> Result<()> {
        for (number, segment) in image.program().segments().enumerate() {
            self.place_segment(&segment, image.sealed.get(number))?;
        }
        let stack = memory::allocate(STACK_PAGES)?;
        self.place(stack, STACK_TOP - STACK_PAGES * PAGE, Access::Write)
    }

    fn place_segment(&self, segment: &Segment<'_>, sealed: Option<&Cell<HandleNumber>>) -> Result<()> {
        let access = match segment.access {
            elf::Access::Read => Access::Read,
            elf::Access::Write => Access::Write,
            elf::Access::Execute => Access::Execute,
        };
        let address = segment.address - segment.address % PAGE;
        match sealed {
            Some(sealed) if access != Access::Write => {
                let kept = sealed.get();
                let handle = if kept == 0 { copy(segment)? } else { kept };
                let arguments = [self.slot, handle, address, access as u64];
                gate::machine(MachineCall::Place, &arguments)?;
                sealed.set(handle);
                Ok(())
            }
            _ => self.place(copy(segment)?, address, access),
        }
    }

    /// Maps memory of this domain's in the child.
    pub(crate) fn place(&self, handle: HandleNumber, address: u64, access: Access) -> Result<()> {
        gate::machine(MachineCall::Place, &[self.slot, handle, address, access as u64])?;
        match access {
            // The handle went with it.
            Access::Write => Ok(()),
            _ => memory::release(handle),
        }
    }

    /// Runs it; it finds `argument` where `main` looks.
    pub(crate) fn start(&self, image: &Image, argument: u64) -> Result<()> {
        let entry = image.program().entry();
        gate::machine(MachineCall::Start, &[self.slot, entry, STACK_TOP, argument])?;
        Ok(())
    }

    /// Gives it a capability derived from one of this domain's; returns the slot there.
    pub(crate) fn grant(&self, slot: u64, rights: Rights, trust: Trust) -> Result<u64> {
        let arguments = [slot, self.slot, rights.bits().into(), trust.level().into(), 0];
        Ok(gate::call(Call::Grant, &arguments)?.values[0])
    }

    /// Whether it is still there. Asks by a grant of nothing, which is refused in either case, but not alike.
    pub(crate) fn is_alive(&self) -> bool {
        gate::call(Call::Grant, &[0, self.slot, 0, 0, 0]).err() != Some(Status::DomainGone)
    }

    /// Ends it by force, and forgets it.
    pub(crate) fn destroy(self) -> Result<()> {
        match gate::call(Call::DestroyDomain, &[self.slot]) {
            Ok(_) | Err(Status::DomainGone) => self.forget(),
            Err(status) => Err(status),
        }
    }

    /// Lets go of one that has ended.
    pub(crate) fn forget(self) -> Result<()> {
        gate::call(Call::Delete, &[self.slot]).map(|_| ())
    }
}

/// A segment in memory of its own.
fn copy(segment: &Segment<'_>) -> Result<HandleNumber> {
    let offset = segment.address % PAGE;
    let pages = (offset + segment.length).div_ceil(PAGE);
    let handle = memory::allocate(pages)?;
    Mapping::new(handle, pages, Access::Write)?.write(offset as usize, segment.bytes);
    Ok(handle)
}
