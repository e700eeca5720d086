//! TLS towards a dependency.

use super::{Build, hosts};
use crate::codes;
use crate::document;
use crate::index::Spot;
use crate::node::quoted;
use crate::plan::{Address, Discovery, TlsClient};

impl Build<'_, '_> {
    pub(super) fn tls(&self, written: &document::Tls, spot: Spot<'_>, discovery: &Discovery) -> TlsClient {
        let document::Tls { server_name, ca, cert, key } = written;
        if let Some(name) = server_name
            && !hosts::is_name(name)
            && name.parse::<std::net::IpAddr>().is_err()
        {
            let message = format!("{} is not a name a certificate can have", quoted(name));
            self.error(
                spot.key("server_name"),
                codes::TLS,
                message,
                "a DNS name or an IP address, without a port",
            );
        }
        let unix =
            matches!(discovery, Discovery::Fixed(all) if all.iter().any(|at| matches!(at, Address::Unix(_))));
        if server_name.is_none() && unix {
            self.error(
                spot,
                codes::TLS,
                "`tls` over a Unix socket without `server_name`",
                "name what to verify",
            );
        }
        let file = |name: &str, path: &std::path::PathBuf| {
            if path.as_os_str().is_empty() {
                self.error(
                    spot.key(name),
                    codes::TLS,
                    format!("`{name}` is an empty path"),
                    "name a PEM file",
                );
            }
            self.resolve(spot.key(name), path)
        };
        if cert.is_some() != key.is_some() {
            let (has, lacks) = if cert.is_some() { ("cert", "key") } else { ("key", "cert") };
            self.error(
                spot.at_key(has),
                codes::TLS,
                format!("`{has}` without `{lacks}`"),
                "give both, or neither",
            );
        }
        TlsClient {
            server_name: server_name.clone(),
            ca: ca.as_ref().map(|path| file("ca", path)),
            identity: cert
                .as_ref()
                .zip(key.as_ref())
                .map(|(cert, key)| (file("cert", cert), file("key", key))),
        }
    }
}
