//! What is certain not to have been sent is sent once more, whatever the method. What may have run is not.

use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;

use super::support::app::{ByHand, app};
use super::support::raw::Raw;
use super::support::run::run;
use super::support::sidecar::Sidecar;
use super::watching::metric;

async fn before(app: std::net::SocketAddr) -> Sidecar {
    Sidecar::start(format!("version: 1\ninbound: {{ app: \"http://{app}\" }}\n")).await
}

const POST: &str = "POST /sink HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\nabc";

#[test]
fn nobody_notices_that_the_upstream_closes_idle_connections() {
    run(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        // Answers each first request as if the connection would stay, and closes it at once.
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let mut raw = Raw::over(stream);
                tokio::spawn(async move {
                    raw.request_head().await;
                    raw.exactly(3).await;
                    let _ = raw.stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
                    let _ = raw.stream.shutdown().await;
                });
            }
        });
        let sidecar = before(address).await;
        let mut raw = Raw::connect(sidecar.inbound).await;
        for number in 0..300 {
            // Wait for the close to have arrived; a request that crosses it is another test.
            tokio::time::sleep(std::time::Duration::from_millis(u64::from(number % 10 == 0) * 2 + 1)).await;
            let answer = raw.ask(POST).await;
            assert_eq!(answer.status, 200, "request {number}: {answer:?}");
        }
    });
}

#[test]
fn goes_to_another_endpoint_when_one_refuses_whatever_the_method() {
    run(async {
        let app = app();
        let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let policy = format!(
            "version: 1\ndependencies:\n  dep:\n    hosts: [dep.test]\n    endpoints: [{{ address: \"{gone}\" }}, {{ address: \"{}\" }}]\n",
            app.address()
        );
        let sidecar = Sidecar::start(policy).await;
        let mut raw = Raw::connect(sidecar.outbound).await;
        for number in 0..20 {
            let answer =
                raw.ask("POST /sink HTTP/1.1\r\nhost: dep.test\r\ncontent-length: 3\r\n\r\nabc").await;
            assert_eq!(
                (answer.status, answer.text()),
                (200, "{\"bytes\":3}"),
                "request {number}: {answer:?}"
            );
        }
        assert_eq!(app.count("/sink"), 20, "each once");
        let retried =
            metric(&sidecar, "outrigger_retries_total", &[("dependency", "dep"), ("result", "unsent")]).await;
        assert!((5.0..=20.0).contains(&retried), "{retried}");
        assert_eq!(metric(&sidecar, "outrigger_requests_total", &[]).await, 20.0, "tries are not requests");
    });
}

#[test]
fn what_was_sent_and_not_answered_is_not_sent_again() {
    run(async {
        let app = app();
        let sidecar = before(app.address()).await;
        for method in ["POST", "GET", "PUT"] {
            // On a fresh connection and on a pooled one.
            for warm in [false, true] {
                let mut raw = Raw::connect(sidecar.inbound).await;
                if warm {
                    assert_eq!(raw.get("/").await.status, 200);
                }
                let seen = app.count("/reset");
                let request = format!("{method} /reset HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\nabc");
                let answer = raw.ask(request).await;
                assert_eq!((answer.status, answer.field("outrigger-sent")), (502, Some("1")), "{answer:?}");
                assert_eq!(app.count("/reset"), seen + 1, "{method} was sent again");
            }
        }
        for result in ["retried", "unsent"] {
            assert_eq!(metric(&sidecar, "outrigger_retries_total", &[("result", result)]).await, 0.0);
        }
    });
}

#[test]
fn a_half_sent_body_is_not_sent_again() {
    run(async {
        let upstream = ByHand::listen().await;
        let sidecar = before(upstream.address()).await;
        let mut client = Raw::connect(sidecar.inbound).await;
        client.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1000\r\n\r\nfirst").await;
        let mut raw = upstream.accept().await;
        raw.request_head().await;
        assert_eq!(raw.exactly(5).await.unwrap(), b"first");
        drop(raw);
        let answer = client.answer("POST").await;
        assert_eq!((answer.status, answer.field("outrigger-sent")), (502, Some("1")), "{answer:?}");
        let again = tokio::time::timeout(std::time::Duration::from_millis(300), upstream.accept()).await;
        assert!(again.is_err(), "it was dialled again");
    });
}

#[test]
fn goes_on_after_the_upstream_was_restarted() {
    run(async {
        let first = app();
        let address = first.address();
        let sidecar = before(address).await;
        let mut raw = Raw::connect(sidecar.inbound).await;
        assert_eq!(raw.ask(POST).await.status, 200);
        drop(first);
        assert_eq!(raw.ask(POST).await.status, 502);
        let config = outrigger_load_tests::upstream::Config { listen: address, ..Default::default() };
        let second = outrigger_load_tests::upstream::Upstream::start(config).unwrap();
        assert_eq!(raw.ask(POST).await.status, 200);
        assert_eq!(second.count("/sink"), 1);
    });
}
