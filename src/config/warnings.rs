//! Warnings about settings that are allowed but dangerous, or probably not intended (CF-05).

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, Ipv6Addr};

use url::{Host, Url};

use super::{Config, TlsConfig, UpstreamConfig};
use crate::network::is_loopback;

/// Domains that are not in the public DNS: RFC 6761, RFC 6762, RFC 8375, and ICANN's reservation for private use.
const PRIVATE_DOMAINS: [&str; 8] = ["home.arpa", "internal", "invalid", "lan", "local", "localhost", "svc", "test"];

impl Config {
    /// Returns warnings about this configuration, one sentence each.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let public_url = Url::parse(&self.public_url).ok();
        let is_local = |url: &str| Url::parse(url).is_ok_and(|url| is_loopback(&url));
        let mut addresses =
            std::iter::once(self.public.address).chain(self.own_listeners.iter().map(|listener| listener.address));
        let is_plain = public_url.as_ref().is_some_and(|url| url.scheme() == "http");
        let dangers = [
            (
                !self.operator.ip().is_loopback(),
                "operator.danger_open_to_network: everybody who reaches the operator listener can read health and \
                 metrics",
            ),
            (
                self.public.tls == TlsConfig::Development && !self.public_urls().all(is_local),
                "listen.tls is development: only clients that trust the CA in data_dir can connect",
            ),
            (
                !self.public_path.is_empty(),
                "public_url has a path: all applications of its host share its origin in browsers, and can set and \
                 replace the gateway's cookies; use it only where you trust every one of them, or give the gateway a \
                 host of its own",
            ),
            (
                is_plain,
                "--public-url is plain http: passwords and tokens travel in clear text; never forward this port to \
                 another machine",
            ),
            (
                self.public.tls == TlsConfig::Off && addresses.any(|address| !address.ip().is_loopback()),
                "listen.tls is off: tokens travel in clear text between the load balancer and this machine",
            ),
            (
                !self.outbound.allow_addresses.is_empty(),
                "outbound.allow_addresses: the gateway fetches metadata documents and key sets from addresses that \
                 are not public",
            ),
            (
                self.outbound.proxy.is_some(),
                "outbound.proxy: the proxy resolves the names of metadata documents; the gateway does not see their \
                 addresses, so the proxy must refuse those that are not public",
            ),
        ];
        let dangers = dangers.into_iter().filter(|(is_so, _)| *is_so).map(|(_, sentence)| sentence.to_owned());
        let ports = public_url.as_ref().and_then(|url| self.differing_ports(url));
        dangers.chain(ports).chain(self.upstreams.iter().filter_map(open_credential)).collect()
    }

    /// Returns warnings about groups that upstreams, their scopes and their rules name and the file does not have, one
    /// sentence each, for a store that has no groups either.
    #[must_use]
    pub fn warnings_of_groups(&self) -> Vec<String> {
        let known: BTreeSet<_> = self.groups.iter().flat_map(|(_, groups)| groups.iter()).collect();
        let warn = |upstream: &UpstreamConfig| -> Vec<String> {
            let of_rules = upstream.rules.as_ref().map(|rules| rules.named_groups()).unwrap_or_default();
            let groups = upstream.holders.named_groups().union(&of_rules);
            let unknown = groups.iter().filter(|group| !known.contains(group));
            unknown.map(|group| format!("the upstream {}: the group {group} has no members", upstream.name)).collect()
        };
        self.upstreams.iter().flat_map(warn).collect()
    }

    /// Warns if the public URL has another port than the listener and no trusted proxy forwards it.
    fn differing_ports(&self, public_url: &Url) -> Option<String> {
        let (public, listening) = (public_url.port_or_known_default()?, self.public.address.port());
        let differ = public != listening && listening != 0 && self.public.trusted_proxies.is_empty();
        differ.then(|| {
            format!(
                "listen.address has port {listening}, but clients use port {public} of public_url: listen on that \
                 port, or forward it (list a reverse proxy in listen.trusted_proxies)"
            )
        })
    }
}

/// Warns about a credential that is sent in clear text over a network that may not be private.
fn open_credential(upstream: &UpstreamConfig) -> Option<String> {
    let is_open = !upstream.headers.is_empty() && upstream.url.scheme() == "http" && !is_private(&upstream.url);
    is_open.then(|| {
        format!(
            "the upstream {}: its URL is plain http and not in a private network, so anybody on the network path can \
             read the credential in its headers; write https",
            upstream.name
        )
    })
}

/// Returns whether a host appears to be in a private network, by its name or address.
fn is_private(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => {
            let name = name.trim_end_matches('.');
            let below = |domain: &&str| name.strip_suffix(*domain).is_some_and(|rest| rest.ends_with('.'));
            // A name without a dot is in the local network, or a neighbouring container.
            !name.contains('.') || PRIVATE_DOMAINS.iter().any(below)
        }
        Some(Host::Ipv4(address)) => is_private_v4(address),
        Some(Host::Ipv6(address)) => {
            let [first, ..] = address.segments();
            // RFC 4193 3, RFC 4291 2.5.6.
            let is_local = address == Ipv6Addr::LOCALHOST || first & 0xfe00 == 0xfc00 || first & 0xffc0 == 0xfe80;
            is_local || address.to_ipv4_mapped().is_some_and(is_private_v4)
        }
        None => false,
    }
}

fn is_private_v4(address: Ipv4Addr) -> bool {
    let [first, second, ..] = address.octets();
    // RFC 6598: shared address space, which many clouds use internally.
    let is_shared = first == 100 && second & 0xc0 == 64;
    address.is_private() || address.is_loopback() || address.is_link_local() || is_shared
}

#[cfg(test)]
mod tests {
    use super::is_private;

    #[test]
    fn private_networks_are_told_by_name_or_address() {
        for (url, private) in [
            ("http://files:8000/", true),
            ("http://files.prod.svc.cluster.local/", true),
            ("http://nas.lan./", true),
            ("http://localhost:1/", true),
            ("http://127.0.0.1/", true),
            ("http://10.0.0.7/", true),
            ("http://172.16.0.1/", true),
            ("http://100.64.0.1/", true),
            ("http://[::1]/", true),
            ("http://[fd00::1]/", true),
            ("http://[fe80::1]/", true),
            ("http://[::ffff:10.0.0.1]/", true),
            ("http://mcp.example.com/", false),
            ("http://notlocal.com/", false),
            ("http://8.8.8.8/", false),
            ("http://172.32.0.1/", false),
            ("http://100.128.0.1/", false),
            ("http://[2001:db8::1]/", false),
        ] {
            assert_eq!(is_private(&url::Url::parse(url).unwrap()), private, "{url}");
        }
    }
}
