//! The children that wait, and those that are killed while others wait for them; the rest is done by `numbered`.
#![forbid(unsafe_code)]

use std::{sync::atomic::Ordering, thread::sleep, time::Duration};

use anyhow::{Context, bail};
use feuerbird::{
    capability::Rights,
    channel::{RecvError, SendError},
    hosted::{SocketGate, os::clock::now_ns},
    libos::{Authority, DomainHandle, Receiver, Sender},
    prelude::{Plain, SECOND},
    zero_copy::WriteRegion,
};
use feuerbird_tests::numbered;

/// Words of the report of a child that waits; the test has the same numbers.
const READY: usize = 0;
const TOLD_AT: usize = 1;
const TOLD: usize = 2;

/// What a child was told in the end.
const DISCONNECTED: u64 = 1;
const OTHER: u64 = 2;

fn main() -> anyhow::Result<()> {
    match std::env::var("FEUERBIRD_WAIT_ROLE") {
        Ok(role) => wait(&role),
        Err(_) => numbered::child(&std::env::var(numbered::ROLE_VARIABLE)?),
    }
}

fn wait(role: &str) -> anyhow::Result<()> {
    let domain = feuerbird::inherited()?.context("started by a test")?;
    let (endpoint, _) = domain.granted(5 * SECOND)?;
    let (root, _) = domain.granted(5 * SECOND)?;
    let report = domain.region(4096)?;
    let root = DomainHandle::new(root);
    report.handle.grant(&root, Authority::new(Rights::MAP_READ, domain.trust()))?;
    let put = |word: usize, value: u64| report.writer.writable()[word].store(value, Ordering::Release);
    let ready = || put(READY, 1);
    let told = match role {
        "waiting consumer" => recv_without_end(&mut domain.receiver(&endpoint)?, ready),
        "blocked producer" => send_without_end(&mut domain.sender(&endpoint)?, ready)?,
        "silent producer" => {
            let mut sender = domain.sender::<Plain<[u64; 8]>>(&endpoint)?;
            until(|| sender.receivers() > 0);
            ready();
            rest()
        }
        "idle consumer" => {
            let mut receiver = domain.receiver::<Plain<[u64; 8]>>(&endpoint)?;
            until(|| receiver.senders() > 0);
            ready();
            rest()
        }
        other => bail!("no such role: {other}"),
    };
    put(TOLD_AT, now_ns());
    put(TOLD, told);
    Ok(())
}

/// Receives what never comes.
fn recv_without_end(receiver: &mut Receiver<Plain<[u64; 8]>, SocketGate>, ready: impl FnOnce()) -> u64 {
    until(|| receiver.senders() > 0);
    ready();
    match receiver.recv(|_| ()) {
        Err(RecvError::Disconnected) => DISCONNECTED,
        _ => OTHER,
    }
}

/// Fills the lane, and sends one more.
fn send_without_end(
    sender: &mut Sender<Plain<[u64; 8]>, SocketGate>,
    ready: impl FnOnce(),
) -> anyhow::Result<u64> {
    until(|| sender.receivers() > 0);
    loop {
        match sender.try_send(&[7; 8]) {
            Ok(()) => {}
            Err(SendError::Full) => break,
            Err(error) => return Err(error.into()),
        }
    }
    ready();
    Ok(match sender.send(&[7; 8]) {
        Err(SendError::Disconnected) => DISCONNECTED,
        _ => OTHER,
    })
}

fn until(mut done: impl FnMut() -> bool) {
    while !done() {
        sleep(Duration::from_micros(200));
    }
}

/// Keeps its binding until it is killed.
fn rest() -> ! {
    loop {
        sleep(Duration::from_secs(1));
    }
}
