//! How a domain comes to be a worker: what the root grants it, and what it grants the root.

use feuerbird_capability::{Rights, Trust};
use feuerbird_channel::Home;
use feuerbird_libos::{Authority, Domain, DomainHandle, Error, Gate, Handle};
use feuerbird_serialization::sample::SampleMessage;

use crate::{Clock, Failed, Order, Orders, Post, Report, Role, Run, View, report_bytes};

/// How long each waits for what the other grants.
const PATIENCE_NS: u64 = 10_000_000_000;

/// How often the root looks whether who is to report still runs.
const LOOK_NS: u64 = 5_000_000;

/// Memory of other domains in a gate's home.
type Reader<G> = <<G as Gate>::Home as Home>::Reader;

/// What the root grants a worker, and nothing else, in this order: its side of the endpoint, badged with its number; a way to grant to
/// the root; and the orders, to read.
pub fn authorities(role: Role, index: u32, trust: Trust) -> [Authority; 3] {
    let side = match role {
        Role::Producer => Authority::send(trust),
        Role::Consumer => Authority::receive(trust),
    };
    [side.badge(u64::from(index) + 1), Authority::send(trust), Authority::new(Rights::MAP_READ, trust)]
}

/// All that a worker does, as a domain of its own: it takes what was granted to it, grants its report to the root, and does its part.
/// `prepare` comes before it binds, with its number and the orders.
///
/// # Errors
/// [`Failed`].
pub fn work<G: Gate, C: Clock>(
    domain: &Domain<G>,
    role: Role,
    clock: C,
    prepare: impl FnOnce(u32, &Orders<Reader<G>>),
) -> Result<(), Failed> {
    let (endpoint, granted) = domain.granted(PATIENCE_NS)?;
    let (root, _) = domain.granted(PATIENCE_NS)?;
    let (orders, _) = domain.granted(PATIENCE_NS)?;
    let orders = Orders::new(orders.map()?).ok_or(Failed::Orders)?;
    let index = (granted.badge.0 as u32).wrapping_sub(1);
    prepare(index, &orders);
    let (producers, share) = (orders.get(Order::Producers) as usize, orders.get(Order::Share));
    let consumers = orders.get(Order::Consumers) as usize;
    let region = domain.region(report_bytes(role.bitmaps(producers), share))?;
    let report = Report::new(region.writer, share);
    let to_read = Authority::new(Rights::MAP_READ, domain.trust());
    region.handle.grant(&DomainHandle::new(root), to_read)?;
    let post = Post { orders, report, home: domain.gate().home(), clock };
    match role {
        Role::Producer => post.produce(index, consumers, &mut *domain.sender::<SampleMessage>(&endpoint)?),
        Role::Consumer => post.consume(producers, &mut *domain.receiver::<SampleMessage>(&endpoint)?),
    }
}

/// The report that the worker just started grants to this domain, and the capability by which it is mapped; `is_running` says whether
/// it still may.
///
/// # Errors
/// [`Failed::Ended`] where it does not run any more, [`Failed::Domain`] where nothing comes, [`Failed::Report`] where it is none.
pub fn await_report<G: Gate>(
    domain: &Domain<G>,
    role: Role,
    run: &Run,
    mut is_running: impl FnMut() -> bool,
) -> Result<(View<Reader<G>>, Handle<G>), Failed> {
    let home = domain.gate().home();
    let deadline = home.now_ns().saturating_add(PATIENCE_NS);
    let handle = loop {
        let could_come = is_running();
        match domain.granted(LOOK_NS) {
            Ok((handle, _)) => break handle,
            Err(Error::DeadlinePassed) if !could_come => return Err(Failed::Ended),
            Err(Error::DeadlinePassed) if home.now_ns() < deadline => {}
            Err(error) => return Err(error.into()),
        }
    };
    let view = View::new(handle.map()?, role, run.producers, run.share);
    Ok((view.ok_or(Failed::Report)?, handle))
}
