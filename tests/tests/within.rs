//! Channels within one domain: many to many, small messages and large ones, ends that sleep as soon as they can.
#![allow(clippy::unwrap_used)] // a test may unwrap

use std::thread;

use feuerbird::{
    channel::{RecvError, WhenFull, local},
    hosted::LinuxHome,
    prelude::{Plain, SECOND},
};

const EACH: u64 = 5000;
const SENDERS: u64 = 3;

/// Each message arrives once, at one receiver, whoever sleeps meanwhile.
#[test]
fn every_message_arrives_once_however_tight_it_is() {
    // 8 bytes travel in the queue, 64 in buffers.
    for (bytes, depth) in [(8, 1), (64, 1), (8, 2), (64, 3), (8, 7), (64, 64), (8, 64)] {
        let mut received: Vec<u64> = exchange(bytes, depth);
        received.sort_unstable();
        assert!(received.iter().copied().eq(0..SENDERS * EACH), "{bytes} bytes, {depth} deep");
    }
}

fn exchange(bytes: usize, depth: usize) -> Vec<u64> {
    let (mut sender, mut receiver) = local::<Plain<u64>, _>(LinuxHome::new(), bytes, depth);
    sender.set_when_full(WhenFull::Block { timeout_ns: 20 * SECOND });
    sender.set_spins(0);
    receiver.set_spins(0);
    let senders: Vec<_> = (0..SENDERS).map(|_| sender.clone_local().unwrap()).collect();
    drop(sender);
    let receivers = [receiver.clone_local().unwrap(), receiver];
    thread::scope(|scope| {
        for (index, mut sender) in (0..).zip(senders) {
            scope.spawn(move || (0..EACH).for_each(|it| sender.send(&(index * EACH + it)).unwrap()));
        }
        let receiving = receivers.map(|mut receiver| {
            scope.spawn(move || {
                let mut received = vec![];
                loop {
                    match receiver.recv_timeout(20 * SECOND, |value| value) {
                        Ok(value) => received.push(value),
                        Err(RecvError::Disconnected) => return received,
                        Err(error) => panic!("{error}"),
                    }
                }
            })
        });
        receiving.into_iter().flat_map(|it| it.join().unwrap()).collect()
    })
}
