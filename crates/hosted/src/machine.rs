//! The exokernel's machine, made of Linux: sockets, memfds and pidfds.

use std::{
    collections::{HashMap, VecDeque},
    io,
    os::fd::{AsFd, OwnedFd},
    sync::{Arc, atomic::Ordering},
};

use feuerbird_abi::{Reply, Status, Upcall};
use feuerbird_exokernel::{Answer, DomainId, Machine};
use feuerbird_zero_copy::WriteRegion;
use rustix::process::{Signal, pidfd_send_signal};

use crate::{
    os::{
        clock, death,
        memory::{WriterMemory, check_backed, check_sealed},
        socket::{Credentials, Message, ReceiveError, Socket},
    },
    outbox::{Outbox, Parcel},
};

/// Memory, a process or a gate, on its way between domains.
pub(crate) type Descriptor = Arc<OwnedFd>;

/// How many requests of a domain that does not read its replies are kept: as many as a program may reasonably have threads. Beyond,
/// it is flooding.
const MAX_UNSERVED: usize = 1024;

/// How many messages of ours a domain's socket holds; the others wait here, where their descriptors count for nobody else.
const MAX_UNREAD: usize = 32;

/// What the supervisor keeps for each domain.
#[derive(Debug)]
pub(crate) struct Resident {
    /// The supervisor's end of the domain's gate. `None` for the supervisor's own root domain.
    pub(crate) gate: Option<Socket>,
    /// What its socket did not take yet.
    pub(crate) outbox: Outbox,
    /// What it asked while it might not, without the descriptors that came along: parked in a socket that nobody reads, they would
    /// count against all programs of its user.
    pub(crate) unserved: VecDeque<Message>,
    /// The process, once it has spoken, and who it is: nobody else may speak for the domain.
    pub(crate) process: Option<(Descriptor, Credentials)>,
    words: Option<(WriterMemory, Descriptor)>,
}

impl Resident {
    fn new(gate: Option<Socket>, words: Option<(WriterMemory, Descriptor)>) -> Self {
        Self { gate, outbox: Outbox::default(), unserved: VecDeque::new(), process: None, words }
    }

    /// What it asks next, if it may ask. What comes while it may not is kept for later.
    pub(crate) fn hear(&mut self) -> Result<Option<Message>, Unheard> {
        let Some(gate) = &self.gate else { return Err(Unheard::Nothing) };
        if self.is_servable() {
            let next = self.unserved.pop_front();
            if self.unserved.is_empty() {
                // Not kept for the next time.
                self.unserved = VecDeque::new();
            }
            return Ok(next);
        }
        let mut message = gate.try_receive()?;
        if self.outbox.may_ask() {
            return Ok(Some(message));
        }
        message.lose_descriptors();
        self.unserved.push_back(message);
        if self.unserved.len() > MAX_UNSERVED { Err(Unheard::Misbehaved) } else { Ok(None) }
    }

    /// Whether something that it asked may be served now.
    pub(crate) fn is_servable(&self) -> bool {
        !self.unserved.is_empty() && self.outbox.may_ask()
    }
}

/// Why nothing was heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unheard {
    /// There is nothing for the moment.
    Nothing,
    /// The domain closed its gate.
    Closed,
    /// It breaks the message format, or floods without listening.
    Misbehaved,
}

impl From<ReceiveError> for Unheard {
    fn from(error: ReceiveError) -> Self {
        match error {
            ReceiveError::Empty => Self::Nothing,
            ReceiveError::Closed => Self::Closed,
            _ => Self::Misbehaved,
        }
    }
}

/// Linux, for the exokernel.
#[derive(Debug)]
pub(crate) struct LinuxMachine {
    pub(crate) residents: HashMap<DomainId, Resident>,
    words_per_domain: u32,
    /// Domains that have closed their gates: the supervisor ends them.
    pub(crate) lost: Vec<DomainId>,
    own_pid: u32,
}

impl LinuxMachine {
    pub(crate) fn new(words_per_domain: u32) -> Self {
        Self { residents: HashMap::new(), words_per_domain, lost: Vec::new(), own_pid: std::process::id() }
    }

    /// Makes room for a domain that the home brings in, before the kernel speaks of it.
    pub(crate) fn settle(&mut self, domain: DomainId, gate: Option<Socket>) -> Result<(), Status> {
        // What goes with them counts against all programs of its user until the domain reads it.
        let bounded = gate.as_ref().map_or(Ok(()), |gate| gate.hold_at_most(MAX_UNREAD));
        bounded.map_err(|_| Status::ObjectsFull)?;
        // 8 bytes a word, in whole pages; what a reader maps is checked to the byte.
        let bytes = self.words_bytes();
        let (words, descriptor) =
            WriterMemory::create("feuerbird-validity", bytes).map_err(|_| Status::ObjectsFull)?;
        let words = Some((words, Arc::new(descriptor)));
        self.residents.insert(domain, Resident::new(gate, words));
        Ok(())
    }

    /// Remembers which process speaks for a domain, the first time; afterwards, whether it is the same one.
    pub(crate) fn recognise(&mut self, domain: DomainId, sender: Option<Credentials>) -> bool {
        let (Some(resident), Some(sender)) = (self.residents.get_mut(&domain), sender) else { return false };
        match &resident.process {
            Some((_, known)) => known.pid == sender.pid,
            None => self.recognise_as(domain, death::open(sender.pid), Some(sender)),
        }
    }

    /// Remembers that this process speaks for a domain, if it is there.
    pub(crate) fn recognise_as(
        &mut self,
        domain: DomainId,
        process: io::Result<OwnedFd>,
        sender: Option<Credentials>,
    ) -> bool {
        let resident = self.residents.get_mut(&domain);
        let (Some(resident), Ok(process), Some(sender)) = (resident, process, sender) else { return false };
        resident.process = Some((Arc::new(process), sender));
        true
    }

    /// Hands an answer to its caller.
    pub(crate) fn answer(&mut self, domain: DomainId, answer: Answer<Descriptor>) {
        let record = zerocopy::transmute!(answer.reply);
        self.tell(domain, Parcel { record, payload: (*answer.payload).into(), handle: answer.handle });
    }

    /// Sends what waits for a domain, as far as its socket takes it.
    pub(crate) fn flush(&mut self, domain: DomainId) {
        let Some(resident) = self.residents.get_mut(&domain) else { return };
        let Some(gate) = &resident.gate else { return };
        if resident.outbox.flush(gate).is_err() {
            self.lost.push(domain);
        }
    }

    /// Tries again where nothing tells that there is room.
    pub(crate) fn flush_stalled(&mut self) {
        let stalled = self.residents.iter().filter(|(_, resident)| resident.outbox.is_stalled());
        let stalled: Vec<_> = stalled.map(|(domain, _)| *domain).collect();
        stalled.into_iter().for_each(|domain| self.flush(domain));
    }

    /// Sends without ever waiting: what the socket does not take waits.
    fn tell(&mut self, domain: DomainId, parcel: Parcel) {
        let Some(resident) = self.residents.get_mut(&domain) else { return };
        let Some(gate) = &resident.gate else { return };
        if resident.outbox.send(gate, parcel).is_err() {
            self.lost.push(domain);
        }
    }

    fn words_bytes(&self) -> usize {
        self.words_per_domain as usize * 8
    }
}

impl Machine for LinuxMachine {
    type Handle = Descriptor;

    fn now_ns(&self) -> u64 {
        clock::now_ns()
    }

    fn create_domain(&mut self, domain: DomainId) -> Result<Option<Descriptor>, Status> {
        let (ours, theirs) = Socket::pair().map_err(|_| Status::ObjectsFull)?;
        self.settle(domain, Some(ours))?;
        Ok(Some(Arc::new(theirs.into())))
    }

    fn destroy_domain(&mut self, domain: DomainId) {
        let Some(resident) = self.residents.remove(&domain) else { return };
        // Whether or not it can be killed: nothing that it has bound is valid any more.
        if let Some((words, _)) = &resident.words {
            words.writable().iter().for_each(|word| word.store(0, Ordering::SeqCst));
        }
        if let Some((process, credentials)) = resident.process
            && credentials.pid != self.own_pid
        {
            // It may be dead already.
            let _ = pidfd_send_signal(process.as_fd(), Signal::KILL);
        }
    }

    fn validity_words(&self, domain: DomainId) -> Option<Descriptor> {
        let (_, descriptor) = self.residents.get(&domain)?.words.as_ref()?;
        Some(Arc::clone(descriptor))
    }

    fn death_notice(&self, domain: DomainId) -> Option<Descriptor> {
        let (process, _) = self.residents.get(&domain)?.process.as_ref()?;
        Some(Arc::clone(process))
    }

    fn set_validity(&mut self, domain: DomainId, word: u32, value: u32) {
        let Some((words, _)) = self.residents.get(&domain).and_then(|resident| resident.words.as_ref())
        else {
            return;
        };
        let Some(word) = words.writable().get(word as usize) else { return };
        // Nobody sleeps on it: who waits for a peer looks at this word between two sleeps.
        word.store(u64::from(value), Ordering::SeqCst);
    }

    fn check_sealed(&self, _: DomainId, memory: &Descriptor, bytes: u64) -> Result<(), Status> {
        let bytes = usize::try_from(bytes).map_err(|_| Status::BadArgument)?;
        check_sealed(memory.as_fd(), bytes).map_err(|_| Status::NotSealed)?;
        check_backed(memory.as_fd()).map_err(|_| Status::NotSealed)
    }

    fn upcall(&mut self, domain: DomainId, upcall: &Upcall, handle: Option<&Descriptor>) {
        let record = zerocopy::transmute!(*upcall);
        self.tell(domain, Parcel { record, payload: Box::default(), handle: handle.cloned() });
    }

    fn reply(&mut self, domain: DomainId, reply: &Reply) {
        let record = zerocopy::transmute!(*reply);
        self.tell(domain, Parcel { record, payload: Box::default(), handle: None });
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;
    use crate::os::socket::SendError;

    /// With the most domains that there may be, all gates hold fewer descriptors than a sandboxed program may have on their way.
    #[test]
    fn a_gate_that_nobody_reads_holds_few_descriptors() {
        let (ours, theirs) = Socket::pair().unwrap();
        let mut machine = LinuxMachine::new(512);
        let file = std::fs::File::open("/dev/null").unwrap();
        let domain =
            feuerbird_exokernel::Kernel::new(LinuxMachine::new(512), feuerbird_exokernel::Limits::SMALL)
                .boot_domain(feuerbird_capability::Trust::KERNEL)
                .unwrap();
        machine.settle(domain, Some(ours)).unwrap();
        let gate = machine.residents[&domain].gate.as_ref().unwrap();
        let send = || gate.try_send(&[0; 64], &[], &[file.as_fd()]);
        let sent = (0..1000).map(|_| send()).take_while(Result::is_ok).count();
        assert_eq!(send(), Err(SendError::Full));
        assert!((8..=39).contains(&sent), "{sent} messages");
        // A message of any size passes.
        (0..sent).for_each(|_| drop(theirs.try_receive().unwrap()));
        gate.try_send(&[0; 64], &[0; feuerbird_abi::PAYLOAD_BYTES], &[file.as_fd()]).unwrap();
    }
}
