//! The registered error codes and the error value that carries one (RFC 6749 4.1.2.1, 5.2; RFC 7591 3.2.2; RFC 8707 2).

use std::borrow::Cow;

use super::{Came, Rule};

/// A registered OAuth error code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorCode {
    /// The resource owner or the server denied the request.
    AccessDenied,
    /// OpenID Connect Core 3.1.2.6: `prompt=none`, but consent is needed.
    ConsentRequired,
    /// The client is unknown or could not be authenticated.
    InvalidClient,
    /// RFC 7591 3.2.2: a registration member is unacceptable.
    InvalidClientMetadata,
    /// The code or refresh token is invalid, expired, revoked or another client's.
    InvalidGrant,
    /// RFC 7591 3.2.2: a redirect URI is unacceptable.
    InvalidRedirectUri,
    /// A parameter is missing, repeated or malformed.
    InvalidRequest,
    /// The requested scope is unknown, malformed or more than was granted.
    InvalidScope,
    /// RFC 7591 3.2.2: the software statement is invalid.
    InvalidSoftwareStatement,
    /// RFC 8707 2: the requested resource is unknown or unacceptable.
    InvalidTarget,
    /// OpenID Connect Core 3.1.2.6: `prompt=none`, but nobody is logged in.
    LoginRequired,
    /// RFC 9101 is not supported: no `request` parameter (OpenID Connect Core 3.1.2.6).
    RequestNotSupported,
    /// RFC 9101 is not supported: no `request_uri` parameter (OpenID Connect Core 3.1.2.6).
    RequestUriNotSupported,
    /// The server cannot answer just now.
    TemporarilyUnavailable,
    /// RFC 7591 3.2.2: the software statement is not approved here.
    UnapprovedSoftwareStatement,
    /// The client may not use this grant or response type.
    UnauthorizedClient,
    /// The grant type is not supported.
    UnsupportedGrantType,
    /// The response type is not supported.
    UnsupportedResponseType,
}

impl ErrorCode {
    /// Returns the registered spelling.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AccessDenied => "access_denied",
            Self::ConsentRequired => "consent_required",
            Self::InvalidClient => "invalid_client",
            Self::InvalidClientMetadata => "invalid_client_metadata",
            Self::InvalidGrant => "invalid_grant",
            Self::InvalidRedirectUri => "invalid_redirect_uri",
            Self::InvalidRequest => "invalid_request",
            Self::InvalidScope => "invalid_scope",
            Self::InvalidSoftwareStatement => "invalid_software_statement",
            Self::InvalidTarget => "invalid_target",
            Self::LoginRequired => "login_required",
            Self::RequestNotSupported => "request_not_supported",
            Self::RequestUriNotSupported => "request_uri_not_supported",
            Self::TemporarilyUnavailable => "temporarily_unavailable",
            Self::UnapprovedSoftwareStatement => "unapproved_software_statement",
            Self::UnauthorizedClient => "unauthorized_client",
            Self::UnsupportedGrantType => "unsupported_grant_type",
            Self::UnsupportedResponseType => "unsupported_response_type",
        }
    }
}

/// A refusal in OAuth's own words: a registered code and a public sentence that never echoes input. Beside them, for the
/// log alone: the rule, and what came and was expected.
#[derive(Debug, Clone)]
pub struct OAuthError {
    code: ErrorCode,
    rule: Rule,
    description: Cow<'static, str>,
    detail: Option<Box<Detail>>,
}

#[derive(Debug, Clone, Default)]
struct Detail {
    came: Option<Came>,
    expected: Option<String>,
}

/// Two are equal if the caller is told the same.
impl PartialEq for OAuthError {
    fn eq(&self, other: &Self) -> bool {
        (self.code, &self.description) == (other.code, &other.description)
    }
}

impl Eq for OAuthError {}

impl OAuthError {
    /// Makes a refusal; `description` says what is wrong and what to do, in the characters RFC 6749 5.2 allows
    /// (printable ASCII without quote and backslash).
    #[must_use]
    pub fn new(rule: Rule, description: impl Into<Cow<'static, str>>) -> Self {
        // A rule without a code of its own is never one of OAuth's.
        let code = rule.code().unwrap_or(ErrorCode::InvalidRequest);
        Self { code, rule, description: description.into(), detail: None }
    }

    /// Gives it another code: what a part of a document breaks is told as a fault of the document.
    #[must_use]
    pub fn with_code(self, code: ErrorCode) -> Self {
        Self { code, ..self }
    }

    /// Notes for the log what came.
    #[must_use]
    pub fn came(mut self, name: &'static str, value: &str) -> Self {
        self.detail.get_or_insert_default().came = Some(Came::new(name, value));
        self
    }

    /// Notes for the log what was expected, where the rule alone does not say it.
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

    /// Returns what came, as the log may show it.
    #[must_use]
    pub fn what_came(&self) -> Option<&Came> {
        self.detail.as_ref()?.came.as_ref()
    }

    /// Returns what was expected.
    #[must_use]
    pub fn what_was_expected(&self) -> &str {
        let expected = self.detail.as_ref().and_then(|detail| detail.expected.as_deref());
        expected.unwrap_or_else(|| self.rule.expected())
    }

    /// Returns the public sentence.
    #[must_use]
    pub fn description(&self) -> &str {
        &self.description
    }
}
