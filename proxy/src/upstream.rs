//! Everything on the far side: where endpoints come from, how they are dialled, and the pools of connections.

pub(crate) mod cluster;
pub(crate) mod connection;
pub(crate) mod dial;
pub(crate) mod dns;
pub(crate) mod h1;
pub(crate) mod line;
pub(crate) mod pool;
pub(crate) mod stream;
pub(crate) mod switched;
pub(crate) mod tls;
