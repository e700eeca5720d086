//! The text format of Prometheus, as far as "counters never go back" needs it.

use std::collections::BTreeMap;

/// Series with their values.
pub(crate) type Series = BTreeMap<String, f64>;

/// Every counter of an exposition: samples named `_total`, and `_count`, `_sum`, `_bucket` of histograms.
pub(crate) fn counters(exposition: &str) -> Series {
    exposition.lines().filter(|line| !line.starts_with('#')).filter_map(sample).filter(is_counter).collect()
}

/// Counters that are smaller in `after` than in `before`, or gone, in words.
pub(crate) fn gone_back(before: &Series, after: &Series) -> Vec<String> {
    let told = |(name, was): (&String, &f64)| match after.get(name) {
        None => Some(format!("{name} was {was} and is gone")),
        Some(is) if is < was => Some(format!("{name} went from {was} back to {is}")),
        Some(_) => None,
    };
    before.iter().filter_map(told).collect()
}

/// The sum of all series of one counter whose labels contain `label`.
pub(crate) fn sum(series: &Series, name: &str, label: &str) -> f64 {
    let of = |key: &&String| key.split('{').next() == Some(name) && key.contains(label);
    series.iter().filter(|(key, _)| of(key)).map(|(_, value)| value).sum()
}

/// `name{labels} value`, where a label's value may hold spaces; a timestamp after it is not expected.
fn sample(line: &str) -> Option<(String, f64)> {
    let (series, value) = line.trim_end().rsplit_once(' ')?;
    Some((series.to_owned(), value.parse().ok()?))
}

fn is_counter((series, _): &(String, f64)) -> bool {
    let name = series.split('{').next().unwrap_or_default();
    ["_total", "_count", "_sum", "_bucket"].iter().any(|suffix| name.ends_with(suffix))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# HELP a_total of a\n# TYPE a_total counter\n\
                        a_total{route=\"x y\",direction=\"inbound\"} 3\na_total{route=\"z\"} 4\n\
                        h_bucket{le=\"+Inf\"} 7\ng 1\n";

    #[test]
    fn takes_counters_and_histograms_but_no_gauges() {
        let series = counters(TEXT);
        assert_eq!(series.len(), 3);
        assert!(!series.contains_key("g"));
    }

    #[test]
    fn sums_series_by_label() {
        let series = counters(TEXT);
        assert!((sum(&series, "a_total", "direction=\"inbound\"") - 3.0).abs() < f64::EPSILON);
        assert!((sum(&series, "a_total", "") - 7.0).abs() < f64::EPSILON);
    }

    #[test]
    fn tells_a_counter_that_shrank_from_one_that_went_missing() {
        let before = counters("a_total 3\nb_total 1\nc_total 1\n");
        let after = counters("a_total 2\nc_total 5\n");
        let told = gone_back(&before, &after);
        assert_eq!(told, ["a_total went from 3 back to 2", "b_total was 1 and is gone"]);
    }
}
