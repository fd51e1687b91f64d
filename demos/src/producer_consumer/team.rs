//! The workers of one run: processes that are domains of their own, or threads of this one.

use std::{os::fd::AsFd, process::ExitStatus, thread::JoinHandle, time::Duration};

use anyhow::{Context as _, bail};
use feuerbird::{
    capability::{Rights, Trust},
    hosted::{
        Child, LinuxHome, SocketGate,
        os::memory::{ReaderMemory, WriterMemory},
    },
    libos::{Authority, Handle},
    prelude::{Domain, Program, SECOND},
};
use feuerbird_demos::cheat::ROLE_VARIABLE;
use feuerbird_serialization::{
    Layer,
    sample::{SampleMessage, encoded_size},
};

use crate::{
    args::Args,
    consumer::Consumer,
    layout::{ORDERS_BYTES, Order, VERSION, report_bytes},
    producer::Producer,
    report::{Orders, Report, View, order},
    work,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Producer,
    Consumer,
}

impl Role {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Producer => "producer",
            Self::Consumer => "consumer",
        }
    }

    /// How many bitmaps its report has.
    pub(crate) fn bitmaps(self, producers: usize) -> usize {
        if self == Self::Consumer { producers } else { 0 }
    }
}

/// One worker, as the root knows it.
pub(crate) struct Worker {
    pub(crate) role: Role,
    pub(crate) index: u32,
    /// Its process; this one for a thread.
    pub(crate) pid: u32,
    pub(crate) report: View,
    /// When it was killed, in nanoseconds of the monotonic clock.
    pub(crate) killed_ns: Option<u64>,
    pub(crate) running: Running,
}

pub(crate) enum Running {
    Process(Child),
    Thread(Option<JoinHandle<anyhow::Result<()>>>),
    Over(Result<(), String>),
}

impl Worker {
    /// Waits for its end for a while; whether it is over.
    pub(crate) fn wait(&mut self, timeout: Duration) -> anyhow::Result<bool> {
        let result = match &mut self.running {
            Running::Over(_) => return Ok(true),
            Running::Process(child) => match child.wait_timeout(timeout)? {
                Some(status) => ended(status),
                None => return Ok(false),
            },
            Running::Thread(handle) => {
                if !handle.as_ref().is_none_or(JoinHandle::is_finished) {
                    std::thread::sleep(timeout.min(Duration::from_millis(1)));
                    return Ok(false);
                }
                match handle.take().map(JoinHandle::join) {
                    Some(Ok(result)) => result.map_err(|error| format!("{error:#}")),
                    _ => Err("it panicked".into()),
                }
            }
        };
        self.running = Running::Over(result);
        Ok(true)
    }
}

fn ended(status: ExitStatus) -> Result<(), String> {
    if status.success() { Ok(()) } else { Err(status.to_string()) }
}

/// The workers of one run, and the orders they go by.
pub(crate) struct Team {
    pub(crate) orders: WriterMemory,
    pub(crate) workers: Vec<Worker>,
    /// What the sandbox of the producers enforces, where there is one.
    pub(crate) sandbox: Option<String>,
}

impl Team {
    /// Starts processes, as domains whose producers are trusted so far.
    pub(crate) fn of_processes(domain: &Domain, args: &Args, trust: Trust) -> anyhow::Result<Self> {
        let endpoint = domain.endpoint(args.terms()?)?;
        let orders = domain.region(ORDERS_BYTES)?;
        give_orders(&orders.writer, args);
        let mut team = Self { orders: orders.writer, workers: Vec::new(), sandbox: None };
        // Consumers are the demo's own; that the lower trust counts leaves the layer to the producers'.
        for (role, count, trust) in
            [(Role::Consumer, args.consumers, Trust::BASE), (Role::Producer, args.producers, trust)]
        {
            for index in 0..count {
                let authority = match role {
                    Role::Producer => Authority::send(trust),
                    Role::Consumer => Authority::receive(trust),
                };
                let child = start(domain, role, index, &endpoint, authority, &orders.handle)?;
                team.sandbox = child.sandbox().map(|report| report.to_string()).or(team.sandbox);
                let report = report_of(domain, role, args).with_context(|| {
                    format!("{} {index} (process {}) did not start", role.name(), child.process.id())
                })?;
                let pid = child.process.id();
                let running = Running::Process(child);
                team.workers.push(Worker { role, index, pid, report, killed_ns: None, running });
            }
        }
        Ok(team)
    }

    /// Starts threads over a channel within this domain.
    pub(crate) fn of_threads(args: &Args) -> anyhow::Result<Self> {
        let (orders, orders_fd) = WriterMemory::create("demo-orders", ORDERS_BYTES)?;
        give_orders(&orders, args);
        let mut team = Self { orders, workers: Vec::new(), sandbox: None };
        let bytes = encoded_size(args.size as usize, Layer::Raw);
        let depth = args.terms()?.depth() as usize;
        let (sender, receiver) =
            feuerbird::channel::local::<SampleMessage, _>(LinuxHome::new(), bytes, depth);
        let roles = (0..args.consumers).map(|index| (Role::Consumer, index));
        for (role, index) in roles.chain((0..args.producers).map(|index| (Role::Producer, index))) {
            let bytes = report_bytes(role.bitmaps(args.producers as usize), args.share());
            let (memory, fd) = WriterMemory::create("demo-report", bytes)?;
            let report = Report::new(memory, args.share());
            let view = view(ReaderMemory::map(fd.as_fd(), bytes)?, role, args)?;
            let orders = ReaderMemory::map(orders_fd.as_fd(), ORDERS_BYTES)?;
            let (mut sender, mut receiver) = (sender.clone_local(), receiver.clone_local());
            let body = move || {
                let orders = Orders(&orders);
                if orders.is_set(Order::Pin) {
                    work::pin(role, index, &orders);
                }
                match (role, &mut sender, &mut receiver) {
                    (Role::Producer, Some(sender), receiver) => {
                        receiver.take();
                        Producer { index, peers: 1, orders, report, sender }.run()
                    }
                    (Role::Consumer, sender, Some(receiver)) => {
                        sender.take();
                        Consumer { peers: 1, orders, report, receiver }.run()
                    }
                    _ => bail!("this channel is not one within a domain"),
                }
            };
            let thread = std::thread::Builder::new().name(format!("{} {index}", role.name())).spawn(body)?;
            let running = Running::Thread(Some(thread));
            let pid = std::process::id();
            team.workers.push(Worker { role, index, pid, report: view, killed_ns: None, running });
        }
        Ok(team)
    }

    /// The workers of one role.
    pub(crate) fn of(&self, role: Role) -> impl Iterator<Item = &Worker> {
        self.workers.iter().filter(move |worker| worker.role == role)
    }
}

fn give_orders(orders: &WriterMemory, args: &Args) {
    order(orders, Order::Producers, args.producers.into());
    order(orders, Order::Consumers, args.consumers.into());
    order(orders, Order::Share, args.share());
    order(orders, Order::PayloadBytes, args.size.into());
    order(orders, Order::WatchPeers, args.kill.into());
    order(orders, Order::Pin, args.pin.into());
    order(orders, Order::Version, VERSION);
}

/// Starts one process with what it needs and nothing else: its side of the endpoint, badged with its number; a way to
/// grant to us; and the orders, to read.
fn start(
    domain: &Domain,
    role: Role,
    index: u32,
    endpoint: &Handle<SocketGate>,
    authority: Authority,
    orders: &Handle<SocketGate>,
) -> anyhow::Result<Child> {
    let own = domain.own();
    let grants = [
        (endpoint, authority.badge(u64::from(index) + 1)),
        (own.handle(), Authority::send(authority.trust)),
        (orders, Authority::new(Rights::MAP_READ, authority.trust)),
    ];
    Ok(Program::this(authority.trust)?.env(ROLE_VARIABLE, role.name()).spawn(domain, &grants)?)
}

/// The report that the process just started grants to us.
fn report_of(domain: &Domain, role: Role, args: &Args) -> anyhow::Result<View> {
    let (handle, _) = domain.granted(10 * SECOND)?;
    view(handle.map()?, role, args)
}

fn view(memory: ReaderMemory, role: Role, args: &Args) -> anyhow::Result<View> {
    let bitmaps = role.bitmaps(args.producers as usize);
    View::new(Box::new(memory), bitmaps, args.share()).context("its report is not what this program writes")
}
