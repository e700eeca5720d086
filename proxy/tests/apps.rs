//! Every way to speak to the app: HTTP/1.1, HTTP/2 with prior knowledge, verified TLS, a Unix domain socket.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use outrigger_load_tests::upstream::{Config, Tls, Upstream};
use support::app::app;
use support::client::{ask_h2, full, h2, request, tcp};
use support::raw::Raw;
use support::run::run;
use support::sidecar::{Setup, Sidecar};
use support::tls::Authority;

mod support;

/// Asks for an echo over HTTP/1.1 and over HTTP/2; returns the version that the app saw each time.
async fn versions(sidecar: &Sidecar) -> [String; 2] {
    let mut client = Raw::connect(sidecar.inbound).await;
    let post = "POST /echo?q=1 HTTP/1.1\r\nhost: app.test\r\ncontent-length: 5\r\n\r\nhello";
    let first = client.ask(post).await;
    let mut client = h2(tcp(sidecar.inbound).await).await;
    let ask = request("POST", "/echo?q=1").body(full("hello")).unwrap();
    let second = ask_h2(&mut client, ask).await;
    assert_eq!((first.status, second.status), (200, 200), "{first:?} {second:?}");
    [first.json(), second.json()].map(|seen| {
        assert_eq!(
            (&seen["path"], &seen["query"], &seen["body"]),
            (&"/echo".into(), &"q=1".into(), &"hello".into())
        );
        let host = seen["headers"].as_array().unwrap().iter().find(|field| field[0] == "host");
        let host = host.map_or(&seen["authority"], |field| &field[1]);
        assert_eq!(host, "app.test", "{seen}");
        seen["version"].as_str().unwrap().to_owned()
    })
}

#[test]
fn speaks_http_1_to_the_app() {
    run(async {
        let app = app();
        let sidecar = Sidecar::before(format_args!("http://{}", app.address())).await;
        assert_eq!(versions(&sidecar).await, ["HTTP/1.1", "HTTP/1.1"]);
    });
}

#[test]
fn speaks_http_2_to_the_app_on_one_connection() {
    run(async {
        let app = app();
        let sidecar = Sidecar::before(format_args!("h2c://{}", app.address())).await;
        assert_eq!(versions(&sidecar).await, ["HTTP/2.0", "HTTP/2.0"]);
        assert_eq!(app.connections(), 1);
    });
}

#[test]
fn speaks_to_the_app_over_a_unix_socket() {
    run(async {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("app.sock");
        let _app = Upstream::start(Config { unix: Some(path.clone()), ..Config::default() }).unwrap();
        let sidecar = Sidecar::before(format_args!("unix:{}", path.display())).await;
        assert_eq!(versions(&sidecar).await, ["HTTP/1.1", "HTTP/1.1"]);
    });
}

#[test]
fn says_that_the_socket_of_the_app_is_missing() {
    run(async {
        let sidecar = Sidecar::before("unix:/nowhere/app.sock").await;
        let answer = Raw::connect(sidecar.inbound).await.get("/").await;
        assert_eq!((answer.status, answer.field("outrigger-sent")), (502, Some("0")));
        assert!(answer.field("proxy-status").unwrap().contains("error=connection_refused"));
    });
}

#[test]
fn speaks_verified_tls_to_the_app() {
    run(async {
        let (ours, other) = (Authority::new(), Authority::new());
        let dir = tempfile::tempdir().unwrap();
        ours.issue(&["localhost", "127.0.0.1"]).write(dir.path(), "app");
        let tls = Some(Tls { cert: dir.path().join("app.pem"), key: dir.path().join("app.key") });
        let app = Upstream::start(Config { tls, ..Config::default() }).unwrap();
        let policy = format!("version: 1\ninbound: {{ app: \"https://{}\" }}\n", app.address());
        // The machine's roots, as OpenSSL's variable names them.
        let setup = Setup::new(&policy).file("ca.pem", &ours.pem);
        let roots = setup.dir().join("ca.pem").display().to_string();
        let sidecar = setup.env("SSL_CERT_FILE", roots).start().await;
        assert_eq!(versions(&sidecar).await, ["HTTP/2.0", "HTTP/2.0"], "agreed on by ALPN");
        drop(sidecar);

        let setup = Setup::new(&policy).file("ca.pem", &other.pem);
        let roots = setup.dir().join("ca.pem").display().to_string();
        let sidecar = setup.env("SSL_CERT_FILE", roots).start().await;
        let answer = Raw::connect(sidecar.inbound).await.get("/").await;
        assert_eq!((answer.status, answer.field("outrigger-sent")), (502, Some("0")));
        assert!(answer.field("proxy-status").unwrap().contains("error=tls_certificate_error"), "{answer:?}");
    });
}

#[test]
fn says_that_the_app_is_not_there() {
    run(async {
        let gone = app().address();
        for scheme in ["http", "h2c"] {
            let sidecar = Sidecar::before(format_args!("{scheme}://{gone}")).await;
            let answer = Raw::connect(sidecar.inbound).await.get("/").await;
            assert_eq!((answer.status, answer.field("outrigger-sent")), (502, Some("0")));
            assert_eq!(answer.field("content-type"), Some("application/problem+json"));
            assert_eq!(answer.json()["type"], "urn:outrigger:problem:connection_refused");
        }
    });
}
