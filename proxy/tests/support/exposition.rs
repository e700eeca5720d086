//! A strict reader of both text formats: it panics on anything a scraper or `promtool check metrics` would mind.

use std::collections::{BTreeMap, BTreeSet};

use outrigger_proxy::telemetry::Format;

/// One sample.
#[derive(Clone, Debug)]
pub(crate) struct Sample {
    pub(crate) name: String,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) value: f64,
}

impl Sample {
    /// A label's value; empty if absent, as Prometheus has it.
    pub(crate) fn label(&self, name: &str) -> String {
        self.labels.get(name).cloned().unwrap_or_default()
    }
}

/// Reads everything, checking order, types, suffixes, escapes, duplicates and histograms.
pub(crate) fn parse(text: &str, format: Format) -> Vec<Sample> {
    let text = match format {
        Format::Text => text,
        Format::OpenMetrics => text.strip_suffix("# EOF\n").expect("ends in # EOF"),
    };
    assert!(text.is_empty() || text.ends_with('\n'));
    let (mut samples, mut seen, mut closed) = (Vec::new(), BTreeSet::new(), BTreeSet::new());
    let mut family = (String::new(), String::new());
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').expect("help has text");
            assert!(!help.is_empty() && closed.insert(name.to_owned()), "{name} comes in two pieces");
            family = (name.to_owned(), String::new());
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').expect("type has a kind");
            assert_eq!(name, family.0, "TYPE follows its HELP");
            family.1 = kind.to_owned();
        } else {
            let sample = sample(line);
            check_name(&sample.name, &family, format);
            let id = (sample.name.clone(), sample.labels.clone());
            assert!(seen.insert(id), "twice: {line}");
            samples.push(sample);
        }
    }
    check_histograms(&samples);
    samples
}

fn check_name(name: &str, (family, kind): &(String, String), format: Format) {
    let ends: &[&str] = match (kind.as_str(), format) {
        ("counter", Format::OpenMetrics) => &["_total"],
        ("counter" | "gauge", _) => &[""],
        ("histogram", _) => &["_bucket", "_sum", "_count"],
        other => panic!("unknown type {other:?}"),
    };
    assert!(ends.iter().any(|end| name == format!("{family}{end}")), "{name} is not of {family}");
    assert_eq!(kind == "counter", name.ends_with("_total"), "{name}");
}

fn sample(line: &str) -> Sample {
    let (name, rest) = line.split_at(line.find(['{', ' ']).expect("a value"));
    assert!(
        name.chars()
            .enumerate()
            .all(|(i, c)| c == '_' || c.is_ascii_alphabetic() || i > 0 && c.is_ascii_digit())
    );
    let (labels, value) = match rest.strip_prefix('{') {
        Some(rest) => labels(rest),
        None => (BTreeMap::new(), rest),
    };
    let value = value.strip_prefix(' ').expect("one space before the value");
    let value = if value == "+Inf" { f64::INFINITY } else { value.parse().expect("a number") };
    Sample { name: name.to_owned(), labels, value }
}

fn labels(mut rest: &str) -> (BTreeMap<String, String>, &str) {
    let mut labels = BTreeMap::new();
    loop {
        let (name, quoted) = rest.split_once("=\"").expect("label=\"");
        assert!(!name.is_empty() && name.chars().all(|c| c == '_' || c.is_ascii_alphanumeric()), "{name}");
        let (mut value, mut chars) = (String::new(), quoted.char_indices());
        let end = loop {
            match chars.next().expect("a closing quote") {
                (at, '"') => break at + 1,
                (_, '\\') => value.push(match chars.next().expect("an escape").1 {
                    'n' => '\n',
                    c @ ('\\' | '"') => c,
                    c => panic!("bad escape {c}"),
                }),
                (_, c) => value.push(c),
            }
        };
        assert!(labels.insert(name.to_owned(), value).is_none(), "{name} twice");
        rest = &quoted[end..];
        match rest.strip_prefix(',') {
            Some(more) => rest = more,
            None => return (labels, rest.strip_prefix('}').expect("a closing brace")),
        }
    }
}

fn check_histograms(samples: &[Sample]) {
    let mut last: BTreeMap<(String, BTreeMap<String, String>), (f64, f64)> = BTreeMap::new();
    for s in samples.iter().filter(|s| s.name.ends_with("_bucket")) {
        let mut labels = s.labels.clone();
        let le = labels.remove("le").expect("a bucket has a bound");
        let le = if le == "+Inf" { f64::INFINITY } else { le.parse().expect("a bound") };
        let id = (s.name.trim_end_matches("_bucket").to_owned(), labels);
        let before = last.insert(id, (le, s.value)).unwrap_or((f64::NEG_INFINITY, 0.0));
        assert!(before.0 < le && before.1 <= s.value, "buckets are cumulative and in order");
    }
    for s in samples.iter().filter(|s| s.name.ends_with("_count")) {
        let id = (s.name.trim_end_matches("_count").to_owned(), s.labels.clone());
        assert_eq!(last.get(&id), Some(&(f64::INFINITY, s.value)), "+Inf is the count");
    }
}
