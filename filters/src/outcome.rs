//! How a request ended: one closed list, classified once.
//!
//! Breakers, budgets, metrics, logs and SLIs all read this one value, so that they cannot disagree about what
//! a failure is. [`Outcome::label`] is the `error.type` of telemetry; where RFC 9209 (Proxy-Status) has a name
//! for it, it is that name.

/// Who is at fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Domain {
    /// Nobody: it went well.
    None,
    /// The caller: what it sent, or that it left.
    Client,
    /// A rule of the operator's, which refused.
    Policy,
    /// This process or its configuration.
    Proxy,
    /// The way to the upstream: names, connections, TLS.
    Network,
    /// The upstream itself.
    Upstream,
}

impl Domain {
    /// As it stands in logs and labels.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Client => "client",
            Self::Policy => "policy",
            Self::Proxy => "proxy",
            Self::Network => "network",
            Self::Upstream => "upstream",
        }
    }
}

/// Writes the enum, the list of all of it, its labels and its domains from one table, so that none is forgotten.
macro_rules! outcomes {
    ($($(#[doc = $doc:literal])+ $name:ident = $label:literal, $domain:ident, $kind:ident;)+) => {
        /// How a request ended.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum Outcome {
            $($(#[doc = $doc])+ $name,)+
        }

        impl Outcome {
            /// Every outcome; the position of each is its `u8`.
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// The `error.type` of telemetry.
            #[must_use]
            pub const fn label(self) -> &'static str {
                match self { $(Self::$name => $label,)+ }
            }

            /// Who is at fault.
            #[must_use]
            pub const fn domain(self) -> Domain {
                match self { $(Self::$name => Domain::$domain,)+ }
            }

            /// Whether this process refused the request by itself. Refusals say nothing about the upstream and
            /// never feed an estimator of it.
            #[must_use]
            pub const fn is_refusal(self) -> bool {
                match self { $(Self::$name => Kind::$kind.is_refusal(),)+ }
            }
        }
    };
}

#[derive(Clone, Copy)]
enum Kind {
    Observed,
    Refusal,
}

impl Kind {
    const fn is_refusal(self) -> bool {
        matches!(self, Self::Refusal)
    }
}

outcomes! {
    /// Answered well.
    Ok = "ok", None, Observed;
    /// The upstream answered 4xx.
    ClientError = "client_error", Client, Observed;
    /// The upstream answered 5xx; telemetry shows the status itself where it is known.
    Upstream5xx = "upstream_5xx", Upstream, Observed;
    /// The upstream answered a gRPC status that is a failure.
    GrpcError = "grpc_error", Upstream, Observed;
    /// The upstream's name could not be resolved.
    DnsError = "dns_error", Network, Observed;
    /// The upstream's name was not resolved in time.
    DnsTimeout = "dns_timeout", Network, Observed;
    /// No endpoint may be tried: breaker open, all ejected, or read-only.
    DestinationUnavailable = "destination_unavailable", Upstream, Refusal;
    /// The endpoint refused the connection.
    ConnectionRefused = "connection_refused", Network, Observed;
    /// The connection was not established in time.
    ConnectionTimeout = "connection_timeout", Network, Observed;
    /// The connection was closed or reset before the response.
    ConnectionTerminated = "connection_terminated", Network, Observed;
    /// Nothing could be read from the connection in time.
    ConnectionReadTimeout = "connection_read_timeout", Network, Observed;
    /// Nothing could be written to the connection in time.
    ConnectionWriteTimeout = "connection_write_timeout", Network, Observed;
    /// No room: shed, isolation full, or waited too long in a queue.
    ConnectionLimitReached = "connection_limit_reached", Policy, Refusal;
    /// The upstream's certificate is not acceptable.
    TlsCertificateError = "tls_certificate_error", Network, Observed;
    /// The TLS handshake failed.
    TlsProtocolError = "tls_protocol_error", Network, Observed;
    /// The upstream sent a TLS alert.
    TlsAlertReceived = "tls_alert_received", Network, Observed;
    /// The deadline passed while waiting for the upstream.
    HttpResponseTimeout = "http_response_timeout", Upstream, Observed;
    /// The upstream's answer is not HTTP.
    HttpProtocolError = "http_protocol_error", Upstream, Observed;
    /// The upstream's answer ended before it was complete.
    HttpResponseIncomplete = "http_response_incomplete", Upstream, Observed;
    /// The upstream did not switch protocols as asked.
    HttpUpgradeFailed = "http_upgrade_failed", Upstream, Observed;
    /// Over a rate limit.
    RateLimited = "rate_limited", Policy, Refusal;
    /// The caller left before the end.
    ClientCancelled = "client_cancelled", Client, Observed;
    /// No route or dependency matches.
    RouteNotFound = "destination_not_found", Proxy, Refusal;
    /// The request is malformed.
    BadRequest = "http_request_error", Client, Refusal;
    /// The caller sent or read too slowly.
    SlowClient = "slow_client", Client, Refusal;
    /// Not allowed through, such as CONNECT.
    RequestDenied = "http_request_denied", Policy, Refusal;
    /// The request has been here before.
    ProxyLoopDetected = "proxy_loop_detected", Proxy, Refusal;
    /// A mistake of this process.
    ProxyInternalError = "proxy_internal_error", Proxy, Refusal;
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn each_stands_at_its_own_number() {
        for (index, outcome) in Outcome::ALL.iter().enumerate() {
            assert_eq!(*outcome as usize, index);
        }
    }

    #[test]
    fn labels_are_distinct_and_fit_a_metric() {
        let labels: HashSet<_> = Outcome::ALL.iter().map(|outcome| outcome.label()).collect();
        assert_eq!(labels.len(), Outcome::ALL.len());
        assert!(
            labels
                .iter()
                .all(|l| l.bytes().all(|b| b.is_ascii_lowercase() || b == b'_' || b.is_ascii_digit()))
        );
    }

    #[test]
    fn whatever_a_policy_refused_is_a_refusal() {
        let policy = Outcome::ALL.iter().filter(|outcome| outcome.domain() == Domain::Policy);
        assert!(policy.clone().count() >= 3 && policy.clone().all(|outcome| outcome.is_refusal()));
    }

    #[test]
    fn what_the_network_or_the_answer_did_is_observed() {
        for outcome in
            [Outcome::Ok, Outcome::ConnectionRefused, Outcome::HttpResponseTimeout, Outcome::ClientCancelled]
        {
            assert!(!outcome.is_refusal(), "{outcome:?}");
        }
    }
}
