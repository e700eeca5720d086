//! `host[:port]` as in Host and in the authority of a target (RFC 9110 §7.2, RFC 3986 §3.2.2).
//!
//! Narrower than the grammar, because a router and a server must read the same name: no userinfo, comma,
//! percent-encoding, zone id, IPvFuture, empty name or empty port.
use std::net::Ipv6Addr;

use super::class;

/// Longest accepted `host[:port]`: a DNS name has at most 253 characters.
const MAX: usize = 262;

/// Whether `authority` is a well-formed host with an optional port.
#[inline]
pub(crate) fn is_valid(authority: &[u8]) -> bool {
    authority.len() <= MAX
        && split(authority).is_some_and(|(host, port)| is_host(host) && port.is_none_or(is_port))
}

/// The authority without the default port of its scheme.
pub(crate) fn without_default_port(authority: &[u8], secure: bool) -> &[u8] {
    let default: &[u8] = if secure { b":443" } else { b":80" };
    authority.strip_suffix(default).unwrap_or(authority)
}

/// Whether the authority names a port.
pub(super) fn has_port(authority: &[u8]) -> bool {
    split(authority).is_some_and(|(_, port)| port.is_some())
}

fn split(authority: &[u8]) -> Option<(&[u8], Option<&[u8]>)> {
    let name_end = match authority {
        [b'[', ..] => memchr::memchr(b']', authority)? + 1,
        _ => class::span(authority, class::HOST),
    };
    match authority.split_at_checked(name_end)? {
        (host, []) => Some((host, None)),
        (host, [b':', port @ ..]) => Some((host, Some(port))),
        _ => None,
    }
}

fn is_host(host: &[u8]) -> bool {
    match host {
        [] => false,
        [b'[', literal @ .., b']'] => {
            std::str::from_utf8(literal).is_ok_and(|literal| literal.parse::<Ipv6Addr>().is_ok())
        }
        name => class::all(name, class::HOST),
    }
}

fn is_port(port: &[u8]) -> bool {
    matches!(port.len(), 1..=5)
        && port.iter().all(u8::is_ascii_digit)
        && port.iter().fold(0u32, |sum, digit| sum * 10 + u32::from(digit - b'0')) <= 65_535
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_names_addresses_and_ports() {
        for good in
            ["a", "a.b-c.example", "127.0.0.1", "127.0.0.1:80", "[::1]", "[::ffff:1.2.3.4]:8443", "a_b:1"]
        {
            assert!(is_valid(good.as_bytes()), "{good}");
        }
    }

    #[test]
    fn refuses_what_two_parsers_could_split_differently() {
        for bad in [
            "",
            ":80",
            "a:",
            "a:b",
            "a:65536",
            "a:123456",
            "a:80:80",
            "u@a",
            "u:p@a",
            "a,b",
            "a b",
            "a/b",
            "a?b",
            "a#b",
            "a\\b",
            "a%2fb",
            "a%00",
            "[::1",
            "::1",
            "[::1]x",
            "[fe80::1%25eth0]",
            "[v1.x]",
            "[]",
            "[1.2.3.4]",
            "a\u{e9}",
            "\"a\"",
            "a:+80",
            "a:-1",
            "<a>",
        ] {
            assert!(!is_valid(bad.as_bytes()), "{bad}");
        }
        assert!(!is_valid("a".repeat(263).as_bytes()));
    }
}
