//! A trace goes on only from a `traceparent` that is right in every character.
#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]
use http::header::{HeaderMap, HeaderName, HeaderValue};
use outrigger_proxy::hygiene::random::Random;
use outrigger_proxy::hygiene::trace::{TraceContext, enter};
use proptest::prelude::*;

const GOOD: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

fn random() -> Random {
    Random::from_seed([1, 2, 3, 4])
}

fn with(values: &[&str], state: &'static str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for value in values {
        headers.append(
            HeaderName::from_static("traceparent"),
            HeaderValue::from_bytes(value.as_bytes()).unwrap(),
        );
    }
    headers.insert(HeaderName::from_static("tracestate"), HeaderValue::from_static(state));
    headers
}

#[test]
fn continues_a_valid_trace_with_a_span_of_its_own() {
    let mut headers = with(&[GOOD], "a=1,b=2");
    let (parent, own) = enter(&mut headers, &mut random(), |_| panic!("not a root"));
    let parent = parent.unwrap();
    assert_eq!(parent.to_text(), GOOD.as_bytes());
    assert_eq!((own.trace_id, own.flags), (parent.trace_id, parent.flags));
    assert_ne!(own.span_id, parent.span_id);
    assert!(!headers.contains_key("traceparent"));
    assert_eq!(headers["tracestate"], "a=1,b=2");
}

#[test]
fn starts_a_trace_where_there_is_none_to_continue() {
    for values in [&[][..], &["x"], &[GOOD, GOOD]] {
        for sampled in [true, false] {
            let mut headers = with(values, "a=1");
            let (parent, own) = enter(&mut headers, &mut random(), |_| sampled);
            assert_eq!(parent, None);
            assert_eq!(own.is_sampled(), sampled);
            assert_eq!(own.flags & TraceContext::RANDOM, TraceContext::RANDOM);
            assert!(headers.is_empty());
            assert!(!headers.contains_key("traceparent"));
        }
    }
}

#[test]
fn refuses_everything_that_is_nearly_right() {
    for bad in [
        "",
        "00",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-011",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-x",
        " 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "0g-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "0A-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "00-0AF7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-B7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0A",
        "00-00000000000000000000000000000000-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
        "00_0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c_b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331_01",
        "00-0af7651916cd43dd8448eb211c80319-cb7ad6b7169203331-01",
        "01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01x",
    ] {
        assert_eq!(TraceContext::parse(bad.as_bytes()), None, "{bad}");
    }
}

#[test]
fn reads_later_versions_as_far_as_it_knows_them() {
    for later in [
        "01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-ff",
        "cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-ff-what-the-future-will-be-like",
    ] {
        let read = TraceContext::parse(later.as_bytes()).unwrap();
        assert_eq!(&read.to_text(), b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-03");
    }
}

proptest! {
    #[test]
    fn every_context_survives_being_written_and_read(trace_id: [u8; 16], span_id: [u8; 8], flags: u8) {
        prop_assume!(trace_id != [0; 16] && span_id != [0; 8]);
        let context = TraceContext { trace_id, span_id, flags };
        prop_assert_eq!(TraceContext::parse(&context.to_text()), Some(context));
    }

    #[test]
    fn never_panics_on_any_bytes(bytes: Vec<u8>, tail in "[0-9a-f-]{40,60}") {
        let _ = TraceContext::parse(&bytes);
        let _ = TraceContext::parse(tail.as_bytes());
    }
}
