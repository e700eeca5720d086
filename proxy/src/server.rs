//! The near side: listeners, TLS, and connections with strict framing and finite time.

pub(crate) mod accept;
pub(crate) mod connection;
pub(crate) mod io;
pub(crate) mod linger;
pub(crate) mod listener;
pub(crate) mod signals;
pub(crate) mod tls;
