use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;

use super::*;
use crate::chain::{Action, Admitted, Chain};
use crate::policies::RoutePolicies;
use crate::state::StateStore;
use crate::unit::Timespan;

const SECOND: Duration = Duration::from_secs(1);

fn chain(store: &StateStore, limits: &[Limit]) -> Arc<Chain> {
    RoutePolicies { rate_limits: limits.to_vec() }.build("route", store)
}

fn limit(name: &str, rate: u64, burst: u64) -> Limit {
    Limit { burst: Some(burst), ..Limit::new(name, Rate::per_second(rate)) }
}

fn per_ip(limit: Limit) -> Limit {
    Limit { key: vec![KeyPart::ClientIp], ..limit }
}

fn ask(chain: &Arc<Chain>, ip: u32, now: Nanos) -> Result<Admitted, Rejection> {
    let headers = HeaderMap::new();
    let client_ip = IpAddr::V4(Ipv4Addr::from(ip));
    chain.admit(&RequestView::get("/", &headers, client_ip), now)
}

fn admitted(chain: &Arc<Chain>, ip: u32, now: Nanos, tries: usize) -> usize {
    (0..tries).filter(|_| ask(chain, ip, now).is_ok()).count()
}

#[test]
fn refuses_above_burst_and_says_when_to_come_back() {
    let chain = chain(&StateStore::new(1), &[limit("a", 2, 3)]);
    assert_eq!(admitted(&chain, 1, Nanos(5), 10), 3);
    let rejection = ask(&chain, 1, Nanos(5)).err().unwrap();
    assert_eq!((rejection.filter, rejection.status, rejection.grpc_status()), ("rate_limits", 429, 8));
    assert_eq!((rejection.reason, rejection.error), ("over_limit", "http_request_denied"));
    assert_eq!(rejection.retry_after, Duration::from_millis(500));
    let quota = rejection.quota.unwrap();
    assert_eq!((quota.limit, quota.window, quota.remaining, quota.reset), (3, 1, 0, 1));
    assert_eq!(chain.rule(rejection.rule).unwrap().name(), "a");
}

#[test]
fn a_peek_says_what_would_happen_and_takes_nothing() {
    let chain = chain(&StateStore::new(1), &[limit("a", 1, 1)]);
    let headers = HeaderMap::new();
    let view = RequestView::get("/", &headers, IpAddr::V4(Ipv4Addr::LOCALHOST));
    assert!(chain.peek(&view, Nanos(0)).is_ok() && chain.peek(&view, Nanos(0)).is_ok());
    assert_eq!(admitted(&chain, 1, Nanos(0), 2), 1);
    let refused = chain.peek(&view, Nanos(0)).unwrap_err();
    assert_eq!((refused.status, chain.rule(refused.rule).unwrap().count(Action::Rejected)), (429, 2));
}

#[test]
fn each_key_has_a_bucket_of_its_own() {
    let chain = chain(&StateStore::new(1), &[per_ip(limit("a", 1, 2))]);
    assert_eq!(admitted(&chain, 1, Nanos(0), 5), 2);
    assert_eq!(admitted(&chain, 2, Nanos(0), 5), 2);
    assert_eq!(chain.occupancy(RuleId(0)), Some(Occupancy { used: 2, capacity: 65_536 }));
}

#[test]
fn a_request_refused_by_one_limit_costs_nothing_in_the_others() {
    let limits = [limit("wide", 1, 10), per_ip(limit("narrow", 1, 1))];
    let chain = chain(&StateStore::new(1), &limits);
    assert_eq!(admitted(&chain, 1, Nanos(0), 100), 1);
    let others = (2..100).filter(|ip| ask(&chain, *ip, Nanos(0)).is_ok()).count();
    assert_eq!(others, 9);
}

#[test]
fn a_charge_lost_in_a_race_is_taken_back() {
    let store = StateStore::new(1);
    let limits = [limit("first", 1, 5), limit("last", 1, 1)];
    let chain = chain(&store, &limits);
    // As if another worker took the last token of `last` between our check and our charge.
    let mut build = Build::new("route", &store);
    let filter =
        RateLimits { limits: limits.iter().map(|limit| Limiter::build(limit, &mut build)).collect() };
    let hashes = [0; MAX_LIMITS];
    assert!(filter.charge(&hashes, Nanos(0)).is_ok());
    for _ in 0..9 {
        assert_eq!(filter.charge(&hashes, Nanos(0)).unwrap_err().rule, RuleId(1));
    }
    let left = filter.limits[0].take(0, Nanos(0)).is_ok();
    assert!(left && chain.rules().len() == 2, "nine losers took nothing from `first`");
    assert_eq!((0..9).filter(|_| filter.limits[0].take(0, Nanos(0)).is_ok()).count(), 3);
}

#[test]
fn shadow_counts_and_lets_pass_without_touching_the_rest() {
    let shadow = Limit { mode: Mode::Shadow, ..limit("rehearsed", 1, 1) };
    let chain = chain(&StateStore::new(1), &[shadow, limit("real", 1, 3)]);
    let shadowed: Vec<_> =
        (0..4).map(|_| ask(&chain, 1, Nanos(0)).ok().map(|pass| pass.shadowed())).collect();
    let (_, rehearsed) = chain.rules().find(|(_, rule)| rule.name() == "rehearsed").unwrap();
    assert_eq!(
        (rehearsed.mode(), rehearsed.count(Action::Rejected), rehearsed.count(Action::Admitted)),
        (Mode::Shadow, 2, 1)
    );
    let bit = 1 << 1;
    assert_eq!(shadowed, [Some(0), Some(bit), Some(bit), None]);
}

#[test]
fn shadow_and_enforced_spend_apart() {
    let store = StateStore::new(1);
    let rehearsed = chain(&store, &[Limit { mode: Mode::Shadow, ..limit("a", 1, 5) }]);
    assert_eq!(admitted(&rehearsed, 1, Nanos(0), 50), 50);
    assert_eq!(admitted(&chain(&store, &[limit("a", 1, 5)]), 1, Nanos(0), 50), 5);
}

#[test]
fn disabled_is_not_there() {
    let chain = chain(&StateStore::new(1), &[Limit { mode: Mode::Disabled, ..limit("a", 1, 1) }]);
    assert!(chain.is_empty() && chain.rules().len() == 0);
    assert_eq!(admitted(&chain, 1, Nanos(0), 50), 50);
}

#[test]
fn pacing_waits_as_long_as_it_may() {
    let paced = Limit { pacing: Timespan::from_millis(250), ..limit("a", 10, 1) };
    let chain = chain(&StateStore::new(1), &[paced]);
    let now = Nanos(7);
    let waits: Vec<_> =
        (0..4).map(|_| ask(&chain, 1, now).map(|pass| pass.not_before().since(now)).ok()).collect();
    let ms = Duration::from_millis;
    assert_eq!(waits, [Some(ms(0)), Some(ms(100)), Some(ms(200)), None]);
    let (_, rule) = chain.rules().next().unwrap();
    assert_eq!(
        [rule.count(Action::Admitted), rule.count(Action::Queued), rule.count(Action::Rejected)],
        [1, 2, 1]
    );
}

#[test]
fn overflow_is_counted_and_deny_says_why() {
    let store = StateStore::new(1);
    let small = |name, on_overflow| per_ip(Limit { max_keys: 1, on_overflow, ..limit(name, 1, 2) });
    let shared = chain(&store, &[small("shared", OnOverflow::Shared)]);
    let total: usize = (0..50).map(|ip| admitted(&shared, ip, Nanos(0), 3)).sum();
    let (_, rule) = shared.rules().next().unwrap();
    assert_eq!(rule.count(Action::Overflow) as usize, total - 2);
    let deny = chain(&store, &[small("deny", OnOverflow::Deny)]);
    assert_eq!(admitted(&deny, 1, Nanos(0), 3), 2);
    assert_eq!(ask(&deny, 2, Nanos(0)).err().unwrap().reason, "too_many_keys");
}

#[test]
fn headers_always_tell_the_quota_nearest_to_exhaustion() {
    let always = |limit: Limit| Limit { headers: Headers::Always, ..limit };
    let chain = chain(
        &StateStore::new(1),
        &[always(limit("a", 10, 100)), always(limit("b", 1, 4)), limit("c", 1, 3)],
    );
    let pass = ask(&chain, 1, Nanos(0)).ok().unwrap();
    let quota = pass.quota().unwrap();
    assert_eq!(chain.rule(quota.rule).unwrap().name(), "b");
    assert_eq!((quota.limit, quota.window, quota.remaining, quota.reset), (4, 4, 3, 1));
}

#[test]
fn headers_off_tell_nothing() {
    let chain = chain(&StateStore::new(1), &[Limit { headers: Headers::Off, ..limit("a", 1, 1) }]);
    assert!(ask(&chain, 1, Nanos(0)).ok().unwrap().quota().is_none());
    assert!(ask(&chain, 1, Nanos(0)).err().unwrap().quota.is_none());
}

#[test]
fn a_sweep_forgets_idle_keys_and_nothing_else() {
    let store = StateStore::new(1);
    let chain = chain(&store, &[per_ip(limit("a", 1, 2))]);
    let now = Nanos(0).after(SECOND);
    assert_eq!(admitted(&chain, 1, now, 1) + admitted(&chain, 2, now, 5), 3);
    store.sweep(now.after(SECOND + Duration::from_micros(1)));
    assert_eq!(chain.occupancy(RuleId(0)).unwrap().used, 1);
    assert_eq!(admitted(&chain, 2, now.after(SECOND), 5), 1);
}
