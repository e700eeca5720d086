//! One field line of a head or a trailer section (RFC 9112 §5, RFC 9110 §5.5, §6.5.1).
use super::{Malformed, class};

/// Splits `name: value`; the value comes without the white space around it.
#[inline]
pub(super) fn parse(line: &[u8]) -> Result<(&[u8], &[u8]), Malformed> {
    match line.split_at_checked(class::span(line, class::TOKEN)) {
        Some(([], [b' ' | b'\t', ..])) => Err(Malformed::Folded),
        Some((name @ [_, ..], [b':', value @ ..])) if class::is_field_value(value) => Ok((name, trim(value))),
        Some(([_, ..], [b':', ..])) => Err(Malformed::FieldValue),
        _ => Err(Malformed::FieldName),
    }
}

/// Refuses trailer fields that would change framing, routing, authentication or how the content is read, were
/// they merged into the head; and those that say who is asking.
pub(super) fn check_trailer(name: &[u8]) -> Result<(), Malformed> {
    let name_is = |known: &&str| name.eq_ignore_ascii_case(known.as_bytes());
    let starts = |prefix: &&str| {
        name.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix.as_bytes()))
    };
    if FORBIDDEN.iter().any(name_is) || FORBIDDEN_PREFIXES.iter().any(starts) {
        return Err(Malformed::TrailerField);
    }
    if is_lookalike(name) { Err(Malformed::Lookalike) } else { Ok(()) }
}

/// Names that a server mapping `-` to `_` (CGI, WSGI) would read as framing.
pub(super) fn is_lookalike(name: &[u8]) -> bool {
    let matches = |known: &[u8]| {
        name.len() == known.len()
            && name.iter().zip(known).all(|(&byte, &wanted)| {
                byte.eq_ignore_ascii_case(&wanted) || (byte == b'_' && wanted == b'-')
            })
    };
    memchr::memchr(b'_', name).is_some() && (matches(b"content-length") || matches(b"transfer-encoding"))
}

#[inline]
fn trim(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = value {
        value = rest;
    }
    while let [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

const FORBIDDEN_PREFIXES: [&str; 4] = ["proxy-", "x-forwarded-", "x-envoy-", "outrigger-"];

const FORBIDDEN: [&str; 35] = [
    "age",
    "authorization",
    "cache-control",
    "connection",
    "content-encoding",
    "content-length",
    "content-location",
    "content-range",
    "content-type",
    "cookie",
    "date",
    "expect",
    "expires",
    "forwarded",
    "host",
    "http2-settings",
    "idempotency-key",
    "if-match",
    "if-none-match",
    "keep-alive",
    "location",
    "max-forwards",
    "pragma",
    "range",
    "retry-after",
    "set-cookie",
    "te",
    "traceparent",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "via",
    "www-authenticate",
    "x-criticality",
    "x-real-ip",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_name_and_value() {
        assert_eq!(parse(b"a:b"), Ok((&b"a"[..], &b"b"[..])));
        assert_eq!(parse(b"A-1: \t b c\xff \t"), Ok((&b"A-1"[..], &b"b c\xff"[..])));
        assert_eq!(parse(b"a:"), Ok((&b"a"[..], &b""[..])));
        assert_eq!(parse(b"a::"), Ok((&b"a"[..], &b":"[..])));
    }

    #[test]
    fn names_the_fault() {
        assert_eq!(parse(b" a:b"), Err(Malformed::Folded));
        assert_eq!(parse(b"\ta"), Err(Malformed::Folded));
        for bad in [&b":b"[..], b"a :b", b"a\t:b", b"a", b"a b:c", b"a\0:b", b"\xe9:b", b"a(:b", b"\"a\":b"] {
            assert_eq!(parse(bad), Err(Malformed::FieldName), "{bad:?}");
        }
        for bad in [&b"a:\0"[..], b"a:b\x01", b"a:\x7f", b"a:b\x0bc", b"a:01234567890123456789\x1f"] {
            assert_eq!(parse(bad), Err(Malformed::FieldValue), "{bad:?}");
        }
    }

    #[test]
    fn keeps_framing_and_identity_out_of_trailers() {
        for bad in [
            "Content-Length",
            "TRANSFER-ENCODING",
            "host",
            "Proxy-Anything",
            "X-Forwarded-For",
            "outrigger-x",
        ] {
            assert_eq!(check_trailer(bad.as_bytes()), Err(Malformed::TrailerField), "{bad}");
        }
        assert_eq!(check_trailer(b"content_length"), Err(Malformed::Lookalike));
        for good in ["grpc-status", "server-timing", "x-checksum", "etag"] {
            assert_eq!(check_trailer(good.as_bytes()), Ok(()), "{good}");
        }
    }
}
