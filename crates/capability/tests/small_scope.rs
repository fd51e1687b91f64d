//! Every program of a few operations over a tiny set, against the reference model.
//!
//! `FEUERBIRD_SCOPE` sets the length. Programs share their beginnings, so each step is taken once.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod model;

use model::{Ask, Model, Op};

const LENGTH: usize = 5;

/// `which` is four times the position among the live, or that plus 3 among all (see `Model::pick`).
fn operations(kind: u8) -> Vec<Op> {
    let half = Ask { range: Some((0, 4)), ..Ask::ALL };
    vec![
        Op::Derive { which: 0, ask: Ask::ALL },
        Op::Derive { which: 4, ask: half },
        Op::Grant { which: 0, to: 0, ask: half },
        Op::Grant { which: 4, to: 0, ask: Ask::ALL },
        Op::Copy { which: 4 },
        Op::MoveTo { which: 4, to: 0 },
        Op::Delete { which: 0 },
        Op::Delete { which: 4 },
        Op::Revoke { which: 0 },
        Op::Revoke { which: 4 },
        Op::Sweep { budget: 1 },
        Op::DestroySpace { space: 0 },
        Op::Mint { space: 4, kind, rights: u32::MAX, trust: 0xF, range: (0, 8) },
    ]
}

fn explore(model: &Model, operations: &[Op], length: usize, path: &mut Vec<usize>) -> u64 {
    if length == 0 {
        return 1;
    }
    let mut programs = 0;
    for (index, op) in operations.iter().enumerate() {
        path.push(index);
        let mut next = model.clone();
        let stepped = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| next.step(op)));
        assert!(
            stepped.is_ok(),
            "after {:?}",
            path.iter().map(|index| &operations[*index]).collect::<Vec<_>>()
        );
        programs += explore(&next, operations, length - 1, path);
        path.pop();
    }
    programs
}

fn explore_all(kind: u8) {
    let length =
        std::env::var("FEUERBIRD_SCOPE").ok().and_then(|length| length.parse().ok()).unwrap_or(LENGTH);
    let operations = operations(kind);
    let mut model = Model::new();
    model.step(operations.last().unwrap());
    let programs = explore(&model, &operations, length, &mut vec![]);
    assert_eq!(programs, (operations.len() as u64).pow(length as u32));
}

#[test]
fn every_short_program_over_a_shared_kind_does_what_the_model_does() {
    explore_all(3);
}

#[test]
fn every_short_program_over_an_exclusive_kind_does_what_the_model_does() {
    explore_all(4);
}
