//! `AddressRanges`: the networks that a token may be used from.

use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;

/// The networks that a token may be used from; without any, it may be used from everywhere. It is one pointer, because
/// every principal in memory has one and hardly any has ranges.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct AddressRanges(Option<Arc<Networks>>);

#[derive(Debug, PartialEq, Eq, Hash)]
struct Networks(Box<[IpNet]>);

impl AddressRanges {
    /// The most ranges that a token may have.
    pub const MOST: usize = 16;

    /// Reads ranges, each an address or a network such as `192.0.2.0/24`.
    ///
    /// # Errors
    /// The text that is neither, or an IPv4 address written as IPv6, which no client's address matches; the whole list
    /// if there are more than [`Self::MOST`].
    pub fn parse<'t>(texts: impl IntoIterator<Item = &'t str>) -> Result<Self, String> {
        let read = |text: &'t str| {
            let network = text.parse::<IpNet>().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from));
            network.map(|network| network.trunc()).filter(is_canonical).ok_or_else(|| text.to_owned())
        };
        let networks = texts.into_iter().map(read).collect::<Result<Vec<_>, _>>()?;
        if networks.len() > Self::MOST {
            return Err(Self::of(networks).to_string());
        }
        Ok(Self::of(networks))
    }

    fn of(networks: Vec<IpNet>) -> Self {
        Self((!networks.is_empty()).then(|| Arc::new(Networks(networks.into()))))
    }

    /// Returns whether a token may be used from an address, in its canonical form.
    #[must_use]
    pub fn permit(&self, address: IpAddr) -> bool {
        self.0.as_ref().is_none_or(|networks| networks.0.iter().any(|network| network.contains(&address)))
    }

    /// Returns whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Returns the ranges.
    pub fn iter(&self) -> impl Iterator<Item = &IpNet> {
        self.0.iter().flat_map(|networks| networks.0.iter())
    }

    /// Returns the stored text, the ranges separated by spaces; `None` without ranges.
    #[must_use]
    pub fn to_stored(&self) -> Option<String> {
        self.0.is_some().then(|| self.to_string())
    }
}

/// The ranges, separated by spaces.
impl std::fmt::Display for AddressRanges {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.iter().enumerate().try_for_each(|(place, network)| {
            let space = if place == 0 { "" } else { " " };
            write!(f, "{space}{network}")
        })
    }
}

fn is_canonical(network: &IpNet) -> bool {
    network.addr().to_canonical() == network.addr()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranges(text: &str) -> Result<AddressRanges, String> {
        AddressRanges::parse(text.split(' '))
    }

    #[test]
    fn a_range_is_an_address_or_a_network() {
        let some = ranges("192.0.2.9 198.51.100.77/24 2001:db8::/32").unwrap();
        assert_eq!(some.to_string(), "192.0.2.9/32 198.51.100.0/24 2001:db8::/32");
        for (address, is_permitted) in [
            ("192.0.2.9", true),
            ("192.0.2.10", false),
            ("198.51.100.255", true),
            ("198.51.101.0", false),
            ("2001:db8:ffff::1", true),
            ("2001:db9::1", false),
        ] {
            assert_eq!(some.permit(address.parse().unwrap()), is_permitted, "{address}");
            assert!(AddressRanges::default().permit(address.parse().unwrap()), "{address}");
        }
        assert_eq!((ranges(&some.to_stored().unwrap()), AddressRanges::default().to_stored()), (Ok(some), None));
    }

    #[test]
    fn what_is_no_range_or_never_matches_is_named() {
        for bad in ["", "192.0.2", "192.0.2.0/33", "example.com", "::ffff:192.0.2.0/120", "::ffff:192.0.2.9"] {
            assert_eq!(ranges(bad).unwrap_err(), bad);
        }
        assert_eq!(ranges("192.0.2.9 x").unwrap_err(), "x");
        let many = |count| AddressRanges::parse(std::iter::repeat_n("192.0.2.9", count));
        assert!(many(AddressRanges::MOST).is_ok() && many(AddressRanges::MOST + 1).is_err());
    }

    #[test]
    fn it_is_one_pointer() {
        assert_eq!(size_of::<AddressRanges>(), size_of::<usize>());
    }
}
