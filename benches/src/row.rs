//! A row of the result: what is written to JSON, and what a person reads.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use crate::disturbance::TOLERABLE;
use crate::machine::{Machine, Probe};
use crate::statistics::ratio;

/// The unit of a value, and with it which direction is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Cycles of the time stamp counter; fewer are better.
    Cycles,
    /// Messages per second; more are better.
    Messages,
    /// Bytes per second, in messages of this many; more are better.
    Bytes(usize),
}

impl Unit {
    /// The name in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cycles => "cycles",
            Self::Messages => "messages/s",
            Self::Bytes(_) => "bytes/s",
        }
    }

    /// Whether more is better.
    pub fn more_is_better(self) -> bool {
        self != Self::Cycles
    }

    /// Converts a measurement in cycles.
    pub fn of_cycles(self, machine: &Machine, cycles: f64) -> f64 {
        match self {
            Self::Cycles => cycles,
            Self::Messages => machine.per_second(1.0 / cycles),
            Self::Bytes(bytes) => machine.per_second(bytes as f64 / cycles),
        }
    }

    /// A value as a person reads it.
    pub fn show(self, value: f64) -> String {
        match self {
            Self::Cycles if value < 100.0 => format!("{value:.1} cyc"),
            Self::Cycles => format!("{value:.0} cyc"),
            Self::Messages => format!("{:.2} M/s", value / 1e6),
            Self::Bytes(_) => format!("{:.2} GB/s", value / 1e9),
        }
    }
}

/// What ours should reach.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Target {
    /// Nothing was promised.
    None,
    /// This multiple of the limit in the same round.
    Ratio(f64),
    /// This value.
    Value(f64),
}

/// One row.
#[derive(Clone, Debug)]
pub struct Row {
    /// What was measured.
    pub case: String,
    /// The unit of all values.
    pub unit: Unit,
    /// Ours, where there is one.
    pub value: Option<f64>,
    /// What the limit is.
    pub limit_name: String,
    /// The limit, where it could be measured.
    pub limit: Option<f64>,
    /// What ours should reach.
    pub target: Target,
    /// The rivals that could be measured.
    pub rivals: Vec<(String, f64)>,
    /// The cache-line probe before.
    pub before: Probe,
    /// The cache-line probe after.
    pub after: Probe,
    /// The share of the time that ours or the limit waited for a CPU which somebody else had.
    pub disturbed: f64,
    /// Ours in nanoseconds, where the unit is cycles.
    pub ns: Option<f64>,
}

impl Row {
    /// Ours divided by the limit.
    pub fn ratio(&self) -> Option<f64> {
        ratio(self.value?, self.limit?)
    }

    /// The target as a value of the row's unit.
    pub fn target_value(&self) -> Option<f64> {
        match self.target {
            Target::None => None,
            Target::Ratio(factor) => self.limit.map(|limit| limit * factor),
            Target::Value(value) => Some(value),
        }
    }

    /// Whether the target is reached; `None` also where the machine was too busy to tell.
    pub fn reached(&self) -> Option<bool> {
        if self.is_disturbed() {
            return None;
        }
        let (value, target) = (self.value?, self.target_value()?);
        Some(if self.unit.more_is_better() { value >= target } else { value <= target })
    }

    /// Whether somebody else had too much of the CPUs for ours or the limit to mean anything.
    pub fn is_disturbed(&self) -> bool {
        self.disturbed > TOLERABLE
    }

    /// The JSON object; `None` where we have no figure yet.
    pub fn to_json(&self, group: &str) -> Option<Value> {
        let rivals: Map<String, Value> =
            self.rivals.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
        let target_ratio = if let Target::Ratio(factor) = self.target { Some(factor) } else { None };
        Some(json!({
            "group": group,
            "case": self.case,
            "unit": self.unit.name(),
            "better": if self.unit.more_is_better() { "higher" } else { "lower" },
            "value": self.value?,
            "value_ns": self.ns,
            "limit": self.limit,
            "limit_is": self.limit_name,
            "ratio": self.ratio(),
            "target": self.target_value(),
            "target_ratio": target_ratio,
            "reached": self.reached(),
            "rivals": rivals,
            "probe_before_cycles": self.before.cycles,
            "probe_after_cycles": self.after.cycles,
            "class": self.class(),
            "disturbed_share": self.disturbed,
        }))
    }

    /// `sibling`, `near` or `far`; `mixed` where the machine moved the two CPUs meanwhile, so that the ratio is not to be trusted.
    pub fn class(&self) -> &'static str {
        if self.before.class() == self.after.class() { self.before.class() } else { "mixed" }
    }
}

/// The array of a group's rows for its JSON file.
pub fn to_json(group: &str, rows: &[Row]) -> Value {
    rows.iter().filter_map(|row| row.to_json(group)).collect()
}

/// The table for people.
pub fn to_table(group: &str, rows: &[Row]) -> String {
    let width = rows.iter().map(|row| row.case.chars().count()).max().unwrap_or(0).max(4);
    let mut text = format!(
        "\n{group}\n{:width$}  {:>12}  {:>12}  {:>6}  {:>12}  {:7}  probe before, after\n",
        "case", "ours", "limit", "ratio", "target", "reached"
    );
    for (index, row) in rows.iter().enumerate() {
        let show = |value: Option<f64>| value.map_or("-".to_owned(), |value| row.unit.show(value));
        let ratio = row.ratio().map_or("-".to_owned(), |ratio| format!("x{ratio:.2}"));
        let reached = match row.reached() {
            Some(true) => "yes",
            Some(false) => "NO",
            None if row.is_disturbed() => "(busy)",
            None => "-",
        };
        // Writing into a string does not fail.
        let _ = writeln!(
            text,
            "{:width$}  {:>12}  {:>12}  {ratio:>6}  {:>12}  {reached:7}  {}, {}",
            row.case,
            if row.value.is_some() { show(row.value) } else { "not yet".to_owned() },
            show(row.limit),
            show(row.target_value()),
            row.before,
            row.after,
        );
        // Variants of a case share its rivals: said once, behind the last.
        if rows.get(index + 1).is_some_and(|next| next.rivals == row.rivals && next.before == row.before) {
            continue;
        }
        for (name, value) in &row.rivals {
            let ratio = row.limit.and_then(|limit| ratio_text(*value, limit)).unwrap_or_default();
            let _ = writeln!(text, "    {name:<40} {} {ratio}", row.unit.show(*value));
        }
    }
    text
}

fn ratio_text(value: f64, limit: f64) -> Option<String> {
    ratio(value, limit).map(|ratio| format!("(x{ratio:.2})"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(unit: Unit, value: Option<f64>, target: Target) -> Row {
        let probe = Probe { cycles: 364.0 };
        let rivals = vec![("other".to_owned(), 900.0)];
        let (case, limit_name) = ("a case".to_owned(), "the limit".to_owned());
        Row {
            case,
            unit,
            value,
            limit_name,
            limit: Some(500.0),
            target,
            rivals,
            before: probe,
            after: probe,
            disturbed: 0.0,
            ns: None,
        }
    }

    #[test]
    fn fewer_cycles_and_more_messages_reach_a_target() {
        let reached = |unit, value, target| row(unit, Some(value), target).reached();
        assert_eq!(reached(Unit::Cycles, 600.0, Target::Ratio(1.25)), Some(true));
        assert_eq!(reached(Unit::Cycles, 630.0, Target::Ratio(1.25)), Some(false));
        assert_eq!(reached(Unit::Messages, 400.0, Target::Ratio(0.72)), Some(true));
        assert_eq!(reached(Unit::Messages, 300.0, Target::Ratio(0.72)), Some(false));
        assert_eq!(reached(Unit::Cycles, 8.5, Target::Value(8.0)), Some(false));
        assert_eq!(reached(Unit::Cycles, 8.5, Target::None), None);
    }

    #[test]
    fn a_busy_machine_reaches_nothing() {
        let mut row = row(Unit::Cycles, Some(600.0), Target::Ratio(1.25));
        row.disturbed = 0.5;
        assert_eq!(row.reached(), None);
        assert!(to_table("hosted", &[row]).contains("(busy)"));
    }

    #[test]
    fn json_has_every_promised_field() {
        let rows = [row(Unit::Cycles, Some(600.0), Target::Ratio(1.25))];
        let json = to_json("hosted", &rows);
        let object = json[0].as_object().unwrap();
        for field in ["group", "case", "unit", "value", "limit", "ratio", "target", "reached", "rivals"] {
            assert!(object.contains_key(field), "{field}");
        }
        assert_eq!(object["ratio"], 1.2);
        assert_eq!(object["target"], 625.0);
        assert_eq!(object["reached"], true);
        assert_eq!(object["rivals"]["other"], 900.0);
        assert_eq!((&object["group"], &object["unit"]), (&json!("hosted"), &json!("cycles")));
    }

    #[test]
    fn a_row_without_a_figure_is_shown_but_not_written() {
        let rows = [row(Unit::Messages, None, Target::None)];
        assert_eq!(to_json("hosted", &rows), json!([]));
        assert!(to_table("hosted", &rows).contains("not yet"));
    }

    #[test]
    fn a_move_between_the_probes_is_said() {
        let mut row = row(Unit::Cycles, None, Target::None);
        assert_eq!(row.class(), "near");
        row.after.cycles = 1250.0;
        assert_eq!(row.class(), "mixed");
    }
}
