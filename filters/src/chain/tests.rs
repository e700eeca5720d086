use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use http::HeaderMap;
use parking_lot::Mutex;

use super::*;
use crate::outcome::Outcome;
use crate::policy::Build;
use crate::state::StateStore;

type Log = Arc<Mutex<Vec<(u64, Ending, Nanos)>>>;

/// Passes, or refuses; writes down what it is told at the end.
struct Probe {
    id: u64,
    refuses: bool,
    log: Log,
}

impl Filter for Probe {
    fn admit(&self, _: &RequestView<'_>, _: Nanos) -> Result<Pass, Rejection> {
        if !self.refuses {
            return Ok(Pass { ticket: self.id, ..Pass::default() });
        }
        Err(Rejection {
            filter: "probe",
            rule: RuleId(u16::try_from(self.id).unwrap()),
            reason: "told_to",
            status: 503,
            error: "connection_limit_reached",
            outcome: Outcome::ConnectionLimitReached,
            retry_after: Duration::ZERO,
            quota: None,
        })
    }

    fn settle(&self, ticket: u64, ending: Ending, now: Nanos) {
        assert_eq!(ticket, self.id, "each gets its own ticket back");
        self.log.lock().push((ticket, ending, now));
    }
}

/// One probe for each pair of mode and whether it refuses.
fn chain(probes: &[(Mode, bool)]) -> (Arc<Chain>, Log) {
    let (store, log) = (StateStore::new(1), Log::default());
    let mut build = Build::new("owner", &store);
    for (id, (mode, refuses)) in (0..).zip(probes) {
        let _ = build.rule("probe", &format!("p{id}"), *mode);
        build.mount(*mode, Box::new(Probe { id, refuses: *refuses, log: Arc::clone(&log) }));
    }
    (Arc::new(build.finish()), log)
}

fn ask(chain: &Arc<Chain>, now: Nanos) -> Result<Admitted, Rejection> {
    let headers = HeaderMap::new();
    let client_ip = IpAddr::V4(Ipv4Addr::LOCALHOST);
    chain.admit(&RequestView::get("/", &headers, client_ip), now)
}

const PASS: (Mode, bool) = (Mode::Enforce, false);
const REFUSE: (Mode, bool) = (Mode::Enforce, true);
const WOULD_REFUSE: (Mode, bool) = (Mode::Shadow, true);

#[test]
fn settles_in_reverse_exactly_once() {
    let (chain, log) = chain(&[PASS, PASS, PASS]);
    ask(&chain, Nanos(1)).ok().unwrap().settle(Outcome::Ok, Nanos(2));
    let ended = Ending::Ended(Outcome::Ok);
    assert_eq!(*log.lock(), [(2, ended, Nanos(2)), (1, ended, Nanos(2)), (0, ended, Nanos(2))]);
}

#[test]
fn a_dropped_guard_releases_without_evidence() {
    let (chain, log) = chain(&[PASS]);
    drop(ask(&chain, Nanos(1)));
    assert_eq!(*log.lock(), [(0, Ending::Abandoned, Nanos(1))]);
    assert_eq!(Ending::Abandoned.evidence(), None);
}

#[test]
fn a_refusal_settles_those_before_it_and_asks_none_behind() {
    let (chain, log) = chain(&[PASS, PASS, REFUSE, PASS]);
    let rejection = ask(&chain, Nanos(1)).err().unwrap();
    assert_eq!((rejection.rule, rejection.grpc_status()), (RuleId(2), 14));
    let refused = Ending::Ended(Outcome::ConnectionLimitReached);
    assert_eq!(*log.lock(), [(1, refused, Nanos(1)), (0, refused, Nanos(1))]);
    assert_eq!(refused.evidence(), None, "a refusal of ours is no evidence");
    let counted: Vec<_> =
        chain.rules().map(|(_, r)| (r.count(Action::Admitted), r.count(Action::Rejected))).collect();
    assert_eq!(counted, [(1, 0), (1, 0), (0, 1), (0, 0)]);
}

#[test]
fn shadow_refuses_nobody_and_is_owed_nothing() {
    let (chain, log) = chain(&[PASS, WOULD_REFUSE, PASS]);
    let admitted = ask(&chain, Nanos(1)).ok().unwrap();
    assert_eq!(admitted.shadowed(), 1 << 1);
    admitted.settle(Outcome::Ok, Nanos(2));
    let settled: Vec<_> = log.lock().iter().map(|(id, ..)| *id).collect();
    assert_eq!(settled, [2, 0]);
}

#[test]
fn disabled_is_not_asked() {
    let (chain, _) = chain(&[(Mode::Disabled, true)]);
    assert!(ask(&chain, Nanos(1)).is_ok());
}

#[test]
fn an_empty_chain_lets_everybody_pass() {
    let (chain, _) = chain(&[]);
    let admitted = ask(&chain, Nanos(1)).ok().unwrap();
    assert_eq!((admitted.not_before(), admitted.shadowed(), Arc::strong_count(&chain)), (Nanos(0), 0, 1));
}
