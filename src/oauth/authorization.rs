//! The authorization request and response (RFC 6749 4.1, RFC 9207, RFC 8707).

use serde_json::{Value, json};

use super::form::encode;
use super::{
    Client, ClientId, ClientLocation, ClientOrigin, CodeChallenge, Form, GrantType, InvalidRedirect, OAuthError,
    RedirectUri, ResourceIndicator, Rule, ScopeSet, VerifiedRedirect, show,
};

/// Some clients keep JSON in it.
const MAX_STATE: usize = 4096;

/// What is listed in the log of what could have been named.
const LISTED: usize = 4;

/// Not a permission at a resource: it asks for a refresh token (OpenID Connect Core 11), which every client gets that
/// registered for it.
const OFFLINE_ACCESS: &str = "offline_access";

/// An authorization request as sent; nothing of it is believed yet.
#[derive(Debug, Clone)]
pub struct AuthorizationRequest {
    form: Form,
}

/// What the client asked about prompting (OpenID Connect Core 3.1.2.1; `select_account` counts as `login`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Prompt {
    /// `none`: nothing may be shown.
    pub none: bool,
    /// `login`: log in again.
    pub login: bool,
    /// `consent`: ask again.
    pub consent: bool,
}

/// What a validated request is checked against: what this client may ask of which resources.
#[derive(Debug, Clone)]
pub struct RequestPolicy {
    /// Every resource of the tenant with the scopes that may be asked there and its default ones.
    pub resources: Vec<(ResourceIndicator, ScopeSet, ScopeSet)>,
}

/// A request that obeys every rule; only this can start an interaction. Made by [`AuthorizationRequest::validate`], and of
/// a pending one by [`StoredRequest::verify`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ValidatedRequest {
    /// Where the answer goes.
    redirect: VerifiedRedirect,
    /// Returned as received.
    state: Option<String>,
    /// PKCE.
    challenge: CodeChallenge,
    /// The one audience.
    resource: ResourceIndicator,
    /// What is asked for: known scopes of the resource, or its default set.
    scopes: ScopeSet,
    /// How much to prompt.
    prompt: Prompt,
}

/// A pending request as it was stored: its client may have changed since.
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

/// A refusal that travels by redirect: possible only with a verified redirect.
#[derive(Debug, Clone)]
pub struct RefusedRequest {
    /// Where it goes.
    pub redirect: VerifiedRedirect,
    /// The state to echo, unless the state itself was at fault.
    pub state: Option<String>,
    /// Why.
    pub error: OAuthError,
}

/// The parameters of an authorization response.
#[derive(Debug, Clone)]
pub struct AuthorizationResponse;

impl AuthorizationRequest {
    /// Takes the parameters of a request.
    #[must_use]
    pub fn new(form: Form) -> Self {
        Self { form }
    }
    /// Returns the client id; refusing a repeated one.
    ///
    /// # Errors
    /// `invalid_request`: shown as a page, never redirected.
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
    /// Finds the redirect URI among the client's. None that leads to one of our `own_origins` counts, whenever it was
    /// registered: the port of a loopback URI may be any.
    ///
    /// # Errors
    /// `invalid_request`: shown as a page, never redirected.
    pub fn verify_redirect(&self, client: &Client, own_origins: &[String]) -> Result<VerifiedRedirect, OAuthError> {
        if self.form.is_repeated("redirect_uri") {
            return Err(repeated("redirect_uri", "redirect_uri is repeated"));
        }
        let sent = self.form.get("redirect_uri");
        let verified = client.metadata.redirect_uris.verify(sent);
        let leads_home = |verified: &VerifiedRedirect| verified.uri().leads_to(own_origins);
        let verified = match verified {
            Ok(verified) if leads_home(&verified) => Err(InvalidRedirect::OwnOrigin),
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
            let mut error = OAuthError::new(rule, cause.to_string());
            if let Some(sent) = sent {
                error = error.came("redirect_uri", sent);
            }
            if cause == InvalidRedirect::OwnOrigin {
                return error;
            }
            error.expected(format!("one of: {}", registered(client)))
        })
    }
    /// Checks all the rest. From here on every error travels by redirect.
    ///
    /// # Errors
    /// `RefusedRequest`.
    pub fn validate(
        &self,
        client: &Client,
        redirect: VerifiedRedirect,
        policy: &RequestPolicy,
    ) -> Result<ValidatedRequest, Box<RefusedRequest>> {
        // RFC 6749 4.1.2.1: the state goes back with every answer, unless it is itself at fault.
        let (state, state_is_sound) = self.state();
        match self.check(client, policy, state_is_sound) {
            Ok((challenge, resource, scopes, prompt)) => {
                Ok(ValidatedRequest { redirect, state, challenge, resource, scopes, prompt })
            }
            Err(error) => Err(Box::new(RefusedRequest { redirect, state, error })),
        }
    }

    fn state(&self) -> (Option<String>, bool) {
        let state = self.form.get("state");
        let is_sound = !self.form.is_repeated("state") && state.is_none_or(|state| state.len() <= MAX_STATE);
        (state.filter(|_| is_sound).map(str::to_owned), is_sound)
    }

    fn check(&self, client: &Client, policy: &RequestPolicy, state_is_sound: bool) -> Result<Checked, OAuthError> {
        if !state_is_sound {
            let words = "state is repeated or longer than 4096 bytes";
            let state = self.form.get("state").unwrap_or_default();
            return Err(OAuthError::new(Rule::StateMalformed, words).came("state", state));
        }
        // RFC 6749 3.1: no parameter may come twice, known or not.
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
        // RFC 6749 4.1.2.1: no code for a client that may not redeem one. Operators' own tokens belong to such a client.
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
        let (resource, allowed, default) = self.resource(client, policy)?;
        let asked = ScopeSet::of_form(&self.form)?.unwrap_or_default();
        let scopes = grantable(&asked.without(OFFLINE_ACCESS), client, allowed, default)?;
        Ok((challenge, resource.clone(), scopes, prompt))
    }

    fn prompt(&self) -> Result<Prompt, OAuthError> {
        let words: Vec<_> = self.form.get("prompt").unwrap_or_default().split(' ').filter(|w| !w.is_empty()).collect();
        let has = |word| words.contains(&word);
        // OpenID Connect Core 3.1.2.1: none excludes every other value.
        if has("none") && words.len() > 1 {
            let problem = "prompt none cannot be combined with another value";
            return Err(OAuthError::new(Rule::PromptCombined, problem).came("prompt", &words.join(" ")));
        }
        Ok(Prompt { none: has("none"), login: has("login") || has("select_account"), consent: has("consent") })
    }

    /// Finds the one resource of the request (RFC 8707 2): a token here has one audience. Unknown resources and those of
    /// other tenants are one case.
    ///
    /// Clients of 2025-03-26 know no resource, and some later ones name the origin instead of the MCP server's URL. Both
    /// are served where there is nothing to choose; what is granted is the server itself, so that a second one changes
    /// nothing for them.
    fn resource<'a>(&self, client: &Client, policy: &'a RequestPolicy) -> Result<&'a PolicyRow, OAuthError> {
        let refuse = |rule, words| {
            let there: Vec<_> = policy.resources.iter().map(|(resource, ..)| resource.as_str()).collect();
            let error = OAuthError::new(rule, words).expected(format!("one of: {}", joined(&there)));
            self.form.get("resource").map_or_else(|| error.clone(), |sent| error.clone().came("resource", sent))
        };
        let find = |wanted: &ResourceIndicator| policy.resources.iter().find(|(resource, ..)| resource == wanted);
        let is_bare_origin = |sent: &ResourceIndicator| {
            find(sent).is_none() && policy.resources.iter().any(|(resource, ..)| sent.is_origin_of(resource))
        };
        let sent = ResourceIndicator::of_form(&self.form)?.filter(|sent| !is_bare_origin(sent));
        let row = match (sent, &client.resource) {
            (Some(sent), Some(bound)) if sent != *bound => None,
            (Some(wanted), _) => find(&wanted),
            (None, Some(bound)) => find(bound),
            (None, None) => match policy.resources.as_slice() {
                [only] => Some(only),
                _ => {
                    return Err(refuse(
                        Rule::ResourceMissing,
                        "there are several MCP servers here: send the URL of one as the resource",
                    ));
                }
            },
        };
        row.ok_or_else(|| {
            let words = "the resource is not an MCP server that this client may use: send the URL of one";
            refuse(Rule::ResourceUnknown, words)
        })
    }
}

type PolicyRow = (ResourceIndicator, ScopeSet, ScopeSet);
type Checked = (CodeChallenge, ResourceIndicator, ScopeSet, Prompt);

/// Returns what may be granted of what is asked.
///
/// Scopes that the resource does not know are dropped, and when none is left the default set is meant: clients send
/// `openid`, `claudeai` and the like (RFC 6749 3.3 lets the server ignore them; the token response names what was
/// granted). A scope that the resource knows but an operator keeps from this client is refused. The scope that a client
/// registered for itself is no such limit: SDKs register what the first challenge names and ask for more at a step-up,
/// which the user then decides.
fn grantable(
    asked: &ScopeSet,
    client: &Client,
    allowed: &ScopeSet,
    default: &ScopeSet,
) -> Result<ScopeSet, OAuthError> {
    let limit = client.metadata.scope.as_ref().filter(|_| client.origin == ClientOrigin::Manual);
    let within = |scopes: &ScopeSet| limit.map_or_else(|| scopes.clone(), |limit| scopes.intersection(limit));
    let known = asked.intersection(allowed);
    if within(&known) != known {
        let error = OAuthError::new(Rule::ScopeNotAllowed, "the client may not ask for one of these scopes");
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

/// Lists the redirect URIs of a client for the log.
fn registered(client: &Client) -> String {
    joined(&client.metadata.redirect_uris.as_slice().iter().map(RedirectUri::as_str).collect::<Vec<_>>())
}

/// Lists some of what could have been named.
fn joined(names: &[&str]) -> String {
    let mut shown: Vec<_> = names.iter().take(LISTED).map(|name| show(name)).collect();
    if names.len() > LISTED {
        shown.push(format!("{} more", names.len().saturating_sub(LISTED)));
    }
    shown.join(", ")
}

impl AuthorizationResponse {
    /// Returns the Location of a success: `code`, `state`, `iss` (RFC 9207 2), each exactly once.
    #[must_use]
    pub fn success(redirect: &VerifiedRedirect, code: &str, state: Option<&str>, issuer: &str) -> ClientLocation {
        let state = state.map(|state| ("state", state));
        let pairs: Vec<_> = [("code", code)].into_iter().chain(state).chain([("iss", issuer)]).collect();
        redirect.location(&pairs)
    }
    /// Returns the Location of a refusal: `error`, `error_description`, `state`, `iss`.
    #[must_use]
    pub fn refusal(
        redirect: &VerifiedRedirect,
        error: &OAuthError,
        state: Option<&str>,
        issuer: &str,
    ) -> ClientLocation {
        let error = [("error", error.code().as_str()), ("error_description", error.description())];
        let state = state.map(|state| ("state", state));
        let pairs: Vec<_> = error.into_iter().chain(state).chain([("iss", issuer)]).collect();
        redirect.location(&pairs)
    }
}

impl ValidatedRequest {
    /// Writes the request as the query of an authorization request of `client`, to begin it once more.
    #[must_use]
    pub fn to_query(&self, client: &ClientId) -> String {
        // Only a default set can be longer than a parameter may be, and that one is meant when nothing is sent.
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
        // RFC 6749 3.1: a parameter without a value is as good as absent.
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

    /// Writes the request for the store of pending authorizations (JSON).
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
    /// Returns the state, as received.
    #[must_use]
    pub fn state(&self) -> Option<&str> {
        self.state.as_deref()
    }
    /// Returns the code challenge (RFC 7636).
    #[must_use]
    pub fn challenge(&self) -> &CodeChallenge {
        &self.challenge
    }
    /// Returns the one audience.
    #[must_use]
    pub fn resource(&self) -> &ResourceIndicator {
        &self.resource
    }
    /// Returns what is asked for: known scopes of the resource, or its default set.
    #[must_use]
    pub fn scopes(&self) -> &ScopeSet {
        &self.scopes
    }
    /// Returns how much to prompt.
    #[must_use]
    pub fn prompt(&self) -> Prompt {
        self.prompt
    }
    /// Refuses it after all: what it asks needs a person, say, and none may be asked.
    #[must_use]
    pub fn refuse(self, error: OAuthError) -> RefusedRequest {
        RefusedRequest { redirect: self.redirect, state: self.state, error }
    }
}

impl StoredRequest {
    /// Reads what [`ValidatedRequest::to_stored`] wrote; `None` when the row is damaged.
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

    /// Looks for its redirect URI among those that its client has now; `None` when it is not there any more.
    #[must_use]
    pub fn verify(self, client: &Client) -> Option<ValidatedRequest> {
        let redirect = client.metadata.redirect_uris.verify(Some(&self.redirect_uri)).ok()?;
        let redirect = if self.redirect_was_sent { redirect } else { redirect.unsent() };
        let Self { state, challenge, resource, scopes, prompt, .. } = self;
        Some(ValidatedRequest { redirect, state, challenge, resource, scopes, prompt })
    }
}
