//! Is the request clean, and where does it go?

use std::borrow::Cow;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;

use http::uri::{Authority, Scheme};
use http::{HeaderValue, Method, Request, Version, header};
use outrigger_config::plan::{Discovery, Upstream};

use super::exchange::Exchange;
use super::{Place, routing};
use crate::hygiene::Malformed;
use crate::hygiene::seen::{Field, Seen};
use crate::hygiene::{hop, host, path, untrusted};
use crate::respond::Refusal;
use crate::server::connection::{Connection, Door};
use crate::server::signals::Trouble;
use crate::snapshot::PASS;
use crate::telemetry::Direction;
use crate::upstream::dns;
use crate::worker::{At, Bound, Lane, Local};

/// Longest path and query accepted.
const MAX_TARGET: usize = 16 * 1024;

/// Checks the request and finds its route. True if it asks for a WebSocket.
pub(super) fn find(
    connection: &Rc<Connection>,
    local: &Rc<Local>,
    exchange: &mut Exchange,
) -> Result<(Place, bool), Refusal> {
    connection.next_request().map_or(Ok(()), |trouble| Err(Refusal::Trouble(trouble)))?;
    let upgrade = clean(connection, &mut exchange.request, exchange.seen)?;
    let place = locate(connection, local, &exchange.request)?;
    exchange.routed(place.route.series);
    Ok((place, upgrade))
}

/// Removes what belongs to the client's connection only, and what it may not claim. True if it asks for an
/// upgrade that we let through.
pub(super) fn clean(connection: &Connection, request: &mut Request<()>, seen: Seen) -> Result<bool, Refusal> {
    if *request.method() == Method::CONNECT {
        return Err(Refusal::Method);
    }
    let limits = &connection.worker.shared.config.limits;
    if request.headers().len() > limits.max_headers {
        return Err(Refusal::Trouble(Trouble::Malformed(Malformed::TooManyFields)));
    }
    let upgrade = seen.has(Field::Upgrade) && is_websocket(request);
    let headers = request.headers_mut();
    hop::strip_request(headers, seen, hop::Keep { te_trailers: true, upgrade }).map_err(Refusal::Fields)?;
    if !connection.trusted {
        untrusted::strip(headers, seen).map_err(Refusal::Fields)?;
    }
    Ok(upgrade)
}

fn is_websocket(request: &Request<()>) -> bool {
    let upgrade = request.headers().get(header::UPGRADE);
    request.version() == Version::HTTP_11
        && upgrade.is_some_and(|protocol| protocol.as_bytes().eq_ignore_ascii_case(b"websocket"))
}

fn locate(connection: &Connection, local: &Rc<Local>, request: &Request<()>) -> Result<Place, Refusal> {
    check_path(request)?;
    let authority = authority(request)?;
    let host = host_of(authority);
    match &connection.door {
        Door::Inbound => place(&local.inbound, None, request, &host),
        Door::Dependency(address) => {
            let at = local.snapshot.by_listener(*address).ok_or(Refusal::UnknownHost)?;
            place(local.dependencies.get(at).ok_or(Refusal::UnknownHost)?, None, request, &host)
        }
        Door::Outbound => outbound(connection, local, request, (&host, authority)),
    }
}

fn outbound(
    connection: &Connection,
    local: &Rc<Local>,
    request: &Request<()>,
    (host, authority): (&str, &str),
) -> Result<Place, Refusal> {
    if let Some(bound) = local.snapshot.by_host(host).and_then(|at| local.dependencies.get(at)) {
        return place(bound, None, request, host);
    }
    let Some(pass) = &local.snapshot.pass else { return Err(Refusal::UnknownHost) };
    let port = authority.rsplit_once(':').and_then(|(_, port)| port.parse::<u16>().ok()).unwrap_or(80);
    let make = || {
        let clusters = &connection.worker.shared.resources.clusters;
        clusters.adopt(&format!("{PASS}:{host}:{port}"), &passing(host, port)).ok()
    };
    let lane = connection.worker.passing(&format!("{host}:{port}"), make).ok_or(Refusal::UnknownHost)?;
    dns::follow(&lane.cluster, &connection.worker.shared.names);
    let bound = Bound {
        snapshot: Arc::clone(&local.snapshot),
        at: At::Pass,
        lane: Some(Rc::clone(&lane)),
        line: local.pass.as_ref().map(Rc::clone),
    };
    let rank = pass.router.find(&routing(request, host)).ok_or(Refusal::UnknownHost)?;
    let route = pass.routes.get(rank).ok_or(Refusal::UnknownHost)?;
    Ok(Place { bound: Rc::new(bound), lane: Some(lane), route: Arc::clone(route), rank })
}

/// A host nobody named, at its word.
fn passing(host: &str, port: u16) -> Upstream {
    let plain = Upstream {
        discovery: Discovery::Fixed(Vec::new()),
        protocol: outrigger_config::plan::Protocol::Http1,
        tls: None,
        host_header: None,
        max_connections_per_endpoint: 256,
        max_connecting: 16,
        keepalive: std::time::Duration::from_secs(30),
    };
    let discovery = match host.trim_matches(['[', ']']).parse::<IpAddr>() {
        Ok(ip) => Discovery::Fixed(vec![outrigger_config::plan::Address::Tcp((ip, port).into())]),
        Err(_) => Discovery::Dns { host: host.into(), port, every: std::time::Duration::from_secs(5) },
    };
    Upstream { discovery, ..plain }
}

fn place(
    bound: &Rc<Bound>,
    lane: Option<Rc<Lane>>,
    request: &Request<()>,
    host: &str,
) -> Result<Place, Refusal> {
    let side = bound.side();
    let rank = side.router.find(&routing(request, host)).ok_or(Refusal::UnknownHost)?;
    let route = side.routes.get(rank).ok_or(Refusal::UnknownHost)?;
    let lane = lane.or_else(|| bound.lane.as_ref().map(Rc::clone));
    Ok(Place { bound: Rc::clone(bound), lane, route: Arc::clone(route), rank })
}

fn check_path(request: &Request<()>) -> Result<(), Refusal> {
    let uri = request.uri();
    if uri.path() == "*" {
        let is_for_server = *request.method() == Method::OPTIONS;
        return if is_for_server { Ok(()) } else { Err(Refusal::Path(path::Ambiguous::NotAbsolute)) };
    }
    let target = uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
    path::check(target, MAX_TARGET).map_err(Refusal::Path)
}

/// The one host a request is for. `Host` and an authority in the target must agree (RFC 9112 §3.2.2, where we
/// refuse instead of ignoring one).
fn authority(request: &Request<()>) -> Result<&str, Refusal> {
    let mut hosts = request.headers().get_all(header::HOST).iter();
    let (host, more) = (hosts.next(), hosts.next());
    let named = request.uri().authority();
    // On HTTP/1 the guard has seen to it; both may stand there on HTTP/2.
    let is_h2 = request.version() == Version::HTTP_2;
    let is_odd = |name: &[u8]| name.contains(&b'@') || (is_h2 && !host::is_valid(name));
    let odd = host.is_some_and(|host| is_odd(host.as_bytes()));
    if more.is_some() || odd || named.is_some_and(|named| is_odd(named.as_str().as_bytes())) {
        return Err(Refusal::Host);
    }
    match (host.map(HeaderValue::to_str), named) {
        (Some(Ok(host)), Some(named)) if agree(host, named, request.uri().scheme()) => Ok(host),
        // On HTTP/1 the guard has checked it.
        (Some(Ok(host)), None) if request.version() < Version::HTTP_2 || is_authority(host) => Ok(host),
        (None, Some(named)) => Ok(named.as_str()),
        (None, None) if request.version() == Version::HTTP_10 => Ok(""),
        _ => Err(Refusal::Host),
    }
}

fn is_authority(host: &str) -> bool {
    Authority::try_from(host).is_ok()
}

/// Whether both name the same host; the port of the scheme may be written or not (RFC 9110 §4.2.3).
fn agree(host: &str, named: &Authority, scheme: Option<&Scheme>) -> bool {
    let secure = scheme == Some(&Scheme::HTTPS);
    let bare =
        |authority: &str| host::without_default_port(authority.as_bytes(), secure).to_ascii_lowercase();
    bare(host) == bare(named.as_str())
}

/// Lower case, without port.
fn host_of(authority: &str) -> Cow<'_, str> {
    let end = match authority.rfind(':') {
        Some(colon) if !authority.ends_with(']') => colon,
        _ => authority.len(),
    };
    let host = authority.get(..end).unwrap_or(authority);
    if host.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Cow::Owned(host.to_ascii_lowercase());
    }
    Cow::Borrowed(host)
}

impl Connection {
    pub(crate) const fn direction(&self) -> Direction {
        match self.door {
            Door::Inbound => Direction::Inbound,
            Door::Outbound | Door::Dependency(_) => Direction::Outbound,
        }
    }
}

/// For `explain`: the host a clean request is for.
pub(crate) fn host(request: &Request<()>) -> Result<String, Refusal> {
    check_path(request)?;
    Ok(host_of(authority(request)?).into_owned())
}
