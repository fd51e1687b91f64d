//! Between two processes: round trip and one way, spinning and sleeping, from 8 bytes to 1 MiB. The payload is written and read
//! in full by both sides and loans are on the path.

use crate::case::{Case, Subject, link_case_name};
use crate::measure::{Pattern, Plan};
use crate::peer::between_processes;
use crate::row::Unit;
use crate::transport::Transport;

/// The sizes of issue and peers.
pub const SIZES: [usize; 5] = [8, 64, 4 << 10, 64 << 10, 1 << 20];

/// What spins.
const SPINNING: [Transport; 2] = [Transport::LimitCopied, Transport::Iceoryx2];
/// What sleeps in the kernel.
const SLEEPING: [Transport; 3] = [Transport::IpcChannel, Transport::UnixStream, Transport::UnixSeqpacket];

/// Every case of this group.
pub fn cases() -> Vec<Case> {
    let spinning = SIZES
        .map(|bytes| case(Plan::new(Pattern::RoundTrip, bytes), ", spinning", Transport::Limit, &SPINNING));
    let sleeping = SIZES.map(|bytes| {
        case(Plan::new(Pattern::RoundTrip, bytes), ", sleeping", Transport::LimitSleeping, &SLEEPING)
    });
    let all: Vec<Transport> = SPINNING.into_iter().chain(SLEEPING).collect();
    let one_way = SIZES.map(|bytes| case(Plan::new(Pattern::OneWay, bytes), "", Transport::Limit, &all));
    let batches = [64].map(|bytes| case(Plan::new(Pattern::Batches, bytes), "", Transport::Limit, &[]));
    spinning.into_iter().chain(sleeping).chain(one_way).chain(batches).collect()
}

fn case(plan: Plan, suffix: &str, limit: Transport, rivals: &[Transport]) -> Case {
    let rivals = rivals.iter().filter(|rival| rival.carries(plan.bytes));
    Case {
        name: link_case_name(plan, suffix),
        unit: match plan.pattern {
            Pattern::RoundTrip => Unit::Cycles,
            _ if plan.bytes >= 64 << 10 => Unit::Bytes(plan.bytes),
            _ => Unit::Messages,
        },
        ours: vec![],
        limit: subject(limit, plan),
        rivals: rivals.map(|rival| subject(*rival, plan)).collect(),
    }
}

fn subject(transport: Transport, plan: Plan) -> Subject {
    Subject::new(transport.label(), move |machine, budget| {
        between_processes(machine, transport, plan, budget).map(|summary| summary.median)
    })
}
