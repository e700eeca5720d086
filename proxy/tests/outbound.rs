//! Calls of the app to its dependencies: every way in, every way on.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use std::net::SocketAddr;
use std::path::Path;

use outrigger_load_tests::upstream::{Config, Tls, Upstream};
use serde_json::Value;
use support::app::app;
use support::client::{ask_h2, full, h2, tcp};
use support::raw::{Answer, Raw};
use support::run::run;
use support::sidecar::{Setup, Sidecar, listen_port};
use support::tls::{Authority, mutual};
use tokio::io::AsyncWriteExt;

mod support;

async fn ask(to: SocketAddr, target: &str, host: &str) -> Answer {
    Raw::connect(to).await.ask(format!("GET {target} HTTP/1.1\r\nhost: {host}\r\n\r\n")).await
}

fn header<'v>(seen: &'v Value, name: &str) -> Option<&'v str> {
    let all = seen["headers"].as_array().unwrap().iter();
    all.filter(|field| field[0] == name).map(|field| field[1].as_str().unwrap()).next()
}

fn named(name: &str) -> Upstream {
    Upstream::start(Config { name: name.to_owned(), ..Config::default() }).unwrap()
}

#[test]
fn finds_the_dependency_by_host() {
    run(async {
        let (one, two) = (named("one"), named("two"));
        let sidecar = Sidecar::start(format!(
            "version: 1
dependencies:
  one: {{ hosts: [one.test], endpoints: [{{ address: \"{}\" }}] }}
  two: {{ hosts: [\"*.two.test\"], endpoints: [{{ address: \"{}\" }}] }}
",
            one.address(),
            two.address()
        ))
        .await;
        for (host, name) in
            [("one.test", "one"), ("ONE.test:80", "one"), ("a.two.test", "two"), ("b.a.two.test", "two")]
        {
            let answer = ask(sidecar.outbound, "/echo", host).await;
            assert_eq!((answer.status, answer.field("x-upstream")), (200, Some(name)), "{host}");
            assert_eq!(header(&answer.json(), "host"), Some(host), "the Host that the caller sent");
        }
        // As HTTP_PROXY has it: the target in absolute form.
        let answer = ask(sidecar.outbound, "http://a.two.test/echo?q", "a.two.test").await;
        assert_eq!((answer.field("x-upstream"), &answer.json()["path"]), (Some("two"), &"/echo".into()));
        let answer = ask(sidecar.outbound, "http://one.test:80/echo", "one.test").await;
        assert_eq!((answer.status, answer.field("x-upstream")), (200, Some("one")), "80 is the port of http");
        // And a client of HTTP/2.
        let mut client = h2(tcp(sidecar.outbound).await).await;
        let post = http::Request::post("http://one.test/echo").body(full("x")).unwrap();
        assert_eq!(ask_h2(&mut client, post).await.field("x-upstream"), Some("one"));
    });
}

#[test]
fn refuses_hosts_that_nobody_named_and_tunnels() {
    run(async {
        let app = app();
        let sidecar = Sidecar::start(format!(
            "version: 1\ndependencies: {{ one: {{ hosts: [one.test], endpoints: [{{ address: \"{}\" }}] }} }}\n",
            app.address()
        ))
        .await;
        for host in ["other.test", "one.test.evil", "two.test"] {
            let answer = ask(sidecar.outbound, "/", host).await;
            assert_eq!((answer.status, answer.field("outrigger-sent")), (404, Some("0")), "{host}");
            assert!(answer.field("proxy-status").unwrap().contains("error=destination_not_found"));
        }
        let mut client = Raw::connect(sidecar.outbound).await;
        let answer = client.ask("CONNECT one.test:443 HTTP/1.1\r\nhost: one.test:443\r\n\r\n").await;
        assert_eq!(answer.status, 405);
        assert!(answer.field("allow").is_some_and(|allow| !allow.contains("CONNECT")));
        assert!(answer.field("proxy-status").unwrap().contains("error=http_request_denied"));
        assert_eq!(app.requests(), 0);
    });
}

#[test]
fn passes_unknown_hosts_where_the_policy_says_so() {
    run(async {
        let app = app();
        let sidecar = Sidecar::start("version: 1\noutbound: { unknown_hosts: pass }\n").await;
        let port = app.address().port();
        for host in [format!("127.0.0.1:{port}"), format!("localhost:{port}")] {
            let answer = ask(sidecar.outbound, "/echo", &host).await;
            assert_eq!(answer.status, 200, "{host}: {answer:?}");
            assert_eq!(header(&answer.json(), "host"), Some(&*host));
            let answer = ask(sidecar.outbound, &format!("http://{host}/"), &host).await;
            assert_eq!(answer.status, 200, "{host}");
        }
        assert_eq!(app.connections(), 2, "one for each name, kept");
        let answer = ask(sidecar.outbound, "/", "no-such-name.invalid").await;
        assert!(matches!(answer.status, 502 | 504), "{answer:?}");
        assert!(answer.field("proxy-status").unwrap().contains("error=dns_"), "{answer:?}");
    });
}

#[test]
fn gives_a_dependency_a_port_and_a_host_of_its_own() {
    run(async {
        let (app, port) = (app(), listen_port());
        let sidecar = Sidecar::start(format!(
            "version: 1
dependencies:
  one: {{ listen: \"127.0.0.1:{port}\", host_header: one.internal, endpoints: [{{ address: \"{}\" }}] }}
",
            app.address()
        ))
        .await;
        let own = SocketAddr::from(([127, 0, 0, 1], port));
        for host in [format!("127.0.0.1:{port}"), "whatever.test".to_owned()] {
            let seen = ask(own, "/echo", &host).await.json();
            assert_eq!(header(&seen, "host"), Some("one.internal"));
            assert_eq!(header(&seen, "x-forwarded-host"), Some(&*host));
        }
        assert_eq!(ask(sidecar.outbound, "/", "one.internal").await.status, 404, "a port is no host");
    });
}

#[test]
fn discovers_endpoints_by_name() {
    run(async {
        let app = app();
        let sidecar = Sidecar::start(format!(
            "version: 1
dependencies:
  one: {{ hosts: [one.test], discover: {{ dns: \"localhost:{}\", every: 1s }} }}
  gone: {{ hosts: [gone.test], discover: {{ dns: \"no-such-name.invalid:80\" }} }}
",
            app.address().port()
        ))
        .await;
        for _ in 0..6 {
            // Where the name has an IPv6 address too, nobody listens there: the other one is tried.
            let answer = ask(sidecar.outbound, "/", "one.test").await;
            assert_eq!(answer.status, 200, "{answer:?}");
        }
        let answer = ask(sidecar.outbound, "/", "gone.test").await;
        assert!(matches!(answer.status, 502 | 504), "{answer:?}");
        assert!(answer.field("proxy-status").unwrap().contains("error=dns_"), "{answer:?}");
        assert_eq!(answer.field("outrigger-sent"), Some("0"));
    });
}

fn tls_app(authority: &Authority, dir: &Path, names: &[&str]) -> Upstream {
    authority.issue(names).write(dir, "server");
    let tls = Some(Tls { cert: dir.join("server.pem"), key: dir.join("server.key") });
    Upstream::start(Config { tls, ..Config::default() }).unwrap()
}

#[test]
fn speaks_tls_to_a_dependency_and_agrees_on_the_protocol() {
    run(async {
        let authority = Authority::new();
        let dir = tempfile::tempdir().unwrap();
        let app = tls_app(&authority, dir.path(), &["one.internal"]);
        for (protocol, version) in [("http1", "HTTP/1.1"), ("h2", "HTTP/2.0"), ("auto", "HTTP/2.0")] {
            let setup = Setup::new(format!(
                "version: 1
dependencies:
  one:
    hosts: [one.test]
    endpoints: [{{ address: \"{}\" }}]
    protocol: {protocol}
    tls: {{ server_name: one.internal, ca: ca.pem }}
",
                app.address()
            ));
            let sidecar = setup.file("ca.pem", &authority.pem).start().await;
            for _ in 0..3 {
                let answer = ask(sidecar.outbound, "/echo", "one.test").await;
                assert_eq!((answer.status, &answer.json()["version"]), (200, &version.into()), "{protocol}");
            }
        }
        assert_eq!(app.connections(), 3, "one for each sidecar");
    });
}

#[test]
fn sends_nothing_to_a_dependency_that_it_cannot_verify() {
    run(async {
        let (authority, other) = (Authority::new(), Authority::new());
        let dir = tempfile::tempdir().unwrap();
        let app = tls_app(&authority, dir.path(), &["one.internal"]);
        let at = app.address();
        let setup = Setup::new(format!(
            "version: 1
dependencies:
  name: {{ hosts: [name.test], endpoints: [{{ address: \"{at}\" }}], tls: {{ server_name: other.internal, ca: ca.pem }} }}
  address: {{ hosts: [address.test], endpoints: [{{ address: \"{at}\" }}], tls: {{ ca: ca.pem }} }}
  root: {{ hosts: [root.test], endpoints: [{{ address: \"{at}\" }}], tls: {{ server_name: one.internal, ca: other.pem }} }}
"
        ));
        let sidecar = setup.file("ca.pem", &authority.pem).file("other.pem", &other.pem).start().await;
        for host in ["name.test", "address.test", "root.test"] {
            let answer = ask(sidecar.outbound, "/", host).await;
            assert_eq!((answer.status, answer.field("outrigger-sent")), (502, Some("0")), "{host}");
            assert!(
                answer.field("proxy-status").unwrap().contains("error=tls_certificate_error"),
                "{host} {answer:?}"
            );
        }
        assert_eq!(app.requests(), 0);
        let plain = support::app::app();
        let setup = Setup::new(format!(
            "version: 1\ndependencies: {{ one: {{ hosts: [one.test], endpoints: [{{ address: \"{}\" }}], tls: {{ server_name: one.internal, ca: ca.pem }} }} }}\n",
            plain.address()
        ));
        let sidecar = setup.file("ca.pem", &authority.pem).start().await;
        let answer = ask(sidecar.outbound, "/", "one.test").await;
        assert_eq!(answer.status, 502);
        assert!(answer.field("proxy-status").unwrap().contains("error=tls_protocol_error"), "{answer:?}");
    });
}

#[test]
fn shows_its_certificate_to_a_dependency_that_asks() {
    run(async {
        let authority = Authority::new();
        let at = mutual(&authority, &["one.internal"]).await;
        let setup = Setup::new(format!(
            "version: 1
dependencies:
  with: {{ hosts: [with.test], endpoints: [{{ address: \"{at}\" }}], tls: {{ server_name: one.internal, ca: ca.pem, cert: me.pem, key: me.key }} }}
  without: {{ hosts: [without.test], endpoints: [{{ address: \"{at}\" }}], tls: {{ server_name: one.internal, ca: ca.pem }} }}
"
        ));
        authority.issue(&["me.test"]).write(setup.dir(), "me");
        let sidecar = setup.file("ca.pem", &authority.pem).start().await;
        let answer = ask(sidecar.outbound, "/", "with.test").await;
        assert_eq!((answer.status, answer.text()), (200, "one.internal 1"));
        let answer = ask(sidecar.outbound, "/", "without.test").await;
        assert_eq!(answer.status, 502, "{answer:?}");
        let error = answer.field("proxy-status").unwrap();
        assert!(error.contains("error=tls_alert_received"), "{error}");
    });
}

#[test]
fn shares_one_connection_of_http_2_among_many_calls() {
    run(async {
        let app = app();
        let sidecar = Sidecar::start(format!(
            "version: 1\ndependencies: {{ one: {{ hosts: [one.test], protocol: h2, endpoints: [{{ address: \"{}\" }}] }} }}\n",
            app.address()
        ))
        .await;
        let first = ask(sidecar.outbound, "/echo", "one.test").await;
        assert_eq!(first.json()["authority"], "one.test");
        let calls = (0..30).map(|_| ask(sidecar.outbound, "/delay/20", "one.test"));
        for answer in futures_util::future::join_all(calls).await {
            assert_eq!(answer.status, 200);
        }
        assert_eq!(app.connections(), 1);
    });
}

#[test]
fn sends_again_what_a_closed_connection_never_carried() {
    run(async {
        let server = support::app::ByHand::listen().await;
        let sidecar = Sidecar::start(format!(
            "version: 1\ndependencies: {{ one: {{ hosts: [one.test], endpoints: [{{ address: \"{}\" }}] }} }}\n",
            server.address()
        ))
        .await;
        let mut client = Raw::connect(sidecar.outbound).await;
        let post = "POST /a HTTP/1.1\r\nhost: one.test\r\ncontent-length: 2\r\n\r\nhi";
        for _ in 0..5 {
            client.send(post).await;
            let mut app = tokio::select! {
                app = server.accept() => app,
                answer = client.answer("POST") => panic!("not sent again: {answer:?}\n{:?}", sidecar.access_log()),
            };
            app.request_head().await;
            assert_eq!(app.exactly(2).await.unwrap(), b"hi");
            // The dependency closes behind its answer without having said so.
            app.send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
            assert_eq!(client.answer("POST").await.status, 200);
            // Not only dropped: a program that another test is just starting holds a copy of every socket until it
            // is executed, and only the last one that is closed says so.
            app.stream.shutdown().await.unwrap();
        }
    });
}

#[test]
fn carries_a_websocket_to_a_dependency_over_a_unix_socket() {
    run(async {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("one.sock");
        let _app = Upstream::start(Config { unix: Some(path.clone()), ..Config::default() }).unwrap();
        let sidecar = Sidecar::start(format!(
            "version: 1\ndependencies: {{ one: {{ hosts: [one.test], endpoints: [{{ address: \"unix:{}\" }}] }} }}\n",
            path.display()
        ))
        .await;
        assert_eq!(ask(sidecar.outbound, "/", "one.test").await.status, 200);
        let mut client = Raw::connect(sidecar.outbound).await;
        let handshake = "GET /ws HTTP/1.1\r\nhost: one.test\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
                         sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
        client.send([handshake.as_bytes(), &[0x81, 0x82, 0, 0, 0, 0], b"hi"].concat()).await;
        assert_eq!(client.answer("GET").await.status, 101);
        assert_eq!(client.exactly(4).await.unwrap(), [0x81, 2, b'h', b'i']);
    });
}
