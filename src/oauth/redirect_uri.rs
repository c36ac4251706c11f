//! `RedirectUri`: a URI that codes may be sent to, and what may be registered as one.

use std::net::IpAddr;

use url::Host;

use super::redirect_hosts::{LOOPBACK, RedirectHosts};
use super::redirect_scheme::{is_reserved, is_scheme};

/// Maximum length in bytes: longer than any seen in use, and short enough for every browser.
const MAX_LENGTH: usize = 2048;

/// Parameters that an authorization response adds; in a registered query they would appear twice (RFC 6749 3.1).
const RESPONSE_PARAMETERS: &[&str] = &["code", "error", "error_description", "error_uri", "iss", "state"];

/// A redirect URI that obeys the rules for registration, exactly as written by the client.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RedirectUri(String);

/// What the configuration and the server's own URL say about redirect URIs.
#[derive(Debug, Clone, Default)]
pub struct RedirectPolicy {
    /// Private-use schemes, in lower case, that are refused in addition to the reserved ones.
    pub refused_schemes: Vec<String>,
    /// Exact URIs that are accepted although `refused_schemes` names their scheme.
    pub allowed_uris: Vec<String>,
    /// The origins that this server answers to (`https://gw.example`). Codes sent there would end up on our own pages.
    pub own_origins: Vec<String>,
    /// Where they may lead, if the operator lists that (`registration.mode = "hosts"`).
    pub hosts: Option<RedirectHosts>,
}

/// Why a redirect URI may not be registered or used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRedirect {
    /// Not an absolute URI in plain printable ASCII.
    #[error("a redirect URI must be an absolute URI in printable ASCII")]
    Malformed,
    /// Longer than 2048 bytes.
    #[error("a redirect URI is longer than 2048 bytes")]
    TooLong,
    /// It has a fragment (RFC 6749 3.1.2).
    #[error("a redirect URI must not have a fragment")]
    Fragment,
    /// It has a user name or password.
    #[error("a redirect URI must not have a user name or password")]
    UserInfo,
    /// Its query has a parameter of the authorization response.
    #[error("a redirect URI must not contain a parameter of the authorization response")]
    Reserved,
    /// It contains a `*`.
    #[error("redirect URIs are matched exactly, without wildcards: list each one in full")]
    Wildcard,
    /// It is http to a host other than loopback, or has a scheme that is reserved or that the operator refuses.
    #[error("a redirect URI must be https, http to loopback, or of a private-use scheme that is an application's own")]
    Scheme,
    /// It leads to this authorization server.
    #[error("a redirect URI must not lead to this server itself")]
    OwnOrigin,
    /// It leads to a host or scheme that the operator does not list.
    #[error("this server takes redirect URIs of certain hosts and applications only, and this is not one of them")]
    NotListed,
    /// The list is empty or has more than 20 entries.
    #[error("between 1 and 20 redirect URIs are required")]
    Count,
    /// It is not among the registered ones.
    #[error("the redirect URI is not registered for this client")]
    NotRegistered,
    /// It is absent, and not exactly one is registered.
    #[error("the redirect URI is missing")]
    Missing,
}

impl RedirectUri {
    /// Parses a redirect URI for registration: https, http to 127.0.0.0/8, `[::1]` or `localhost`, or a private-use
    /// scheme that is neither reserved nor refused by the operator; and where the operator lists hosts, one of them.
    ///
    /// # Errors
    /// `InvalidRedirect` says which rule it breaks.
    pub fn parse(text: &str, policy: &RedirectPolicy) -> Result<Self, InvalidRedirect> {
        let uri = Self::well_formed(text, policy)?;
        if policy.admits(&uri) { Ok(uri) } else { Err(InvalidRedirect::NotListed) }
    }

    fn well_formed(text: &str, policy: &RedirectPolicy) -> Result<Self, InvalidRedirect> {
        if text.len() > MAX_LENGTH {
            return Err(InvalidRedirect::TooLong);
        }
        // RFC 6749 3.1.2: no fragment, not even an empty one.
        if text.contains('#') {
            return Err(InvalidRedirect::Fragment);
        }
        // RFC 9700 2.1: there is no pattern matching. A client that registers a pattern expects it to work, and would
        // find that it never matches.
        if text.contains('*') {
            return Err(InvalidRedirect::Wildcard);
        }
        let (scheme, rest) = text.split_once(':').ok_or(InvalidRedirect::Malformed)?;
        let scheme = scheme.to_ascii_lowercase();
        if !text.bytes().all(is_uri_character) || !is_scheme(&scheme) {
            return Err(InvalidRedirect::Malformed);
        }
        // A URI that a browser cannot open would leave the user stranded after consent.
        let opened = url::Url::parse(text).map_err(|_| InvalidRedirect::Malformed)?;
        let authority = rest.strip_prefix("//").map(|rest| split_authority(rest).0);
        if authority.is_some_and(|authority| authority.contains('@')) {
            return Err(InvalidRedirect::UserInfo);
        }
        if has_response_parameter(text) {
            return Err(InvalidRedirect::Reserved);
        }
        let uri = Self(text.to_owned());
        if uri.leads_to(&policy.own_origins) {
            return Err(InvalidRedirect::OwnOrigin);
        }
        match scheme.as_str() {
            "https" if authority.is_some_and(|authority| browsers_agree(&opened, authority)) => Ok(uri),
            "https" => Err(InvalidRedirect::Malformed),
            // RFC 8252 7.3: plain http only if it stays on the machine.
            "http" if loopback(text).is_some() => Ok(uri),
            // `localhost:3000/cb` is a host and port without the `http://`.
            _ if is_port(rest) => Err(InvalidRedirect::Malformed),
            scheme if is_reserved(scheme) => Err(InvalidRedirect::Scheme),
            // RFC 8252 7.1 recommends a reversed domain name, with dots. Widely used applications have schemes without
            // dots, and an attacker who can register a scheme on a device can register one with dots too: PKCE protects
            // the code.
            scheme if policy.refuses(scheme, text) => Err(InvalidRedirect::Scheme),
            _ => Ok(uri),
        }
    }
    /// Restores a redirect URI that was checked before it was stored.
    #[must_use]
    pub fn from_stored(text: String) -> Self {
        Self(text)
    }
    /// Returns the URI as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
    /// Returns whether a browser that is sent there reaches one of these origins (`https://gw.example:8443`).
    #[must_use]
    pub fn leads_to(&self, origins: &[String]) -> bool {
        let Ok(url) = url::Url::parse(&self.0) else { return false };
        let opened = url.origin().ascii_serialization();
        origins.iter().any(|origin| {
            // RFC 1034 3.1: a trailing dot does not change where a name leads.
            *origin == opened || (opened.contains('.') && without_last_dot(&opened) == *origin)
        })
    }
    /// Returns whether the receiver is a web server on this machine, such as native applications open to receive the
    /// answer (RFC 8252 7.3).
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        self.is_local() && self.private_use_scheme().is_none()
    }
    /// Returns the scheme of a private-use URI.
    #[must_use]
    pub fn private_use_scheme(&self) -> Option<String> {
        let scheme = self.0.split_once(':').map(|(scheme, _)| scheme.to_ascii_lowercase());
        scheme.filter(|scheme| !matches!(scheme.as_str(), "https" | "http"))
    }
    /// Returns the host to show on the consent page, or the scheme for a private-use URI.
    #[must_use]
    pub fn display_host(&self) -> String {
        let (scheme, rest) = self.0.split_once(':').unwrap_or((&self.0, ""));
        let web = ["https", "http"].iter().any(|known| scheme.eq_ignore_ascii_case(known));
        match rest.strip_prefix("//") {
            Some(rest) if web => split_port(split_authority(rest).0).0.to_ascii_lowercase(),
            _ => scheme.to_ascii_lowercase(),
        }
    }
    /// Returns what `registration.hosts` calls the place where it leads: the host of a web site, with its port unless
    /// that is 443; `loopback`; or a private-use scheme with its colon.
    #[must_use]
    pub fn list_entry(&self) -> String {
        if let Some(scheme) = self.private_use_scheme() {
            return format!("{scheme}:");
        }
        let site = url::Url::parse(&self.0).ok().filter(|_| !self.is_local());
        // RFC 6454 6.2: the origin leaves out the port that https has anyway.
        let origin = site.map(|url| url.origin().ascii_serialization());
        origin.as_deref().and_then(|origin| origin.strip_prefix("https://")).unwrap_or(LOOPBACK).to_owned()
    }
    /// Returns whether any program on this machine can be the receiver (loopback or private-use scheme).
    #[must_use]
    pub fn is_local(&self) -> bool {
        // Anything but https is http to loopback or a private-use scheme: `parse` accepts nothing else.
        let Some(url) = url::Url::parse(&self.0).ok().filter(|url| url.scheme() == "https") else { return true };
        let is_this_machine = |ip: IpAddr| {
            let ip = ip.to_canonical();
            // RFC 1122 3.2.1.3: 0.0.0.0 is "this host", and listening programs answer to it.
            ip.is_loopback() || ip.is_unspecified()
        };
        match url.host() {
            // RFC 6761 6.3: all of `localhost.` is this machine. A certificate for it proves nothing.
            Some(Host::Domain(name)) => name.trim_end_matches('.').rsplit('.').next() == Some("localhost"),
            Some(Host::Ipv4(ip)) => is_this_machine(ip.into()),
            Some(Host::Ipv6(ip)) => is_this_machine(ip.into()),
            None => true,
        }
    }
}

/// RFC 3986 2: reserved, unreserved and percent; no space, control, quote, backslash, brace or byte above ASCII, which
/// browsers fold or strip.
fn is_uri_character(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~:/?#[]@!$&'()*+,;=%".contains(&byte)
}

impl RedirectPolicy {
    /// Returns whether the operator lists where it leads, or lists nothing.
    #[must_use]
    pub fn admits(&self, uri: &RedirectUri) -> bool {
        self.hosts.as_ref().is_none_or(|hosts| hosts.contains(&uri.list_entry()))
    }

    fn refuses(&self, scheme: &str, uri: &str) -> bool {
        self.refused_schemes.iter().any(|refused| refused == scheme) && !self.allowed_uris.iter().any(|a| a == uri)
    }
}

/// Returns an origin without the trailing dot of its host.
fn without_last_dot(origin: &str) -> String {
    let (before, authority) = origin.split_once("://").unwrap_or(("", origin));
    let (host, port) = split_port(authority);
    format!("{before}://{}{port}", host.strip_suffix('.').unwrap_or(host))
}

/// Returns whether what follows a colon is a port.
fn is_port(rest: &str) -> bool {
    let digits = split_authority(rest).0;
    !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit())
}

/// Splits what follows `//` into the authority and the rest.
fn split_authority(text: &str) -> (&str, &str) {
    text.split_at(text.find(['/', '?', '#']).unwrap_or(text.len()))
}

/// Splits an authority into host and port; the colon stays with the port.
fn split_port(authority: &str) -> (&str, &str) {
    let bracket = authority.rfind(']').unwrap_or(0);
    authority.split_at(authority.rfind(':').filter(|colon| *colon > bracket).unwrap_or(authority.len()))
}

/// Returns whether a browser reads the same host as we do, which the consent page shows.
fn browsers_agree(opened: &url::Url, authority: &str) -> bool {
    let written = split_port(authority).0.to_ascii_lowercase();
    opened.host_str() == Some(written.as_str())
}

/// Splits an http URI to a loopback host into the host as written and the path with query; the port is left out.
pub(super) fn loopback(text: &str) -> Option<(&str, &str)> {
    let (authority, rest) = split_authority(text.strip_prefix("http://")?);
    let (host, port) = split_port(authority);
    // The standard library accepts only four decimal numbers without leading zeros.
    let is_loopback =
        matches!(host, "localhost" | "[::1]") || host.parse::<std::net::Ipv4Addr>().is_ok_and(|ip| ip.is_loopback());
    let port_is_sound = match port.strip_prefix(':') {
        None => true,
        Some(digits) => {
            digits.bytes().all(|b| b.is_ascii_digit()) && !digits.starts_with('0') && digits.parse::<u16>().is_ok()
        }
    };
    (is_loopback && port_is_sound).then_some((host, rest))
}

fn has_response_parameter(text: &str) -> bool {
    let query = text.split_once('?').map_or("", |(_, query)| query);
    url::form_urlencoded::parse(query.as_bytes()).any(|(name, _)| RESPONSE_PARAMETERS.contains(&name.as_ref()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn az_09_az_10_what_may_be_registered() {
        use InvalidRedirect as No;
        // Which schemes are no application's is said by the tests of `redirect_scheme.rs`.
        for (uri, expected) in [
            ("https://c.example/cb", None),
            ("https://c.example:8443/cb?a=b", None),
            ("http://127.0.0.1:3000/callback", None),
            ("com.example.app:/cb", None),
            ("cursor://anysphere.cursor-mcp/oauth/callback", None),
            ("javascript:alert(1)", Some(No::Scheme)),
            ("JaVaScRiPt:alert(1)", Some(No::Scheme)),
            ("java\nscript:alert(1)", Some(No::Malformed)),
            ("\u{1}javascript:alert(1)", Some(No::Malformed)),
            ("wss://c.example/", Some(No::Scheme)),
            ("myapp:/cb", None),
            ("intent://x#Intent;end", Some(No::Fragment)),
            ("Chrome-Extension://abc/cb", Some(No::Scheme)),
            ("c:/cb", Some(No::Scheme)),
            ("localhost:3000/cb", Some(No::Malformed)),
            ("c.example:8443", Some(No::Malformed)),
            ("https://c.example/*", Some(No::Wildcard)),
            ("https://*.c.example/cb", Some(No::Wildcard)),
            ("http://localhost:*/cb", Some(No::Wildcard)),
            ("myapp://*", Some(No::Wildcard)),
            ("http://evil/cb", Some(No::Scheme)),
            ("http://c.example/cb", Some(No::Scheme)),
            ("http://0x7f.1/cb", Some(No::Scheme)),
            ("https://c.example/cb#", Some(No::Fragment)),
            ("https://u:p@c.example/cb", Some(No::UserInfo)),
            ("com.example.app://u@h/cb", Some(No::UserInfo)),
            ("https://c.example/cb?iss=x", Some(No::Reserved)),
            ("https://c.example/cb?%73tate=x", Some(No::Reserved)),
            ("https://", Some(No::Malformed)),
            ("https:c.example/cb", Some(No::Malformed)),
            ("https://0x7f.1/cb", Some(No::Malformed)),
            ("https://c.example\\@evil.example/", Some(No::Malformed)),
            ("https://b\u{fc}cher.example/", Some(No::Malformed)),
            ("/cb", Some(No::Malformed)),
            ("", Some(No::Malformed)),
        ] {
            assert_eq!(RedirectUri::parse(uri, &RedirectPolicy::default()).err(), expected, "{uri:?}");
        }
        let long = format!("https://c.example/{}", "x".repeat(2048));
        assert_eq!(RedirectUri::parse(&long, &RedirectPolicy::default()), Err(No::TooLong));
    }

    #[test]
    fn az_10_an_operator_refuses_schemes_but_for_exact_uris() {
        let policy = RedirectPolicy {
            refused_schemes: vec!["myapp".to_owned(), "com.example.app".to_owned()],
            allowed_uris: vec!["myapp:/cb".to_owned(), "javascript:x".to_owned()],
            ..RedirectPolicy::default()
        };
        for (uri, good) in [
            ("myapp:/cb", true),
            ("myapp:/other", false),
            ("MyApp:/other", false),
            ("com.example.app:/cb", false),
            ("other:/cb", true),
            ("javascript:x", false),
        ] {
            assert_eq!(RedirectUri::parse(uri, &policy).is_ok(), good, "{uri}");
        }
    }

    #[test]
    fn a_code_is_never_sent_to_this_server_itself() {
        let own_origins = ["https://gw.example", "https://localhost:8443", "https://[::1]:8443"];
        let policy = RedirectPolicy { own_origins: own_origins.map(str::to_owned).into(), ..RedirectPolicy::default() };
        for (uri, own) in [
            ("https://gw.example/login", true),
            ("https://GW.example:443/x", true),
            ("https://gw.example./x", true),
            ("https://localhost:8443/login", true),
            ("https://[::1]:8443/", true),
            ("https://gw.example:8443/x", false),
            ("https://sub.gw.example/x", false),
            ("https://localhost/x", false),
            ("http://localhost:8443/x", false),
            ("gw.example:/x", false),
        ] {
            let outcome = RedirectUri::parse(uri, &policy);
            assert_eq!(outcome == Err(InvalidRedirect::OwnOrigin), own, "{uri}: {outcome:?}");
            assert_eq!(outcome.is_ok(), !own, "{uri}");
        }
    }

    #[test]
    fn az_08_the_page_shows_the_host_or_the_scheme_and_knows_this_device() {
        for (uri, host, local) in [
            ("https://C.example:8443/cb", "c.example", false),
            ("http://[::1]:9/cb", "[::1]", true),
            ("http://localhost/cb", "localhost", true),
            ("cursor://anysphere.cursor-mcp/oauth/callback", "cursor", true),
            ("https://localhost:9999/cb", "localhost", true),
            ("https://LOCALHOST./cb", "localhost.", true),
            ("https://a.localhost/cb", "a.localhost", true),
            ("https://127.0.0.1/cb", "127.0.0.1", true),
            ("https://0.0.0.0/cb", "0.0.0.0", true),
            ("https://[::1]:8443/cb", "[::1]", true),
            ("https://[::ffff:7f00:1]/cb", "[::ffff:7f00:1]", true),
            ("https://localhost.example/cb", "localhost.example", false),
            ("https://notlocalhost/cb", "notlocalhost", false),
            ("https://128.0.0.1/cb", "128.0.0.1", false),
        ] {
            let uri = RedirectUri::parse(uri, &RedirectPolicy::default()).unwrap();
            assert_eq!((uri.display_host().as_str(), uri.is_local()), (host, local), "{}", uri.as_str());
        }
    }
}
