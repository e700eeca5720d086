//! The one record of a finished request. Metrics, access log, decisions and traces are all derived from it, which
//! is why they agree.
//!
//! It is plain data of at most 128 bytes, made on the stack at the end of the stream. Text that came with the
//! request (path, host, request id) is not in it; it is lent to the log line as [`super::Detail`].

pub use outrigger_filters::outcome::{Domain, Outcome};

use super::names::{NameId, RuleSet};

/// Which way a request went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Direction {
    /// To the app.
    #[default]
    Inbound = 0,
    /// From the app to a dependency.
    Outbound = 1,
}

impl Direction {
    /// `inbound` or `outbound`.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Inbound => "inbound",
            Self::Outbound => "outbound",
        }
    }
}

macro_rules! closed {
    ($(#[$doc:meta])* $name:ident { $($variant:ident = $label:literal),+ $(,)? } else $other:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
        #[repr(u8)]
        #[allow(missing_docs, reason = "each variant is its label")]
        pub enum $name { $($variant),+, #[default] $other }

        impl $name {
            /// Every value, in the order of its code.
            pub const ALL: &[Self] = &[$(Self::$variant),+, Self::$other];

            /// The value as OpenTelemetry writes it.
            #[must_use]
            pub const fn label(self) -> &'static str {
                match self { $(Self::$variant => $label),+, Self::$other => "_OTHER" }
            }
        }
    };
}

closed! {
    /// A request method; whatever is not known is `_OTHER` (OpenTelemetry, `http.request.method`), so that a client
    /// cannot make labels.
    Method {
        Get = "GET", Head = "HEAD", Post = "POST", Put = "PUT", Delete = "DELETE", Connect = "CONNECT",
        Options = "OPTIONS", Trace = "TRACE", Patch = "PATCH", Query = "QUERY",
    } else Other
}

closed! {
    /// A protocol version, as `network.protocol.version` has it.
    Proto { H10 = "1.0", H11 = "1.1", H2 = "2" } else Other
}

impl From<&http::Method> for Method {
    fn from(method: &http::Method) -> Self {
        let text = method.as_str();
        Self::ALL.iter().copied().find(|known| known.label() == text).unwrap_or(Self::Other)
    }
}

impl From<http::Version> for Proto {
    fn from(version: http::Version) -> Self {
        match version {
            http::Version::HTTP_10 => Self::H10,
            http::Version::HTTP_11 => Self::H11,
            http::Version::HTTP_2 => Self::H2,
            _ => Self::Other,
        }
    }
}

/// Yes-or-no facts of a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Flags(u8);

impl Flags {
    /// The head of a response went out.
    pub const RESPONSE_STARTED: Self = Self(1);
    /// The client left before the end.
    pub const CLIENT_CANCELLED: Self = Self(1 << 1);
    /// The response is the upstream's, not our own.
    pub const FROM_UPSTREAM: Self = Self(1 << 2);

    /// These and `other`.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether all of `other` are set.
    #[must_use]
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

/// How long the phases of a request took, in microseconds; saturates after 71 minutes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Timings {
    /// Waiting for permits.
    pub queue: u32,
    /// Waiting for a connection.
    pub connect: u32,
    /// From the request's head to the response's.
    pub ttfb: u32,
    /// From the request's head to the end of the response.
    pub total: u32,
}

/// What became of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    /// When it began, in milliseconds since the Unix epoch.
    pub start_ms: u64,
    /// Policy in force when it was admitted.
    pub generation: u64,
    /// Rules in shadow mode that would have acted: bit n is rule n of `rules`.
    pub shadow: u64,
    /// Body bytes received from the caller.
    pub bytes_in: u64,
    /// Body bytes sent to the caller.
    pub bytes_out: u64,
    /// Our span; zero if none.
    pub span_id: u64,
    /// W3C trace id; zero if none.
    pub trace_id: [u8; 16],
    /// The route.
    pub route: NameId,
    /// The dependency; none where the request went to the app.
    pub dependency: NameId,
    /// What `rule` and `shadow` count in.
    pub rules: RuleSet,
    /// How long it took.
    pub timings: Timings,
    /// The rule that decided: 1 + its index in `rules`, or 0.
    pub rule: u16,
    /// Status sent to the caller; 0 if none was.
    pub status: u16,
    /// Which way it went.
    pub direction: Direction,
    /// Its method.
    pub method: Method,
    /// The caller's protocol.
    pub proto: Proto,
    /// Its one classification.
    pub outcome: Outcome,
    /// Attempts made upstream.
    pub attempts: u8,
    /// Yes-or-no facts.
    pub flags: Flags,
}

const _: () = assert!(size_of::<Record>() <= 128, "a record is at most 128 bytes");

impl Default for Record {
    /// A request nothing is known of.
    fn default() -> Self {
        Self {
            start_ms: 0,
            generation: 0,
            shadow: 0,
            bytes_in: 0,
            bytes_out: 0,
            span_id: 0,
            trace_id: [0; 16],
            route: NameId::NONE,
            dependency: NameId::NONE,
            rules: RuleSet::default(),
            timings: Timings::default(),
            rule: 0,
            status: 0,
            direction: Direction::default(),
            method: Method::default(),
            proto: Proto::default(),
            outcome: Outcome::Ok,
            attempts: 0,
            flags: Flags::default(),
        }
    }
}

impl Record {
    /// Who made the response: `upstream` or `proxy`.
    #[must_use]
    pub const fn origin(&self) -> &'static str {
        if self.flags.has(Flags::FROM_UPSTREAM) { "upstream" } else { "proxy" }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_methods_share_one_label() {
        let odd = http::Method::from_bytes(b"X-1").unwrap();
        assert_eq!(Method::from(&odd).label(), "_OTHER");
        assert_eq!(Method::from(&http::Method::PATCH).label(), "PATCH");
    }

    #[test]
    fn flags_are_kept_apart() {
        let flags = Flags::default().with(Flags::FROM_UPSTREAM);
        assert!(flags.has(Flags::FROM_UPSTREAM) && !flags.has(Flags::CLIENT_CANCELLED));
    }
}
