//! `OAuthError`: a refusal with its registered code, the broken rule, and what was received and expected.

use std::borrow::Cow;

use super::{ErrorCode, ReceivedValue, Rule};

/// An OAuth error: a registered code and a public description that never echoes input. For the log only, it also has
/// the broken rule, and what was received and expected.
#[derive(Debug, Clone)]
pub struct OAuthError {
    code: ErrorCode,
    rule: Rule,
    description: Cow<'static, str>,
    detail: Option<Box<Detail>>,
}

#[derive(Debug, Clone, Default)]
struct Detail {
    came: Option<ReceivedValue>,
    expected: Option<String>,
}

/// Two errors are equal if the client is told the same.
impl PartialEq for OAuthError {
    fn eq(&self, other: &Self) -> bool {
        (self.code, &self.description) == (other.code, &other.description)
    }
}

impl Eq for OAuthError {}

impl OAuthError {
    /// Makes an error; `description` says what is wrong and what to do, in the characters that RFC 6749 5.2 allows
    /// (printable ASCII without quote and backslash).
    #[must_use]
    pub fn new(rule: Rule, description: impl Into<Cow<'static, str>>) -> Self {
        // Rules without a code never become an OAuth error.
        let code = rule.code().unwrap_or(ErrorCode::InvalidRequest);
        Self { code, rule, description: description.into(), detail: None }
    }

    /// Replaces the code: a fault in a part of a document is reported as a fault of the document.
    #[must_use]
    pub fn with_code(self, code: ErrorCode) -> Self {
        Self { code, ..self }
    }

    /// Adds the received value, for the log.
    #[must_use]
    pub fn came(mut self, name: &'static str, value: &str) -> Self {
        self.detail.get_or_insert_default().came = Some(ReceivedValue::new(name, value));
        self
    }

    /// Adds what was expected, for the log, where the rule alone does not say it.
    #[must_use]
    pub fn expected(mut self, what: impl Into<String>) -> Self {
        self.detail.get_or_insert_default().expected = Some(what.into());
        self
    }

    /// Returns the registered code.
    #[must_use]
    pub const fn code(&self) -> ErrorCode {
        self.code
    }

    /// Returns the rule that was broken.
    #[must_use]
    pub const fn rule(&self) -> Rule {
        self.rule
    }

    /// Returns the received value, as the log may show it.
    #[must_use]
    pub fn what_came(&self) -> Option<&ReceivedValue> {
        self.detail.as_ref()?.came.as_ref()
    }

    /// Returns what was expected, for the log.
    #[must_use]
    pub fn what_was_expected(&self) -> &str {
        let expected = self.detail.as_ref().and_then(|detail| detail.expected.as_deref());
        expected.unwrap_or_else(|| self.rule.expected())
    }

    /// Returns the public description.
    #[must_use]
    pub fn description(&self) -> &str {
        &self.description
    }
}
