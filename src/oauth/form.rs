//! The urlencoded reader for queries and bodies: repeats refused, sizes bounded, empty values absent (OAuth 2.1 3.1).

/// Parameters of a request; each name at most once, `resource` excepted.
#[derive(Clone, Default)]
pub struct Form {
    pairs: Vec<(String, String)>,
    repeated: Vec<String>,
}

/// Why a form could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FormError {
    /// More than 64 parameters.
    #[error("the request has more than 64 parameters")]
    TooManyFields,
    /// Not valid percent-encoding or not UTF-8.
    #[error("the request is not valid application/x-www-form-urlencoded")]
    Malformed,
}

impl Form {
    /// Reads a query string or body. Repeated names are recorded, not yet refused: who asks decides (AZ-14, AZ-15).
    ///
    /// # Errors
    /// `FormError`.
    pub fn parse(_bytes: &[u8]) -> Result<Self, FormError> {
        todo!()
    }
    /// Returns the value of `name`; empty counts as absent.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.pairs.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str()).filter(|v| !v.is_empty())
    }
    /// Returns every value of `name` (for `resource`).
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.pairs.iter().filter(move |(n, v)| n == name && !v.is_empty()).map(|(_, v)| v.as_str())
    }
    /// Returns whether `name` came more than once.
    #[must_use]
    pub fn is_repeated(&self, name: &str) -> bool {
        self.repeated.iter().any(|n| n == name)
    }
    /// Returns the first repeated name other than `resource`.
    #[must_use]
    pub fn first_repeated(&self) -> Option<&str> {
        self.repeated.iter().map(String::as_str).find(|n| *n != "resource")
    }
}

impl std::fmt::Debug for Form {
    /// Prints names only: values may be secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.pairs.iter().map(|(n, _)| n)).finish()
    }
}
