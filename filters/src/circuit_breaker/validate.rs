//! What parses but cannot be meant.

use std::time::Duration;

use super::probes::JUDGED;
use super::spec::{LONGEST_WINDOW, SHORTEST_THRESHOLD, Spec};
use crate::policy::Invalid;
use crate::unit::{Percent, Timespan};

/// The shortest window, and the shortest time to stay open.
const SECOND: Duration = Duration::from_secs(1);
/// The longest time to stay open.
const LONGEST_OPEN: Duration = Duration::from_secs(3_600);
/// The most requests a window may ask for.
const MOST_REQUESTS: u32 = 1_000_000;
/// The most failures in a row one may wait for.
const MOST_CONSECUTIVE: u32 = 1_000;
/// The longest ramp, in seconds.
const MOST_STEPS: usize = 32;

pub(super) fn spec(spec: &Spec) -> Vec<Invalid> {
    let mut found = Vec::new();
    let mut add = |at: &str, message: String, hint: String| found.push(Invalid::new(at, message, hint));
    spans(spec, &mut add);
    counts(spec, &mut add);
    for (key, ratio) in [("failure_ratio", spec.failure_ratio), ("slow_ratio", spec.slow_ratio)] {
        if ratio.millionths == 0 {
            let hint = "write more than 0%; 100% opens only when every call counts";
            add(&format!(".{key}"), format!("`{key}` of {ratio} would be open for ever"), hint.into());
        }
    }
    ramp(&spec.ramp, &mut add);
    found
}

fn spans(spec: &Spec, add: &mut impl FnMut(&str, String, String)) {
    let mut within = |key: &str, value: Timespan, least: Duration, most: Duration| {
        if !(least..=most).contains(&value.0) {
            let hint = format!("{} to {}", Timespan(least), Timespan(most));
            add(&format!(".{key}"), format!("`{key}` of {value}"), hint);
        }
    };
    within("window", spec.window, SECOND, LONGEST_WINDOW);
    if let Some(threshold) = spec.slow_threshold {
        within("slow_threshold", threshold, SHORTEST_THRESHOLD, LONGEST_WINDOW);
    }
    within("open_for", spec.open_for, SECOND, LONGEST_OPEN);
    within("max_open_for", spec.max_open_for, SECOND, LONGEST_OPEN);
    if spec.max_open_for.0 < spec.open_for.0 {
        let message =
            format!("`max_open_for` ({}) is shorter than `open_for` ({})", spec.max_open_for, spec.open_for);
        add(".max_open_for", message, "the time to stay open grows from `open_for` to `max_open_for`".into());
    }
}

fn counts(spec: &Spec, add: &mut impl FnMut(&str, String, String)) {
    for (key, value, most) in [
        ("min_requests", spec.min_requests, MOST_REQUESTS),
        ("probes", spec.probes, JUDGED),
        ("consecutive", spec.consecutive, MOST_CONSECUTIVE),
    ] {
        if !(1..=most).contains(&value) {
            add(&format!(".{key}"), format!("`{key}` is {value}"), format!("1 to {most}"));
        }
    }
}

fn ramp(ramp: &[Percent], add: &mut impl FnMut(&str, String, String)) {
    if ramp.len() > MOST_STEPS {
        let message = format!("a ramp of {} steps", ramp.len());
        add(".ramp", message, format!("at most {MOST_STEPS}, a second each"));
    }
    let mut before = Percent::whole(0);
    for (index, step) in ramp.iter().enumerate() {
        if *step <= before {
            let message = format!("a step of {step} after {before}");
            let hint = "each step lets more through than the one before, the first more than 0%";
            add(&format!(".ramp[{index}]"), message, hint.into());
        }
        before = *step;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(change: impl FnOnce(&mut Spec)) -> Vec<String> {
        let mut spec = Spec::default();
        change(&mut spec);
        let found = spec.validate();
        assert!(found.iter().all(|invalid| !invalid.message.is_empty() && !invalid.hint.is_empty()));
        found.into_iter().map(|invalid| invalid.path).collect()
    }

    #[test]
    fn accepts_the_defaults_the_example_and_no_ramp() {
        assert_eq!(found(|_| {}), [""; 0]);
        assert_eq!(found(|spec| *spec = Spec::example()), [""; 0]);
        assert_eq!(found(|spec| spec.ramp.clear()), [""; 0]);
    }

    #[test]
    fn points_at_each_span_out_of_range() {
        let span = |millis| Timespan::from_millis(millis);
        assert_eq!(found(|spec| spec.window = span(999)), [".window"]);
        assert_eq!(found(|spec| spec.window = span(60_001)), [".window"]);
        assert_eq!(found(|spec| spec.slow_threshold = Some(span(0))), [".slow_threshold"]);
        assert_eq!(found(|spec| spec.slow_threshold = Some(span(60_001))), [".slow_threshold"]);
        assert_eq!(found(|spec| spec.open_for = span(10)), [".open_for"]);
        assert_eq!(found(|spec| spec.max_open_for = span(4_999)), [".max_open_for"]);
        assert_eq!(found(|spec| spec.max_open_for = Timespan::from_secs(3_601)), [".max_open_for"]);
    }

    #[test]
    fn points_at_each_number_out_of_range() {
        assert_eq!(found(|spec| spec.min_requests = 0), [".min_requests"]);
        assert_eq!(found(|spec| spec.probes = 0), [".probes"]);
        assert_eq!(found(|spec| spec.probes = 6), [".probes"]);
        assert_eq!(found(|spec| spec.consecutive = 0), [".consecutive"]);
        assert_eq!(found(|spec| spec.failure_ratio = Percent::whole(0)), [".failure_ratio"]);
        assert_eq!(found(|spec| spec.slow_ratio = Percent::whole(0)), [".slow_ratio"]);
    }

    #[test]
    fn a_ramp_rises() {
        let ramp = |steps: &[u32]| {
            let steps: Vec<_> = steps.iter().copied().map(Percent::whole).collect();
            found(|spec| spec.ramp = steps)
        };
        assert_eq!(ramp(&[10, 10]), [".ramp[1]"]);
        assert_eq!(ramp(&[0, 50, 20]), [".ramp[0]", ".ramp[2]"]);
        assert_eq!(ramp(&(1..=33).collect::<Vec<_>>()), [".ramp"]);
    }

    #[test]
    fn the_threshold_is_half_of_the_total_unless_it_is_written() {
        let threshold = |total| Spec::default().slow_threshold(Duration::from_secs(total));
        assert_eq!([threshold(2), threshold(600)], [SECOND, LONGEST_WINDOW]);
        assert_eq!(Spec::example().slow_threshold(Duration::from_secs(30)), SECOND);
    }
}
