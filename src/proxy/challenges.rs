//! `Challenges`: what a refusal for want of a token, or of scopes, says in `WWW-Authenticate`.

use http::HeaderValue;

use super::rejection::{INSUFFICIENT_SCOPE, INVALID_TOKEN, LackingScopes, MALFORMED_CREDENTIALS};
use super::row::Challenge;
use crate::config::UpstreamConfig;
use crate::oauth::{BearerChallenge, ScopeSet};

/// The challenges of an upstream.
pub(super) struct Challenges {
    /// Those that are always the same, without and with a trailing slash in their URL.
    fixed: [[HeaderValue; 2]; 4],
    /// The URL of its protected resource metadata (RFC 9728 3.1).
    metadata_url: String,
    /// What follows it for a URL with a trailing slash.
    slash: &'static str,
}

impl Challenges {
    /// Prepares the challenges.
    ///
    /// # Errors
    /// One of them cannot be written in a header field.
    pub(super) fn build(upstream: &UpstreamConfig) -> Result<Self, String> {
        let metadata_url = upstream.resource.metadata_url();
        // The document of a shared resource never names the URL that was called.
        let slash = if upstream.shares_resource() { "" } else { "/" };
        let make = |error: Option<&'static str>,
                    description: Option<&str>,
                    scope: &ScopeSet|
         -> Result<[HeaderValue; 2], String> {
            let one = |slash: &str| {
                let resource_metadata = format!("{metadata_url}{slash}");
                let scope = (!scope.is_empty()).then_some(scope);
                let challenge = BearerChallenge {
                    error,
                    error_description: description,
                    scope,
                    resource_metadata: &resource_metadata,
                };
                HeaderValue::try_from(challenge.to_header()).map_err(|e| e.to_string())
            };
            Ok([one("")?, one(slash)?])
        };
        let (default, required) = (&upstream.default_scopes, &upstream.required_scopes);
        let fixed = [
            make(None, None, default)?,
            make(Some("invalid_request"), Some(MALFORMED_CREDENTIALS), default)?,
            make(Some("invalid_token"), Some(INVALID_TOKEN), default)?,
            make(Some("insufficient_scope"), Some(INSUFFICIENT_SCOPE), required)?,
        ];
        Ok(Self { fixed, metadata_url, slash })
    }

    /// Returns this upstream's challenge; the URL in it has a trailing slash if the request's path had one, since
    /// strict clients compare the document's resource with the URL that they called (RFC 9728 3.3).
    pub(super) fn of(&self, which: Challenge, slash: bool) -> HeaderValue {
        let [bare, request, token, scope] = &self.fixed;
        let [plain, slashed] = match which {
            Challenge::Bare => bare,
            Challenge::InvalidRequest => request,
            Challenge::InvalidToken => token,
            Challenge::InsufficientScope => scope,
        };
        if slash { slashed.clone() } else { plain.clone() }
    }

    /// Returns the challenge for a token without the scopes that a request needs (RFC 6750 3.1; MCP authorization,
    /// scope challenge handling).
    pub(super) fn for_scopes(&self, lacking: &LackingScopes, slash: bool) -> String {
        let challenge = BearerChallenge {
            error: Some("insufficient_scope"),
            error_description: Some(&lacking.text),
            scope: Some(&lacking.wanted),
            resource_metadata: &format!("{}{}", self.metadata_url, if slash { self.slash } else { "" }),
        };
        challenge.to_header()
    }
}
