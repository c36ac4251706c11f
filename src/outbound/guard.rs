//! Which addresses are public; checks the very address that is dialled.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::fetch::FetchError;

/// The most addresses of one name. A name with more is refused (CI-20).
const MAX_ADDRESSES: usize = 16;

const fn v4(a: u8, b: u8, c: u8, prefix: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, 0), prefix)
}

const fn v6(first: u16, second: u16, prefix: u8) -> Ipv6Net {
    Ipv6Net::new_assert(Ipv6Addr::new(first, second, 0, 0, 0, 0, 0, 0), prefix)
}

/// IPv4 blocks that are not globally reachable (RFC 6890 and IANA's registry), multicast and the reserved rest.
const SPECIAL_V4: &[Ipv4Net] = &[
    v4(0, 0, 0, 8),
    v4(10, 0, 0, 8),
    v4(100, 64, 0, 10),
    v4(127, 0, 0, 8),
    v4(169, 254, 0, 16),
    v4(172, 16, 0, 12),
    v4(192, 0, 0, 24),
    v4(192, 0, 2, 24),
    v4(192, 88, 99, 24),
    v4(192, 168, 0, 16),
    v4(198, 18, 0, 15),
    v4(198, 51, 100, 24),
    v4(203, 0, 113, 24),
    v4(224, 0, 0, 4),
    v4(240, 0, 0, 4),
];

/// The only IPv6 block that IANA allocates. Loopback, mapped and translated IPv4 (`::ffff:0:0/96`, `64:ff9b::/96`),
/// unique local, link local, site local and multicast addresses are all outside it.
const GLOBAL_V6: Ipv6Net = v6(0x2000, 0, 3);

/// Exceptions within it: protocol assignments with Teredo, documentation, 6to4.
const SPECIAL_V6: &[Ipv6Net] = &[v6(0x2001, 0, 23), v6(0x2001, 0x0db8, 32), v6(0x2002, 0, 16), v6(0x3fff, 0, 20)];

fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => !SPECIAL_V4.iter().any(|block| block.contains(&address)),
        IpAddr::V6(address) => GLOBAL_V6.contains(&address) && !SPECIAL_V6.iter().any(|block| block.contains(&address)),
    }
}

/// Admits public addresses and those that the operator has allowed.
#[derive(Debug)]
pub(super) struct Guard {
    allowed: Vec<IpNet>,
}

impl Guard {
    pub(super) fn new(allowed: Vec<IpNet>) -> Self {
        Self { allowed }
    }

    /// Admits all addresses of a name or none: a name with private and public addresses is not trusted at all (CI-05).
    pub(super) fn admit(&self, addresses: impl Iterator<Item = SocketAddr>) -> Result<Vec<SocketAddr>, FetchError> {
        let addresses: Vec<_> = addresses.take(MAX_ADDRESSES + 1).collect();
        let admitted = |address: &SocketAddr| {
            is_public(address.ip()) || self.allowed.iter().any(|block| block.contains(&address.ip()))
        };
        if addresses.is_empty() {
            Err(FetchError::Dns)
        } else if addresses.len() <= MAX_ADDRESSES && addresses.iter().all(admitted) {
            Ok(addresses)
        } else {
            Err(FetchError::Refused)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admits(allowed: &[&str], addresses: &[&str]) -> Result<usize, FetchError> {
        let guard = Guard::new(allowed.iter().map(|block| block.parse().unwrap()).collect());
        let addresses = addresses.iter().map(|address| SocketAddr::new(address.parse().unwrap(), 443));
        guard.admit(addresses).map(|admitted| admitted.len())
    }

    #[test]
    fn ci_02_no_special_use_address_is_admitted() {
        for address in [
            "0.0.0.0",
            "0.255.255.255",
            "10.0.0.1",
            "10.255.255.255",
            "100.64.0.1",
            "100.127.255.255",
            "127.0.0.1",
            "127.255.255.255",
            "169.254.0.1",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.1",
            "192.0.0.170",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.0.1",
            "192.168.255.255",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::127.0.0.1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::ffff:8.8.8.8",
            "64:ff9b::7f00:1",
            "64:ff9b::808:808",
            "64:ff9b:1::1",
            "100::1",
            "2001::1",
            "2001:0:4136:e378:8000:63bf:3fff:fdd2",
            "2001:2::1",
            "2001:10::1",
            "2001:1ff:ffff::1",
            "2001:db8::1",
            "2002:7f00:1::",
            "2002:808:808::1",
            "3fff::1",
            "3fff:fff::1",
            "4000::1",
            "5f00::1",
            "fc00::1",
            "fd12:3456::1",
            "fe80::1",
            "febf::1",
            "fec0::1",
            "feff::1",
            "ff00::1",
            "ff02::1",
        ] {
            assert_eq!(admits(&[], &[address]), Err(FetchError::Refused), "{address}");
        }
    }

    #[test]
    fn neighbours_of_special_blocks_are_public() {
        for address in [
            "1.1.1.1",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "126.255.255.255",
            "128.0.0.0",
            "169.253.255.255",
            "172.15.255.255",
            "172.32.0.0",
            "192.167.255.255",
            "198.17.255.255",
            "198.20.0.0",
            "223.255.255.255",
            "2000::1",
            "2001:200::1",
            "2001:4860:4860::8888",
            "2003::1",
            "2606:4700::1111",
            "3ffe::1",
        ] {
            assert_eq!(admits(&[], &[address]), Ok(1), "{address}");
        }
    }

    #[test]
    fn ci_05_ci_20_mixed_many_or_no_answers_are_refused() {
        assert_eq!(admits(&[], &["1.1.1.1", "10.0.0.1"]), Err(FetchError::Refused));
        assert_eq!(admits(&[], &["10.0.0.1", "1.1.1.1"]), Err(FetchError::Refused));
        assert_eq!(admits(&[], &[]), Err(FetchError::Dns));
        assert_eq!(admits(&[], &["1.1.1.1"; 16]), Ok(16));
        assert_eq!(admits(&[], &["1.1.1.1"; 512]), Err(FetchError::Refused));
    }

    #[test]
    fn ci_17_an_operator_opens_a_block_and_no_more() {
        assert_eq!(admits(&["10.1.0.0/16"], &["10.1.2.3"]), Ok(1));
        assert_eq!(admits(&["10.1.0.0/16"], &["10.2.0.1"]), Err(FetchError::Refused));
        assert_eq!(admits(&["10.1.0.0/16"], &["::ffff:10.1.2.3"]), Err(FetchError::Refused));
        assert_eq!(admits(&["::1/128"], &["::1"]), Ok(1));
    }
}
