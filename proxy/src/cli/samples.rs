//! Reads what `/metrics` says, as far as the commands need it: samples of Prometheus text, and distributions.

use std::collections::BTreeMap;

/// A sample's labels.
pub type Labels = BTreeMap<String, String>;

/// One sample.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// Its name, with any suffix.
    pub name: String,
    /// Its labels.
    pub labels: Labels,
    /// Its value.
    pub value: f64,
}

impl Sample {
    /// A label's value, empty if it has none.
    #[must_use]
    pub fn label(&self, name: &str) -> &str {
        self.labels.get(name).map_or("", String::as_str)
    }
}

/// All samples of Prometheus text; lines that are none are passed over.
#[must_use]
pub fn parse(text: &str) -> Vec<Sample> {
    text.lines().filter(|line| !line.starts_with('#')).filter_map(sample).collect()
}

fn sample(line: &str) -> Option<Sample> {
    let (name, rest) = line.split_at_checked(line.find(['{', ' '])?)?;
    let (labels, value) = match rest.strip_prefix('{') {
        Some(rest) => labels(rest)?,
        None => (Labels::new(), rest),
    };
    Some(Sample { name: name.into(), labels, value: value.trim().parse().ok()? })
}

fn labels(mut rest: &str) -> Option<(Labels, &str)> {
    let mut labels = Labels::new();
    loop {
        let (name, quoted) = rest.split_once("=\"")?;
        let (value, after) = unquote(quoted)?;
        labels.insert(name.into(), value);
        match after.strip_prefix(',') {
            Some(more) => rest = more,
            None => return Some((labels, after.strip_prefix('}')?)),
        }
    }
}

/// The text up to the closing quote, and what follows it.
fn unquote(quoted: &str) -> Option<(String, &str)> {
    let (mut value, mut chars) = (String::new(), quoted.chars());
    loop {
        match chars.next()? {
            '"' => return Some((value, chars.as_str())),
            '\\' => value.push(match chars.next()? {
                'n' => '\n',
                other => other,
            }),
            other => value.push(other),
        }
    }
}

/// A distribution: how many values are at most each bound, by the bound in microseconds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Buckets(BTreeMap<u64, f64>);

impl Buckets {
    /// Adds a `_bucket` sample.
    pub fn add(&mut self, bucket: &Sample) {
        let bound = match bucket.label("le") {
            "+Inf" => u64::MAX,
            le => le.parse::<f64>().map_or(u64::MAX, |seconds| (seconds * 1e6) as u64),
        };
        *self.0.entry(bound).or_default() += bucket.value;
    }

    /// What came since `before`.
    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        let old = |bound| before.0.get(bound).copied().unwrap_or(0.0);
        Self(self.0.iter().map(|(bound, count)| (*bound, (count - old(bound)).max(0.0))).collect())
    }

    /// The value below which a share of all lies, in seconds, taken to be spread evenly within its bucket as
    /// Prometheus' `histogram_quantile` does. Above the last bound: that bound. `None` without values.
    #[must_use]
    pub fn quantile(&self, share: f64) -> Option<f64> {
        let total = *self.0.values().next_back()?;
        if total <= 0.0 {
            return None;
        }
        let rank = share * total;
        let (mut low, mut below) = (0.0, 0.0);
        for (bound, count) in &self.0 {
            if *bound == u64::MAX {
                break;
            }
            let high = *bound as f64 / 1e6;
            if *count >= rank {
                let within = if *count > below { (rank - below) / (count - below) } else { 0.0 };
                return Some(low + (high - low) * within);
            }
            (low, below) = (high, *count);
        }
        Some(low)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_samples_back() {
        let text = "# TYPE a counter\na{x=\"1\\\"\\n\",y=\"}\"} 3\nb 0.5\nnonsense\nc{ 1\n";
        let samples = parse(text);
        assert_eq!(samples.len(), 2);
        assert_eq!((samples[0].label("x"), samples[0].label("y"), samples[0].value), ("1\"\n", "}", 3.0));
        assert_eq!(samples[1].name, "b");
    }

    #[test]
    fn quantiles_lie_within_their_bucket() {
        let text = "d_bucket{le=\"0.1\"} 50\nd_bucket{le=\"0.2\"} 90\nd_bucket{le=\"1\"} 100\nd_bucket{le=\"+Inf\"} 100\n";
        let mut buckets = Buckets::default();
        parse(text).iter().for_each(|sample| buckets.add(sample));
        let close = |share, expected: f64| (buckets.quantile(share).unwrap() - expected).abs() < 1e-9;
        assert!(close(0.5, 0.1) && close(0.7, 0.15) && close(0.95, 0.6) && close(1.0, 1.0));
        assert_eq!(buckets.since(&buckets).quantile(0.5), None);
        assert_eq!(Buckets::default().quantile(0.5), None);
    }

    #[test]
    fn beyond_the_last_bound_is_the_last_bound() {
        let mut buckets = Buckets::default();
        parse("d_bucket{le=\"1\"} 0\nd_bucket{le=\"+Inf\"} 4\n")
            .iter()
            .for_each(|sample| buckets.add(sample));
        assert_eq!(buckets.quantile(0.99), Some(1.0));
    }
}
