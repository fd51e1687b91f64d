//! The answering process: this program again, with a hidden subcommand, pinned to the other CPU.

use std::io::{self, BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use rustix::process::{Signal, getppid, set_parent_process_death_signal};

use crate::disturbance::{Measured, Watch};
use crate::interrupt;
use crate::link::{Link, LinkError};
use crate::links::iceoryx;
use crate::machine::{Machine, pin};
use crate::measure::{Pattern, Plan, answer, measure};
use crate::transport::Transport;

/// How long the answering process may take to end after it was told to stop.
const END: Duration = Duration::from_secs(5);

/// The answering process's arguments.
#[derive(Args, Debug)]
pub struct PeerArgs {
    #[arg(long)]
    transport: Transport,
    #[arg(long)]
    pattern: Pattern,
    #[arg(long)]
    bytes: usize,
    #[arg(long)]
    stage: u64,
    #[arg(long)]
    cpu: usize,
    #[arg(long)]
    owner: u32,
    #[arg(long, default_value = "")]
    name: String,
}

/// What the answering process does.
///
/// # Errors
/// [`LinkError`].
pub fn run(args: &PeerArgs) -> Result<(), LinkError> {
    set_parent_process_death_signal(Some(Signal::KILL)).map_err(io::Error::from)?;
    // The parent may have gone before the line above took effect.
    if getppid().is_none_or(|parent| parent.as_raw_nonzero().get() as u32 != args.owner) {
        return Err(LinkError::Disconnected);
    }
    pin(args.cpu)?;
    let mut link = args.transport.join(&args.name, args.owner, args.bytes)?;
    println!("ready");
    answer(&mut *link, Plan { pattern: args.pattern, bytes: args.bytes, stage: args.stage })
}

/// Measures `transport` between this process and a new one.
///
/// # Errors
/// [`LinkError`]; the other process has ended in every case.
pub fn between_processes(
    machine: &Machine,
    transport: Transport,
    plan: Plan,
    budget: Duration,
) -> Result<Measured, LinkError> {
    static SERIAL: AtomicU32 = AtomicU32::new(0);
    let offer = transport.offer(plan.bytes, SERIAL.fetch_add(1, Ordering::Relaxed))?;
    let mut peer = Peer::of(start(machine, transport, plan, offer.stdin, &offer.name)?);
    peer.wait_until_ready()?;
    let mut link = (offer.open)()?;
    let (here, there) = (Watch::this_thread(), Watch::process(peer.0.id()));
    let cycles = measure(&mut *link, plan, budget)?.median;
    // Read while the other process has not been waited for: after that it has no file.
    let disturbed = here.share().max(there.share());
    // The link outlives the peer, so that the last message, which says stop, is not taken back.
    peer.wait_for_end()?;
    drop::<Box<dyn Link>>(link);
    if transport == Transport::Iceoryx2 {
        // It keeps its node's global file, also after everything was dropped.
        iceoryx::sweep(std::process::id());
    }
    Ok(Measured { cycles, disturbed })
}

fn start(machine: &Machine, transport: Transport, plan: Plan, stdin: Stdio, name: &str) -> io::Result<Child> {
    let value = |value: Option<clap::builder::PossibleValue>| {
        value.map_or(String::new(), |v| v.get_name().to_owned())
    };
    Command::new("/proc/self/exe")
        .arg("peer")
        .args(["--transport", &value(transport.to_possible_value())])
        .args(["--pattern", &value(plan.pattern.to_possible_value())])
        .args(["--bytes", &plan.bytes.to_string()])
        .args(["--stage", &plan.stage.to_string()])
        .args(["--cpu", &machine.second_cpu.to_string()])
        .args(["--owner", &std::process::id().to_string()])
        .args(["--name", name])
        .stdin(stdin)
        .stdout(Stdio::piped())
        .spawn()
}

/// A child that does not outlive its handle.
struct Peer(Child);

impl Peer {
    fn of(child: Child) -> Self {
        interrupt::remember(Some(child.id()));
        Self(child)
    }

    fn wait_until_ready(&mut self) -> Result<(), LinkError> {
        let mut line = String::new();
        let stdout = self.0.stdout.take().ok_or(LinkError::Disconnected)?;
        BufReader::new(stdout).read_line(&mut line)?;
        if line == "ready\n" { Ok(()) } else { Err(LinkError::Disconnected) }
    }

    fn wait_for_end(&mut self) -> Result<(), LinkError> {
        let since = Instant::now();
        while since.elapsed() < END {
            match self.0.try_wait()? {
                Some(status) if status.success() => return Ok(()),
                Some(_) => return Err(LinkError::Altered),
                None => std::thread::sleep(Duration::from_micros(200)),
            }
        }
        Err(LinkError::Stalled)
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // An error means that it has ended and was waited for.
        let _ = self.0.kill();
        let _ = self.0.wait();
        interrupt::remember(None);
    }
}
