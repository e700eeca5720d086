//! Addresses: of the app, of endpoints, of listeners.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use super::{Build, hosts};
use crate::codes;
use crate::index::Spot;
use crate::node::quoted;
use crate::plan::{Address, Discovery, Protocol, TlsClient, Upstream};

/// How long the addresses of a name are used unless the policy says otherwise.
pub(super) const DNS_EVERY: Duration = Duration::from_secs(5);

impl Build<'_, '_> {
    pub(super) fn app(&self, spot: Spot<'_>, text: &str) -> Option<Upstream> {
        let found = match text.strip_prefix("unix:") {
            Some(path) => {
                self.unix(spot, path).map(|address| (Discovery::Fixed(vec![address]), Protocol::Http1, None))
            }
            None => url(text),
        };
        match found {
            Ok((discovery, protocol, tls)) => Some(Upstream { protocol, tls, ..Upstream::new(discovery) }),
            Err(hint) => {
                self.error(
                    spot,
                    codes::APP,
                    format!("{} is not where an app can listen", quoted(text)),
                    hint,
                );
                None
            }
        }
    }

    pub(super) fn address(&self, spot: Spot<'_>, text: &str) -> Option<Address> {
        let found = match text.strip_prefix("unix:") {
            Some(path) => self.unix(spot, path),
            None => socket_address(text).map(Address::Tcp),
        };
        found
            .map_err(|hint| {
                let name = host_port(text, None).is_ok();
                let hint = if name { "for a name use `discover: { dns: name:port }`" } else { hint };
                self.error(spot, codes::ADDRESS, format!("{} is not an address", quoted(text)), hint);
            })
            .ok()
    }

    fn unix(&self, spot: Spot<'_>, path: &str) -> Result<Address, &'static str> {
        if path.is_empty() || path.starts_with("//") || path.contains('\0') {
            return Err("a socket is written `unix:/run/app.sock`");
        }
        Ok(Address::Unix(self.resolve(spot, Path::new(path))))
    }
}

/// `10.0.0.1:80` or `[::1]:80`, the port not zero.
pub(crate) fn socket_address(text: &str) -> Result<SocketAddr, &'static str> {
    match text.parse::<SocketAddr>() {
        Ok(address) if address.port() != 0 => Ok(address),
        Ok(_) => Err("port 0 is any port; write the one that is meant"),
        Err(_) if text.parse::<IpAddr>().is_ok() => Err("the port is missing"),
        Err(_) => Err("an address is an IP and a port, `10.0.1.5:9000` or `[::1]:9000`, or `unix:/path`"),
    }
}

/// `name:port`, `ip:port` or `[ip]:port`; the port may be left out if there is a default.
pub(crate) fn host_port(text: &str, default: Option<u16>) -> Result<(String, u16), &'static str> {
    let colon = text.rfind(':').filter(|_| !text.ends_with(']'));
    let (host, port) = match colon.and_then(|at| text.split_at_checked(at)) {
        Some((host, port)) => (host, port.trim_start_matches(':').parse().ok()),
        None => (text, default),
    };
    let Some(port) = port.filter(|port| *port != 0) else {
        return Err("the port is a number from 1 to 65535");
    };
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    if let Some(address) = bare.and_then(|host| host.parse::<Ipv6Addr>().ok()) {
        return Ok((address.to_string(), port));
    }
    let named = hosts::is_name(host) || host.parse::<std::net::Ipv4Addr>().is_ok();
    if named { Ok((host.to_ascii_lowercase(), port)) } else { Err("the host is a name or an IP address") }
}

/// An endpoint if the host is an IP address, else a name to resolve.
pub(super) fn discovery(host: String, port: u16, every: Duration) -> Discovery {
    match host.parse::<IpAddr>() {
        Ok(ip) => Discovery::Fixed(vec![Address::Tcp(SocketAddr::new(ip, port))]),
        Err(_) => Discovery::Dns { host, port, every },
    }
}

type App = (Discovery, Protocol, Option<TlsClient>);

fn url(text: &str) -> Result<App, &'static str> {
    const FORMS: &str = "it is `http://`, `h2c://` or `https://` with a host and port, or `unix:/path`";
    let (scheme, rest) = text.split_once("://").ok_or(FORMS)?;
    let (protocol, port) = match scheme {
        "http" => (Protocol::Http1, 80),
        "h2c" => (Protocol::H2, 80),
        "https" => (Protocol::Auto, 443),
        _ => return Err(FORMS),
    };
    let authority = rest.strip_suffix('/').unwrap_or(rest);
    if authority.contains(['/', '?', '#', '@']) {
        return Err(
            "only a host and a port: paths are forwarded as they come, and credentials are never sent",
        );
    }
    let (host, port) = host_port(authority, Some(port))?;
    let tls =
        (scheme == "https").then(|| TlsClient { server_name: Some(host.clone()), ca: None, identity: None });
    Ok((discovery(host, port, DNS_EVERY), protocol, tls))
}
