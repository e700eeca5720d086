//! Timeouts as written: those of a route, and those of a dependency, which has one more.

use outrigger_filters::unit::Timespan;
use schemars::JsonSchema;
use serde::Deserialize;

/// A block with the timeouts that all have, and those of its own. (`serde(flatten)` would read unknown keys.)
macro_rules! timeouts {
    ($(#[$about:meta])* $name:ident { $($(#[$doc:meta])* $own:ident,)* }) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields)]
        pub(crate) struct $name {
            /// From the head of the request to the last byte of the answer. Default `15s`.
            pub(crate) total: Option<Timespan>,
            /// To open a connection, TLS included. Default `1s`, or `total` if that is shorter.
            pub(crate) connect: Option<Timespan>,
            /// From sending the request to the head of the answer. Default: `total`.
            pub(crate) first_byte: Option<Timespan>,
            /// Between two pieces of a body, either way. Default `30s`.
            pub(crate) body_idle: Option<Timespan>,
            /// The same for upgraded connections, gRPC and event streams. Default `5m`.
            pub(crate) stream_idle: Option<Timespan>,
            /// One attempt, from choosing the endpoint to the head of the answer. Default: `total`, or
            /// with retries its part of what is left of it.
            pub(crate) per_try: Option<Timespan>,
            $($(#[$doc])* pub(crate) $own: Option<Timespan>,)*
        }
    };
}

timeouts! {
    /// How long each phase may take.
    Timeouts {}
}

timeouts! {
    /// How long each phase of a call may take.
    DependencyTimeouts {
        /// How long an idle pooled connection is kept. Default `30s`.
        keepalive,
    }
}

impl DependencyTimeouts {
    /// Those that routes have too.
    pub(crate) const fn of_routes(self) -> Timeouts {
        let Self { total, connect, first_byte, body_idle, stream_idle, per_try, keepalive: _ } = self;
        Timeouts { total, connect, first_byte, body_idle, stream_idle, per_try }
    }
}
