//! Connections that are reset, and TLS, where what a failed write has sent is not certain.

use std::sync::Arc;
use std::time::Duration;

use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::{PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::support::{begin, body, get, head, hears, over, post, rest, run, status, tcp, until};
use crate::pipeline::inflow::RequestBody;
use crate::upstream::h1::{H1, Unanswered};
use crate::upstream::stream::Stream;

const REFUSAL: &[u8] = b"HTTP/1.1 413 Too Large\r\ncontent-length: 3\r\n\r\nbig";

/// A request whose server said `words` with the rest of the request still to come, left what it had received
/// unread, and closed: which is a reset. The client goes on sending.
async fn reset_behind(words: &[u8]) -> (H1, Result<u16, bool>) {
    let (body, mut client) = body("content-length: 100000").await;
    let (ours, mut theirs) = tcp().await;
    let mut h1 = over(Stream::Tcp(ours));
    begin(&mut h1, &post(&[("content-length", "100000")]), body);
    // Its head leaves; then it waits for the client.
    let mut response = http::Response::new(());
    let first = std::future::poll_fn(|cx| std::task::Poll::Ready(h1.poll_head(cx, &mut response))).await;
    assert!(first.is_pending());
    theirs.readable().await.unwrap();
    theirs.write_all(words).await.unwrap();
    drop(theirs);
    until(&h1, |ready| ready.is_write_closed()).await;
    client.write_all(&[b'x'; 50_000]).await.unwrap();
    tokio::task::yield_now().await;
    let answer = match head(&mut h1).await {
        Ok(response) => Ok(response.status().as_u16()),
        Err(Unanswered::Unsent(_)) => Err(false),
        Err(Unanswered::Failed(failure)) => Err(failure.sent),
    };
    (h1, answer)
}

#[test]
fn an_answer_before_a_reset_is_heard_and_its_connection_not_used_again() {
    run(async {
        let (mut h1, answer) = reset_behind(REFUSAL).await;
        assert_eq!((answer, rest(&mut h1).await.unwrap().0), (Ok(413), b"big".to_vec()));
        assert!(!h1.is_complete(), "half of its request went nowhere");
        assert!(!h1.is_ready());

        let (_, answer) = reset_behind(b"").await;
        assert_eq!(answer, Err(true), "sent, and never answered");
        let (_, answer) = reset_behind(b"HTTP/1.1 4").await;
        assert_eq!(answer, Err(true));
    });
}

async fn tls() -> (H1, TlsStream<TcpStream>) {
    let key = KeyPair::generate().unwrap();
    let cert = CertificateParams::new(vec!["a.test".to_owned()]).unwrap().self_signed(&key).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(cert.der().clone()).unwrap();
    let client = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let server = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)
        .unwrap();
    let (ours, theirs) = tcp().await;
    // So that a record stays behind in the buffers of TLS when the socket is full.
    socket2::SockRef::from(&ours).set_send_buffer_size(128 * 1024).unwrap();
    socket2::SockRef::from(&theirs).set_recv_buffer_size(128 * 1024).unwrap();
    let name = ServerName::try_from("a.test").unwrap();
    let (ours, theirs) = tokio::join!(
        TlsConnector::from(Arc::new(client)).connect(name, ours),
        TlsAcceptor::from(Arc::new(server)).accept(theirs)
    );
    (over(Stream::TlsClient(Box::new(ours.unwrap()))), theirs.unwrap())
}

#[test]
fn a_large_body_goes_through_tls_to_its_last_byte() {
    run(async {
        let (body, mut client) = body("content-length: 1000000").await;
        let (mut h1, mut server) = tls().await;
        begin(&mut h1, &post(&[("content-length", "1000000")]), body);
        let sending = async {
            for _ in 0..1_000 {
                client.write_all(&[b'x'; 1_000]).await.unwrap();
            }
        };
        let serving = async {
            hears(&mut server, "\r\n\r\n").await;
            let (mut left, mut piece) = (1_000_000, vec![0; 7_919]);
            while left > 0 {
                left -= server.read(&mut piece).await.unwrap();
                tokio::task::yield_now().await;
            }
            // Nothing of it may be kept back in our buffers: the answer comes only now.
            server.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await.unwrap();
            server.flush().await.unwrap();
        };
        let (status, (), ()) = tokio::join!(status(&mut h1), sending, serving);
        assert_eq!((status, rest(&mut h1).await.unwrap().0), (200, b"ok".to_vec()));
        assert!(h1.is_complete() && h1.is_ready());
    });
}

#[test]
fn a_write_that_fails_under_tls_may_have_sent_something() {
    run(async {
        let (mut h1, server) = tls().await;
        // Closed at once and without a word: a reset.
        socket2::SockRef::from(server.get_ref().0).set_linger(Some(Duration::ZERO)).unwrap();
        drop(server);
        until(&h1, |ready| ready.is_write_closed()).await;
        begin(&mut h1, &get(), RequestBody::Empty);
        // One call writes several records: the first may have left when the second fails.
        assert!(matches!(head(&mut h1).await, Err(Unanswered::Failed(failure)) if failure.sent));
    });
}

#[test]
fn a_tls_connection_that_is_cut_off_is_no_end_of_a_body() {
    run(async {
        let (mut h1, mut server) = tls().await;
        begin(&mut h1, &get(), RequestBody::Empty);
        let serving = async {
            hears(&mut server, "\r\n\r\n").await;
            server.write_all(b"HTTP/1.1 200 OK\r\n\r\nhalf of it").await.unwrap();
            server.flush().await.unwrap();
            // Without close_notify, which anybody on the way could bring about.
            server.get_mut().0.shutdown().await.unwrap();
        };
        let (status, ()) = tokio::join!(status(&mut h1), serving);
        assert_eq!(status, 200);
        assert!(rest(&mut h1).await.is_err());
    });
}
