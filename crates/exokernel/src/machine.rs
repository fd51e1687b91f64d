//! What the kernel needs from the machine below it.

use feuerbird_abi::{AuditRecord, Reply, Status, Upcall};
use feuerbird_capability::{Capability, Slot};

use crate::{DomainId, Message};

/// What the kernel needs from the machine below it: a clock, memory that can be handed over, and ways to reach a domain.
///
/// Implemented by each home (Linux processes, page tables) and by [`fake::FakeMachine`](crate::fake::FakeMachine). The
/// kernel decides who may do what; the machine only carries it out and must not second-guess it.
///
/// What the kernel expects:
/// * No method calls back into the kernel, blocks on a domain, or panics for anything a domain did. What a domain does
///   not take at once the machine keeps for it: nobody is ended because of what others have it told. It need not keep
///   what a later upcall undoes, and not that later one either: a grant and its repossession, a peer that joined and left.
/// * What one domain is told arrives in the order of the calls, and after the validity words that changed before it.
/// * After [`destroy_domain`](Self::destroy_domain) the kernel says nothing more about that domain.
pub trait Machine {
    /// A thing that can be passed to a domain beside a record: memory, a death notice, a gate. Cheap to clone.
    type Handle: Clone;

    /// The monotonic clock, in nanoseconds.
    fn now_ns(&self) -> u64;

    /// Makes room for a domain that another one asked for, and returns that domain's end of its gate where the home
    /// passes gates on.
    ///
    /// Not called for domains that the home itself brings in by [`Kernel::boot_domain`](crate::Kernel::boot_domain) or
    /// [`Kernel::adopt_domain`](crate::Kernel::adopt_domain).
    ///
    /// # Errors
    /// A status below 64; the domain is then forgotten.
    fn create_domain(&mut self, domain: DomainId) -> Result<Option<Self::Handle>, Status>;

    /// Ends a domain: stops it if it still runs, and frees what the machine kept for it. Called once for each domain.
    fn destroy_domain(&mut self, domain: DomainId);

    /// The memory of a domain's validity words, for reading: [`Limits::words_per_domain`](crate::Limits) words, zero at
    /// first, writable by the machine only.
    fn validity_words(&self, domain: DomainId) -> Option<Self::Handle>;

    /// Something that tells another domain when this one has ended, where the home has such a thing.
    fn death_notice(&self, domain: DomainId) -> Option<Self::Handle>;

    /// Writes one validity word of a domain. Nobody sleeps on it: who waits looks at it between two sleeps.
    fn set_validity(&mut self, domain: DomainId, word: u32, value: u32);

    /// Takes memory back that a domain was let map and does not own: its handles for it are of no use from now on, and when
    /// [`go_on`](Self::go_on) says so, whatever it has mapped of it reads as zeroes on every processor. A home that cannot reach into
    /// mappings does nothing, as on Linux: there, what is published later lies in other memory.
    fn withdraw(&mut self, domain: DomainId, memory: &Self::Handle) {
        let _ = (domain, memory);
    }

    /// Lets a domain keep what it has of memory that a peer shared and left behind, at its own cost and as it is now: whoever writes that
    /// memory is not kept from having its frames back. Where the domain cannot pay, as [`withdraw`](Self::withdraw). A home whose
    /// mappings cost their writer nothing does nothing.
    fn keep(&mut self, domain: DomainId, memory: &Self::Handle) {
        let _ = (domain, memory);
    }

    /// Takes back what the home did by a capability for slices, ports or interrupt lines, which is gone, and so is the time that its holder
    /// had: before this returns, nobody runs anew in those slices by it, and the lines that were taken by it are silent.
    fn take_back(&mut self, slot: Slot, capability: &Capability) {
        let _ = (slot, capability);
    }

    /// A capability for slices, ports or interrupt lines is in another slot, and what was done by it stays.
    fn follow(&mut self, old: Slot, new: Slot, capability: &Capability) {
        let _ = (old, new, capability);
    }

    /// As [`withdraw`](Self::withdraw), of what the home lets readers of the audit log map: this domain is none any more.
    fn withdraw_log(&mut self, domain: DomainId) {
        let _ = domain;
    }

    /// Whether anybody but its holder has a part of memory, by a handle, a mapping or a region. The table of frames, which asks, has it
    /// once and is not meant. Only for homes that use [`mint_frames`](crate::Kernel::mint_frames).
    fn is_shared(&self, holder: DomainId, memory: &Self::Handle) -> bool {
        let _ = (holder, memory);
        true
    }

    /// Moves memory from one domain, which may have ended, to another: as [`withdraw`](Self::withdraw) from the first one, and then the
    /// other one may map it, for writing too where it says so, and not before. The two can be the same domain, which may write it
    /// from now on or may not. What nobody may write for ever stays so.
    fn hand_over(&mut self, memory: &Self::Handle, from: DomainId, to: DomainId, is_writable: bool) {
        let _ = (memory, from, to, is_writable);
    }

    /// Whether something is left to be done of what was withdrawn or handed over.
    fn is_withdrawing(&self) -> bool {
        false
    }

    /// Whether that is memory which somebody is still to lose: nobody may map it anew before.
    fn is_on_its_way(&self, memory: &Self::Handle) -> bool {
        let _ = memory;
        false
    }

    /// Does a bounded part of that.
    fn go_on(&mut self) {}

    /// Whether memory has this size and can be written by `domain` only, and neither grow nor shrink, for ever.
    ///
    /// # Errors
    /// [`Status::NotSealed`], [`Status::BadArgument`] for another size, [`Status::NoHandle`] for another sort of handle.
    fn check_sealed(&self, domain: DomainId, memory: &Self::Handle, bytes: u64) -> Result<(), Status>;

    /// Tells a domain something unasked.
    fn upcall(&mut self, domain: DomainId, upcall: &Upcall, handle: Option<&Self::Handle>);

    /// Hands a message over, and lets `to` go on with it: the words are where `from` left them when it called, sent or replied.
    ///
    /// Only for homes that use the kernel's [`call`](crate::Kernel::call) and its like; others need not do anything.
    fn deliver(&mut self, from: DomainId, to: DomainId, message: &Message) {
        let _ = (from, to, message);
    }

    /// A record has come into the audit log, for homes that publish it as it comes.
    fn record(&mut self, record: &AuditRecord) {
        let _ = record;
    }

    /// Whether a domain has been told something that it has not heard: then it does not wait for messages.
    fn has_upcalls(&self, domain: DomainId) -> bool {
        let _ = domain;
        false
    }

    /// Answers a request that [`Kernel::dispatch`](crate::Kernel::dispatch) left pending.
    fn reply(&mut self, domain: DomainId, reply: &Reply);
}
