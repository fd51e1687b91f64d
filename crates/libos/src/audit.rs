//! Reading the audit log.

use alloc::vec::Vec;

use feuerbird_abi::{AuditRecord, Call, PAYLOAD_BYTES};
use zerocopy::FromBytes;

use crate::{Error, Gate, Handle};

/// A capability that names the audit log.
pub struct AuditLog<G: Gate>(pub(crate) Handle<G>);

/// A piece of the audit log, oldest record first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditPiece {
    /// The records; empty where there are no more.
    pub records: Vec<AuditRecord>,
    /// How many records before the first one here were asked for and are lost: the log keeps the newest.
    pub lost: u64,
    /// Where to go on.
    pub next: u64,
}

impl<G: Gate> AuditLog<G> {
    /// Reads a handle as naming the audit log; the kernel refuses later where it does not.
    pub fn new(handle: Handle<G>) -> Self {
        Self(handle)
    }

    /// The capability.
    pub fn handle(&self) -> &Handle<G> {
        &self.0
    }

    /// Reads some records from number `first` on (1 is the first ever).
    ///
    /// # Errors
    /// [`Error::Refused`].
    pub fn read(&self, first: u64) -> Result<AuditPiece, Error> {
        let domain = &self.0.domain;
        let request = domain.request(Call::ReadAudit, &[self.0.slot.to_bits(), first]);
        let mut payload = [0; PAYLOAD_BYTES];
        let answer = domain.gate().call(request, &[], None, &mut payload)?;
        let [next, lost, ..] = answer.reply.values;
        let records = payload[..answer.payload].chunks_exact(size_of::<AuditRecord>());
        let records = records.filter_map(|bytes| AuditRecord::read_from_bytes(bytes).ok()).collect();
        Ok(AuditPiece { records, lost, next })
    }

    /// Reads everything that is there now, from number `first` on.
    ///
    /// # Errors
    /// [`Error::Refused`].
    pub fn read_all(&self, first: u64) -> Result<AuditPiece, Error> {
        let mut all = self.read(first)?;
        loop {
            let more = self.read(all.next)?;
            if more.records.is_empty() {
                return Ok(all);
            }
            all.records.extend(more.records);
            all.lost += more.lost;
            all.next = more.next;
        }
    }
}
