//! One tiny measurement of every transport: that messages pass whole, not how fast.

use crate::case::Effort;
use crate::groups::{Group, hosted};
use crate::link::LinkError;
use crate::machine::Machine;
use crate::measure::{Pattern, Plan};
use crate::peer::between_processes;
use crate::transport::Transport;

use clap::ValueEnum;

/// Runs every transport in every pattern at two sizes, and every case of the other groups.
///
/// # Errors
/// The first [`LinkError`], after its case was named on the standard error stream.
pub fn run(machine: &Machine) -> Result<(), LinkError> {
    for transport in Transport::value_variants() {
        for pattern in [Pattern::RoundTrip, Pattern::OneWay, Pattern::Batches] {
            for bytes in [hosted::SIZES[1], hosted::SIZES[2]] {
                let plan = Plan { stage: 64, ..Plan::new(pattern, bytes) };
                between_processes(machine, *transport, plan, Effort::SMOKE.budget).inspect_err(|error| {
                    eprintln!("{}, {pattern:?}, {bytes} B: {error}", transport.label())
                })?;
                println!("{} {pattern:?} {bytes} B: passed", transport.label());
            }
        }
    }
    let mut failures = 0;
    // Those of group hosted are the transports above, in more sizes.
    for case in [Group::InProcess, Group::Serialization].into_iter().flat_map(Group::cases) {
        let failed = case.run(machine, Effort::SMOKE, &mut |line| eprintln!("{line}"))?.failures;
        println!("{}: {}", case.name, if failed == 0 { "passed" } else { "FAILED" });
        failures += failed;
    }
    if failures == 0 { Ok(()) } else { Err(LinkError::Altered) }
}
