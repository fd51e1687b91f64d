//! The results, for people: a table and a proof.

use std::fmt::Write as _;

use feuerbird::hosted::os::clock::Calibration;
use feuerbird_demos::cheat::Attempt;

use crate::{
    kill::Killed,
    live::{duration, metric, time},
    run::Outcome,
};

/// Everything that came of the demo.
#[derive(Debug, Default)]
pub(crate) struct Results {
    pub(crate) outcomes: Vec<Outcome>,
    pub(crate) attempts: Vec<Attempt>,
}

impl Results {
    /// Whether everything was proven that was to be.
    pub(crate) fn is_proven(&self) -> bool {
        self.outcomes.iter().all(Outcome::is_proven) && self.attempts.iter().all(|it| it.stopped_by.is_some())
    }

    /// The table that compares the layers.
    pub(crate) fn table(&self, payload_bytes: u32, calibration: Calibration) -> String {
        let header =
            ["layer", "trust", "messages", "messages/s", "payload", "p50", "p99", "p99.9", "zero-copy"];
        let rows = self.outcomes.iter().map(|outcome| {
            let [p50, p99, p999] =
                [0.5, 0.99, 0.999].map(|share| time(outcome.latency.quantile(share), calibration));
            [
                outcome.layer.to_string(),
                format!("0x{:X}", outcome.trust.level()),
                outcome.proof.handled.to_string(),
                metric(outcome.messages_per_s()).trim_end().to_owned(),
                format!("{}B/s", metric(outcome.messages_per_s() * f64::from(payload_bytes))),
                p50,
                p99,
                p999,
                format!("{:.1} %", outcome.copies.hit_rate() * 100.0),
            ]
        });
        let rows: Vec<_> = std::iter::once(header.map(str::to_owned)).chain(rows).collect();
        let widths: Vec<usize> = (0..header.len())
            .map(|column| rows.iter().map(|row| row[column].len()).max().unwrap_or(0))
            .collect();
        let mut table = String::new();
        for row in rows {
            for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
                // Names to the left, numbers to the right.
                let _ = if column == 0 {
                    write!(table, "{cell:width$}")
                } else {
                    write!(table, "  {cell:>width$}")
                };
            }
            table.push('\n');
        }
        table
    }
}

/// What one run has proven, in words.
pub(crate) fn proof(outcome: &Outcome) -> String {
    let proof = &outcome.proof;
    let count = |count: u64, what: &str| match count {
        0 => format!("none {what}"),
        _ => format!("{count} {}", what.to_uppercase()),
    };
    let mut text = format!(
        "{} messages: {}, {}, {}",
        proof.handled,
        count(proof.lost, "lost"),
        count(proof.duplicated, "twice"),
        count(proof.altered, "altered"),
    );
    for killed in &outcome.killed {
        let _ = write!(text, "\n  {}", killing(killed));
    }
    if !outcome.killed.is_empty() {
        let _ = write!(text, "\n  taken along by the killed consumer: {} (at most 1)", proof.taken_along);
        let _ = write!(
            text,
            "\n  in the killed consumer's hand and handed on to another: {} (at most 1)",
            proof.handed_on
        );
        let _ = write!(text, "\n  {}", pool(outcome));
    }
    for failure in &outcome.failures {
        let _ = write!(text, "\n  FAILED: {failure}");
    }
    text
}

/// What became of the buffers of those who were not killed.
fn pool(outcome: &Outcome) -> String {
    let Outcome { buffers_lost: lost, buffers_returned: returned, has_pool, .. } = outcome;
    match (lost, returned) {
        (0, 0) if !has_pool => {
            "buffers lost: none, because no buffer was in use: messages this small travel in their slots"
                .to_owned()
        }
        (0, 0) => "buffers lost: none seen, because no surviving producer had one back".to_owned(),
        (0, _) => format!("buffers lost: 0 of {returned}: the pool is whole"),
        _ => format!("buffers lost: {lost}: THE POOL IS NOT WHOLE"),
    }
}

fn killing(killed: &Killed) -> String {
    let noticed = match killed.survivors_notified_ms {
        Some(ms) => format!("all its peers knew after {}", duration(ms * 1e6)),
        None if killed.unaware > 0 => format!("{} OF ITS PEERS NEVER KNEW", killed.unaware),
        None => "no peer was left to notice".to_owned(),
    };
    let Killed { pid, role, progress, .. } = killed;
    format!("killed {} (process {pid}) after {:.0} % of the run: {noticed}", role.name(), progress * 100.0)
}
