//! Hostile HTTP/2: what smuggles into HTTP/1.1 behind us, and what exhausts.

use tokio::io::AsyncWriteExt;

use super::frames::{
    self, CONTINUATION, DATA, END_HEADERS, END_STREAM, Frame, GOAWAY, HEADERS, RST_STREAM, block, frame,
};
use super::recorder::Recorder;
use super::support::app::app;
use super::support::client::{ask_h2, empty, h2, request, tcp};
use super::support::raw::Raw;
use super::support::run::run;
use super::support::sidecar::Sidecar;

/// `:status: 200` from HPACK's static table, which is how a good answer begins.
const STATUS_200: u8 = 0x88;

fn is_good(frame: &Frame) -> bool {
    frame.kind == HEADERS && frame.payload.first() == Some(&STATUS_200)
}

fn settles(frame: &Frame) -> bool {
    matches!(frame.kind, HEADERS | RST_STREAM | GOAWAY)
}

async fn before(recorder: &Recorder) -> Sidecar {
    Sidecar::start(format!("version: 1\ninbound: {{ app: \"http://{}\" }}\n", recorder.address)).await
}

fn hostile_heads() -> Vec<Vec<(&'static str, &'static str)>> {
    let mut all = Vec::new();
    for path in [
        "",
        "admin",
        "/a b",
        "/a\r\nx: y",
        "/a\nb",
        "/a\0",
        "/a\tb",
        "/../admin",
        "/x/%2e%2e/admin",
        "//admin",
        "/a%2fb",
        "/a\\b",
        "http://evil/admin",
        "*",
        "/\u{e9}",
        "/a HTTP/1.1\r\nhost: evil\r\n\r\nGET /smuggled",
    ] {
        all.push(frames::get(path));
    }
    for (name, value) in [
        ("x", "a\r\nb: c"),
        ("x", "a\nb"),
        ("x", "a\0b"),
        ("x y", "1"),
        ("x:", "1"),
        ("x\r\ny", "1"),
        ("", "1"),
        ("Upper", "1"),
        ("host", "evil"),
        ("connection", "close"),
        ("transfer-encoding", "chunked"),
        ("upgrade", "websocket"),
        ("keep-alive", "1"),
        ("proxy-connection", "x"),
        ("content-length", "x"),
        ("content-length", "-1"),
        ("content-length", "5"),
        ("te", "chunked"),
        (":path", "/again"),
        (":evil", "1"),
        (":status", "200"),
    ] {
        let mut head = frames::get("/x");
        head.push((name, value));
        all.push(head);
    }
    all.push(vec![(":method", "GET"), (":scheme", "http"), (":authority", "a")]);
    all.push(vec![(":scheme", "http"), (":authority", "a"), (":path", "/")]);
    all.push(vec![(":method", "GET"), (":authority", "a"), (":path", "/")]);
    all.push(vec![(":method", "G T"), (":scheme", "http"), (":authority", "a"), (":path", "/")]);
    all.push(vec![
        (":method", "GET / HTTP/1.1\r\nx: "),
        (":scheme", "http"),
        (":authority", "a"),
        (":path", "/"),
    ]);
    all.push(vec![(":method", "CONNECT"), (":authority", "a:443")]);
    all.push(vec![
        (":method", "CONNECT"),
        (":protocol", "websocket"),
        (":scheme", "http"),
        (":authority", "a"),
        (":path", "/"),
    ]);
    all.push(vec![("x", "1"), (":method", "GET"), (":scheme", "http"), (":authority", "a"), (":path", "/")]);
    for authority in ["a b", "a@b", "a\r\nx: y", "a/b", "a,b"] {
        all.push(vec![(":method", "GET"), (":scheme", "http"), (":authority", authority), (":path", "/")]);
    }
    all
}

#[test]
fn refuses_heads_that_would_smuggle_into_http1() {
    run(async {
        let recorder = Recorder::start().await;
        let sidecar = before(&recorder).await;
        let mut failures = Vec::new();
        for head in hostile_heads() {
            let mut raw = frames::connect(sidecar.inbound).await;
            raw.send(frame(HEADERS, END_HEADERS | END_STREAM, 1, &block(&head))).await;
            let heard = frames::until(&mut raw, settles).await;
            let seen = recorder.take();
            let te = head.contains(&("te", "chunked"));
            if te && seen.dirty.is_empty() && seen.requests == ["GET /x HTTP/1.1"] {
                continue; // Forwarded without the field is as good.
            }
            if heard.iter().any(is_good) || !seen.requests.is_empty() || !seen.dirty.is_empty() {
                failures.push(format!("{head:?}: {seen:?}, {heard:?}"));
            }
        }
        assert!(failures.is_empty(), "{}", failures.join("\n"));
        assert_eq!(Raw::connect(sidecar.inbound).await.get("/").await.status, 200);
    });
}

#[test]
fn a_length_that_is_not_the_length_of_the_body_never_becomes_a_request() {
    run(async {
        let recorder = Recorder::start().await;
        let sidecar = before(&recorder).await;
        let smuggled = b"GET /smuggled HTTP/1.1\r\nhost: a\r\n\r\n";
        for (length, body) in [("0", &smuggled[..]), ("4", smuggled), ("400", smuggled), ("1", b"")] {
            let mut raw = frames::connect(sidecar.inbound).await;
            let mut head =
                vec![(":method", "POST"), (":scheme", "http"), (":authority", "a"), (":path", "/x")];
            head.push(("content-length", length));
            raw.send(frame(HEADERS, END_HEADERS, 1, &block(&head))).await;
            raw.send(frame(DATA, END_STREAM, 1, body)).await;
            let heard = frames::until(&mut raw, settles).await;
            assert!(length == "0" || !heard.iter().any(is_good), "{length}: {heard:?}");
            drop(raw);
            // And no later request is glued to what was left of it.
            assert_eq!(Raw::connect(sidecar.inbound).await.get("/after").await.status, 200);
            let mut seen = recorder.take();
            // A head that says 0 is a whole request until the frame that belies it comes.
            seen.requests.retain(|request| length != "0" || request != "POST /x HTTP/1.1");
            assert!(seen.dirty.is_empty(), "{length}: {seen:?}");
            assert_eq!(seen.requests, ["GET /after HTTP/1.1"], "{length}");
        }
    });
}

#[test]
fn refuses_the_hundred_and_first_field_and_large_lists() {
    run(async {
        let app = app();
        let sidecar = Sidecar::before(format_args!("http://{}", app.address())).await;
        let mut client = h2(tcp(sidecar.inbound).await).await;
        let with = |count: usize, size: usize| {
            (0..count)
                .fold(request("GET", "/"), |request, n| request.header(format!("x-{n}"), "v".repeat(size)))
        };
        assert_eq!(ask_h2(&mut client, with(90, 1).body(empty()).unwrap()).await.status, 200);
        assert_eq!(ask_h2(&mut client, with(101, 1).body(empty()).unwrap()).await.status, 431);
        // Crumbs of a cookie are fields.
        let crumbs =
            (0..101).fold(request("GET", "/"), |request, n| request.header("cookie", format!("a{n}=1")));
        assert_eq!(ask_h2(&mut client, crumbs.body(empty()).unwrap()).await.status, 431);
        let large = client.send_request(with(30, 1_500).body(empty()).unwrap()).await;
        assert!(large.is_err() || large.unwrap().status() == 431);
        assert_eq!(app.requests(), 1);
    });
}

#[test]
fn serves_a_hundred_streams_and_refuses_more_at_once() {
    run(async {
        let app = app();
        let sidecar = Sidecar::before(format_args!("http://{}", app.address())).await;
        let mut raw = frames::connect(sidecar.inbound).await;
        for number in 0..101_u32 {
            raw.send(frame(
                HEADERS,
                END_HEADERS | END_STREAM,
                number * 2 + 1,
                &block(&frames::get("/delay/500")),
            ))
            .await;
        }
        let heard = frames::until(&mut raw, |frame| frame.kind == RST_STREAM).await;
        let refused = heard.last().unwrap();
        assert_eq!((refused.kind, refused.stream), (RST_STREAM, 201), "{refused:?}");
        assert_eq!(refused.payload, 7_u32.to_be_bytes(), "REFUSED_STREAM: may be sent again");
        for _ in 0..100 {
            let heard = frames::until(&mut raw, |frame| frame.kind == HEADERS).await;
            assert!(heard.last().is_some_and(is_good), "{heard:?}");
        }
    });
}

#[test]
fn closes_on_rapid_resets() {
    run(async {
        let app = app();
        let sidecar = Sidecar::before(format_args!("http://{}", app.address())).await;
        let mut raw = frames::connect(sidecar.inbound).await;
        let mut burst = Vec::new();
        for number in 0..2_000_u32 {
            let stream = number * 2 + 1;
            burst.extend(frame(HEADERS, END_HEADERS | END_STREAM, stream, &block(&frames::get("/hang"))));
            burst.extend(frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes()));
        }
        // The end may come while it is still being sent.
        let _ = raw.stream.write_all(&burst).await;
        let heard = frames::until(&mut raw, |frame| frame.kind == GOAWAY).await;
        let last = heard.last().expect("GOAWAY");
        assert_eq!(last.kind, GOAWAY, "{last:?}");
        assert_eq!(last.payload[4..8], 11_u32.to_be_bytes(), "ENHANCE_YOUR_CALM");
        assert!(app.requests() < 1_000, "{} went through", app.requests());
        assert_eq!(Raw::connect(sidecar.inbound).await.get("/").await.status, 200);
    });
}

#[test]
fn ends_a_flood_of_continuations_in_bounded_memory() {
    run(async {
        let app = app();
        let sidecar = Sidecar::before(format_args!("http://{}", app.address())).await;
        let before = sidecar.resident_kib();
        let mut raw = frames::connect(sidecar.inbound).await;
        raw.send(frame(HEADERS, END_STREAM, 1, &block(&frames::get("/")))).await;
        let piece = frame(CONTINUATION, 0, 1, &block(&[("x", &"a".repeat(8_000))]));
        let mut sent = 0;
        while sent < 10_000 && raw.stream.write_all(&piece).await.is_ok() {
            sent += 1;
        }
        assert!(sent < 10_000, "80 MB of fields were taken");
        assert!(sidecar.peak_kib() < before + 16 * 1024, "{} KiB, then {}", before, sidecar.peak_kib());
        assert_eq!(app.requests(), 0);
        assert_eq!(Raw::connect(sidecar.inbound).await.get("/").await.status, 200);
    });
}

#[test]
fn ends_connections_that_break_the_rules_of_frames() {
    run(async {
        let app = app();
        let sidecar = Sidecar::before(format_args!("http://{}", app.address())).await;
        let head = block(&frames::get("/"));
        let mut padded = frame(HEADERS, END_HEADERS | END_STREAM | 8, 1, &head);
        padded[9] = 255;
        let all: Vec<Vec<u8>> = vec![
            frame(DATA, 0, 0, b"x"),
            frame(DATA, 0, 1, b"x"),
            frame(HEADERS, END_HEADERS, 0, &head),
            frame(HEADERS, END_HEADERS, 2, &head),
            frame(CONTINUATION, END_HEADERS, 1, &head),
            [frame(HEADERS, 0, 1, &head), frame(DATA, 0, 1, b"x")].concat(),
            [frame(HEADERS, 0, 1, &head), frame(CONTINUATION, END_HEADERS, 3, &[])].concat(),
            frame(HEADERS, END_HEADERS, 1, &[0xff; 40]),
            padded,
            [vec![0xff, 0xff, 0xff, DATA, 0], vec![0; 4]].concat(),
            frame(8, 0, 0, &0_u32.to_be_bytes()),
            frame(8, 0, 0, &0x7fff_ffff_u32.to_be_bytes()),
            frame(6, 0, 0, b"short"),
            frame(5, END_HEADERS, 1, &[0, 0, 0, 2]),
        ];
        for bytes in all {
            let mut raw = frames::connect(sidecar.inbound).await;
            raw.send(&bytes).await;
            let heard = frames::until(&mut raw, |frame| frame.kind == GOAWAY).await;
            assert!(!heard.iter().any(is_good), "{bytes:?}");
            while frames::next(&mut raw).await.is_some() {}
        }
        assert_eq!(app.requests(), 0);
        assert_eq!(Raw::connect(sidecar.inbound).await.get("/").await.status, 200);
    });
}
