//! What the rules of the chains decided: `outrigger_decisions_total` and `outrigger_rate_limit_keys`.
//!
//! The totals live with the rules' state and outlive snapshots; here they are only read. A rule that has decided
//! nothing yet is left out, and beyond the cap all further rules share one series for each action and mode.

use std::collections::BTreeMap;

use outrigger_filters::chain::{Action, Chain, Rule};

use super::exposition::Exposition;
use super::series::CAP;

const DECISIONS: (&str, &str) =
    ("outrigger_decisions_total", "Decisions of each rule; in shadow mode what it would have decided.");
const KEYS: (&str, &str) = ("outrigger_rate_limit_keys", "Keys a rate limit keeps track of.");
const OVERFLOW: (&str, &str) = super::metrics::OVERFLOW;

/// Reads chains during one scrape: [`Chains::read`] for each, then [`Chains::finish`].
#[derive(Debug, Default)]
pub struct Chains {
    series: usize,
    keys: usize,
    overflow: BTreeMap<(&'static str, &'static str, &'static str), u64>,
}

impl Chains {
    /// Adds the rules of one chain. `owner` is the route or dependency it belongs to.
    pub fn read(&mut self, out: &mut Exposition, owner: &str, chain: &Chain) {
        for (id, rule) in chain.rules() {
            self.decisions(out, owner, rule);
            if let Some(occupancy) = chain.occupancy(id)
                && self.keys < CAP
            {
                self.keys += 1;
                let labels = [("owner", owner), ("name", rule.name())];
                out.gauge(KEYS.0, KEYS.1, &labels, occupancy.used as f64);
            }
        }
    }

    fn decisions(&mut self, out: &mut Exposition, owner: &str, rule: &Rule) {
        let counts = Action::ALL.map(|action| (action, rule.count(action)));
        if counts.iter().all(|(_, count)| *count == 0) {
            return;
        }
        let (filter, mode) = (rule.filter(), rule.mode().label());
        let room = self.series + counts.len() <= CAP;
        for (action, count) in counts {
            let action = action.label();
            if room {
                self.series += 1;
                let labels = [
                    ("owner", owner),
                    ("filter", filter),
                    ("name", rule.name()),
                    ("action", action),
                    ("mode", mode),
                ];
                out.counter(DECISIONS.0, DECISIONS.1, &labels, count);
            } else {
                let sum = self.overflow.entry((filter, action, mode)).or_default();
                *sum = sum.saturating_add(count);
            }
        }
    }

    /// Adds what found no room.
    pub fn finish(self, out: &mut Exposition) {
        for ((filter, action, mode), count) in &self.overflow {
            let labels =
                [("filter", *filter), ("action", action), ("mode", mode), ("otel_metric_overflow", "true")];
            out.counter(DECISIONS.0, DECISIONS.1, &labels, *count);
        }
        let lost = self.overflow.values().sum();
        out.counter(OVERFLOW.0, OVERFLOW.1, &[("family", DECISIONS.0)], lost);
    }
}
