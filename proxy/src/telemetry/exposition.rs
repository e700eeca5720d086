//! Metrics as text: Prometheus 0.0.4 and OpenMetrics 1.0, chosen by the `Accept` header.
//!
//! Samples may be given in any order and by any number of [`Collect`]ors; they are gathered by family, since both
//! formats want a family in one piece, and families are written in the order of their names. Sources: Prometheus'
//! "Exposition formats" and the OpenMetrics 1.0 specification.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::cell::{BOUNDS_US, Distribution};

/// Something that knows numbers, asked at every scrape.
pub trait Collect: Send + Sync {
    /// Adds its samples. Must not wait for what the request path holds.
    fn collect(&self, out: &mut Exposition);
}

/// The text formats.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// Prometheus text 0.0.4.
    #[default]
    Text,
    /// OpenMetrics 1.0 text.
    OpenMetrics,
}

impl Format {
    /// The format a scraper asks for: OpenMetrics 1.x if it ranks above or equal to plain text, else text, which
    /// every scraper reads.
    #[must_use]
    pub fn negotiate(accept: Option<&str>) -> Self {
        let (mut open, mut text) = (0, 0);
        for range in accept.unwrap_or_default().split(',') {
            let mut parts = range.split(';').map(str::trim);
            let media = parts.next().unwrap_or_default();
            let (mut quality, mut version) = (1_000, "1.0.0");
            for (name, value) in parts.filter_map(|part| part.split_once('=')) {
                match name.trim() {
                    "q" => quality = thousandths(value.trim()),
                    "version" => version = value.trim(),
                    _ => {}
                }
            }
            match media {
                "application/openmetrics-text" if version.starts_with("1.") || version == "0.0.1" => {
                    open = open.max(quality);
                }
                "text/plain" => text = text.max(quality),
                _ => {}
            }
        }
        if open > 0 && open >= text { Self::OpenMetrics } else { Self::Text }
    }

    /// The `Content-Type` of the format.
    #[must_use]
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// A quality value of RFC 9110 §12.4.2 in thousandths; what is not one counts as nothing.
fn thousandths(text: &str) -> u32 {
    text.parse::<f32>().map_or(0, |q| if (0.0..=1.0).contains(&q) { (q * 1_000.0) as u32 } else { 0 })
}

/// Labels of a sample: names of ours, values that may hold anything.
pub type Labels<'a> = &'a [(&'a str, &'a str)];

/// Metrics being written.
#[derive(Debug)]
pub struct Exposition {
    format: Format,
    families: BTreeMap<&'static str, Family>,
}

#[derive(Debug)]
struct Family {
    kind: &'static str,
    help: &'static str,
    samples: String,
}

impl Exposition {
    /// An empty one.
    #[must_use]
    pub const fn new(format: Format) -> Self {
        Self { format, families: BTreeMap::new() }
    }

    /// A total; `name` ends in `_total`.
    pub fn counter(&mut self, name: &'static str, help: &'static str, labels: Labels<'_>, total: u64) {
        self.sample("counter", name, help, labels, format_args!("{total}"));
    }

    /// A total that is not whole; `name` ends in `_total`.
    pub fn counter_f64(&mut self, name: &'static str, help: &'static str, labels: Labels<'_>, total: f64) {
        self.sample("counter", name, help, labels, format_args!("{}", Float(total)));
    }

    /// A level.
    pub fn gauge(&mut self, name: &'static str, help: &'static str, labels: Labels<'_>, level: f64) {
        self.sample("gauge", name, help, labels, format_args!("{}", Float(level)));
    }

    fn sample(
        &mut self,
        kind: &'static str,
        name: &'static str,
        help: &'static str,
        labels: Labels<'_>,
        value: std::fmt::Arguments<'_>,
    ) {
        let out = self.family(kind, name, help);
        write_name(out, name, "", labels, None);
        let _ = writeln!(out, " {value}");
    }

    /// A distribution of seconds.
    pub fn histogram(
        &mut self,
        name: &'static str,
        help: &'static str,
        labels: Labels<'_>,
        distribution: &Distribution,
    ) {
        let format = self.format;
        let out = self.family("histogram", name, help);
        let mut below = 0_u64;
        let bounds = BOUNDS_US.iter().copied().map(Some).chain([None]);
        for (bound, count) in bounds.zip(distribution.buckets) {
            below = below.saturating_add(count);
            write_name(out, name, "_bucket", labels, Some(&bucket_bound(bound, format)));
            let _ = writeln!(out, " {below}");
        }
        write_name(out, name, "_sum", labels, None);
        let (seconds, micros) = (distribution.sum_us / 1_000_000, distribution.sum_us % 1_000_000);
        let _ = writeln!(out, " {seconds}.{micros:06}");
        write_name(out, name, "_count", labels, None);
        let _ = writeln!(out, " {below}");
    }

    fn family(&mut self, kind: &'static str, name: &'static str, help: &'static str) -> &mut String {
        let family =
            self.families.entry(name).or_insert_with(|| Family { kind, help, samples: String::new() });
        debug_assert_eq!(family.kind, kind, "{name} is given as two kinds");
        &mut family.samples
    }

    /// The whole text.
    #[must_use]
    pub fn finish(self) -> String {
        let mut out = String::new();
        for (name, family) in &self.families {
            // OpenMetrics names a counter's family without the suffix of its sample.
            let name = match self.format {
                Format::OpenMetrics if family.kind == "counter" => {
                    name.strip_suffix("_total").unwrap_or(name)
                }
                _ => name,
            };
            let _ = writeln!(out, "# HELP {name} {}", family.help);
            let _ = writeln!(out, "# TYPE {name} {}", family.kind);
            out.push_str(&family.samples);
        }
        if self.format == Format::OpenMetrics {
            out.push_str("# EOF\n");
        }
        out
    }
}

fn write_name(out: &mut String, name: &str, suffix: &str, labels: Labels<'_>, le: Option<&str>) {
    out.push_str(name);
    out.push_str(suffix);
    let mut separator = '{';
    for (label, value) in labels.iter().copied().chain(le.map(|le| ("le", le))) {
        out.push(separator);
        separator = ',';
        out.push_str(label);
        out.push_str("=\"");
        escape(out, value);
        out.push('"');
    }
    if separator == ',' {
        out.push('}');
    }
}

fn escape(out: &mut String, value: &str) {
    for c in value.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '"' => out.push_str("\\\""),
            '\n' => out.push_str("\\n"),
            _ => out.push(c),
        }
    }
}

/// A bound in seconds. OpenMetrics wants `1.0` where Prometheus' own libraries write `1`.
fn bucket_bound(us: Option<u32>, format: Format) -> String {
    let Some(us) = us else { return "+Inf".into() };
    let seconds = f64::from(us) / 1e6;
    match format {
        Format::Text => format!("{seconds}"),
        Format::OpenMetrics => format!("{seconds:?}"),
    }
}

/// A float as both formats write it.
struct Float(f64);

impl std::fmt::Display for Float {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            x if x.is_nan() => f.write_str("NaN"),
            x if x == f64::INFINITY => f.write_str("+Inf"),
            x if x == f64::NEG_INFINITY => f.write_str("-Inf"),
            x => write!(f, "{x}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::cell::Histogram;

    fn example(format: Format) -> String {
        let mut out = Exposition::new(format);
        out.gauge("outrigger_b", "A level.", &[], 0.5);
        out.counter("outrigger_a_total", "A total.", &[("route", "x\"y\\z\nw")], 3);
        out.gauge("outrigger_b", "A level.", &[("of", "2")], f64::INFINITY);
        let histogram = Histogram::default();
        histogram.observe(7_000);
        histogram.observe(1_000_000);
        let mut distribution = Distribution::default();
        distribution.add(&histogram);
        out.histogram("outrigger_c_seconds", "A distribution.", &[("r", "1")], &distribution);
        out.finish()
    }

    const BUCKETS: &str = "\
outrigger_c_seconds_bucket{r=\"1\",le=\"0.005\"} 0
outrigger_c_seconds_bucket{r=\"1\",le=\"0.01\"} 1
outrigger_c_seconds_bucket{r=\"1\",le=\"0.025\"} 1
outrigger_c_seconds_bucket{r=\"1\",le=\"0.05\"} 1
outrigger_c_seconds_bucket{r=\"1\",le=\"0.075\"} 1
outrigger_c_seconds_bucket{r=\"1\",le=\"0.1\"} 1
outrigger_c_seconds_bucket{r=\"1\",le=\"0.25\"} 1
outrigger_c_seconds_bucket{r=\"1\",le=\"0.5\"} 1
outrigger_c_seconds_bucket{r=\"1\",le=\"0.75\"} 1
";

    #[test]
    fn writes_prometheus_text() {
        let golden = format!(
            "# HELP outrigger_a_total A total.
# TYPE outrigger_a_total counter
outrigger_a_total{{route=\"x\\\"y\\\\z\\nw\"}} 3
# HELP outrigger_b A level.
# TYPE outrigger_b gauge
outrigger_b 0.5
outrigger_b{{of=\"2\"}} +Inf
# HELP outrigger_c_seconds A distribution.
# TYPE outrigger_c_seconds histogram
{BUCKETS}outrigger_c_seconds_bucket{{r=\"1\",le=\"1\"}} 2
outrigger_c_seconds_bucket{{r=\"1\",le=\"2.5\"}} 2
outrigger_c_seconds_bucket{{r=\"1\",le=\"5\"}} 2
outrigger_c_seconds_bucket{{r=\"1\",le=\"7.5\"}} 2
outrigger_c_seconds_bucket{{r=\"1\",le=\"10\"}} 2
outrigger_c_seconds_bucket{{r=\"1\",le=\"+Inf\"}} 2
outrigger_c_seconds_sum{{r=\"1\"}} 1.007000
outrigger_c_seconds_count{{r=\"1\"}} 2
"
        );
        assert_eq!(example(Format::Text), golden);
    }

    #[test]
    fn writes_openmetrics() {
        let text = example(Format::OpenMetrics);
        assert!(
            text.starts_with("# HELP outrigger_a A total.\n# TYPE outrigger_a counter\noutrigger_a_total{")
        );
        assert!(text.contains("le=\"1.0\"} 2\n") && text.contains("le=\"10.0\"} 2\n"));
        assert!(text.ends_with("outrigger_c_seconds_count{r=\"1\"} 2\n# EOF\n"));
    }

    #[test]
    fn gives_what_the_scraper_ranks_higher() {
        let prometheus = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,\
                          application/openmetrics-text;version=0.0.1;q=0.4,\
                          text/plain;version=1.0.0;q=0.3,text/plain;version=0.0.4;q=0.2,*/*;q=0.1";
        for (accept, format) in [
            (None, Format::Text),
            (Some(""), Format::Text),
            (Some("*/*"), Format::Text),
            (Some("application/openmetrics-text"), Format::OpenMetrics),
            (Some("application/openmetrics-text; version=2.0.0"), Format::Text),
            (Some("application/openmetrics-text;q=0.1, text/plain;q=0.9"), Format::Text),
            (Some("application/openmetrics-text;q=0"), Format::Text),
            (Some("application/openmetrics-text;q=NaN"), Format::Text),
            (Some("application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily"), Format::Text),
            (Some(prometheus), Format::OpenMetrics),
        ] {
            assert_eq!(Format::negotiate(accept), format, "{accept:?}");
        }
    }
}
