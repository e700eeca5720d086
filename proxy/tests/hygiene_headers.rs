//! What leaves the proxy: nothing that belonged to one connection, nothing an untrusted peer may not say.
#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]
use http::header::{HeaderMap, HeaderName, HeaderValue};
use outrigger_proxy::hygiene::hop::{self, BadFields, Keep, is_ambiguous, strip_response};
use outrigger_proxy::hygiene::seen::Seen;
use outrigger_proxy::hygiene::untrusted;
use proptest::prelude::*;

fn strip_request(headers: &mut HeaderMap, keep: Keep) -> Result<(), BadFields> {
    let seen = Seen::of(headers);
    hop::strip_request(headers, seen, keep)
}

fn strip_untrusted(headers: &mut HeaderMap) -> Result<(), BadFields> {
    let seen = Seen::of(headers);
    untrusted::strip(headers, seen)
}

fn map(fields: &[(&str, &str)]) -> HeaderMap {
    fields
        .iter()
        .map(|(name, value)| {
            (
                HeaderName::from_bytes(name.as_bytes()).unwrap(),
                HeaderValue::from_bytes(value.as_bytes()).unwrap(),
            )
        })
        .collect::<Vec<_>>()
        .into_iter()
        .fold(HeaderMap::new(), |mut headers, (name, value)| {
            headers.append(name, value);
            headers
        })
}

fn left(headers: &HeaderMap) -> Vec<String> {
    headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect()
}

#[test]
fn removes_every_hop_by_hop_field_of_a_request() {
    let mut headers = map(&[
        ("connection", "close, X-Mine"),
        ("connection", "keep-alive,, x-other ,"),
        ("x-mine", "1"),
        ("x-mine", "2"),
        ("x-other", "1"),
        ("keep-alive", "timeout=5"),
        ("proxy-connection", "keep-alive"),
        ("proxy-authorization", "Basic x"),
        ("proxy-authenticate", "Basic"),
        ("te", "gzip"),
        ("transfer-encoding", "chunked"),
        ("upgrade", "h2c"),
        ("http2-settings", "x"),
        ("expect", "100-continue"),
        ("trailer", "x-sum"),
        ("accept", "*/*"),
    ]);
    assert_eq!(strip_request(&mut headers, Keep::default()), Ok(()));
    assert_eq!(headers, map(&[("trailer", "x-sum"), ("accept", "*/*")]));
}

#[test]
fn leaves_a_request_without_them_alone() {
    let mut headers = map(&[("host", "a"), ("accept", "*/*"), ("x-a", "1"), ("x-a", "2")]);
    let before = headers.clone();
    assert_eq!(strip_request(&mut headers, Keep::default()), Ok(()));
    assert_eq!(headers, before);
}

#[test]
fn keeps_exactly_te_trailers() {
    let keep = Keep { te_trailers: true, upgrade: false };
    for (te, kept) in [
        ("trailers", true),
        ("gzip, Trailers", true),
        ("trailers, deflate;q=0.5", true),
        ("gzip", false),
        ("trailersx", false),
        ("", false),
    ] {
        let mut headers = map(&[("te", te), ("connection", "te")]);
        strip_request(&mut headers, keep).unwrap();
        assert_eq!(left(&headers), if kept { vec!["te: trailers"] } else { vec![] }, "{te}");
        let mut headers = map(&[("te", te)]);
        strip_request(&mut headers, Keep::default()).unwrap();
        assert!(headers.is_empty(), "{te}");
    }
}

#[test]
fn keeps_an_upgrade_only_where_it_is_let_through_and_nominated() {
    let keep = Keep { te_trailers: false, upgrade: true };
    let ours = [("connection", "keep-alive, Upgrade"), ("upgrade", "websocket")];
    let mut headers = map(&ours);
    strip_request(&mut headers, keep).unwrap();
    assert_eq!(headers, map(&[("connection", "upgrade"), ("upgrade", "websocket")]));
    let mut headers = map(&ours);
    strip_request(&mut headers, Keep::default()).unwrap();
    assert!(headers.is_empty());
    let mut headers = map(&[("upgrade", "websocket")]);
    strip_request(&mut headers, keep).unwrap();
    assert!(headers.is_empty());
    let mut headers = map(&[("connection", "upgrade")]);
    strip_request(&mut headers, keep).unwrap();
    assert!(headers.is_empty());
    let mut headers = map(&ours);
    strip_response(&mut headers, true);
    assert_eq!(headers, map(&[("connection", "upgrade"), ("upgrade", "websocket")]));
}

#[test]
fn refuses_a_connection_that_nominates_what_is_for_everyone() {
    for name in [
        "host",
        "Content-Length",
        "content-type",
        "transfer-encoding",
        "Authorization",
        "cookie",
        "X-Forwarded-For",
        "x-forwarded-proto",
        "forwarded",
        "traceparent",
        "tracestate",
        "via",
        "idempotency-key",
        "x-criticality",
        "outrigger-sent",
        "x-request-id",
        "x-request-timeout-ms",
        "grpc-timeout",
        "cache-control",
        "range",
        "if-match",
        "x-envoy-internal",
        "max-forwards",
    ] {
        let mut headers = map(&[("connection", &format!("close, {name}")), ("accept", "*/*")]);
        assert_eq!(
            strip_request(&mut headers, Keep::default()),
            Err(BadFields::NominatesProtected),
            "{name}"
        );
    }
    for nonsense in ["a b", "\"close\"", "a=b", "close;x"] {
        let mut headers = map(&[("connection", nonsense)]);
        assert_eq!(
            strip_request(&mut headers, Keep::default()),
            Err(BadFields::NominatesNonsense),
            "{nonsense}"
        );
    }
}

#[test]
fn a_response_cannot_make_us_remove_what_is_for_everyone() {
    let mut headers = map(&[
        ("connection", "set-cookie, content-type, x-mine, @"),
        ("set-cookie", "a=b"),
        ("content-type", "a/b"),
        ("x-mine", "1"),
        ("keep-alive", "timeout=5"),
        ("transfer-encoding", "chunked"),
        ("upgrade", "h2c"),
        ("trailer", "x-sum"),
    ]);
    strip_response(&mut headers, false);
    assert_eq!(headers, map(&[("set-cookie", "a=b"), ("content-type", "a/b"), ("trailer", "x-sum")]));
}

#[test]
fn removes_the_claims_of_an_untrusted_peer_and_keeps_its_deadlines() {
    let mut headers = map(&[
        ("x-forwarded-for", "1.1.1.1"),
        ("x-forwarded-for", "2.2.2.2"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-client-cert", "By=x"),
        ("forwarded", "for=1.1.1.1"),
        ("x-real-ip", "1.1.1.1"),
        ("x-client-ip", "1.1.1.1"),
        ("true-client-ip", "1.1.1.1"),
        ("x-envoy-internal", "true"),
        ("x-envoy-retry-on", "5xx"),
        ("x-criticality", "critical"),
        ("outrigger-sent", "0"),
        ("outrigger-no-retry", "1"),
        ("x-request-id", "a"),
        ("x-original-url", "/admin"),
        ("x-rewrite-url", "/admin"),
        ("x-request-timeout-ms", "5"),
        ("grpc-timeout", "5m"),
        ("x-envoy-expected-rq-timeout-ms", "5"),
        ("traceparent", "x"),
        ("x-tenant", "t"),
        ("accept", "*/*"),
    ]);
    assert_eq!(strip_untrusted(&mut headers), Ok(()));
    let mut names: Vec<&str> = headers.keys().map(HeaderName::as_str).collect();
    names.sort_unstable();
    assert_eq!(
        names,
        [
            "accept",
            "grpc-timeout",
            "traceparent",
            "x-envoy-expected-rq-timeout-ms",
            "x-request-timeout-ms",
            "x-tenant"
        ]
    );
}

#[test]
fn refuses_names_that_could_stand_for_a_removed_one() {
    for name in ["x_forwarded_for", "x-real_ip", "_", "a_"] {
        assert_eq!(
            strip_untrusted(&mut map(&[("accept", "*/*"), (name, "1")])),
            Err(BadFields::Underscore),
            "{name}"
        );
    }
}

proptest! {
    #[test]
    fn nothing_hop_by_hop_is_left_and_nothing_else_is_lost(
        fields in prop::collection::vec(("(x-[a-c]|te|upgrade|keep-alive|expect|accept|connection|trailer)", "(x-[a-c]|close|te|trailers|, ){0,3}"), 0..12)
    ) {
        let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let before = map(&fields);
        let mut after = before.clone();
        if strip_request(&mut after, Keep::default()).is_ok() {
            let nominated: Vec<String> = before
                .get_all("connection")
                .iter()
                .flat_map(|value| value.to_str().unwrap().split(','))
                .map(|name| name.trim().to_owned())
                .collect();
            for (name, value) in &before {
                let hop = ["te", "upgrade", "keep-alive", "expect", "connection"].contains(&name.as_str())
                    || nominated.iter().any(|option| option == name.as_str());
                prop_assert_eq!(after.get_all(name).iter().any(|kept| kept == value), !hop, "{}", name);
            }
        }
    }

    #[test]
    fn no_claim_survives_however_many_there_are(count in 0..60usize) {
        let names: Vec<String> = (0..count).map(|index| format!("x-envoy-{index}")).collect();
        let mut fields: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "1")).collect();
        fields.push(("accept", "*/*"));
        let mut headers = map(&fields);
        strip_untrusted(&mut headers).unwrap();
        prop_assert_eq!(left(&headers), vec!["accept: */*"]);
    }
}

#[test]
fn knows_answers_whose_end_two_readers_could_see_in_two_places() {
    let (length, coding) = ("content-length", "transfer-encoding");
    for clear in [&[][..], &[(length, "5")], &[(coding, "chunked")], &[(coding, "Chunked"), ("te", "x")]] {
        assert!(!is_ambiguous(&map(clear)), "{clear:?}");
    }
    for unclear in [
        &[(length, "5"), (length, "5")][..],
        &[(length, "5, 5")],
        &[(length, "+5")],
        &[(length, "5"), (coding, "chunked")],
        &[(coding, "chunked, gzip")],
        &[(coding, "gzip"), (coding, "chunked")],
        &[(coding, "identity")],
    ] {
        assert!(is_ambiguous(&map(unclear)), "{unclear:?}");
    }
}
