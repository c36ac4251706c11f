//! `ResourceIndicator` (RFC 8707): the canonical URI of an upstream, or of several that share it, which is the
//! audience of their tokens.

use std::sync::Arc;

use super::{Form, OAuthError, Rule};

/// Maximum length in bytes, as for a redirect URI.
const MAX_LENGTH: usize = 2048;

/// A resource in canonical form: lower-case scheme and host, no default port, no query, no fragment, no trailing slash.
/// The path is kept byte for byte: two paths that are equal only after decoding are two resources.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ResourceIndicator(Arc<str>);

/// Why a resource parameter cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidResource {
    /// It is not an absolute http or https URI.
    #[error("the resource must be an absolute http or https URI")]
    NotAbsolute,
    /// It has a fragment (RFC 8707 2).
    #[error("the resource must not have a fragment")]
    Fragment,
}

impl ResourceIndicator {
    /// Parses a resource as a client writes it into canonical form for look-up: the query and one trailing slash are
    /// dropped.
    ///
    /// # Errors
    /// `InvalidResource` when it is relative or has a fragment.
    pub fn parse(text: &str) -> Result<Self, InvalidResource> {
        if text.contains('#') {
            return Err(InvalidResource::Fragment);
        }
        let canonical = canonical(text).ok_or(InvalidResource::NotAbsolute)?;
        Ok(Self(canonical.into()))
    }
    /// Reads the resource of a request. It may appear twice if both mean the same, because SDKs and their users' own
    /// settings both add it. A token here has one audience, so two different resources are refused.
    ///
    /// # Errors
    /// `invalid_target`.
    pub fn of_form(form: &Form) -> Result<Option<Self>, OAuthError> {
        let read = |text: &str| Self::parse(text).map_err(|cause| OAuthError::from(cause).came("resource", text));
        let mut named = form.all("resource").map(read);
        let Some(first) = named.next().transpose()? else { return Ok(None) };
        for other in named {
            // RFC 8707 2: several are allowed, and the server decides which combinations it serves.
            if other? != first {
                let words = "the request names more than one resource: a token is valid for one MCP server";
                let all: Vec<_> = form.all("resource").collect();
                return Err(OAuthError::new(Rule::ResourceAmbiguous, words).came("resource", &all.join(" ")));
            }
        }
        Ok(Some(first))
    }
    /// Returns the URL of its metadata, which lies at its origin.
    #[must_use]
    pub fn metadata_url(&self) -> String {
        format!("{}{}", self.origin_and_path().0, self.metadata_path())
    }
    /// Returns the path of its metadata at its origin.
    #[must_use]
    pub fn metadata_path(&self) -> String {
        // RFC 9728 3.1: the suffix goes between host and path.
        format!("/.well-known/oauth-protected-resource{}", self.origin_and_path().1)
    }
    fn origin_and_path(&self) -> (&str, &str) {
        let path_begins = self.0.find("://").and_then(|end| Some(end + 3 + self.0.get(end + 3..)?.find('/')?));
        self.0.split_at(path_begins.unwrap_or(self.0.len()))
    }
    /// Returns whether this is the bare origin of the resource `other`.
    #[must_use]
    pub fn is_origin_of(&self, other: &Self) -> bool {
        let has_path = self.0.split_once("://").is_none_or(|(_, rest)| rest.contains('/'));
        !has_path && other.0.strip_prefix(&*self.0).is_some_and(|rest| rest.starts_with('/'))
    }
    /// Restores a stored canonical form.
    #[must_use]
    pub fn from_stored(text: &str) -> Self {
        Self(text.into())
    }
    /// Returns the canonical form.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn canonical(text: &str) -> Option<String> {
    // Only printable ASCII, so that no parser behind us strips or folds characters.
    if text.len() > MAX_LENGTH || !text.bytes().all(|b| b.is_ascii_graphic()) || text.contains('\\') {
        return None;
    }
    let (scheme, rest) = text.split_once("://")?;
    let scheme = scheme.to_ascii_lowercase();
    let default_port = match scheme.as_str() {
        "https" => ":443",
        "http" => ":80",
        _ => return None,
    };
    // A query is ignored for the look-up.
    let rest = rest.split_once('?').map_or(rest, |(before, _)| before);
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let authority = authority.to_ascii_lowercase();
    let authority = authority.strip_suffix(default_port).unwrap_or(&authority);
    // Exactly one slash: a path that ends in two is a different path and stays as it is.
    let path = if path.ends_with("//") { path } else { path.strip_suffix('/').unwrap_or(path) };
    let canonical = format!("{scheme}://{authority}{path}");
    let readable = !authority.is_empty() && !authority.contains('@') && url::Url::parse(&canonical).is_ok();
    readable.then_some(canonical)
}

impl From<InvalidResource> for OAuthError {
    fn from(cause: InvalidResource) -> Self {
        match cause {
            InvalidResource::NotAbsolute => {
                Self::new(Rule::ResourceMalformed, "the resource must be the absolute https URL of an MCP server")
            }
            // RFC 8707 2: the resource must not have a fragment.
            InvalidResource::Fragment => Self::new(Rule::ResourceMalformed, "the resource must not have a fragment"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oauth::ErrorCode;

    #[test]
    fn az_24_spellings_of_one_resource_have_one_canonical_form() {
        for text in [
            "https://gw.example/mcp/acme",
            "HTTPS://GW.Example/mcp/acme",
            "https://gw.example:443/mcp/acme",
            "https://gw.example/mcp/acme/",
            "https://gw.example/mcp/acme?x=y",
            "https://gw.example/mcp/acme/?x=/",
        ] {
            assert_eq!(ResourceIndicator::parse(text).unwrap().as_str(), "https://gw.example/mcp/acme", "{text}");
        }
        assert_eq!(ResourceIndicator::parse("https://gw/").unwrap().as_str(), "https://gw");
        assert_eq!(ResourceIndicator::parse("https://gw:8443/a").unwrap().as_str(), "https://gw:8443/a");
        assert_eq!(ResourceIndicator::parse("http://[::1]:80/a").unwrap().as_str(), "http://[::1]/a");
    }

    #[test]
    fn the_url_of_its_metadata_has_the_suffix_between_host_and_path() {
        for (resource, url) in [
            ("https://gw.example/mcp/a", "https://gw.example/.well-known/oauth-protected-resource/mcp/a"),
            ("https://gw.example:8443/", "https://gw.example:8443/.well-known/oauth-protected-resource"),
            ("http://[::1]/a", "http://[::1]/.well-known/oauth-protected-resource/a"),
        ] {
            assert_eq!(ResourceIndicator::parse(resource).unwrap().metadata_url(), url);
        }
    }

    #[test]
    fn az_23_a_resource_may_come_twice_if_both_are_one() {
        let read = |query: &str| {
            let named = ResourceIndicator::of_form(&Form::parse(query.as_bytes()).unwrap());
            named.map(|r| r.map(|r| r.as_str().to_owned())).map_err(|error| error.code())
        };
        assert_eq!(read("resource=&x=1"), Ok(None));
        for one in
            ["resource=https://gw/a", "resource=https://gw/a&resource=HTTPS://GW/a/", "resource=&resource=https://gw/a"]
        {
            assert_eq!(read(one), Ok(Some("https://gw/a".to_owned())), "{one}");
        }
        for two in ["resource=https://gw/a&resource=https://gw/b", "resource=https://gw/a&resource=a", "resource=a"] {
            assert_eq!(read(two), Err(ErrorCode::InvalidTarget), "{two}");
        }
    }

    #[test]
    fn an_origin_is_that_of_the_resources_below_it() {
        let parse = |text: &str| ResourceIndicator::parse(text).unwrap();
        for (origin, other, is) in [
            ("https://gw/", "https://gw/mcp", true),
            ("https://gw:8443", "https://gw:8443/a/b", true),
            ("https://gw", "https://gw", false),
            ("https://gw", "https://gw.evil/mcp", false),
            ("https://gw", "https://gw:8443/mcp", false),
            ("http://gw", "https://gw/mcp", false),
            ("https://gw/a", "https://gw/a/b", false),
        ] {
            assert_eq!(parse(origin).is_origin_of(&parse(other)), is, "{origin} {other}");
        }
    }

    #[test]
    fn other_paths_are_other_resources() {
        let acme = ResourceIndicator::parse("https://gw/mcp/acme").unwrap();
        for other in
            ["https://gw/mcp/ACME", "https://gw/mcp/%61cme", "https://gw/x/../mcp/acme", "https://gw/mcp//acme"]
        {
            assert_ne!(ResourceIndicator::parse(other).unwrap(), acme, "{other}");
        }
    }

    #[test]
    fn az_23_relative_or_with_a_fragment_is_refused() {
        assert_eq!(ResourceIndicator::parse("https://gw/mcp#x"), Err(InvalidResource::Fragment));
        assert_eq!(ResourceIndicator::parse("https://gw/mcp#"), Err(InvalidResource::Fragment));
        for bad in [
            "",
            "/mcp",
            "gw/mcp",
            "//gw/mcp",
            "https:/gw",
            "https://",
            "https:///mcp",
            "ftp://gw/mcp",
            "https://u@gw/mcp",
            "https://gw\\mcp",
            "https://g w/mcp",
            "https://gw/m\tcp",
            "https://b\u{fc}cher.example/",
            "https://gw:x/",
            "https://gw:99999/",
        ] {
            assert_eq!(ResourceIndicator::parse(bad), Err(InvalidResource::NotAbsolute), "{bad:?}");
        }
    }
}
