//! Endpoints and regions: objects that live as long as a capability names them.

use feuerbird_abi::{CONTRACT_BYTES, Role};

use crate::DomainId;
use crate::table::{Id, Linked, Links, List};

/// A meeting point of senders and receivers.
pub(crate) struct Endpoint {
    /// Who created it, and pays for it.
    pub(crate) owner: DomainId,
    /// Its creator's word to all who bind.
    pub(crate) terms: u64,
    /// What the first binding fixed.
    pub(crate) contract: Option<Contract>,
    /// Capabilities that name it.
    pub(crate) references: u32,
    /// Bindings made with it, in any state.
    pub(crate) bindings: u32,
    /// Those that new ones pair with, by role.
    pub(crate) bound: [List; 2],
}

impl Endpoint {
    pub(crate) fn new(owner: DomainId, terms: u64) -> Self {
        Self { owner, terms, contract: None, references: 1, bindings: 0, bound: [List::EMPTY; 2] }
    }

    pub(crate) fn bound(&mut self, role: Role) -> &mut List {
        &mut self.bound[role as usize]
    }
}

/// What both sides of an endpoint say about their messages. Opaque here: formats are not the kernel's business.
#[derive(Clone, Copy)]
pub(crate) struct Contract {
    bytes: [u8; CONTRACT_BYTES],
    length: usize,
}

impl Contract {
    /// `None` if it is too long.
    pub(crate) fn new(contract: &[u8]) -> Option<Self> {
        let mut bytes = [0; CONTRACT_BYTES];
        bytes.get_mut(..contract.len())?.copy_from_slice(contract);
        Some(Self { bytes, length: contract.len() })
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

/// Memory that one domain writes and others may map for reading.
pub(crate) struct Region<H> {
    /// Who registered it: the only one that writes it, that may share it, and that pays for it.
    pub(crate) owner: DomainId,
    pub(crate) bytes: u64,
    pub(crate) memory: H,
    /// Capabilities that name it.
    pub(crate) references: u32,
    /// Its place among its owner's regions.
    pub(crate) links: Links,
}

impl<H> Linked<()> for Region<H> {
    fn links(&mut self, (): ()) -> &mut Links {
        &mut self.links
    }

    fn next(&self, (): ()) -> Option<Id> {
        self.links.next()
    }
}
