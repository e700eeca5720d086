//! Header clean-up never panics, and leaves nothing hop-by-hop and no claim of an untrusted peer behind.
//! The input is lines of `name: value`.
#![no_main]
use http::header::{HeaderMap, HeaderName, HeaderValue};
use libfuzzer_sys::fuzz_target;
use outrigger_proxy::hygiene::forwarded::{PeerHeaders, Scheme, client_ip, set};
use outrigger_proxy::hygiene::network::Trust;
use outrigger_proxy::hygiene::random::Random;
use outrigger_proxy::hygiene::seen::Seen;
use outrigger_proxy::hygiene::{hop, request_id, trace, untrusted, via};

fn read(data: &[u8]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for line in data.split(|&byte| byte == b'\n').take(100) {
        let Some(colon) = line.iter().position(|&byte| byte == b':') else { continue };
        let name = HeaderName::from_bytes(&line[..colon]);
        let value = HeaderValue::from_bytes(line[colon + 1..].trim_ascii());
        if let (Ok(name), Ok(value)) = (name, value) {
            headers.append(name, value);
        }
    }
    headers
}

fuzz_target!(|data: &[u8]| {
    let peer = [127, 0, 0, 1].into();
    let mut headers = read(data);
    let mut random = Random::from_seed([1, 2, 3, 4]);
    client_ip(peer, &headers, &Trust::loopback());
    via::own_entries(&headers);
    let _ = via::count_down(&http::Method::TRACE, &mut headers);
    let (_, own) = trace::enter(&mut headers, &mut random, |_| true);
    assert_eq!(trace::TraceContext::parse(&own.to_text()), Some(own));
    request_id::RequestId::of(&headers, true, 1, &mut random).set(&mut headers);
    set(&mut headers, &PeerHeaders::new(peer, Scheme::Http), None, true);
    let mut response = headers.clone();
    hop::strip_response(&mut response, false);
    assert!(!response.contains_key("connection") && !response.contains_key("transfer-encoding"));
    let seen = Seen::of(&headers);
    if hop::strip_request(&mut headers, seen, hop::Keep::default()).is_ok() {
        assert!(!headers.contains_key("connection") && !headers.contains_key("te"));
    }
    if untrusted::strip(&mut headers, seen).is_ok() {
        assert!(headers.keys().all(|name| !untrusted::is_claim(name.as_str())));
    }
});
