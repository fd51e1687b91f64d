//! What a worker does first: it learns its orders and shows its report, then it takes up its role.

use anyhow::{Context as _, bail};
use feuerbird::{
    capability::Rights,
    hosted::os::{
        affinity::{allowed_cpus, pin_current_thread},
        signal,
    },
    libos::{Authority, DomainHandle},
    prelude::SECOND,
};
use feuerbird_serialization::sample::SampleMessage;

use crate::{
    consumer::Consumer,
    layout::{Order, report_bytes},
    producer::Producer,
    report::{Orders, Report},
    team::Role,
};

/// What a process of this team does; it is this same program, started with its role in the environment.
pub(crate) fn as_process(role: Role) -> anyhow::Result<()> {
    signal::watch()?;
    let domain = feuerbird::inherited()?.context("a worker is started by the demo")?;
    let (endpoint, granted) = domain.granted(10 * SECOND)?;
    let (root, _) = domain.granted(10 * SECOND)?;
    let (orders, _) = domain.granted(10 * SECOND)?;
    let orders = orders.map()?;
    let orders = Orders(&orders);
    if !orders.is_understood() {
        bail!("the demo's orders are of another version");
    }
    let index = (granted.badge.0 as u32).wrapping_sub(1);
    if orders.is_set(Order::Pin) {
        pin(role, index, &orders);
    }
    let (producers, share) = (orders.get(Order::Producers) as usize, orders.get(Order::Share));
    let region = domain.region(report_bytes(role.bitmaps(producers), share))?;
    let report = Report::new(region.writer, share);
    let to_read = Authority::new(Rights::MAP_READ, domain.trust());
    region.handle.grant(&DomainHandle::new(root), to_read)?;
    match role {
        Role::Producer => {
            let mut sender = domain.sender::<SampleMessage>(&endpoint)?;
            let peers = orders.get(Order::Consumers) as usize;
            Producer { index, peers, orders, report, sender: &mut sender }.run()
        }
        Role::Consumer => {
            let mut receiver = domain.receiver::<SampleMessage>(&endpoint)?;
            let peers = producers;
            Consumer { peers, orders, report, receiver: &mut receiver }.run()
        }
    }
}

/// One processor for each, as far as there are enough.
pub(crate) fn pin(role: Role, index: u32, orders: &Orders<'_>) {
    let place = match role {
        Role::Producer => u64::from(index),
        Role::Consumer => orders.get(Order::Producers) + u64::from(index),
    };
    let pinned = allowed_cpus().and_then(|cpus| pin_current_thread(cpus[place as usize % cpus.len().max(1)]));
    if let Err(error) = pinned {
        eprintln!("{} {index} cannot be pinned: {error}", role.name());
    }
}
