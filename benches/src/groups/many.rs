//! Many to many within one process: two senders and two receivers on two CPUs, beside the queue that carries ours.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_queue::ArrayQueue;
use feuerbird_channel::{RecvError, SendError, WhenFull, local};
use feuerbird_hosted::LinuxHome;
use feuerbird_serialization::Plain;

use crate::case::{Case, Ours, Subject};
use crate::disturbance::{Measured, Watch};
use crate::link::LinkError;
use crate::machine::{Machine, pin};
use crate::raw::cycles;
use crate::row::{Target, Unit};

/// Messages that each sender sends in one measurement.
const EACH: u64 = 100_000;
/// Senders, and as many receivers.
const PAIRS: u64 = 2;
/// Places in the queue.
const DEPTH: usize = 1024;

/// The case.
pub fn case() -> Case {
    Case {
        name: "one way 8 B, 2 senders to 2 receivers, two CPUs".to_owned(),
        unit: Unit::Messages,
        ours: vec![Ours {
            subject: Subject::new("channel within a domain", |machine, budget| repeat(machine, budget, ours)),
            target: Target::Ratio(0.9),
        }],
        limit: Subject::new("crossbeam ArrayQueue, bare", |machine, budget| {
            repeat(machine, budget, array_queue)
        }),
        rivals: vec![Subject::new("crossbeam-channel", |machine, budget| {
            repeat(machine, budget, crossbeam_channel)
        })],
    }
}

/// Sends one number, waiting for room; hands out the next one, or nothing when all have gone.
type Send = Box<dyn FnMut(u64) + std::marker::Send>;
type Receive = Box<dyn FnMut() -> Option<u64> + std::marker::Send>;

/// The best of as many runs as there is time for.
fn repeat(
    machine: &Machine,
    budget: Duration,
    make: fn() -> (Vec<Send>, Vec<Receive>),
) -> Result<Measured, LinkError> {
    let (since, watch, mut best) = (Instant::now(), Watch::this_thread(), f64::MAX);
    while best == f64::MAX || since.elapsed() < budget {
        best = best.min(once(machine, make())?);
    }
    Ok(Measured { cycles: best, disturbed: watch.share() })
}

fn once(machine: &Machine, (sends, receives): (Vec<Send>, Vec<Receive>)) -> Result<f64, LinkError> {
    let sum = Arc::new(AtomicU64::new(0));
    let (first, second) = (machine.first_cpu, machine.second_cpu);
    let start = cycles();
    let senders = sends
        .into_iter()
        .map(|mut send| thread::spawn(move || pin(first).map(|()| (1..=EACH).for_each(&mut send))));
    let senders: Vec<_> = senders.collect();
    let receivers = receives.into_iter().map(|mut receive| {
        let sum = Arc::clone(&sum);
        thread::spawn(move || {
            pin(second)?;
            let own = std::iter::from_fn(&mut receive).fold(0_u64, u64::wrapping_add);
            sum.fetch_add(own, Ordering::Relaxed);
            std::io::Result::Ok(())
        })
    });
    let receivers: Vec<_> = receivers.collect();
    for thread in senders.into_iter().chain(receivers) {
        thread.join().map_err(|_| LinkError::Disconnected)??;
    }
    let per_message = (cycles() - start) as f64 / (PAIRS * EACH) as f64;
    let expected = PAIRS * EACH * (EACH + 1) / 2;
    if sum.load(Ordering::Relaxed) == expected { Ok(per_message) } else { Err(LinkError::Altered) }
}

fn ours() -> (Vec<Send>, Vec<Receive>) {
    let (mut sender, receiver) = local::<Plain<u64>, _>(LinuxHome::new(), 8, DEPTH);
    sender.set_when_full(WhenFull::Block { timeout_ns: u64::MAX });
    let second_sender = sender.clone_local();
    let second_receiver = receiver.clone_local();
    let sends = [Some(sender), second_sender].into_iter().flatten().map(|mut sender| {
        Box::new(move |value: u64| while sender.send(&value) == Err(SendError::DeadlinePassed) {}) as Send
    });
    let receives = [Some(receiver), second_receiver].into_iter().flatten().map(|mut receiver| {
        Box::new(move || {
            loop {
                match receiver.recv(|value| value) {
                    Ok(value) => return Some(value),
                    Err(RecvError::Empty | RecvError::DeadlinePassed) => {}
                    Err(_) => return None,
                }
            }
        }) as Receive
    });
    (sends.collect(), receives.collect())
}

fn array_queue() -> (Vec<Send>, Vec<Receive>) {
    let queue = Arc::new((ArrayQueue::<u64>::new(DEPTH), AtomicU64::new(PAIRS * EACH)));
    let sends = (0..PAIRS).map(|_| {
        let queue = Arc::clone(&queue);
        Box::new(move |value: u64| {
            while queue.0.push(value).is_err() {
                thread::yield_now();
            }
        }) as Send
    });
    let receives = (0..PAIRS).map(|_| {
        let queue = Arc::clone(&queue);
        Box::new(move || {
            loop {
                if let Some(value) = queue.0.pop() {
                    queue.1.fetch_sub(1, Ordering::Relaxed);
                    return Some(value);
                }
                if queue.1.load(Ordering::Relaxed) == 0 {
                    return None;
                }
                thread::yield_now();
            }
        }) as Receive
    });
    (sends.collect(), receives.collect())
}

fn crossbeam_channel() -> (Vec<Send>, Vec<Receive>) {
    let (sender, receiver) = crossbeam_channel::bounded::<u64>(DEPTH);
    let sends = (0..PAIRS).map(|_| {
        let sender = sender.clone();
        Box::new(move |value| {
            let _ = sender.send(value);
        }) as Send
    });
    let sends: Vec<Send> = sends.collect();
    drop(sender);
    let receives = (0..PAIRS).map(|_| {
        let receiver = receiver.clone();
        Box::new(move || receiver.recv().ok()) as Receive
    });
    (sends, receives.collect())
}
