//! The system calls: decoding, refusing, answering. One file for each family.

mod along;
mod bind;
mod capabilities;
mod domains;
mod regions;

use feuerbird_abi::{Call, Class, Reply, Request, Status};
use feuerbird_capability::{Badge, Capability, Derivation, Error, ObjectKind, Range, Rights, Slot, Trust};

use crate::audit::Event;
use crate::table::Id;
use crate::{Answer, DomainId, Kernel, Machine, Outcome, Payload, Plain};

/// A request on its way through the kernel.
pub(crate) struct Asked<'a, H> {
    pub(crate) caller: DomainId,
    pub(crate) arguments: [u64; 6],
    pub(crate) payload: &'a [u8],
    pub(crate) handle: Option<H>,
}

/// What a call that succeeded says.
pub(crate) type Values = [u64; 6];

/// What a call may send beside its values.
pub(crate) struct Beside<H> {
    pub(crate) payload: Payload,
    pub(crate) handle: Option<H>,
}

impl<M: Machine> Kernel<M> {
    pub(crate) fn serve_plain(
        &mut self,
        caller: DomainId,
        number: u32,
        arguments: [u64; 6],
    ) -> Option<Plain> {
        let call = Call::from_number(number)?;
        let asked = Asked { caller, arguments, payload: &[], handle: None };
        let result = match call {
            Call::Inspect => self.inspect(&asked),
            Call::Derive => self.derive(&asked),
            Call::Copy => self.copy(&asked),
            Call::Move => self.move_slot(&asked),
            Call::Delete => self.delete(&asked),
            Call::Revoke => match self.begin_revocation(&asked, 0) {
                Ok(revocation) => {
                    self.work(self.machine.now_ns());
                    return Some(self.take_if_complete(revocation).map_or(Plain::Pending, Plain::Done));
                }
                Err(status) => Err(status),
            },
            _ => return None,
        };
        if !self.is_quiet() {
            self.work(self.machine.now_ns());
        }
        Some(match result {
            Ok(values) => Plain::Done(values),
            Err(status) => {
                self.log_refusal(caller, number, arguments[0], status);
                Plain::Refused(status)
            }
        })
    }

    pub(crate) fn serve(
        &mut self,
        caller: DomainId,
        request: &Request,
        payload: &[u8],
        handle: Option<M::Handle>,
    ) -> Outcome<M::Handle> {
        let asked = Asked { caller, arguments: request.arguments, payload, handle };
        let mut beside = Beside { payload: Payload::EMPTY, handle: None };
        let result = match known_call(request) {
            Ok(Call::Revoke) => match self.begin_revocation(&asked, request.sequence) {
                Ok(revocation) => return self.revocation_outcome(revocation, request.sequence),
                Err(status) => Err(status),
            },
            Ok(call) => self.carry_out(call, asked, &mut beside),
            Err(status) => Err(status),
        };
        if !self.is_quiet() {
            self.work(self.machine.now_ns());
        }
        Outcome::Reply(self.answer(caller, request, result, beside))
    }

    /// Answers a request that the home could not bring here whole, and writes that down.
    pub(crate) fn serve_refusal(
        &mut self,
        caller: DomainId,
        request: &Request,
        status: Status,
    ) -> Outcome<M::Handle> {
        let beside = Beside { payload: Payload::EMPTY, handle: None };
        Outcome::Reply(self.answer(caller, request, Err(status), beside))
    }

    fn carry_out(
        &mut self,
        call: Call,
        asked: Asked<'_, M::Handle>,
        beside: &mut Beside<M::Handle>,
    ) -> Result<Values, Status> {
        self.alive(asked.caller)?;
        match call {
            // Revoke has gone another way: only it can be answered later.
            Call::Null | Call::Revoke => Ok([0; 6]),
            Call::Inspect => self.inspect(&asked),
            Call::Derive => self.derive(&asked),
            Call::Copy => self.copy(&asked),
            Call::Move => self.move_slot(&asked),
            Call::Grant => self.grant(&asked),
            Call::Delete => self.delete(&asked),
            Call::CreateEndpoint => self.create_endpoint(&asked),
            Call::RegisterRegion => self.register_region(asked),
            Call::MapRegion => self.map_region(&asked, beside),
            Call::Bind => self.bind(&asked, beside),
            Call::Share => self.share(&asked),
            Call::Unbind => self.unbind(&asked),
            Call::Acknowledge => self.acknowledge(&asked),
            Call::CreateDomain => self.create_domain(&asked, beside),
            Call::ReadAudit => self.read_audit(&asked, beside),
            Call::DestroyDomain => self.destroy_domain(&asked),
            Call::Hello => self.hello(&asked, beside),
            Call::Part => self.part(&asked),
            Call::GrantAlong => self.grant_along(&asked),
        }
    }

    /// Makes the reply, and writes a refusal down.
    fn answer(
        &mut self,
        caller: DomainId,
        request: &Request,
        result: Result<Values, Status>,
        beside: Beside<M::Handle>,
    ) -> Answer<M::Handle> {
        let Beside { payload, handle } = beside;
        match result {
            Ok(values) => {
                Answer { reply: Reply::new(Status::Ok, request.sequence, &values), payload, handle }
            }
            Err(status) => {
                self.log_refusal(caller, request.number, request.arguments[0], status);
                Answer { reply: Reply::new(status, request.sequence, &[]), payload, handle: None }
            }
        }
    }

    /// Writes a refusal down, or counts it where its caller is refused too often.
    fn log_refusal(&mut self, caller: DomainId, number: u32, argument: u64, status: Status) {
        let event = Event::refused(caller, number, argument, status as u32);
        let (next, capacity) = (self.audit.next_sequence(), self.audit.capacity());
        let limit = self.limits.refusals_per_turn;
        let (event, last) = match self.domains.get_mut(caller.id()) {
            Some(domain) => domain.refusals.another(event, next, capacity, limit),
            None => (Some(event), None),
        };
        last.into_iter().chain(event).for_each(|event| self.log(event));
    }

    /// A revocation that had nothing to wait for is answered at once, any other when it is complete.
    fn revocation_outcome(&mut self, revocation: Id, sequence: u64) -> Outcome<M::Handle> {
        self.work(self.machine.now_ns());
        match self.take_if_complete(revocation) {
            Some(values) => Outcome::Reply(Answer {
                reply: Reply::new(Status::Ok, sequence, &values),
                payload: Payload::EMPTY,
                handle: None,
            }),
            None => Outcome::Pending,
        }
    }

    /// What a slot of a domain holds.
    pub(crate) fn capability(&self, domain: DomainId, slot: Slot) -> Result<Capability, Status> {
        let space = self.alive(domain)?.space;
        self.capabilities.lookup(space, slot, Rights::empty()).map_err(status)
    }

    /// What a slot of a domain holds, if it is of this kind and has these rights.
    pub(crate) fn authority(
        &self,
        domain: DomainId,
        slot: Slot,
        kind: ObjectKind,
        needed: Rights,
    ) -> Result<Capability, Status> {
        let capability = self.capability(domain, slot)?;
        if capability.object.kind != kind {
            return Err(Status::WrongKind);
        }
        if !capability.rights.contains(needed) {
            return Err(Status::MissingRight);
        }
        Ok(capability)
    }
}

impl<H> Asked<'_, H> {
    pub(crate) fn slot(&self, place: usize) -> Slot {
        Slot::from_bits(self.arguments[place])
    }

    pub(crate) fn trust(&self, place: usize) -> Result<Trust, Status> {
        u8::try_from(self.arguments[place]).ok().and_then(Trust::new).ok_or(Status::BadArgument)
    }

    fn rights(&self, place: usize) -> Result<Rights, Status> {
        let bits = u32::try_from(self.arguments[place]).map_err(|_| Status::BadArgument)?;
        Rights::from_bits(bits).ok_or(Status::BadArgument)
    }

    /// Rights, trust and badge from `place` on.
    pub(crate) fn derivation(&self, place: usize) -> Result<Derivation, Status> {
        let derivation = Derivation::new(self.rights(place)?, self.trust(place + 1)?);
        Ok(derivation.with_badge(Badge(self.arguments[place + 2])))
    }

    /// Start and length from `place` on; no length is the parent's whole range.
    pub(crate) fn range(&self, place: usize) -> Option<Range> {
        let range = Range::new(self.arguments[place], self.arguments[place + 1]);
        (range.length > 0).then_some(range)
    }
}

fn known_call(request: &Request) -> Result<Call, Status> {
    if request.class != Class::Request as u32 {
        return Err(Status::BadArgument);
    }
    Call::from_number(request.number).ok_or(Status::NoSuchCall)
}

impl<M: Machine> Kernel<M> {
    /// The status that a refusal to grant is. What is in the way may be dead, and the sweep not have come there: then it is worth trying
    /// again.
    pub(crate) fn refused_grant(&self, error: Error) -> Status {
        if error == Error::Overlap && !self.capabilities.is_swept() { Status::Busy } else { status(error) }
    }
}

/// The status that a refusal by the capability spaces is.
pub(crate) fn status(error: Error) -> Status {
    match error {
        Error::NoSpace => Status::DomainGone,
        Error::NoCapability | Error::Revoked => Status::NoCapability,
        Error::MissingRight => Status::MissingRight,
        Error::MoreRights | Error::HigherTrust | Error::AlreadyBadged | Error::OutsideRange => {
            Status::Escalation
        }
        Error::EmptyRange | Error::Overlap | Error::Exclusive => Status::BadArgument,
        Error::TooDeep => Status::TooDeep,
        Error::SpaceFull => Status::SlotsFull,
        Error::NodesFull | Error::SpacesFull | Error::WornOut => Status::ObjectsFull,
    }
}
