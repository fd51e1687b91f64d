//! The supervisor: the exokernel, and a loop that carries messages in and out of it.
//!
//! Control operations come through here; the data path never does.

use std::{io, os::fd::AsFd, sync::Arc, time::Duration};

use feuerbird_abi::{Call, Class, Reply, Request, Status};
use feuerbird_capability::Trust;
use feuerbird_exokernel::{Answer, DomainId, Kernel, Limits, Outcome};
use rustix::{
    event::{PollFd, PollFlags, poll},
    process::{Resource, Rlimit, getrlimit, setrlimit},
};
use zerocopy::FromBytes;

use crate::{
    machine::{Descriptor, LinuxMachine, Unheard},
    os::{
        clock,
        socket::{Listener, Message, Socket},
    },
    policy::{Admission, Grants, Policy, PolicyError},
};

/// How many messages of one domain are handled before the next domain's turn.
const BURST: usize = 32;

/// How many programs may have connected without having said who they are.
const MAX_WAITING: usize = 64;

/// The longest sleep of the loop.
const TICK: Duration = Duration::from_millis(100);

/// Limits that suit programs on one machine.
const LIMITS: Limits = Limits {
    domains: 256,
    slots_per_domain: 1024,
    along_per_domain: 256,
    endpoints_per_domain: 128,
    regions_per_domain: 512,
    bindings_per_domain: 128,
    peers_per_binding: 128,
    bindings_per_endpoint: 32,
    words_per_domain: 1024,
    children_per_domain: 250,
    ..Limits::SMALL
};

/// The exokernel over Linux. One thread runs it.
pub struct Supervisor {
    kernel: Kernel<LinuxMachine>,
    root: DomainId,
    front: Option<FrontDoor>,
}

/// Where programs that nobody started come in.
struct FrontDoor {
    listener: Listener,
    grants: Grants,
    policy: Policy,
    /// Connected, and not yet said who they want to be.
    waiting: Vec<Socket>,
    /// When to look again, after there was no descriptor for who knocks: until then nobody is let in.
    closed_until: u64,
}

impl FrontDoor {
    /// Who does not say who it is makes room for who may; whom the policy does not know, before others.
    fn send_one_away(&mut self) {
        let is_stranger = |it: &Socket| !it.peer().is_ok_and(|peer| self.policy.knows(peer));
        let place = self.waiting.iter().position(is_stranger).unwrap_or(0);
        if place < self.waiting.len() {
            self.waiting.remove(place);
        }
    }
}

impl Supervisor {
    /// A supervisor whose root domain is this program, and the root domain's end of its gate.
    ///
    /// # Errors
    /// Where Linux has no descriptors or memory left.
    pub(crate) fn embedded() -> io::Result<(Self, Socket)> {
        let (ours, theirs) = Socket::pair()?;
        Ok((Self::with_root(Some(ours))?, theirs))
    }

    /// A supervisor on its own, which admits programs by a policy.
    ///
    /// # Errors
    /// [`PolicyError`] where the policy cannot be carried out.
    pub fn alone(listener: Listener, policy: Policy) -> Result<Self, PolicyError> {
        let mut supervisor = Self::with_root(None)?;
        let grants = policy.create_endpoints(&mut supervisor.kernel, supervisor.root)?;
        if policy.admits_others() {
            listener.open_to_all()?;
        }
        supervisor.front = Some(FrontDoor { listener, grants, policy, waiting: Vec::new(), closed_until: 0 });
        Ok(supervisor)
    }

    fn with_root(gate: Option<Socket>) -> io::Result<Self> {
        // Every domain, region and gate is a descriptor here.
        let limits = getrlimit(Resource::Nofile);
        setrlimit(Resource::Nofile, Rlimit { current: limits.maximum, ..limits })?;
        let mut kernel = Kernel::new(LinuxMachine::new(LIMITS.words_per_domain), LIMITS);
        let root = kernel.boot_domain(Trust::KERNEL).map_err(io::Error::other)?;
        kernel.machine_mut().settle(root, gate).map_err(io::Error::other)?;
        Ok(Self { kernel, root, front: None })
    }

    /// Serves until `stop` says so, or until the root domain has gone.
    ///
    /// # Errors
    /// Where Linux cannot wait any more.
    pub fn run(&mut self, stop: impl Fn() -> bool) -> io::Result<()> {
        while !stop() && self.kernel.is_alive(self.root) {
            let ready = self.wait()?;
            for event in ready {
                match event {
                    Event::Speaks(domain) => self.hear(domain),
                    Event::Listens(domain) => self.kernel.machine_mut().flush(domain),
                    Event::Died(domain) => self.end(domain),
                    Event::Knocks => self.open_door(),
                    Event::Introduces(place) => self.admit(place),
                }
            }
            self.kernel.machine_mut().flush_stalled();
            self.kernel.tick(clock::now_ns());
            self.end_lost();
        }
        Ok(())
    }

    /// Sleeps until something is to be done.
    fn wait(&self) -> io::Result<Vec<Event>> {
        let machine = self.kernel.machine();
        let mut fds = Vec::new();
        let mut kinds = Vec::new();
        for (domain, resident) in &machine.residents {
            if let Some(gate) = &resident.gate {
                fds.push(PollFd::from_borrowed_fd(gate.as_fd(), PollFlags::IN));
                kinds.push(Event::Speaks(*domain));
                if resident.outbox.waits_for_room() {
                    fds.push(PollFd::from_borrowed_fd(gate.as_fd(), PollFlags::OUT));
                    kinds.push(Event::Listens(*domain));
                }
            }
            if let Some((process, _)) = &resident.process {
                fds.push(PollFd::from_borrowed_fd(process.as_fd(), PollFlags::IN));
                kinds.push(Event::Died(*domain));
            }
        }
        if let Some(front) = &self.front {
            if clock::now_ns() >= front.closed_until {
                fds.push(PollFd::from_borrowed_fd(front.listener.as_fd(), PollFlags::IN));
                kinds.push(Event::Knocks);
            }
            for (place, socket) in front.waiting.iter().enumerate() {
                fds.push(PollFd::from_borrowed_fd(socket.as_fd(), PollFlags::IN));
                kinds.push(Event::Introduces(place));
            }
        }
        let now = clock::now_ns();
        let due = self.kernel.next_deadline().map_or(TICK, |at| Duration::from_nanos(at.saturating_sub(now)));
        let servable = machine.residents.iter().filter(|(_, resident)| resident.is_servable());
        let servable: Vec<_> = servable.map(|(domain, _)| Event::Speaks(*domain)).collect();
        let due = if servable.is_empty() { due.min(TICK) } else { Duration::ZERO };
        let timeout = due.try_into().map_err(io::Error::other)?;
        match poll(&mut fds, Some(&timeout)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let ready = fds.iter().zip(kinds).filter(|(fd, _)| !fd.revents().is_empty());
        let mut ready: Vec<_> = ready.map(|(_, event)| event).chain(servable).collect();
        // What a domain said before it died still counts; and removing from the back keeps the places in front.
        ready.sort_by_key(Event::order);
        Ok(ready)
    }

    /// Handles what a domain asks.
    fn hear(&mut self, domain: DomainId) {
        for _ in 0..BURST {
            let Some(resident) = self.kernel.machine_mut().residents.get_mut(&domain) else { return };
            match resident.hear() {
                Ok(Some(message)) => self.serve(domain, message),
                Ok(None) => {}
                Err(Unheard::Nothing) => return,
                Err(Unheard::Closed) => return self.leave(domain),
                // It has ended itself.
                Err(Unheard::Misbehaved) => return self.end(domain),
            }
        }
    }

    fn serve(&mut self, domain: DomainId, mut message: Message) {
        // Who speaks is remembered only from a proper request: whoever was made to write here by mistake is nobody.
        let request = Request::read_from_bytes(message.record()).ok();
        let Some(request) = request.filter(|request| request.class == Class::Request as u32) else {
            return self.end(domain);
        };
        if !self.kernel.machine_mut().recognise(domain, message.sender) {
            return self.end(domain);
        }
        let handle = message.fds[0].take().map(Arc::new);
        let outcome = match message.has_lost_descriptors {
            // Our table of descriptors is full: not the caller's fault, and it may try again.
            true => self.kernel.refuse(domain, &request, Status::ObjectsFull),
            false => self.kernel.dispatch(domain, &request, message.payload(), handle),
        };
        match outcome {
            Outcome::Reply(answer) => self.kernel.machine_mut().answer(domain, answer),
            Outcome::Pending => {}
        }
        self.end_lost();
    }

    /// A domain closed its gate: it gave up all it had. Its program may have let go of it and go on, so it is not killed.
    fn leave(&mut self, domain: DomainId) {
        self.spare(domain);
        self.end(domain);
    }

    /// Whoever ends this domain does not kill its process.
    fn spare(&mut self, domain: DomainId) {
        if let Some(resident) = self.kernel.machine_mut().residents.get_mut(&domain) {
            resident.process = None;
        }
    }

    fn end(&mut self, domain: DomainId) {
        self.kernel.domain_died(domain);
        self.end_lost();
    }

    fn end_lost(&mut self) {
        while let Some(domain) = self.kernel.machine_mut().lost.pop() {
            // A gate that takes nothing any more was closed: we wrote to it before we heard of that.
            self.spare(domain);
            self.kernel.domain_died(domain);
        }
    }

    fn open_door(&mut self) {
        let Some(front) = &mut self.front else { return };
        match front.listener.accept_timeout(Duration::ZERO) {
            Ok(Some(socket)) => {
                if front.waiting.len() >= MAX_WAITING {
                    front.send_one_away();
                }
                front.waiting.push(socket);
            }
            Ok(None) => {}
            // No descriptor left, most likely: those who have said nothing yet hold some. Who knocks stays at the door,
            // and would be heard again at once, for ever.
            Err(_) => {
                front.send_one_away();
                front.closed_until = clock::now_ns() + TICK.as_nanos() as u64;
            }
        }
    }

    /// A program that connected says who it wants to be: its first message is `Hello` with a name.
    fn admit(&mut self, place: usize) {
        let Some(front) = &mut self.front else { return };
        if place >= front.waiting.len() {
            return;
        }
        let socket = front.waiting.swap_remove(place);
        let Ok(message) = socket.try_receive() else { return };
        let Ok(request) = Request::read_from_bytes(message.record()) else { return };
        let name = String::from_utf8_lossy(message.payload()).into_owned();
        // Who connected and who speaks must be one: a connection that was handed on, or made before a change of user, is
        // nobody's.
        let sender = message.sender.filter(|sender| socket.peer().is_ok_and(|peer| peer == *sender));
        let admission = match (Call::from_number(request.number), sender) {
            (Some(Call::Hello), Some(sender)) => front.policy.admit(&name, sender),
            _ => None,
        };
        match admission {
            Some(admission) => self.welcome(socket, &message, &request, admission),
            None => refuse(&socket, &request),
        }
    }

    fn welcome(&mut self, socket: Socket, message: &Message, request: &Request, admission: Admission) {
        let Some(front) = &self.front else { return };
        let Ok((domain, slot)) = self.kernel.adopt_domain(self.root, admission.trust) else {
            return refuse(&socket, request);
        };
        let machine = self.kernel.machine_mut();
        // The process that connected, and not whoever may have got its number since.
        let process = socket.peer_process();
        let is_known = machine.settle(domain, Some(socket)).is_ok()
            && machine.recognise_as(domain, process, message.sender);
        if is_known {
            front.grants.give(&mut self.kernel, self.root, slot, &admission);
        }
        // Admission was all that the root needed this capability for; kept, each visitor would cost a slot for ever, and one
        // who came to nothing too.
        let _ = call_as_root(&mut self.kernel, self.root, Call::Delete, &[slot.to_bits()]);
        if !is_known {
            return self.end(domain);
        }
        match self.kernel.dispatch(domain, request, &[], None) {
            Outcome::Reply(answer) => self.kernel.machine_mut().answer(domain, answer),
            Outcome::Pending => {}
        }
    }
}

/// Says no to somebody who is no domain.
fn refuse(socket: &Socket, request: &Request) {
    let reply = Reply::new(Status::NoCapability, request.sequence, &[]);
    let _ = socket.try_send(zerocopy::transmute_ref!(&reply), &[], &[]);
}

/// What the loop woke up for.
#[derive(Clone, Copy, Debug)]
enum Event {
    Speaks(DomainId),
    Listens(DomainId),
    Died(DomainId),
    Knocks,
    Introduces(usize),
}

impl Event {
    fn order(&self) -> (u8, usize) {
        match self {
            Self::Speaks(_) | Self::Listens(_) => (0, 0),
            Self::Died(_) => (1, 0),
            Self::Introduces(place) => (2, usize::MAX - place),
            Self::Knocks => (3, 0),
        }
    }
}

/// Makes a call as the root domain, which is the supervisor itself, and returns its first value.
pub(crate) fn call_as_root(
    kernel: &mut Kernel<LinuxMachine>,
    root: DomainId,
    call: Call,
    arguments: &[u64],
) -> Result<Answer<Descriptor>, Status> {
    match kernel.dispatch(root, &Request::new(call, 0, arguments), &[], None) {
        Outcome::Reply(answer) => match Status::from_number(answer.reply.status) {
            Some(Status::Ok) => Ok(answer),
            Some(status) => Err(status),
            None => unreachable!("the kernel answers with statuses"),
        },
        Outcome::Pending => unreachable!("only revocations with a deadline wait"),
    }
}
