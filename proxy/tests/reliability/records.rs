//! Exactly one record for each request, however it ends: counters, lines and answers agree.

use std::time::Duration;

use serde_json::Value;
use tokio::net::TcpListener;

use super::frames;
use super::support::app::app;
use super::support::client::{empty, h2, request, tcp};
use super::support::raw::Raw;
use super::support::run::{eventually, run};
use super::support::sidecar::Sidecar;
use super::watching::metric;

async fn total(sidecar: &Sidecar) -> f64 {
    metric(sidecar, "outrigger_requests_total", &[]).await
}

/// Waits until that many requests are over, and checks that every count says so.
async fn settled(sidecar: &Sidecar, requests: usize) -> Vec<Value> {
    eventually("all requests are over", async || {
        let log = sidecar.access_log();
        (log.len() >= requests && total(sidecar).await >= requests as f64).then_some(())
    })
    .await;
    // Nothing comes after, either.
    tokio::time::sleep(Duration::from_millis(50)).await;
    let log = sidecar.access_log();
    assert_eq!((log.len(), total(sidecar).await), (requests, requests as f64), "{log:#?}");
    let shown = sidecar.admin_get("/decisions?limit=1000").await.unwrap().json();
    assert_eq!(shown.as_array().unwrap().len(), requests);
    for line in &log {
        let outcome = line["outcome"].as_str().unwrap();
        let same = log.iter().filter(|other| other["outcome"] == outcome).count();
        let counted = metric(sidecar, "outrigger_requests_total", &[("outcome", outcome)]).await;
        assert_eq!(counted, same as f64, "{outcome}");
    }
    let ids: std::collections::BTreeSet<_> = log.iter().map(|line| line["request_id"].to_string()).collect();
    let named = log.iter().filter(|line| !line["request_id"].is_null()).count();
    assert!(ids.len() >= named, "two records of one request");
    log
}

fn policy(app: std::net::SocketAddr, gone: std::net::SocketAddr) -> String {
    format!(
        "version: 1\ninbound:\n  app: http://{app}\n  defaults:\n    timeouts: {{ total: 600ms, body_idle: 300ms }}\n  \
         routes:\n    - name: limited\n      match: {{ path: /limited }}\n      \
         rate_limits: [{{ name: none, rate: 1/h, burst: 1 }}]\n\
         dependencies:\n  gone:\n    hosts: [gone.test]\n    endpoints: [{{ address: \"{gone}\" }}]\n"
    )
}

/// `error` of a Proxy-Status.
fn error(status: &str) -> &str {
    status.split(';').find_map(|part| part.strip_prefix("error=")).unwrap()
}

#[test]
fn every_end_is_counted_once_and_named_alike_everywhere() {
    run(async {
        let app = app();
        let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let sidecar = Sidecar::start(policy(app.address(), gone)).await;
        // What is asked, and the outcome where it is not what Proxy-Status says.
        let requests = [
            ("GET / HTTP/1.1\r\nhost: a\r\n\r\n", "ok"),
            ("HEAD /16k HTTP/1.1\r\nhost: a\r\n\r\n", "ok"),
            ("GET /status/204 HTTP/1.1\r\nhost: a\r\n\r\n", "ok"),
            ("GET /status/404 HTTP/1.1\r\nhost: a\r\n\r\n", "client_error"),
            ("GET /status/500 HTTP/1.1\r\nhost: a\r\n\r\n", "upstream_5xx"),
            ("POST /echo-body HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\nabc", "ok"),
            ("GET /hang HTTP/1.1\r\nhost: a\r\n\r\n", ""),
            ("GET /reset HTTP/1.1\r\nhost: a\r\n\r\n", ""),
            ("GET /x/../y HTTP/1.1\r\nhost: a\r\n\r\n", ""),
            ("GET / HTTP/1.1\r\nhost: a\r\nhost: a\r\n\r\n", ""),
            ("GET / HTTP/1.1\r\nhost : a\r\n\r\n", ""),
            ("CONNECT a:1 HTTP/1.1\r\nhost: a:1\r\n\r\n", ""),
            ("POST /sink HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\nabc", "slow_client"),
            ("POST /sink HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\nx\r\n", ""),
            ("GET /limited HTTP/1.1\r\nhost: a\r\n\r\n", "client_error"),
            ("GET /limited HTTP/1.1\r\nhost: a\r\n\r\n", "rate_limited"),
        ];
        let mut expected = Vec::new();
        for (bytes, outcome) in requests {
            let answer = Raw::connect(sidecar.inbound).await.ask(bytes).await;
            let said = answer.field("proxy-status").map(|status| error(status).to_owned());
            expected.push(if outcome.is_empty() { said.unwrap() } else { outcome.to_owned() });
        }
        for (host, outcome) in
            [("gone.test", "connection_refused"), ("unknown.test", "destination_not_found")]
        {
            let bytes = format!("GET / HTTP/1.1\r\nhost: {host}\r\n\r\n");
            let answer = Raw::connect(sidecar.outbound).await.ask(bytes).await;
            assert_eq!(error(answer.field("proxy-status").unwrap()), outcome);
            expected.push(outcome.to_owned());
        }
        let log = settled(&sidecar, expected.len()).await;
        let logged: Vec<&str> = log.iter().map(|line| line["outcome"].as_str().unwrap()).collect();
        assert_eq!(logged, expected);
    });
}

#[test]
fn who_leaves_is_counted_wherever_it_leaves() {
    run(async {
        let app = app();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let sidecar = Sidecar::start(policy(app.address(), listener.local_addr().unwrap())).await;
        let mut count = 0;
        // Before the head of the answer, in the body of the request, in the body of the answer.
        for bytes in [
            "GET /hang HTTP/1.1\r\nhost: a\r\n\r\n",
            "POST /sink HTTP/1.1\r\nhost: a\r\ncontent-length: 100\r\n\r\nabc",
            "GET /slow-body?chunks=3&gap=200 HTTP/1.1\r\nhost: a\r\n\r\n",
            "GET /bytes/50000000 HTTP/1.1\r\nhost: a\r\n\r\n",
        ] {
            let mut raw = Raw::connect(sidecar.inbound).await;
            let seen = app.requests();
            raw.send(bytes).await;
            eventually("it has begun", async || (app.requests() > seen).then_some(())).await;
            drop(raw);
            count += 1;
            let log = settled(&sidecar, count).await;
            assert_eq!(log.last().unwrap()["outcome"], "client_cancelled", "{bytes}: {log:?}");
        }
        // Streams reset on one connection that lives.
        let mut raw = frames::connect(sidecar.inbound).await;
        for number in 0..5_u32 {
            let (stream, seen) = (number * 2 + 1, app.requests());
            let head = frames::block(&frames::get("/hang"));
            raw.send(frames::frame(frames::HEADERS, frames::END_HEADERS | frames::END_STREAM, stream, &head))
                .await;
            eventually("it has begun", async || (app.requests() > seen).then_some(())).await;
            raw.send(frames::frame(frames::RST_STREAM, 0, stream, &8_u32.to_be_bytes())).await;
        }
        count += 5;
        let log = settled(&sidecar, count).await;
        assert!(log.iter().all(|line| line["outcome"] == "client_cancelled"), "{log:?}");
        assert_eq!(metric(&sidecar, "outrigger_upstream_in_flight", &[]).await, 0.0, "a permit leaked");
        // Nobody left means nobody is counted.
        drop((Raw::connect(sidecar.inbound).await, raw));
        settled(&sidecar, count).await;
    });
}

#[test]
fn broken_answers_are_counted_once() {
    run(async {
        let app = app();
        let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let sidecar = Sidecar::start(policy(app.address(), gone)).await;
        for path in ["/truncate", "/reset-body"] {
            let mut raw = Raw::connect(sidecar.inbound).await;
            raw.send(format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n")).await;
            assert!(raw.try_answer("GET").await.is_none());
        }
        let mut client = h2(tcp(sidecar.inbound).await).await;
        let response = client.send_request(request("GET", "/truncate").body(empty()).unwrap()).await.unwrap();
        assert!(http_body_util::BodyExt::collect(response.into_body()).await.is_err());
        let log = settled(&sidecar, 3).await;
        assert!(
            log.iter().all(|line| line["outcome"] == "http_response_incomplete" && line["status"] == 200),
            "{log:?}"
        );
        let attempts = metric(&sidecar, "http_client_request_duration_seconds_count", &[]).await;
        assert_eq!(attempts, 3.0, "attempts are counted once too");
    });
}

#[test]
fn counts_hold_under_a_mix_on_two_workers() {
    run(async {
        let app = app();
        let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let setup = super::support::sidecar::Setup::new(policy(app.address(), gone)).line("workers: 2");
        let sidecar = setup.start().await;
        let paths =
            ["/", "/status/500", "/16k", "/x//y", "/truncate", "/limited", "/delay/5", "/bytes/100000"];
        let mut tasks = Vec::new();
        for client in 0..16 {
            let to = sidecar.inbound;
            tasks.push(tokio::spawn(async move {
                for turn in 0..20 {
                    let path = paths[(client + turn) % paths.len()];
                    let mut raw = Raw::connect(to).await;
                    raw.send(format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n")).await;
                    raw.try_answer("GET").await;
                }
            }));
        }
        for task in tasks {
            task.await.unwrap();
        }
        settled(&sidecar, 320).await;
    });
}

#[test]
fn hostile_bytes_make_no_lines_of_their_own() {
    run(async {
        let app = app();
        let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let sidecar = Sidecar::start(policy(app.address(), gone)).await;
        let request = "GET /status/200?secret=hunter2 HTTP/1.1\r\nhost: a\r\nx-request-id: a\\\"b\u{1f4a3}\r\nuser-agent: \u{9b}31m\r\n\
                       authorization: Bearer hunter2\r\ncookie: hunter2\r\n\r\n";
        let answer = Raw::connect(sidecar.inbound).await.ask(request).await;
        assert!(answer.status == 200 || answer.status == 400, "{answer:?}");
        let log = settled(&sidecar, 1).await;
        assert!(!log[0].to_string().contains("hunter2"), "{log:?}");
        let text = std::fs::read_to_string(sidecar.dir().join("access.log")).unwrap();
        assert_eq!(text.lines().count(), 1);
        assert!(
            text.bytes().all(|byte| byte == b'\n' || (0x20..0x7f).contains(&byte) || byte >= 0x80),
            "{text:?}"
        );
    });
}
