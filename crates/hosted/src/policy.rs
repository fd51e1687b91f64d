//! Who may come in by the front door, and what they get: a TOML file.
//!
//! ```toml
//! [[endpoint]]
//! name = "telemetry"
//! message_bytes = 4096        # the largest message, encoded
//! depth = 256                 # optional: messages in a lane, a power of two
//! overflow = "wait"           # or "drop-oldest"
//!
//! [[domain]]
//! name = "sensor"             # what a program asks to be
//! uid = 1000                  # who may: SO_PEERCRED decides, not the program
//! gid = 1000                  # optional
//! trust = 4                   # 0 to 15
//! grants = [{ endpoint = "telemetry", rights = ["send"], badge = 1 }]
//! ```

use std::{collections::BTreeMap, io, path::Path};

use feuerbird_abi::{Call, Status};
use feuerbird_capability::{Rights, Slot, Trust};
use feuerbird_channel::{Overflow, Terms, TermsError};
use feuerbird_exokernel::{DomainId, Kernel};
use serde::Deserialize;

use crate::{machine::LinuxMachine, os::socket::Credentials, supervisor::call_as_root};

/// What a supervisor of its own admits.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    #[serde(default)]
    endpoint: Vec<Endpoint>,
    #[serde(default)]
    domain: Vec<Entry>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Endpoint {
    name: String,
    message_bytes: u32,
    depth: Option<u32>,
    #[serde(default)]
    overflow: OverflowName,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum OverflowName {
    #[default]
    Wait,
    DropOldest,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: String,
    uid: u32,
    gid: Option<u32>,
    trust: u8,
    #[serde(default)]
    grants: Vec<GrantEntry>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct GrantEntry {
    endpoint: String,
    rights: Vec<RightName>,
    #[serde(default)]
    badge: u64,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum RightName {
    Send,
    Receive,
    Grant,
    Derive,
    Revoke,
    Inspect,
}

/// Why a policy cannot be read or carried out. All of it is the policy's author's to mend, except the last two.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// The file is not TOML of this form.
    #[error("the policy is not valid: {0}")]
    Syntax(#[from] Box<toml::de::Error>),
    /// A name is used twice.
    #[error("the policy names \"{0}\" twice; give each endpoint and each domain a name of its own")]
    Twice(String),
    /// A grant names an endpoint that is not there.
    #[error(
        "the policy grants endpoint \"{0}\", which it does not define; add an [[endpoint]] with that name"
    )]
    NoEndpoint(String),
    /// An endpoint's terms make no sense.
    #[error("endpoint \"{0}\": {1}")]
    Terms(String, TermsError),
    /// A trust above 15.
    #[error("domain \"{0}\": trust goes from 0 to 15")]
    Trust(String),
    /// The kernel has no room.
    #[error("the supervisor could not carry the policy out: {0}")]
    Kernel(Status),
    /// Linux said no.
    #[error("the policy or the supervisor's memory could not be had: {0}")]
    Io(#[from] io::Error),
}

/// Who somebody turned out to be.
#[derive(Clone, Debug)]
pub(crate) struct Admission {
    pub(crate) trust: Trust,
    entry: usize,
}

/// The capabilities behind the policy's endpoints, in the root domain's space.
pub(crate) struct Grants {
    endpoints: BTreeMap<String, Slot>,
    entries: Vec<Entry>,
}

impl Policy {
    /// Reads a policy file.
    ///
    /// # Errors
    /// [`PolicyError`].
    pub fn read(path: &Path) -> Result<Self, PolicyError> {
        Self::parse(&std::fs::read_to_string(path)?)
    }

    /// Reads a policy from text, and checks that it makes sense.
    ///
    /// # Errors
    /// [`PolicyError`].
    pub fn parse(text: &str) -> Result<Self, PolicyError> {
        let policy: Self = toml::from_str(text).map_err(Box::new)?;
        let mut endpoints = std::collections::BTreeSet::new();
        for endpoint in &policy.endpoint {
            endpoint.terms().map_err(|error| PolicyError::Terms(endpoint.name.clone(), error))?;
            if !endpoints.insert(endpoint.name.as_str()) {
                return Err(PolicyError::Twice(endpoint.name.clone()));
            }
        }
        let mut names = std::collections::BTreeSet::new();
        for entry in &policy.domain {
            if !names.insert(entry.name.as_str()) {
                return Err(PolicyError::Twice(entry.name.clone()));
            }
            Trust::new(entry.trust).ok_or_else(|| PolicyError::Trust(entry.name.clone()))?;
            if let Some(missing) =
                entry.grants.iter().find(|grant| !endpoints.contains(grant.endpoint.as_str()))
            {
                return Err(PolicyError::NoEndpoint(missing.endpoint.clone()));
            }
        }
        Ok(policy)
    }

    /// Whether users other than this process's may come in. Then every user may connect, and this policy decides.
    pub fn admits_others(&self) -> bool {
        let uid = rustix::process::geteuid().as_raw();
        self.domain.iter().any(|entry| entry.uid != uid)
    }

    /// Whether somebody may be anything at all.
    pub(crate) fn knows(&self, who: Credentials) -> bool {
        self.admit("", who).is_some()
    }

    /// Whether somebody may be who it asks to be. An empty name means: whatever its user may be, the first entry.
    pub(crate) fn admit(&self, name: &str, who: Credentials) -> Option<Admission> {
        let fits = |entry: &Entry| {
            (name.is_empty() || name == entry.name)
                && entry.uid == who.uid
                && entry.gid.is_none_or(|gid| gid == who.gid)
        };
        let entry = self.domain.iter().position(fits)?;
        Some(Admission { trust: Trust::new(self.domain[entry].trust)?, entry })
    }

    /// Makes the policy's endpoints, owned by the root domain.
    pub(crate) fn create_endpoints(
        &self,
        kernel: &mut Kernel<LinuxMachine>,
        root: DomainId,
    ) -> Result<Grants, PolicyError> {
        let mut endpoints = BTreeMap::new();
        for endpoint in &self.endpoint {
            let terms = endpoint.terms().map_err(|error| PolicyError::Terms(endpoint.name.clone(), error))?;
            let answer = call_as_root(kernel, root, Call::CreateEndpoint, &[terms.to_bits()])
                .map_err(PolicyError::Kernel)?;
            endpoints.insert(endpoint.name.clone(), Slot::from_bits(answer.reply.values[0]));
        }
        Ok(Grants { endpoints, entries: self.domain.clone() })
    }
}

impl Grants {
    /// Gives a domain what its entry says. A grant that the kernel refuses is in its audit log.
    pub(crate) fn give(
        &self,
        kernel: &mut Kernel<LinuxMachine>,
        root: DomainId,
        to: Slot,
        admission: &Admission,
    ) {
        for grant in &self.entries[admission.entry].grants {
            let Some(slot) = self.endpoints.get(&grant.endpoint) else { continue };
            let rights = grant.rights.iter().fold(Rights::empty(), |rights, right| rights | right.rights());
            let arguments = [
                slot.to_bits(),
                to.to_bits(),
                u64::from(rights.bits()),
                u64::from(admission.trust.level()),
                grant.badge,
            ];
            let _ = call_as_root(kernel, root, Call::Grant, &arguments);
        }
    }
}

impl Endpoint {
    fn terms(&self) -> Result<Terms, TermsError> {
        let terms = match self.depth {
            Some(depth) => Terms::new(self.message_bytes, depth)?,
            None => Terms::sized(self.message_bytes)?,
        };
        Ok(terms.overflow(match self.overflow {
            OverflowName::Wait => Overflow::Wait,
            OverflowName::DropOldest => Overflow::DropOldest,
        }))
    }
}

impl RightName {
    fn rights(self) -> Rights {
        match self {
            Self::Send => Rights::SEND,
            Self::Receive => Rights::RECEIVE,
            Self::Grant => Rights::GRANT,
            Self::Derive => Rights::DERIVE,
            Self::Revoke => Rights::REVOKE,
            Self::Inspect => Rights::INSPECT,
        }
    }
}
