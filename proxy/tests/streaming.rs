//! Bodies of any size in little memory, at the pace of whoever is slowest.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use support::app::{ByHand, app};
use support::client::{empty, fed, h1, h2, relative, request, tcp, whole};
use support::raw::Raw;
use support::run::{becomes_true, eventually, run, soon};
use support::sidecar::Sidecar;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

mod support;

const MIB: u64 = 1024 * 1024;
/// As much as goes through in the ordinary run; `OUTRIGGER_TEST_BODY_MIB=1024` makes it a gibibyte.
fn size() -> u64 {
    std::env::var("OUTRIGGER_TEST_BODY_MIB").ok().and_then(|mib| mib.parse().ok()).unwrap_or(256) * MIB
}
/// What the process may need for it, all in all.
const MEMORY_KIB: u64 = 64 * 1024;

async fn before(scheme: &str, address: std::net::SocketAddr) -> Sidecar {
    Sidecar::before(format_args!("{scheme}://{address}")).await
}

/// Reads a body, which must be `x` throughout, and returns its length.
async fn drain(mut body: hyper::body::Incoming) -> u64 {
    let mut length = 0;
    while let Some(frame) = soon("more of the body", body.frame()).await {
        if let Ok(data) = frame.unwrap().into_data() {
            length += data.len() as u64;
        }
    }
    length
}

#[test]
fn downloads_in_constant_memory() {
    run(async {
        let app = app();
        for (scheme, chunked) in [("http", 0), ("http", 1), ("h2c", 0)] {
            let sidecar = before(scheme, app.address()).await;
            let mut client = h1(tcp(sidecar.inbound).await).await;
            let path = format!("/bytes/{}?chunked={chunked}", size() / 2);
            let response =
                client.send_request(relative(request("GET", &path).body(empty()).unwrap())).await.unwrap();
            assert_eq!(drain(response.into_body()).await, size() / 2);
            assert!(sidecar.peak_kib() < MEMORY_KIB, "{scheme}: {} KiB", sidecar.peak_kib());
        }
    });
}

#[test]
fn downloads_over_http_2_in_constant_memory() {
    run(async {
        let app = app();
        let sidecar = before("http", app.address()).await;
        let mut client = h2(tcp(sidecar.inbound).await).await;
        let path = format!("/bytes/{}", size() / 4);
        let response = client.send_request(request("GET", &path).body(empty()).unwrap()).await.unwrap();
        assert_eq!(drain(response.into_body()).await, size() / 4);
        assert!(sidecar.peak_kib() < MEMORY_KIB, "{} KiB", sidecar.peak_kib());
    });
}

#[test]
fn uploads_in_constant_memory() {
    run(async {
        let app = app();
        for (scheme, version) in [("http", 1), ("http", 2), ("h2c", 1)] {
            let sidecar = before(scheme, app.address()).await;
            let (mut sender, body) = fed();
            let ask = request("POST", "/sink").body(body).unwrap();
            let feed = async move {
                let piece = Bytes::from_static(&[b'x'; 64 * 1024]);
                for _ in 0..size() / 3 / piece.len() as u64 {
                    sender.send_data(piece.clone()).await.unwrap();
                }
            };
            let answer = async {
                let stream = tcp(sidecar.inbound).await;
                let response = match version {
                    1 => h1(stream).await.send_request(relative(ask)).await,
                    _ => h2(stream).await.send_request(ask).await,
                };
                whole(response.unwrap()).await
            };
            let (answer, ()) = tokio::join!(answer, feed);
            assert_eq!(answer.json()["bytes"], size() / 3 / (64 * 1024) * (64 * 1024));
            assert!(sidecar.peak_kib() < MEMORY_KIB, "{scheme} {version}: {} KiB", sidecar.peak_kib());
        }
    });
}

#[test]
fn waits_for_a_client_that_reads_slowly_instead_of_buffering() {
    run(async {
        let app = app();
        for version in [1, 2] {
            let sidecar = before("http", app.address()).await;
            let resting = sidecar.resident_kib();
            let stream = tcp(sidecar.inbound).await;
            let ask = request("GET", &format!("/bytes/{}", 512 * MIB)).body(empty()).unwrap();
            let response = match version {
                1 => h1(stream).await.send_request(relative(ask)).await,
                _ => h2(stream).await.send_request(ask).await,
            };
            let mut body = response.unwrap().into_body();
            for _ in 0..10 {
                soon("a piece", body.frame()).await.unwrap().unwrap();
            }
            // Nobody reads: what the sidecar holds settles, and stays.
            let mut last = 0;
            eventually("memory settles", async || {
                tokio::time::sleep(Duration::from_millis(100)).await;
                let settled = last == sidecar.resident_kib();
                last = sidecar.resident_kib();
                settled.then_some(())
            })
            .await;
            assert!(last < resting + 8 * 1024, "h{version}: {last} KiB, {resting} at rest");
            let mut read = 0;
            while read < 64 * MIB {
                let frame = soon("a piece", body.frame()).await.unwrap().unwrap();
                read += frame.data_ref().map_or(0, Bytes::len) as u64;
            }
        }
    });
}

#[test]
fn waits_for_an_app_that_reads_slowly_instead_of_buffering() {
    run(async {
        let server = ByHand::listen().await;
        let sidecar = before("http", server.address()).await;
        let resting = sidecar.resident_kib();
        let mut client = tcp(sidecar.inbound).await;
        client.write_all(b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 536870912\r\n\r\n").await.unwrap();
        let mut app = server.accept().await;
        app.request_head().await;
        let piece = vec![b'x'; 256 * 1024];
        let mut sent = 0_usize;
        // The app reads nothing: soon nothing more can be sent.
        while let Ok(size) = tokio::time::timeout(Duration::from_millis(300), client.write(&piece)).await {
            sent += size.unwrap();
            assert!(sent < 64 << 20, "the body must be somewhere, and nobody read it");
        }
        assert!(
            sidecar.resident_kib() < resting + 4 * 1024,
            "{} KiB, {resting} at rest",
            sidecar.resident_kib()
        );
        // It reads on, and everything comes.
        let mut read = app.buffer.len();
        let mut space = vec![0; 256 * 1024];
        while read < sent {
            read += soon("the rest", app.stream.read(&mut space)).await.unwrap();
        }
    });
}

#[test]
fn passes_pieces_on_as_they_come() {
    run(async {
        let app = app();
        for scheme in ["http", "h2c"] {
            let sidecar = before(scheme, app.address()).await;
            // Down: the first event is there while the second is a second away.
            let mut client = h1(tcp(sidecar.inbound).await).await;
            let ask = relative(request("GET", "/sse?events=2&gap=5000").body(empty()).unwrap());
            let mut body = client.send_request(ask).await.unwrap().into_body();
            let first =
                tokio::time::timeout(Duration::from_secs(3), body.frame()).await.expect("the first event");
            assert_eq!(first.unwrap().unwrap().into_data().unwrap(), "id: 0\ndata: tick\n\n");

            // Both ways on one exchange: each piece comes back before the next is sent.
            for version in [1, 2] {
                let (mut sender, body) = fed();
                let ask = request("POST", "/echo-body").body(body).unwrap();
                let stream = tcp(sidecar.inbound).await;
                sender.send_data("begin".into()).await.unwrap();
                let response = match version {
                    1 => soon("the head", h1(stream).await.send_request(relative(ask))).await,
                    _ => soon("the head", h2(stream).await.send_request(ask)).await,
                };
                let mut echoed = response.unwrap().into_body();
                assert_eq!(
                    soon("begin", echoed.frame()).await.unwrap().unwrap().into_data().unwrap(),
                    "begin"
                );
                for n in 0..5 {
                    sender.send_data(format!("piece {n}").into()).await.unwrap();
                    let frame = soon("the echo", echoed.frame()).await.unwrap().unwrap();
                    assert_eq!(frame.into_data().unwrap(), format!("piece {n}"));
                }
                drop(sender);
                let rest = soon("the end", echoed.collect()).await.unwrap();
                assert!(rest.to_bytes().is_empty());
            }
        }
    });
}

#[test]
fn tells_the_app_when_a_client_breaks_off_its_body() {
    run(async {
        let server = ByHand::listen().await;
        let sidecar = before("http", server.address()).await;
        for head in ["content-length: 100", "transfer-encoding: chunked"] {
            let mut client = Raw::connect(sidecar.inbound).await;
            client.send(format!("POST / HTTP/1.1\r\nhost: a\r\n{head}\r\n\r\n5\r\nhello\r\n")).await;
            let mut app = server.accept().await;
            app.request_head().await;
            drop(client);
            while app.more().await.is_some() {}
            assert!(!app.buffer.ends_with(b"0\r\n\r\n"), "an end that was not sent: {:?}", app.buffer);
        }
        becomes_true("both are recorded", || {
            let log = sidecar.access_log();
            log.iter().filter(|line| line["outcome"] == "client_cancelled").count() == 2
        })
        .await;
    });
}
