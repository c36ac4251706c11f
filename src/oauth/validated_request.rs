//! `ValidatedRequest`: an authorization request that obeys every rule, and its stored form while the user decides.

use serde_json::{Value, json};

use super::form::encode;
use super::{
    Client, ClientId, CodeChallenge, OAuthError, RedirectPolicy, ResourceIndicator, ScopeSet, VerifiedRedirect,
};

/// The checked parameters: challenge, resource, scopes, prompt.
pub(super) type CheckedParameters = (CodeChallenge, ResourceIndicator, ScopeSet, Prompt);

/// What the client asked about prompting (OpenID Connect Core 3.1.2.1; `select_account` counts as `login`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Prompt {
    /// `none`: no page may be shown.
    pub none: bool,
    /// `login`: the user must log in again.
    pub login: bool,
    /// `consent`: the user must be asked again.
    pub consent: bool,
}

/// A request that obeys every rule; only this can start an interaction. Made by
/// [`super::AuthorizationRequest::validate`], and from a stored one by [`StoredRequest::verify`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ValidatedRequest {
    /// Where the answer is sent.
    redirect: VerifiedRedirect,
    /// The state, returned as received.
    state: Option<String>,
    /// The code challenge (RFC 7636).
    challenge: CodeChallenge,
    /// The token's only audience.
    resource: ResourceIndicator,
    /// The requested scopes that the resource has, or its default set.
    scopes: ScopeSet,
    /// What the client asked about prompting.
    prompt: Prompt,
}

/// A pending request read from the store; its client may have changed since.
#[derive(Debug)]
pub struct StoredRequest {
    redirect_uri: String,
    redirect_was_sent: bool,
    state: Option<String>,
    challenge: CodeChallenge,
    resource: ResourceIndicator,
    scopes: ScopeSet,
    prompt: Prompt,
}

/// A refusal that is sent by redirect, which needs a verified redirect URI.
#[derive(Debug, Clone)]
pub struct RefusedRequest {
    /// Where the error is sent.
    pub redirect: VerifiedRedirect,
    /// The state to return, unless the state itself was at fault.
    pub state: Option<String>,
    /// The error that is sent.
    pub error: OAuthError,
}

impl ValidatedRequest {
    /// Assembles a request from values that were checked by [`super::AuthorizationRequest::validate`], now or before it
    /// was stored. `tests/tidy/unchecked.rs` lists the callers.
    pub(super) fn new_unchecked(redirect: VerifiedRedirect, state: Option<String>, checked: CheckedParameters) -> Self {
        let (challenge, resource, scopes, prompt) = checked;
        Self { redirect, state, challenge, resource, scopes, prompt }
    }
    /// Writes the request as the query of an authorization request of `client`, to start it again.
    #[must_use]
    pub fn to_query(&self, client: &ClientId) -> String {
        // Only a default set can be longer than a parameter may be, and leaving the parameter out means the default
        // set.
        let scope = Some(self.scopes.to_string()).filter(|text| ScopeSet::parse(text).is_ok()).unwrap_or_default();
        let Prompt { none, login, consent } = self.prompt;
        let words = [(none, "none"), (login, "login"), (consent, "consent")];
        let prompt: Vec<_> = words.iter().filter(|(asked, _)| *asked).map(|(_, word)| *word).collect();
        let prompt = prompt.join(" ");
        let redirect = self.redirect.uri().as_str();
        let pairs = [
            ("response_type", "code"),
            ("client_id", client.as_str()),
            ("redirect_uri", if self.redirect.was_sent() { redirect } else { "" }),
            ("state", self.state.as_deref().unwrap_or_default()),
            ("code_challenge", self.challenge.as_str()),
            ("code_challenge_method", "S256"),
            ("resource", self.resource.as_str()),
            ("scope", &scope),
            ("prompt", &prompt),
        ];
        let mut query = String::new();
        // RFC 6749 3.1: a parameter without a value counts as absent.
        for (name, value) in pairs.iter().filter(|(_, value)| !value.is_empty()) {
            if !query.is_empty() {
                query.push('&');
            }
            query.push_str(name);
            query.push('=');
            encode(value, &mut query);
        }
        query
    }

    /// Writes the request as JSON for the store of pending authorizations.
    #[must_use]
    pub fn to_stored(&self) -> String {
        json!({
            "redirect_uri": self.redirect.uri().as_str(),
            "redirect_sent": self.redirect.was_sent(),
            "state": self.state,
            "challenge": self.challenge.as_str(),
            "resource": self.resource.as_str(),
            "scope": self.scopes.to_string(),
            "prompt": [self.prompt.none, self.prompt.login, self.prompt.consent],
        })
        .to_string()
    }
    /// Returns where the answer goes.
    #[must_use]
    pub fn redirect(&self) -> &VerifiedRedirect {
        &self.redirect
    }
    /// Returns the state as received.
    #[must_use]
    pub fn state(&self) -> Option<&str> {
        self.state.as_deref()
    }
    /// Returns the code challenge (RFC 7636).
    #[must_use]
    pub fn challenge(&self) -> &CodeChallenge {
        &self.challenge
    }
    /// Returns the token's only audience.
    #[must_use]
    pub fn resource(&self) -> &ResourceIndicator {
        &self.resource
    }
    /// Returns the requested scopes that the resource has, or its default set.
    #[must_use]
    pub fn scopes(&self) -> &ScopeSet {
        &self.scopes
    }
    /// Returns what the client asked about prompting.
    #[must_use]
    pub fn prompt(&self) -> Prompt {
        self.prompt
    }
    /// Refuses the request after all, for example because the user would have to be asked and may not be.
    #[must_use]
    pub fn refuse(self, error: OAuthError) -> RefusedRequest {
        RefusedRequest { redirect: self.redirect, state: self.state, error }
    }
}

impl StoredRequest {
    /// Reads the form that [`ValidatedRequest::to_stored`] wrote; `None` when the row is damaged.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        let row: Value = serde_json::from_str(text).ok()?;
        let text = |name: &str| row.get(name)?.as_str();
        let flag = |name: &str| row.get(name)?.as_bool();
        let prompt = |at: usize| row.get("prompt")?.get(at)?.as_bool();
        Some(Self {
            redirect_uri: text("redirect_uri")?.to_owned(),
            redirect_was_sent: flag("redirect_sent")?,
            state: text("state").map(str::to_owned),
            challenge: CodeChallenge::from_stored(text("challenge")?)?,
            resource: ResourceIndicator::from_stored(text("resource")?),
            scopes: ScopeSet::from_stored(text("scope")?)?,
            prompt: Prompt { none: prompt(0)?, login: prompt(1)?, consent: prompt(2)? },
        })
    }

    /// Looks for the redirect URI among those that the client has now; `None` when it is no longer there, or when the
    /// operator no longer lists where it leads.
    #[must_use]
    pub fn verify(self, client: &Client, policy: &RedirectPolicy) -> Option<ValidatedRequest> {
        let named = self.redirect_was_sent.then_some(&*self.redirect_uri);
        let verified = client.metadata.redirect_uris.verify(named).ok()?;
        let redirect = Some(verified).filter(|redirect| client.may_redirect(redirect.uri(), policy))?;
        let Self { state, challenge, resource, scopes, prompt, .. } = self;
        let is_same = redirect.uri().as_str() == self.redirect_uri;
        is_same.then(|| ValidatedRequest::new_unchecked(redirect, state, (challenge, resource, scopes, prompt)))
    }
}
