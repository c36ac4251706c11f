//! The authorization request as sent, and the rules that it has to obey (RFC 6749 4.1, RFC 8707).

use super::received_value::show_some;
use super::request_policy::RequestPolicy;
use super::validated_request::{CheckedParameters, Prompt, RefusedRequest, ValidatedRequest};
use super::{
    Client, ClientId, CodeChallenge, Form, GrantType, InvalidRedirect, OAuthError, RedirectHosts, RedirectPolicy,
    RedirectUri, Rule, ScopeSet, VerifiedRedirect, redirect_difference,
};

/// Maximum length of `state` in bytes; some clients keep JSON in it.
const MAX_STATE: usize = 4096;

/// Not a permission at a resource: it asks for a refresh token (OpenID Connect Core 11), which every client that
/// registered for it gets anyway.
const OFFLINE_ACCESS: &str = "offline_access";

/// An authorization request as sent, not checked yet.
#[derive(Debug, Clone)]
pub struct AuthorizationRequest {
    form: Form,
}

impl AuthorizationRequest {
    /// Takes the parameters of a request.
    #[must_use]
    pub fn new(form: Form) -> Self {
        Self { form }
    }
    /// Returns the client id; refuses a repeated one.
    ///
    /// # Errors
    /// `invalid_request`, to be shown as a page and never sent by redirect.
    pub fn client_id(&self) -> Result<ClientId, OAuthError> {
        if self.form.is_repeated("client_id") {
            return Err(repeated("client_id", "client_id is repeated"));
        }
        let missing = || OAuthError::new(Rule::ClientIdMissing, "client_id is missing");
        let text = self.form.get("client_id").ok_or_else(missing)?;
        ClientId::parse(text).ok_or_else(|| {
            OAuthError::new(Rule::ClientIdMalformed, "client_id is not a client identifier").came("client_id", text)
        })
    }
    /// Finds the redirect URI among the client's. One that leads to our own origins is refused even if it was
    /// registered, since the port of a loopback URI may be any; and one that the operator lists no longer, unless the
    /// operator added the client.
    ///
    /// # Errors
    /// `invalid_request`, to be shown as a page and never sent by redirect.
    pub fn verify_redirect(&self, client: &Client, policy: &RedirectPolicy) -> Result<VerifiedRedirect, OAuthError> {
        if self.form.is_repeated("redirect_uri") {
            return Err(repeated("redirect_uri", "redirect_uri is repeated"));
        }
        let sent = self.form.get("redirect_uri");
        let verified = client.metadata.redirect_uris.verify(sent);
        let leads_home = |verified: &VerifiedRedirect| verified.uri().leads_to(&policy.own_origins);
        let verified = match verified {
            Ok(verified) if leads_home(&verified) => Err(InvalidRedirect::OwnOrigin),
            Ok(verified) if !client.may_redirect(verified.uri(), policy) => return Err(unlisted(verified.uri())),
            outcome => outcome,
        };
        verified.map_err(|cause| {
            let rule = if cause == InvalidRedirect::Missing {
                Rule::RedirectUriMissing
            } else if cause == InvalidRedirect::OwnOrigin {
                Rule::RedirectUriOwnOrigin
            } else {
                Rule::RedirectUriNotRegistered
            };
            let registered_uris = client.metadata.redirect_uris.as_slice();
            let differs = sent.filter(|_| cause == InvalidRedirect::NotRegistered);
            let differs = differs.map(|sent| redirect_difference(sent, registered_uris)).filter(|all| !all.is_empty());
            let words = match differs {
                Some(parts) => format!("{cause}: it differs from what is registered in the {parts}"),
                None => cause.to_string(),
            };
            let mut error = OAuthError::new(rule, words);
            if let Some(sent) = sent {
                error = error.came("redirect_uri", sent);
            }
            if cause == InvalidRedirect::OwnOrigin {
                return error;
            }
            error.expected(format!("one of: {}", registered(client)))
        })
    }
    /// Checks everything else. From here on every error is sent by redirect.
    ///
    /// # Errors
    /// `RefusedRequest`.
    pub fn validate(
        &self,
        client: &Client,
        redirect: VerifiedRedirect,
        policy: &RequestPolicy,
    ) -> Result<ValidatedRequest, Box<RefusedRequest>> {
        // RFC 6749 4.1.2.1: the state goes back with every answer, unless the state itself is at fault.
        let (state, state_is_sound) = self.state();
        match self.check(client, policy, state_is_sound) {
            Ok(checked) => Ok(ValidatedRequest::new_unchecked(redirect, state, checked)),
            Err(error) => Err(Box::new(RefusedRequest { redirect, state, error })),
        }
    }

    fn state(&self) -> (Option<String>, bool) {
        let state = self.form.get("state");
        let is_sound = !self.form.is_repeated("state") && state.is_none_or(|state| state.len() <= MAX_STATE);
        (state.filter(|_| is_sound).map(str::to_owned), is_sound)
    }

    fn check(
        &self,
        client: &Client,
        policy: &RequestPolicy,
        state_is_sound: bool,
    ) -> Result<CheckedParameters, OAuthError> {
        if !state_is_sound {
            let words = "state is repeated or longer than 4096 bytes";
            let state = self.form.get("state").unwrap_or_default();
            return Err(OAuthError::new(Rule::StateMalformed, words).came("state", state));
        }
        // RFC 6749 3.1: no parameter may appear twice, known or not.
        if let Some(name) = self.form.first_repeated() {
            return Err(repeated(name, "a parameter is repeated"));
        }
        // OpenID Connect Core 3.1.2.6: parameters that would replace the ones read here are refused, never ignored.
        if let Some(object) = self.form.get("request") {
            let words = "the request parameter is not supported";
            return Err(OAuthError::new(Rule::RequestObject, words).came("request", object));
        }
        if let Some(uri) = self.form.get("request_uri") {
            return Err(OAuthError::new(Rule::RequestUri, "request_uri is not supported").came("request_uri", uri));
        }
        // RFC 6749 4.1.2.1: no code for a client that may not redeem one. Tokens issued by operators belong to such a
        // client.
        if !client.metadata.grant_types.contains(&GrantType::AuthorizationCode) {
            let words = "the client is not registered for the authorization code grant";
            return Err(OAuthError::new(Rule::GrantNotRegistered, words).came("grant_type", "authorization_code"));
        }
        match self.form.get("response_type") {
            Some("code") => {}
            None => {
                return Err(OAuthError::new(Rule::ResponseTypeMissing, "response_type is missing: send code"));
            }
            Some(other) => {
                let error = OAuthError::new(Rule::ResponseTypeUnsupported, "response_type must be code");
                return Err(error.came("response_type", other));
            }
        }
        if let Some(mode) = self.form.get("response_mode").filter(|mode| *mode != "query") {
            let error = OAuthError::new(Rule::ResponseModeUnsupported, "response_mode must be query");
            return Err(error.came("response_mode", mode));
        }
        let challenge = CodeChallenge::parse(self.form.get("code_challenge"), self.form.get("code_challenge_method"))?;
        let prompt = self.prompt()?;
        let (resource, allowed, default) = policy.resource(&self.form, client)?;
        let asked = ScopeSet::of_form(&self.form)?.unwrap_or_default();
        let scopes = grantable(&asked.without(OFFLINE_ACCESS), client, allowed, default)?;
        Ok((challenge, resource.clone(), scopes, prompt))
    }

    fn prompt(&self) -> Result<Prompt, OAuthError> {
        let words: Vec<_> = self.form.get("prompt").unwrap_or_default().split(' ').filter(|w| !w.is_empty()).collect();
        let has = |word| words.contains(&word);
        // OpenID Connect Core 3.1.2.1: `none` excludes every other value.
        if has("none") && words.len() > 1 {
            let problem = "prompt none cannot be combined with another value";
            return Err(OAuthError::new(Rule::PromptCombined, problem).came("prompt", &words.join(" ")));
        }
        Ok(Prompt { none: has("none"), login: has("login") || has("select_account"), consent: has("consent") })
    }
}

/// Returns which of the requested scopes may be granted.
///
/// Scopes that the resource does not have are dropped, and when none is left the default set is used: clients send
/// `openid`, `claudeai` and the like (RFC 6749 3.3 lets the server ignore them; the token response names what was
/// granted). A scope that the resource has but the operator denies to this client is refused. The scopes in a client's
/// own registration are no limit: SDKs register what the first challenge names and ask for more at a step-up, which the
/// user then decides.
fn grantable(
    asked: &ScopeSet,
    client: &Client,
    allowed: &ScopeSet,
    default: &ScopeSet,
) -> Result<ScopeSet, OAuthError> {
    let limit = client.scope_limit();
    let within = |scopes: &ScopeSet| limit.map_or_else(|| scopes.clone(), |limit| scopes.intersection(limit));
    let known = asked.intersection(allowed);
    if within(&known) != known {
        let error = OAuthError::new(Rule::ScopeNotAllowed, "the client may not request one of these scopes");
        return Err(error.came("scope", &asked.to_string()).expected(format!("scopes of: {}", within(allowed))));
    }
    if !known.is_empty() {
        return Ok(known);
    }
    let default = within(default);
    Ok(if default.is_empty() { limit.map(|limit| limit.intersection(allowed)).unwrap_or_default() } else { default })
}

pub(super) fn repeated(name: &str, description: &'static str) -> OAuthError {
    OAuthError::new(Rule::ParameterRepeated, description).came("parameter", name)
}

/// The error for a redirect URI that the operator does not list.
fn unlisted(uri: &RedirectUri) -> OAuthError {
    let error = OAuthError::new(Rule::RedirectHostNotListed, InvalidRedirect::NotListed.to_string());
    error.came("redirect_uri", uri.as_str()).expected(RedirectHosts::remedy(&uri.list_entry()))
}

/// Lists the redirect URIs of a client for the log.
fn registered(client: &Client) -> String {
    show_some(&client.metadata.redirect_uris.as_slice().iter().map(RedirectUri::as_str).collect::<Vec<_>>())
}
