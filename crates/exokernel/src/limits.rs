//! How large the kernel's tables are.

/// How large the kernel's tables are. Nothing grows after construction.
///
/// All that is "per domain" is charged to the domain that asks, so that one domain can use up its own share only. What it
/// costs others to be talked to is limited apart: a pair of bindings takes a validity word on each side, and each side
/// makes memory for it, so that `peers_per_binding` bounds what peers can cost a binding, and `bindings_per_endpoint` how much
/// of that is one domain's. Only a domain that was granted an endpoint can cost its others anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Domains at one time.
    pub domains: u32,
    /// Capabilities in one domain's space.
    pub slots_per_domain: u32,
    /// Capabilities in one domain's space that came along with messages and lie where they came, of all its peers, also of those that
    /// are gone: less than a space has, so that who sends cannot fill it.
    pub along_per_domain: u32,
    /// Endpoints that one domain has created and that are still in use.
    pub endpoints_per_domain: u32,
    /// Regions that one domain has registered.
    pub regions_per_domain: u32,
    /// Bytes in all regions of one domain.
    pub region_bytes_per_domain: u64,
    /// Memory objects that capabilities name, or that somebody has notice of, in homes that have memory of their own; as many as there are
    /// slots and notices are enough.
    pub memory_objects: u32,
    /// Bindings that one domain has.
    pub bindings_per_domain: u32,
    /// Bindings of one role that one domain has at one endpoint: less than `peers_per_binding`, so that one domain cannot
    /// be all the peers that others' bindings there have room for.
    pub bindings_per_endpoint: u32,
    /// Validity words of one domain: one for each binding and one for each peer of each binding.
    pub words_per_domain: u32,
    /// Peers of one binding. Whoever would be one more is not paired with it, and told that it is gone.
    pub peers_per_binding: u32,
    /// Revocations of one domain that have not been answered.
    pub revocations_per_domain: u32,
    /// Revoked capabilities that one domain is given time to let go of at one time, bindings apart. Of more it has none. Whoever may grant
    /// to a domain can use them up, for as long as that one lets nothing go: then what others revoke of it goes at once.
    pub notices_per_domain: u32,
    /// Domains below a first domain: those it has created, those that these have created, and so on. A created domain gets
    /// an eighth of its creator's quota as its own, and each domain counts against all above it: whoever one domain lets
    /// create more can use up an eighth of what it has.
    pub children_per_domain: u32,
    /// Records in the audit ring.
    pub audit_records: u32,
    /// Refused calls of one domain that are written down one by one within a turn of the audit ring. The others are
    /// counted, in records that come when the count is a power of two, so that no number of refused calls pushes out what
    /// others did.
    pub refusals_per_turn: u32,
    /// Steps of unfinished work (a capability swept, a pair ended) that one call may do on the side. At least 1.
    pub steps_per_call: u32,
}

impl Limits {
    /// Enough for tests and demonstrations: a few megabytes of tables.
    pub const SMALL: Self = Self {
        domains: 64,
        slots_per_domain: 512,
        along_per_domain: 128,
        endpoints_per_domain: 64,
        regions_per_domain: 256,
        region_bytes_per_domain: 1 << 32,
        memory_objects: 0,
        bindings_per_domain: 64,
        bindings_per_endpoint: 16,
        words_per_domain: 256,
        peers_per_binding: 64,
        revocations_per_domain: 8,
        notices_per_domain: 16,
        children_per_domain: 48,
        audit_records: 4096,
        refusals_per_turn: 16,
        steps_per_call: 512,
    };
}

impl Default for Limits {
    fn default() -> Self {
        Self::SMALL
    }
}
