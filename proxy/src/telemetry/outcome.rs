//! The closed list of what can become of a request.

/// Whose doing an outcome is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
#[allow(missing_docs)]
pub enum Domain {
    None,
    Client,
    Policy,
    Proxy,
    Network,
    Upstream,
}

impl Domain {
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

macro_rules! outcomes {
    ($($v:ident = $l:literal in $d:ident),+ $(,)?) => {
        /// What became of a request.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u8)]
        #[allow(missing_docs)]
        pub enum Outcome { $($v),+ }
        impl Outcome {
            pub const ALL: &[Self] = &[$(Self::$v),+];
            #[must_use]
            pub const fn label(self) -> &'static str { match self { $(Self::$v => $l),+ } }
            #[must_use]
            pub const fn domain(self) -> Domain { match self { $(Self::$v => Domain::$d),+ } }
        }
    };
}

outcomes! {
    Ok = "ok" in None,
    ClientError = "client_error" in Client,
    Upstream5xx = "upstream_5xx" in Upstream,
    GrpcError = "grpc_error" in Upstream,
    DnsError = "dns_error" in Network,
    ConnectionRefused = "connection_refused" in Network,
    ConnectionTimeout = "connection_timeout" in Network,
    ConnectionTerminated = "connection_terminated" in Network,
    ResponseTimeout = "http_response_timeout" in Upstream,
    DeadlineExceeded = "deadline_exceeded" in Upstream,
    RateLimited = "rate_limited" in Policy,
    LoadShed = "load_shed" in Policy,
    CircuitOpen = "circuit_open" in Policy,
    ReadOnly = "read_only" in Policy,
    StaleServed = "stale_served" in Policy,
    ClientCancelled = "client_cancelled" in Client,
    RouteNotFound = "route_not_found" in Proxy,
    InternalError = "proxy_internal_error" in Proxy,
}
