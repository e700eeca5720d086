//! What may not get dearer: the bounds of the design, and the counts of the last commit that meant to change them.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, ensure};
use serde_json::{Map, Value, json};

use crate::callgrind::{self, Profile};
use crate::scenarios::{self, ALL, Scenario};

/// Runs that are counted.
const RUNS: u64 = 10_000;
/// So much dearer than the reference is still the compiler's doing: the `quick` profile cuts a crate into several
/// units, and moving one function moves what is inlined elsewhere (16 % was seen on untouched code).
pub const TOLERANCE: f64 = 0.25;
/// Ten thousand routes against ten.
pub const ROUTES: f64 = 1.1;

/// The counts of one run of a scenario.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Count {
    /// None where there is no valgrind.
    pub instructions: Option<f64>,
    /// Allocations, reallocations included.
    pub allocations: f64,
}

/// By the scenario's name.
pub type Counts = BTreeMap<String, Count>;

/// Instructions of one run, from two runs of `program` under callgrind: what both do cancels out.
///
/// # Errors
/// When valgrind or the program fails.
pub fn instructions(program: &Path, scenario: &Scenario) -> anyhow::Result<f64> {
    // The first runs fill caches of the scenario's own.
    let (few, many) = (RUNS / 10, RUNS / 10 + RUNS);
    let counted = total(program, scenario, many)?.saturating_sub(total(program, scenario, few)?);
    Ok(ratio(counted, RUNS))
}

fn total(program: &Path, scenario: &Scenario, times: u64) -> anyhow::Result<u64> {
    let dir = tempfile::tempdir()?;
    let file = dir.path().join("counts");
    let ran = Command::new("valgrind")
        .args(callgrind::OPTIONS)
        .arg(format!("--callgrind-out-file={}", file.display()))
        .arg(program)
        .args([scenario.name, &times.to_string()])
        .stdin(Stdio::null())
        .output()
        .context("cannot run valgrind")?;
    ensure!(ran.status.success(), "{}: {}", scenario.name, String::from_utf8_lossy(&ran.stderr));
    Ok(Profile::read(&file)?.instructions)
}

/// `count` for each of `of`.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
pub fn ratio(count: u64, of: u64) -> f64 {
    count as f64 / of.max(1) as f64
}

/// Everything that is too dear, as sentences.
#[must_use]
pub fn judge(counts: &Counts, reference: &Counts) -> Vec<String> {
    let mut failures: Vec<String> = ALL.iter().filter_map(|scenario| bound(scenario, counts)).collect();
    failures.extend(counts.iter().filter_map(|(name, count)| drift(name, *count, reference.get(name))));
    failures.extend(routes(counts));
    failures
}

fn bound(scenario: &Scenario, counts: &Counts) -> Option<String> {
    let Scenario { name, allocations: may, .. } = scenario;
    let count = counts.get(*name)?;
    (count.allocations > ratio(*may, 1))
        .then(|| format!("{name}: {:.3} allocations a run, {may} allowed", count.allocations))
}

fn drift(name: &str, count: Count, reference: Option<&Count>) -> Option<String> {
    let Some(reference) = reference else {
        return Some(format!("{name}: not in the reference; write it anew with --update"));
    };
    // A map that grows once in a while is no allocation a run.
    if count.allocations > reference.allocations + 0.05 {
        return Some(format!(
            "{name}: {:.2} allocations a run, {:.2} in the reference",
            count.allocations, reference.allocations
        ));
    }
    let (now, then) = (count.instructions?, reference.instructions?);
    let change = now / then - 1.0;
    (change > TOLERANCE).then(|| {
        format!(
            "{name}: {now:.0} instructions a run, {:+.0} % against {then:.0} of the reference",
            change * 100.0
        )
    })
}

fn routes(counts: &Counts) -> Option<String> {
    let of = |name| counts.get(name).and_then(|count: &Count| count.instructions);
    let change = of(scenarios::ROUTER_LARGE)? / of(scenarios::ROUTER_SMALL)?;
    (change > ROUTES).then(|| format!("10,000 routes cost {change:.3} × what 10 do, {ROUTES} allowed"))
}

/// As it is kept in `reference.json`.
#[must_use]
pub fn to_json(counts: &Counts) -> Value {
    let entry = |(name, count): (&String, &Count)| {
        let tenth = |number: f64| (number * 10.0).round() / 10.0;
        let value = json!({
            "instructions": count.instructions.map(tenth),
            "allocations": tenth(count.allocations),
        });
        (name.clone(), value)
    };
    Value::Object(counts.iter().map(entry).collect::<Map<_, _>>())
}

/// Reads what [`to_json`] wrote.
///
/// # Errors
/// When it is something else.
pub fn from_json(text: &str) -> anyhow::Result<Counts> {
    let object: Map<String, Value> = serde_json::from_str(text)?;
    let entry = |(name, value): (String, Value)| {
        let allocations = value.get("allocations").and_then(Value::as_f64);
        let allocations = allocations.with_context(|| format!("`{name}` has no allocations"))?;
        Ok((name, Count { instructions: value.get("instructions").and_then(Value::as_f64), allocations }))
    };
    object.into_iter().map(entry).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(entries: &[(&str, f64, f64)]) -> Counts {
        let count = |&(name, instructions, allocations): &(&str, f64, f64)| {
            (name.to_owned(), Count { instructions: Some(instructions), allocations })
        };
        entries.iter().map(count).collect()
    }

    #[test]
    fn passes_what_costs_what_it_did() {
        let reference = counts(&[("guard", 100.0, 0.0)]);
        assert_eq!(judge(&counts(&[("guard", 124.0, 0.0)]), &reference), Vec::<String>::new());
    }

    #[test]
    fn fails_what_got_dearer_than_the_tolerance() {
        let failures = judge(&counts(&[("guard", 126.0, 0.0)]), &counts(&[("guard", 100.0, 0.0)]));
        assert_eq!(failures, ["guard: 126 instructions a run, +26 % against 100 of the reference"]);
    }

    #[test]
    fn fails_an_allocation_the_design_does_not_allow() {
        let measured = counts(&[("telemetry", 100.0, 1.0)]);
        assert_eq!(judge(&measured, &measured), ["telemetry: 1.000 allocations a run, 0 allowed"]);
    }

    #[test]
    fn fails_an_allocation_the_reference_does_not_have() {
        let failures = judge(&counts(&[("identify", 5.0, 2.0)]), &counts(&[("identify", 5.0, 1.0)]));
        assert_eq!(failures, ["identify: 2.00 allocations a run, 1.00 in the reference"]);
    }

    #[test]
    fn fails_routers_that_look_at_every_route() {
        let measured = counts(&[("router_10", 100.0, 0.0), ("router_10000", 111.0, 0.0)]);
        assert_eq!(judge(&measured, &measured), ["10,000 routes cost 1.110 × what 10 do, 1.1 allowed"]);
    }

    #[test]
    fn fails_a_scenario_nobody_has_a_reference_for() {
        assert_eq!(judge(&counts(&[("guard", 1.0, 0.0)]), &Counts::new()).len(), 1);
    }

    #[test]
    fn reads_back_what_it_writes() {
        let written = counts(&[("guard", 123.4, 0.0), ("identify", 5.0, 2.0)]);
        assert_eq!(from_json(&to_json(&written).to_string()).unwrap(), written);
    }
}
