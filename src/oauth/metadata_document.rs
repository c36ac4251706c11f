//! `MetadataDocumentUrl`: a client id that is the https URL of a Client ID Metadata Document.

use super::json;

/// Maximum length in bytes, as for any client id.
const MAX_LENGTH: usize = 2048;

/// Domains whose names resolve to this machine, to its neighbours or not at all: RFC 6761 6.2 to 6.4, RFC 6762 3, RFC
/// 7686 2, RFC 8375 3, RFC 9476 2, and `internal`, which ICANN keeps for private use.
const NOT_IN_DNS: [&str; 8] =
    [".localhost", ".local", ".internal", ".home.arpa", ".test", ".invalid", ".onion", ".alt"];

/// The https URL of a Client ID Metadata Document, checked (CIMD "Client Identifier").
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct MetadataDocumentUrl(String);

impl MetadataDocumentUrl {
    /// Parses a client id that is such a URL: https, with a path, without dot segments, query, fragment or user name,
    /// without an IP literal or a name outside the public DNS (unless `allow_internal_hosts`). Compared as an exact
    /// string.
    #[must_use]
    pub fn parse(client_id: &str, allow_internal_hosts: bool) -> Option<Self> {
        let has_path = client_id.strip_prefix("https://")?.split_once('/').is_some_and(|(_, path)| !path.is_empty());
        if client_id.len() > MAX_LENGTH || !has_path || client_id.contains(['?', '#', '@', '\\']) {
            return None;
        }
        // Only the form that the URL parser itself writes: no dot segments, capitals in the host, default port, white
        // space, or numbers that are addresses in disguise. So the same string is fetched, compared and shown.
        let url = url::Url::parse(client_id).ok().filter(|url| url.as_str() == client_id)?;
        let host_is_sound = match url.host()? {
            url::Host::Domain(name) => allow_internal_hosts || is_public_name(name),
            url::Host::Ipv4(_) | url::Host::Ipv6(_) => allow_internal_hosts,
        };
        host_is_sound.then(|| Self(client_id.to_owned()))
    }
    /// Returns the URL that a document names as its `client_id`; the rules of `parse` apply.
    #[must_use]
    pub fn named_in(document: &[u8], allow_internal_hosts: bool) -> Option<Self> {
        let members = json::object(document)?;
        Self::parse(members.get("client_id")?.as_str()?, allow_internal_hosts)
    }
    /// Returns the exact string.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
    /// Returns host and port; the port is left out when it is 443.
    #[must_use]
    pub fn authority(&self) -> &str {
        let rest = self.0.strip_prefix("https://").unwrap_or(&self.0);
        rest.split_once('/').map_or(rest, |(authority, _)| authority)
    }
    /// Returns whether a `Referer` has the document's own origin (RFC 9110 10.1.3, RFC 6454 4). A redirect on the way
    /// does not change it: it names the page that the user was on.
    #[must_use]
    pub fn is_origin_of(&self, referer: &str) -> bool {
        let origin = |url: &str| url::Url::parse(url).ok().map(|url| url.origin()).filter(url::Origin::is_tuple);
        origin(&self.0).is_some_and(|own| origin(referer) == Some(own))
    }
    /// Returns the host to show on the consent page.
    #[must_use]
    pub fn host(&self) -> &str {
        let authority = self.authority();
        let bracket = authority.rfind(']').unwrap_or(0);
        authority.rfind(':').filter(|colon| *colon > bracket).map_or(authority, |colon| authority.split_at(colon).0)
    }
}

/// Returns whether a name can be in the public DNS: it has several labels, and is not below a reserved domain.
pub(super) fn is_public_name(name: &str) -> bool {
    name.contains('.') && !name.ends_with('.') && !NOT_IN_DNS.iter().any(|domain| name.ends_with(domain))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documents_of_known_clients_are_accepted() {
        for (id, host) in [
            ("https://claude.ai/oauth/mcp-oauth-client-metadata", "claude.ai"),
            ("https://vscode.dev/oauth/client-metadata.json", "vscode.dev"),
            ("https://client.example:8443/a/b", "client.example"),
        ] {
            assert_eq!(MetadataDocumentUrl::parse(id, false).map(|url| url.host().to_owned()).as_deref(), Some(host));
        }
    }

    #[test]
    fn ci_01_what_is_no_client_id_url() {
        for id in [
            "http://c.example/x",
            "https://c.example",
            "https://c.example/",
            "https:/c.example/x",
            "https:c.example/x",
            "HTTPS://c.example/x",
            "https://C.example/x",
            "https://c.example/a/../x",
            "https://c.example/./x",
            "https://c.example/%2e%2e/x",
            "https://c.example/x/..",
            "https://c.example/x#",
            "https://c.example/x?",
            "https://c.example/x?y",
            "https://u@c.example/x",
            "https://u:p@c.example/x",
            "https://c.example\\x/y",
            "https://c.example:443/x",
            "https://c.example./x",
            "https://c.example/x ",
            " https://c.example/x",
            "https://c.exa\tmple/x",
            "https://b\u{fc}cher.example/x",
            "https:///c.example/x",
            "https://localhost/x",
            "https://a.localhost/x",
            "https://localhost.localdomain.local:8443/x",
            "https://nas.home.arpa/x",
            "https://a.b.internal/x",
            "https://a.onion/x",
            "https://intranet/x",
            "https://127.0.0.1/x",
            "https://0x7f.1/x",
            "https://0177.0.0.1/x",
            "https://2130706433/x",
            "https://8.8.8.8/x",
            "https://[::1]/x",
            "https://[fe80::1%25eth0]/x",
            "",
        ] {
            assert_eq!(MetadataDocumentUrl::parse(id, false), None, "{id:?}");
        }
    }

    #[test]
    fn a_referer_is_of_the_documents_origin_or_it_is_not() {
        let url = MetadataDocumentUrl::parse("https://chat.example/oauth/client.json", false).unwrap();
        for own in ["https://chat.example/", "https://chat.example", "https://chat.example:443/c/1?x#y"] {
            assert!(url.is_origin_of(own), "{own}");
        }
        for other in [
            "http://chat.example/",
            "https://chat.example:8443/",
            "https://www.chat.example/",
            "https://chat.example.evil.example/",
            "https://evil.example/?https://chat.example/",
            "https://chat.example@evil.example/",
            "https://evil.example\\@chat.example.evil.example/",
            "chat.example",
            "null",
            "data:text/html,x",
            "",
        ] {
            assert!(!url.is_origin_of(other), "{other}");
        }
    }

    #[test]
    fn an_operators_hosts_may_be_opened() {
        for (id, host) in [
            ("https://localhost:8443/x", "localhost"),
            ("https://127.0.0.1/x", "127.0.0.1"),
            ("https://[::1]:9/x", "[::1]"),
        ] {
            assert_eq!(MetadataDocumentUrl::parse(id, true).unwrap().host(), host);
        }
        assert_eq!(MetadataDocumentUrl::parse("https://0x7f.1/x", true), None);
        assert_eq!(MetadataDocumentUrl::parse("http://localhost/x", true), None);
    }
}
