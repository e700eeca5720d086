//! A plan written down as a document: nothing left to defaults, routes in order of precedence.
//!
//! The document is itself a policy with the same plan, so that what `/policy` shows can be applied again,
//! and two policies that do the same have the same hash.

use std::fmt::Write as _;

use outrigger_filters::circuit_breaker;
use outrigger_filters::unit::Timespan;
use serde::Serialize;
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use crate::plan::{
    Address, Dependency, Discovery, FieldMatch, HostMatch, Match, PathMatch, Plan, Protocol, Route, Timeouts,
    TlsClient, UnknownHosts, Upstream, ValueMatch,
};

/// The effective document.
pub(crate) fn document(plan: &Plan) -> Value {
    let mut document = Map::new();
    put(&mut document, "version", Some(crate::build::VERSION.into()));
    put(&mut document, "service", plan.service.as_deref().map(Value::from));
    let mut inbound = Map::new();
    put(&mut inbound, "app", plan.inbound.app.as_ref().map(|app| app_url(app).into()));
    put(&mut inbound, "readiness", plan.inbound.readiness.as_deref().map(Value::from));
    put(&mut inbound, "routes", Some(plan.inbound.routes.iter().map(route).collect()));
    put(&mut document, "inbound", Some(inbound.into()));
    let unknown_hosts = match plan.unknown_hosts {
        UnknownHosts::Refuse => "refuse",
        UnknownHosts::Pass => "pass",
    };
    put(&mut document, "outbound", Some(json!({ "unknown_hosts": unknown_hosts })));
    if !plan.dependencies.is_empty() {
        let all = plan.dependencies.iter().map(|one| (one.name.clone(), dependency(one)));
        put(&mut document, "dependencies", Some(Value::Object(all.collect())));
    }
    document.into()
}

/// SHA-256 over the document with sorted keys, in hexadecimal.
pub(crate) fn hash(document: &Value) -> String {
    let mut text = String::new();
    canonical(document, &mut text);
    Sha256::digest(text).iter().fold(String::new(), |mut hash, byte| {
        // Writing to a String cannot fail.
        let _ = write!(hash, "{byte:02x}");
        hash
    })
}

/// Keys sorted, whatever order serde_json keeps them in.
fn canonical(value: &Value, out: &mut String) {
    match value {
        Value::Object(map) => {
            let mut keys: Vec<_> = map.iter().collect();
            keys.sort_by_key(|(key, _)| *key);
            out.push('{');
            for (key, value) in keys {
                let _ = write!(out, "{}:", Value::from(key.as_str()));
                canonical(value, out);
                out.push(',');
            }
            out.push('}');
        }
        Value::Array(items) => {
            out.push('[');
            for item in items {
                canonical(item, out);
                out.push(',');
            }
            out.push(']');
        }
        other => drop(write!(out, "{other}")),
    }
}

fn put(map: &mut Map<String, Value>, key: &str, value: Option<Value>) {
    if let Some(value) = value {
        map.insert(key.to_owned(), value);
    }
}

/// Puts the blocks of the filters among the others.
fn put_policies(map: &mut Map<String, Value>, policies: &impl Serialize) {
    if let Ok(Value::Object(blocks)) = serde_json::to_value(policies) {
        map.extend(blocks);
    }
}

fn breaker(spec: Option<&circuit_breaker::Spec>) -> Option<Value> {
    spec.and_then(|spec| serde_json::to_value(spec).ok())
}

fn route(route: &Route) -> Value {
    let mut map = Map::new();
    put(&mut map, "name", Some(route.name.as_str().into()));
    if route.matches != Match::default() {
        put(&mut map, "match", Some(matches(&route.matches)));
    }
    put(&mut map, "timeouts", Some(timeouts(&route.timeouts).into()));
    put(&mut map, "retries", route.retries.as_ref().and_then(|retries| serde_json::to_value(retries).ok()));
    put_policies(&mut map, &route.policies);
    put(&mut map, "circuit_breaker", breaker(route.circuit_breaker.as_ref()));
    map.into()
}

fn matches(matches: &Match) -> Value {
    let mut map = Map::new();
    let list = |items: Vec<Value>| (!items.is_empty()).then_some(Value::Array(items));
    put(&mut map, "methods", list(matches.methods.iter().map(|method| method.as_str().into()).collect()));
    let (key, path) = match &matches.path {
        PathMatch::Any => ("path", None),
        PathMatch::Exact(path) => ("path", Some(path)),
        PathMatch::Prefix(path) => ("path_prefix", Some(path)),
        PathMatch::Regex(pattern) => ("path_regex", Some(pattern)),
    };
    put(&mut map, key, path.map(|path| path.as_str().into()));
    put(&mut map, "hosts", list(matches.hosts.iter().map(host).collect()));
    put(&mut map, "headers", fields(&matches.headers));
    put(&mut map, "query", fields(&matches.query));
    map.into()
}

fn fields(fields: &[FieldMatch]) -> Option<Value> {
    let value = |field: &FieldMatch| match &field.value {
        ValueMatch::Exact(text) => text.as_str().into(),
        ValueMatch::Regex(pattern) => json!({ "regex": pattern }),
        ValueMatch::Present => json!({ "present": true }),
    };
    let map: Map<_, _> = fields.iter().map(|field| (field.name.clone(), value(field))).collect();
    (!map.is_empty()).then(|| map.into())
}

fn host(host: &HostMatch) -> Value {
    match host {
        HostMatch::Exact(host) => host.as_str().into(),
        HostMatch::Suffix(suffix) => format!("*{suffix}").into(),
    }
}

fn timeouts(timeouts: &Timeouts) -> Map<String, Value> {
    let Timeouts { total, connect, first_byte, per_try, body_idle, stream_idle } = *timeouts;
    let all = [
        ("total", Some(total)),
        ("connect", Some(connect)),
        ("first_byte", Some(first_byte)),
        ("per_try", per_try),
        ("body_idle", Some(body_idle)),
        ("stream_idle", Some(stream_idle)),
    ];
    all.into_iter().filter_map(|(key, value)| Some((key.to_owned(), span(value?)))).collect()
}

fn span(value: std::time::Duration) -> Value {
    Timespan(value).to_string().into()
}

fn dependency(dependency: &Dependency) -> Value {
    let Upstream { discovery, protocol, tls, host_header, .. } = &dependency.upstream;
    let mut map = Map::new();
    if !dependency.hosts.is_empty() {
        put(&mut map, "hosts", Some(dependency.hosts.iter().map(host).collect()));
    }
    put(&mut map, "listen", dependency.listen.map(|listen| listen.to_string().into()));
    match discovery {
        Discovery::Fixed(all) => {
            let all = all.iter().map(|address| json!({ "address": text(address) }));
            put(&mut map, "endpoints", Some(all.collect()));
        }
        Discovery::Dns { host, port, every } => {
            let discover = json!({ "dns": format!("{host}:{port}"), "every": span(*every) });
            put(&mut map, "discover", Some(discover));
        }
    }
    let protocol = match protocol {
        Protocol::Http1 => "http1",
        Protocol::H2 => "h2",
        Protocol::Auto => "auto",
    };
    put(&mut map, "protocol", Some(protocol.into()));
    put(&mut map, "tls", tls.as_ref().map(tls_client));
    put(&mut map, "host_header", host_header.as_deref().map(Value::from));
    let mut times = dependency.routes.last().map(|route| timeouts(&route.timeouts)).unwrap_or_default();
    put(&mut times, "keepalive", Some(span(dependency.upstream.keepalive)));
    put(&mut map, "timeouts", Some(times.into()));
    put(&mut map, "isolation", serde_json::to_value(&dependency.isolation).ok());
    put(&mut map, "balance", serde_json::to_value(dependency.balance).ok());
    put_policies(&mut map, &dependency.policies);
    put(&mut map, "circuit_breaker", breaker(dependency.circuit_breaker.as_ref()));
    put(&mut map, "routes", Some(dependency.routes.iter().map(route).collect()));
    map.into()
}

fn tls_client(tls: &TlsClient) -> Value {
    let mut map = Map::new();
    let file = |path: &std::path::PathBuf| path.display().to_string().into();
    put(&mut map, "server_name", tls.server_name.as_deref().map(Value::from));
    put(&mut map, "ca", tls.ca.as_ref().map(file));
    put(&mut map, "cert", tls.identity.as_ref().map(|(cert, _)| file(cert)));
    put(&mut map, "key", tls.identity.as_ref().map(|(_, key)| file(key)));
    map.into()
}

fn text(address: &Address) -> String {
    match address {
        Address::Tcp(address) => address.to_string(),
        Address::Unix(path) => format!("unix:{}", path.display()),
    }
}

fn app_url(app: &Upstream) -> String {
    let address = match &app.discovery {
        Discovery::Fixed(all) => all.first().map(text).unwrap_or_default(),
        Discovery::Dns { host, port, .. } => format!("{host}:{port}"),
    };
    match (address.starts_with("unix:"), &app.tls, app.protocol) {
        (true, _, _) => address,
        (_, Some(_), _) => format!("https://{address}"),
        (_, None, Protocol::H2) => format!("h2c://{address}"),
        (_, None, _) => format!("http://{address}"),
    }
}
