//! The parts of an address that limits are counted by: the host, the network that one attacker commonly controls, and
//! the site that one customer of a provider commonly owns. Every limit by address uses one of the three.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use url::Url;

/// Splits a URL into its origin and its path, which is empty or begins with a slash.
#[must_use]
pub fn origin_and_path(url: &str) -> (&str, &str) {
    let authority = url.find("://").map_or(0, |end| end + 3);
    let path = url.get(authority..).and_then(|rest| rest.find('/'));
    url.split_at(path.map_or(url.len(), |path| authority + path))
}

/// Returns the host of an address: an IPv4 address, or the /64 that every IPv6 host has at least (RFC 6177 2).
#[must_use]
pub fn host(address: IpAddr) -> IpAddr {
    masked(address, 32, 64)
}

/// Returns the network of an address, by which guesses are counted: a /24, or the /56 of a home connection.
#[must_use]
pub fn network(address: IpAddr) -> IpAddr {
    masked(address, 24, 56)
}

/// Returns the site of an address: a /24, or the /48 that anybody can rent.
#[must_use]
pub fn site(address: IpAddr) -> IpAddr {
    masked(address, 24, 48)
}

fn masked(address: IpAddr, v4_bits: u32, v6_bits: u32) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(a) => Ipv4Addr::from_bits(a.to_bits() & !u32::MAX.checked_shr(v4_bits).unwrap_or(0)).into(),
        IpAddr::V6(a) => Ipv6Addr::from_bits(a.to_bits() & !u128::MAX.checked_shr(v6_bits).unwrap_or(0)).into(),
    }
}

/// Returns whether the host of a URL is this machine.
#[must_use]
pub fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(url::Host::Ipv4(address)) => IpAddr::V4(address).is_loopback(),
        Some(url::Host::Ipv6(address)) => IpAddr::V6(address).is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::{host, network, site};

    #[test]
    fn addresses_are_cut_at_the_named_lengths() {
        for (address, expected) in [
            ("192.0.2.9", ["192.0.2.9", "192.0.2.0", "192.0.2.0"]),
            ("::ffff:192.0.2.9", ["192.0.2.9", "192.0.2.0", "192.0.2.0"]),
            ("2001:db8:1:2345:6::7", ["2001:db8:1:2345::", "2001:db8:1:2300::", "2001:db8:1::"]),
        ] {
            let address = address.parse().unwrap();
            assert_eq!([host(address), network(address), site(address)].map(|a| a.to_string()), expected);
        }
    }
}
