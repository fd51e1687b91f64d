//! Call, send, reply, receive.

use feuerbird_abi::{AuditKind, MESSAGE_WORDS, Reply, Status};
use feuerbird_capability::{Derivation, ObjectKind, Rights, Slot};

use super::{INDEX_BITS, Known, Message, NOBODY, Sent, Standing, Uses};
use crate::calls::status;
use crate::table::Id;
use crate::{DomainId, Kernel, Machine};

/// What came of looking at who queues.
enum Taken {
    /// A message was handed over.
    One,
    /// Enough was looked at for one call.
    Later,
    None,
}

impl<M: Machine> Kernel<M> {
    fn take_receiver(&mut self, to: DomainId, object: u64) {
        if let Some(party) = self.transfers.parties.get_mut(to.index()) {
            party.standing = Standing::Apart;
        }
        if let Some(point) = self.transfers.points.get_mut(object as u32 as usize) {
            point.receiver = NOBODY;
        }
    }

    /// Calls through an endpoint: the caller waits for a reply, from now on. What it sends the machine has put away.
    ///
    /// Returns who has the message, if somebody has it: the machine may give that domain the caller's time.
    ///
    /// # Errors
    /// What a look-up refuses; [`Status::BadArgument`] for a message too long; [`Status::DomainGone`] where who served the
    /// endpoint has ended and nobody else has come. The caller then does not wait. Later the machine's `reply` may tell it
    /// [`Status::NoCapability`] (revoked), [`Status::DomainGone`] (the server ended) or [`Status::TimedOut`].
    pub fn call(&mut self, caller: DomainId, slot: u64, sent: Sent) -> Result<Option<DomainId>, Status> {
        self.send_or_call(caller, slot, sent, true)
    }

    /// As [`call`](Self::call), but waits only until somebody takes the message.
    ///
    /// # Errors
    /// As [`call`](Self::call).
    pub fn send(&mut self, sender: DomainId, slot: u64, sent: Sent) -> Result<Option<DomainId>, Status> {
        self.send_or_call(sender, slot, sent, false)
    }

    fn send_or_call(
        &mut self,
        sender: DomainId,
        slot: u64,
        sent: Sent,
        is_call: bool,
    ) -> Result<Option<DomainId>, Status> {
        if sent.length > MESSAGE_WORDS {
            return Err(Status::BadArgument);
        }
        let known = self.look_up(sender, slot, Uses::SEND)?;
        self.check_receiver(known.object);
        let point = self.transfers.points[known.object as u32 as usize];
        let is_deserted = point.server.domain().is_some_and(|server| !self.is_alive(server));
        if is_deserted && point.receiver == NOBODY {
            return Err(Status::DomainGone);
        }
        let party = self.transfers.party_mut(sender).ok_or(Status::DomainGone)?;
        (party.slot, party.seen, party.object) = (slot, known.seen, known.object);
        (party.badge, party.sent, party.is_call) = (known.badge, sent, is_call);
        let receiver = self.transfers.parties.get(point.receiver as usize).and_then(|it| it.domain());
        match receiver {
            Some(to) => self.hand_over(sender, to).map(|()| Some(to)),
            None => {
                self.transfers.parties[sender.index()].standing = Standing::Queued;
                self.transfers.queue(known.object as u32 as usize, sender.index() as u32);
                Ok(None)
            }
        }
    }

    /// Waits for a message at an endpoint, or takes the one that is waiting longest.
    ///
    /// # Errors
    /// What a look-up refuses; [`Status::Busy`] where another domain waits there; [`Status::Interrupted`] where the domain has
    /// been told something that it has not heard, or one that queued was refused to hand over pages: then it is to try again. Later the machine's `reply` may tell it [`Status::NoCapability`],
    /// [`Status::Interrupted`] or [`Status::TimedOut`].
    pub fn receive(&mut self, server: DomainId, slot: u64) -> Result<(), Status> {
        let known = self.look_up(server, slot, Uses::RECEIVE)?;
        self.check_receiver(known.object);
        let index = known.object as u32 as usize;
        if self.transfers.points[index].receiver != NOBODY {
            return Err(Status::Busy);
        }
        if self.machine.has_upcalls(server) {
            return Err(Status::Interrupted);
        }
        self.transfers.points[index].server = server.into();
        match self.take_queued(index, server) {
            Taken::One => return Ok(()),
            Taken::Later => return Err(Status::Interrupted),
            Taken::None => {}
        }
        let party = self.transfers.party_mut(server).ok_or(Status::DomainGone)?;
        (party.standing, party.slot) = (Standing::Receiving, slot);
        (party.seen, party.object) = (known.seen, known.object);
        self.transfers.points[index].receiver = server.index() as u32;
        Ok(())
    }

    /// Hands over the first queued message that is still allowed. At most as many steps as there are domains, of which one is long:
    /// finding out that pages may not be handed over looks through page tables.
    fn take_queued(&mut self, point: usize, server: DomainId) -> Taken {
        while let Some(index) = self.transfers.take_first(point) {
            let party = &mut self.transfers.parties[index as usize];
            party.standing = Standing::Apart;
            let (Some(sender), is_call) = (party.domain(), party.is_call) else { continue };
            let handed = match self.is_good(sender) {
                true => self.hand_over(sender, server),
                false => Err(Status::NoCapability),
            };
            match handed {
                Ok(()) if is_call => return Taken::One,
                Ok(()) => {
                    self.machine.reply(sender, &Reply::new(Status::Ok, 0, &[]));
                    return Taken::One;
                }
                Err(status) => {
                    self.machine.reply(sender, &Reply::new(status, 0, &[]));
                    if status == Status::Busy {
                        return Taken::Later;
                    }
                }
            }
        }
        Taken::None
    }

    /// Replies to a call, once. Returns the caller, whom the machine may give the time back.
    ///
    /// # Errors
    /// [`Status::NoCaller`] where nobody waits for this reply from this domain: it was used, or the caller has ended, was
    /// revoked or gave up, or it was never given; [`Status::BadArgument`] for a message too long; what granting refuses.
    pub fn reply(&mut self, server: DomainId, token: u64, sent: Sent) -> Result<DomainId, Status> {
        if sent.length > MESSAGE_WORDS {
            return Err(Status::BadArgument);
        }
        let index = token as usize % (1 << INDEX_BITS);
        let party = self.transfers.parties.get(index).filter(|party| {
            party.standing == Standing::Awaiting && party.token == token && party.server == server.into()
        });
        let caller = party.and_then(|party| party.domain()).ok_or(Status::NoCaller)?;
        if !self.is_good(caller) {
            self.give_up(caller, Status::NoCapability);
            return Err(Status::NoCaller);
        }
        let capability = self.send_along(server, sent.capability, caller)?;
        self.transfers.parties[index].standing = Standing::Apart;
        self.machine.deliver(
            server,
            caller,
            &Message { badge: 0, token: 0, length: sent.length, capability },
        );
        Ok(caller)
    }

    /// Replies, then receives. What receiving would be refused for by the capability is refused before.
    ///
    /// # Errors
    /// As [`reply`](Self::reply) and [`receive`](Self::receive); the reply has been given where it is [`Status::Busy`] or
    /// [`Status::Interrupted`].
    pub fn reply_and_receive(
        &mut self,
        server: DomainId,
        token: u64,
        slot: u64,
        sent: Sent,
    ) -> Result<Option<DomainId>, Status> {
        self.look_up(server, slot, Uses::RECEIVE)?;
        let caller = match token {
            0 => None,
            token => Some(self.reply(server, token, sent)?),
        };
        self.receive(server, slot).map(|()| caller)
    }

    /// Gives a sender's message to a receiver. Both stand apart afterwards, or the sender awaits the reply.
    fn hand_over(&mut self, from: DomainId, to: DomainId) -> Result<(), Status> {
        let party = self.transfers.party(from).ok_or(Status::DomainGone)?;
        let (sent, badge, object, is_call) = (party.sent, party.badge, party.object, party.is_call);
        let capability = self.send_along(from, sent.capability, to)?;
        let party = self.transfers.party_mut(from).ok_or(Status::DomainGone)?;
        let mut token = 0;
        if is_call {
            (party.standing, party.server) = (Standing::Awaiting, to.into());
            token = party.next_token();
        }
        self.take_receiver(to, object);
        self.machine.deliver(from, to, &Message { badge, token, length: sent.length, capability });
        Ok(())
    }

    /// Grants what goes along with a message, with all its authority; 0 is nothing.
    fn send_along(&mut self, from: DomainId, slot: u64, to: DomainId) -> Result<u64, Status> {
        if slot == 0 {
            return Ok(0);
        }
        let slot = Slot::from_bits(slot);
        let (source, target) = (self.alive(from)?.space, self.alive(to)?.space);
        self.check_handing_over(from, slot, to)?;
        let capability = self.capabilities.lookup(source, slot, Rights::GRANT).map_err(status)?;
        let whole = Derivation::all_of(&capability);
        let granted = self.capabilities.grant(source, slot, target, whole);
        let granted = granted.map_err(|error| self.refused_grant(error))?;
        self.entered(AuditKind::Granted, from, to, granted)?;
        Ok(granted.to_bits())
    }

    /// Looks a capability up, and remembers it.
    pub(super) fn look_up(&mut self, domain: DomainId, slot: u64, uses: Uses) -> Result<Known, Status> {
        let seen = self.capabilities.ended();
        if let Some(known) = self.transfers.party(domain).and_then(|it| it.known(slot, seen, uses)) {
            return Ok(*known);
        }
        let (kind, needed) = match uses {
            Uses::SEND => (ObjectKind::Endpoint, Rights::SEND),
            Uses::RECEIVE => (ObjectKind::Endpoint, Rights::RECEIVE),
            Uses::NOTIFY => (ObjectKind::Notification, Rights::SEND),
            _ => (ObjectKind::Notification, Rights::RECEIVE),
        };
        let found = self.authority(domain, Slot::from_bits(slot), kind, needed)?;
        let both = |right, use_| if found.rights.contains(right) { use_ } else { Uses::NONE };
        let (to, from) = match kind {
            ObjectKind::Endpoint => (Uses::SEND, Uses::RECEIVE),
            _ => (Uses::NOTIFY, Uses::WATCH),
        };
        let uses = Uses(both(Rights::SEND, to).0 | both(Rights::RECEIVE, from).0);
        let known = Known { slot, seen, object: found.object.id, badge: found.badge.0, uses };
        let party = self.transfers.party_mut(domain).ok_or(Status::DomainGone)?;
        party.known[slot as usize % super::KNOWN] = known;
        Ok(known)
    }

    /// Whether the capability by which a domain waits is still good.
    pub(super) fn is_good(&mut self, domain: DomainId) -> bool {
        let ended = self.capabilities.ended();
        let Some(party) = self.transfers.party(domain) else { return false };
        if party.seen == ended {
            return true;
        }
        let is_good = self.capability(domain, Slot::from_bits(party.slot)).is_ok();
        if let Some(party) = self.transfers.party_mut(domain).filter(|_| is_good) {
            party.seen = ended;
        }
        is_good
    }

    /// Who waits at an endpoint with a capability that has ended does not wait there any more.
    fn check_receiver(&mut self, object: u64) {
        let receiver = self.transfers.points[Id(object).index() as usize].receiver;
        let domain = self.transfers.parties.get(receiver as usize).and_then(|it| it.domain());
        if let Some(domain) = domain
            && !self.is_good(domain)
        {
            self.give_up(domain, Status::NoCapability);
        }
    }
}
