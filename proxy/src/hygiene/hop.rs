//! Removes what belongs to one connection only, both ways, and what an untrusted peer may not say.
//!
//! Call these before routing, so that policies see exactly the fields the other side will see. A client must
//! not be able to make *us* remove a field that matters behind us by naming it in `Connection`: naming one of
//! the [`is_protected`] fields is an error in a request, and has no effect in a response.
//!
//! Sources: RFC 9110 §7.6.1, §10.1.1, §10.1.4. `Trailer` is end-to-end and stays.
//! Cost: work only for what is there, see [`Seen`].
use http::header::{
    CONNECTION, CONTENT_LENGTH, HeaderMap, HeaderName, HeaderValue, TE, TRANSFER_ENCODING, UPGRADE,
};

use super::seen::{Field, Seen};

/// What outlives the removal because the next hop takes part in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Keep {
    /// Keep `TE: trailers`, without which gRPC servers refuse a call. Nothing else of TE is ever kept.
    pub te_trailers: bool,
    /// Keep `Upgrade` and `Connection: upgrade`: this exchange is an upgrade we let through.
    pub upgrade: bool,
}

/// Why a request's fields are not acceptable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BadFields {
    /// `Connection` names a field that is meant for everyone.
    NominatesProtected,
    /// `Connection` has an element that is not a field name.
    NominatesNonsense,
    /// A field name with an underscore, which CGI-like servers cannot tell from a dash.
    Underscore,
    /// `Max-Forwards` is not one plain number.
    MaxForwards,
}

impl BadFields {
    /// A short, fixed name for logs, metrics and `Proxy-Status` details. The status is 400.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::NominatesProtected => "connection_nominates_protected_field",
            Self::NominatesNonsense => "connection_nominates_nonsense",
            Self::Underscore => "underscore_in_field_name",
            Self::MaxForwards => "max_forwards",
        }
    }
}

/// Removes the hop-by-hop fields of a request, and `Expect`, which we have answered ourselves.
pub fn strip_request(headers: &mut HeaderMap, seen: Seen, keep: Keep) -> Result<(), BadFields> {
    if !is_hop_by_hop(seen) {
        return Ok(());
    }
    let mut upgrade = false;
    if seen.has(Field::Connection) {
        for value in take_all(headers) {
            upgrade |= remove_nominated(headers, &value)?;
        }
    }
    if seen.has(Field::Te) {
        strip_te(headers, keep);
    }
    if seen.has(Field::Hop) {
        remove_others(headers);
    }
    if seen.has(Field::Expect) {
        headers.remove(http::header::EXPECT);
    }
    restore_upgrade(headers, seen, upgrade && keep.upgrade);
    Ok(())
}

fn is_hop_by_hop(seen: Seen) -> bool {
    [Field::Connection, Field::Te, Field::Upgrade, Field::Expect, Field::Hop]
        .iter()
        .any(|field| seen.has(*field))
}

/// Whether two readers could find different ends of a response's body: several lengths, a transfer coding beside
/// one, or a coding that is not simply `chunked` (RFC 9112 §6.1, §6.3). The parser forgives these, and what we
/// pass on is what it was told, not what it made of it.
pub fn is_ambiguous(response: &HeaderMap) -> bool {
    let mut lengths = response.get_all(CONTENT_LENGTH).iter();
    let mut codings = response.get_all(TRANSFER_ENCODING).iter();
    match (lengths.next(), codings.next()) {
        (None, None) => false,
        (Some(length), None) => lengths.next().is_some() || !length.as_bytes().iter().all(u8::is_ascii_digit),
        (None, Some(coding)) => {
            codings.next().is_some() || !coding.as_bytes().eq_ignore_ascii_case(b"chunked")
        }
        (Some(_), Some(_)) => true,
    }
}

/// Removes the hop-by-hop fields of a response. `upgraded`: it is the 101 of an upgrade we let through.
pub fn strip_response(headers: &mut HeaderMap, upgraded: bool) {
    let seen = Seen::of(headers);
    if !is_hop_by_hop(seen) {
        return;
    }
    let mut upgrade = false;
    if seen.has(Field::Connection) {
        for value in take_all(headers) {
            upgrade |= remove_unprotected(headers, &value);
        }
    }
    if seen.has(Field::Te) {
        headers.remove(TE);
    }
    if seen.has(Field::Hop) {
        remove_others(headers);
    }
    restore_upgrade(headers, seen, upgrade && upgraded);
}

/// Whether an `Upgrade` value asks for the one protocol that is ever switched to. Any other offer (`h2c` above all,
/// which Java's and curl's clients make with their first request, body and all) is removed, and its request is an
/// ordinary one: RFC 9110 §7.8 lets a server ignore it.
pub fn asks_for_websocket(upgrade: &[u8]) -> bool {
    upgrade
        .split(|&byte| byte == b',')
        .any(|protocol| protocol.trim_ascii().eq_ignore_ascii_case(b"websocket"))
}

/// Whether a field is one that `Connection` must not be able to remove: framing, routing, credentials,
/// conditions, tracing, and everything a policy of ours reads by a fixed name.
pub fn is_protected(name: &HeaderName) -> bool {
    let name = name.as_str();
    PROTECTED.contains(&name) || PROTECTED_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

/// Takes every `Connection` value out of the map.
fn take_all(headers: &mut HeaderMap) -> impl Iterator<Item = HeaderValue> + use<> {
    // Nearly always there is one value, and then the vector does not allocate.
    let more: Vec<HeaderValue> = headers.get_all(CONNECTION).iter().skip(1).cloned().collect();
    headers.remove(CONNECTION).into_iter().chain(more)
}

/// Removes the fields a request's `Connection` names; says whether `upgrade` was among them.
fn remove_nominated(headers: &mut HeaderMap, value: &HeaderValue) -> Result<bool, BadFields> {
    let mut upgrade = false;
    for option in options(value) {
        if is_well_known(option) {
            upgrade |= option.eq_ignore_ascii_case(b"upgrade");
            continue;
        }
        let name = HeaderName::from_bytes(option).map_err(|_| BadFields::NominatesNonsense)?;
        if is_protected(&name) {
            return Err(BadFields::NominatesProtected);
        }
        headers.remove(name);
    }
    Ok(upgrade)
}

/// The same for a response, where protected fields simply stay.
fn remove_unprotected(headers: &mut HeaderMap, value: &HeaderValue) -> bool {
    let mut upgrade = false;
    for option in options(value) {
        if is_well_known(option) {
            upgrade |= option.eq_ignore_ascii_case(b"upgrade");
        } else if let Ok(name) = HeaderName::from_bytes(option)
            && !is_protected(&name)
        {
            headers.remove(name);
        }
    }
    upgrade
}

fn options(value: &HeaderValue) -> impl Iterator<Item = &[u8]> {
    value.as_bytes().split(|&byte| byte == b',').map(<[u8]>::trim_ascii).filter(|option| !option.is_empty())
}

/// Options that are no field, or a field that is removed anyway.
fn is_well_known(option: &[u8]) -> bool {
    ["keep-alive", "close", "upgrade", "te", "http2-settings"]
        .iter()
        .any(|known| option.eq_ignore_ascii_case(known.as_bytes()))
}

fn strip_te(headers: &mut HeaderMap, keep: Keep) {
    let wanted =
        headers.get_all(TE).iter().flat_map(options).any(|coding| coding.eq_ignore_ascii_case(b"trailers"));
    if wanted && keep.te_trailers {
        headers.insert(TE, HeaderValue::from_static("trailers"));
    } else {
        headers.remove(TE);
    }
}

fn restore_upgrade(headers: &mut HeaderMap, seen: Seen, upgrade: bool) {
    if upgrade && seen.has(Field::Upgrade) {
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    } else if seen.has(Field::Upgrade) {
        headers.remove(UPGRADE);
    }
}

fn remove_others(headers: &mut HeaderMap) {
    for name in OTHERS {
        headers.remove(name);
    }
}

pub(super) const OTHERS: [&str; 7] = [
    "keep-alive",
    "proxy-connection",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-authentication-info",
    "transfer-encoding",
    "http2-settings",
];

const PROTECTED_PREFIXES: [&str; 6] = ["content-", "if-", "x-forwarded-", "x-envoy-", "outrigger-", "grpc-"];

const PROTECTED: [&str; 27] = [
    "accept",
    "accept-encoding",
    "authorization",
    "baggage",
    "cache-control",
    "cookie",
    "date",
    "etag",
    "expires",
    "forwarded",
    "host",
    "idempotency-key",
    "location",
    "max-forwards",
    "origin",
    "range",
    "referer",
    "retry-after",
    "set-cookie",
    "traceparent",
    "tracestate",
    "transfer-encoding",
    "vary",
    "via",
    "x-criticality",
    "x-request-id",
    "x-request-timeout-ms",
];
