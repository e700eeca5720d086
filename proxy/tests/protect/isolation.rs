//! How much of the sidecar a dependency may take, and that the others do not feel it.

use std::time::Duration;

use futures_util::future::{join, join_all};

use super::calls::{
    assert_refused, call, dep_until, dependency, details, get, metric, one, policy, send, timed,
};
use super::scripted::{Act, Scripted, Seen};
use super::support::app::app;
use super::support::client::{ask_h2, full, h2, tcp};
use super::support::raw::Raw;
use super::support::run::{becomes_true, eventually, run};
use super::support::sidecar::{Setup, Sidecar};

/// `/hold` is held until the test releases it.
pub(crate) fn held(seen: &Seen, _: usize) -> Act {
    if seen.path == "/hold" { Act::Hold } else { Act::Say(200) }
}

/// So many calls that are at the server.
pub(crate) async fn hold(sidecar: &Sidecar, server: &Scripted, count: usize) -> Vec<Raw> {
    let (mut calls, before) = (Vec::new(), server.busy("/hold"));
    for _ in 0..count {
        calls.push(send(sidecar, get("/hold")).await);
    }
    becomes_true("they are at the server", || server.busy("/hold") == before + count).await;
    calls
}

pub(crate) async fn in_flight(sidecar: &Sidecar) -> f64 {
    let found = metric(sidecar, "outrigger_isolation_in_flight", &[("dependency", "dep")]).await;
    found.expect("a level for the dependency")
}

pub(crate) async fn rejected(sidecar: &Sidecar, reason: &str) -> f64 {
    let labels = [("dependency", "dep"), ("reason", reason)];
    metric(sidecar, "outrigger_isolation_rejected_total", &labels).await.unwrap_or_default()
}

/// Waits until so many calls are in flight.
pub(crate) async fn flying(sidecar: &Sidecar, count: f64) {
    let what = format!("{count} in flight");
    eventually(&what, async || (in_flight(sidecar).await == count).then_some(())).await;
}

#[test]
fn two_call_the_third_waits_and_the_fourth_is_refused() {
    run(async {
        for lines in ["workers: 1", "workers: 2"] {
            let server = Scripted::start(held).await;
            let keys = "isolation: { max_in_flight: 2, max_queue: 1, queue_timeout: 8s }";
            let sidecar = Setup::new(one(server.address(), keys)).line(lines).start().await;
            let mut calls = hold(&sidecar, &server, 2).await;
            calls.push(send(&sidecar, get("/hold")).await);
            dep_until(&sidecar, "one waits", |dep| dep["queued"] == 1).await;
            let shown = dependency(&sidecar, "dep").await;
            assert_eq!((&shown["in_flight"], &shown["limit"]), (&2.into(), &2.into()), "{shown}");
            let (answer, took) = timed(call(&sidecar, get("/"))).await;
            assert_refused(&answer, "connection_limit_reached", "isolation:dep:queue");
            assert!(
                matches!(answer.field("retry-after"), Some("1" | "2")),
                "one second, and jitter: {answer:?}"
            );
            assert!(took < Duration::from_millis(500), "{took:?}");
            assert_eq!((in_flight(&sidecar).await, rejected(&sidecar, "queue").await), (2.0, 1.0));
            assert_eq!(server.count(), 2, "only two were sent");
            // One ends, and who waited gets in.
            server.release(1);
            becomes_true("the third is at the server", || server.count() == 3).await;
            server.release(2);
            for mut call in calls {
                assert_eq!(call.answer("GET").await.status, 200);
            }
            flying(&sidecar, 0.0).await;
            dep_until(&sidecar, "nobody waits", |dep| dep["queued"] == 0).await;
            becomes_true("four lines", || sidecar.access_log().len() == 4).await;
            let log = sidecar.access_log();
            let refused = log.iter().find(|line| line["status"] == 503).unwrap();
            assert_eq!(
                (&refused["outcome"], &refused["attempts"]),
                (&"connection_limit_reached".into(), &0.into())
            );
            let waited =
                |line: &&serde_json::Value| line["t"]["queue"].as_f64().is_some_and(|millis| millis > 1.0);
            assert_eq!(log.iter().filter(waited).count(), 1, "{log:?}");
        }
    });
}

#[test]
fn a_dependency_at_its_limit_is_not_felt_by_another() {
    run(async {
        let (hole, well) = (Scripted::start(|_, _| Act::Hang).await, app());
        let keys =
            "timeouts: { total: 30s }\nisolation: { max_in_flight: 100, max_queue: 20, queue_timeout: 10s }";
        let both = [("dep", &[hole.address()][..], keys), ("well", &[well.address()], "")];
        let sidecar = Sidecar::start(policy(&both)).await;
        let mut calls = Vec::new();
        for _ in 0..120 {
            calls.push(send(&sidecar, get("/")).await);
        }
        dep_until(&sidecar, "full", |dep| dep["in_flight"] == 100 && dep["queued"] == 20).await;
        let (well, refused) = join(
            join_all((0..4).map(|_| fifty(&sidecar))),
            join_all((0..40).map(|_| call(&sidecar, get("/")))),
        )
        .await;
        for answer in refused {
            assert_refused(&answer, "connection_limit_reached", "isolation:dep:");
        }
        let slowest = well.into_iter().max().unwrap();
        assert!(slowest < Duration::from_secs(1), "{slowest:?}");
        assert_eq!((in_flight(&sidecar).await, hole.count()), (100.0, 100));
        let labels = [("dependency", "well")];
        let rejected = metric(&sidecar, "outrigger_isolation_rejected_total", &labels).await;
        assert_eq!(rejected.unwrap_or_default(), 0.0);
    });
}

/// Fifty calls to the dependency that works; how long the slowest took.
async fn fifty(sidecar: &Sidecar) -> Duration {
    let mut raw = Raw::connect(sidecar.outbound).await;
    let mut slowest = Duration::ZERO;
    for _ in 0..50 {
        let (answer, took) = timed(raw.ask("GET / HTTP/1.1\r\nhost: well.test\r\n\r\n")).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        slowest = slowest.max(took);
    }
    slowest
}

#[test]
fn in_shadow_nobody_is_refused_and_nobody_waits() {
    run(async {
        let server = Scripted::start(held).await;
        let keys = "isolation: { max_in_flight: 1, max_queue: 0, mode: shadow }";
        let sidecar = Sidecar::start(one(server.address(), keys)).await;
        let calls = hold(&sidecar, &server, 6).await;
        server.release(6);
        for mut call in calls {
            assert_eq!(call.answer("GET").await.status, 200);
        }
    });
}

#[test]
fn calls_that_share_a_connection_count_each_and_a_grpc_caller_is_told_in_grpc() {
    run(async {
        let app = app();
        let keys = "protocol: h2\nisolation: { max_in_flight: 2, max_queue: 0 }";
        let sidecar = Sidecar::start(one(app.address(), keys)).await;
        let mut hung = Vec::new();
        for count in 1..=2 {
            hung.push(send(&sidecar, get("/hang")).await);
            becomes_true("it hangs", || app.count("/hang") == count).await;
        }
        assert_eq!(app.connections(), 1);
        assert!(details(&call(&sidecar, get("/")).await).starts_with("isolation:dep:"));
        let mut client = h2(tcp(sidecar.outbound).await).await;
        let grpc = http::Request::post("http://dep.test/grpc.Echo/Unary").header("te", "trailers");
        let grpc = grpc.header("content-type", "application/grpc").body(full(&[0; 5][..])).unwrap();
        let answer = ask_h2(&mut client, grpc).await;
        assert_eq!((answer.status, answer.field("grpc-status")), (200, Some("14")), "{answer:?}");
        assert!(answer.field("grpc-retry-pushback-ms").unwrap().parse::<u64>().unwrap() >= 1, "{answer:?}");
        drop(hung);
        eventually("room", async || (call(&sidecar, get("/")).await.status == 200).then_some(())).await;
    });
}
