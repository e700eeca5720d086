//! What parses but cannot be meant.

use super::{ATTEMPTS, LARGEST_REPLAY, LONGEST_WAIT, Spec};
use crate::policy::Invalid;
use crate::unit::{Size, Timespan};

/// The largest floor: more is no floor.
const MOST_PER_SECOND: u32 = 1_000;
/// The smallest share that is told from none.
const LEAST_RATIO: u32 = 100;
/// How many conditions there are: three, 429, and the 5xx.
const CONDITIONS: usize = 104;
/// Methods that repeated requests do not harm by definition: RFC 9110, 9.2.2.
const IDEMPOTENT: [&str; 6] = ["GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"];

impl Spec {
    /// What parses but cannot be meant; paths are relative to the block: `backoff.base`.
    #[must_use]
    pub fn validate(&self) -> Vec<Invalid> {
        let mut found = Vec::new();
        let mut add = |at: &str, message: String, hint: &str| {
            found.push(Invalid::new(at, message, hint.to_owned()));
        };
        self.check_attempts(&mut add);
        self.check_backoff(&mut add);
        self.check_budget(&mut add);
        self.check_methods(&mut add);
        if self.replay.0 > LARGEST_REPLAY {
            let hint = format!("at most {}", Size(LARGEST_REPLAY));
            add("replay", format!("a body of {} kept for each request", self.replay), &hint);
        }
        found
    }

    fn check_attempts(&self, add: &mut impl FnMut(&str, String, &str)) {
        if !ATTEMPTS.contains(&self.attempts) {
            let hint = "1 to 5, the first included; 1 is no retries";
            add("attempts", format!("{} attempts", self.attempts), hint);
        }
        if self.when.is_empty() && self.attempts > 1 {
            add("when", "nothing to retry upon".into(), "name a condition, or write `attempts: 1`");
        }
        // Each is compared with those before it, so a list is not looked into beyond what there is to name.
        if self.when.len() > CONDITIONS {
            add("when", format!("{} conditions", self.when.len()), "name each once");
            return;
        }
        for (index, condition) in self.when.iter().enumerate() {
            if self.when.iter().take(index).any(|earlier| earlier == condition) {
                add(&format!("when[{index}]"), format!("`{condition}` twice"), "drop one of them");
            }
        }
    }

    fn check_backoff(&self, add: &mut impl FnMut(&str, String, &str)) {
        let (base, max) = (self.backoff.base, self.backoff.max);
        if base.0.is_zero() {
            let message = "no wait at all, so that all callers retry in step".to_owned();
            add("backoff.base", message, "such as 25ms");
        }
        if base > max {
            let message = format!("`base` ({base}) is longer than `max` ({max})");
            add("backoff.base", message, "`max` bounds every wait; raise it or shorten this");
        }
        if max.0 > LONGEST_WAIT {
            let hint = format!("at most {}", Timespan(LONGEST_WAIT));
            add("backoff.max", format!("a wait of {max}"), &hint);
        }
    }

    fn check_budget(&self, add: &mut impl FnMut(&str, String, &str)) {
        let (ratio, floor) = (self.budget.ratio, self.budget.min_per_second);
        if floor > MOST_PER_SECOND {
            add(
                "budget.min_per_second",
                format!("a floor of {floor} a second"),
                "at most 1000; raise `ratio`",
            );
        }
        if (1..LEAST_RATIO).contains(&ratio.millionths) {
            add("budget.ratio", format!("a share of {ratio}"), "0% or at least 0.01%");
        }
        if ratio.millionths == 0 && floor == 0 && self.attempts > 1 {
            let hint = "raise `ratio` or `min_per_second`, or write `attempts: 1`";
            add("budget", "a budget that never pays for a retry".into(), hint);
        }
    }

    fn check_methods(&self, add: &mut impl FnMut(&str, String, &str)) {
        if self.methods.len() > IDEMPOTENT.len() {
            add(
                "methods",
                format!("{} methods", self.methods.len()),
                "name each once; there are six at most",
            );
            return;
        }
        for (index, method) in self.methods.iter().enumerate() {
            let mut add = |message: String, hint: &str| add(&format!("methods[{index}]"), message, hint);
            let shown = method.escape_default();
            let is_known = |name: &str| IDEMPOTENT.contains(&name);
            if self.methods.iter().take(index).any(|earlier| earlier == method) {
                add(format!("`{shown}` twice"), "drop one of them");
            } else if !is_known(method) && is_known(&method.to_ascii_uppercase()) {
                add(format!("`{shown}` is not a method"), "methods are upper case");
            } else if !is_known(method) {
                let hint = "one of GET, HEAD, OPTIONS, TRACE, PUT, DELETE; where repeating others does no harm, \
                            write `idempotent: true` on their route";
                add(format!("`{shown}` is not a method that can be repeated without harm"), hint);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::retries::Condition;

    fn found(change: impl FnOnce(&mut Spec)) -> Vec<String> {
        let mut spec = Spec::default();
        change(&mut spec);
        let found = spec.validate();
        assert!(found.iter().all(|invalid| !invalid.message.is_empty() && !invalid.hint.is_empty()));
        found.into_iter().map(|invalid| invalid.path).collect()
    }

    #[test]
    fn accepts_the_defaults_and_their_bounds() {
        assert_eq!(found(|_| {}), [""; 0]);
        assert_eq!(found(|spec| spec.attempts = 5), [""; 0]);
        assert_eq!(found(|spec| spec.backoff.base = spec.backoff.max), [""; 0]);
        assert_eq!(found(|spec| spec.budget.ratio.millionths = 0), [""; 0]);
        assert_eq!(found(|spec| spec.methods.clear()), [""; 0]);
    }

    #[test]
    fn points_at_each_number_out_of_range() {
        assert_eq!(found(|spec| spec.attempts = 0), ["attempts"]);
        assert_eq!(found(|spec| spec.attempts = 6), ["attempts"]);
        assert_eq!(found(|spec| spec.backoff.base = Timespan::from_millis(251)), ["backoff.base"]);
        assert_eq!(found(|spec| spec.backoff.base = Timespan::default()), ["backoff.base"]);
        assert_eq!(found(|spec| spec.backoff.max = Timespan::from_secs(31)), ["backoff.max"]);
        assert_eq!(found(|spec| spec.budget.min_per_second = 1_001), ["budget.min_per_second"]);
        assert_eq!(found(|spec| spec.budget.ratio.millionths = 99), ["budget.ratio"]);
        assert_eq!(found(|spec| spec.replay = Size(LARGEST_REPLAY + 1)), ["replay"]);
    }

    #[test]
    fn what_can_never_retry_is_written_as_one_attempt() {
        let penniless = |spec: &mut Spec| (spec.budget.ratio.millionths, spec.budget.min_per_second) = (0, 0);
        assert_eq!(found(penniless), ["budget"]);
        assert_eq!(found(|spec| spec.when.clear()), ["when"]);
        let none = |spec: &mut Spec| {
            penniless(spec);
            spec.when.clear();
            spec.attempts = 1;
        };
        assert_eq!(found(none), [""; 0]);
    }

    #[test]
    fn lists_beyond_what_there_is_to_name_are_not_looked_into() {
        assert_eq!(found(|spec| spec.when = vec![Condition::Reset; 1_000_000]), ["when"]);
        assert_eq!(found(|spec| spec.methods = vec!["GET".into(); 1_000_000]), ["methods"]);
    }

    #[test]
    fn a_method_that_may_do_harm_when_repeated_is_refused() {
        let method = |name: &str| {
            let name = name.to_owned();
            found(|spec| spec.methods.push(name))
        };
        for name in ["POST", "PATCH", "CONNECT", "post", "", "G\"T", "put", "GET"] {
            assert_eq!(method(name), ["methods[3]"], "{name}");
        }
        for name in ["PUT", "DELETE", "TRACE"] {
            assert_eq!(method(name), [""; 0], "{name}");
        }
        assert_eq!(found(|spec| spec.when.push(Condition::Reset)), ["when[6]"]);
    }
}
