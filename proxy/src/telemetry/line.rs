//! One record as one JSON object: the access log's line, and `/decisions`' element. Schema `outrigger.access/1`:
//!
//! `schema, ts, dir, service, route, dep, method, proto, path, status, outcome, origin, domain, rule, flags, shadow,
//! gen, attempts, t{queue,connect,ttfb,total} (milliseconds), bytes_in, bytes_out, client, host, trace_id, span_id,
//! request_id, detail`, always in this order. Keys without a value are left out: `dep` towards the app, `rule` when
//! none decided, `flags` when Envoy has none, and so on. New keys may be added; none changes its meaning within 1.

use std::net::IpAddr;

use super::alias;
use super::json::{self, Object};
use super::names::Names;
use super::record::{Flags, Record};
use super::stamp::Stamp;

/// What a line says beyond its record, lent by the request. Everything may be empty and nothing is trusted.
#[derive(Clone, Copy, Debug, Default)]
pub struct Detail<'a> {
    /// The method as sent; empty: the record's.
    pub method: &'a [u8],
    /// The path. A query, which may hold secrets, is cut off.
    pub path: &'a [u8],
    /// Host or authority.
    pub host: &'a [u8],
    /// Who called.
    pub client: Option<IpAddr>,
    /// `x-request-id`, the caller's or ours.
    pub request_id: &'a [u8],
    /// Why, in our words: `stage:name:reason`, as in `Proxy-Status`.
    pub detail: &'a [u8],
}

/// Caps in bytes before escaping.
const PATH: usize = 1_024;
const SHORT: usize = 256;

/// Appends the object, without a line's end.
pub(super) fn write(out: &mut Vec<u8>, service: &str, names: &Names, record: &Record, detail: &Detail<'_>) {
    let mut line = Object::open(out);
    line.plain("schema", "outrigger.access/1");
    line.plain("ts", Stamp(record.start_ms));
    line.plain("dir", record.direction.label());
    line.text("service", service.as_bytes(), SHORT);
    line.text("route", names.get(record.route).as_bytes(), SHORT);
    line.text_if("dep", names.get(record.dependency).as_bytes(), SHORT);
    write_request(&mut line, record, detail);
    write_decision(&mut line, names, record);
    write_timings(&mut line, record);
    line.number("bytes_in", record.bytes_in);
    line.number("bytes_out", record.bytes_out);
    write_caller(&mut line, record, detail);
    line.close();
}

fn write_request(line: &mut Object<'_>, record: &Record, detail: &Detail<'_>) {
    let method = if detail.method.is_empty() { record.method.label().as_bytes() } else { detail.method };
    line.text("method", method, 32);
    line.plain("proto", record.proto.label());
    // Whatever was lent, a query is never written.
    let path = detail.path.split(|byte| matches!(byte, b'?' | b'#')).next().unwrap_or_default();
    line.text_if("path", path, PATH);
    if record.status != 0 {
        line.number("status", record.status);
    }
}

fn write_decision(line: &mut Object<'_>, names: &Names, record: &Record) {
    line.plain("outcome", record.outcome.label());
    if record.status != 0 || record.flags.has(Flags::RESPONSE_STARTED) {
        line.plain("origin", record.origin());
    }
    line.plain("domain", record.outcome.domain().label());
    if let Some(rule) = record.rule.checked_sub(1).and_then(|index| names.rule(record.rules, index.into())) {
        line.text("rule", rule.as_bytes(), SHORT);
    }
    line.text_if("flags", alias::envoy(record.outcome).as_bytes(), SHORT);
    if record.shadow != 0 {
        write_shadow(line.key("shadow"), names, record);
    }
    line.number("gen", record.generation);
    line.number("attempts", record.attempts);
}

/// The names of the rules that would have acted.
fn write_shadow(out: &mut Vec<u8>, names: &Names, record: &Record) {
    out.push(b'[');
    let mut rest = record.shadow;
    while rest != 0 {
        let index = rest.trailing_zeros() as usize;
        rest &= rest - 1;
        let name = names.rule(record.rules, index).unwrap_or_else(|| index.to_string().into());
        json::string(out, name.as_bytes(), SHORT);
        if rest != 0 {
            out.push(b',');
        }
    }
    out.push(b']');
}

fn write_timings(line: &mut Object<'_>, record: &Record) {
    let timings = record.timings;
    let mut t = Object::open(line.key("t"));
    for (key, us) in [
        ("queue", timings.queue),
        ("connect", timings.connect),
        ("ttfb", timings.ttfb),
        ("total", timings.total),
    ] {
        t.number(key, format_args!("{}.{:03}", us / 1_000, us % 1_000));
    }
    t.close();
}

fn write_caller(line: &mut Object<'_>, record: &Record, detail: &Detail<'_>) {
    if let Some(client) = detail.client {
        line.plain("client", client);
    }
    line.text_if("host", detail.host, SHORT);
    if record.trace_id != [0; 16] {
        line.plain("trace_id", format_args!("{:032x}", u128::from_be_bytes(record.trace_id)));
    }
    if record.span_id != 0 {
        line.plain("span_id", format_args!("{:016x}", record.span_id));
    }
    line.text_if("request_id", detail.request_id, SHORT);
    line.text_if("detail", detail.detail, SHORT);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::{Direction, Method, NameId, Outcome, Proto, RouteSeries, Timings};

    fn rejected(names: &Names) -> Record {
        let series = RouteSeries {
            direction: Direction::Outbound,
            route: names.intern("reserve"),
            dependency: names.intern("inventory"),
            rules: names.rule_set(["rate_limits:calls", "rate_limits:trial"]),
        };
        Record {
            method: Method::Post,
            proto: Proto::H2,
            status: 429,
            outcome: Outcome::RateLimited,
            rule: 1,
            shadow: 0b10,
            timings: Timings { queue: 12, connect: 0, ttfb: 0, total: 1_234_567 },
            bytes_in: 5,
            bytes_out: 120,
            trace_id: [0xab; 16],
            span_id: 0xcd,
            ..series.record(1_700_000_000_123, 7)
        }
    }

    fn line(names: &Names, record: &Record, detail: &Detail<'_>) -> String {
        let mut out = Vec::new();
        write(&mut out, "orders", names, record, detail);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn keys_keep_their_order() {
        let names = Names::default();
        let detail = Detail {
            path: b"/v1/reserve",
            host: b"inventory.internal",
            client: Some("127.0.0.1".parse().unwrap()),
            request_id: b"0190",
            detail: b"rate_limits:calls:over_limit",
            ..Detail::default()
        };
        assert_eq!(
            line(&names, &rejected(&names), &detail),
            concat!(
                r#"{"schema":"outrigger.access/1","ts":"2023-11-14T22:13:20.123Z","dir":"outbound","#,
                r#""service":"orders","route":"reserve","dep":"inventory","method":"POST","proto":"2","#,
                r#""path":"/v1/reserve","status":429,"outcome":"rate_limited","origin":"proxy","#,
                r#""domain":"policy","rule":"rate_limits:calls","flags":"RL","shadow":["rate_limits:trial"],"#,
                r#""gen":7,"attempts":0,"t":{"queue":0.012,"connect":0.000,"ttfb":0.000,"total":1234.567},"#,
                r#""bytes_in":5,"bytes_out":120,"client":"127.0.0.1","host":"inventory.internal","#,
                r#""trace_id":"abababababababababababababababab","span_id":"00000000000000cd","#,
                r#""request_id":"0190","detail":"rate_limits:calls:over_limit"}"#,
            )
        );
    }

    #[test]
    fn leaves_out_what_there_is_not() {
        let names = Names::default();
        let series = RouteSeries {
            direction: Direction::Inbound,
            route: names.intern("default"),
            dependency: NameId::NONE,
            rules: names.rule_set([]),
        };
        let line = line(&names, &series.record(0, 1), &Detail::default());
        for key in
            ["dep", "path", "status", "origin", "rule", "flags", "shadow", "client", "trace_id", "request_id"]
        {
            assert!(!line.contains(&format!("\"{key}\"")), "{key} in {line}");
        }
    }

    #[test]
    fn hostile_text_stays_within_its_field() {
        let names = Names::default();
        let hostile = b"\"}\n{\"outcome\":\"ok\"}\x1b]0;x\x07\x7f\xff\xfe\xe2\x80\xae";
        let detail = Detail {
            method: hostile,
            path: hostile,
            host: hostile,
            request_id: hostile,
            detail: hostile,
            ..Detail::default()
        };
        let line = line(&names, &rejected(&names), &detail);
        assert!(!line.contains(char::is_control));
        let read: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(read["outcome"], "rate_limited");
        assert_eq!(read["path"], String::from_utf8_lossy(hostile).as_ref());
    }

    #[test]
    fn a_query_is_never_written() {
        let names = Names::default();
        let detail = Detail { path: b"/v1/reserve?token=secret", ..Detail::default() };
        let line = line(&names, &rejected(&names), &detail);
        assert!(line.contains("\"/v1/reserve\"") && !line.contains("secret"), "{line}");
    }

    #[test]
    fn a_long_path_is_cut() {
        let names = Names::default();
        let path = vec![b'a'; 100_000];
        let line = line(&names, &rejected(&names), &Detail { path: &path, ..Detail::default() });
        assert!(line.len() < 2_048, "{}", line.len());
    }
}
