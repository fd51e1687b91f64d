//! Events: delivered where the kernel goes back to a domain, to the handler of its exceptions.

use core::mem::offset_of;

use feuerbird_abi::{EVENT_VECTOR, Events, Fault, GATE_EVENTS, GATE_FAULT, Status, event};
use feuerbird_exokernel::DomainId;
use zerocopy::IntoBytes;

use crate::cpu::state::Registers;
use crate::domain::machine::Native;
use crate::domain::resident::{Resident, State};

const ENABLED: usize = (GATE_EVENTS + offset_of!(Events, enabled)) / 8;
const QUIET_START: usize = (GATE_EVENTS + offset_of!(Events, quiet_start)) / 8;
const QUIET_END: usize = (GATE_EVENTS + offset_of!(Events, quiet_end)) / 8;
const ALARM: usize = (GATE_EVENTS + offset_of!(Events, alarm_ns)) / 8;
const PENDING: usize = (GATE_EVENTS + offset_of!(Events, pending)) / 8;

impl Resident {
    /// Writes down that events have come. They are delivered when the domain goes on, if it lets them.
    pub(crate) fn post(&mut self, events: u64) {
        self.events |= events;
        self.gate.first().set_word(PENDING, self.events);
    }

    /// Whether the domain would be disturbed by this event.
    pub(crate) fn lets(&self, events: u64) -> bool {
        self.fault_handler().is_some() && self.gate.first().word(ENABLED) & events != 0
    }

    /// Posts the alarm, if its time has come.
    pub(crate) fn look_at_alarm(&mut self, now_ns: u64) {
        let page = self.gate.first();
        let alarm = page.word(ALARM);
        if alarm != 0 && alarm <= now_ns {
            page.set_word(ALARM, 0);
            self.post(event::TIMER);
        }
    }

    /// Whether events could be delivered to a domain that is at this address.
    pub(crate) fn can_take_events_at(&self, rip: u64) -> bool {
        let page = self.gate.first();
        let is_quiet = (page.word(QUIET_START)..page.word(QUIET_END)).contains(&rip);
        page.word(GATE_FAULT / 8) == 0 && !is_quiet
    }

    /// Lets the domain handle what has come, before it goes on with these registers.
    #[inline]
    pub(crate) fn deliver_events(&mut self, registers: &mut Registers) {
        if self.events != 0
            && let Some(handler) = self.fault_handler()
        {
            self.deliver_to(handler, registers);
        }
    }

    #[inline(never)]
    fn deliver_to(&mut self, (entry, stack): (u64, u64), registers: &mut Registers) {
        let page = self.gate.first();
        let due = self.events & page.word(ENABLED);
        let Registers { rip, rflags, rsp, .. } = *registers;
        if due == 0 || !self.can_take_events_at(rip) {
            return;
        }
        self.events &= !due;
        page.set_word(PENDING, self.events);
        let fault = Fault { is_handling: 1, vector: EVENT_VECTOR, error: due, address: 0, rip, rflags, rsp };
        page.write(GATE_FAULT, fault.as_bytes());
        (registers.rip, registers.rsp, registers.rflags) = (entry, stack, Registers::USER.rflags);
    }
}

impl Native {
    /// Something has come for a domain: whatever it does, it hears of it soon, if it wants to.
    pub(crate) fn post_event(&mut self, domain: DomainId, events: u64) {
        let Some(resident) = self.resident_mut(domain) else { return };
        resident.post(events);
        if !resident.lets(events) {
            return;
        }
        if let State::Waiting { .. } = resident.state {
            // Its handler runs when it goes on, as if the deadline had come.
            resident.registers.answer(Status::Ok as u32, [0; 6], 0, 0);
            resident.state = State::Ready;
        }
        let core = resident.core;
        self.interrupt(core, domain);
    }
}
