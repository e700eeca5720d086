//! What a drill must show and what it showed.

use std::fmt;

use serde_json::{Value, json};

/// One number and its bound.
#[derive(Clone, Debug)]
pub(crate) struct Check {
    what: String,
    saw: String,
    /// Absent: only reported.
    must: Option<String>,
    passed: bool,
}

/// Everything one drill showed.
#[derive(Clone, Debug)]
pub(crate) struct Verdict {
    drill: &'static str,
    /// How it was measured, where a reader must know to judge the numbers.
    notes: Vec<String>,
    checks: Vec<Check>,
}

impl Verdict {
    pub(crate) const fn new(drill: &'static str) -> Self {
        Self { drill, notes: Vec::new(), checks: Vec::new() }
    }

    pub(crate) fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }

    /// A number without a bound.
    pub(crate) fn info(&mut self, what: impl Into<String>, saw: impl fmt::Display) {
        self.checks.push(Check { what: what.into(), saw: saw.to_string(), must: None, passed: true });
    }

    /// A number with one.
    pub(crate) fn must(
        &mut self,
        what: impl Into<String>,
        saw: impl fmt::Display,
        must: impl fmt::Display,
        passed: bool,
    ) {
        let (saw, must) = (saw.to_string(), Some(must.to_string()));
        self.checks.push(Check { what: what.into(), saw, must, passed });
    }

    /// A count that may be at most so large.
    pub(crate) fn at_most(&mut self, what: impl Into<String>, saw: u64, most: u64) {
        self.must(what, saw, format_args!("≤ {most}"), saw <= most);
    }

    /// Things that must not happen, with the first of them in words.
    pub(crate) fn none(&mut self, what: impl Into<String>, told: &[String]) {
        let first = told.first().map(|first| format!(" (first: {first})")).unwrap_or_default();
        self.must(what, format_args!("{}{first}", told.len()), "none", told.is_empty());
    }

    pub(crate) fn failures(&self) -> usize {
        self.checks.iter().filter(|check| !check.passed).count()
    }

    pub(crate) fn as_json(&self) -> Value {
        let checks = self.checks.iter().map(|Check { what, saw, must, passed }| {
            json!({ "what": what, "saw": saw, "must": must, "passed": passed })
        });
        json!({
            "drill": self.drill,
            "notes": self.notes,
            "checks": checks.collect::<Vec<_>>(),
            "failures": self.failures(),
        })
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(formatter, "{}", self.drill)?;
        self.notes.iter().try_for_each(|note| writeln!(formatter, "  # {note}"))?;
        for Check { what, saw, must, passed } in &self.checks {
            let mark = match (must, passed) {
                (None, _) => "  ",
                (Some(_), true) => "ok",
                (Some(_), false) => "NO",
            };
            let must = must.as_ref().map(|must| format!("   must be {must}")).unwrap_or_default();
            writeln!(formatter, "  {mark} {what:<58} {saw:>10}{must}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_must_hold_can_fail_and_says_so_in_text_and_json() {
        let mut verdict = Verdict::new("sample");
        verdict.info("calls", 7);
        verdict.at_most("errors", 0, 0);
        assert_eq!(verdict.failures(), 0);
        verdict.at_most("attempts", 12, 11);
        verdict.none("refusals", &["503 by isolation".to_owned()]);
        assert_eq!(verdict.failures(), 2);
        assert_eq!(verdict.as_json()["checks"][2]["passed"], false);
        let text = verdict.to_string();
        assert!(text.contains("NO attempts") && text.contains("≤ 11"), "{text}");
        assert!(text.contains("1 (first: 503 by isolation)"), "{text}");
    }
}
