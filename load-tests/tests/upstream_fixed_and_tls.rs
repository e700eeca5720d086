//! The upstream's other two faces: canned answers, and TLS.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::sync::Arc;
use std::time::Duration;

use outrigger_load_tests::upstream::{Config, Tls, Upstream};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

fn run<T>(test: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(Duration::from_secs(20), test).await.unwrap() })
}

#[test]
fn fixed_answers_pipelined_requests_and_reads_bodies() {
    let upstream = Upstream::start(Config { fixed: true, ..Config::default() }).unwrap();
    run(async {
        let mut stream = TcpStream::connect(upstream.address()).await.unwrap();
        let requests = "GET / HTTP/1.1\r\nhost: a\r\n\r\n\
                        POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nhello\
                        GET /16k HTTP/1.1\r\nhost: a\r\n\r\n";
        stream.write_all(requests.as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut seen = String::new();
        stream.read_to_string(&mut seen).await.unwrap();
        assert_eq!(seen.matches("HTTP/1.1 200 OK").count(), 3);
        assert_eq!(seen.matches('x').count(), 128 + 128 + 16 * 1024 + "text/plain".matches('x').count() * 3);
    });
}

#[test]
fn fixed_waits_for_a_body_that_comes_in_pieces() {
    let upstream = Upstream::start(Config { fixed: true, ..Config::default() }).unwrap();
    run(async {
        let mut stream = TcpStream::connect(upstream.address()).await.unwrap();
        stream.set_nodelay(true).unwrap();
        for piece in ["POST / HTTP/1.1\r\ncontent-le", "ngth: 4\r\n\r\nab", "cdGET /16k HTTP/1.1\r\n\r\n"] {
            stream.write_all(piece.as_bytes()).await.unwrap();
            stream.flush().await.unwrap();
            tokio::task::yield_now().await;
        }
        stream.shutdown().await.unwrap();
        let mut seen = String::new();
        stream.read_to_string(&mut seen).await.unwrap();
        assert_eq!(seen.matches("HTTP/1.1 200 OK").count(), 2);
    });
}

#[test]
fn negotiates_h2_and_http1_over_tls() {
    let dir = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let tls = Tls { cert: dir.path().join("cert.pem"), key: dir.path().join("key.pem") };
    std::fs::write(&tls.cert, made.cert.pem()).unwrap();
    std::fs::write(&tls.key, made.signing_key.serialize_pem()).unwrap();
    let upstream = Upstream::start(Config { tls: Some(tls), ..Config::default() }).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(made.cert.der().clone()).unwrap();
    run(async {
        for protocol in ["h2", "http/1.1"] {
            let mut config = ClientConfig::builder_with_provider(Arc::new(
                tokio_rustls::rustls::crypto::ring::default_provider(),
            ))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots.clone())
            .with_no_client_auth();
            config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
            let stream = TcpStream::connect(upstream.address()).await.unwrap();
            let name = ServerName::try_from("localhost").unwrap();
            let mut stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap();
            assert_eq!(stream.get_ref().1.alpn_protocol(), Some(protocol.as_bytes()));
            if protocol == "http/1.1" {
                stream.write_all(b"GET /close HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
                let mut seen = Vec::new();
                stream.read_to_end(&mut seen).await.unwrap();
                assert!(seen.starts_with(b"HTTP/1.1 200"));
            }
        }
    });
}

#[test]
fn a_taken_port_is_an_error_not_a_hang() {
    let first = Upstream::start(Config::default()).unwrap();
    let second = Upstream::start(Config { listen: first.address(), ..Config::default() });
    assert_eq!(second.unwrap_err().kind(), std::io::ErrorKind::AddrInUse);
}
