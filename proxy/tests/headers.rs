//! What the app is told about a request and its caller, and what it is spared.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use serde_json::Value;
use support::app::{ByHand, app};
use support::client::{ask_h2, empty, h2, request, tcp};
use support::raw::Raw;
use support::run::run;
use support::sidecar::{Setup, Sidecar};

mod support;

fn fields<'v>(seen: &'v Value, name: &str) -> Vec<&'v str> {
    let all = seen["headers"].as_array().unwrap().iter();
    all.filter(|field| field[0] == name).map(|field| field[1].as_str().unwrap()).collect()
}

async fn start(app: std::net::SocketAddr, trusted: &str) -> Sidecar {
    Setup::new(format!("version: 1\ninbound: {{ app: \"http://{app}\" }}\n"))
        .line(&format!("trusted_peers: {trusted}"))
        .start()
        .await
}

const CLAIMS: &str = "x-forwarded-for: 203.0.113.7\r\nx-forwarded-proto: https\r\nforwarded: for=203.0.113.7\r\n\
                      x-request-id: their-own-id\r\nx-criticality: critical-plus\r\n\
                      traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n";

#[test]
fn tells_the_app_who_asked_and_which_request_it_is() {
    run(async {
        let app = app();
        let sidecar = start(app.address(), "[]").await;
        let mut client = Raw::connect(sidecar.inbound).await;
        let seen = client.get("/echo").await.json();
        assert_eq!(fields(&seen, "x-forwarded-for"), ["127.0.0.1"]);
        assert_eq!(fields(&seen, "x-forwarded-proto"), ["http"]);
        assert_eq!(fields(&seen, "forwarded"), ["for=127.0.0.1;proto=http"]);
        assert_eq!(fields(&seen, "via"), ["1.1 outrigger"]);
        assert_eq!(fields(&seen, "host"), ["app.test"]);
        let id = fields(&seen, "x-request-id")[0];
        assert_eq!((id.len(), &id[14..15]), (36, "7"), "UUID version 7: {id}");
        let trace = fields(&seen, "traceparent")[0];
        assert!(trace.starts_with("00-") && trace.len() == 55, "{trace}");
        let next = client.get("/echo").await.json();
        assert_ne!(fields(&next, "x-request-id")[0], id);

        let mut client = h2(tcp(sidecar.inbound).await).await;
        let seen = ask_h2(&mut client, request("GET", "/echo").body(empty()).unwrap()).await.json();
        assert_eq!(fields(&seen, "via"), ["2 outrigger"]);
        assert_eq!(fields(&seen, "host"), ["app.test"]);
    });
}

#[test]
fn believes_nothing_that_an_untrusted_peer_claims() {
    run(async {
        let app = app();
        let sidecar = start(app.address(), "[]").await;
        let mut client = Raw::connect(sidecar.inbound).await;
        let seen = client.ask(format!("GET /echo HTTP/1.1\r\nhost: a\r\n{CLAIMS}\r\n")).await.json();
        assert_eq!(fields(&seen, "x-forwarded-for"), ["127.0.0.1"]);
        assert_eq!(fields(&seen, "x-forwarded-proto"), ["http"]);
        assert_eq!(fields(&seen, "forwarded"), ["for=127.0.0.1;proto=http"]);
        assert_ne!(fields(&seen, "x-request-id"), ["their-own-id"]);
        assert!(fields(&seen, "x-criticality").is_empty());
    });
}

#[test]
fn continues_what_a_trusted_peer_says() {
    run(async {
        let app = app();
        let sidecar = start(app.address(), "[127.0.0.0/8]").await;
        let mut client = Raw::connect(sidecar.inbound).await;
        let seen = client.ask(format!("GET /echo HTTP/1.1\r\nhost: a\r\n{CLAIMS}\r\n")).await.json();
        assert_eq!(fields(&seen, "x-forwarded-for"), ["203.0.113.7, 127.0.0.1"]);
        assert_eq!(fields(&seen, "x-forwarded-proto"), ["https"]);
        assert_eq!(fields(&seen, "forwarded"), ["for=203.0.113.7, for=127.0.0.1;proto=http"]);
        assert_eq!(fields(&seen, "x-request-id"), ["their-own-id"]);
        let trace = fields(&seen, "traceparent")[0];
        assert!(
            trace.starts_with("00-0af7651916cd43dd8448eb211c80319c-") && trace.ends_with("-01"),
            "{trace}"
        );
        assert!(!trace.contains("b7ad6b7169203331"), "the span is ours: {trace}");
    });
}

#[test]
fn removes_what_belongs_to_the_clients_connection() {
    run(async {
        let app = app();
        let sidecar = start(app.address(), "[]").await;
        let mut client = Raw::connect(sidecar.inbound).await;
        let seen = client
            .ask(
                "GET /echo HTTP/1.1\r\nhost: a\r\nconnection: keep-alive, x-hop\r\nx-hop: 1\r\nkeep-alive: timeout=5\r\n\
                 proxy-connection: keep-alive\r\nproxy-authorization: Basic eA==\r\nte: gzip\r\nx-end: 2\r\n\r\n",
            )
            .await
            .json();
        for name in ["connection", "x-hop", "keep-alive", "proxy-connection", "proxy-authorization", "te"] {
            assert!(fields(&seen, name).is_empty(), "{name}: {seen}");
        }
        assert_eq!(fields(&seen, "x-end"), ["2"]);
        let refused = client.ask("GET /echo HTTP/1.1\r\nhost: a\r\nconnection: authorization\r\n\r\n").await;
        assert_eq!(refused.status, 400, "a client cannot have our fields removed");
    });
}

#[test]
fn removes_what_belongs_to_the_apps_connection() {
    run(async {
        let server = ByHand::listen().await;
        let sidecar = start(server.address(), "[]").await;
        let mut client = Raw::connect(sidecar.inbound).await;
        client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
        let mut app = server.accept().await;
        app.request_head().await;
        app.send(
            "HTTP/1.1 200 OK\r\nconnection: x-hop\r\nx-hop: 1\r\nkeep-alive: timeout=5\r\nproxy-authenticate: Basic\r\n\
             upgrade: h2c\r\nset-cookie: a=1\r\nset-cookie: b=2\r\nserver: theirs\r\ncontent-length: 2\r\n\r\nok",
        )
        .await;
        let answer = client.answer("GET").await;
        for name in ["connection", "x-hop", "keep-alive", "proxy-authenticate", "upgrade", "via"] {
            assert_eq!(answer.field(name), None, "{answer:?}");
        }
        assert_eq!(answer.headers.get_all("set-cookie").iter().count(), 2);
        assert_eq!((answer.text(), answer.field("server")), ("ok", Some("theirs")));
    });
}

#[test]
fn names_the_request_in_its_own_answers() {
    run(async {
        let gone = app().address();
        let sidecar = start(gone, "[127.0.0.0/8]").await;
        let mut client = Raw::connect(sidecar.inbound).await;
        let answer = client.ask("GET / HTTP/1.1\r\nhost: a\r\nx-request-id: mine\r\n\r\n").await;
        assert_eq!((answer.status, answer.field("x-request-id")), (502, Some("mine")));
        let log = support::run::eventually("it is logged", async || sidecar.access_log().pop()).await;
        assert_eq!(log["request_id"], "mine");
    });
}

#[test]
fn adds_via_to_answers_where_it_is_asked_for() {
    run(async {
        let app = app();
        let policy = format!("version: 1\ninbound: {{ app: \"http://{}\" }}\n", app.address());
        let sidecar = Setup::new(policy).line("via_responses: true").start().await;
        assert_eq!(Raw::connect(sidecar.inbound).await.get("/").await.field("via"), Some("1.1 outrigger"));
    });
}
