//! Rate limits as callers meet them: answers, keys, pacing, shadow, levels.

use std::net::SocketAddr;

use tokio::time::Instant;

use super::support::app::app;
use super::support::client::{ask_h2, empty, h2, request, tcp};
use super::support::raw::{Answer, Raw};
use super::support::run::{becomes_true, run};
use super::support::sidecar::{Setup, Sidecar};
use super::support::tls::Authority;
use super::watching::{get, metric};

/// One inbound route `/` and below with these limits.
fn limits(app: SocketAddr, limits: &str) -> String {
    format!(
        "version: 1\ninbound:\n  app: http://{app}\n  routes:\n    - name: all\n      match: {{ path_prefix: / }}\n      \
         rate_limits: [{limits}]\n"
    )
}

/// One request with these header lines, on a connection of its own; its status.
async fn ask(sidecar: &Sidecar, method: &str, path: &str, fields: &str) -> u16 {
    let request = format!("{method} {path} HTTP/1.1\r\nhost: a\r\n{fields}\r\n");
    Raw::connect(sidecar.inbound).await.ask(request).await.status
}

fn seconds(answer: &Answer) -> u64 {
    answer.field("retry-after").unwrap().parse().unwrap()
}

#[test]
fn says_what_was_exceeded_and_when_to_come_back() {
    run(async {
        let app = app();
        let sidecar = Sidecar::start(limits(app.address(), "{ name: few, rate: 2/10s, burst: 3 }")).await;
        let mut raw = Raw::connect(sidecar.inbound).await;
        for _ in 0..3 {
            let answer = raw.get("/").await;
            assert_eq!((answer.status, answer.field("ratelimit")), (200, None));
        }
        let answer = raw.get("/").await;
        assert_eq!(answer.status, 429);
        assert_eq!(answer.field("ratelimit-policy"), Some("\"few\";q=3;w=15"));
        let limit = answer.field("ratelimit").unwrap();
        assert!(limit.starts_with("\"few\";r=0;t="), "{limit}");
        assert!((4..=7).contains(&seconds(&answer)), "{answer:?}");
        assert_eq!(answer.field("outrigger-sent"), Some("0"));
        let status = answer.field("proxy-status").unwrap();
        assert_eq!(status, "outrigger;error=http_request_denied;details=\"rate_limits:few:over_limit\"");
        let problem = answer.json();
        assert_eq!(
            (problem["type"].as_str(), problem["status"].as_u64()),
            (Some("urn:outrigger:problem:rate-limited"), Some(429))
        );
        // The connection goes on, and a refused body is not taken for the next request.
        let posted = raw
            .ask("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 30\r\n\r\nGET /smuggled HTTP/1.1\r\n\r\nabcd")
            .await;
        assert_eq!(posted.status, 429);
        assert_eq!(raw.get("/").await.status, 429);
        assert_eq!(app.requests(), 3);
        becomes_true("six lines", || sidecar.access_log().len() == 6).await;
        let line = sidecar.access_log().pop().unwrap();
        assert_eq!(
            (line["outcome"].as_str(), line["rule"].as_str()),
            (Some("rate_limited"), Some("few")),
            "{line}"
        );
        assert_eq!(line["attempts"], 0, "{line}");
    });
}

#[test]
fn tells_a_grpc_caller_in_grpc() {
    run(async {
        let app = app();
        let sidecar = Sidecar::start(limits(app.address(), "{ name: few, rate: 1/h, burst: 1 }")).await;
        let mut client = h2(tcp(sidecar.inbound).await).await;
        let call = || {
            request("POST", "/grpc.Echo/Unary")
                .header("content-type", "application/grpc")
                .header("te", "trailers")
        };
        assert_eq!(ask_h2(&mut client, request("GET", "/").body(empty()).unwrap()).await.status, 200);
        let answer = ask_h2(&mut client, call().body(empty()).unwrap()).await;
        assert_eq!((answer.status, answer.field("grpc-status")), (200, Some("8")), "{answer:?}");
        assert_eq!(answer.field("content-type"), Some("application/grpc"));
        let pushback: u64 = answer.field("grpc-retry-pushback-ms").unwrap().parse().unwrap();
        assert!(pushback >= 3_000_000, "{answer:?}");
        assert!(answer.body.is_empty() && answer.field("proxy-status").is_some());
    });
}

#[test]
fn headers_always_count_down() {
    run(async {
        let app = app();
        let both = "{ name: wide, rate: 100/h, burst: 100, headers: always }, { name: narrow, rate: 3/h, burst: 3, headers: always }";
        let sidecar = Sidecar::start(limits(app.address(), both)).await;
        for left in [2, 1, 0] {
            let answer = get(&sidecar, "/").await;
            let limit = answer.field("ratelimit").unwrap();
            assert!(
                limit.starts_with(&format!("\"narrow\";r={left};t=")),
                "the quota nearest its end: {limit}"
            );
            assert_eq!(answer.field("ratelimit-policy"), Some("\"narrow\";q=3;w=3600"));
        }
        assert_eq!(get(&sidecar, "/").await.status, 429);
    });
}

#[test]
fn headers_off_say_nothing_even_on_refusals() {
    run(async {
        let app = app();
        let sidecar =
            Sidecar::start(limits(app.address(), "{ name: few, rate: 1/h, burst: 1, headers: off }")).await;
        get(&sidecar, "/").await;
        let answer = get(&sidecar, "/").await;
        assert_eq!(
            (answer.status, answer.field("ratelimit"), answer.field("ratelimit-policy")),
            (429, None, None)
        );
        assert!(seconds(&answer) > 0);
    });
}

#[test]
fn keys_give_each_caller_a_bucket_of_its_own() {
    run(async {
        let app = app();
        let token = |claims: &str| {
            let part = |text: &str| base64url(text.as_bytes());
            format!("authorization: Bearer {}.{}.sig\r\n", part("{\"alg\":\"none\"}"), part(claims))
        };
        let (ann, bob) = (token("{\"sub\":\"ann\"}"), token("{\"sub\":\"bob\"}"));
        // Of each row: the key, then requests one after another with whether each is the first of its bucket.
        type Row<'a> = (&'a str, Vec<(&'a str, &'a str, &'a str, bool)>);
        let rows: Vec<Row<'_>> = vec![
            (
                "{ header: x-tenant }",
                vec![
                    ("GET", "/", "x-tenant: a\r\n", true),
                    ("GET", "/", "x-tenant: b\r\n", true),
                    ("GET", "/", "X-Tenant: a\r\n", false),
                    ("GET", "/", "", true),
                    ("GET", "/", "", false),
                ],
            ),
            (
                "{ query: key }",
                vec![
                    ("GET", "/?key=1", "", true),
                    ("GET", "/?x=1&key=2", "", true),
                    ("GET", "/?key=1&key=3", "", false),
                    ("GET", "/", "", true),
                ],
            ),
            ("method", vec![("GET", "/", "", true), ("DELETE", "/", "", true), ("GET", "/x", "", false)]),
            (
                "{ jwt_claim: sub }",
                vec![
                    ("GET", "/", &ann, true),
                    ("GET", "/", &bob, true),
                    ("GET", "/", &ann, false),
                    ("GET", "/", "authorization: Bearer x\r\n", true),
                    ("GET", "/", "", false),
                ],
            ),
            (
                "client_ip",
                vec![
                    ("GET", "/", "x-forwarded-for: 192.0.2.1\r\n", true),
                    ("GET", "/", "x-forwarded-for: 192.0.2.2\r\n", true),
                    ("GET", "/", "x-forwarded-for: 203.0.113.9, 192.0.2.1\r\n", false),
                    ("GET", "/", "x-forwarded-for: 192.0.2.1, 127.0.0.1\r\n", false),
                    ("GET", "/", "", true),
                ],
            ),
            (
                "{ header: x-tenant }, method",
                vec![
                    ("GET", "/", "x-tenant: a\r\n", true),
                    ("DELETE", "/", "x-tenant: a\r\n", true),
                    ("GET", "/", "x-tenant: a\r\n", false),
                ],
            ),
        ];
        for (key, requests) in rows {
            let rule = format!("{{ name: each, rate: 1/h, burst: 1, key: [{key}] }}");
            let sidecar = Sidecar::start(limits(app.address(), &rule)).await;
            for (method, path, fields, first) in requests {
                let status = ask(&sidecar, method, path, fields).await;
                assert_eq!(status != 429, first, "{key}: {method} {path} {fields:?} got {status}");
            }
        }
    });
}

fn base64url(bytes: &[u8]) -> String {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut out = String::new();
    for piece in bytes.chunks(3) {
        let number =
            piece.iter().fold(0_u32, |sum, byte| sum << 8 | u32::from(*byte)) << (8 * (3 - piece.len()));
        for digit in 0..=piece.len() {
            out.push(char::from(DIGITS[(number >> (18 - 6 * digit) & 63) as usize]));
        }
    }
    out
}

#[test]
fn who_is_not_trusted_cannot_choose_its_address() {
    run(async {
        let app = app();
        let policy = limits(app.address(), "{ name: each, rate: 1/h, burst: 1, key: [client_ip] }");
        let sidecar = Setup::new(policy).line("trusted_peers: []").start().await;
        assert_eq!(ask(&sidecar, "GET", "/", "x-forwarded-for: 192.0.2.1\r\n").await, 200);
        assert_eq!(ask(&sidecar, "GET", "/", "x-forwarded-for: 192.0.2.2\r\n").await, 429);
        assert_eq!(ask(&sidecar, "GET", "/", "forwarded: for=192.0.2.3\r\n").await, 429);
    });
}

#[test]
fn parts_of_the_path_are_keys() {
    run(async {
        let app = app();
        let policy = format!(
            "version: 1\ninbound:\n  app: http://{}\n  routes:\n    - name: order\n      \
             match: {{ path_regex: '/status/(?<code>[0-9]+)' }}\n      \
             rate_limits: [{{ name: each, rate: 1/h, burst: 1, key: [{{ path_param: code }}, route] }}]\n",
            app.address()
        );
        let sidecar = Sidecar::start(policy).await;
        for (path, status) in
            [("/status/201", 201), ("/status/202", 202), ("/status/201", 429), ("/status/202?x=1", 429)]
        {
            assert_eq!(get(&sidecar, path).await.status, status, "{path}");
        }
    });
}

#[test]
fn identities_of_certificates_are_keys() {
    run(async {
        let app = app();
        let authority = Authority::new();
        let server = authority.issue(&["localhost"]);
        let policy = limits(app.address(), "{ name: each, rate: 1/h, burst: 1, key: [spiffe_id] }");
        let setup = Setup::new(policy).file("cert.pem", &server.cert).file("key.pem", &server.key);
        let setup = setup.file("ca.pem", &authority.pem);
        let sidecar = setup.tls("{ cert: cert.pem, key: key.pem, client_ca: ca.pem }").start().await;
        let (orders, carts) =
            (authority.issue(&["spiffe://test/orders"]), authority.issue(&["spiffe://test/carts"]));
        for (identity, status) in [(&orders, 200), (&carts, 200), (&orders, 429), (&carts, 429)] {
            let stream =
                authority.connect(sidecar.inbound, "localhost", &["http/1.1"], Some(identity)).await.unwrap();
            assert_eq!(Raw::over(stream).get("/").await.status, status);
        }
        // A header claims nothing.
        let stream =
            authority.connect(sidecar.inbound, "localhost", &["http/1.1"], Some(&orders)).await.unwrap();
        let forged = "GET / HTTP/1.1\r\nhost: a\r\nx-spiffe-id: spiffe://test/other\r\n\r\n";
        assert_eq!(Raw::over(stream).ask(forged).await.status, 429);
    });
}

#[test]
fn pacing_waits_instead_of_refusing() {
    run(async {
        let app = app();
        let rule = "{ name: paced, rate: 10/s, burst: 1, pacing: 250ms }";
        let sidecar = Sidecar::start(limits(app.address(), rule)).await;
        let began = Instant::now();
        let mut tasks = Vec::new();
        for _ in 0..6 {
            let mut raw = Raw::connect(sidecar.inbound).await;
            tasks.push(tokio::spawn(async move { raw.get("/").await.status }));
        }
        let mut answers = Vec::new();
        for task in tasks {
            answers.push(task.await.unwrap());
        }
        answers.sort_unstable();
        // One at once, two within 250 ms; the rest cannot wait that short.
        let admitted = answers.iter().filter(|status| **status == 200).count();
        assert!((3..=4).contains(&admitted), "{answers:?}");
        assert!(began.elapsed().as_millis() >= 190, "nobody waited: {:?}", began.elapsed());
        becomes_true("all logged", || sidecar.access_log().len() == 6).await;
        let waited = |line: &serde_json::Value| line["t"]["queue"].as_f64().unwrap() > 50.0;
        assert!(sidecar.access_log().iter().any(waited), "{:?}", sidecar.access_log());
        assert!(metric(&sidecar, "outrigger_decisions_total", &[("action", "queued")]).await >= 2.0);
    });
}

#[test]
fn shadow_counts_and_lets_pass() {
    run(async {
        let app = app();
        let rules = "{ name: trial, rate: 1/h, burst: 1, mode: shadow }, { name: off, rate: 1/h, burst: 1, mode: disabled }";
        let sidecar = Sidecar::start(limits(app.address(), rules)).await;
        for _ in 0..5 {
            let answer = get(&sidecar, "/").await;
            assert_eq!((answer.status, answer.field("ratelimit")), (200, None));
        }
        let count = async |action| {
            let labels = [("name", "trial"), ("action", action), ("mode", "shadow")];
            metric(&sidecar, "outrigger_decisions_total", &labels).await
        };
        assert_eq!((count("admitted").await, count("rejected").await), (1.0, 4.0));
        assert_eq!(metric(&sidecar, "outrigger_decisions_total", &[("mode", "enforce")]).await, 0.0);
        becomes_true("five lines", || sidecar.access_log().len() == 5).await;
        let shadowed = sidecar.access_log().iter().filter(|line| line["shadow"][0] == "trial").count();
        assert_eq!(shadowed, 4);
    });
}

#[test]
fn a_call_must_pass_its_route_and_its_dependency_and_a_refusal_costs_nothing() {
    run(async {
        let app = app();
        let policy = format!(
            "version: 1\ndependencies:\n  dep:\n    hosts: [dep.test]\n    endpoints: [{{ address: \"{}\" }}]\n    \
             rate_limits: [{{ name: calls, rate: 5/h, burst: 5 }}]\n    routes:\n      - name: two\n        \
             match: {{ path: /16k }}\n        rate_limits: [{{ name: reads, rate: 2/h, burst: 2 }}]\n",
            app.address()
        );
        let sidecar = Sidecar::start(policy).await;
        let mut raw = Raw::connect(sidecar.outbound).await;
        let mut call =
            async |path: &str| raw.ask(format!("GET {path} HTTP/1.1\r\nhost: dep.test\r\n\r\n")).await;
        assert_eq!((call("/16k").await.status, call("/16k").await.status), (200, 200));
        for _ in 0..10 {
            let answer = call("/16k").await;
            assert!(answer.field("proxy-status").unwrap().contains("rate_limits:reads:"), "{answer:?}");
        }
        // Ten refusals of the route took nothing from the dependency.
        for _ in 0..3 {
            assert_eq!(call("/").await.status, 200);
        }
        let answer = call("/").await;
        assert!(answer.field("proxy-status").unwrap().contains("rate_limits:calls:"), "{answer:?}");
        becomes_true("all logged", || sidecar.access_log().len() == 16).await;
        assert_eq!(sidecar.access_log()[15]["rule"], "calls");
        assert_eq!(sidecar.access_log()[5]["rule"], "reads");
        assert_eq!(app.requests(), 5);
    });
}

#[test]
fn more_keys_than_the_table_holds_stay_within_bounds() {
    run(async {
        let app = app();
        let rule =
            "{ name: each, rate: 1/h, burst: 1, key: [{ header: k }], max_keys: 16, on_overflow: deny }";
        let sidecar = Sidecar::start(limits(app.address(), rule)).await;
        let mut raw = Raw::connect(sidecar.inbound).await;
        let mut admitted = 0;
        for number in 0..200 {
            let answer = raw.ask(format!("GET / HTTP/1.1\r\nhost: a\r\nk: {number}\r\n\r\n")).await;
            admitted += u32::from(answer.status == 200);
        }
        assert!((1..=16).contains(&admitted), "{admitted} for 16 keys");
        assert!(metric(&sidecar, "outrigger_rate_limit_keys", &[("name", "each")]).await <= 16.0);
        let refused = metric(&sidecar, "outrigger_decisions_total", &[("action", "rejected")]).await;
        assert_eq!(refused, 200.0 - f64::from(admitted));
    });
}

#[test]
fn two_workers_share_a_limit() {
    run(async {
        let app = app();
        let policy = limits(app.address(), "{ name: few, rate: 20/h, burst: 20 }");
        let sidecar = Setup::new(policy).line("workers: 2").start().await;
        let mut clients = Vec::new();
        for _ in 0..8 {
            clients.push(Raw::connect(sidecar.inbound).await);
        }
        let mut admitted = 0;
        for _ in 0..5 {
            for client in &mut clients {
                admitted += u32::from(client.get("/").await.status == 200);
            }
        }
        assert_eq!(admitted, 20);
    });
}
