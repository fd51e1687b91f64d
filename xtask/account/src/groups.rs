//! What parts of a path are for, in groups that a reader can follow.

use crate::image::{ASSEMBLY, Frame};

/// Instructions that are there for one purpose.
struct Group {
    name: &'static str,
    /// Files, or `file::function`; the innermost function that is in a group decides. Tools that many use (tables, slots, the clock)
    /// are in none, and so belong to who uses them.
    of: &'static [&'static str],
}

/// What no group has; there is always some, but where it is much a group is missing.
const OTHER: &str = "the rest";

const GROUPS: [Group; 21] = [
    Group {
        name: "the program that measures: arguments into registers, the answer out of them",
        of: &["kernel/programs/"],
    },
    Group { name: "in and out of ring 0: stacks, registers kept and restored", of: &[ASSEMBLY] },
    Group { name: "the kernel's lock", of: &["kernel/src/domain/lock.rs", "kernel/src/cpu/shootdown.rs"] },
    Group {
        name: "who calls, which call, arguments and answer; whether the caller goes on",
        of: &[
            "kernel/src/domain/run.rs",
            "kernel/src/domain/calls.rs",
            "kernel/src/cpu/state.rs",
            "crates/exokernel/src/calls/mod.rs",
        ],
    },
    Group {
        name: "the call's own: whose and what it is about, what came of it",
        of: &["crates/exokernel/src/calls/capabilities.rs", "crates/exokernel/src/calls/along.rs"],
    },
    Group {
        name: "what is due: deadlines, and work that calls have left",
        of: &[
            "kernel/src/domain/run.rs::work",
            "crates/exokernel/src/work.rs::is_quiet",
            "crates/exokernel/src/work.rs::work",
            "crates/exokernel/src/work.rs::do_steps",
            "crates/exokernel/src/revocation.rs::expire_one",
            "crates/exokernel/src/revocation.rs::earliest_deadline",
        ],
    },
    Group {
        name: "looking up: space, slot, generation, ancestors",
        of: &["crates/capability/src/capabilities.rs::lookup"],
    },
    Group {
        name: "what the child may have: rights, trust, badge, range, depth",
        of: &["crates/capability/src/derivation.rs", "crates/capability/src/rights.rs"],
    },
    Group {
        name: "a node: taken, and in the lists of its space and of its parent",
        of: &[
            "crates/capability/src/capabilities.rs::allocate",
            "crates/capability/src/capabilities.rs::enter",
            "crates/capability/src/node.rs",
        ],
    },
    Group { name: "the object's count", of: &["crates/capability/src/object.rs"] },
    Group {
        name: "the log: a record, in the ring and in the monitor's page",
        of: &[
            "crates/exokernel/src/audit.rs",
            "crates/exokernel/src/kernel.rs::log",
            "crates/abi/src/record.rs",
            "kernel/src/domain/monitor.rs",
        ],
    },
    Group {
        name: "memory: frames, tables, and who may have how much",
        of: &[
            "kernel/src/domain/memory_calls.rs",
            "kernel/src/memory/frames.rs",
            "kernel/src/memory/map.rs",
            "kernel/src/memory/object.rs",
            "kernel/src/memory/paging.rs",
            "kernel/src/memory/quota.rs",
        ],
    },
    Group {
        name: "unusable at once: what is below is condemned",
        of: &[
            "crates/capability/src/revocation.rs::condemn_children",
            "crates/capability/src/revocation.rs::revoke",
        ],
    },
    Group {
        name: "the revocation's own record, other revocations, its end and its answer",
        of: &["crates/exokernel/src/revocation.rs"],
    },
    Group {
        name: "the sweep: what is condemned is taken out and freed",
        of: &["crates/capability/src/revocation.rs", "crates/exokernel/src/work.rs"],
    },
    Group {
        name: "what hung on a swept capability: transfers, memory, bindings",
        of: &[
            "crates/exokernel/src/revocation.rs::finalise",
            "crates/exokernel/src/withdrawal.rs",
            "crates/exokernel/src/notice.rs",
            "crates/exokernel/src/transfer",
            "crates/exokernel/src/calls/regions.rs",
        ],
    },
    Group {
        name: "its holder is told",
        of: &[
            "crates/exokernel/src/work.rs::tell",
            "kernel/src/domain/machine.rs::upcall",
            "kernel/src/domain/upcalls.rs",
            "kernel/src/domain/events.rs",
        ],
    },
    Group {
        name: "an endpoint of many lanes: which one, which layer, what came of it",
        of: &[
            "crates/channel/src/sender.rs",
            "crates/channel/src/receiver.rs",
            "crates/channel/src/receiver/deliver.rs",
            "crates/channel/src/lanes_out.rs",
            "crates/channel/src/arriving.rs",
        ],
    },
    Group {
        name: "the lane: its slot, its position, who sleeps there",
        of: &[
            "crates/channel/src/producer.rs",
            "crates/channel/src/producer/claim.rs",
            "crates/channel/src/consumer.rs",
            "crates/channel/src/layout.rs",
            "crates/channel/src/view.rs",
            "crates/channel/src/buffer.rs",
        ],
    },
    Group { name: "the validity word", of: &["crates/channel/src/validity.rs"] },
    Group { name: "the message: its layer, encoded or read", of: &["crates/serialization/"] },
];

/// What an instruction is for, by who called whom, the outermost first.
pub(crate) fn purpose(stack: &[Frame]) -> &'static str {
    stack.iter().rev().find_map(group).unwrap_or(OTHER)
}

/// A group that names the function goes before one that names the file.
fn group(frame: &Frame) -> Option<&'static str> {
    let function = format!("{}::{}", frame.file, frame.function);
    let by = |is: &dyn Fn(&str) -> bool| GROUPS.iter().find(|group| group.of.iter().any(|it| is(it)));
    let found = by(&|it| it == function).or_else(|| by(&|it| frame.file.starts_with(it)));
    found.map(|group| group.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(file: &str, function: &str) -> Frame {
        Frame { function: function.to_owned(), file: file.to_owned(), line: 1 }
    }

    #[test]
    fn the_innermost_function_in_a_group_decides_and_tools_belong_to_who_uses_them() {
        let dispatch = frame("crates/exokernel/src/calls/mod.rs", "serve_plain");
        let log = frame("crates/exokernel/src/kernel.rs", "log");
        let clock = frame("kernel/src/cpu/clock.rs", "now_ns");
        assert!(purpose(&[dispatch.clone(), log.clone(), clock.clone()]).starts_with("the log"));
        assert!(purpose(&[dispatch, clock.clone()]).starts_with("who calls"));
        assert_eq!(purpose(&[clock]), OTHER);
    }

    #[test]
    fn a_group_of_the_function_goes_before_one_of_the_file() {
        assert!(purpose(&[frame("crates/exokernel/src/work.rs", "tell")]).starts_with("its holder"));
        assert!(purpose(&[frame("crates/exokernel/src/work.rs", "sweep")]).starts_with("the sweep"));
    }

    #[test]
    fn every_file_that_a_group_names_is_there() {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        for place in GROUPS.iter().flat_map(|group| group.of).filter(|place| **place != ASSEMBLY) {
            let (file, function) = place.split_once("::").unwrap_or((place, ""));
            let is_there = root.join(file).exists() || root.join(format!("{file}.rs")).exists();
            assert!(is_there, "{file} is gone: its instructions are in no group");
            let text = std::fs::read_to_string(root.join(file)).unwrap_or_default();
            let is_in_it = ["(", "<"].iter().any(|next| text.contains(&format!("fn {function}{next}")));
            assert!(function.is_empty() || is_in_it, "{place} is gone: name what it became");
        }
    }
}
