//! The redirect URIs of one client, and the exact match that yields a `VerifiedRedirect`.

use super::form::encode;
use super::redirect_uri::loopback;
use super::{InvalidRedirect, RedirectPolicy, RedirectUri};

/// The most redirect URIs per client; Cursor registers three, VS Code four.
const MAX_COUNT: usize = 20;

/// The redirect URIs of one client; never empty.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RegisteredRedirects(Vec<RedirectUri>);

/// Proof that a redirect URI belongs to the client; without it nobody is redirected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedRedirect {
    uri: RedirectUri,
    /// Whether the request named it (then `/token` may name it again, and it must be equal).
    was_sent: bool,
}

/// The URL of an answer to a client: the only kind of `Location` that leads off our origin. Made only by
/// [`VerifiedRedirect::location`].
#[derive(Clone, PartialEq, Eq)]
pub struct ClientLocation(String);

impl ClientLocation {
    /// Returns the URL, which contains code and state.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl AsRef<str> for ClientLocation {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for ClientLocation {
    /// Leaves out the content, which may contain a code.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ClientLocation(..)")
    }
}

impl RegisteredRedirects {
    /// Takes the URIs of a list that may be registered; also returns the others, with their index.
    ///
    /// # Errors
    /// `Count` for an empty list or one of more than 20; if no entry can be taken, the fault of the first.
    pub fn parse(
        uris: &[String],
        policy: &RedirectPolicy,
    ) -> Result<(Self, Vec<(usize, InvalidRedirect)>), InvalidRedirect> {
        if !(1..=MAX_COUNT).contains(&uris.len()) {
            return Err(InvalidRedirect::Count);
        }
        let (mut taken, mut refused) = (Vec::new(), Vec::new());
        for (index, uri) in uris.iter().enumerate() {
            match RedirectUri::parse(uri, policy) {
                Ok(uri) => taken.push(uri),
                Err(cause) => refused.push((index, cause)),
            }
        }
        match refused.first() {
            Some((_, cause)) if taken.is_empty() => Err(*cause),
            _ => Ok((Self(taken), refused)),
        }
    }
    /// Restores a list that was checked before it was stored.
    #[must_use]
    pub fn from_stored(uris: Vec<String>) -> Self {
        Self(uris.into_iter().map(RedirectUri::from_stored).collect())
    }
    /// Returns the URIs as text.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(RedirectUri::as_str)
    }
    /// Returns the list of URIs.
    #[must_use]
    pub fn as_slice(&self) -> &[RedirectUri] {
        &self.0
    }
    /// Finds the redirect URI of an authorization request: equal byte for byte, except for the port of a loopback http
    /// URI.
    ///
    /// # Errors
    /// `NotRegistered` or `Missing`.
    pub fn verify(&self, requested: Option<&str>) -> Result<VerifiedRedirect, InvalidRedirect> {
        let uri = match (requested, self.0.as_slice()) {
            (Some(requested), registered) => {
                // RFC 9700 2.1: simple string comparison; RFC 8252 7.3: any port of a loopback address.
                let same = |registered: &RedirectUri| {
                    registered.as_str() == requested
                        || loopback(registered.as_str()).is_some_and(|known| loopback(requested) == Some(known))
                };
                let found = registered.iter().any(same).then(|| RedirectUri::from_stored(requested.to_owned()));
                found.ok_or(InvalidRedirect::NotRegistered)?
            }
            // OAuth 2.1 4.1.1: it may be omitted only if exactly one is registered.
            (None, [only]) => only.clone(),
            (None, _) => return Err(InvalidRedirect::Missing),
        };
        Ok(VerifiedRedirect { uri, was_sent: requested.is_some() })
    }
}

impl VerifiedRedirect {
    /// Returns the URI exactly as the request named it.
    #[must_use]
    pub fn uri(&self) -> &RedirectUri {
        &self.uri
    }
    /// Returns whether the authorization request named it.
    #[must_use]
    pub fn was_sent(&self) -> bool {
        self.was_sent
    }
    /// Returns the URL of an answer with these `pairs`: the URI with its own query, and the pairs percent-encoded after
    /// it.
    #[must_use]
    pub fn location(&self, pairs: &[(&str, &str)]) -> ClientLocation {
        let mut location = self.uri.as_str().to_owned();
        for (name, value) in pairs {
            // RFC 6749 3.1.2: the client's own query is kept.
            if !location.contains('?') {
                location.push('?');
            } else if !location.ends_with(['?', '&']) {
                location.push('&');
            }
            location.push_str(name);
            location.push('=');
            encode(value, &mut location);
        }
        ClientLocation(location)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn registered(uris: &[&str]) -> RegisteredRedirects {
        let uris: Vec<_> = uris.iter().map(|u| (*u).to_owned()).collect();
        let (registered, refused) = RegisteredRedirects::parse(&uris, &RedirectPolicy::default()).unwrap();
        assert_eq!(refused, []);
        registered
    }

    #[test]
    fn az_04_only_the_same_bytes_match() {
        let known = registered(&["https://c.example/cb", "https://c.example/q?a=1&b=2"]);
        assert_eq!(known.verify(Some("https://c.example/cb")).unwrap().uri().as_str(), "https://c.example/cb");
        for other in [
            "https://c.example/cb/",
            "https://c.example/CB",
            "https://c.example/cb/../x",
            "https://c.example/x/../cb",
            "https://c.example/cb%2F",
            "https://c.example/%63b",
            "https://c.example/cb;x",
            "https://c.example/cb?x=1",
            "https://c.example/cb?",
            "https://c.example/q?b=2&a=1",
            "https://c.example/cb#f",
            "https://c.example:443/cb",
            "http://c.example/cb",
            "HTTPS://c.example/cb",
            "https://u@c.example/cb",
            "https://c.example./cb",
            "https://x.c.example/cb",
            "https://example/cb",
            "https://c.example\\cb",
            "https:\\\\c.example/cb",
            "https://c.example/\tcb",
            "https://c.example/cb\r",
            "https://c.example/cb\n",
            "https://c.example/cb\0",
            " https://c.example/cb",
            "https://c\u{ff0e}example/cb",
            "https://xn--c-example-x.example/cb",
            "https://c.example/cb ",
            "",
        ] {
            assert_eq!(known.verify(Some(other)), Err(InvalidRedirect::NotRegistered), "{other:?}");
        }
    }

    #[test]
    fn az_07_nothing_but_loopback_passes_for_loopback() {
        let known = registered(&["http://127.0.0.1/cb", "http://localhost/cb", "http://[::1]/cb"]);
        for other in [
            "http://127.0.0.1.evil.example/cb",
            "http://127.0.0.1@evil.example/cb",
            "http://localhost.evil.example/cb",
            "http://localhost@evil.example/cb",
            "http://localhost:1@evil.example/cb",
            "http://0x7f.1/cb",
            "http://2130706433/cb",
            "http://0177.0.0.1/cb",
            "http://127.1/cb",
            "http://127.0.0.2/cb",
            "http://[::ffff:127.0.0.1]/cb",
            "http://[0:0:0:0:0:0:0:1]/cb",
            "http://0.0.0.0/cb",
            "http://LOCALHOST/cb",
            "http://localhost./cb",
            "http://localhost:/cb",
            "http://localhost:0/cb",
            "http://localhost:08/cb",
            "http://localhost:+8/cb",
            "http://localhost:65536/cb",
            "http://localhost:80:80/cb",
            "http://localhost:8080/cb/",
            "http://localhost:8080/cb?x",
            "http://localhost:8080",
            "https://localhost/cb",
            "http://localhost\\@evil.example/cb",
        ] {
            assert_eq!(known.verify(Some(other)), Err(InvalidRedirect::NotRegistered), "{other:?}");
        }
    }

    #[test]
    fn az_08_only_the_port_of_loopback_may_differ() {
        let known = registered(&["http://localhost/cb", "http://127.0.0.1:33418/", "http://[::1]:1/x?y=z"]);
        for (asked, matches) in [
            ("http://localhost:51763/cb", true),
            ("http://localhost/cb", true),
            ("http://127.0.0.1:59656/", true),
            ("http://127.0.0.1/", true),
            ("http://[::1]:65535/x?y=z", true),
            ("http://127.0.0.1:51763/cb", false),
            ("http://localhost:33418/", false),
        ] {
            let verified = known.verify(Some(asked));
            assert_eq!(verified.is_ok(), matches, "{asked}");
            assert!(verified.is_err() || verified.unwrap().uri().as_str() == asked);
        }
    }

    #[test]
    fn it_may_be_left_out_only_when_there_is_one() {
        let one = registered(&["https://c.example/cb"]).verify(None).unwrap();
        assert!(!one.was_sent() && one.uri().as_str() == "https://c.example/cb");
        let two = registered(&["https://c.example/cb", "https://c.example/b"]);
        assert_eq!(two.verify(None), Err(InvalidRedirect::Missing));
    }

    #[test]
    fn a_client_has_1_to_20() {
        let parse = |count| {
            RegisteredRedirects::parse(&vec!["https://c.example/".to_owned(); count], &RedirectPolicy::default())
        };
        assert_eq!(parse(0), Err(InvalidRedirect::Count));
        assert!(parse(20).is_ok());
        assert_eq!(parse(21), Err(InvalidRedirect::Count));
    }

    #[test]
    fn what_is_good_in_a_mixed_list_is_taken() {
        let parse = |uris: &[&str]| {
            let uris: Vec<_> = uris.iter().map(|u| (*u).to_owned()).collect();
            RegisteredRedirects::parse(&uris, &RedirectPolicy::default())
        };
        let (taken, refused) = parse(&["javascript:x", "http://localhost/cb", "https://c.example/*"]).unwrap();
        assert_eq!(taken.as_slice().iter().map(RedirectUri::as_str).collect::<Vec<_>>(), ["http://localhost/cb"]);
        assert_eq!(refused, [(0, InvalidRedirect::Scheme), (2, InvalidRedirect::Wildcard)]);
        assert_eq!(parse(&["https://c.example/*", "javascript:x"]), Err(InvalidRedirect::Wildcard));
    }

    #[test]
    fn az_17_location_keeps_the_query_and_one_line() {
        let known = registered(&["https://c.example/cb?a=1"]).verify(None).unwrap();
        assert_eq!(
            known.location(&[("state", "x\r\nSet-Cookie: <y>&+\u{e9}")]).as_str(),
            "https://c.example/cb?a=1&state=x%0D%0ASet-Cookie%3A%20%3Cy%3E%26%2B%C3%A9"
        );
        let bare = registered(&["com.example.app:/cb"]).verify(None).unwrap();
        assert_eq!(
            bare.location(&[("code", "a"), ("iss", "https://gw")]).as_str(),
            "com.example.app:/cb?code=a&iss=https%3A%2F%2Fgw"
        );
    }
}
