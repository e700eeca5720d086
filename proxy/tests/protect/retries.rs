//! Which calls are made again, and how they arrive.

use tokio::net::TcpListener;

use super::calls::{call, get, metric, one, policy, post, request, retries};
use super::scripted::{Act, Scripted, Seen};
use super::support::app::app;
use super::support::run::{becomes_true, run};
use super::support::sidecar::{Setup, Sidecar};

const MINE: &str =
    "routes: [{ name: search, match: { path: /search }, retries: { idempotent: true, replay: 16KiB } }]";

/// 503 to the first request for a path, 200 to the others.
fn once(_: &Seen, before: usize) -> Act {
    Act::Say(if before == 0 { 503 } else { 200 })
}

/// `outrigger-attempt`, or 0.
fn attempt(seen: &Seen) -> u32 {
    seen.field("outrigger-attempt").map_or(0, |number| number.parse().unwrap())
}

/// So many bytes with all values in them, line ends and zeros too.
fn bytes(count: u32) -> Vec<u8> {
    (0..count).map(|number| (number * 7 + number / 251).to_le_bytes()[0]).collect()
}

#[test]
fn what_failed_once_succeeds_at_the_second_try() {
    run(async {
        let server = Scripted::start(|seen, before| match (before, seen.path.as_str()) {
            (0, "/hang-up") => Act::HangUp,
            (0, path) => Act::Say(path[1..].parse().unwrap()),
            _ => Act::Say(200),
        })
        .await;
        let sidecar = Sidecar::start(one(server.address(), "retries: {}")).await;
        let calls = [("GET", "/502"), ("HEAD", "/503"), ("OPTIONS", "/504"), ("GET", "/hang-up")];
        for (method, path) in calls {
            let answer = call(&sidecar, request(method, path, "x-mine: kept\r\n")).await;
            assert_eq!(answer.status, 200, "{method} {path}: {answer:?}");
            assert_eq!(answer.field("outrigger-no-retry"), None, "{answer:?}");
        }
        let seen = server.seen();
        assert_eq!(seen.len(), 8);
        for (index, pair) in seen.chunks(2).enumerate() {
            assert_eq!((attempt(&pair[0]), attempt(&pair[1])), (0, 1), "{pair:?}");
            for seen in pair {
                assert_eq!((&*seen.method, &*seen.path), calls[index]);
                assert_eq!((seen.field("x-mine"), seen.field("host")), (Some("kept"), Some("dep.test")));
            }
        }
        assert_eq!((retries(&sidecar, "retried").await, retries(&sidecar, "recovered").await), (4.0, 4.0));
        assert_eq!(
            metric(&sidecar, "outrigger_requests_total", &[]).await,
            Some(4.0),
            "tries are no requests"
        );
        becomes_true("four lines", || sidecar.access_log().len() == 4).await;
        assert!(sidecar.access_log().iter().all(|line| line["attempts"] == 2 && line["outcome"] == "ok"));
    });
}

#[test]
fn what_may_have_run_and_could_do_harm_is_not_repeated() {
    run(async {
        let server = Scripted::start(|seen, _| match seen.path.as_str() {
            "/hang-up" => Act::HangUp,
            _ => Act::Say(503),
        })
        .await;
        let sidecar = Sidecar::start(one(server.address(), "retries: {}")).await;
        for method in ["POST", "PATCH", "PUT", "DELETE"] {
            let body = "content-length: 0\r\n";
            let before = server.count();
            let answer = call(&sidecar, request(method, "/", body)).await;
            assert_eq!((answer.status, answer.field("x-upstream")), (503, Some("scripted")), "{answer:?}");
            let answer = call(&sidecar, request(method, "/hang-up", body)).await;
            assert_eq!((answer.status, answer.field("outrigger-sent")), (502, Some("1")), "{answer:?}");
            assert_eq!(server.count(), before + 2, "{method} ran twice");
        }
        assert_eq!(retries(&sidecar, "retried").await, 0.0);
    });
}

#[test]
fn a_route_that_says_so_repeats_a_body_byte_for_byte() {
    run(async {
        let server = Scripted::start(|_, before| Act::Say([503, 200][before % 2])).await;
        let sidecar = Sidecar::start(one(server.address(), MINE)).await;
        let body = bytes(16 * 1024);
        let mut chunked = request("POST", "/search", "transfer-encoding: chunked\r\n").into_bytes();
        for chunk in body.chunks(1_000) {
            chunked.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
            chunked.extend_from_slice(chunk);
            chunked.extend_from_slice(b"\r\n");
        }
        chunked.extend_from_slice(b"0\r\n\r\n");
        for sent in [post("/search", &body), chunked] {
            let before = server.count();
            let answer = call(&sidecar, sent).await;
            assert_eq!(answer.status, 200, "{answer:?}");
            let seen = &server.seen()[before..];
            assert_eq!(seen.len(), 2);
            for seen in seen {
                assert_eq!(seen.method, "POST");
                assert!(seen.body == body, "{} bytes arrived", seen.body.len());
            }
            let framing = |seen: &Seen| seen.field("content-length").map(str::to_owned);
            assert_eq!(framing(&seen[0]), framing(&seen[1]));
        }
        // On another route it is as harmful as ever.
        let before = server.count();
        assert_eq!(call(&sidecar, post("/other", b"x")).await.status, 503);
        assert_eq!(server.count(), before + 1);
    });
}

#[test]
fn a_body_longer_than_what_is_kept_is_not_repeated() {
    run(async {
        let server = Scripted::start(|_, _| Act::Say(503)).await;
        let sidecar = Sidecar::start(one(server.address(), MINE)).await;
        let body = bytes(16 * 1024 + 1);
        let answer = call(&sidecar, post("/search", &body)).await;
        assert_eq!((answer.status, answer.field("x-upstream")), (503, Some("scripted")), "{answer:?}");
        assert_eq!(server.count(), 1);
        assert!(server.seen()[0].body == body, "it arrived whole all the same");
        assert_eq!((retries(&sidecar, "retried").await, retries(&sidecar, "body").await), (0.0, 1.0));
    });
}

#[test]
fn a_refused_connection_leads_to_the_endpoint_that_lives_whatever_the_method() {
    run(async {
        let app = app();
        let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let both = [("dep", &[gone, app.address()][..], "retries: {}"), ("lost", &[gone], "retries: {}")];
        let sidecar = Sidecar::start(policy(&both)).await;
        for method in ["GET", "POST", "PATCH", "DELETE"].repeat(5) {
            let answer = call(&sidecar, request(method, "/sink", "content-length: 3\r\n") + "abc").await;
            assert_eq!((answer.status, answer.text()), (200, "{\"bytes\":3}"), "{method}: {answer:?}");
        }
        assert_eq!(app.count("/sink"), 20, "each once");
        assert!(retries(&sidecar, "unsent").await >= 1.0);
        let answer = call(&sidecar, "POST / HTTP/1.1\r\nhost: lost.test\r\ncontent-length: 0\r\n\r\n").await;
        assert_eq!((answer.status, answer.field("outrigger-sent")), (502, Some("0")), "{answer:?}");
    });
}

#[test]
fn an_answer_that_failed_leads_to_another_endpoint() {
    run(async {
        let (sick, well) = (Scripted::start(failing).await, Scripted::start(|_, _| Act::Say(200)).await);
        let keys = "retries: { budget: { ratio: 100%, min_per_second: 100 } }";
        let sidecar = Sidecar::start(policy(&[("dep", &[sick.address(), well.address()], keys)])).await;
        // Good times first, so that what fails is the smaller part.
        for path in ["/"].repeat(30).into_iter().chain(["/failing"].repeat(20)) {
            assert_eq!(call(&sidecar, get(path)).await.status, 200);
        }
        assert!(sick.seen().iter().filter(|seen| seen.path == "/failing").all(|seen| attempt(seen) == 0));
    });
}

fn failing(seen: &Seen, _: usize) -> Act {
    Act::Say(if seen.path == "/failing" { 503 } else { 200 })
}

#[test]
fn who_retries_already_is_not_retried_for() {
    run(async {
        let server = Scripted::start(once).await;
        let sidecar = Sidecar::start(one(server.address(), "retries: {}")).await;
        for (path, field) in [("/a", "outrigger-attempt: 2\r\n"), ("/b", "grpc-previous-rpc-attempts: 1\r\n")]
        {
            let before = server.count();
            let answer = call(&sidecar, request("GET", path, field)).await;
            assert_eq!((answer.status, server.count()), (503, before + 1), "{field}: {answer:?}");
        }
        assert_eq!(call(&sidecar, request("GET", "/c", "outrigger-attempt: 0\r\n")).await.status, 200);
        assert_eq!(retries(&sidecar, "retried").await, 1.0);
        // Who is not trusted has no say in it.
        let setup = Setup::new(one(server.address(), "retries: {}")).line("trusted_peers: []");
        let sidecar = setup.start().await;
        let answer = call(&sidecar, request("GET", "/d", "outrigger-attempt: 2\r\n")).await;
        assert_eq!(answer.status, 200, "{answer:?}");
    });
}

#[test]
fn what_the_next_hop_certainly_did_not_send_may_be_repeated_and_what_it_forbids_is_not() {
    run(async {
        let server = Scripted::start(|seen, before| match (before, seen.path.as_str()) {
            (0, "/unsent") => Act::Add(503, "outrigger-sent", "0"),
            (_, "/forbidden") => Act::Add(503, "outrigger-no-retry", "1"),
            _ => Act::Say(200),
        })
        .await;
        let sidecar = Sidecar::start(one(server.address(), "retries: {}")).await;
        assert_eq!(call(&sidecar, post("/unsent", b"")).await.status, 200);
        assert_eq!(server.count(), 2);
        let answer = call(&sidecar, get("/forbidden")).await;
        assert_eq!((answer.status, server.count()), (503, 3), "{answer:?}");
        assert_eq!(answer.field("outrigger-no-retry"), Some("1"), "{answer:?}");
    });
}
