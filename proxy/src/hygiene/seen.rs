//! Which fields that matter to us a head has: one walk over its names instead of a look-up for each.
use http::header::HeaderMap;

use super::hop;
use super::untrusted;

/// A set of [`Field`]s, as they were when it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen(u32);

/// A field, or a kind of fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Field {
    /// `Connection`.
    Connection = 1 << 0,
    /// `TE`.
    Te = 1 << 1,
    /// `Upgrade`.
    Upgrade = 1 << 2,
    /// `Expect`.
    Expect = 1 << 3,
    /// Any other hop-by-hop field.
    Hop = 1 << 4,
    /// A field that only a trusted peer may send.
    Claim = 1 << 5,
    /// A name with an underscore.
    Underscore = 1 << 6,
    /// `Content-Type`.
    ContentType = 1 << 7,
    /// `Host`.
    Host = 1 << 8,
    /// `Via`.
    Via = 1 << 9,
    /// `X-Forwarded-For`, `-Proto` or `-Host`, or `Forwarded`.
    Forwarded = 1 << 10,
    /// `x-request-id`.
    RequestId = 1 << 11,
    /// `traceparent` or `tracestate`.
    Trace = 1 << 12,
    /// `outrigger-attempt` or `grpc-previous-rpc-attempts`.
    Attempt = 1 << 13,
    /// `grpc-timeout`, `x-request-timeout-ms` or `x-envoy-expected-rq-timeout-ms`.
    Timeout = 1 << 14,
}

impl Seen {
    /// Walks over the names once.
    #[must_use]
    pub fn of(headers: &HeaderMap) -> Self {
        headers.keys().fold(Self::default(), |seen, name| seen.and(name.as_str()))
    }

    /// Whether the head has it, or had it when this was made.
    #[must_use]
    pub const fn has(self, field: Field) -> bool {
        self.0 & field as u32 != 0
    }

    const fn with(self, field: Field) -> Self {
        Self(self.0 | field as u32)
    }

    fn and(self, name: &str) -> Self {
        let known = match name {
            "connection" => Field::Connection,
            "te" => Field::Te,
            "upgrade" => Field::Upgrade,
            "expect" => Field::Expect,
            "content-type" => Field::ContentType,
            "host" => Field::Host,
            "via" => Field::Via,
            "traceparent" | "tracestate" => Field::Trace,
            "grpc-timeout" | "x-request-timeout-ms" | "x-envoy-expected-rq-timeout-ms" => Field::Timeout,
            "grpc-previous-rpc-attempts" => Field::Attempt,
            "outrigger-attempt" => return self.with(Field::Attempt).with(Field::Claim),
            "x-request-id" => return self.with(Field::RequestId).with(Field::Claim),
            "x-forwarded-for" | "x-forwarded-proto" | "x-forwarded-host" | "forwarded" => {
                return self.with(Field::Forwarded).with(Field::Claim);
            }
            name if hop::OTHERS.contains(&name) => Field::Hop,
            name if untrusted::is_claim(name) => return self.with(Field::Claim).lookalike(name),
            name => return self.lookalike(name),
        };
        self.with(known)
    }

    fn lookalike(self, name: &str) -> Self {
        if untrusted::has_underscore(name.as_bytes()) { self.with(Field::Underscore) } else { self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::header::{HeaderName, HeaderValue};

    fn seen(names: &[&'static str]) -> Seen {
        let field = |name: &&'static str| (HeaderName::from_static(name), HeaderValue::from_static("1"));
        Seen::of(&names.iter().map(field).collect())
    }

    #[test]
    fn sees_each_field_and_nothing_else() {
        assert_eq!(seen(&["accept", "user-agent", "x-tenant", "content-length"]), Seen::default());
        for (name, field) in [
            ("connection", Field::Connection),
            ("te", Field::Te),
            ("upgrade", Field::Upgrade),
            ("expect", Field::Expect),
            ("keep-alive", Field::Hop),
            ("http2-settings", Field::Hop),
            ("x-real-ip", Field::Claim),
            ("a_b", Field::Underscore),
            ("content-type", Field::ContentType),
            ("host", Field::Host),
            ("via", Field::Via),
            ("tracestate", Field::Trace),
        ] {
            assert_eq!(seen(&["accept", name]), Seen::default().with(field), "{name}");
        }
        for name in ["forwarded", "x-forwarded-for", "x-forwarded-host"] {
            assert_eq!(seen(&[name]), Seen::default().with(Field::Forwarded).with(Field::Claim), "{name}");
        }
    }
}
