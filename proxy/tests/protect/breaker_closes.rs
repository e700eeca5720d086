//! How calls come back to a dependency that works again, and how those that still hang do not matter.

use std::cell::{Cell, RefCell};
use std::time::Duration;

use futures_util::future::{join, join_all};
use tokio::time::{Instant, sleep};

use super::calls::{
    CLOSED, HALF_OPEN, OPEN, RAMP, assert_refused, becomes, call, get, one, send, state, timed,
};
use super::scripted::{Act, Scripted};
use super::support::raw::Raw;
use super::support::run::{eventually, run};
use super::support::sidecar::Sidecar;

/// `/hang` is what the dependency was, everything else what it becomes.
async fn sick_and_healed() -> Scripted {
    let script = |path: &str| if path == "/hang" { Act::Hang } else { Act::After(Duration::from_millis(50)) };
    Scripted::start(move |seen, _| script(&seen.path)).await
}

/// Hangs so many calls that the breaker opens; they go on hanging.
async fn open(sidecar: &Sidecar) -> Vec<Raw> {
    let mut hung = Vec::new();
    for _ in 0..20 {
        hung.push(send(sidecar, get("/hang")).await);
    }
    becomes(sidecar, OPEN).await;
    hung
}

/// What the callers of one test do and see.
#[derive(Default)]
struct Traffic {
    stop: Cell<bool>,
    answers: RefCell<Vec<(Instant, u16)>>,
}

impl Traffic {
    /// Eight callers that call for `/` again and again.
    async fn flow(&self, sidecar: &Sidecar) {
        let caller = async || {
            let mut raw = Raw::connect(sidecar.outbound).await;
            while !self.stop.get() {
                let answer = raw.ask(get("/")).await;
                if answer.status != 200 {
                    assert_refused(&answer, "destination_unavailable", "circuit_breaker:dep:");
                }
                self.answers.borrow_mut().push((Instant::now(), answer.status));
                sleep(Duration::from_millis(10)).await;
            }
        };
        join_all((0..8).map(|_| caller())).await;
    }

    /// The states that the breaker goes through until it is closed, each with when it was first seen.
    async fn watch(&self, sidecar: &Sidecar) -> Vec<(Instant, f64)> {
        let mut states: Vec<(Instant, f64)> = Vec::new();
        eventually("the breaker closes", async || {
            let state = state(sidecar).await;
            if states.last().is_none_or(|(_, last)| *last != state) {
                states.push((Instant::now(), state));
            }
            (state == CLOSED).then_some(())
        })
        .await;
        self.stop.set(true);
        states
    }

    /// How many calls ended well, and how many at all, between two moments.
    fn between(&self, from: Instant, to: Instant) -> (usize, usize) {
        let answers = self.answers.borrow();
        let within = answers.iter().filter(|(at, _)| (from..to).contains(at));
        (within.clone().filter(|(_, status)| *status == 200).count(), within.count())
    }
}

#[test]
fn a_dependency_that_works_again_gets_probes_then_a_share_then_everything() {
    run(async {
        let server = sick_and_healed().await;
        let keys = "timeouts: { total: 30s }
                    circuit_breaker: { slow_threshold: 300ms, open_for: 1s, ramp: [20%, 60%] }";
        let sidecar = Sidecar::start(one(server.address(), keys)).await;
        let hung = open(&sidecar).await;
        let traffic = Traffic::default();
        let (states, ()) = join(traffic.watch(&sidecar), traffic.flow(&sidecar)).await;

        // Half-open may pass between two looks; no other state may, and none comes back.
        let order: Vec<f64> =
            states.iter().map(|(_, state)| *state).filter(|state| *state != HALF_OPEN).collect();
        assert_eq!(order, [OPEN, RAMP, CLOSED], "{states:?}");
        let healed: Vec<_> = server.seen().into_iter().filter(|seen| seen.path == "/").collect();
        let probes = healed.iter().filter(|seen| seen.ended < 3);
        assert!(probes.clone().all(|probe| probe.busy <= 3), "more than three probes at once");
        assert!(probes.count() <= 5, "more than five probes");

        let at = |wanted: f64| states.iter().find(|(_, state)| *state == wanted).unwrap().0;
        let ramped = at(CLOSED) - at(RAMP);
        assert!(ramped > Duration::from_millis(1_800), "two steps of a second, not {ramped:?}");
        let (passed, all) = traffic.between(at(RAMP), at(CLOSED));
        assert!(passed > 0 && passed * 10 <= all * 8, "{passed} of {all} passed on the ramp");

        for _ in 0..100 {
            assert_eq!(call(&sidecar, get("/now")).await.status, 200);
        }
        assert_eq!(state(&sidecar).await, CLOSED, "what hung before is no evidence of now");
        assert_eq!(server.busy("/hang"), hung.len());
    });
}

#[test]
fn probes_that_hang_hold_neither_their_callers_nor_the_breaker() {
    run(async {
        let server = sick_and_healed().await;
        let keys = "timeouts: { total: 30s }
                    circuit_breaker: { slow_threshold: 300ms, open_for: 1s, ramp: [] }";
        let sidecar = Sidecar::start(one(server.address(), keys)).await;
        let hung = open(&sidecar).await;
        // Three of these are probes in the end, and each of them is given up in time.
        let tried = async || {
            eventually("a probe", async || {
                let (answer, took) = timed(call(&sidecar, get("/hang"))).await;
                assert!(took < Duration::from_millis(1_300), "{took:?} for {answer:?}");
                (answer.status == 504).then_some(())
            })
            .await;
        };
        join_all((0..3).map(|_| tried())).await;
        assert_eq!(server.count(), hung.len() + 3);
        becomes(&sidecar, OPEN).await;
        assert_eq!(server.busy("/hang"), hung.len(), "the probes' requests are given up too");
        // It tries again by itself, and finds that all is well.
        eventually("a call passes", async || (call(&sidecar, get("/")).await.status == 200).then_some(()))
            .await;
        eventually("closed again", async || {
            let passed = call(&sidecar, get("/")).await.status == 200;
            (passed && state(&sidecar).await == CLOSED).then_some(())
        })
        .await;
    });
}
