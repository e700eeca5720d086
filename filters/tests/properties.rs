//! Bounds, against models that are obviously right.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests are tests")]

mod support;

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::time::Duration;

use governor::clock::FakeRelativeClock;
use governor::{Quota, RateLimiter};
use outrigger_filters::clock::Nanos;
use outrigger_filters::rate_limits::{Limit, OnOverflow};
use outrigger_filters::state::StateStore;
use outrigger_filters::unit::{Rate, Timespan};
use proptest::prelude::*;
use support::{Dice, Model, SECOND, ask, build, limit, passed, per_client};

/// Both are asked the same at the same moments.
fn agrees_with_governor(period: Duration, burst: u32, grain: u64, steps: &[(u64, usize)]) {
    let quota = Quota::with_period(period).unwrap().allow_burst(NonZeroU32::new(burst).unwrap());
    let clock = FakeRelativeClock::default();
    let governor = RateLimiter::direct_with_clock(quota, clock.clone());
    let ours = build(&StateStore::new(1), &[limit("a", Rate { count: 1, per: period }, u64::from(burst))]);
    let mut now = Nanos(0);
    for (wait, tries) in steps {
        let wait = Duration::from_nanos(wait * grain);
        clock.advance(wait);
        now = now.after(wait);
        let theirs = (0..*tries).filter(|_| governor.check().is_ok()).count();
        assert_eq!(passed(&ours, 1, now, *tries), theirs, "at {now:?}");
    }
}

proptest! {
    #[test]
    fn decides_as_governor_does(
        period in 100u64..1 << 20,
        burst in 1u32..40,
        steps in prop::collection::vec((0u64..3 << 20, 0usize..50), 1..60),
    ) {
        agrees_with_governor(Duration::from_nanos(period), burst, 1, &steps);
    }

    // Slow rates are exact on the grain of a level, a millionth of a token.
    #[test]
    fn decides_as_governor_does_at_slow_rates(
        grain in 1u64..100_000,
        burst in 1u32..40,
        steps in prop::collection::vec((0u64..4 << 20, 0usize..50), 1..60),
    ) {
        agrees_with_governor(Duration::from_nanos(grain << 20), burst, grain, &steps);
    }

    // The bound over any sequence of quotas, and no refusal within it: for one bucket and for many keys, seen or not.
    #[test]
    fn over_any_sequence_of_quotas_tokens_are_kept(
        keyed: bool,
        steps in prop::collection::vec((step(), 0u64..3_000_000_000, 0u32..4, 0usize..40), 1..80),
    ) {
        let store = StateStore::new(1);
        let make = |rate, burst| if keyed { per_client(limit("a", rate, burst)) } else { limit("a", rate, burst) };
        let mut quota = (Rate::per_second(7), 9);
        let mut chain = build(&store, &[make(quota.0, quota.1)]);
        let mut now = Nanos(5);
        let mut models = [Model::full(quota.0, quota.1, now); 4];
        prop_assert!(ask(&chain, 0, now).is_ok() && models[0].follow(true, now).is_ok());
        for (change, wait, client, tries) in steps {
            now = now.after(Duration::from_nanos(wait));
            if let Some(changed) = change {
                quota = changed;
                chain = build(&store, &[make(quota.0, quota.1)]);
            }
            // A change takes effect with the first request under it.
            for attempt in 0..tries {
                if attempt == 0 {
                    models.iter_mut().for_each(|model| model.change(quota.0, quota.1, now));
                }
                let model = if keyed { &mut models[client as usize] } else { &mut models[0] };
                let followed = model.follow(ask(&chain, client, now).is_ok(), now);
                prop_assert!(followed.is_ok(), "{:?}", followed);
            }
        }
    }

    #[test]
    fn all_limits_are_charged_or_none(
        bursts in prop::collection::vec((1u64..12, any::<bool>()), 1..6),
        clients in prop::collection::vec(0u32..5, 1..120),
    ) {
        let hourly = Rate { count: 1, per: SECOND * 3600 };
        let limits: Vec<Limit> = bursts.iter().enumerate().map(|(index, (burst, keyed))| {
            let limit = limit(&format!("n{index}"), hourly, *burst);
            if *keyed { per_client(limit) } else { limit }
        }).collect();
        let chain = build(&StateStore::new(1), &limits);
        let mut spent: HashMap<(usize, u32), u64> = HashMap::new();
        for client in clients {
            let bucket = |index: usize| (index, if bursts[index].1 { client } else { u32::MAX });
            let left = |index: &usize| spent.get(&bucket(*index)).copied().unwrap_or(0) < bursts[*index].0;
            let all = (0..bursts.len()).all(|index| left(&index));
            let first_without = (0..bursts.len()).find(|index| !left(index));
            match ask(&chain, client, Nanos(0)) {
                Ok(_) => prop_assert!(all),
                Err(rejection) => {
                    let name = chain.rule(rejection.rule).unwrap().name();
                    prop_assert_eq!(Some(name.to_owned()), first_without.map(|index| format!("n{index}")));
                }
            }
            if all {
                (0..bursts.len()).for_each(|index| *spent.entry(bucket(index)).or_default() += 1);
            }
        }
    }

    #[test]
    fn what_waits_is_never_early(rate in 1u64..2_000, burst in 1u64..5, steps in prop::collection::vec((0u64..50_000_000, 0usize..9), 1..60)) {
        let paced = Limit { pacing: Timespan::from_millis(200), ..limit("a", Rate::per_second(rate), burst) };
        let chain = build(&StateStore::new(1), &[paced]);
        let mut now = Nanos(0);
        let mut starts = Vec::new();
        for (wait, tries) in steps {
            now = now.after(Duration::from_nanos(wait));
            for _ in 0..tries {
                if let Ok(admitted) = ask(&chain, 1, now) {
                    prop_assert!(admitted.not_before() <= now.after(Duration::from_millis(200)));
                    starts.push(admitted.not_before().max(now));
                }
            }
        }
        // Those who wait go on no faster than the rate allows.
        let mut model = Model::full(Rate::per_second(rate), burst, Nanos(0));
        for start in starts {
            model.refill(start);
            model.left -= 1.0;
            prop_assert!(model.left > -Model::SLACK, "{:?}", model);
        }
    }
}

/// Perhaps a change of quota: slow, fast, narrow, wide.
fn step() -> impl Strategy<Value = Option<(Rate, u64)>> {
    let per = prop_oneof![Just(Duration::from_millis(100)), Just(SECOND), Just(SECOND * 60)];
    let quota = (1u64..2_000, per, 1u64..60).prop_map(|(count, per, burst)| (Rate { count, per }, burst));
    prop::option::of(quota)
}

/// A million keys against a table of a thousand: some come once, some keep coming, time passes, idle ones are
/// evicted and come back. Every single key must stay within its bound at every moment.
fn survives_churn(on_overflow: OnOverflow, requests: u32) {
    let (rate, burst) = (Rate { count: 1, per: SECOND * 20 }, 3);
    let attack = Limit { max_keys: 1_000, on_overflow, ..per_client(limit("a", rate, burst)) };
    let store = StateStore::new(1);
    let chain = build(&store, &[attack]);
    let mut models: HashMap<u32, Model> = HashMap::new();
    let (mut dice, mut now, mut most) = (Dice(7), Nanos(0), 0);
    for request in 0..requests {
        now = now.after(Duration::from_micros(100));
        // Most sweep through a million keys and come around again; some are of a few thousand that try to profit.
        let sweeping = request % 4 != 0;
        let client = if sweeping { 10_000 + request % 1_333_333 } else { dice.roll(4_000) as u32 };
        let admitted = ask(&chain, client, now).is_ok();
        if request % 90_000 == 0 {
            store.sweep(now);
        }
        let model = models.entry(client).or_insert_with(|| Model::full(rate, burst, Nanos(0)));
        model.refill(now);
        if admitted {
            model.left -= 1.0;
            assert!(model.left > -Model::SLACK, "client {client} after {request}: {model:?}");
        }
        most = most.max(chain.occupancy(outrigger_filters::filter::RuleId(0)).unwrap().used);
    }
    assert_eq!(most, 1_000);
}

#[test]
fn the_bound_holds_for_every_key_under_churn() {
    survives_churn(OnOverflow::Shared, 1_600_000);
}

#[test]
fn the_bound_holds_for_every_key_when_strangers_are_refused() {
    survives_churn(OnOverflow::Deny, 200_000);
}
