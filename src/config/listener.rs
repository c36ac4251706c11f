//! The rules for listeners, the public URL, and browser origins.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use http::HeaderValue;
use url::{Host, Url};

use super::check::Check;
use super::file::File;
use super::file_words::{Hsts, TlsMode};
use super::problem::Setting;
use super::reserved_path::path_fault;
use super::settings::{Listener, TlsConfig};
use crate::network::{is_loopback, origin_and_path};
use crate::oauth::is_scheme;

impl Check<'_> {
    pub(super) fn listener(&self, file: &File) -> Listener {
        let up = self.overrides.up;
        let plain = self.plain_http();
        let by_default = SocketAddr::from((
            if up { Ipv4Addr::LOCALHOST } else { Ipv4Addr::UNSPECIFIED },
            plain.as_ref().map_or(8443, |url| url.port_or_known_default().unwrap_or(80)),
        ));
        let written = file.listen.address.as_ref().map(|s| s.value);
        let mode = file.listen.tls.as_ref().map(|s| s.value);
        // An unreadable mode has been reported; its other requirements are not checked.
        let fallback = if up || self.report.names("listen.tls") { TlsMode::Development } else { TlsMode::Files };
        let mode = mode.unwrap_or(fallback);
        let address = self.overrides.listen.or(written).unwrap_or(by_default);
        for (index, network) in file.listen.trusted_proxies.value.iter().enumerate() {
            if network.prefix_len() == 0 {
                let remedy = "list the addresses of your load balancer";
                self.report.wrong_entry(&file.listen.trusted_proxies, index, "this trusts every address", remedy);
            }
        }
        Listener {
            address,
            tls: match mode {
                _ if plain.is_some() => self.plain_listener(file, address),
                TlsMode::Files => self.certificate_files(file),
                TlsMode::Development => TlsConfig::Development,
                TlsMode::Off => self.tls_off(file),
            },
            trusted_proxies: file.listen.trusted_proxies.value.clone(),
            proxy_protocol: file.listen.proxy_protocol.value,
            // Set once the public URL is known.
            hsts: None,
            health_path: self.health_path(file),
        }
    }

    /// Returns the value of `Strict-Transport-Security`. HSTS applies to all ports of a host: on localhost it would
    /// turn the callbacks of native clients (`http://localhost:…`, RFC 8252 7.3) into https, and no sign-in would
    /// complete.
    pub(super) fn hsts(&self, file: &File, origin: &str) -> Option<HeaderValue> {
        let seconds = file.listen.hsts_max_age.value.as_secs();
        let value = match file.listen.hsts.value {
            Hsts::Off => return None,
            Hsts::Host => format!("max-age={seconds}"),
            Hsts::Subdomains => format!("max-age={seconds}; includeSubDomains"),
        };
        let is_local = Url::parse(origin).is_ok_and(|url| is_loopback(&url));
        HeaderValue::try_from(value).ok().filter(|_| !is_local)
    }

    fn health_path(&self, file: &File) -> Option<String> {
        let setting = file.listen.health_path.as_ref()?;
        // The usual names of health paths are allowed here.
        if let Some((fault, _)) = path_fault(&setting.value, &["healthz", "readyz"]) {
            self.report.wrong(setting, fault, "write a path such as \"/healthz\"");
        }
        Some(setting.value.clone())
    }

    /// Returns the public URL of `up` if it is plain http on this machine, for clients that cannot be made to trust a
    /// development CA.
    pub(super) fn plain_http(&self) -> Option<Url> {
        let url = self.overrides.public_url.as_deref().filter(|_| self.overrides.up)?;
        Url::parse(url).ok().filter(is_plain_local)
    }

    // RFC 9700 2.6 requires TLS everywhere except on the loopback interface, so plain http is only allowed there.
    fn plain_listener(&self, file: &File, address: SocketAddr) -> TlsConfig {
        if !address.ip().is_loopback() {
            let fault = "the public URL is plain http, and this address is open to the network";
            let remedy = "listen on 127.0.0.1 or [::1], or write an https public URL";
            let key = if self.overrides.listen.is_some() { "--listen" } else { "listen.address" };
            let line = file.listen.address.as_ref().and_then(|setting| setting.line);
            self.report.add(line.filter(|_| self.overrides.listen.is_none()), key, fault, remedy);
        }
        if let Some(tls) = file.listen.tls.as_ref().filter(|tls| tls.value != TlsMode::Off) {
            self.report.wrong(tls, "the public URL is plain http", "write tls = \"off\", or an https public URL");
        }
        TlsConfig::Off
    }

    fn certificate_files(&self, file: &File) -> TlsConfig {
        let path = |setting: &Option<Setting<PathBuf>>, key: &str, what: &str| {
            if setting.is_none() {
                let remedy = format!("name the PEM file with the {what}, or write tls = \"development\" to try it out");
                let line = file.listen.tls.as_ref().and_then(|s| s.line).or(file.listen_line);
                self.report.add(line, key, "this key is missing", remedy);
            }
            setting.as_ref().map(|s| self.readable(s)).unwrap_or_default()
        };
        let (certificate, _) = path(&file.listen.certificate, "listen.certificate", "certificate chain");
        let (key, mode) = path(&file.listen.key, "listen.key", "key");
        if let Some(setting) = file.listen.key.as_ref().filter(|_| mode.is_some_and(|mode| mode & 0o007 != 0)) {
            self.report.wrong(setting, "this key is readable by everyone", "run chmod 0640 or 0600 on it");
        }
        TlsConfig::Files { certificate, key }
    }

    // CF-05: without its own TLS the gateway needs a proxy in front that terminates TLS, and a configuration that names
    // it.
    fn tls_off(&self, file: &File) -> TlsConfig {
        let Some(tls) = &file.listen.tls else { return TlsConfig::Off };
        if self.overrides.public_url.is_none() && file.top.public_url.is_none() {
            self.report.wrong(tls, "without TLS, public_url has no default", "write public_url = \"https://…\"");
        }
        if file.listen.trusted_proxies.value.is_empty() {
            let remedy = "name the load balancer that ends TLS in listen.trusted_proxies, or remove this line";
            self.report.wrong(tls, "without TLS, anybody on the network path can read the tokens", remedy);
        }
        TlsConfig::Off
    }

    pub(super) fn public_url(&self, file: &File, listen: SocketAddr) -> Option<String> {
        let option = self.overrides.public_url.clone();
        let option = option.map(|value| Setting::unwritten(value, "--public-url"));
        let setting = match option.or_else(|| file.top.public_url.clone()) {
            Some(setting) => setting,
            None if self.overrides.up => return Some(origin_of("https", "localhost", listen.port())),
            None => {
                let tls_off = file.listen.tls.as_ref().is_some_and(|s| s.value == TlsMode::Off);
                if !tls_off {
                    let remedy = "write the https origin that clients reach, such as \"https://mcp.example.com\"";
                    self.report.add(None, "public_url", "this key is missing", remedy);
                }
                return None;
            }
        };
        let remedy = "write the https URL that clients reach, such as \"https://mcp.example.com\"";
        self.public_address(&setting.value).map_err(|fault| self.report.wrong(&setting, fault, remedy)).ok()
    }

    /// Reads an origin; an error says what is wrong with it.
    pub(super) fn public_origin(&self, text: &str) -> Result<String, &'static str> {
        let address = self.public_address(text)?;
        let is_origin = origin_and_path(&address).1.is_empty();
        Some(address).filter(|_| is_origin).ok_or("this is an origin: no path, query, fragment or user name")
    }

    /// Reads a public URL: an origin and perhaps a path. An error says what is wrong with it.
    fn public_address(&self, text: &str) -> Result<String, &'static str> {
        let plain = |url: &Url| {
            let path = without_slash(url.path());
            let first = path.split('/').nth(1).unwrap_or_default().to_ascii_lowercase();
            // Below a path that is the gateway's alone, no name is reserved.
            let written = origin_and_path(text).1;
            let is_as_written = without_slash(written) == path;
            let is_path = path.is_empty() || (path_fault(path, &[&first]).is_none() && is_as_written);
            let bare = url.query().is_none() && url.fragment().is_none() && is_path;
            bare && url.username().is_empty() && url.password().is_none()
        };
        match Url::parse(text) {
            Err(_) => Err("this is not a URL"),
            // RFC 8414 2: an issuer uses https. Clients make an exception for this machine, and so does `up`.
            Ok(url) if url.scheme() != "https" && !(self.plain_http().is_some() && is_plain_local(&url)) => {
                Err("the public URL must be https (http://localhost is for `mcpgate up --public-url` only)")
            }
            // Clients send the host with or without it, and certificates have none.
            Ok(url) if url.host_str().is_some_and(|host| host.ends_with('.')) => Err("the host ends in a dot"),
            Ok(url) if !plain(&url) => Err(
                "the public URL is an origin, perhaps with a path of plain segments: no query, fragment or user name",
            ),
            Ok(url) => Ok(url.origin().ascii_serialization() + without_slash(url.path())),
        }
    }

    pub(super) fn extra_hosts(&self, file: &File, origin: &str, listen_port: u16) -> Vec<String> {
        let mut hosts: Vec<String> = Vec::new();
        let setting = &file.top.extra_hosts;
        for (index, host) in setting.value.iter().enumerate() {
            match host_and_port(host) {
                Some(host) => hosts.push(host),
                None => self.report.wrong_entry(setting, index, "this is not a host", "write host or host:port"),
            }
        }
        let (origin, _) = origin_and_path(origin);
        let url = Url::parse(origin).ok();
        if let Some(url) = url.filter(is_loopback) {
            for port in [url.port_or_known_default().unwrap_or(443), listen_port] {
                hosts.extend(
                    ["localhost", "127.0.0.1", "[::1]"]
                        .map(|h| authority(&origin_of(url.scheme(), h, port)).to_owned()),
                );
            }
        }
        hosts.retain(|host| host != authority(origin));
        hosts.sort();
        hosts.dedup();
        hosts
    }

    pub(super) fn operator(&self, file: &File, public: SocketAddr) -> SocketAddr {
        let setting = &file.operator.address;
        let option = self.overrides.operator_listen.map(|address| Setting::unwritten(address, "--operator-listen"));
        let setting = option.as_ref().unwrap_or(setting);
        let address = setting.value;
        if overlap(public, address) {
            let remedy = "choose another port for one of the two";
            self.report.wrong(setting, format!("the public listener uses {public}, too"), remedy);
        }
        if !address.ip().is_loopback() && !file.operator.danger_open_to_network.value {
            let remedy = "write a loopback address, or operator.danger_open_to_network = true if access is \
                          restricted by other means";
            self.report.wrong(setting, "metrics and health would be open to the network", remedy);
        }
        address
    }

    pub(super) fn allowed_origins(&self, file: &File) -> Vec<String> {
        let setting = &file.cors.allowed_origins;
        let mut origins = Vec::new();
        for (index, text) in setting.value.iter().enumerate() {
            if is_exact_origin(text) {
                origins.push(text.clone());
            } else {
                // CF-05: a wildcard would let any page use the tokens that its scripts hold.
                let remedy = "write exact origins such as \"https://app.example.com\" or \"chrome-extension://ID\"; \
                              there are no wildcards";
                self.report.wrong_entry(setting, index, "this is not an origin", remedy);
            }
        }
        origins
    }
}

fn without_slash(path: &str) -> &str {
    path.strip_suffix('/').unwrap_or(path)
}

/// Returns whether two listeners would conflict: an unspecified address includes all of its family, and the IPv6 one
/// includes IPv4 as well.
pub(super) fn overlap(one: SocketAddr, other: SocketAddr) -> bool {
    let holds = |all: IpAddr, one: IpAddr| all == one || (all.is_unspecified() && (all.is_ipv6() || one.is_ipv4()));
    one.port() == other.port() && one.port() != 0 && (holds(one.ip(), other.ip()) || holds(other.ip(), one.ip()))
}

/// Returns whether a text is one origin as browsers send it: https, http on this machine, or the scheme of browser
/// extensions or a desktop shell. Never `null`, which any page can send.
fn is_exact_origin(text: &str) -> bool {
    let Some((scheme, authority)) = text.split_once("://").filter(|(scheme, _)| is_scheme(scheme)) else {
        return false;
    };
    match scheme {
        "https" | "http" => {
            let url = Url::parse(text).ok().filter(|url| url.scheme() == "https" || is_loopback(url));
            url.is_some_and(|url| url.origin().ascii_serialization() == text) && !text.contains('*')
        }
        // URL 4.7 serializes an origin as scheme, host and port; for other schemes browsers keep the host as written.
        _ => {
            let (host, port) = authority.rsplit_once(':').map_or((authority, None), |(host, port)| (host, Some(port)));
            !host.is_empty() && host.chars().all(is_host_character) && port.is_none_or(is_port)
        }
    }
}

/// Returns whether a URL is plain http on this machine.
fn is_plain_local(url: &Url) -> bool {
    url.scheme() == "http" && is_loopback(url)
}

fn origin_of(scheme: &str, host: &str, port: u16) -> String {
    let by_default = if scheme == "http" { 80 } else { 443 };
    if port == by_default { format!("{scheme}://{host}") } else { format!("{scheme}://{host}:{port}") }
}

/// Returns a host with its optional port as in `Host`: in lower case and ASCII (UTS 46). `None` if the text is anything
/// else.
pub(super) fn host_and_port(text: &str) -> Option<String> {
    // RFC 3986 3.2.2: an IPv6 address is in brackets.
    let host_ends =
        if text.starts_with('[') { text.find(']')?.checked_add(1)? } else { text.find(':').unwrap_or(text.len()) };
    let (host, port) = text.split_at_checked(host_ends)?;
    let host = host_name(host)?;
    if port.is_empty() {
        return Some(host);
    }
    let port = port.strip_prefix(':').filter(|port| is_port(port) && *port != "0")?;
    Some(format!("{host}:{port}"))
}

fn host_name(text: &str) -> Option<String> {
    // Only ASCII characters that occur in names: the host parser decodes %, and accepts more than others do.
    let is_strange = |c: char| c.is_ascii() && !is_host_character(c) && !matches!(c, '[' | ':' | ']');
    match Host::parse(text).ok().filter(|_| !text.contains(is_strange))? {
        // RFC 1035 2.3.4: a name has at most 253 characters, its labels 63. Container names contain underscores.
        Host::Domain(name) => {
            let is_label = |label: &str| (1..=63).contains(&label.len()) && label.chars().all(is_host_character);
            (name.len() <= 253 && name.split('.').all(is_label)).then_some(name)
        }
        // The parser also reads "10.7" and "0x7f.1" as addresses.
        Host::Ipv4(address) => Some(address.to_string()).filter(|address| address == text),
        address @ Host::Ipv6(_) => Some(address.to_string()),
    }
}

/// Returns whether a text is a port without leading zeros.
fn is_port(text: &str) -> bool {
    text.parse::<u16>().is_ok_and(|number| number.to_string() == text)
}

fn is_host_character(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_')
}

fn authority(origin: &str) -> &str {
    origin.split_once("://").map_or(origin, |(_, authority)| authority)
}
