//! The client's address behind trusted proxies: pure functions of the connection's peer and X-Forwarded-For.
//!
//! X-Forwarded-For is read from the right, because each proxy appends the address that it saw on the right. Only
//! entries written by trusted proxies count, so the walk ends at the first untrusted address: everything left of it was
//! sent by that address and may be forged.

use std::net::{IpAddr, SocketAddr};

use http::HeaderValue;
use ipnet::IpNet;

/// The most hops considered. No real chain is longer; a list of a thousand is an attack.
const MAX_HOPS: usize = 16;

/// The client, and the chain of proxies in between.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The client: the right-most address that is not a trusted proxy's.
    pub address: IpAddr,
    /// The trusted proxies between the client and us, the nearest last.
    pub proxies: Vec<IpAddr>,
}

impl Origin {
    /// Finds the client of a request from `peer` with these X-Forwarded-For fields, in their order.
    #[must_use]
    pub fn find<'a>(peer: IpAddr, fields: impl DoubleEndedIterator<Item = &'a HeaderValue>, trusted: &[IpNet]) -> Self {
        let mut address = peer.to_canonical();
        let mut proxies = Vec::new();
        // A field that is not text ends the walk like any other malformed entry.
        let entries = fields.rev().flat_map(|field| field.to_str().unwrap_or("?").rsplit(','));
        for entry in entries.take(MAX_HOPS) {
            if !is_trusted(address, trusted) {
                break;
            }
            let Some(next) = parse(entry.trim()) else { break };
            proxies.insert(0, address);
            address = next;
        }
        Self { address, proxies }
    }

    /// Returns X-Forwarded-For as we send it on: the client and the trusted proxies, and no untrusted entries.
    #[must_use]
    pub fn forwarded_for(&self) -> HeaderValue {
        let mut text = self.address.to_string();
        for proxy in &self.proxies {
            text.push_str(", ");
            text.push_str(&proxy.to_string());
        }
        // Addresses are always valid header values; the default is never used.
        HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static("unknown"))
    }
}

/// Returns whether an address belongs to a trusted proxy.
#[must_use]
pub fn is_trusted(address: IpAddr, trusted: &[IpNet]) -> bool {
    // An IPv4 peer on a dual-stack socket appears as ::ffff:a.b.c.d, while the configuration has a.b.c.d.
    let address = address.to_canonical();
    trusted.iter().any(|net| net.contains(&address))
}

/// Parses an entry. RFC 7239 6 allows a port, and requires brackets around IPv6; X-Forwarded-For occurs with and
/// without both.
fn parse(entry: &str) -> Option<IpAddr> {
    let bare = entry.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(entry);
    let address = bare.parse().or_else(|_| entry.parse::<SocketAddr>().map(|with_port| with_port.ip())).ok()?;
    Some(IpAddr::to_canonical(&address))
}

#[cfg(test)]
mod tests {
    use super::{MAX_HOPS, Origin, is_trusted};
    use http::HeaderValue;
    use ipnet::IpNet;
    use proptest::prelude::{any, prop, proptest};
    use std::net::{IpAddr, Ipv4Addr};

    fn nets(list: &[&str]) -> Vec<IpNet> {
        list.iter().map(|n| n.parse().unwrap()).collect()
    }

    fn find(peer: &str, fields: &[&str], trusted: &[&str]) -> Origin {
        let fields: Vec<HeaderValue> = fields.iter().map(|f| HeaderValue::from_bytes(f.as_bytes()).unwrap()).collect();
        Origin::find(peer.parse().unwrap(), fields.iter(), &nets(trusted))
    }

    #[test]
    fn hd_07_forwarded_for_is_believed_from_the_right() {
        let lb: &[&str] = &["10.0.0.0/8", "fd00::/8"];
        for (name, peer, fields, trusted, address, forwarded) in [
            ("untrusted peer", "203.0.113.9", &["1.1.1.1"][..], lb, "203.0.113.9", "203.0.113.9"),
            ("nobody trusted", "10.0.0.1", &["1.1.1.1"], &[], "10.0.0.1", "10.0.0.1"),
            ("no field", "10.0.0.1", &[], lb, "10.0.0.1", "10.0.0.1"),
            ("one hop", "10.0.0.1", &["1.1.1.1"], lb, "1.1.1.1", "1.1.1.1, 10.0.0.1"),
            (
                "three hops, forged left end",
                "10.0.0.1",
                &["6.6.6.6, 1.1.1.1, 10.0.0.3,10.0.0.2"],
                lb,
                "1.1.1.1",
                "1.1.1.1, 10.0.0.3, 10.0.0.2, 10.0.0.1",
            ),
            ("two fields", "10.0.0.1", &["6.6.6.6", "1.1.1.1"], lb, "1.1.1.1", "1.1.1.1, 10.0.0.1"),
            ("malformed right end", "10.0.0.1", &["1.1.1.1, x"], lb, "10.0.0.1", "10.0.0.1"),
            ("malformed further left", "10.0.0.1", &["1.1.1.1, ,10.0.0.2"], lb, "10.0.0.2", "10.0.0.2, 10.0.0.1"),
            ("not text", "10.0.0.1", &["1.1.1.1\u{e9}"], lb, "10.0.0.1", "10.0.0.1"),
            ("port", "10.0.0.1", &["1.1.1.1:443"], lb, "1.1.1.1", "1.1.1.1, 10.0.0.1"),
            ("IPv6", "fd00::1", &["2001:db8::1"], lb, "2001:db8::1", "2001:db8::1, fd00::1"),
            ("IPv6 with port", "fd00::1", &["[2001:db8::1]:9"], lb, "2001:db8::1", "2001:db8::1, fd00::1"),
            ("IPv6 in brackets", "fd00::1", &["[2001:db8::1]"], lb, "2001:db8::1", "2001:db8::1, fd00::1"),
            ("IPv4 mapped", "::ffff:10.0.0.1", &["::ffff:1.1.1.1"], lb, "1.1.1.1", "1.1.1.1, 10.0.0.1"),
        ] {
            let origin = find(peer, fields, trusted);
            assert_eq!(origin.address, address.parse::<IpAddr>().unwrap(), "{name}");
            assert_eq!(origin.forwarded_for(), forwarded, "{name}");
        }
    }

    #[test]
    fn hd_07_a_thousand_entries_are_not_walked() {
        let field = vec!["10.0.0.2"; 1000].join(",");
        assert_eq!(find("10.0.0.1", &[&format!("1.1.1.1,{field}")], &["10.0.0.0/8"]).proxies.len(), MAX_HOPS);
    }

    proptest! {
        /// Whatever a stranger sends: the address is the peer or an entry written by a trusted proxy, and each proxy on
        /// the way is trusted.
        #[test]
        fn hd_07_an_untrusted_side_is_never_believed(
            peer in any::<u32>(),
            chain in prop::collection::vec(0_u32..8, 0..20),
            net in 0_u8..3,
        ) {
            // Addresses 0.0.0.0 to 0.0.0.7, so that trusted and untrusted ones alternate; the peer is arbitrary.
            let trusted = nets(&[&format!("0.0.0.0/{}", 29 + net)]);
            let text = chain.iter().map(|n| Ipv4Addr::from(*n).to_string()).collect::<Vec<_>>().join(", ");
            let field = HeaderValue::try_from(text).unwrap();
            let peer = IpAddr::from(Ipv4Addr::from(peer % 16));
            let origin = Origin::find(peer, [&field].into_iter().filter(|f| !f.is_empty()), &trusted);
            assert!(origin.proxies.iter().all(|proxy| is_trusted(*proxy, &trusted)));
            match origin.proxies.last() {
                None => assert_eq!(origin.address, peer),
                Some(nearest) => {
                    assert_eq!(*nearest, peer);
                    let believed = chain[chain.len() - origin.proxies.len()];
                    assert_eq!(origin.address, IpAddr::from(Ipv4Addr::from(believed)));
                }
            }
        }
    }
}
