//! TLS of the inbound listener: ALPN, client certificates. And certificate files that change while it runs, inbound
//! and outbound.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use std::net::SocketAddr;

use support::app::app;
use support::client::{ask_h2, empty, h2, request};
use support::raw::{Answer, Raw};
use support::run::{becomes_true, eventually, run};
use support::sidecar::{Setup, Sidecar};
use support::tls::{Authority, Identity, mutual};

mod support;

const NAME: &str = "shop.test";

/// A sidecar whose certificate `authority` signed; `tls` is added to the block.
async fn start(app: SocketAddr, authority: &Authority, tls: &str) -> Sidecar {
    let setup = Setup::new(format!("version: 1\ninbound: {{ app: \"http://{app}\" }}\n"));
    authority.issue(&[NAME]).write(setup.dir(), "cert");
    let setup = setup.tls(&format!("{{ cert: cert.pem, key: cert.key{tls} }}"));
    setup.file("ca.pem", &authority.pem).start().await
}

fn fields(seen: &serde_json::Value, name: &str) -> Vec<String> {
    let all = seen["headers"].as_array().unwrap().iter();
    all.filter(|field| field[0] == name).map(|field| field[1].as_str().unwrap().to_owned()).collect()
}

#[test]
fn agrees_on_http_2_or_http_1_by_alpn() {
    run(async {
        let (app, authority) = (app(), Authority::new());
        let sidecar = start(app.address(), &authority, "").await;

        let stream = authority.connect(sidecar.inbound, NAME, &["h2", "http/1.1"], None).await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
        let mut client = h2(stream).await;
        let ask = request("GET", "/echo").body(empty()).unwrap();
        let seen = ask_h2(&mut client, ask).await.json();
        assert_eq!(fields(&seen, "x-forwarded-proto"), ["https"]);
        assert_eq!(fields(&seen, "forwarded"), ["for=127.0.0.1;proto=https"]);

        for alpn in [&["http/1.1"][..], &[]] {
            let stream = authority.connect(sidecar.inbound, NAME, alpn, None).await.unwrap();
            assert_eq!(stream.get_ref().1.alpn_protocol(), alpn.first().map(|name| name.as_bytes()));
            let mut client = Raw::over(stream);
            for _ in 0..2 {
                let answer = client.get("/echo").await;
                assert_eq!(fields(&answer.json(), "x-forwarded-proto"), ["https"]);
            }
        }
    });
}

#[test]
fn lets_in_nobody_without_a_certificate_where_one_is_required() {
    run(async {
        let (app, authority) = (app(), Authority::new());
        let sidecar = start(app.address(), &authority, ", client_ca: ca.pem").await;
        let good = authority.issue(&["spiffe://test/ns/orders"]);
        let stream = authority.connect(sidecar.inbound, NAME, &["http/1.1"], Some(&good)).await.unwrap();
        assert_eq!(Raw::over(stream).get("/").await.status, 200);

        let foreign = Authority::new().issue(&["spiffe://test/ns/orders"]);
        for identity in [None, Some(&foreign)] {
            // In TLS 1.3 the client's handshake is over before the server has judged its certificate.
            let answer = match authority.connect(sidecar.inbound, NAME, &["http/1.1"], identity).await {
                Ok(stream) => ask_once(Raw::over(stream)).await,
                Err(_) => None,
            };
            assert_eq!(answer, None);
        }
        assert_eq!(app.requests(), 1);
        eventually("both refusals are counted", async || {
            let metrics = sidecar.admin_get("/metrics").await.unwrap();
            let counted = "outrigger_connections_refused_total{reason=\"tls_handshake\"} 2";
            metrics.text().contains(counted).then_some(())
        })
        .await;
    });
}

#[test]
fn lets_in_anonymous_clients_where_a_certificate_is_optional() {
    run(async {
        let (app, authority) = (app(), Authority::new());
        let sidecar = start(app.address(), &authority, ", client_ca: ca.pem, client_auth: optional").await;
        let good = authority.issue(&["client.test"]);
        for identity in [None, Some(&good)] {
            let stream = authority.connect(sidecar.inbound, NAME, &["http/1.1"], identity).await.unwrap();
            assert_eq!(Raw::over(stream).get("/").await.status, 200);
        }
        let foreign = Authority::new().issue(&["client.test"]);
        let answer = match authority.connect(sidecar.inbound, NAME, &["http/1.1"], Some(&foreign)).await {
            Ok(stream) => ask_once(Raw::over(stream)).await,
            Err(_) => None,
        };
        assert_eq!(answer, None, "a bad certificate is not no certificate");
    });
}

#[test]
fn limits_each_client_by_the_identity_in_its_certificate() {
    run(async {
        let (app, authority) = (app(), Authority::new());
        let setup = Setup::new(format!(
            "version: 1\ninbound:\n  app: http://{}\n  defaults:\n    rate_limits: [{{ name: each, rate: 1/h, burst: 1, key: [spiffe_id] }}]\n",
            app.address()
        ));
        authority.issue(&[NAME]).write(setup.dir(), "cert");
        let setup = setup.tls("{ cert: cert.pem, key: cert.key, client_ca: ca.pem }");
        let sidecar = setup.file("ca.pem", &authority.pem).start().await;
        let mut status = Vec::new();
        for id in ["spiffe://test/a", "spiffe://test/b", "spiffe://test/a"] {
            let identity = authority.issue(&[id]);
            let stream =
                authority.connect(sidecar.inbound, NAME, &["http/1.1"], Some(&identity)).await.unwrap();
            status.push(Raw::over(stream).get("/").await.status);
        }
        assert_eq!(status, [200, 200, 429]);
    });
}

#[test]
fn takes_a_new_certificate_while_it_runs_and_keeps_the_old_one_when_the_new_is_broken() {
    run(async {
        let (app, authority) = (app(), Authority::new());
        let sidecar = start(app.address(), &authority, "").await;
        let old = authority.connect(sidecar.inbound, NAME, &["http/1.1"], None).await.unwrap();
        let first = leaf(&old);
        let mut old = Raw::over(old);
        assert_eq!(old.get("/").await.status, 200);

        authority.issue(&[NAME]).write(sidecar.dir(), "cert");
        let began = tokio::time::Instant::now();
        let second = eventually("the new certificate is shown", async || {
            let stream = authority.connect(sidecar.inbound, NAME, &["http/1.1"], None).await.unwrap();
            Some(leaf(&stream)).filter(|leaf| *leaf != first)
        })
        .await;
        assert!(began.elapsed() < std::time::Duration::from_millis(3500), "{:?}", began.elapsed());
        assert_eq!(old.get("/").await.status, 200, "connections of before go on");

        Identity { cert: "not a certificate".into(), key: "nor a key".into() }.write(sidecar.dir(), "cert");
        becomes_true("the broken file is seen", || sidecar.log().contains("new certificates cannot be used"))
            .await;
        let stream = authority.connect(sidecar.inbound, NAME, &["http/1.1"], None).await.unwrap();
        assert_eq!(leaf(&stream), second);
        assert_eq!(Raw::over(stream).get("/").await.status, 200);
    });
}

/// A sidecar with a dependency that `authority` vouches for and that wants a certificate of it.
async fn calling(authority: &Authority) -> Sidecar {
    let at = mutual(authority, &["one.internal"]).await;
    let setup = Setup::new(format!(
        "version: 1
dependencies:
  one: {{ hosts: [one.test], endpoints: [{{ address: \"{at}\" }}], tls: {{ server_name: one.internal, ca: ca.pem, cert: me.pem, key: me.key }} }}
"
    ));
    authority.issue(&["me.test"]).write(setup.dir(), "me");
    setup.file("ca.pem", &authority.pem).start().await
}

async fn call(sidecar: &Sidecar) -> Answer {
    Raw::connect(sidecar.outbound).await.ask("GET / HTTP/1.1\r\nhost: one.test\r\n\r\n").await
}

/// Waits until a file that cannot be used has been complained about; the complaint names it.
async fn complains(sidecar: &Sidecar, file: &str) {
    let is_named = |line: &str| {
        line.contains("new certificates cannot be used") && line.contains("owner=one") && line.contains(file)
    };
    becomes_true("the broken file is named", || sidecar.log().lines().any(is_named)).await;
}

#[test]
fn trusts_a_dependency_by_the_authorities_that_are_in_the_file_now() {
    run(async {
        let (authority, other) = (Authority::new(), Authority::new());
        let sidecar = calling(&authority).await;
        let ca = sidecar.dir().join("ca.pem");
        assert_eq!(call(&sidecar).await.status, 200);

        std::fs::write(&ca, "not a certificate").unwrap();
        complains(&sidecar, "ca.pem").await;
        assert_eq!(call(&sidecar).await.status, 200, "the ones of before are kept");

        std::fs::write(&ca, &other.pem).unwrap();
        let answer = eventually("the new authority is in force", async || {
            Some(call(&sidecar).await).filter(|answer| answer.status != 200)
        })
        .await;
        assert!(answer.field("proxy-status").unwrap().contains("error=tls_certificate_error"), "{answer:?}");

        std::fs::write(&ca, format!("{}{}", other.pem, authority.pem)).unwrap();
        eventually("both are", async || (call(&sidecar).await.status == 200).then_some(())).await;
    });
}

#[test]
fn shows_a_dependency_the_certificate_that_is_in_the_file_now() {
    run(async {
        let authority = Authority::new();
        let sidecar = calling(&authority).await;
        let shown = async || call(&sidecar).await.field("x-leaf").map(str::to_owned);
        let first = shown().await.expect("an answer");

        authority.issue(&["me.test"]).write(sidecar.dir(), "me");
        let second =
            eventually("the new certificate is shown", async || shown().await.filter(|leaf| *leaf != first))
                .await;

        // A key that is not the certificate's.
        let other =
            Identity { cert: authority.issue(&["me.test"]).cert, key: authority.issue(&["me.test"]).key };
        other.write(sidecar.dir(), "me");
        complains(&sidecar, "me.pem").await;
        assert_eq!(shown().await, Some(second), "the one of before is kept");
    });
}

#[test]
fn ends_a_plain_text_connection_without_a_word() {
    run(async {
        let (app, authority) = (app(), Authority::new());
        let sidecar = start(app.address(), &authority, "").await;
        let mut client = Raw::connect(sidecar.inbound).await;
        client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
        while client.more().await.is_some() {}
        assert!(!client.buffer.starts_with(b"HTTP"), "{:?}", client.buffer);
        assert_eq!(app.requests(), 0);
    });
}

fn leaf(stream: &tokio_rustls::client::TlsStream<tokio::net::TcpStream>) -> Vec<u8> {
    stream.get_ref().1.peer_certificates().unwrap()[0].to_vec()
}

/// The status of one request; none if the connection is refused.
async fn ask_once(mut client: Raw) -> Option<u16> {
    use tokio::io::AsyncWriteExt;
    let sent = client.stream.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    drop(sent);
    client.try_answer("GET").await.map(|answer| answer.status)
}
