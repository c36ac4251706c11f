//! `RedirectHosts`: where the redirect URIs of clients that the operator did not add may lead.

use super::redirect_scheme::{is_reserved, is_scheme};

/// The entry for http and https on this machine.
pub(super) const LOOPBACK: &str = "loopback";

/// The hosts and schemes that an operator lists for clients that register themselves or publish their metadata.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RedirectHosts(Vec<String>);

impl RedirectHosts {
    /// Reads the entries: a host of https URIs (port 443, or with its port), `loopback`, or a private-use scheme with
    /// its colon.
    ///
    /// # Errors
    /// The index of the first entry that is none of these, and what to write instead.
    pub fn parse(entries: &[String]) -> Result<Self, (usize, &'static str)> {
        for (index, entry) in entries.iter().enumerate() {
            check(entry).map_err(|remedy| (index, remedy))?;
        }
        Ok(Self(entries.to_vec()))
    }

    /// Returns whether this is listed: the entry for a redirect URI, or the host of a metadata document with its port
    /// unless that is 443.
    #[must_use]
    pub fn contains(&self, entry: &str) -> bool {
        self.0.iter().any(|listed| listed == entry)
    }

    /// Returns what an operator does to list an entry, for the log.
    #[must_use]
    pub fn remedy(entry: &str) -> String {
        format!("a redirect URI that registration.hosts lists: to admit this one, add {entry} to the list")
    }
}

/// Returns what to write instead of an entry that means nothing.
fn check(entry: &str) -> Result<(), &'static str> {
    if entry == LOOPBACK {
        return Ok(());
    }
    if let Some(scheme) = entry.strip_suffix(':') {
        let sound = is_scheme(scheme) && !is_reserved(scheme) && !matches!(scheme, "https" | "http");
        return if sound { Ok(()) } else { Err("write a private-use scheme in lower case, such as \"cursor:\"") };
    }
    let url = url::Url::parse(&format!("https://{entry}/")).ok();
    let written = url.as_ref().map(|url| url.origin().ascii_serialization());
    // RFC 9700 2.1: as for redirect URIs, there are no patterns.
    if entry.contains('*') || written.as_deref().and_then(|origin| origin.strip_prefix("https://")) != Some(entry) {
        return Err("write a host in lower case without scheme and path, such as \"claude.ai\"");
    }
    match entry.contains('.') || entry.starts_with('[') {
        true => Ok(()),
        false => Err("write \"loopback\" for this machine, and a private-use scheme with its colon (\"cursor:\")"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oauth::{RedirectPolicy, RedirectUri};

    fn hosts(entries: &[&str]) -> Result<RedirectHosts, (usize, &'static str)> {
        RedirectHosts::parse(&entries.iter().map(|entry| (*entry).to_owned()).collect::<Vec<_>>())
    }

    fn uri(text: &str) -> RedirectUri {
        RedirectUri::parse(text, &RedirectPolicy::default()).unwrap()
    }

    #[test]
    fn each_kind_of_redirect_uri_has_one_entry() {
        let all = hosts(&["claude.ai", "app.example:8443", "loopback", "cursor:", "com.example.app:"]).unwrap();
        for (text, entry) in [
            ("https://claude.ai/api/mcp/auth_callback", "claude.ai"),
            ("https://claude.ai:443/cb", "claude.ai"),
            ("https://app.example:8443/cb", "app.example:8443"),
            ("http://127.0.0.1:40001/cb", "loopback"),
            ("http://localhost/cb", "loopback"),
            ("https://localhost:8443/cb", "loopback"),
            ("http://[::1]/cb", "loopback"),
            ("cursor://anysphere.cursor-mcp/oauth/callback", "cursor:"),
            ("com.example.app:/cb", "com.example.app:"),
        ] {
            assert_eq!(uri(text).list_entry(), entry);
            assert!(all.contains(&uri(text).list_entry()), "{text}");
        }
    }

    #[test]
    fn nothing_but_the_listed_host_is_admitted() {
        let listed = hosts(&["claude.ai", "cursor:"]).unwrap();
        for text in [
            "https://claude.ai.evil.example/cb",
            "https://evil-claude.ai/cb",
            "https://www.claude.ai/cb",
            "https://claude.ai:8443/cb",
            "https://claude.ai./cb",
            "https://evil.example/claude.ai",
            "http://127.0.0.1/claude.ai",
            "claude.ai:/cb",
            "cursor2://x/cb",
        ] {
            assert!(!listed.contains(&uri(text).list_entry()), "{text}");
        }
        assert!(listed.contains("claude.ai"));
        assert!(!listed.contains("claude.ai:8443") && !listed.contains("x.claude.ai"));
    }

    #[test]
    fn an_entry_that_means_nothing_is_refused() {
        for entry in [
            "https://claude.ai",
            "claude.ai/",
            "Claude.ai",
            "*.claude.ai",
            "claude.ai:443",
            "localhost",
            "cursor",
            "https:",
            "javascript:",
            "",
            "a b.example",
        ] {
            assert!(hosts(&["claude.ai", entry]).is_err_and(|(index, _)| index == 1), "{entry}");
        }
    }
}
