//! The target of a fetch: an https URL in the form that all parsers read alike.

use std::net::{IpAddr, SocketAddr};

use url::{Host, Url};

use super::fetch::FetchError;

/// Maximum length in bytes, as for a client id.
const MAX_LENGTH: usize = 2048;

/// The parts of a checked URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Target {
    /// The host as in the URL, without brackets: for TLS, for the resolver and as the key of the budget.
    pub(super) host: String,
    /// The address, if the host is one.
    pub(super) literal: Option<IpAddr>,
    pub(super) port: u16,
    /// The value of `Host`.
    pub(super) authority: String,
    /// The request target: path and query.
    pub(super) path: String,
}

impl Target {
    /// Parses a URL. It is refused if the parser would write it differently, which excludes addresses in octal,
    /// hexadecimal or as one number, zone ids, upper case, white space, backslashes and dot segments (CI-03).
    pub(super) fn parse(text: &str) -> Result<Self, FetchError> {
        let url = Url::parse(text).map_err(|_| FetchError::Refused)?;
        let sound = text.len() <= MAX_LENGTH
            && url.as_str() == text
            && url.scheme() == "https"
            && url.fragment().is_none()
            && !text.contains('@');
        let host = url.host().filter(|_| sound).ok_or(FetchError::Refused)?;
        let literal = match &host {
            Host::Domain(_) => None,
            Host::Ipv4(address) => Some(IpAddr::V4(*address)),
            Host::Ipv6(address) => Some(IpAddr::V6(*address)),
        };
        let port = url.port_or_known_default().ok_or(FetchError::Refused)?;
        Ok(Self {
            host: literal.map_or_else(|| host.to_string(), |address| address.to_string()),
            literal,
            port,
            authority: url.port().map_or_else(|| host.to_string(), |port| format!("{host}:{port}")),
            path: url.query().map_or_else(|| url.path().to_owned(), |query| format!("{}?{query}", url.path())),
        })
    }

    /// Returns host and port, as CONNECT needs them.
    pub(super) fn with_port(&self) -> String {
        match self.literal {
            Some(address) => SocketAddr::new(address, self.port).to_string(),
            None => format!("{}:{}", self.host, self.port),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_taken_apart() {
        let target = Target::parse("https://c.example:8443/a/b?x=y").unwrap();
        assert_eq!((target.host.as_str(), target.port, target.literal), ("c.example", 8443, None));
        assert_eq!((target.authority.as_str(), target.path.as_str()), ("c.example:8443", "/a/b?x=y"));
        let target = Target::parse("https://[::1]/").unwrap();
        assert_eq!((target.host.as_str(), target.authority.as_str(), target.port), ("::1", "[::1]", 443));
        assert_eq!((target.literal.is_some(), target.with_port().as_str()), (true, "[::1]:443"));
        assert_eq!(Target::parse("https://c.example/").unwrap().with_port(), "c.example:443");
    }

    #[test]
    fn ci_03_only_https_in_one_spelling() {
        for bad in [
            "http://c.example/",
            "ftp://c.example/",
            "https://c.example",
            "https:/c.example/",
            "HTTPS://c.example/",
            "https://C.example/",
            "https://c.example:443/",
            "https://c.example/a/../b",
            "https://c.example/#f",
            "https://u@c.example/",
            "https://c.example\\@d.example/",
            "https://c.exam\tple/",
            " https://c.example/",
            "https://0x7f.1/",
            "https://0177.0.0.1/",
            "https://2130706433/",
            "https://127.1/",
            "https://[::FFFF:127.0.0.1]/",
            "https://[0:0:0:0:0:0:0:1]/",
            "https://[fe80::1%25eth0]/",
            "https://\u{ff11}27.0.0.1/",
            "https:///c.example/",
            "c.example",
            "",
        ] {
            assert_eq!(Target::parse(bad), Err(FetchError::Refused), "{bad:?}");
        }
    }
}
