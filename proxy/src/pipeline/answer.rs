//! An answer's head, and what it says about the upstream.

use std::time::Duration;

use http::{HeaderMap, Response, header};
use outrigger_filters::outcome::Outcome;

use super::{is_grpc, outflow};
use crate::upstream::pool::Lease;

/// An answer whose head is in the exchange.
pub(crate) struct Answer {
    /// Brings its body.
    pub(crate) lease: Lease,
    /// What the exchange comes to if the rest arrives.
    pub(crate) outcome: Outcome,
    /// A gRPC answer whose status is still to come in the trailers.
    pub(crate) awaits_grpc_status: bool,
}

/// What an answer that is not a plain success says to who may ask again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) status: Option<u16>,
    pub(crate) grpc: Option<u16>,
    /// `Retry-After` in seconds, or `grpc-retry-pushback-ms`.
    pub(crate) retry_after: Option<Duration>,
    /// Whoever it came from has tried enough, or wants no more.
    pub(crate) no_retry: bool,
    /// The next hop says that nobody behind it has seen the request.
    pub(crate) unsent: bool,
}

/// What the head says so far, and whether a gRPC status is still to come.
pub(super) fn classify(response: &Response<()>, ended: bool) -> (Outcome, bool) {
    let outcome = match response.status().as_u16() {
        ..400 => Outcome::Ok,
        400..500 => Outcome::ClientError,
        _ => Outcome::Upstream5xx,
    };
    let headers = response.headers();
    if outcome != Outcome::Ok || !is_grpc(headers.get(header::CONTENT_TYPE)) {
        return (outcome, false);
    }
    match outflow::grpc_outcome(headers) {
        Some(outcome) => (outcome, false),
        None if ended => (Outcome::HttpResponseIncomplete, false),
        None => (Outcome::Ok, true),
    }
}

impl Told {
    /// Reads the head of an answer that came to `outcome`.
    pub(super) fn read(response: &Response<()>, outcome: Outcome) -> Self {
        let status = Some(response.status().as_u16());
        if outcome == Outcome::Ok {
            return Self { status, ..Self::default() };
        }
        let headers = response.headers();
        let pushback = text(headers, "grpc-retry-pushback-ms").and_then(|text| text.parse::<i64>().ok());
        let grpc = text(headers, "grpc-status").and_then(|text| text.parse().ok());
        let seconds = text(headers, "retry-after").and_then(|text| text.parse().ok());
        let pushed = pushback.and_then(|millis| u64::try_from(millis).ok()).map(Duration::from_millis);
        Self {
            status,
            grpc,
            retry_after: seconds.map(Duration::from_secs).or(pushed),
            no_retry: text(headers, "outrigger-no-retry") == Some("1")
                || pushback.is_some_and(|millis| millis < 0),
            unsent: text(headers, "outrigger-sent") == Some("0"),
        }
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &'static str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok().map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(status: u16, fields: &[(&'static str, &'static str)]) -> Told {
        let mut response = Response::builder().status(status).body(()).unwrap();
        for (name, value) in fields {
            response.headers_mut().insert(*name, value.parse().unwrap());
        }
        Told::read(&response, classify(&response, false).0)
    }

    #[test]
    fn hears_what_an_unhappy_answer_says_to_who_may_ask_again() {
        let wait = |seconds| Some(Duration::from_secs(seconds));
        assert_eq!(told(503, &[("retry-after", "7")]).retry_after, wait(7));
        assert_eq!(told(503, &[("retry-after", "Sun, 06 Nov 1994 08:49:37 GMT")]).retry_after, None);
        assert_eq!(told(503, &[("grpc-retry-pushback-ms", "2000")]).retry_after, wait(2));
        assert!(told(503, &[("grpc-retry-pushback-ms", "-1")]).no_retry);
        assert!(told(503, &[("outrigger-no-retry", "1")]).no_retry);
        assert!(
            told(503, &[("outrigger-sent", "0")]).unsent && !told(503, &[("outrigger-sent", "1")]).unsent
        );
        let grpc = told(200, &[("content-type", "application/grpc"), ("grpc-status", "8")]);
        assert_eq!((grpc.status, grpc.grpc), (Some(200), Some(8)));
    }

    #[test]
    fn takes_nothing_from_a_success() {
        let plain = Told { status: Some(200), ..Told::default() };
        assert_eq!(told(200, &[("retry-after", "7"), ("outrigger-sent", "0")]), plain);
    }
}
