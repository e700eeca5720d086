//! What is checked of a request and set on it before it leaves.

use std::hint::black_box;

use anyhow::ensure;
use http::Version;
use http::header::{CONNECTION, HeaderValue, VIA};
use outrigger_proxy::hygiene::forwarded::{self, PeerHeaders, Scheme};
use outrigger_proxy::hygiene::guard::{Guard, HeadLimits};
use outrigger_proxy::hygiene::hop::{self, Keep};
use outrigger_proxy::hygiene::random::Random;
use outrigger_proxy::hygiene::request_id::{RequestId, X_REQUEST_ID};
use outrigger_proxy::hygiene::seen::Seen;
use outrigger_proxy::hygiene::{path as paths, trace, untrusted, via};

use super::{Run, client, policies};

/// As curl sends it.
const HEAD: &[u8] = b"GET /v1/orders/471?expand=lines HTTP/1.1\r\n\
    Host: orders.example:8080\r\n\
    User-Agent: curl/8.5.0\r\n\
    Accept: */*\r\n\r\n";

pub(super) fn guard() -> anyhow::Result<Run> {
    let mut guard = Guard::new(HeadLimits::default());
    ensure!(HEAD.len() == 108, "the head has {} bytes", HEAD.len());
    ensure!(guard.inspect(HEAD).release == HEAD.len(), "the guard holds the head back");
    Ok(Box::new(move || {
        black_box(guard.inspect(black_box(HEAD)));
    }))
}

pub(super) fn path() -> anyhow::Result<Run> {
    let path = "/v1/orders/4711/lines?expand=product&locale=de-DE";
    ensure!(paths::check(path, 16 * 1024).is_ok(), "the path is refused");
    Ok(Box::new(move || {
        let _ = black_box(paths::check(black_box(path), 16 * 1024));
    }))
}

pub(super) fn hop() -> anyhow::Result<Run> {
    let mut headers = policies::headers();
    let mut run = move || {
        headers.insert(CONNECTION, HeaderValue::from_static("keep-alive"));
        let seen = Seen::of(black_box(&headers));
        let stripped = hop::strip_request(&mut headers, seen, Keep::default());
        stripped.is_ok() && !headers.contains_key(CONNECTION)
    };
    ensure!(run(), "the field stays");
    Ok(Box::new(move || {
        black_box(run());
    }))
}

pub(super) fn untrusted() -> anyhow::Result<Run> {
    let mut headers = policies::headers();
    let mut run = move || {
        let seen = Seen::of(black_box(&headers));
        untrusted::strip(&mut headers, seen).is_ok() && headers.len() == 4
    };
    ensure!(run(), "a field is taken for a claim");
    Ok(Box::new(move || {
        black_box(run());
    }))
}

pub(super) fn forwarded() -> anyhow::Result<Run> {
    let (mut headers, peer) = (policies::headers(), PeerHeaders::new(client(1), Scheme::Http));
    // The map has grown before anything is counted.
    headers.reserve(16);
    let mut run = move || {
        forwarded::set(black_box(&mut headers), &peer, None, false);
        via::add(&mut headers, Version::HTTP_11);
        let set = headers.len();
        headers.remove(VIA);
        set
    };
    ensure!(run() == 8, "not all fields are set");
    Ok(Box::new(move || {
        black_box(run());
    }))
}

pub(super) fn identify() -> anyhow::Result<Run> {
    let (mut headers, mut random) = (policies::headers(), Random::from_seed([1, 2, 3, 4]));
    headers.reserve(16);
    let mut run = move || {
        let id = RequestId::of(black_box(&headers), false, 1_700_000_000_000, &mut random);
        id.set(&mut headers);
        let (_, own) = trace::enter(&mut headers, &mut random, |_| false);
        black_box((id, own.to_text()));
        // As it came: the next request has none.
        headers.remove(&X_REQUEST_ID).is_some()
    };
    ensure!(run(), "a field is not set");
    Ok(Box::new(move || {
        black_box(run());
    }))
}
