//! The rules for upstreams with an origin of their own (`public_url`), each of which has a listener of its own.

use std::net::SocketAddr;

use url::Url;

use super::check::Check;
use super::listener::overlap;
use super::problem::Setting;
use super::settings::{Config, OwnListener, UpstreamConfig};
use super::upstream_file::{Upstream, WrittenUpstream};
use crate::network::origin_and_path;

impl Config {
    /// Returns the origins of the gateway's own pages. Those of upstreams are not among them: their pages are others'.
    #[must_use]
    pub fn own_origins(&self) -> Vec<String> {
        let (origin, _) = origin_and_path(&self.public_url);
        let scheme = origin.split_once("://").map_or("https", |(scheme, _)| scheme);
        let others = self.extra_hosts.iter().map(|host| format!("{scheme}://{host}"));
        std::iter::once(origin.to_owned()).chain(others).collect()
    }

    /// Returns the origins that this gateway answers to, where no client can be.
    pub(super) fn all_origins(&self) -> Vec<String> {
        let own = self.own_listeners.iter().map(|listener| listener.public_url.clone());
        self.own_origins().into_iter().chain(own).collect()
    }

    /// Returns the public URL, and the origins of upstreams.
    pub fn public_urls(&self) -> impl Iterator<Item = &str> {
        let own = self.own_listeners.iter().map(|listener| listener.public_url.as_str());
        std::iter::once(self.public_url.as_str()).chain(own)
    }

    /// Returns the number of the listener that serves an upstream: 0 is the public one, then come those of upstreams in
    /// their order.
    #[must_use]
    pub fn listener_of(&self, upstream: &UpstreamConfig) -> usize {
        let own = self.own_listeners.iter().position(|listener| listener.public_url == upstream.public_url);
        own.map_or(0, |own| own + 1)
    }

    /// Returns whether an origin of upstreams has another listener in `newer`.
    pub(super) fn listens_elsewhere(&self, newer: &Self) -> bool {
        let differs =
            |one: &OwnListener, other: &OwnListener| one.public_url == other.public_url && one.address != other.address;
        self.own_listeners.iter().any(|one| newer.own_listeners.iter().any(|other| differs(one, other)))
    }
}

/// Returns the origin that an upstream has for itself; `None` if it has none, or one that cannot be read.
pub(super) fn origin_of(check: &Check<'_>, upstream: &Upstream) -> Option<String> {
    check.public_origin(&upstream.public_url.as_ref()?.value).ok()
}

/// Checks the origins of all upstreams, and returns a listener for each, in an order that does not depend on the file:
/// connections keep the number of theirs over a reload. `main` are the public URL and the further hosts of the public
/// listener; `taken` are the addresses of the others, that of the public listener first.
pub(super) fn all(
    check: &Check<'_>,
    main: (&str, &[String]),
    taken: [SocketAddr; 2],
    upstreams: &[WrittenUpstream],
) -> Vec<OwnListener> {
    let mut found: Vec<(OwnListener, usize)> = Vec::new();
    for upstream in upstreams.iter().map(|whole| &whole.upstream) {
        let Some(setting) = &upstream.public_url else {
            if let Some(listen) = &upstream.listen {
                let fault = "without a public_url of its own, the upstream is served by the public listener";
                check.report.wrong(listen, fault, "remove it, or write public_url");
            }
            continue;
        };
        let Some(new) = one(check, main, taken, (setting, upstream)) else { continue };
        let line = setting.line.unwrap_or_default();
        let place = upstream.listen.as_ref().map_or((&setting.key, setting.line), |listen| (&listen.key, listen.line));
        match found.iter().find(|(other, _)| other.public_url == new.public_url) {
            Some((same, _)) if same.address == new.address => {}
            Some((_, line)) => {
                let fault = format!("line {line} has the same origin, and another address");
                check.report.add(place.1, place.0, fault, "write the same `listen` in both");
            }
            None => {
                if let Some((other, line)) = found.iter().find(|(other, _)| overlap(other.address, new.address)) {
                    let fault = format!("the listener of line {line} uses {}, too", other.address);
                    check.report.add(place.1, place.0, fault, "write another port in `listen`");
                }
                found.push((new, line));
            }
        }
    }
    found.sort_by(|(one, _), (other, _)| one.public_url.cmp(&other.public_url));
    found.into_iter().map(|(listener, _)| listener).collect()
}

fn one(
    check: &Check<'_>,
    main: (&str, &[String]),
    taken: [SocketAddr; 2],
    (setting, upstream): (&Setting<String>, &Upstream),
) -> Option<OwnListener> {
    let remedy = "write an https origin such as \"https://mcp.example.com:3001\"";
    let read = check.public_origin(&setting.value).map_err(|fault| check.report.wrong(setting, fault, remedy));
    let public_url = read.ok()?;
    let (main, extra_hosts) = main;
    if public_url == origin_and_path(main).0 {
        check.report.wrong(setting, "this is the origin of the gateway itself", "remove it");
        return None;
    }
    let scheme = public_url.split_once("://").map_or("https", |(scheme, _)| scheme);
    let is_it = |host: &String| {
        Url::parse(&format!("{scheme}://{host}")).is_ok_and(|url| url.origin().ascii_serialization() == public_url)
    };
    // Forms from there would be the gateway's own.
    if extra_hosts.iter().any(is_it) {
        let fault = "this is an origin of the gateway itself, by extra_hosts or because both are on this machine";
        check.report.wrong(setting, fault, "write another host or port, or remove the host from extra_hosts");
        return None;
    }
    // All listeners have TLS or none has.
    if check.plain_http().is_some() && !public_url.starts_with("http:") {
        let fault = "the gateway's own public URL is plain http, and no listener has TLS then";
        check.report.wrong(setting, fault, "write an http origin on this machine, or start with an https public URL");
        return None;
    }
    let [public, _] = taken;
    let port = Url::parse(&public_url).ok().and_then(|url| url.port_or_known_default()).unwrap_or(443);
    let written = upstream.listen.as_ref();
    let address = written.map_or_else(|| SocketAddr::new(public.ip(), port), |listen| listen.value);
    if let Some(other) = taken.into_iter().find(|other| overlap(*other, address)) {
        let fault = format!("another listener of the gateway uses {other}, too");
        let (key, line) = written.map_or((&setting.key, setting.line), |listen| (&listen.key, listen.line));
        check.report.add(line, key, fault, "write another port in `listen`");
    }
    // RFC 9700 2.6: as for the public listener.
    if let Some(listen) = written.filter(|listen| check.plain_http().is_some() && !listen.value.ip().is_loopback()) {
        let fault = "the public URL is plain http, and this address is open to the network";
        check.report.wrong(listen, fault, "listen on 127.0.0.1 or [::1], or start with an https public URL");
    }
    Some(OwnListener { public_url, address })
}
