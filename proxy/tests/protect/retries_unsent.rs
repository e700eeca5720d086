//! What provably never reached the application is sent again, whatever the method, the body, and the block.

use super::calls::{call, one, post, request};
use super::scripted::{Act, Scripted};
use super::support::app::ByHand;
use super::support::raw::Raw;
use super::support::run::run;
use super::support::sidecar::Sidecar;

const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;
const REFUSED_STREAM: [u8; 4] = [0, 0, 0, 7];

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// The next request of an HTTP/2 connection: its stream.
async fn next_request(raw: &mut Raw) -> u32 {
    loop {
        let head = raw.exactly(9).await.expect("a frame");
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        raw.exactly(usize::try_from(length).unwrap()).await.expect("a whole frame");
        if head[3] == HEADERS {
            return u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
        }
    }
}

/// A new HTTP/2 connection of the sidecar, past its beginning.
async fn greeted(server: &ByHand) -> Raw {
    let mut raw = server.accept().await;
    assert_eq!(raw.exactly(24).await.unwrap(), b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    raw.send(frame(SETTINGS, 0, 0, &[])).await;
    raw
}

/// Answers with 200 and nothing else.
async fn accept(raw: &mut Raw, stream: u32) {
    // 0x88 is `:status: 200` of the static table; the flags end head and stream.
    raw.send(frame(HEADERS, 5, stream, &[0x88])).await;
}

#[test]
fn a_stream_that_the_dependency_refused_is_opened_again() {
    run(async {
        for keys in ["protocol: h2", "protocol: h2\nretries: {}"] {
            let server = ByHand::listen().await;
            let sidecar = Sidecar::start(one(server.address(), keys)).await;
            let dependency = Box::pin(async {
                let mut raw = greeted(&server).await;
                let first = next_request(&mut raw).await;
                raw.send(frame(RST_STREAM, 0, first, &REFUSED_STREAM)).await;
                // On this connection or on a new one.
                tokio::select! {
                    stream = next_request(&mut raw) => accept(&mut raw, stream).await,
                    mut fresh = greeted(&server) => {
                        let stream = next_request(&mut fresh).await;
                        accept(&mut fresh, stream).await;
                        std::mem::swap(&mut raw, &mut fresh);
                    }
                }
                raw
            });
            let post = request("POST", "/", "content-length: 0\r\n");
            let (answer, _raw) = ask_while(&sidecar, post, dependency).await;
            assert_eq!(answer.status, 200, "{answer:?}");
        }
    });
}

#[test]
fn a_stream_that_a_leaving_connection_never_saw_goes_to_the_next_connection() {
    run(async {
        for keys in ["protocol: h2", "protocol: h2\nretries: {}"] {
            let server = ByHand::listen().await;
            let sidecar = Sidecar::start(one(server.address(), keys)).await;
            let dependency = Box::pin(async {
                let mut raw = greeted(&server).await;
                next_request(&mut raw).await;
                // The last stream that was looked at is none, and there is no error.
                raw.send(frame(GOAWAY, 0, 0, &[0; 8])).await;
                let mut fresh = greeted(&server).await;
                let stream = next_request(&mut fresh).await;
                accept(&mut fresh, stream).await;
                (raw, fresh)
            });
            let post = request("POST", "/", "content-length: 0\r\n");
            let (answer, _raws) = ask_while(&sidecar, post, dependency).await;
            assert_eq!(answer.status, 200, "{answer:?}");
        }
    });
}

/// The answer to a call while the dependency does its part; what that leaves is kept until then.
async fn ask_while<T>(
    sidecar: &Sidecar,
    request: String,
    dependency: impl Future<Output = T>,
) -> (super::support::raw::Answer, Option<T>) {
    let (mut answer, mut left) = (None, None);
    let asking = Box::pin(async { answer = Some(call(sidecar, request).await) });
    let serving = Box::pin(async {
        left = Some(dependency.await);
        std::future::pending::<()>().await;
    });
    tokio::select! {
        () = asking => {}
        () = serving => {}
    }
    (answer.expect("an answer"), left)
}

#[test]
fn a_body_that_the_next_hop_certainly_did_not_send_is_sent_again() {
    run(async {
        let script = |_: &_, before| {
            if before == 0 { Act::Add(503, "outrigger-sent", "0") } else { Act::Say(200) }
        };
        let server = Scripted::start(script).await;
        let sidecar = Sidecar::start(one(server.address(), "retries: {}")).await;
        let answer = call(&sidecar, post("/", b"once")).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let bodies: Vec<_> = server.seen().into_iter().map(|seen| seen.body).collect();
        assert_eq!(bodies, ["once", "once"]);
    });
}

#[test]
fn no_answer_claims_that_nothing_was_sent_after_a_try_that_was() {
    run(async {
        let script = |_: &_, before| {
            if before == 0 { Act::HangUp } else { Act::Add(503, "outrigger-sent", "0") }
        };
        let server = Scripted::start(script).await;
        let sidecar = Sidecar::start(one(server.address(), "retries: { attempts: 2 }")).await;
        let answer = call(&sidecar, request("GET", "/", "")).await;
        assert_eq!((answer.status, server.count()), (503, 2), "{answer:?}");
        assert_ne!(answer.field("outrigger-sent"), Some("0"), "the first try may have run");
    });
}
