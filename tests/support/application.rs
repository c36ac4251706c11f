//! An OAuth client: registers, sends its user through the browser, exchanges the code, refreshes, revokes.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::SecureRandom as _;
use sha2::{Digest as _, Sha256};

use super::client::{Client, Reply, encoded};
use super::gateway::Home;
use super::page::Browser;

pub(crate) fn random() -> String {
    let mut bytes = [0; 32];
    ring::rand::SystemRandom::new().fill(&mut bytes).expect("randomness");
    URL_SAFE_NO_PAD.encode(bytes)
}

/// RFC 7636 4.2.
pub(crate) fn challenge(verifier: &str) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(verifier))
}

/// A registered client.
#[derive(Debug, Clone)]
pub(crate) struct Application {
    pub(crate) client_id: String,
    pub(crate) secret: Option<String>,
    pub(crate) redirect_uri: String,
    pub(crate) resource: String,
}

/// The response at the redirect URI, and the request it belongs to.
#[derive(Debug, Clone)]
pub(crate) struct Authorized {
    pub(crate) code: String,
    pub(crate) verifier: String,
}

/// An access token and the refresh token beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tokens {
    pub(crate) access: String,
    pub(crate) refresh: String,
}

impl Tokens {
    pub(crate) fn from(reply: &Reply) -> Self {
        assert_eq!(reply.status, 200, "{reply:?}");
        Self { access: reply.member("access_token"), refresh: reply.member("refresh_token") }
    }
}

impl Application {
    /// Registers a public client with one redirect URI.
    pub(crate) async fn register(home: &Home, redirect_uri: &str) -> Self {
        let body = serde_json::json!({
            "client_name": "Test application",
            "redirect_uris": [redirect_uri],
            "token_endpoint_auth_method": "none",
            // The same metadata would be the same client.
            "software_version": random(),
        });
        let reply = Client::new(home).post_json("/register", &body).await;
        Self::from(&reply, home, redirect_uri)
    }

    /// Registers a client that authenticates with `method`.
    pub(crate) async fn register_confidential(home: &Home, redirect_uri: &str, method: &str) -> Self {
        let body = serde_json::json!({
            "client_name": "Confidential application",
            "redirect_uris": [redirect_uri],
            "token_endpoint_auth_method": method,
        });
        let reply = Client::new(home).post_json("/register", &body).await;
        Self::from(&reply, home, redirect_uri)
    }

    fn from(reply: &Reply, home: &Home, redirect_uri: &str) -> Self {
        assert_eq!(reply.status, 201, "{reply:?}");
        Self {
            client_id: reply.member("client_id"),
            secret: Some(reply.member("client_secret")).filter(|secret| !secret.is_empty()),
            redirect_uri: redirect_uri.to_owned(),
            resource: format!("{}/mcp", home.origin()),
        }
    }

    /// The authorization request; `changes` replace or add to the usual parameters, an empty value removes one.
    pub(crate) fn request(&self, verifier: &str, changes: &[(&str, &str)]) -> String {
        let challenge = challenge(verifier);
        let usual = [
            ("response_type", "code"),
            ("client_id", self.client_id.as_str()),
            ("redirect_uri", self.redirect_uri.as_str()),
            ("code_challenge", challenge.as_str()),
            ("code_challenge_method", "S256"),
            ("state", "the-state"),
            ("resource", self.resource.as_str()),
        ];
        let kept = usual.iter().filter(|(name, _)| changes.iter().all(|(changed, _)| changed != name));
        let pairs: Vec<_> = kept.chain(changes.iter().filter(|(_, value)| !value.is_empty())).copied().collect();
        format!("/authorize?{}", encoded(&pairs))
    }

    /// Sends the user through login and consent.
    pub(crate) async fn authorize(&self, browser: &mut Browser) -> Authorized {
        let verifier = random();
        let page = browser.ask(&self.request(&verifier, &[])).await;
        let answer = browser.decide(&page, "approve").await;
        Authorized { code: parameter(&answer, "code"), verifier }
    }

    /// The token request for a code.
    pub(crate) fn redemption<'a>(&'a self, authorized: &'a Authorized) -> Vec<(&'a str, &'a str)> {
        let mut form = vec![
            ("grant_type", "authorization_code"),
            ("code", authorized.code.as_str()),
            ("redirect_uri", self.redirect_uri.as_str()),
            ("client_id", self.client_id.as_str()),
            ("code_verifier", authorized.verifier.as_str()),
        ];
        form.extend(self.secret.as_deref().map(|secret| ("client_secret", secret)));
        form
    }

    pub(crate) async fn redeem(&self, client: &mut Client, authorized: &Authorized) -> Reply {
        client.post_form("/token", &self.redemption(authorized)).await
    }

    pub(crate) async fn refresh(&self, client: &mut Client, token: &str) -> Reply {
        let mut form = vec![("grant_type", "refresh_token"), ("refresh_token", token), ("client_id", &self.client_id)];
        form.extend(self.secret.as_deref().map(|secret| ("client_secret", secret)));
        client.post_form("/token", &form).await
    }

    pub(crate) async fn revoke(&self, client: &mut Client, token: &str) -> Reply {
        client.post_form("/revoke", &[("token", token), ("client_id", &self.client_id)]).await
    }

    /// The whole flow: login, consent, code, tokens.
    pub(crate) async fn tokens(&self, home: &Home) -> Tokens {
        let authorized = self.authorize(&mut Browser::new(home)).await;
        Tokens::from(&self.redeem(&mut Client::new(home), &authorized).await)
    }
}

/// A parameter of the URL of a redirect; it must occur exactly once.
pub(crate) fn parameter(reply: &Reply, name: &str) -> String {
    let values: Vec<_> =
        reply.location().query_pairs().filter(|(known, _)| known == name).map(|(_, v)| v.into_owned()).collect();
    assert_eq!(values.len(), 1, "{name} in {:?}", reply.headers);
    values.into_iter().next().unwrap_or_default()
}
