//! What parses but cannot be meant.

use super::{LONGEST_QUEUE, LONGEST_WAIT, Spec};
use crate::policy::Invalid;
use crate::unit::{Size, Timespan};

const MOST_IN_FLIGHT: u32 = 1_000_000;
const MOST_CONNECTIONS: u32 = 65_535;
const LEAST_BUFFERED: u64 = 64 << 10;
const MOST_BUFFERED: u64 = 4 << 30;

impl Spec {
    /// What parses but cannot be meant; paths are relative to the block: `max_queue`.
    #[must_use]
    pub fn validate(&self) -> Vec<Invalid> {
        let mut found = Vec::new();
        let mut add = |at: &str, message: String, hint: &str| {
            found.push(Invalid::new(at, message, hint.to_owned()));
        };
        if self.max_in_flight.get() > MOST_IN_FLIGHT {
            add("max_in_flight", format!("{} calls in flight", self.max_in_flight), "1 to 1000000");
        }
        self.check_queue(&mut add);
        if self.max_share.millionths == 0 {
            add("max_share", "a share of nothing".into(), "such as 50%");
        }
        if !(LEAST_BUFFERED..=MOST_BUFFERED).contains(&self.max_buffered.0) {
            let hint = format!("{} to {}", Size(LEAST_BUFFERED), Size(MOST_BUFFERED));
            add("max_buffered", format!("{} in buffers", self.max_buffered), &hint);
        }
        self.check_connections(&mut add);
        found
    }

    fn check_queue(&self, add: &mut impl FnMut(&str, String, &str)) {
        let wait = self.queue_timeout;
        if self.max_queue > LONGEST_QUEUE {
            let hint = "0 to 1024; a longer line only makes everybody late";
            add("max_queue", format!("a line of {}", self.max_queue), hint);
        }
        if wait.0.is_zero() {
            add("queue_timeout", "nobody could wait for a connection".into(), "such as 100ms");
        }
        if wait.0 > LONGEST_WAIT {
            let hint = format!("at most {}; refuse instead of waiting longer", Timespan(LONGEST_WAIT));
            add("queue_timeout", format!("a wait of {wait}"), &hint);
        }
    }

    fn check_connections(&self, add: &mut impl FnMut(&str, String, &str)) {
        let (all, connecting) = (self.max_connections_per_endpoint, self.connecting());
        let counts = [("max_connections_per_endpoint", all), ("max_connecting", connecting)];
        for (key, count) in counts {
            if count.get() > MOST_CONNECTIONS {
                add(key, format!("{count} connections"), "1 to 65535");
            }
        }
        if connecting > all {
            let message = "`max_connecting` is more than `max_connections_per_endpoint`".to_owned();
            add("max_connecting", message, "lower it");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;

    fn found(change: impl FnOnce(&mut Spec)) -> Vec<String> {
        let mut spec = Spec::default();
        change(&mut spec);
        let found = spec.validate();
        assert!(found.iter().all(|invalid| !invalid.message.is_empty() && !invalid.hint.is_empty()));
        found.into_iter().map(|invalid| invalid.path).collect()
    }

    fn count(count: u32) -> NonZeroU32 {
        NonZeroU32::new(count).unwrap()
    }

    #[test]
    fn accepts_the_defaults_and_a_gate_without_a_line() {
        assert_eq!(found(|_| {}), [""; 0]);
        assert_eq!(found(|spec| spec.max_queue = 0), [""; 0]);
        assert_eq!(found(|spec| spec.max_connections_per_endpoint = count(4)), [""; 0]);
    }

    #[test]
    fn points_at_each_number_out_of_range() {
        assert_eq!(found(|spec| spec.max_in_flight = count(1_000_001)), ["max_in_flight"]);
        assert_eq!(found(|spec| spec.max_queue = 1_025), ["max_queue"]);
        assert_eq!(found(|spec| spec.queue_timeout = Timespan::default()), ["queue_timeout"]);
        assert_eq!(found(|spec| spec.queue_timeout = Timespan::from_millis(10_001)), ["queue_timeout"]);
        assert_eq!(found(|spec| spec.max_share.millionths = 0), ["max_share"]);
        assert_eq!(found(|spec| spec.max_buffered = Size(LEAST_BUFFERED - 1)), ["max_buffered"]);
        assert_eq!(found(|spec| spec.max_buffered = Size(MOST_BUFFERED + 1)), ["max_buffered"]);
        let many = |spec: &mut Spec| spec.max_connections_per_endpoint = count(65_536);
        assert_eq!(found(many), ["max_connections_per_endpoint"]);
        assert_eq!(found(|spec| spec.max_connecting = Some(count(257))), ["max_connecting"]);
    }
}
