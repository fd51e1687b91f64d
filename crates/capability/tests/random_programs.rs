//! Random programs against the reference model, everything compared after every step.
//!
//! `FEUERBIRD_STEPS` says how many steps to take; the long run is
//! `FEUERBIRD_STEPS=1000000 cargo test --release -p feuerbird-capability --test random_programs`.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod model;

use std::cell::Cell;

use proptest::test_runner::{Config, TestRunner};

use model::{Model, programs};

const STEPS: usize = 50_000;
const LENGTH: usize = 256;

#[test]
fn random_programs_do_what_the_model_does() {
    let steps = std::env::var("FEUERBIRD_STEPS").ok().and_then(|steps| steps.parse().ok()).unwrap_or(STEPS);
    let taken = Cell::new(0);
    // Where a failure would be written down is the source tree; the shrunk program is printed instead.
    let config = Config { cases: 16, failure_persistence: None, ..Config::default() };
    while taken.get() < steps {
        let mut runner = TestRunner::new(config.clone());
        let result = runner.run(&programs(LENGTH), |program| {
            let mut model = Model::new();
            for op in &program {
                model.step(op);
                taken.set(taken.get() + 1);
            }
            Ok(())
        });
        if let Err(failure) = result {
            panic!("{failure}");
        }
    }
    println!("{} steps", taken.get());
}
