//! Hosts: as they are compared, lower case and without a port.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::Build;
use crate::codes;
use crate::index::Spot;
use crate::node::quoted;
use crate::plan::HostMatch;

impl Build<'_, '_> {
    pub(super) fn host(&self, spot: Spot<'_>, text: &str) -> Option<HostMatch> {
        match parse(text) {
            Ok(host) => Some(host),
            Err(hint) => {
                self.error(spot, codes::HOST, format!("{} is not a host", quoted(text)), hint);
                None
            }
        }
    }
}

fn parse(text: &str) -> Result<HostMatch, &'static str> {
    let host = text.to_ascii_lowercase();
    let host = host.strip_suffix('.').unwrap_or(&host);
    if let Some(suffix) = host.strip_prefix("*.") {
        return match is_name(suffix) {
            true => Ok(HostMatch::Suffix(format!(".{suffix}"))),
            false => Err("a wildcard stands for the first labels: `*.example.com`"),
        };
    }
    let bracketed = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    if let Some(address) = bracketed.and_then(|host| host.parse::<Ipv6Addr>().ok()) {
        return Ok(HostMatch::Exact(format!("[{address}]")));
    }
    if is_name(host) || host.parse::<Ipv4Addr>().is_ok() {
        return Ok(HostMatch::Exact(host.to_owned()));
    }
    Err(match host {
        "*" => "leave `hosts` out to match every host",
        _ if host.contains("://") => "a host alone, without scheme and path",
        _ if host.parse::<Ipv6Addr>().is_ok() => "an IPv6 address stands in brackets: `[::1]`",
        _ if host.contains(':') => "hosts are compared without the port; remove it",
        _ if host.contains('*') => "a wildcard stands for the first labels: `*.example.com`",
        _ => "a name such as `shop.example`, `*.shop.example`, or an IP address",
    })
}

/// A DNS name (RFC 1123, and underscores, which services use) that is not an IP address in the making.
pub(crate) fn is_name(text: &str) -> bool {
    let label = |label: &str| {
        let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric() || c == '_');
        label.len() <= 63
            && edge(label.chars().next())
            && edge(label.chars().next_back())
            && label.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c))
    };
    let numeric = text.rsplit('.').next().is_some_and(|last| last.bytes().all(|byte| byte.is_ascii_digit()));
    text.len() <= 253 && !numeric && text.split('.').all(label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_lower_case_and_without_the_final_dot() {
        assert_eq!(parse("Shop.Example."), Ok(HostMatch::Exact("shop.example".into())));
        assert_eq!(parse("*.Shop.example"), Ok(HostMatch::Suffix(".shop.example".into())));
        assert_eq!(parse("10.0.0.1"), Ok(HostMatch::Exact("10.0.0.1".into())));
        assert_eq!(parse("[0:0::1]"), Ok(HostMatch::Exact("[::1]".into())));
    }

    #[test]
    fn refuses_what_no_host_header_says() {
        for text in [
            "",
            "*",
            "a b",
            "a:80",
            "http://a",
            "*a.b",
            "a.*.b",
            "10.0.0.256",
            "-a",
            "a..b",
            "::1",
            "[::g]",
            "é",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
