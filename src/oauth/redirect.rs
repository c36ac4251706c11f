//! Redirect URIs: what may be registered, and the exact match that yields a `VerifiedRedirect`.

/// A redirect URI that obeys the rules for registration, exactly as written by the client.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RedirectUri(String);

/// The redirect URIs of one client; never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegisteredRedirects(Vec<RedirectUri>);

/// Proof that a redirect URI belongs to the client; without one nobody is redirected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedRedirect {
    uri: RedirectUri,
    /// Whether the request named it (then `/token` may name it again, and it must be equal).
    was_sent: bool,
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
    /// Has a fragment (RFC 6749 3.1.2).
    #[error("a redirect URI must not have a fragment")]
    Fragment,
    /// Has a user name or password.
    #[error("a redirect URI must not have a user name or password")]
    UserInfo,
    /// http to another host than loopback, or a scheme that a browser would run or open.
    #[error("a redirect URI must be https, http to loopback, or a private-use scheme with a dot")]
    Scheme,
    /// The list is empty or has more than 20 entries.
    #[error("between 1 and 20 redirect URIs are needed")]
    Count,
    /// Not among the registered ones.
    #[error("the redirect URI is not registered for this client")]
    NotRegistered,
    /// Absent, and not exactly one is registered.
    #[error("the redirect URI is missing")]
    Missing,
}

impl RedirectUri {
    /// Reads a redirect URI for registration: https, http to 127.0.0.0/8, `[::1]` or `localhost`, or a private-use
    /// scheme with a dot or on `extra_schemes_or_uris` (exact known exceptions such as Cursor's).
    ///
    /// # Errors
    /// `InvalidRedirect` says which rule it breaks.
    pub fn parse(_text: &str, _extra_uris: &[String]) -> Result<Self, InvalidRedirect> {
        todo!()
    }
    /// Takes a redirect URI that was checked before it was stored.
    #[must_use]
    pub fn from_stored(text: String) -> Self {
        Self(text)
    }
    /// Returns the URI as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
    /// Returns the host to show on the consent page, or the scheme for a private-use URI.
    #[must_use]
    pub fn display_host(&self) -> String {
        todo!()
    }
    /// Returns whether any program of this machine can be the receiver (loopback or private-use scheme).
    #[must_use]
    pub fn is_local(&self) -> bool {
        todo!()
    }
}

impl RegisteredRedirects {
    /// Reads the list of a registration.
    ///
    /// # Errors
    /// `InvalidRedirect` of the first entry that breaks a rule, or `Count`.
    pub fn parse(_uris: &[String], _extra_uris: &[String]) -> Result<Self, InvalidRedirect> {
        todo!()
    }
    /// Takes a list that was checked before it was stored.
    #[must_use]
    pub fn from_stored(uris: Vec<String>) -> Self {
        Self(uris.into_iter().map(RedirectUri).collect())
    }
    /// Returns the list.
    #[must_use]
    pub fn as_slice(&self) -> &[RedirectUri] {
        &self.0
    }
    /// Finds the redirect URI of an authorization request: byte for byte, but for the port of a loopback http URI.
    ///
    /// # Errors
    /// `NotRegistered` or `Missing`.
    pub fn verify(&self, _requested: Option<&str>) -> Result<VerifiedRedirect, InvalidRedirect> {
        todo!()
    }
    /// Returns whether every URI is local (loopback or private-use scheme).
    #[must_use]
    pub fn all_local(&self) -> bool {
        self.0.iter().all(RedirectUri::is_local)
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
    /// Rebuilds the proof from a stored pending authorization, which was made from one.
    #[must_use]
    pub fn from_stored(uri: String, was_sent: bool) -> Self {
        Self { uri: RedirectUri(uri), was_sent }
    }
    /// Returns the Location value: the URI, its own query kept, with `pairs` added and percent-encoded.
    #[must_use]
    pub fn location(&self, _pairs: &[(&str, &str)]) -> String {
        todo!()
    }
}
