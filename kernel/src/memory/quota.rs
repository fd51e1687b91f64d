//! Who pays for frames, and how many there may be of each one's.
//!
//! A domain has an **account** once its creator has handed it an amount; until then its creator's account pays, as that domain could
//! have used the frames itself. Amounts are handed down, never made: their sum is what the machine had when the first domain
//! began. When a domain ends, its amount, and whatever it still pays for because others use it, goes back to who handed it down.

use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use feuerbird_abi::Status;
use feuerbird_exokernel::DomainId;

use crate::memory::object::{self, NOBODY, NONE};

/// The most domains at one time.
pub(crate) const MAX_DOMAINS: usize = 256;

/// One for each domain. Written under the kernel's lock only; atomic so that the table can be a static.
struct Account {
    /// The domain, 0 for none.
    domain: AtomicU64,
    /// Whose account pays for this domain: its own, or one of those above it.
    payer: AtomicU64,
    /// Who handed the amount down, and gets it back.
    giver: AtomicU64,
    amount: AtomicU32,
    used: AtomicU32,
    /// The first of the memory objects that it pays for.
    objects: AtomicU32,
}

static ACCOUNTS: [Account; MAX_DOMAINS] = [const {
    Account {
        domain: AtomicU64::new(0),
        payer: AtomicU64::new(0),
        giver: AtomicU64::new(0),
        amount: AtomicU32::new(0),
        used: AtomicU32::new(0),
        objects: AtomicU32::new(NONE),
    }
}; MAX_DOMAINS];

/// Begins with the first domain: all frames are its.
pub(crate) fn begin(first: DomainId, frames: u32) {
    if let Some(account) = ACCOUNTS.get(first.index()) {
        account.reset(first, first, NOBODY);
        account.amount.store(frames, Ordering::Relaxed);
    }
}

/// A new domain: its creator pays.
pub(crate) fn open(domain: DomainId, creator: DomainId) -> Result<(), Status> {
    let payer = payer_of(creator)?;
    let account = ACCOUNTS.get(domain.index()).ok_or(Status::ObjectsFull)?;
    account.reset(domain, payer, payer);
    Ok(())
}

/// Makes a domain's amount this one: the difference comes from the giver's account, or goes there. `tables` is what the domain
/// costs already by its page tables, which it pays for itself from now on.
///
/// # Errors
/// [`Status::QuotaExceeded`] where the giver has not so much left, or the domain uses more already; [`Status::Busy`] where another
/// account has handed the domain an amount, which is to go back there.
pub(crate) fn hand_down(giver: DomainId, domain: DomainId, frames: u32, tables: u32) -> Result<(), Status> {
    let giver_id = payer_of(giver)?;
    let (giver, account) = (find(giver_id)?, find(domain)?);
    let payer = payer_of(domain)?;
    let is_first = payer != domain;
    if !is_first && account.giver.load(Ordering::Relaxed) != giver_id.to_bits() {
        return Err(Status::Busy);
    }
    // Who has paid so far need not be the giver, which may have got its own account since the domain was made.
    let moved = if is_first { tables } else { 0 };
    let freed = if payer == giver_id { moved } else { 0 };
    let used = account.used.load(Ordering::Relaxed) + moved;
    let before = account.amount.load(Ordering::Relaxed);
    let left = giver.left() + before + freed;
    if frames < used || left < frames || core::ptr::eq(giver, account) {
        return Err(Status::QuotaExceeded);
    }
    if is_first {
        refund(payer, tables);
        account.payer.store(domain.to_bits(), Ordering::Relaxed);
        account.giver.store(giver_id.to_bits(), Ordering::Relaxed);
        account.used.store(used, Ordering::Relaxed);
    }
    giver.amount.store(giver.amount.load(Ordering::Relaxed) + before - frames, Ordering::Relaxed);
    account.amount.store(frames, Ordering::Relaxed);
    Ok(())
}

/// Books frames; returns whose account paid.
///
/// # Errors
/// [`Status::QuotaExceeded`].
pub(crate) fn charge(domain: DomainId, frames: u32) -> Result<DomainId, Status> {
    let payer = payer_of(domain)?;
    let account = find(payer)?;
    if account.left() < frames {
        return Err(Status::QuotaExceeded);
    }
    account.used.fetch_add(frames, Ordering::Relaxed);
    Ok(payer)
}

/// Frames have gone back.
pub(crate) fn refund(payer: DomainId, frames: u32) {
    if let Ok(account) = find(payer) {
        account.used.fetch_sub(frames, Ordering::Relaxed);
    }
}

/// As [`refund`], of what that domain's account paid for.
pub(crate) fn refund_of(domain: DomainId, frames: u32) {
    if let Ok(payer) = payer_of(domain) {
        refund(payer, frames);
    }
}

/// A domain has ended.
pub(crate) fn close(domain: DomainId) {
    let Ok(account) = find(domain) else { return };
    let heir = account.giver.load(Ordering::Relaxed);
    account.domain.store(NOBODY.to_bits(), Ordering::Relaxed);
    for other in &ACCOUNTS {
        let replace = |field: &AtomicU64| {
            let _ = field.compare_exchange(domain.to_bits(), heir, Ordering::Relaxed, Ordering::Relaxed);
        };
        replace(&other.payer);
        replace(&other.giver);
    }
    let heir = DomainId::from_bits(heir);
    let (amount, used) = (account.amount.load(Ordering::Relaxed), account.used.load(Ordering::Relaxed));
    object::inherit(&account.objects, heir);
    if let Ok(heir) = find(heir) {
        heir.amount.fetch_add(amount, Ordering::Relaxed);
        heir.used.fetch_add(used, Ordering::Relaxed);
    }
}

/// What a domain may use in all, and what it does use: of its own account, or of the one that pays for it.
pub(crate) fn of(domain: DomainId) -> Result<(u32, u32), Status> {
    let account = find(payer_of(domain)?)?;
    Ok((account.amount.load(Ordering::Relaxed), account.used.load(Ordering::Relaxed)))
}

/// All accounts together.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Total {
    pub(crate) amount: u32,
    pub(crate) used: u32,
}

/// What all accounts have, and use.
pub(crate) fn total() -> Total {
    let sum = |field: fn(&Account) -> &AtomicU32| {
        let open = ACCOUNTS.iter().filter(|it| it.domain.load(Ordering::Relaxed) != NOBODY.to_bits());
        open.map(|account| field(account).load(Ordering::Relaxed)).sum()
    };
    Total { amount: sum(|it| &it.amount), used: sum(|it| &it.used) }
}

/// Whether each account is charged for the memory objects that it pays for and for so many page tables, and for nothing else.
pub(crate) fn is_right(tables_of: impl Fn(DomainId) -> u32) -> bool {
    ACCOUNTS.iter().filter(|it| it.domain.load(Ordering::Relaxed) != NOBODY.to_bits()).all(|account| {
        let payer = DomainId::from_bits(account.domain.load(Ordering::Relaxed));
        let pages = object::pages_in(&account.objects, payer);
        pages.is_some_and(|pages| pages + tables_of(payer) == account.used.load(Ordering::Relaxed))
    })
}

/// The list of memory objects that an account pays for.
pub(super) fn objects(payer: DomainId) -> Option<&'static AtomicU32> {
    find(payer).ok().map(|account| &account.objects)
}

/// Whose account pays for a domain.
pub(crate) fn payer_of(domain: DomainId) -> Result<DomainId, Status> {
    Ok(DomainId::from_bits(find(domain)?.payer.load(Ordering::Relaxed)))
}

fn find(domain: DomainId) -> Result<&'static Account, Status> {
    let account = ACCOUNTS.get(domain.index()).filter(|_| domain != NOBODY);
    account.filter(|it| it.domain.load(Ordering::Relaxed) == domain.to_bits()).ok_or(Status::DomainGone)
}

impl Account {
    fn reset(&self, domain: DomainId, payer: DomainId, giver: DomainId) {
        self.domain.store(domain.to_bits(), Ordering::Relaxed);
        self.payer.store(payer.to_bits(), Ordering::Relaxed);
        self.giver.store(giver.to_bits(), Ordering::Relaxed);
        self.amount.store(0, Ordering::Relaxed);
        self.used.store(0, Ordering::Relaxed);
        self.objects.store(NONE, Ordering::Relaxed);
    }

    fn left(&self) -> u32 {
        self.amount.load(Ordering::Relaxed).saturating_sub(self.used.load(Ordering::Relaxed))
    }
}
