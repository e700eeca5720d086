//! What a request leaves with, over HTTP/1.1 as text and over HTTP/2 as a map, is the same.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, Request, Version, header};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::TestRunner;

use super::{bind, prepare};
use crate::app::idle_worker;
use crate::pipeline::exchange::Exchange;
use crate::pipeline::target;
use crate::server::connection::{Connection, Door};
use crate::upstream::cluster::{Cluster, Clusters};

const PEERS: [&str; 2] = ["127.0.0.1", "203.0.113.7"];

/// Fields that matter, with values that matter.
fn field() -> impl Strategy<Value = (&'static str, String)> {
    const NAMES: [&str; 20] = [
        "content-type",
        "grpc-timeout",
        "x-request-timeout-ms",
        "outrigger-attempt",
        "host",
        "cookie",
        "via",
        "forwarded",
        "x-forwarded-for",
        "x-forwarded-proto",
        "x-forwarded-host",
        "x-request-id",
        "traceparent",
        "tracestate",
        "x-real-ip",
        "connection",
        "te",
        "expect",
        "accept",
        "content-type",
    ];
    const VALUES: [&str; 9] = [
        "",
        "a",
        "a, b",
        "1.1 outrigger, 1.0 b",
        "for=1.2.3.4;proto=https",
        "1.2.3.4, 127.0.0.1",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "x-real-ip",
        "\u{e9}",
    ];
    (select(&NAMES[..]), prop_oneof![select(&VALUES[..]).prop_map(str::to_owned), "[!-~]{1,8}( [!-~]{1,8})?"])
}

fn cluster(host: Option<&str>) -> Arc<Cluster> {
    let mut spec = outrigger_config::app("http://127.0.0.1:1").unwrap().unwrap();
    spec.host_header = host.map(str::to_owned);
    Clusters::default().adopt("a", &spec).unwrap()
}

fn all(headers: &HeaderMap) -> Vec<(&str, &[u8])> {
    let mut all: Vec<_> = headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
    // In one field the order counts, among fields it does not.
    all.sort_by_key(|(name, _)| *name);
    all
}

/// The request's own fields and those that are written behind them.
fn written(exchange: &Exchange) -> HeaderMap {
    let mut text = Vec::new();
    exchange.write_added(&mut text);
    let mut headers = exchange.request.headers().clone();
    for line in std::str::from_utf8(&text).unwrap().split_terminator("\r\n") {
        let (name, value) = line.split_once(": ").unwrap();
        headers.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), value.parse().unwrap());
    }
    headers
}

#[test]
fn the_same_fields_are_written_and_inserted() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let worker = idle_worker(runtime.handle().clone());
    let clusters = vec![cluster(None), cluster(Some("own.test"))];
    let versions = select(&[Version::HTTP_10, Version::HTTP_11, Version::HTTP_2][..]);
    let cases = (versions, select(&PEERS[..]), select(clusters), vec(field(), 0..8));
    let check =
        |(version, peer, cluster, fields): (Version, &str, Arc<Cluster>, Vec<(&'static str, String)>)| {
            let peer: IpAddr = peer.parse().unwrap();
            let connection = Connection::new(&worker, Door::Inbound, peer, None, version == Version::HTTP_2);
            let mut request = Request::post("http://asked.test/a").version(version).body(()).unwrap();
            for (name, value) in fields {
                request.headers_mut().append(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
            }
            let (now, snapshot) = (worker.now(), Arc::clone(&worker.local().snapshot));
            let mut exchange = Exchange::begin(&connection, &snapshot, request, now);
            let seen = exchange.seen;
            bind(&connection, &mut exchange, Duration::from_secs(3), false);
            // Somebody's retry is not retried.
            exchange.added.previous = u32::from(version == Version::HTTP_2 && !exchange.is_retry);
            exchange.tell_time_left(now, now.after(Duration::from_millis(2_500)), false);
            if target::clean(&connection, &mut exchange.request, seen).is_err()
                || prepare(&connection, &mut exchange, &cluster).is_err()
            {
                return Ok(());
            }
            let written = written(&exchange);
            let mut inserted = exchange.request.headers().clone();
            exchange.insert_added(&mut inserted);
            prop_assert_eq!(all(&written), all(&inserted));
            let left = exchange.added.left.is_some();
            prop_assert_eq!(left, written.contains_key("x-request-timeout-ms"));
            for once in ["x-request-id", "traceparent", "x-forwarded-for", "forwarded"] {
                prop_assert_eq!(written.get_all(once).iter().count(), 1, "{}", once);
            }
            prop_assert!(written.contains_key(header::HOST) && written.contains_key("x-forwarded-proto"));
            let ours = written.get_all(header::VIA).iter().next_back().unwrap();
            prop_assert!(ours.as_bytes().ends_with(b" outrigger"));
            if !connection.trusted {
                prop_assert_eq!(&written["x-forwarded-for"], &peer.to_string());
                prop_assert!(!written.contains_key("x-real-ip"));
            }
            Ok(())
        };
    TestRunner::default().run(&cases, check).unwrap();
}
