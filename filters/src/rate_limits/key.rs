//! From a request to the hash of its key, without allocating.
//!
//! The hash is SipHash-1-3 with the process's secret (the standard library's): callers choose what goes in, and
//! must not be able to aim at the bucket of another. Parts are hashed with their length and with whether they are
//! there, so that no two keys look alike by where one part ends.

use std::hash::{BuildHasher, Hash, Hasher, RandomState};
use std::net::IpAddr;

use http::HeaderName;

use super::KeyPart;
use super::claim;
use crate::request::RequestView;

/// The parts of a key, resolved.
pub(super) struct Key {
    parts: Box<[Part]>,
    seed: RandomState,
}

enum Part {
    Header(HeaderName),
    Query(String),
    ClientIp,
    SpiffeId,
    JwtClaim(String),
    Method,
    Route,
    PathParam(String),
}

impl Key {
    /// None where there are no parts. Names were validated; a header name that was not is never present.
    pub(super) fn compile(parts: &[KeyPart], seed: RandomState) -> Option<Self> {
        let parts: Box<[Part]> = parts.iter().map(Part::compile).collect();
        (!parts.is_empty()).then_some(Self { parts, seed })
    }

    pub(super) fn hash(&self, request: &RequestView<'_>) -> u64 {
        let mut hasher = self.seed.build_hasher();
        for part in &self.parts {
            part.hash(request, &mut hasher);
        }
        hasher.finish()
    }
}

impl Part {
    fn compile(part: &KeyPart) -> Self {
        match part {
            KeyPart::Header(name) => name.parse().map_or(Self::Query(String::new()), Self::Header),
            KeyPart::Query(name) => Self::Query(name.clone()),
            KeyPart::ClientIp => Self::ClientIp,
            KeyPart::SpiffeId => Self::SpiffeId,
            KeyPart::JwtClaim(name) => Self::JwtClaim(name.clone()),
            KeyPart::Method => Self::Method,
            KeyPart::Route => Self::Route,
            KeyPart::PathParam(name) => Self::PathParam(name.clone()),
        }
    }

    fn hash(&self, request: &RequestView<'_>, hasher: &mut impl Hasher) {
        match self {
            Self::Header(name) => bytes(hasher, request.headers.get(name).map(|value| value.as_bytes())),
            Self::Query(name) => query_value(hasher, request.query, name),
            Self::ClientIp => address(hasher, request.client_ip),
            Self::SpiffeId => bytes(hasher, request.spiffe_id.map(str::as_bytes)),
            Self::JwtClaim(name) => {
                bytes(hasher, claim::of(request.headers, name).as_deref().map(str::as_bytes))
            }
            Self::Method => bytes(hasher, Some(request.method.as_str().as_bytes())),
            Self::Route => bytes(hasher, Some(request.route.as_bytes())),
            Self::PathParam(name) => {
                let param = request.path_params.iter().find(|(known, _)| known == name);
                bytes(hasher, param.map(|(_, value)| value.as_bytes()));
            }
        }
    }
}

/// A part that is there, with its length; or a part that is missing, which is a value of its own.
fn bytes(hasher: &mut impl Hasher, value: Option<&[u8]>) {
    match value {
        Some(value) => {
            hasher.write_u64((value.len() as u64).wrapping_add(1));
            hasher.write(value);
        }
        None => hasher.write_u64(0),
    }
}

/// A host commonly has a whole IPv6 /64 to choose from, so that is one caller.
fn address(hasher: &mut impl Hasher, address: IpAddr) {
    match address.to_canonical() {
        IpAddr::V4(v4) => hasher.write_u64(u64::from(v4.to_bits())),
        // Bit 63 tells the two kinds apart: 2000::/3, all that is routed, does not set it.
        IpAddr::V6(v6) => ((v6.to_bits() >> 64) as u64 | 1 << 63).hash(hasher),
    }
}

/// The first value of a query parameter, decoded: two spellings of one value are one key.
fn query_value(hasher: &mut impl Hasher, query: Option<&str>, name: &str) {
    let mut pairs = query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
    let found = pairs.find_map(|pair| {
        let (known, value) = pair.split_once('=').unwrap_or((pair, ""));
        decoded(known).eq(name.bytes()).then_some(value)
    });
    let Some(value) = found else { return hasher.write_u64(0) };
    hasher.write_u64((decoded(value).count() as u64).wrapping_add(1));
    // By chunks: hashers are slow on single bytes.
    let mut chunk = [0; 64];
    let mut bytes = decoded(value);
    loop {
        let filled = chunk.iter_mut().zip(&mut bytes).map(|(slot, byte)| *slot = byte).count();
        hasher.write(chunk.get(..filled).unwrap_or_default());
        if filled < chunk.len() {
            return;
        }
    }
}

/// Percent-decoding (RFC 3986, 2.1) with `+` for a space, as in forms; a stray `%` stands for itself.
fn decoded(text: &str) -> impl Iterator<Item = u8> {
    let mut rest = text.as_bytes().iter();
    std::iter::from_fn(move || match *rest.next()? {
        b'+' => Some(b' '),
        b'%' => {
            let [high, low, ..] = rest.as_slice() else { return Some(b'%') };
            let (Some(high), Some(low)) = (hex(*high), hex(*low)) else { return Some(b'%') };
            rest.next();
            rest.next();
            Some(high << 4 | low)
        }
        byte => Some(byte),
    })
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests;
