//! How many requests reached an upstream, and when: the most in any second.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

const WINDOW: Duration = Duration::from_secs(1);

/// The highest rate over any second, from counts taken now and then.
#[derive(Debug, Default)]
pub(crate) struct Peak {
    /// Counts of the last second, and the last one before it.
    recent: VecDeque<(Instant, u64)>,
    most: f64,
}

impl Peak {
    /// The count as it is at this time, which is never before the last one.
    pub(crate) fn count(&mut self, at: Instant, count: u64) {
        self.recent.push_back((at, count));
        // Windows are a second or a little longer, by when the counts were taken: a rate, not a number, is compared.
        while let (Some((from, before)), Some((next, _))) = (self.recent.front(), self.recent.get(1)) {
            let span = at.duration_since(*from);
            if span >= WINDOW {
                #[expect(clippy::cast_precision_loss, reason = "requests of a second")]
                let reached = count.saturating_sub(*before) as f64;
                self.most = self.most.max(reached / span.as_secs_f64());
            }
            if at.duration_since(*next) < WINDOW {
                break;
            }
            self.recent.pop_front();
        }
    }

    /// Requests a second in the busiest window of a second; 0 before there is a whole one.
    pub(crate) const fn per_second(&self) -> f64 {
        self.most
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_busiest_second_wherever_it_begins() {
        let (begin, mut peak) = (Instant::now(), Peak::default());
        let mut count = 0;
        for tenth in 0..50_u32 {
            peak.count(begin + Duration::from_millis(100) * tenth, count);
            // 100 a second, but 300 between 1.5 s and 2.5 s.
            count += if (15..25).contains(&tenth) { 30 } else { 10 };
        }
        assert!((peak.per_second() - 300.0).abs() < 1.0, "{}", peak.per_second());
    }

    #[test]
    fn says_nothing_before_a_whole_second() {
        let (begin, mut peak) = (Instant::now(), Peak::default());
        peak.count(begin, 0);
        peak.count(begin + Duration::from_millis(500), 1000);
        assert!(peak.per_second().abs() < f64::EPSILON);
    }
}
