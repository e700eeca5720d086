use super::*;

fn row(outcome: Outcome, status: u16) -> Evidence {
    evidence(Ended::with_status(outcome, status), false)
}

fn bare(outcome: Outcome) -> Evidence {
    evidence(Ended::new(outcome), false)
}

const RETRY: Option<Duration> = Some(Duration::from_secs(3));

#[test]
fn a_refusal_of_ours_never_feeds_anything() {
    let refusals = || Outcome::ALL.iter().filter(|outcome| outcome.is_refusal());
    assert!(refusals().count() >= 9);
    for outcome in refusals() {
        for slow in [false, true] {
            // Whatever status was answered, and however long it took.
            let ended = Ended { status: Some(503), retry_after: RETRY, ..Ended::new(*outcome) };
            let row = evidence(ended, slow);
            assert_eq!(Evidence { sli: Sli::Excluded, ..row }, NOTHING, "{outcome:?}");
        }
    }
    assert_eq!((bare(Outcome::RateLimited).sli, bare(Outcome::BadRequest).sli), (Sli::Bad, Sli::Excluded));
}

#[test]
fn whatever_the_upstream_did_is_told_to_the_breaker() {
    for outcome in Outcome::ALL.iter().filter(|outcome| !outcome.is_refusal()) {
        let learns = bare(*outcome).breaker != Verdict::Nothing;
        let callers_choice = matches!(outcome, Outcome::ClientCancelled | Outcome::HttpUpgradeFailed);
        assert_eq!(learns, !callers_choice, "{outcome:?}");
    }
}

#[test]
fn throttling_is_no_failure() {
    let unavailable = Ended { retry_after: RETRY, ..Ended::with_status(Outcome::Upstream5xx, 503) };
    let exhausted = Ended { grpc: Some(8), ..Ended::with_status(Outcome::GrpcError, 200) };
    for row in [row(Outcome::ClientError, 429), evidence(unavailable, true), evidence(exhausted, false)] {
        assert_eq!((row.breaker, row.limit, row.sli), (Verdict::Throttled, Sample::Drop, Sli::Bad));
        assert!(!row.deposit);
    }
    let floor = |seconds| {
        let retry_after = Some(Duration::from_secs(seconds));
        evidence(Ended { retry_after, ..unavailable }, false).balancer
    };
    assert_eq!([floor(0), floor(3), floor(99)], [1, 3, 10].map(|s| Score::AtLeast(Duration::from_secs(s))));
}

#[test]
fn a_503_that_does_not_say_when_is_a_failure() {
    assert_eq!(row(Outcome::Upstream5xx, 503).breaker, Verdict::Bad { connect: false, slow: false });
}

#[test]
fn what_the_upstream_cannot_do_is_no_failure() {
    let unimplemented = Ended { grpc: Some(12), ..Ended::with_status(Outcome::GrpcError, 200) };
    for row in
        [row(Outcome::Upstream5xx, 501), row(Outcome::Upstream5xx, 505), evidence(unimplemented, false)]
    {
        assert_eq!((row.breaker, row.outlier), (Verdict::Good { slow: false }, Mark::Good));
        assert_eq!((row.sli, row.deposit), (Sli::Bad, false));
    }
}

#[test]
fn a_4xx_is_a_good_answer() {
    let row = row(Outcome::ClientError, 404);
    assert_eq!((row.breaker, row.sli, row.deposit), (Verdict::Good { slow: false }, Sli::Good, true));
}

#[test]
fn timeouts_of_ours_are_failures_and_slow_also_below_the_threshold() {
    for (outcome, connect) in [
        (Outcome::HttpResponseTimeout, false),
        (Outcome::ConnectionReadTimeout, false),
        (Outcome::ConnectionTimeout, true),
        (Outcome::DnsTimeout, true),
    ] {
        let row = bare(outcome);
        assert_eq!((row.breaker, row.limit), (Verdict::Bad { connect, slow: true }, Sample::Drop));
    }
}

#[test]
fn connections_that_do_not_come_about_are_told_apart() {
    for outcome in [Outcome::ConnectionRefused, Outcome::TlsProtocolError, Outcome::TlsCertificateError] {
        let row = bare(outcome);
        assert_eq!(row.breaker, Verdict::Bad { connect: true, slow: false });
        assert_eq!((row.outlier, row.limit), (Mark::Unreachable, Sample::Nothing));
    }
    assert_eq!(bare(Outcome::DnsError).outlier, Mark::Nothing, "no endpoint was tried");
    assert_eq!(bare(Outcome::ConnectionTerminated).breaker, Verdict::Bad { connect: false, slow: false });
}

#[test]
fn a_caller_who_leaves_says_nothing_until_the_call_is_slow() {
    assert_eq!(bare(Outcome::ClientCancelled), NOTHING);
    let late = evidence(Ended::new(Outcome::ClientCancelled), true);
    assert_eq!((late.breaker, late.limit, late.sli), (Verdict::Good { slow: true }, Sample::Drop, Sli::Bad));
}

#[test]
fn fast_failures_attract_nobody() {
    for outcome in Outcome::ALL {
        let row = bare(*outcome);
        if matches!(row.breaker, Verdict::Bad { .. }) {
            assert_eq!(row.balancer, Score::AtLeast(FAILED), "{outcome:?}");
        }
    }
}
