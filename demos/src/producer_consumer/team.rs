//! The workers of one run: processes that are domains of their own, or threads of this one.

use std::{os::fd::AsFd, process::ExitStatus, thread::JoinHandle, time::Duration};

use anyhow::{Context as _, bail};
use feuerbird::{
    capability::Trust,
    hosted::{
        Child, LinuxHome, SocketGate,
        os::memory::{ReaderMemory, WriterMemory},
    },
    libos::Handle,
    prelude::{Domain, Program},
};
use feuerbird_demos::cheat::ROLE_VARIABLE;
use feuerbird_demos_worker::{
    Account, Command, Failed, ORDERS_BYTES, Orders, Post, Report, Role, View, authorities, await_report,
    report_bytes,
};
use feuerbird_serialization::{
    Layer,
    sample::{SampleMessage, encoded_size},
};

use crate::{
    args::Args,
    work::{self, Counter},
};

/// One worker, as the root knows it.
pub(crate) struct Worker {
    pub(crate) role: Role,
    pub(crate) index: u32,
    /// Its process; this one for a thread.
    pub(crate) pid: u32,
    pub(crate) report: View<ReaderMemory>,
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

    fn account(&self) -> Account<'_, ReaderMemory> {
        let was_killed = self.killed_ns.is_some();
        Account { role: self.role, index: self.index, report: &self.report, was_killed }
    }
}

fn ended(status: ExitStatus) -> Result<(), String> {
    if status.success() { Ok(()) } else { Err(status.to_string()) }
}

/// The workers of one run, and the orders they go by.
pub(crate) struct Team {
    pub(crate) orders: Command<WriterMemory>,
    pub(crate) workers: Vec<Worker>,
    /// What the sandbox of the producers enforces, where there is one.
    pub(crate) sandbox: Option<String>,
}

impl Team {
    /// Starts processes, as domains whose producers are trusted so far.
    pub(crate) fn of_processes(domain: &Domain, args: &Args, trust: Trust) -> anyhow::Result<Self> {
        let endpoint = domain.endpoint(args.terms()?)?;
        let orders = domain.region(ORDERS_BYTES)?;
        let run = args.run();
        let command = Command::new(orders.writer, &run);
        let mut team = Self { orders: command, workers: Vec::new(), sandbox: None };
        // Consumers are the demo's own; that the lower trust counts leaves the layer to the producers'.
        for (role, count, trust) in
            [(Role::Consumer, args.consumers, Trust::BASE), (Role::Producer, args.producers, trust)]
        {
            for index in 0..count {
                let mut child = start(domain, (role, index), trust, [&endpoint, &orders.handle])?;
                team.sandbox = child.sandbox().map(|report| report.to_string()).or(team.sandbox);
                let is_running = || child.wait_timeout(Duration::ZERO).is_ok_and(|ended| ended.is_none());
                let (report, _) = await_report(domain, role, &run, is_running).with_context(|| {
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
        let mut team = Self { orders: Command::new(orders, &args.run()), workers: Vec::new(), sandbox: None };
        let bytes = encoded_size(args.size as usize, Layer::Raw);
        let depth = args.terms()?.depth() as usize;
        let (sender, receiver) =
            feuerbird::channel::local::<SampleMessage, _>(LinuxHome::new(), bytes, depth);
        let roles = (0..args.consumers).map(|index| (Role::Consumer, index));
        for (role, index) in roles.chain((0..args.producers).map(|index| (Role::Producer, index))) {
            let bytes = report_bytes(role.bitmaps(args.producers as usize), args.share());
            let (memory, fd) = WriterMemory::create("demo-report", bytes)?;
            let report = Report::new(memory, args.share());
            let view = View::new(ReaderMemory::map(fd.as_fd(), bytes)?, role, args.producers, args.share());
            let view = view.ok_or(Failed::Report)?;
            let orders = Orders::new(ReaderMemory::map(orders_fd.as_fd(), ORDERS_BYTES)?);
            let orders = orders.ok_or(Failed::Orders)?;
            let (mut sender, mut receiver) = (sender.clone_local(), receiver.clone_local());
            let body = move || {
                work::pin(role, index, &orders);
                let post = Post { orders, report, home: LinuxHome::new(), clock: Counter };
                match (role, &mut sender, &mut receiver) {
                    (Role::Producer, Some(sender), receiver) => {
                        receiver.take();
                        Ok(post.produce(index, 1, sender)?)
                    }
                    (Role::Consumer, sender, Some(receiver)) => {
                        sender.take();
                        Ok(post.consume(1, receiver)?)
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

    /// The reports of one role.
    pub(crate) fn reports(&self, role: Role) -> impl Iterator<Item = &View<ReaderMemory>> {
        self.of(role).map(|worker| &worker.report)
    }

    /// The reports of all.
    pub(crate) fn all_reports(&self) -> impl Iterator<Item = &View<ReaderMemory>> {
        self.workers.iter().map(|worker| &worker.report)
    }

    /// What the proof is made of.
    pub(crate) fn accounts(&self) -> impl Iterator<Item = Account<'_, ReaderMemory>> {
        self.workers.iter().map(Worker::account)
    }
}

/// Starts one process with what it needs and nothing else.
fn start(
    domain: &Domain,
    (role, index): (Role, u32),
    trust: Trust,
    [endpoint, orders]: [&Handle<SocketGate>; 2],
) -> anyhow::Result<Child> {
    let own = domain.own();
    let [to_side, to_root, to_orders] = authorities(role, index, trust);
    let grants = [(endpoint, to_side), (own.handle(), to_root), (orders, to_orders)];
    Ok(Program::this(trust)?.env(ROLE_VARIABLE, role.name()).spawn(domain, &grants)?)
}
