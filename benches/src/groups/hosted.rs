//! Between two processes: round trip and one way, spinning and sleeping, from 8 bytes to 1 MiB. The payload is written and read
//! in full by both sides and loans are on the path.

use crate::case::{Case, Ours, Subject, link_case_name};
use crate::measure::{Pattern, Plan};
use crate::peer::between_processes;
use crate::row::{Target, Unit};
use crate::transport::Transport;

/// The sizes of issue and peers.
pub const SIZES: [usize; 5] = [8, 64, 4 << 10, 64 << 10, 1 << 20];

/// Rivals that spin.
const SPINNING: [Transport; 2] = [Transport::LimitCopied, Transport::Iceoryx2];
/// Rivals that sleep in the kernel.
const SLEEPING: [Transport; 3] = [Transport::IpcChannel, Transport::UnixStream, Transport::UnixSeqpacket];
/// Ours, spinning.
const OURS: [Transport; 5] = [
    Transport::LaneCopied,
    Transport::LaneInPlace,
    Transport::TypedRaw,
    Transport::TypedLite,
    Transport::TypedFull,
];
/// Ours, sleeping.
const OURS_SLEEPING: [Transport; 3] =
    [Transport::TypedRawSleeping, Transport::TypedLiteSleeping, Transport::TypedFullSleeping];

/// Every case of this group.
pub fn cases() -> Vec<Case> {
    let spinning = SIZES.map(|bytes| {
        case(Plan::new(Pattern::RoundTrip, bytes), ", spinning", Transport::Limit, &OURS, &SPINNING)
    });
    let sleeping = SIZES.map(|bytes| {
        let plan = Plan::new(Pattern::RoundTrip, bytes);
        case(plan, ", sleeping", Transport::LimitSleeping, &OURS_SLEEPING, &SLEEPING)
    });
    let one_way = SIZES.map(|bytes| {
        case(Plan::new(Pattern::OneWay, bytes), ", spinning", Transport::Limit, &OURS, &SPINNING)
    });
    let one_way_sleeping = SIZES.map(|bytes| {
        let plan = Plan::new(Pattern::OneWay, bytes);
        case(plan, ", sleeping", Transport::LimitSleeping, &OURS_SLEEPING, &SLEEPING)
    });
    let batches = [64].map(|bytes| {
        let plan = Plan::new(Pattern::Batches, bytes);
        case(plan, "", Transport::Limit, &[Transport::LaneCopied, Transport::LaneInPlace], &[])
    });
    [spinning, sleeping, one_way, one_way_sleeping].into_iter().flatten().chain(batches).collect()
}

fn case(plan: Plan, suffix: &str, limit: Transport, ours: &[Transport], rivals: &[Transport]) -> Case {
    let rivals = rivals.iter().filter(|rival| rival.carries(plan.bytes));
    Case {
        name: link_case_name(plan, suffix),
        unit: match plan.pattern {
            Pattern::RoundTrip => Unit::Cycles,
            _ if plan.bytes >= 64 << 10 => Unit::Bytes(plan.bytes),
            _ => Unit::Messages,
        },
        ours: ours
            .iter()
            .map(|ours| Ours { subject: subject(*ours, plan), target: target(*ours, limit, plan) })
            .collect(),
        limit: subject(limit, plan),
        rivals: rivals.map(|rival| subject(*rival, plan)).collect(),
    }
}

/// What we promise, as a multiple of the limit. Nothing is promised at 8 bytes.
fn target(ours: Transport, limit: Transport, plan: Plan) -> Target {
    let in_place = matches!(ours, Transport::LaneInPlace | Transport::TypedRaw);
    let factor = match (plan.pattern, limit, plan.bytes) {
        (Pattern::RoundTrip, Transport::LimitSleeping, 0x1_0000) => 1.1,
        (Pattern::RoundTrip, Transport::LimitSleeping, 64 | 0x1000 | 0x10_0000) => 1.05,
        (Pattern::RoundTrip, Transport::Limit, 64) => 1.25,
        (Pattern::RoundTrip, Transport::Limit, 0x1000) => 1.15,
        (Pattern::RoundTrip, Transport::Limit, 0x1_0000) => 1.2,
        (Pattern::RoundTrip, Transport::Limit, 0x10_0000) => {
            if in_place {
                1.05
            } else {
                1.9
            }
        }
        // 20 of 27.7 million messages and 32 of 40 GB a second.
        (Pattern::OneWay, Transport::Limit, 64) => 20.0 / 27.7,
        (Pattern::Batches, _, 64) => 25.0 / 27.7,
        (Pattern::OneWay, Transport::Limit, 0x1_0000) => 32.0 / 40.0,
        _ => return Target::None,
    };
    Target::Ratio(factor)
}

fn subject(transport: Transport, plan: Plan) -> Subject {
    Subject::new(transport.label(), move |machine, budget| {
        between_processes(machine, transport, plan, budget)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_are_measured_spinning_and_sleeping_at_every_size() {
        let names: Vec<String> = cases().into_iter().map(|case| case.name).collect();
        for bytes in SIZES {
            for pattern in [Pattern::RoundTrip, Pattern::OneWay] {
                for suffix in [", spinning", ", sleeping"] {
                    let name = link_case_name(Plan::new(pattern, bytes), suffix);
                    assert!(names.contains(&name), "{name} is missing from {names:?}");
                }
            }
        }
    }
}
