//! What of a worker is Linux's: its clock, its processor, and how its process comes to be a domain.

use anyhow::Context as _;
use feuerbird::{
    hosted::os::{
        affinity::{allowed_cpus, pin_current_thread},
        clock, signal,
    },
    zero_copy::Region,
};
use feuerbird_demos_worker::{Clock, Order, Orders, Role};

/// The time stamp counter.
#[derive(Clone, Copy)]
pub(crate) struct Counter;

impl Clock for Counter {
    #[inline]
    fn cycles(self) -> u64 {
        clock::cycles()
    }
}

/// What a process of this team does; it is this same program, started with its role in the environment.
pub(crate) fn as_process(role: Role) -> anyhow::Result<()> {
    signal::watch()?;
    let domain = feuerbird::inherited()?.context("a worker is started by the demo")?;
    let worked =
        feuerbird_demos_worker::work(&domain, role, Counter, |index, orders| pin(role, index, orders));
    Ok(worked?)
}

/// One processor for each, as far as there are enough, if that is wanted.
pub(crate) fn pin(role: Role, index: u32, orders: &Orders<impl Region>) {
    if !orders.is_set(Order::Pin) {
        return;
    }
    let place = match role {
        Role::Producer => u64::from(index),
        Role::Consumer => orders.get(Order::Producers) + u64::from(index),
    };
    let pinned = allowed_cpus().and_then(|cpus| pin_current_thread(cpus[place as usize % cpus.len().max(1)]));
    if let Err(error) = pinned {
        eprintln!("{} {index} cannot be pinned: {error}", role.name());
    }
}
