//! What filters see of a request: borrowed, complete, nothing to allocate.

use std::net::IpAddr;

use http::{HeaderMap, Method};

/// The head of a request and what is known about its caller.
#[derive(Clone, Copy, Debug)]
pub struct RequestView<'a> {
    /// The method.
    pub method: &'a Method,
    /// The path, as it will be forwarded.
    pub path: &'a str,
    /// What follows the question mark.
    pub query: Option<&'a str>,
    /// The headers.
    pub headers: &'a HeaderMap,
    /// The caller's address, from the connection or from a trusted peer.
    pub client_ip: IpAddr,
    /// The caller's SPIFFE identity, from its certificate or from a trusted peer.
    pub spiffe_id: Option<&'a str>,
    /// The name of the matched route.
    pub route: &'a str,
    /// What the route captured from the path: names and decoded values.
    pub path_params: &'a [(&'a str, &'a str)],
    /// Which worker handles it; counters are kept per worker.
    pub worker: usize,
}

impl<'a> RequestView<'a> {
    /// `GET path` by `client_ip` on a route called `route`, of which nothing else is known: where examples, benches
    /// and tests begin.
    #[must_use]
    pub const fn get(path: &'a str, headers: &'a HeaderMap, client_ip: IpAddr) -> Self {
        Self {
            method: &Method::GET,
            path,
            query: None,
            headers,
            client_ip,
            spiffe_id: None,
            route: "route",
            path_params: &[],
            worker: 0,
        }
    }
}
