//! What a gate says of calls that do not go through it, and where it lays memory.
#![allow(clippy::unwrap_used)] // a test may unwrap

use feuerbird_abi::{Call, Request};
use feuerbird_channel::Terms;
use feuerbird_hosted::{
    embedded,
    os::{
        affinity,
        memory::{Options, WriterMemory},
        socket::PAYLOAD_BYTES,
    },
};
use feuerbird_libos::{Gate, GateError};
use feuerbird_serialization::Plain;

#[test]
fn a_call_that_is_too_long_is_the_callers_mistake_and_nobodys_end() {
    let domain = embedded().unwrap();
    let payload = vec![0; PAYLOAD_BYTES + 1];
    let request = Request::new(Call::Bind, 1 << 40, &[]);
    let refused = domain.gate().call(request, &payload, None, &mut []);
    assert_eq!(refused.map(|_| ()), Err(GateError::TooLong));
    domain.endpoint(Terms::sized(64).unwrap()).unwrap();
}

/// The kernel's own list says for each mapping which node was asked for.
#[test]
fn lanes_are_placed_on_a_node() {
    // Missing where the kernel was built without NUMA, and a container may refuse to place memory at all.
    let Ok(_) = std::fs::metadata("/proc/self/numa_maps") else { return };
    // Who stays on one processor stays on one node.
    affinity::pin_current_thread(affinity::here().unwrap().0 as usize).unwrap();
    let node = affinity::here().unwrap().1;
    let wish = Options { node: Some(node), ..Options::default() };
    let granted = WriterMemory::create_with("wish", 4096, wish).unwrap().0.granted().node;
    if granted != Some(Ok(())) {
        return;
    }
    let domain = embedded().unwrap();
    let endpoint = domain.endpoint(Terms::sized(1000).unwrap()).unwrap();
    let mut sender = domain.sender::<Plain<u64>>(&endpoint).unwrap();
    let mut receiver = domain.receiver::<Plain<u64>>(&endpoint).unwrap();
    sender.send(&7).unwrap();
    assert_eq!(receiver.recv_timeout(5_000_000_000, |value| value), Ok(7));
    let maps = std::fs::read_to_string("/proc/self/numa_maps").unwrap();
    let policy = format!(" prefer:{node} ");
    let is_placed = |line: &&str| line.contains("memfd:feuerbird") && line.contains(&policy);
    // Each half is mapped twice here, once to be written and once to be read.
    assert!(maps.lines().filter(is_placed).count() >= 4, "{policy}\n{maps}");
}
