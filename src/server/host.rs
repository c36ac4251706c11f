//! Which authorities are ours: checks `Host`, `:authority` and the TLS server name.

use std::net::{IpAddr, Ipv6Addr};

use crate::config::Config;
use crate::network::origin_and_path;

/// The authorities that requests may name, in every spelling, in lower case.
#[derive(Debug, Default)]
pub(super) struct Hosts(Vec<Ours>);

/// The authorities of every listener.
#[derive(Debug, Default)]
pub(super) struct HostsOfListeners {
    /// Those of the public listener, then of those of upstreams, as in the configuration.
    listeners: Vec<Hosts>,
    /// Of a listener that is not configured any more.
    none: Hosts,
}

impl HostsOfListeners {
    /// Collects the authorities of a configuration.
    pub(super) fn new(config: &Config) -> Self {
        let own = config.own_listeners.iter().map(|listener| Hosts::at(&listener.public_url));
        Self { listeners: std::iter::once(Hosts::new(config)).chain(own).collect(), none: Hosts::default() }
    }

    /// Returns those of a listener; 0 is the public one.
    pub(super) fn of(&self, listener: usize) -> &Hosts {
        self.listeners.get(listener).unwrap_or(&self.none)
    }
}

/// One of them, and what it names.
#[derive(Debug)]
struct Ours {
    authority: String,
    name: String,
    is_address: bool,
}

/// What a well-formed authority names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Named<'a> {
    /// The host, without a port.
    pub(super) name: &'a str,
    /// Whether that is an IP address.
    pub(super) is_address: bool,
    /// Whether the authority is one of ours.
    pub(super) is_ours: bool,
}

impl Hosts {
    /// Collects the public URL's authority and the configured ones.
    pub(super) fn new(config: &Config) -> Self {
        let mut hosts = Self::at(&config.public_url);
        let default_port = default_port(&config.public_url);
        for authority in &config.extra_hosts {
            hosts.add(authority, default_port);
        }
        hosts
    }

    /// Takes the authority of a public URL.
    fn at(origin: &str) -> Self {
        let mut hosts = Self::default();
        let (_, authority) = origin_and_path(origin).0.split_once("://").unwrap_or(("", origin));
        hosts.add(authority, default_port(origin));
        hosts
    }

    fn add(&mut self, authority: &str, default_port: u16) {
        let authority = authority.to_ascii_lowercase();
        let Some((name, port)) = split(&authority) else { return };
        let ours = |authority| Ours { authority, name: name.to_owned(), is_address: is_address(name) };
        // RFC 9110 4.2.3: an absent port and the scheme's own are the same.
        match port {
            None => self.0.push(ours(format!("{name}:{default_port}"))),
            Some(port) if port == default_port => self.0.push(ours(name.to_owned())),
            Some(_) => {}
        }
        self.0.push(ours(authority.clone()));
    }

    /// Takes an authority apart; `None` when it is malformed. Our own, which nearly every request
    /// names, were compared before this.
    pub(super) fn read<'a>(&'a self, authority: &'a str) -> Option<Named<'a>> {
        if let Some(ours) = self.0.iter().find(|ours| ours.authority.eq_ignore_ascii_case(authority)) {
            return Some(Named { name: &ours.name, is_address: ours.is_address, is_ours: true });
        }
        let (name, _) = split(authority)?;
        Some(Named { name, is_address: is_address(name), is_ours: false })
    }

    /// Returns whether an authority is ours.
    pub(super) fn has(&self, authority: &str) -> bool {
        self.0.iter().any(|ours| ours.authority.eq_ignore_ascii_case(authority))
    }

    /// Returns whether a TLS server name is ours.
    pub(super) fn has_name(&self, name: &str) -> bool {
        self.0.iter().any(|ours| ours.name.eq_ignore_ascii_case(name))
    }
}

fn default_port(origin: &str) -> u16 {
    if origin.starts_with("http://") { 80 } else { 443 }
}

fn is_address(name: &str) -> bool {
    name.trim_matches(['[', ']']).parse::<IpAddr>().is_ok()
}

/// Returns the host of a public URL.
pub(super) fn of_origin(origin: &str) -> &str {
    let (_, authority) = origin_and_path(origin).0.split_once("://").unwrap_or(("", origin));
    split(authority).map_or(authority, |(host, _)| host)
}

/// Splits `host[:port]`; `None` when it is malformed: user information, blanks, a zone, a port beyond 65535.
pub(super) fn split(authority: &str) -> Option<(&str, Option<u16>)> {
    let host_ends = if authority.starts_with('[') {
        authority.find(']')? + 1
    } else {
        authority.find(':').unwrap_or(authority.len())
    };
    let (host, rest) = authority.split_at_checked(host_ends)?;
    let well_formed = match host.strip_prefix('[').and_then(|h| h.strip_suffix(']')) {
        Some(address) => address.parse::<Ipv6Addr>().is_ok(),
        None => !host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_')),
    };
    let port = match rest.strip_prefix(':') {
        None if rest.is_empty() => None,
        // `parse` would accept a sign.
        Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => Some(digits.parse().ok()?),
        _ => return None,
    };
    well_formed.then_some((host, port))
}

#[cfg(test)]
mod tests {
    use super::{Hosts, Named, split};

    #[test]
    fn md_05_malformed_authorities() {
        for good in ["gw.example", "gw.example:443", "127.0.0.1:8443", "[::1]", "[2001:db8::1]:8443", "a_b"] {
            assert!(split(good).is_some(), "{good}");
        }
        for bad in [
            "",
            ":443",
            "user@gw.example",
            "gw example",
            "gw.example:99999",
            "gw.example:",
            "gw.example:+1",
            "gw.example:44x",
            "[fe80::1%25eth0]",
            "[fe80::1%eth0]",
            "[::1",
            "[::1]x",
            "[]",
            "gw.example,evil.example",
            "gw.example/",
            "gw\u{e9}",
        ] {
            assert!(split(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn default_port_and_case_do_not_matter() {
        let mut hosts = Hosts::default();
        hosts.add("gw.example", 443);
        hosts.add("Other.Example:8443", 443);
        hosts.add("third.example:443", 443);
        for ours in ["gw.example", "GW.example:443", "other.example:8443", "third.example", "third.example:443"] {
            let name = ours.split(':').next().unwrap_or_default().to_ascii_lowercase();
            assert!(hosts.has(ours), "{ours}");
            assert_eq!(hosts.read(ours), Some(Named { name: &name, is_address: false, is_ours: true }));
        }
        for strange in ["gw.example:8443", "other.example", "evil.example", "gw.example.evil.example", "gw.example."] {
            assert!(!hosts.has(strange) && !hosts.read(strange).unwrap().is_ours, "{strange}");
        }
        hosts.add("127.0.0.1:8443", 443);
        assert!(["127.0.0.1:8443", "[::1]"].iter().all(|address| hosts.read(address).unwrap().is_address));
        assert_eq!(hosts.read("gw.example:44x"), None);
        assert!(hosts.has_name("OTHER.example") && !hosts.has_name("other.example:8443"));
    }
}
