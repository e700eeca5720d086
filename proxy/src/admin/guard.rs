//! Keeps a web page from using an operator's browser against the admin port.
//!
//! A page can make a browser connect to loopback under a name of its own (DNS rebinding), or send a form across
//! origins. So over TCP a request must be addressed to loopback or to the bound address, and what changes something
//! must not come from another origin. A Unix socket is out of a browser's reach.

use std::net::{IpAddr, SocketAddr};

use http::{HeaderMap, Method, Uri, header};

use super::Bound;

/// Which hosts may be asked for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Hosts {
    /// Loopback names and addresses, and the bound one.
    Local(Option<SocketAddr>),
    /// Any: not reachable by name.
    Any,
}

impl Hosts {
    pub(super) fn of(bound: &Bound) -> Self {
        match bound.listener {
            super::bind::Listener::Tcp(_) => Self::Local(bound.tcp()),
            super::bind::Listener::Unix(..) => Self::Any,
        }
    }

    /// Why the request may not be answered, if so.
    pub(super) fn refuse(self, method: &Method, uri: &Uri, headers: &HeaderMap) -> Option<&'static str> {
        let Self::Local(bound) = self else { return None };
        let mut hosts = headers.get_all(header::HOST).iter();
        let host = hosts.next().and_then(|host| host.to_str().ok());
        let Some(host) = host else { return Some("a Host header is needed") };
        if hosts.next().is_some() {
            return Some("more than one Host header");
        }
        let named = uri.authority().map(http::uri::Authority::as_str);
        if !named.into_iter().chain([host]).all(|host| is_local(host, bound)) {
            return Some("Host is neither loopback nor the bound address");
        }
        if method.is_safe() { None } else { foreign_origin(headers, host) }
    }
}

/// A browser says where a request that changes something comes from; other clients say nothing.
fn foreign_origin(headers: &HeaderMap, host: &str) -> Option<&'static str> {
    let same = |origin: &str| origin.strip_prefix("http://").is_some_and(|at| at.eq_ignore_ascii_case(host));
    let all_same = headers.get_all(header::ORIGIN).iter().all(|origin| origin.to_str().is_ok_and(same));
    if all_same { None } else { Some("Origin is another site") }
}

fn is_local(host: &str, bound: Option<SocketAddr>) -> bool {
    let name = without_port(host);
    if name.eq_ignore_ascii_case("localhost") {
        return true;
    }
    let address = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    let Ok(ip) = address.parse::<IpAddr>() else { return false };
    ip.to_canonical().is_loopback() || bound.is_some_and(|bound| bound.ip() == ip)
}

/// Cuts `:port`. An IPv6 address is in brackets, so a colon after the last bracket begins a port.
fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if !name.is_empty() && port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(method: Method, uri: &str, fields: &[(&'static str, &str)]) -> bool {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, value.parse().unwrap());
        }
        let hosts = Hosts::Local(Some("127.0.0.1:15000".parse().unwrap()));
        hosts.refuse(&method, &uri.parse().unwrap(), &headers).is_some()
    }

    #[test]
    fn answers_to_loopback_names_only() {
        for host in ["localhost", "LOCALHOST:15000", "127.0.0.1:15000", "127.9.9.9", "[::1]:15000", "[::1]"] {
            assert!(!refused(Method::GET, "/", &[("host", host)]), "{host}");
        }
        for host in
            ["evil.example", "evil.example:15000", "127.0.0.1.evil.example", "localhost.evil", "10.0.0.1", ""]
        {
            assert!(refused(Method::GET, "/", &[("host", host)]), "{host}");
        }
        assert!(refused(Method::GET, "/", &[]));
        assert!(refused(Method::GET, "/", &[("host", "localhost"), ("host", "evil.example")]));
        assert!(refused(Method::GET, "http://evil.example/", &[("host", "localhost")]));
    }

    #[test]
    fn refuses_changes_from_another_site() {
        let host = ("host", "localhost:15000");
        assert!(!refused(Method::POST, "/drain", &[host]));
        assert!(!refused(Method::POST, "/drain", &[host, ("origin", "http://localhost:15000")]));
        for origin in ["http://evil.example", "null", "http://localhost:15001", "https://localhost:15000"] {
            assert!(refused(Method::POST, "/drain", &[host, ("origin", origin)]), "{origin}");
            assert!(!refused(Method::GET, "/", &[host, ("origin", origin)]), "{origin}");
        }
    }
}
