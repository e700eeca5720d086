//! Says to the next hop who asked: `X-Forwarded-For`, `X-Forwarded-Proto`, `X-Forwarded-Host`, `Forwarded`.
//!
//! From an untrusted peer whatever it said about this is replaced; from a trusted one it is continued: our peer
//! is added at the right, the first scheme and host stay. The client's address is the right-most one that is
//! not a trusted peer: everything left of it was written by someone we do not know.
//!
//! Source: RFC 7239. Cost: for untrusted peers a few clones of values made once a connection.
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use http::header::{FORWARDED, HeaderMap, HeaderName, HeaderValue};

use super::network::Trust;

static X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
static X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
static X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// Addresses of a chain looked at. A longer one is cut there: its next address counts as the client.
const MAX_HOPS: usize = 32;

/// How the peer reached us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// In the clear.
    Http,
    /// Over TLS.
    Https,
}

/// The fields about one peer, made once a connection.
#[derive(Debug, Clone)]
pub struct PeerHeaders {
    forwarded_for: HeaderValue,
    forwarded: HeaderValue,
    proto: HeaderValue,
}

impl PeerHeaders {
    /// The fields for a peer at this address.
    pub fn new(peer: IpAddr, scheme: Scheme) -> Self {
        let peer = peer.to_canonical();
        let proto = match scheme {
            Scheme::Http => "http",
            Scheme::Https => "https",
        };
        let element = match peer {
            IpAddr::V4(v4) => format!("for={v4};proto={proto}"),
            IpAddr::V6(v6) => format!("for=\"[{v6}]\";proto={proto}"),
        };
        Self {
            forwarded_for: value(peer.to_string().as_bytes()),
            forwarded: value(element.as_bytes()),
            proto: HeaderValue::from_static(proto),
        }
    }
}

/// Sets the fields on a request that goes on. `host` is the Host the client sent, where the next hop gets
/// another one; `trusted` is whether the peer is in `trusted_peers`.
pub fn set(headers: &mut HeaderMap, peer: &PeerHeaders, host: Option<&HeaderValue>, trusted: bool) {
    if trusted {
        join(headers, &X_FORWARDED_FOR, &peer.forwarded_for);
        join(headers, &FORWARDED, &peer.forwarded);
        headers.entry(&X_FORWARDED_PROTO).or_insert_with(|| peer.proto.clone());
        if let Some(host) = host {
            headers.entry(&X_FORWARDED_HOST).or_insert_with(|| host.clone());
        }
        return;
    }
    headers.insert(&X_FORWARDED_FOR, peer.forwarded_for.clone());
    headers.insert(&FORWARDED, peer.forwarded.clone());
    headers.insert(&X_FORWARDED_PROTO, peer.proto.clone());
    match host {
        Some(host) => drop(headers.insert(&X_FORWARDED_HOST, host.clone())),
        None => drop(headers.remove(&X_FORWARDED_HOST)),
    }
}

/// The address of the client: the peer, or if that is trusted the right-most untrusted address it reports. An
/// entry that is no address ends the search at the hop that reported it.
pub fn client_ip(peer: IpAddr, headers: &HeaderMap, trust: &Trust) -> IpAddr {
    let mut client = peer.to_canonical();
    if !trust.contains(client) {
        return client;
    }
    let values = headers.get_all(&X_FORWARDED_FOR).iter().rev();
    let entries = values.flat_map(|value| value.as_bytes().rsplit(|&byte| byte == b','));
    for entry in entries.take(MAX_HOPS) {
        let Some(address) = parse_entry(entry) else { break };
        client = address;
        if !trust.contains(client) {
            break;
        }
    }
    client
}

/// An address, perhaps with a port: some proxies write `1.2.3.4:5` and `[::1]:5`.
fn parse_entry(entry: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(entry).ok()?.trim_matches([' ', '\t']);
    let address = text
        .parse::<IpAddr>()
        .or_else(|_| text.parse::<SocketAddr>().map(|address| address.ip()))
        .ok()
        .or_else(|| {
            let inner = text.strip_prefix('[')?.strip_suffix(']')?;
            inner.parse::<Ipv6Addr>().ok().map(IpAddr::V6)
        })?;
    Some(address.to_canonical())
}

/// Adds `last` behind everything the field says already, as one value.
fn join(headers: &mut HeaderMap, name: &HeaderName, last: &HeaderValue) {
    let length: usize = headers.get_all(name).iter().map(|value| value.len() + 2).sum();
    if length == 0 {
        headers.insert(name, last.clone());
        return;
    }
    let mut joined = Vec::with_capacity(length + last.len());
    for value in headers.get_all(name).iter().filter(|value| !value.is_empty()) {
        joined.extend_from_slice(value.as_bytes());
        joined.extend_from_slice(b", ");
    }
    joined.extend_from_slice(last.as_bytes());
    headers.insert(name, value(&joined));
}

/// A field value of bytes that are known to be fit for one.
fn value(bytes: &[u8]) -> HeaderValue {
    HeaderValue::from_bytes(bytes).unwrap_or(HeaderValue::from_static("unknown"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(values: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(&X_FORWARDED_FOR, HeaderValue::from_str(value).unwrap());
        }
        headers
    }

    fn client(peer: &str, values: &[&str]) -> String {
        let trust = Trust::new(vec!["10.0.0.0/8".parse().unwrap(), "::1".parse().unwrap()]);
        client_ip(peer.parse().unwrap(), &map(values), &trust).to_string()
    }

    #[test]
    fn believes_only_trusted_peers_about_the_client() {
        assert_eq!(client("8.8.8.8", &["1.1.1.1"]), "8.8.8.8");
        assert_eq!(client("10.0.0.1", &["1.1.1.1"]), "1.1.1.1");
        assert_eq!(client("::ffff:10.0.0.1", &["1.1.1.1"]), "1.1.1.1");
        assert_eq!(client("10.0.0.1", &[]), "10.0.0.1");
    }

    #[test]
    fn takes_the_right_most_untrusted_address() {
        assert_eq!(client("10.0.0.1", &["6.6.6.6, 1.1.1.1, 10.0.0.2"]), "1.1.1.1");
        assert_eq!(client("10.0.0.1", &["6.6.6.6", "1.1.1.1,10.0.0.2", "::1"]), "1.1.1.1");
        assert_eq!(client("10.0.0.1", &["10.0.0.3, 10.0.0.2"]), "10.0.0.3");
        assert_eq!(client("::1", &["[2001:db8::1]:443"]), "2001:db8::1");
        assert_eq!(client("::1", &["1.2.3.4:5"]), "1.2.3.4");
        assert_eq!(client("::1", &["[2001:db8::2]"]), "2001:db8::2");
    }

    #[test]
    fn stops_at_what_is_no_address() {
        assert_eq!(client("10.0.0.1", &["1.1.1.1, unknown, 10.0.0.2"]), "10.0.0.2");
        assert_eq!(client("10.0.0.1", &["1.1.1.1, "]), "10.0.0.1");
        assert_eq!(client("10.0.0.1", &["1.1.1.1, _hidden"]), "10.0.0.1");
    }

    #[test]
    fn looks_at_a_bounded_number_of_hops() {
        let chain = format!("1.1.1.1{}", ", 10.0.0.9".repeat(MAX_HOPS));
        assert_eq!(client("10.0.0.1", &[&chain]), "10.0.0.9");
    }

    #[test]
    fn replaces_what_an_untrusted_peer_said() {
        let mut headers = map(&["6.6.6.6", "7.7.7.7"]);
        headers.insert(FORWARDED, HeaderValue::from_static("for=6.6.6.6"));
        headers.insert(&X_FORWARDED_PROTO, HeaderValue::from_static("https"));
        headers.insert(&X_FORWARDED_HOST, HeaderValue::from_static("evil"));
        set(&mut headers, &PeerHeaders::new("2001:db8::1".parse().unwrap(), Scheme::Http), None, false);
        assert_eq!(headers[&X_FORWARDED_FOR], "2001:db8::1");
        assert_eq!(headers[FORWARDED], "for=\"[2001:db8::1]\";proto=http");
        assert_eq!(headers[&X_FORWARDED_PROTO], "http");
        assert!(!headers.contains_key(&X_FORWARDED_HOST));
        assert_eq!(headers.len(), 3);
    }

    #[test]
    fn continues_what_a_trusted_peer_said() {
        let mut headers = map(&["6.6.6.6", "7.7.7.7"]);
        headers.insert(FORWARDED, HeaderValue::from_static("for=6.6.6.6"));
        headers.insert(&X_FORWARDED_PROTO, HeaderValue::from_static("https"));
        let peer = PeerHeaders::new("::ffff:10.0.0.1".parse().unwrap(), Scheme::Http);
        set(&mut headers, &peer, Some(&HeaderValue::from_static("shop")), true);
        assert_eq!(headers[&X_FORWARDED_FOR], "6.6.6.6, 7.7.7.7, 10.0.0.1");
        assert_eq!(headers[FORWARDED], "for=6.6.6.6, for=10.0.0.1;proto=http");
        assert_eq!(headers[&X_FORWARDED_PROTO], "https");
        assert_eq!(headers[&X_FORWARDED_HOST], "shop");
    }
}
