//! Statistics while it runs: one line that changes on a terminal, a line every half second without one.

use std::io::{IsTerminal, Write};

use feuerbird::hosted::os::clock::Calibration;
use feuerbird_demos_worker::{Histogram, Role, Word, strictest_layer, sum};

use crate::{
    run::{Copies, handled},
    team::Team,
};

/// How often, in nanoseconds: where a line replaces the one before, and where lines pile up.
const ON_TERMINAL_NS: u64 = 100_000_000;
const PLAIN_NS: u64 = 500_000_000;

pub(crate) struct Live {
    calibration: Calibration,
    payload_bytes: u64,
    is_terminal: bool,
    /// The moment of the last line, and the messages handled by then.
    last: (u64, u64),
}

impl Live {
    pub(crate) fn new(calibration: Calibration, payload_bytes: u64, now: u64) -> Self {
        Self { calibration, payload_bytes, is_terminal: std::io::stderr().is_terminal(), last: (now, 0) }
    }

    /// Shows how it goes, if it is time.
    pub(crate) fn show(&mut self, team: &Team, now: u64) {
        let every = if self.is_terminal { ON_TERMINAL_NS } else { PLAIN_NS };
        if now - self.last.0 < every {
            return;
        }
        let line = self.line(team, now);
        let mut out = std::io::stderr().lock();
        // A closed standard error is no reason to stop.
        let _ = if self.is_terminal { write!(out, "\r\x1b[K{line}") } else { writeln!(out, "{line}") };
        let _ = out.flush();
    }

    /// Leaves a clean line.
    pub(crate) fn end(&self) {
        if self.is_terminal {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }

    fn line(&mut self, team: &Team, now: u64) -> String {
        let handled = handled(team);
        let seconds = (now - self.last.0) as f64 / 1e9;
        let rate = handled.saturating_sub(self.last.1) as f64 / seconds;
        self.last = (now, handled);
        let latency = Histogram::of(team.reports(Role::Consumer));
        let [p50, p99, p999] =
            [0.5, 0.99, 0.999].map(|share| time(latency.quantile(share), self.calibration));
        let depth = sum(team.reports(Role::Producer), Word::Depth);
        let layer = strictest_layer(team.all_reports())
            .map_or_else(|| "no layer yet".to_owned(), |layer| layer.to_string());
        format!(
            "  {layer}: {} messages/s, {}B/s, p50 {p50}, p99 {p99}, p99.9 {p999}, depth {depth} messages, zero-copy {:.1} %",
            metric(rate),
            metric(rate * self.payload_bytes as f64),
            Copies::of(team).hit_rate() * 100.0,
        )
    }
}

/// A time in cycles, in nanoseconds or more and in cycles.
pub(crate) fn time(cycles: u64, calibration: Calibration) -> String {
    format!("{} ({}cycles)", duration(calibration.ns(cycles)), metric(cycles as f64))
}

/// A time in the unit that suits it.
pub(crate) fn duration(ns: f64) -> String {
    match ns {
        ..1e3 => format!("{ns:.0} ns"),
        ..1e6 => format!("{:.1} us", ns / 1e3),
        ..1e9 => format!("{:.1} ms", ns / 1e6),
        _ => format!("{:.2} s", ns / 1e9),
    }
}

/// A number and its prefix, to three digits; the unit follows at once.
pub(crate) fn metric(value: f64) -> String {
    match value {
        ..1e3 => format!("{value:.0} "),
        ..1e6 => format!("{:.1} k", value / 1e3),
        ..1e9 => format!("{:.2} M", value / 1e6),
        _ => format!("{:.2} G", value / 1e9),
    }
}
