//! The results, for programs: one line of JSON. Its names and their order are what others rely on.

use feuerbird::{hosted::os::clock::Calibration, serialization::Layer};
use serde::Serialize;

use crate::{kill::Killed, results::Results, run::Outcome};

#[derive(Serialize)]
struct Line<'a> {
    demo: &'static str,
    layers: Vec<LayerFields>,
    killed: Vec<KilledFields>,
    attempts: Vec<AttemptFields<'a>>,
    buffers_lost: u64,
}

#[derive(Serialize)]
struct LayerFields {
    layer: &'static str,
    /// 0 to 15.
    trust: u8,
    messages: u64,
    lost: u64,
    duplicated: u64,
    altered: u64,
    messages_per_s: u64,
    /// Of payload.
    bytes_per_s: u64,
    p50_ns: u64,
    p99_ns: u64,
    /// 0 to 1.
    zero_copy_hit_rate: f64,
}

#[derive(Serialize)]
struct KilledFields {
    pid: u32,
    role: &'static str,
    survivors_notified_ms: Option<f64>,
}

#[derive(Serialize)]
struct AttemptFields<'a> {
    attempt: &'static str,
    stopped_by: Option<&'a str>,
}

/// Everything in one line, without its end.
///
/// # Errors
/// Where the text cannot be made; no value here is one that JSON lacks.
pub(crate) fn line(
    results: &Results,
    payload_bytes: u32,
    calibration: Calibration,
) -> anyhow::Result<String> {
    let attempts = results.attempts.iter();
    let line = Line {
        demo: "producer-consumer",
        layers: results.outcomes.iter().map(|outcome| layer(outcome, payload_bytes, calibration)).collect(),
        killed: results.outcomes.iter().flat_map(|outcome| outcome.killed.iter().map(killed)).collect(),
        attempts: attempts
            .map(|it| AttemptFields { attempt: it.attempt, stopped_by: it.stopped_by.as_deref() })
            .collect(),
        buffers_lost: results
            .outcomes
            .iter()
            .fold(0, |sum, outcome| sum.saturating_add(outcome.buffers_lost)),
    };
    Ok(serde_json::to_string(&line)?)
}

fn layer(outcome: &Outcome, payload_bytes: u32, calibration: Calibration) -> LayerFields {
    let per_s = outcome.messages_per_s();
    let ns = |share| calibration.ns(outcome.latency.quantile(share)).round() as u64;
    LayerFields {
        layer: match outcome.layer {
            Layer::Raw => "Raw",
            Layer::Lite => "Lite",
            Layer::Full => "Full",
        },
        trust: outcome.trust.level(),
        messages: outcome.proof.handled,
        lost: outcome.proof.lost,
        duplicated: outcome.proof.duplicated,
        altered: outcome.proof.altered,
        messages_per_s: per_s.round() as u64,
        bytes_per_s: (per_s * f64::from(payload_bytes)).round() as u64,
        p50_ns: ns(0.5),
        p99_ns: ns(0.99),
        zero_copy_hit_rate: outcome.copies.hit_rate(),
    }
}

fn killed(killed: &Killed) -> KilledFields {
    KilledFields {
        pid: killed.pid,
        role: killed.role.name(),
        survivors_notified_ms: killed.survivors_notified_ms,
    }
}
