//! Address ranges, and the list of peers whose word is taken.
//!
//! Addresses are compared as IPv6; IPv4 and IPv4-mapped IPv6 (`::ffff:0:0/96`) are the same address, so a peer
//! on a dual-stack socket matches `10.0.0.0/8`.
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// A range of addresses: `10.0.0.0/8`, `::1/128`, or one address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    base: u128,
    mask: u128,
}

/// Text that is not `address` or `address/length`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotANetwork;

impl std::fmt::Display for NotANetwork {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("expected an address or a network such as 10.0.0.0/8, with no bits beyond the prefix")
    }
}

impl std::error::Error for NotANetwork {}

impl Network {
    /// The network of the first `prefix` bits of `address`; bits beyond them do not count.
    pub fn new(address: IpAddr, prefix: u8) -> Self {
        let outer: u32 = if address.is_ipv4() { 96 } else { 0 };
        let mask = u128::MAX.checked_shl(128_u32.saturating_sub(outer + u32::from(prefix))).unwrap_or(0);
        Self { base: bits(address) & mask, mask }
    }

    /// Whether the address lies in the range.
    #[inline]
    pub fn contains(&self, address: IpAddr) -> bool {
        bits(address) & self.mask == self.base
    }
}

impl FromStr for Network {
    type Err = NotANetwork;

    fn from_str(text: &str) -> Result<Self, NotANetwork> {
        let (address, length) = match text.split_once('/') {
            Some((address, length)) => (address, Some(prefix_length(length)?)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| NotANetwork)?;
        let (width, outer) = if address.is_ipv4() { (32, 96) } else { (128, 0) };
        let length = length.unwrap_or(width);
        if length > width {
            return Err(NotANetwork);
        }
        let mask = u128::MAX.checked_shl(128 - outer - length).unwrap_or(0);
        let base = bits(address);
        if base & mask == base { Ok(Self { base, mask }) } else { Err(NotANetwork) }
    }
}

/// The peers whose `X-Forwarded-*`, priority and identity fields are believed.
#[derive(Debug, Clone, Default)]
pub struct Trust {
    networks: Vec<Network>,
}

impl Trust {
    /// Trusts these networks, and nobody else.
    pub const fn new(networks: Vec<Network>) -> Self {
        Self { networks }
    }

    /// The default: this machine, `127.0.0.0/8` and `::1`.
    pub fn loopback() -> Self {
        let v4 = Network { base: bits(Ipv4Addr::new(127, 0, 0, 0).into()), mask: u128::MAX << 24 };
        let v6 = Network { base: bits(Ipv6Addr::LOCALHOST.into()), mask: u128::MAX };
        Self::new(vec![v4, v6])
    }

    /// Whether the address is a trusted peer's.
    #[inline]
    pub fn contains(&self, address: IpAddr) -> bool {
        self.networks.iter().any(|network| network.contains(address))
    }
}

fn prefix_length(text: &str) -> Result<u32, NotANetwork> {
    let digits = matches!(text.len(), 1..=3) && text.bytes().all(|byte| byte.is_ascii_digit());
    if digits { text.parse().map_err(|_| NotANetwork) } else { Err(NotANetwork) }
}

fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().to_bits(),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(network: &str, address: &str) -> bool {
        network.parse::<Network>().unwrap().contains(address.parse().unwrap())
    }

    #[test]
    fn knows_what_lies_inside() {
        assert!(holds("10.0.0.0/8", "10.255.1.2"));
        assert!(!holds("10.0.0.0/8", "11.0.0.0"));
        assert!(holds("10.0.0.0/8", "::ffff:10.1.2.3"));
        assert!(!holds("10.0.0.0/8", "::a01:203"));
        assert!(holds("::1", "::1"));
        assert!(!holds("::1/128", "::2"));
        assert!(holds("0.0.0.0/0", "8.8.8.8"));
        assert!(!holds("0.0.0.0/0", "2001:db8::1"));
        assert!(holds("::/0", "8.8.8.8"));
        assert!(holds("2001:db8::/33", "2001:db8:7fff::1"));
        assert!(!holds("2001:db8::/33", "2001:db8:8000::1"));
    }

    #[test]
    fn refuses_what_is_no_network() {
        for bad in [
            "",
            "/8",
            "10.0.0.0/",
            "10.0.0.0/33",
            "::/129",
            "10.0.0.1/8",
            "10.0.0.0/+8",
            "10.0.0.0/8/8",
            "a",
            "10.0.0/8",
        ] {
            assert_eq!(bad.parse::<Network>(), Err(NotANetwork), "{bad}");
        }
    }

    #[test]
    fn loopback_is_this_machine_and_nothing_else() {
        let trust = Trust::loopback();
        for (address, inside) in [
            ("127.9.9.9", true),
            ("::1", true),
            ("::ffff:127.0.0.1", true),
            ("128.0.0.1", false),
            ("::2", false),
        ] {
            assert_eq!(trust.contains(address.parse().unwrap()), inside, "{address}");
        }
    }
}
