//! Dependencies: reached by somebody, reaching something, not in each other's way.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;

use outrigger_filters::isolation;
use outrigger_filters::policies::{RoutePolicies, UpstreamPolicies};

use super::routes::Parent;
use super::{Build, address};
use crate::codes;
use crate::decode::Written;
use crate::document;
use crate::index::Spot;
use crate::node::quoted;
use crate::plan::{Dependency, Discovery, HostMatch, KEEPALIVE, Protocol, Timeouts, Upstream};

type Named = (String, Written<document::Dependency, UpstreamPolicies>);

/// What each dependency must have for itself.
#[derive(Default)]
struct Taken<'t> {
    hosts: HashMap<HostMatch, Spot<'t>>,
    ports: HashMap<SocketAddr, Spot<'t>>,
}

impl<'t> Build<'_, 't> {
    pub(super) fn dependencies(&self, written: &[Named]) -> Vec<Dependency> {
        let mut taken = Taken::default();
        written.iter().filter_map(|(name, written)| self.dependency(name, written, &mut taken)).collect()
    }

    fn dependency(
        &self,
        name: &str,
        written: &Written<document::Dependency, UpstreamPolicies>,
        taken: &mut Taken<'t>,
    ) -> Option<Dependency> {
        let spot = self.ctx.index.spot(written.id);
        let block = &written.block;
        let key = self.ctx.index.key_of(written.id);
        self.check_name(key, name);
        if name == "pass" {
            self.error(
                key,
                codes::NAME_TAKEN,
                "`pass` is the built-in dependency for unknown hosts",
                "choose another name",
            );
        }
        let of_routes = block.timeouts.map(document::DependencyTimeouts::of_routes);
        let timeouts =
            of_routes.map_or_else(Timeouts::default, |written| self.timeouts(&written, spot.key("timeouts")));
        let none = RoutePolicies::default();
        let retries = block.retries.as_ref();
        let retries = retries.map(|written| self.dependency_retries(written, spot.key("retries")));
        let parent =
            Parent { timeouts, retries: retries.as_ref(), policies: &none, circuit_breaker: None, id: None };
        let routes = self.routes(&block.routes.0, &parent);
        if self.ctx.is_damaged(self.ctx.index.node(written.id)) {
            return None;
        }
        if block.hosts.is_empty() && block.listen.is_none() {
            let message = format!("nothing leads to {}", quoted(name));
            self.error(key, codes::UNREACHED, message, "give it `hosts`, or a port of its own with `listen`");
        }
        self.check_policies(written.id, &written.policies, None);
        let breaker = |spec| self.breaker(spec, spot.key("circuit_breaker"), timeouts.total);
        let isolation = self.isolation(block.isolation.as_ref(), spot.key("isolation"));
        Some(Dependency {
            name: name.to_owned(),
            hosts: self.dependency_hosts(&block.hosts, spot.key("hosts"), taken),
            listen: block.listen.as_deref().and_then(|listen| self.listen(listen, spot.key("listen"), taken)),
            upstream: self.upstream(block, &isolation, spot, key)?,
            isolation,
            balance: block.balance.unwrap_or_default(),
            policies: written.policies.clone(),
            circuit_breaker: block.circuit_breaker.as_ref().map(breaker),
            routes,
        })
    }

    fn dependency_hosts(&self, hosts: &[String], spot: Spot<'t>, taken: &mut Taken<'t>) -> Vec<HostMatch> {
        let mut found = Vec::new();
        for (index, text) in hosts.iter().enumerate() {
            let spot = spot.item(index);
            let Some(host) = self.host(spot, text) else { continue };
            if let Some(first) = taken.hosts.get(&host) {
                let hint =
                    format!("the first is {}; a host leads to one dependency", self.place(*first, spot));
                self.error(spot, codes::HOST_TAKEN, format!("host {} is given twice", quoted(text)), hint);
            }
            taken.hosts.entry(host.clone()).or_insert(spot);
            found.push(host);
        }
        found
    }

    fn listen(&self, text: &str, spot: Spot<'t>, taken: &mut Taken<'t>) -> Option<SocketAddr> {
        let Ok(address) = address::socket_address(text) else {
            let message = format!("{} is not an address to listen on", quoted(text));
            self.error(spot, codes::ADDRESS, message, "an IP address and a port: `127.0.0.1:15101`");
            return None;
        };
        if let Some(first) = taken.ports.insert(address, spot) {
            let hint = format!("the first is {}", self.place(first, spot));
            self.error(spot, codes::ADDRESS_TAKEN, format!("{address} is listened on twice"), hint);
        }
        if !address.ip().is_loopback() {
            let message = format!("{address} lets the network reach this dependency through the sidecar");
            self.warn(spot, codes::PORT_OPEN, message, "listen on 127.0.0.1");
        }
        Some(address)
    }

    fn upstream(
        &self,
        block: &document::Dependency,
        isolation: &isolation::Spec,
        spot: Spot<'_>,
        key: Spot<'_>,
    ) -> Option<Upstream> {
        let discovery = self.endpoints(block, spot, key)?;
        let protocol = match block.protocol {
            None | Some(document::Protocol::Http1) => Protocol::Http1,
            Some(document::Protocol::H2) => Protocol::H2,
            Some(document::Protocol::Auto) => Protocol::Auto,
        };
        if protocol == Protocol::Auto && block.tls.is_none() {
            let message = "`protocol: auto` is agreed on by TLS, and there is no `tls`";
            self.error(
                spot.key("protocol"),
                codes::PROTOCOL,
                message,
                "write `http1` or `h2`, or give it `tls`",
            );
        }
        let host_header = block.host_header.as_ref().map(|host| {
            if address::host_port(host, Some(80)).is_err() {
                let message = format!("{} is not what a `Host` can say", quoted(host));
                self.error(
                    spot.key("host_header"),
                    codes::HOST,
                    message,
                    "a name or an IP address, and a port if need be",
                );
            }
            host.to_ascii_lowercase()
        });
        let keepalive = block.timeouts.and_then(|timeouts| timeouts.keepalive);
        Some(Upstream {
            protocol,
            tls: block.tls.as_ref().map(|tls| self.tls(tls, spot.key("tls"), &discovery)),
            host_header,
            max_connections_per_endpoint: isolation.max_connections_per_endpoint.get(),
            max_connecting: isolation.connecting().get(),
            keepalive: keepalive.map_or(KEEPALIVE, |value| {
                self.finite(spot.key("timeouts").key("keepalive"), "keepalive", value)
            }),
            discovery,
        })
    }

    fn endpoints(&self, block: &document::Dependency, spot: Spot<'_>, key: Spot<'_>) -> Option<Discovery> {
        match (&block.endpoints, &block.discover) {
            (Some(endpoints), None) => self.fixed(&endpoints.0, spot.key("endpoints")),
            (None, Some(discover)) => self.discover(discover, spot.key("discover")),
            (Some(_), Some(_)) => {
                let message = "both `endpoints` and `discover`";
                self.error(spot.at_key("discover"), codes::ENDPOINTS, message, "keep one of them");
                None
            }
            (None, None) => {
                let hint = "add `endpoints: [{ address: ip:port }]` or `discover: { dns: name:port }`";
                self.error(key, codes::ENDPOINTS, "neither `endpoints` nor `discover`", hint);
                None
            }
        }
    }

    fn fixed(&self, endpoints: &[document::Endpoint], spot: Spot<'_>) -> Option<Discovery> {
        if endpoints.is_empty() {
            self.error(spot, codes::ENDPOINTS, "`endpoints` is empty", "add `{ address: ip:port }`");
        }
        let (mut found, mut seen) = (Vec::new(), HashSet::new());
        for (index, endpoint) in endpoints.iter().enumerate() {
            let at = spot.item(index).key("address");
            let Some(address) = self.address(at, &endpoint.address) else { continue };
            if !seen.insert(address.clone()) {
                let message = format!("endpoint {} is given twice", quoted(&endpoint.address));
                self.error(at, codes::ADDRESS_TAKEN, message, "remove one");
            }
            found.push(address);
        }
        Some(Discovery::Fixed(found))
    }

    fn discover(&self, discover: &document::Discover, spot: Spot<'_>) -> Option<Discovery> {
        let every = match discover.every {
            Some(every) => self.finite(spot.key("every"), "every", every),
            None => address::DNS_EVERY,
        };
        match address::host_port(&discover.dns, None) {
            Ok((host, port)) => Some(address::discovery(host, port, every)),
            Err(hint) => {
                let message = format!("{} is not a name and a port", quoted(&discover.dns));
                self.error(spot.key("dns"), codes::ADDRESS, message, hint);
                None
            }
        }
    }
}
