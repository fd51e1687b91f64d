//! The system calls: decoding, refusing, answering. One file for each family.

mod along;
mod bind;
mod capabilities;
mod domains;
mod regions;

use feuerbird_abi::{Call, Class, Reply, Request, Status};
use feuerbird_capability::{Badge, Capability, Derivation, Error, ObjectKind, Range, Rights, Slot, Trust};

use crate::audit::Event;
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
    pub(crate) fn serve_plain(&mut self, caller: DomainId, number: u32, words: &mut Values) -> Option<Plain> {
        Some(match self.carry_out_plain(Call::from_number(number)?, caller, 0, words)? {
            Ok(Progress::Complete) => Plain::Done,
            Ok(Progress::Pending) => Plain::Pending,
            Err(status) => {
                self.log_refusal(caller, number, words[0], status);
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
        let mut words = request.arguments;
        let mut beside = Beside { payload: Payload::EMPTY, handle: None };
        let result = known_call(request).and_then(|call| {
            match self.carry_out_plain(call, caller, request.sequence, &mut words) {
                Some(plain) => plain,
                None => {
                    let asked = Asked { caller, arguments: request.arguments, payload, handle };
                    words = self.carry_out(call, asked, &mut beside)?;
                    Ok(Progress::Complete)
                }
            }
        });
        if let Ok(Progress::Pending) = result {
            return Outcome::Pending;
        }
        if !self.is_quiet() {
            self.work(self.machine.now_ns());
        }
        Outcome::Reply(self.answer(caller, request, result.map(|_| words), beside))
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
            Call::Null => Ok([0; 6]),
            // These have gone another way: `carry_out_plain`.
            Call::Inspect | Call::Derive | Call::Copy | Call::Move | Call::Delete | Call::Revoke => {
                Err(Status::NoSuchCall)
            }
            Call::Grant => self.grant(&asked),
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

    /// Carries out a call that has nothing beside its words, in which it leaves what it says; `None` for any other one.
    #[inline(always)]
    fn carry_out_plain(
        &mut self,
        call: Call,
        caller: DomainId,
        sequence: u64,
        words: &mut Values,
    ) -> Option<Result<Progress, Status>> {
        let done = |()| Progress::Complete;
        Some(match call {
            Call::Inspect => self.inspect(caller, words).map(done),
            Call::Derive => self.derive(caller, words).map(done),
            Call::Copy => self.copy(caller, words).map(done),
            Call::Move => self.move_slot(caller, words).map(done),
            Call::Delete => self.delete(caller, words).map(done),
            Call::Revoke => self.revoke(caller, sequence, words),
            _ => return None,
        })
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

    /// A revocation that had nothing to wait for is complete at once; any other one is answered when it is.
    #[inline(never)]
    fn revoke(&mut self, caller: DomainId, sequence: u64, words: &mut Values) -> Result<Progress, Status> {
        let revocation = self.begin_revocation(caller, sequence, Words(words))?;
        self.work_on(self.machine.now_ns());
        Ok(match self.take_if_complete(revocation) {
            Some(values) => {
                *words = values;
                Progress::Complete
            }
            None => Progress::Pending,
        })
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
    pub(crate) fn words(&self) -> Words<'_> {
        Words(&self.arguments)
    }
}

/// The six words of a request, and what they can stand for.
#[derive(Clone, Copy)]
pub(crate) struct Words<'a>(&'a [u64; 6]);

impl Words<'_> {
    pub(crate) fn word(self, place: usize) -> u64 {
        self.0[place]
    }

    pub(crate) fn slot(self, place: usize) -> Slot {
        Slot::from_bits(self.word(place))
    }

    pub(crate) fn trust(self, place: usize) -> Result<Trust, Status> {
        u8::try_from(self.word(place)).ok().and_then(Trust::new).ok_or(Status::BadArgument)
    }

    fn rights(self, place: usize) -> Result<Rights, Status> {
        let bits = u32::try_from(self.word(place)).map_err(|_| Status::BadArgument)?;
        Rights::from_bits(bits).ok_or(Status::BadArgument)
    }

    /// Rights, trust and badge from `place` on.
    pub(crate) fn derivation(self, place: usize) -> Result<Derivation, Status> {
        let derivation = Derivation::new(self.rights(place)?, self.trust(place + 1)?);
        Ok(derivation.with_badge(Badge(self.word(place + 2))))
    }

    /// Start and length from `place` on; no length is the parent's whole range.
    pub(crate) fn range(self, place: usize) -> Option<Range> {
        let range = Range::new(self.word(place), self.word(place + 1));
        (range.length > 0).then_some(range)
    }
}

/// How far a revocation came in the call that began it.
enum Progress {
    Complete,
    Pending,
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
