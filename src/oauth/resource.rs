//! `ResourceIndicator` (RFC 8707): the canonical URI of one upstream, which is the audience of its tokens.

use std::sync::Arc;

/// A resource in canonical form: lower-case scheme and host, no default port, no fragment, no trailing slash.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ResourceIndicator(Arc<str>);

/// Why a resource parameter cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidResource {
    /// Not an absolute http or https URI.
    #[error("the resource must be an absolute http or https URI")]
    NotAbsolute,
    /// Has a fragment (RFC 8707 2).
    #[error("the resource must not have a fragment")]
    Fragment,
}

impl ResourceIndicator {
    /// Reads a resource as a client writes it and brings it into canonical form for look-up: query and one trailing
    /// slash dropped.
    ///
    /// # Errors
    /// `InvalidResource` when it is relative or has a fragment.
    pub fn parse(_text: &str) -> Result<Self, InvalidResource> {
        todo!()
    }
    /// Takes a canonical form that was stored.
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
