//! Pages that change hands: by a call, a grant, a revocation, a deletion, an end; and that nobody else has them meanwhile.

use feuerbird_abi::{Access, Call, Edit, EditAction, MachineCall, REGISTER_WORDS, Status};
use feuerbird_capability::{Rights, Trust};

use super::calls::own_slot;
use super::space::{set_word, word};
use super::transfers::{cores, give_slices_back, granted, placed};
use super::{Checked, Ground, ensure, ensure_ends, ensure_page_tables_are_right, ensure_refused};
use crate::child::Child;
use crate::gate::{self, Result};
use crate::memory::{self, Mapping, PAGE};
use crate::role::Role;
use crate::transfer::{self, Incoming, Outgoing, words};

/// What a puppet is told to do: make a call, use a word, write a word until it ends, send a capability back.
const CALL: u64 = 1;
const LOAD: u64 = 2;
const STORE: u64 = 3;
const SPIN: u64 = 4;
const GIVE: u64 = 5;

/// Where a puppet maps what it is given.
const PLACE: u64 = 0x3000_0000_0000;

const PAGES: u64 = 3;
const A_WHILE_NS: u64 = 5_000_000;
const PATIENCE_NS: u64 = 30_000_000_000;

/// All that can be granted of pages.
const ALL: Rights = Rights::MAP_READ
    .union(Rights::MAP_WRITE)
    .union(Rights::GRANT)
    .union(Rights::DERIVE)
    .union(Rights::REVOKE)
    .union(Rights::INSPECT);

/// Does what it is told to.
pub(crate) fn obey() {
    let slot = granted().expect("the test grants it");
    let (mut token, mut answer) = (0, Outgoing::default());
    while let Ok(came) = transfer::reply_and_receive(slot, token, answer, 0) {
        let [what, first, second, third] = came.words;
        token = came.token;
        answer = match what {
            CALL => {
                let [fourth, fifth, handle] = [4, 5, 6].map(transfer::word);
                let (status, answer) = gate::raw(first, [second, third, fourth, fifth, 0, 0], 0, handle);
                words([status, answer.values[0], came.capability, 0])
            }
            LOAD => words([0, word(first), 0, 0]),
            STORE => {
                set_word(first, second);
                words([0; 4])
            }
            SPIN => {
                let _ = transfer::reply(token, words([0; 4]));
                for count in 1.. {
                    set_word(first, count);
                }
                return;
            }
            GIVE => Outgoing { capability: first, ..words([0; 4]) },
            _ => return,
        };
    }
}

/// A domain that makes the calls that the test wants it to make.
struct Puppet {
    child: Child,
    endpoint: u64,
}

impl Puppet {
    fn new(ground: &Ground<'_>, core: Option<u64>) -> Result<Self> {
        let puppet = Self {
            child: placed(ground, core)?,
            endpoint: gate::call(Call::CreateEndpoint, &[0])?.values[0],
        };
        puppet.child.start(ground.image, Role::Puppet.argument(0))?;
        puppet.child.grant(puppet.endpoint, Rights::RECEIVE, Trust::USER)?;
        Ok(puppet)
    }

    fn tell(&self, words: [u64; 4], capability: u64) -> Result<Incoming> {
        let out = Outgoing { length: REGISTER_WORDS + 3, words, capability };
        transfer::call(self.endpoint, out, gate::now_ns() + PATIENCE_NS)
    }

    /// One call of the puppet's: its first value.
    fn call(&self, number: u64, arguments: [u64; 4], handle: u64) -> Result<u64> {
        let [first, second, third, fourth] = arguments;
        for (index, value) in [4, 5, 6].into_iter().zip([third, fourth, handle]) {
            transfer::set_word(index, value);
        }
        let [status, value, ..] = self.tell([CALL, number, first, second], 0)?.words;
        match u32::try_from(status).ok().and_then(Status::from_number) {
            Some(Status::Ok) => Ok(value),
            refusal => Err(refusal.unwrap_or(Status::PeerMisbehaved)),
        }
    }

    fn machine(&self, call: MachineCall, arguments: [u64; 4]) -> Result<u64> {
        self.call(call as u64, arguments, 0)
    }

    /// Hands pages over along with a call; the slot that the puppet has for them.
    fn hand(&self, slot: u64) -> Result<u64> {
        [4, 5, 6].into_iter().for_each(|index| transfer::set_word(index, 0));
        Ok(self.tell([CALL, Call::Null as u64, 0, 0], slot)?.words[2])
    }

    fn map(&self, slot: u64, access: Access) -> Result<u64> {
        self.machine(MachineCall::Map, [slot, PLACE, access as u64, 0])
    }

    fn load(&self) -> Result<u64> {
        Ok(self.tell([LOAD, PLACE, 0, 0], 0)?.words[1])
    }

    fn spin(&self) -> Result<()> {
        self.tell([SPIN, PLACE, 0, 0], 0).map(|_| ())
    }

    fn delete(&self, slot: u64) -> Result<u64> {
        self.call(Call::Delete as u64, [slot, 0, 0, 0], 0)
    }

    fn end(self) -> Result<()> {
        self.child.destroy()?;
        gate::call(Call::Delete, &[self.endpoint])?;
        while gate::wait(0)?.is_some() {}
        Ok(())
    }

    /// It has written where it must not any more.
    fn ensure_ends(self) -> Checked {
        ensure_ends(self.child)?;
        gate::call(Call::Delete, &[self.endpoint])?;
        while gate::wait(0)?.is_some() {}
        Ok(())
    }
}

/// Pages of this domain's, mapped, with a number in the first word of each.
fn filled(number: u64) -> Result<(u64, Mapping)> {
    let slot = memory::allocate(PAGES)?;
    let mapping = Mapping::new(slot, PAGES, Access::Write)?;
    (0..PAGES as usize).for_each(|page| mapping.store(page * 512, number));
    Ok((slot, mapping))
}

/// The first word of pages that this domain may map, now.
fn look(slot: u64) -> Result<u64> {
    Ok(Mapping::new(slot, PAGES, Access::Write)?.load(0))
}

fn grant(slot: u64, domain: u64, rights: Rights) -> Result<u64> {
    Ok(gate::call(Call::Grant, &[slot, domain, rights.bits().into(), 0, 0])?.values[0])
}

/// None of the calls that take memory takes what is somebody else's.
fn ensure_all_refused(slot: u64, other: &Puppet, status: Status) -> Checked {
    for access in [Access::Read, Access::Write, Access::Execute] {
        ensure_refused(Mapping::new(slot, PAGES, access), status)?;
    }
    for action in [EditAction::MapRead, EditAction::MapWrite] {
        let edit = Edit { address: memory::SCRATCH, memory: slot, first: 1, pages: 1, action: action as u16 };
        ensure(memory::edit(&[edit])? == (0, status))?;
    }
    ensure_refused(gate::machine(MachineCall::FrameNames, &[slot, 0]), status)?;
    ensure_refused(gate::call_with(Call::RegisterRegion, &[PAGES * PAGE], &[], slot), status)?;
    let made = Child { slot: gate::call(Call::CreateDomain, &[0])?.values[0] };
    for access in [Access::Read, Access::Write] {
        ensure_refused(made.place(slot, PLACE, access), status)?;
    }
    made.destroy()?;
    ensure_refused(other.hand(slot), status)?;
    ensure_refused(grant(slot, other.child.slot, ALL), status)
}

pub(super) fn by_call(ground: &Ground<'_>) -> Checked {
    for core in 0..cores()? {
        let (puppet, other) = (Puppet::new(ground, Some(core))?, Puppet::new(ground, None)?);
        let (slot, mapping) = filled(7)?;
        let there = puppet.hand(slot)?;
        ensure((0..PAGES as usize).all(|page| mapping.load(page * 512) == 0))?;
        ensure_all_refused(slot, &other, Status::Busy)?;
        ensure_refused(gate::call(Call::Derive, &[slot, ALL.bits().into(), 0]), Status::BadArgument)?;
        puppet.map(there, Access::Write)?;
        ensure(puppet.load()? == 7)?;
        puppet.tell([STORE, PLACE, 8, 0], 0)?;
        ensure_page_tables_are_right()?;
        // Back along with a reply, which is a loan in turn; then one after the other lets go.
        let back = puppet.tell([GIVE, there, 0, 0], 0)?.capability;
        ensure(puppet.load()? == 0 && look(back)? == 8)?;
        ensure_refused(puppet.map(there, Access::Read), Status::Busy)?;
        gate::call(Call::Delete, &[back])?;
        ensure_refused(look(slot), Status::Busy)?;
        puppet.delete(there)?;
        ensure(look(slot)? == 8 && mapping.load(0) == 0)?;
        drop(mapping);
        memory::release(slot)?;
        puppet.end()?;
        other.end()?;
    }
    Ok(give_slices_back()?)
}

/// A domain that writes what it has handed over ends, and what it has left stays with who has it.
pub(super) fn former_owner(ground: &Ground<'_>) -> Checked {
    let before = super::frames::account()?;
    let puppet = Puppet::new(ground, None)?;
    gate::machine(MachineCall::HandDown, &[puppet.child.slot, 60])?;
    let this = puppet.child.grant(own_slot()?, Rights::SEND, Trust::USER)?;
    let theirs = puppet.machine(MachineCall::Allocate, [PAGES, u64::MAX, 0, 0])?;
    puppet.map(theirs, Access::Write)?;
    puppet.tell([STORE, PLACE, 9, 0], 0)?;
    let slot = puppet.call(Call::Grant as u64, [theirs, this, ALL.bits().into(), 0], 0)?;
    let mapping = Mapping::new(slot, PAGES, Access::Write)?;
    ensure(mapping.load(0) == 9 && puppet.load()? == 0)?;
    ensure_refused(puppet.map(theirs, Access::Read), Status::Busy)?;
    ensure_refused(puppet.tell([STORE, PLACE, 1, 0], 0), Status::DomainGone)?;
    puppet.ensure_ends()?;
    ensure(mapping.load(0) == 9)?;
    // Nobody can take it back any more; who was the lender's creator pays for it, until it goes.
    ensure(super::frames::account()? == (before.0, before.1 + PAGES))?;
    mapping.store(0, 10);
    drop(mapping);
    ensure(look(slot)? == 10)?;
    memory::release(slot)?;
    ensure(super::frames::account()? == before)
}

/// A revocation takes pages from who writes them, on whichever core, whoever has handed them on.
pub(super) fn revoked(ground: &Ground<'_>) -> Checked {
    for core in 0..cores()? {
        for is_handed_on in [false, true] {
            let (slot, mapping) = filled(0)?;
            drop(mapping);
            let (puppet, last) = (Puppet::new(ground, None)?, Puppet::new(ground, Some(core))?);
            let (writer, other, there) = if is_handed_on {
                let between = puppet.hand(slot)?;
                let known = puppet.child.grant(last.child.slot, Rights::SEND, Trust::USER)?;
                let all = ALL.bits().into();
                let there = puppet.call(Call::Grant as u64, [between, known, all, 0], 0)?;
                (last, puppet, there)
            } else {
                let there = last.hand(slot)?;
                (last, puppet, there)
            };
            writer.map(there, Access::Write)?;
            writer.spin()?;
            gate::sleep(A_WHILE_NS)?;
            let revoked = gate::call(Call::Revoke, &[slot, 0])?.values[0];
            let mapping = Mapping::new(slot, PAGES, Access::Write)?;
            let count = mapping.load(0);
            ensure(revoked == 1 + u64::from(is_handed_on) && count > 0)?;
            gate::sleep(A_WHILE_NS)?;
            ensure(mapping.load(0) == count)?;
            ensure_page_tables_are_right()?;
            writer.ensure_ends()?;
            other.end()?;
            drop(mapping);
            memory::release(slot)?;
        }
    }
    Ok(give_slices_back()?)
}

/// A domain that ends while it writes leaves its pages to whom they were lent by, at once.
pub(super) fn borrower_ends(ground: &Ground<'_>) -> Checked {
    for core in 0..cores()? {
        let (slot, mapping) = filled(0)?;
        drop(mapping);
        for _ in 0..3 {
            let puppet = Puppet::new(ground, Some(core))?;
            let there = puppet.hand(slot)?;
            puppet.map(there, Access::Write)?;
            puppet.spin()?;
            gate::sleep(A_WHILE_NS)?;
            puppet.end()?;
            let mapping = Mapping::new(slot, PAGES, Access::Write)?;
            let count = mapping.load(0);
            gate::sleep(A_WHILE_NS)?;
            ensure(count > 0 && mapping.load(0) == count)?;
            mapping.store(0, 0);
        }
        memory::release(slot)?;
    }
    Ok(give_slices_back()?)
}

/// What is lent can be used within the rights that it was lent with, and be lent on; it cannot be put where nobody could take it back.
pub(super) fn borrower_is_held(ground: &Ground<'_>) -> Checked {
    let puppet = Puppet::new(ground, None)?;
    let (slot, mapping) = filled(5)?;
    let region = |slot| puppet.call(Call::RegisterRegion as u64, [PAGES * PAGE, 0, 0, 0], slot);
    let there = grant(slot, puppet.child.slot, ALL)?;
    ensure_refused(region(there), Status::NotSealed)?;
    let made = puppet.call(Call::CreateDomain as u64, [0; 4], 0)?;
    for access in [Access::Read, Access::Write, Access::Execute] {
        let placed = puppet.machine(MachineCall::Place, [made, there, PLACE, access as u64]);
        ensure_refused(placed, Status::NotSealed)?;
    }
    ensure_refused(puppet.map(there, Access::Execute), Status::NotSealed)?;
    gate::call(Call::Revoke, &[slot, 0])?;
    ensure_refused(puppet.map(there, Access::Read), Status::NoCapability)?;
    // For reading only: then nobody writes them, until they are back.
    let there = grant(slot, puppet.child.slot, Rights::MAP_READ | Rights::DERIVE)?;
    puppet.map(there, Access::Read)?;
    ensure(puppet.load()? == 5 && mapping.load(0) == 0)?;
    ensure_refused(puppet.machine(MachineCall::Map, [there, PLACE + (1 << 20), 1, 0]), Status::MissingRight)?;
    ensure_refused(puppet.machine(MachineCall::FrameNames, [there, 0, 0, 0]), Status::MissingRight)?;
    let more = puppet.call(Call::Derive as u64, [there, Rights::MAP_WRITE.bits().into(), 0, 0], 0);
    ensure_refused(more, Status::Escalation)?;
    ensure_refused(region(there), Status::NotSealed)?;
    gate::call(Call::Revoke, &[slot, 0])?;
    ensure(puppet.load()? == 0 && look(slot)? == 5)?;
    puppet.call(Call::DestroyDomain as u64, [made, 0, 0, 0], 0)?;
    drop(mapping);
    memory::release(slot)?;
    Ok(puppet.end()?)
}

/// What others read, or map for ever, is not handed over.
pub(super) fn in_use(ground: &Ground<'_>) -> Checked {
    let puppet = Puppet::new(ground, None)?;
    let busy = |slot| {
        ensure_refused(puppet.hand(slot), Status::Busy)?;
        ensure_refused(grant(slot, puppet.child.slot, Rights::MAP_READ), Status::Busy)
    };
    let (slot, mapping) = filled(6)?;
    let region = gate::call_with(Call::RegisterRegion, &[PAGES * PAGE], &[], slot)?.values[0];
    busy(slot)?;
    // A handle for its own memory goes with the pages, as a mapping does.
    let handle = gate::call(Call::MapRegion, &[region])?.handle;
    let view = Mapping::new(handle, PAGES, Access::Read)?;
    busy(slot)?;
    gate::call(Call::Delete, &[region])?;
    let there = puppet.hand(slot)?;
    ensure(view.load(0) == 0 && mapping.load(0) == 0)?;
    drop(view);
    ensure(Mapping::new(handle, 1, Access::Read)?.load(0) == 0)?;
    ensure_refused(gate::call_with(Call::RegisterRegion, &[PAGES * PAGE], &[], handle), Status::BadArgument)?;
    memory::release(handle)?;
    puppet.delete(there)?;
    drop(mapping);
    let made = Child { slot: gate::call(Call::CreateDomain, &[0])?.values[0] };
    gate::machine(MachineCall::Place, &[made.slot, slot, PLACE, Access::Read as u64])?;
    busy(slot)?;
    ensure_refused(look(slot), Status::MissingRight)?;
    made.destroy()?;
    // What nobody writes for ever, nobody writes wherever it goes.
    let there = puppet.hand(slot)?;
    ensure_refused(puppet.map(there, Access::Write), Status::MissingRight)?;
    puppet.map(there, Access::Execute)?;
    ensure(puppet.load()? == 6)?;
    gate::call(Call::Revoke, &[slot, 0])?;
    ensure(puppet.load()? == 0)?;
    memory::release(slot)?;
    Ok(puppet.end()?)
}

/// A part maps that part; whole ranges alone change hands; and what is refused changes nothing.
pub(super) fn refused(ground: &Ground<'_>) -> Checked {
    let (puppet, other) = (Puppet::new(ground, None)?, Puppet::new(ground, None)?);
    let endpoint = puppet.endpoint;
    ensure_refused(Mapping::new(endpoint, 1, Access::Read), Status::WrongKind)?;
    let (slot, mapping) = filled(4)?;
    let part = gate::call(Call::Derive, &[slot, ALL.bits().into(), 0, 0, 1, 1])?.values[0];
    let edit = |first, action: EditAction| Edit {
        address: memory::SCRATCH,
        memory: part,
        first,
        pages: 1,
        action: action as u16,
    };
    let unmap = Edit { memory: 0, ..edit(0, EditAction::Unmap) };
    ensure(memory::edit(&[edit(1, EditAction::MapWrite), unmap])? == (2, Status::Ok))?;
    ensure(memory::edit(&[edit(0, EditAction::MapRead)])? == (0, Status::Escalation))?;
    ensure(memory::edit(&[edit(u32::MAX, EditAction::MapRead)])? == (0, Status::BadArgument))?;
    ensure_refused(Mapping::new(part, 1, Access::Read), Status::Escalation)?;
    ensure_refused(puppet.hand(part), Status::Escalation)?;
    ensure_refused(puppet.hand(slot), Status::BadArgument)?;
    gate::call(Call::Delete, &[part])?;
    let weak = gate::call(Call::Derive, &[slot, Rights::INSPECT.bits().into(), 0])?.values[0];
    ensure_refused(puppet.hand(weak), Status::MissingRight)?;
    ensure_refused(Mapping::new(weak, PAGES, Access::Read), Status::MissingRight)?;
    gate::call(Call::Delete, &[weak])?;
    // Who has no slot left gets nothing.
    let made = other.call(Call::CreateEndpoint as u64, [0; 4], 0)?;
    while other.call(Call::Copy as u64, [made, 0, 0, 0], 0).is_ok() {}
    ensure_refused(other.hand(slot), Status::SlotsFull)?;
    ensure_refused(grant(slot, other.child.slot, ALL), Status::SlotsFull)?;
    ensure(other.machine(MachineCall::Allocate, [1, u64::MAX, 0, 0]) == Err(Status::SlotsFull))?;
    ensure(mapping.load(0) == 4)?;
    mapping.store(0, 5);
    let there = puppet.hand(slot)?;
    puppet.map(there, Access::Read)?;
    ensure(puppet.load()? == 5)?;
    puppet.end()?;
    ensure(look(slot)? == 5)?;
    drop(mapping);
    memory::release(slot)?;
    ensure_refused(look(slot), Status::NoCapability)?;
    Ok(other.end()?)
}
