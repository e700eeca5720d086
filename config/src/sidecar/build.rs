//! A `sidecar.yaml` as written to a [`Sidecar`], what it leaves out by default.

use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Duration;

use outrigger_filters::unit::Timespan;

use super::document::{self, ClientAuth, SidecarDocument};
use super::{AccessLog, Admin, Limits, LogSink, Network, Sidecar, TlsServer};
use crate::build::{Build, socket_address};
use crate::codes;
use crate::index::Spot;
use crate::node::quoted;

/// Threads, at most.
const MAX_WORKERS: usize = 256;

pub(super) fn sidecar(build: &Build<'_, '_>, written: &SidecarDocument) -> Sidecar {
    let root = build.ctx.index.root();
    let mut sidecar = Sidecar::default();
    if let Some(service) = &written.service {
        build.check_name(root.key("service"), service);
        sidecar.service = Some(service.clone());
    }
    let workers = written.workers.map(NonZeroUsize::get);
    set(&mut sidecar.workers, build.within(root, "workers", workers, 1, MAX_WORKERS));
    if let Some(listeners) = &written.listeners {
        build.listeners(&mut sidecar, listeners, root.key("listeners"));
    }
    if let Some(address) = written.admin.as_ref().and_then(|admin| admin.address.as_ref()) {
        set(&mut sidecar.admin, build.admin(root.key("admin").key("address"), address));
    }
    if let Some(policy) = &written.policy {
        let spot = root.key("policy");
        sidecar.policy_file = policy.file.as_ref().map(|file| build.resolve(spot.key("file"), file));
        // Zero is a policy that is good at once.
        set(&mut sidecar.probation, policy.probation.map(|probation| probation.0));
    }
    let state_dir = written.state_dir.as_ref();
    set(&mut sidecar.state_dir, state_dir.map(|dir| build.resolve(root.key("state_dir"), dir)));
    if let Some(log) = written.telemetry.as_ref().and_then(|telemetry| telemetry.access_log.as_ref()) {
        build.access_log(&mut sidecar.access_log, log, root.key("telemetry").key("access_log"));
    }
    if let Some(limits) = &written.limits {
        build.limits(&mut sidecar.limits, limits, root.key("limits"));
    }
    if let Some(peers) = &written.trusted_peers {
        sidecar.trusted_peers = build.networks(peers, root.key("trusted_peers"));
    }
    set(&mut sidecar.via_responses, written.via_responses);
    sidecar
}

fn set<T>(to: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *to = value;
    }
}

impl Build<'_, '_> {
    fn listeners(&self, sidecar: &mut Sidecar, written: &document::Listeners, spot: Spot<'_>) {
        if let Some(inbound) = &written.inbound {
            let spot = spot.key("inbound");
            let address = inbound.address.as_ref();
            set(
                &mut sidecar.inbound.address,
                address.and_then(|text| self.socket(spot.key("address"), text)),
            );
            sidecar.inbound.tls = inbound.tls.as_ref().map(|tls| self.tls_server(tls, spot.key("tls")));
        }
        if let Some(text) = written.outbound.as_ref().and_then(|outbound| outbound.address.as_ref()) {
            let spot = spot.key("outbound").key("address");
            set(&mut sidecar.outbound.address, self.socket(spot, text));
            if !sidecar.outbound.address.ip().is_loopback() {
                let message =
                    format!("{} is an open proxy for everyone who reaches it", sidecar.outbound.address);
                self.warn(
                    spot,
                    codes::PORT_OPEN,
                    message,
                    "listen on 127.0.0.1, in the network namespace of the app",
                );
            }
        }
        if sidecar.inbound.address == sidecar.outbound.address {
            let message = format!("inbound and outbound both listen on {}", sidecar.inbound.address);
            self.error(spot, codes::ADDRESS_TAKEN, message, "give each a port of its own");
        }
    }

    fn socket(&self, spot: Spot<'_>, text: &str) -> Option<SocketAddr> {
        socket_address(text)
            .map_err(|_| {
                let message = format!("{} is not an address to listen on", quoted(text));
                self.error(spot, codes::ADDRESS, message, "an IP address and a port: `127.0.0.1:15001`");
            })
            .ok()
    }

    fn tls_server(&self, written: &document::Tls, spot: Spot<'_>) -> TlsServer {
        let document::Tls { cert, key, client_ca, client_auth } = written;
        if client_auth.is_some() && client_ca.is_none() {
            let message = "`client_auth` without `client_ca`";
            self.error(
                spot.at_key("client_auth"),
                codes::TLS,
                message,
                "name the roots client certificates chain to",
            );
        }
        TlsServer {
            cert: self.resolve(spot.key("cert"), cert),
            key: self.resolve(spot.key("key"), key),
            client_ca: client_ca.as_ref().map(|ca| self.resolve(spot.key("client_ca"), ca)),
            client_optional: *client_auth == Some(ClientAuth::Optional),
        }
    }

    fn admin(&self, spot: Spot<'_>, text: &str) -> Option<Admin> {
        if let Some(path) = text.strip_prefix("unix:").filter(|path| !path.is_empty()) {
            return Some(Admin::Unix(self.resolve(spot, Path::new(path))));
        }
        let address = self.socket(spot, text)?;
        if !address.ip().is_loopback() {
            let message = format!("the admin endpoints would be open to the network on {address}");
            let hint = "listen on 127.0.0.1 or unix:/path; TLS and a token for them are not in this version";
            self.error(spot, codes::PORT_OPEN, message, hint);
        }
        Some(Admin::Tcp(address))
    }

    fn access_log(&self, log: &mut AccessLog, written: &document::AccessLog, spot: Spot<'_>) {
        if let Some(path) = &written.path {
            log.sink = match path.to_str() {
                Some("stdout") => LogSink::Stdout,
                Some("stderr") => LogSink::Stderr,
                Some("off") => LogSink::Off,
                _ => LogSink::File(self.resolve(spot.key("path"), path)),
            };
        }
        set(&mut log.ok_sample_millionths, written.ok_sample.map(|share| share.millionths));
    }

    fn limits(&self, limits: &mut Limits, written: &document::Limits, spot: Spot<'_>) {
        let bytes = written.max_header_bytes.map(|size| usize::try_from(size.0).unwrap_or(usize::MAX));
        set(
            &mut limits.max_connections,
            self.within(spot, "max_connections", written.max_connections, 1, 1_000_000),
        );
        set(&mut limits.max_headers, self.within(spot, "max_headers", written.max_headers, 8, 1000));
        set(&mut limits.max_header_bytes, self.within(spot, "max_header_bytes", bytes, 1 << 10, 1 << 20));
        self.time(&mut limits.head_timeout, spot, "head_timeout", written.head_timeout);
        self.time(&mut limits.idle_timeout, spot, "idle_timeout", written.idle_timeout);
        self.time(&mut limits.tls_timeout, spot, "tls_timeout", written.tls_timeout);
        // Zero ends at once, which may be meant.
        set(&mut limits.drain, written.drain.map(|drain| drain.0));
    }

    fn time(&self, to: &mut Duration, spot: Spot<'_>, key: &str, value: Option<Timespan>) {
        set(to, value.map(|value| self.finite(spot.key(key), key, value)));
    }

    fn within(
        &self,
        spot: Spot<'_>,
        key: &str,
        value: Option<usize>,
        least: usize,
        most: usize,
    ) -> Option<usize> {
        let value = value?;
        if !(least..=most).contains(&value) {
            let message = format!("`{key}` is {value}; {least} to {most} are accepted");
            self.error(spot.key(key), codes::RANGE, message, "");
        }
        Some(value)
    }

    fn networks(&self, written: &[String], spot: Spot<'_>) -> Vec<Network> {
        let network = |(index, text): (usize, &String)| {
            let found = network(text);
            if found.is_none() {
                let message = format!("{} is not a network", quoted(text));
                self.error(
                    spot.item(index),
                    codes::NETWORK,
                    message,
                    "an IP address and its leading bits: `10.0.0.0/8`",
                );
            }
            found
        };
        written.iter().enumerate().filter_map(network).collect()
    }
}

/// `10.0.0.0/8`, `::1/128`, or one address.
fn network(text: &str) -> Option<Network> {
    let (address, prefix) = match text.split_once('/') {
        Some((address, prefix)) => (address.parse::<IpAddr>().ok()?, Some(prefix.parse::<u8>().ok()?)),
        None => (text.parse::<IpAddr>().ok()?, None),
    };
    let bits = if address.is_ipv4() { 32 } else { 128 };
    let prefix = prefix.unwrap_or(bits);
    (prefix <= bits).then_some(Network { address, prefix })
}

/// The state directory unless the file says otherwise.
pub(super) fn default_state_dir() -> PathBuf {
    PathBuf::from("./state")
}
