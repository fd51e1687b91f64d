//! Calls between domains: who gets what, and how waiting ends.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod world;

use feuerbird_abi::{Call, Status};
use feuerbird_capability::{Rights, Trust};
use feuerbird_exokernel::{DomainId, Limits, Message, Sent, Signalled};
use world::{Child, World};

const NOTHING: Sent = Sent { length: 0, capability: 0 };

/// A server with the right to receive, and clients with the right to send.
struct Service {
    world: World,
    endpoint: u64,
    server: Child,
    receiving: u64,
    clients: Vec<(Child, u64)>,
}

impl Service {
    fn new(clients: u64) -> Self {
        let mut world = World::with(Limits { domains: 8, ..Limits::SMALL });
        let endpoint = world.endpoint(0);
        let server = world.child(Trust::USER);
        let receiving = world.grant(endpoint, server, Rights::RECEIVE | Rights::GRANT, Trust::USER);
        let clients = (1..=clients).map(|badge| {
            let client = world.child(Trust::USER);
            let rights = Rights::SEND | Rights::GRANT;
            let slot = grant_badged(&mut world, endpoint, client, rights, 100 + badge);
            (client, slot)
        });
        let clients = clients.collect();
        Self { world, endpoint, server, receiving, clients }
    }

    fn call(&mut self, client: usize) -> Result<Option<DomainId>, Status> {
        let (client, slot) = self.clients[client];
        self.checked(|world| world.kernel.call(client.id, slot, NOTHING))
    }

    fn receive(&mut self) -> Result<(), Status> {
        let (server, slot) = (self.server.id, self.receiving);
        self.checked(|world| world.kernel.receive(server, slot))
    }

    fn reply(&mut self, token: u64) -> Result<DomainId, Status> {
        let server = self.server.id;
        self.checked(|world| world.kernel.reply(server, token, NOTHING))
    }

    fn checked<T>(&mut self, operation: impl FnOnce(&mut World) -> T) -> T {
        let result = operation(&mut self.world);
        assert_eq!(self.world.kernel.verify(), Ok(()));
        result
    }

    /// The last message, which must have gone this way.
    fn last(&self, from: DomainId, to: DomainId) -> Message {
        let (sender, receiver, message) = *self.world.kernel.machine().deliveries.last().unwrap();
        assert_eq!((sender, receiver), (from, to));
        message
    }

    fn deliveries(&self) -> usize {
        self.world.kernel.machine().deliveries.len()
    }

    /// How domains were answered that waited, since this was asked last.
    fn answered(&mut self) -> Vec<(DomainId, Status)> {
        let replies = std::mem::take(&mut self.world.kernel.machine_mut().replies);
        replies.iter().map(|(to, reply)| (*to, Status::from_number(reply.status).unwrap())).collect()
    }

    fn revoke(&mut self) {
        let (root, endpoint) = (self.world.root, self.endpoint);
        self.world.ok(root, Call::Revoke, &[endpoint, 0]);
    }
}

fn grant_badged(world: &mut World, slot: u64, to: Child, rights: Rights, badge: u64) -> u64 {
    world.ok(world.root, Call::Grant, &[slot, to.slot, u64::from(rights.bits()), 0, badge])[0]
}

#[test]
fn a_call_is_answered_once() {
    let mut it = Service::new(1);
    let client = it.clients[0].0.id;
    assert_eq!(it.receive(), Ok(()));
    assert_eq!(it.call(0), Ok(Some(it.server.id)));
    let Message { badge, token, .. } = it.last(client, it.server.id);
    assert!(badge == 101 && token != 0);
    assert_eq!(it.world.kernel.served_by(client), Some(it.server.id));
    assert_eq!(it.reply(token), Ok(client));
    assert_eq!(it.last(it.server.id, client), Message { badge: 0, token: 0, length: 0, capability: 0 });
    assert_eq!(it.reply(token), Err(Status::NoCaller));
    assert_eq!(it.world.kernel.served_by(client), None);
    // The next call of the same domain is another one.
    assert_eq!(it.receive(), Ok(()));
    it.call(0).unwrap();
    assert_eq!(it.reply(token), Err(Status::NoCaller));
    let next = it.last(client, it.server.id).token;
    assert_eq!(it.reply(next), Ok(client));
    assert_eq!(it.answered(), []);
}

#[test]
fn forged_slots_and_missing_rights_are_refused() {
    let mut it = Service::new(1);
    let ((client, slot), server) = (it.clients[0], it.server.id);
    for forged in [0, 1, u64::MAX, slot ^ 1 << 32, it.receiving] {
        let refused = it.checked(|world| world.kernel.call(client.id, forged, NOTHING));
        assert_eq!(refused, Err(Status::NoCapability), "{forged:#x}");
    }
    assert_eq!(it.world.kernel.receive(client.id, slot), Err(Status::MissingRight));
    assert_eq!(it.world.kernel.call(server, it.receiving, NOTHING), Err(Status::MissingRight));
    let own = it.world.ok(client.id, Call::Hello, &[])[0];
    assert_eq!(it.world.kernel.call(client.id, own, NOTHING), Err(Status::WrongKind));
    assert_eq!(it.world.kernel.notify(client.id, slot, 1), Err(Status::WrongKind));
    let long = Sent { length: 65, capability: 0 };
    assert_eq!(it.world.kernel.call(client.id, slot, long), Err(Status::BadArgument));
    assert_eq!(it.deliveries(), 0);
}

#[test]
fn a_reply_works_for_the_domain_it_was_given_to() {
    let mut it = Service::new(2);
    it.receive().unwrap();
    it.call(0).unwrap();
    let token = it.last(it.clients[0].0.id, it.server.id).token;
    let thief = it.clients[1].0.id;
    assert_eq!(it.world.kernel.reply(thief, token, NOTHING), Err(Status::NoCaller));
    for guess in [0, 1, u64::MAX, token ^ 1, token + (1 << 16)] {
        assert_eq!(it.reply(guess), Err(Status::NoCaller));
    }
    it.reply(token).unwrap();
}

#[test]
fn calls_queue_in_order_and_may_be_answered_in_any() {
    let mut it = Service::new(3);
    for client in 0..3 {
        assert_eq!(it.call(client), Ok(None));
    }
    let mut tokens = vec![];
    for client in 0..3 {
        it.receive().unwrap();
        let message = it.last(it.clients[client].0.id, it.server.id);
        assert_eq!(message.badge, 101 + client as u64);
        tokens.push(message.token);
    }
    for (client, token) in [(1, tokens[1]), (2, tokens[2]), (0, tokens[0])] {
        assert_eq!(it.reply(token), Ok(it.clients[client].0.id));
    }
    assert_eq!(it.answered(), []);
}

#[test]
fn a_message_without_reply_lets_its_sender_go_when_it_is_taken() {
    let mut it = Service::new(1);
    let ((client, slot), server) = (it.clients[0], it.server.id);
    assert_eq!(it.checked(|world| world.kernel.send(client.id, slot, NOTHING)), Ok(None));
    it.receive().unwrap();
    assert_eq!(it.last(client.id, server).token, 0);
    assert_eq!(it.answered(), [(client.id, Status::Ok)]);
    it.receive().unwrap();
    assert_eq!(it.checked(|world| world.kernel.send(client.id, slot, NOTHING)), Ok(Some(server)));
    assert_eq!(it.answered(), []);
}

#[test]
fn revocation_answers_whoever_waits_and_ends_the_reply() {
    let mut it = Service::new(2);
    it.receive().unwrap();
    it.call(0).unwrap();
    it.call(1).unwrap();
    let token = it.last(it.clients[0].0.id, it.server.id).token;
    let delivered = it.deliveries();
    it.revoke();
    let mut answered = it.answered();
    answered.sort_unstable_by_key(|(domain, _)| *domain);
    let clients = [it.clients[0].0.id, it.clients[1].0.id];
    assert_eq!(answered, clients.map(|client| (client, Status::NoCapability)));
    assert_eq!(it.reply(token), Err(Status::NoCaller));
    assert_eq!(it.receive(), Err(Status::NoCapability));
    assert_eq!(it.call(0), Err(Status::NoCapability));
    assert_eq!(it.deliveries(), delivered);
}

#[test]
fn a_revoked_receiver_is_answered() {
    let mut it = Service::new(1);
    it.receive().unwrap();
    it.revoke();
    assert_eq!(it.answered(), [(it.server.id, Status::NoCapability)]);
    assert_eq!(it.call(0), Err(Status::NoCapability));
}

/// The sweep takes its time; nothing goes through before it has come by.
#[test]
fn nothing_passes_between_revocation_and_sweep() {
    let limits = Limits { domains: 8, steps_per_call: 1, ..Limits::SMALL };
    let mut it = Service::new(2);
    it.world = World::with(limits);
    let endpoint = it.world.endpoint(0);
    let below = it.world.ok(it.world.root, Call::Derive, &[endpoint, 0x7ff, 0xf, 0, 0, 0])[0];
    it.server = it.world.child(Trust::USER);
    it.receiving = it.world.grant(endpoint, it.server, Rights::RECEIVE, Trust::USER);
    for (child, slot) in &mut it.clients {
        *child = it.world.child(Trust::USER);
        *slot = it.world.grant(below, *child, Rights::SEND, Trust::USER);
    }
    // Others that the sweep finds first.
    for _ in 0..20 {
        it.world.ok(it.world.root, Call::Copy, &[below]);
    }
    it.receive().unwrap();
    it.call(0).unwrap();
    it.call(1).unwrap();
    let token = it.last(it.clients[0].0.id, it.server.id).token;
    let delivered = it.deliveries();
    let arguments = [endpoint, 0];
    let root = it.world.root;
    let outcome = it.world.full(root, Call::Revoke, &arguments, &[], None);
    assert!(matches!(outcome, feuerbird_exokernel::Outcome::Pending));
    assert_eq!(it.reply(token), Err(Status::NoCaller));
    let fresh = it.world.grant(endpoint, it.server, Rights::RECEIVE, Trust::USER);
    it.receiving = fresh;
    it.receive().unwrap();
    assert_eq!(it.deliveries(), delivered);
    it.world.at(1);
    let refused = |domain| (domain, Status::NoCapability);
    let mut answered = it.answered();
    answered.retain(|(domain, _)| *domain != root && *domain != it.server.id);
    answered.sort_unstable_by_key(|(domain, _)| *domain);
    assert_eq!(answered, [refused(it.clients[0].0.id), refused(it.clients[1].0.id)]);
}

#[test]
fn a_server_that_ends_leaves_nobody_waiting() {
    let mut it = Service::new(3);
    it.receive().unwrap();
    it.call(0).unwrap();
    it.call(1).unwrap();
    it.world.kernel.domain_died(it.server.id);
    assert_eq!(it.world.kernel.verify(), Ok(()));
    let answered = it.answered();
    assert_eq!(answered.len(), 2);
    assert!(answered.iter().all(|(_, status)| *status == Status::DomainGone));
    assert_eq!(it.call(2), Err(Status::DomainGone));
    // Another one may take the endpoint over.
    let heir = it.clients[1].0;
    let slot = it.world.grant(it.endpoint, heir, Rights::RECEIVE, Trust::USER);
    it.checked(|world| world.kernel.receive(heir.id, slot)).unwrap();
    assert_eq!(it.call(2), Ok(Some(heir.id)));
}

#[test]
fn a_caller_that_ends_is_not_served() {
    let mut it = Service::new(3);
    it.receive().unwrap();
    (0..3).for_each(|client| {
        it.call(client).unwrap();
    });
    let token = it.last(it.clients[0].0.id, it.server.id).token;
    for client in [0, 1] {
        it.world.kernel.domain_died(it.clients[client].0.id);
        assert_eq!(it.world.kernel.verify(), Ok(()));
    }
    assert_eq!(it.reply(token), Err(Status::NoCaller));
    it.receive().unwrap();
    assert_eq!(it.last(it.clients[2].0.id, it.server.id).badge, 103);
    // A domain at the same place does not inherit the call.
    let next = it.world.child(Trust::USER);
    assert_eq!(next.id.index(), it.clients[1].0.id.index());
    assert_eq!(it.reply(token), Err(Status::NoCaller));
}

#[test]
fn who_gives_up_is_not_called_back() {
    let mut it = Service::new(2);
    it.receive().unwrap();
    it.call(0).unwrap();
    it.call(1).unwrap();
    let token = it.last(it.clients[0].0.id, it.server.id).token;
    for client in [0, 1] {
        let id = it.clients[client].0.id;
        it.checked(|world| world.kernel.give_up(id, Status::TimedOut));
        assert_eq!(it.answered(), [(id, Status::TimedOut)]);
    }
    assert_eq!(it.reply(token), Err(Status::NoCaller));
    it.receive().unwrap();
    assert_eq!(it.deliveries(), 1);
}

#[test]
fn what_a_server_is_told_comes_before_messages() {
    let mut it = Service::new(1);
    it.receive().unwrap();
    it.world.grant(it.endpoint, it.server, Rights::INSPECT, Trust::USER);
    assert_eq!(it.answered(), [(it.server.id, Status::Interrupted)]);
    it.world.kernel.machine_mut().deaf.push(it.server.id);
    assert_eq!(it.receive(), Err(Status::Interrupted));
    it.world.kernel.machine_mut().deaf.clear();
    assert_eq!(it.receive(), Ok(()));
}

#[test]
fn one_domain_receives_at_an_endpoint() {
    let mut it = Service::new(1);
    it.receive().unwrap();
    let other = it.clients[0].0;
    let slot = it.world.grant(it.endpoint, other, Rights::RECEIVE, Trust::USER);
    assert_eq!(it.world.kernel.receive(other.id, slot), Err(Status::Busy));
}

#[test]
fn a_capability_goes_along_if_it_may() {
    let mut it = Service::new(1);
    let ((client, slot), server) = (it.clients[0], it.server.id);
    it.receive().unwrap();
    let forbidden = it.world.grant(it.endpoint, client, Rights::SEND, Trust::USER);
    for (capability, status) in [(forbidden, Status::MissingRight), (77, Status::NoCapability)] {
        let sent = Sent { length: 0, capability };
        // The grant before has interrupted nobody else, and a refusal leaves the server waiting.
        assert_eq!(it.checked(|world| world.kernel.call(client.id, slot, sent)), Err(status));
    }
    let sent = Sent { length: 0, capability: slot };
    it.checked(|world| world.kernel.call(client.id, slot, sent)).unwrap();
    let message = it.last(client.id, server);
    let [kind, _, _, badge, ..] = {
        let (_, held) =
            it.world.kernel.held(server).find(|(at, _)| at.to_bits() == message.capability).unwrap();
        [held.object.kind.number(), 0, 0, held.badge.0, 0, 0]
    };
    assert_eq!((kind, badge), (2, 101));
    // It hangs on the caller's: what is revoked there is revoked here.
    it.revoke();
    assert!(it.world.kernel.held(server).all(|(at, _)| at.to_bits() != message.capability));
}

#[test]
fn a_capability_in_a_queued_message_is_revoked_with_it() {
    let mut it = Service::new(1);
    let (client, slot) = it.clients[0];
    let spare = it.world.endpoint(0);
    let along = it.world.grant(spare, client, Rights::SEND | Rights::GRANT, Trust::USER);
    let sent = Sent { length: 0, capability: along };
    it.checked(|world| world.kernel.call(client.id, slot, sent)).unwrap();
    it.world.ok(it.world.root, Call::Revoke, &[spare, 0]);
    it.receive().unwrap();
    assert_eq!(it.answered(), [(client.id, Status::NoCapability)]);
    assert_eq!(it.deliveries(), 0);
}

#[test]
fn who_listens_is_told_of_signals_that_nobody_waits_for() {
    let mut world = World::new();
    let root = world.root;
    let all = world.kernel.create_notification(root).unwrap();
    let (listener, other) = (world.child(Trust::USER), world.child(Trust::USER));
    let ear = world.grant(all, listener, Rights::RECEIVE, Trust::USER);
    let signalling = grant_badged(&mut world, all, other, Rights::SEND, 0b110);
    let kernel = &mut world.kernel;
    assert_eq!(kernel.listen(other.id, signalling, true), Err(Status::MissingRight));
    assert_eq!(kernel.notify(root, all, 1), Ok(Signalled::Kept), "nobody listens yet");
    assert_eq!(kernel.listen(listener.id, ear, true), Ok(true), "some are there");
    assert_eq!(kernel.notify(other.id, signalling, 0b1010), Ok(Signalled::Rang(listener.id)));
    assert_eq!(kernel.notify(other.id, signalling, 0b1001), Ok(Signalled::Kept), "none of its bits");
    assert_eq!(kernel.poll(listener.id, ear), Ok(Some(0b11)));
    assert_eq!(kernel.listen(root, all, true), Err(Status::Busy));
    assert_eq!(kernel.listen(root, all, false), Err(Status::Busy));
    // Who waits has them, and is told of them by that.
    assert_eq!(kernel.watch(root, all), Ok(None));
    assert_eq!(kernel.notify(other.id, signalling, 0b10), Ok(Signalled::Woke(root, 0b10)));
    assert_eq!(kernel.listen(listener.id, ear, false), Ok(false));
    assert_eq!(kernel.notify(root, all, 1), Ok(Signalled::Kept));
    // Moved, revoked, gone: each ends it, and another one can have it.
    assert_eq!(kernel.listen(listener.id, ear, true), Ok(true));
    let moved = world.ok(listener.id, Call::Move, &[ear])[0];
    assert_eq!(world.kernel.notify(root, all, 1), Ok(Signalled::Kept));
    assert_eq!(world.kernel.listen(listener.id, moved, true), Ok(true));
    world.ok(root, Call::Revoke, &[all, 0]);
    assert_eq!(world.kernel.notify(root, all, 1), Ok(Signalled::Kept));
    let ear = world.grant(all, listener, Rights::RECEIVE, Trust::USER);
    assert_eq!(world.kernel.listen(listener.id, ear, true), Ok(true));
    world.ok(root, Call::DestroyDomain, &[listener.slot]);
    assert_eq!(world.kernel.listen(root, all, true), Ok(true));
    assert_eq!(world.kernel.notify(root, all, 1), Ok(Signalled::Rang(root)));
    assert_eq!(world.kernel.verify(), Ok(()));
}

#[test]
fn signals_add_up_and_wake_who_waits() {
    let mut world = World::new();
    let root = world.root;
    let all = world.kernel.create_notification(root).unwrap();
    let (watcher, signaller) = (world.child(Trust::USER), world.child(Trust::USER));
    let watching = world.grant(all, watcher, Rights::RECEIVE, Trust::USER);
    let signalling = grant_badged(&mut world, all, signaller, Rights::SEND, 0b110);
    assert_eq!(world.kernel.notify(root, all, 0b1001), Ok(Signalled::Kept));
    assert_eq!(world.kernel.notify(signaller.id, signalling, u64::MAX), Ok(Signalled::Kept));
    assert_eq!(world.kernel.watch(watcher.id, watching), Ok(Some(0b1111)));
    assert_eq!(world.kernel.poll(watcher.id, watching), Ok(None));
    assert_eq!(world.kernel.watch(watcher.id, watching), Ok(None));
    assert_eq!(world.kernel.watch(root, all), Err(Status::Busy));
    assert_eq!(world.kernel.verify(), Ok(()));
    let woke = world.kernel.notify(signaller.id, signalling, 0b011);
    assert_eq!(woke, Ok(Signalled::Woke(watcher.id, 0b010)));
    assert_eq!(world.kernel.notify(signaller.id, signalling, 0b011), Ok(Signalled::Kept));
    assert_eq!(world.kernel.poll(watcher.id, watching), Ok(Some(0b010)));
    assert_eq!(world.kernel.watch(watcher.id, watching), Ok(None));
    let woke = world.kernel.notify(signaller.id, signalling, 0b101);
    assert_eq!(woke, Ok(Signalled::Woke(watcher.id, 0b100)));
    assert_eq!(world.kernel.notify(watcher.id, watching, 1), Err(Status::MissingRight));
    // Revoked while it waits.
    assert_eq!(world.kernel.watch(watcher.id, watching), Ok(None));
    world.ok(root, Call::Revoke, &[all, 0]);
    let (to, reply) = world.kernel.machine().replies[0];
    assert_eq!((to, reply.status), (watcher.id, Status::NoCapability as u32));
    assert_eq!(world.kernel.notify(signaller.id, signalling, 1), Err(Status::NoCapability));
    assert_eq!(world.kernel.notify(root, all, 4), Ok(Signalled::Kept));
    // Nobody names it any more: its creator can make another one instead.
    world.ok(root, Call::Delete, &[all]);
    assert_eq!(world.kernel.verify(), Ok(()));
    for _ in 0..world.kernel.limits().endpoints_per_domain {
        world.kernel.create_notification(root).unwrap();
    }
    assert_eq!(world.kernel.create_notification(root), Err(Status::QuotaExceeded));
}
