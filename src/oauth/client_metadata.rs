//! `ClientMetadata`: what a client registers about itself (RFC 7591 2), and its form in responses and in the store.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::redirect_uri::loopback;
use super::{
    AuthMethod, ClientKeys, Digest, GrantType, GroupName, GroupSet, RedirectUri, RegisteredRedirects, ScopeSet, json,
};

/// The member of the stored form with the groups for which a client may act. No registration or document sets it.
const MAY_ACT_FOR: &str = "may_act_for";

/// What a new registration of a confidential client is recognised by, hashed: its metadata, and the site.
#[derive(Debug)]
pub enum Succession {}

/// Effective client metadata (RFC 7591 2): what was accepted, not what was requested.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientMetadata {
    /// Self-asserted display name: NFC, no controls, no bidirectional marks, at most 100 characters.
    pub client_name: Option<String>,
    /// Where codes may be sent; empty for a client without the code grant.
    pub redirect_uris: RegisteredRedirects,
    /// The grant types that it may use at `/token`; contains `authorization_code` or `client_credentials`.
    pub grant_types: Vec<GrantType>,
    /// How the client authenticates. A public client with keys may do so by an assertion as well.
    pub token_endpoint_auth_method: AuthMethod,
    /// The keys by which it may authenticate; always there for `private_key_jwt`.
    pub keys: Option<Arc<ClientKeys>>,
    /// The groups for whose members it may act while they are absent (RFC 7523 2.1); only an operator says that.
    pub may_act_for: GroupSet,
    /// The scopes that it asked to be limited to, if any.
    pub scope: Option<ScopeSet>,
    /// `native` or `web`; stored and returned, but not acted on (OpenID Connect Registration 2).
    pub application_type: Option<String>,
    /// URL of the home page; https.
    pub client_uri: Option<String>,
    /// URL of the logo; https; never fetched.
    pub logo_uri: Option<String>,
    /// URL of the terms of service; https.
    pub tos_uri: Option<String>,
    /// URL of the privacy policy; https.
    pub policy_uri: Option<String>,
    /// The `software_id` of RFC 7591 2.
    pub software_id: Option<String>,
    /// The `software_version` of RFC 7591 2.
    pub software_version: Option<String>,
}

impl ClientMetadata {
    /// Returns the metadata as the JSON members of an RFC 7591 response (and of the stored row). Members without a
    /// value are left out.
    #[must_use]
    pub fn to_json(&self) -> Map<String, Value> {
        let uris: Vec<_> = self.redirect_uris.as_slice().iter().map(|uri| uri.as_str()).collect();
        let grants: Vec<_> = self.grant_types.iter().map(|grant| grant.as_str()).collect();
        let scope = self.scope.as_ref().map(ToString::to_string);
        let mut members = Map::new();
        members.insert("redirect_uris".into(), uris.into());
        members.insert("grant_types".into(), grants.into());
        // RFC 7591 2: without the code grant there is no response type.
        let has_code = self.grant_types.contains(&GrantType::AuthorizationCode) || self.grant_types.is_empty();
        members.insert("response_types".into(), if has_code { vec!["code"] } else { Vec::new() }.into());
        members.insert("token_endpoint_auth_method".into(), self.token_endpoint_auth_method.as_str().into());
        if self.token_endpoint_auth_method == AuthMethod::None && self.keys.is_some() {
            let both = [AuthMethod::None, AuthMethod::PrivateKeyJwt].map(AuthMethod::as_str);
            members.insert("token_endpoint_auth_methods_supported".into(), both.to_vec().into());
        }
        members.extend(self.keys.iter().map(|keys| keys.to_member()).map(|(name, value)| (name.to_owned(), value)));
        if !self.may_act_for.is_empty() {
            let groups: Vec<_> = self.may_act_for.iter().map(GroupName::as_str).collect();
            members.insert(MAY_ACT_FOR.into(), groups.into());
        }
        for (name, value) in self.texts().into_iter().chain([("scope", &scope)]) {
            if let Some(value) = value {
                members.insert(name.into(), value.as_str().into());
            }
        }
        members
    }
    /// Reads the stored form of `to_json`; `None` when the row is damaged.
    #[must_use]
    pub fn from_stored(text: &str) -> Option<Self> {
        let members = json::object(text.as_bytes())?;
        let text = |name: &str| members.get(name).and_then(Value::as_str).map(str::to_owned);
        let list = |name: &str| {
            let entries = members.get(name)?.as_array()?.iter();
            entries.map(|entry| entry.as_str().map(str::to_owned)).collect::<Option<Vec<_>>>()
        };
        let grant_types =
            list("grant_types")?.iter().map(|grant| GrantType::parse(grant)).collect::<Option<Vec<_>>>()?;
        let needs_redirect = grant_types.contains(&GrantType::AuthorizationCode);
        let redirect_uris = list("redirect_uris").filter(|uris| !uris.is_empty() || !needs_redirect)?;
        let token_endpoint_auth_method = AuthMethod::parse(&text("token_endpoint_auth_method")?)?;
        let keys = ClientKeys::of_stored(&members).ok()?.map(Arc::new);
        if token_endpoint_auth_method == AuthMethod::PrivateKeyJwt && keys.is_none() {
            return None;
        }
        let may_act_for = match members.contains_key(MAY_ACT_FOR) {
            true => list(MAY_ACT_FOR)?.iter().map(|group| GroupName::parse(group)).collect::<Option<_>>()?,
            false => GroupSet::default(),
        };
        Some(Self {
            client_name: text("client_name"),
            redirect_uris: RegisteredRedirects::from_stored(redirect_uris),
            grant_types,
            token_endpoint_auth_method,
            keys,
            may_act_for,
            scope: text("scope").map(|scope| ScopeSet::parse(&scope)).transpose().ok()?,
            application_type: text("application_type"),
            client_uri: text("client_uri"),
            logo_uri: text("logo_uri"),
            tos_uri: text("tos_uri"),
            policy_uri: text("policy_uri"),
            software_id: text("software_id"),
            software_version: text("software_version"),
        })
    }
    /// Returns whether a change from `self` to `newer` must void remembered consent (CIMD "changes"): a change to what
    /// the user saw, where the code goes, or what the client may do.
    #[must_use]
    pub fn security_relevant_change(&self, newer: &Self) -> bool {
        self.client_name != newer.client_name
            || self.logo_uri != newer.logo_uri
            || self.redirect_uris != newer.redirect_uris
            || self.grant_types != newer.grant_types
            || self.token_endpoint_auth_method != newer.token_endpoint_auth_method
            || self.scope != newer.scope
            || self.may_act_for != newer.may_act_for
    }

    /// Returns a hash of a public client's metadata, so that registering the same metadata again gives the same client
    /// id. The ports of loopback redirect URIs are left out, since they are not compared either. `None` for a client
    /// with a secret, which is not shared.
    #[must_use]
    pub fn registration_hash(&self) -> Option<Digest<Self>> {
        (self.token_endpoint_auth_method == AuthMethod::None).then(|| Digest::of(self.comparable().as_bytes()))
    }

    /// Returns a hash of a confidential client's metadata and the site that it was registered from: a new registration
    /// with the same hash comes from the same program, as far as that can be told. `None` for a public client.
    #[must_use]
    pub fn succession_hash(&self, site: IpAddr) -> Option<Digest<Succession>> {
        let is_confidential = self.token_endpoint_auth_method != AuthMethod::None;
        is_confidential.then(|| Digest::of(format!("{site} {}", self.comparable()).as_bytes()))
    }

    /// Returns the metadata as text that is equal for equal registrations.
    fn comparable(&self) -> String {
        let mut members = self.to_json();
        let without_port = |uri: &RedirectUri| match loopback(uri.as_str()) {
            // RFC 8252 7.3: a loopback redirect URI matches with any port.
            Some((host, path)) => format!("http://{host}{path}"),
            None => uri.as_str().to_owned(),
        };
        // Compared as sets, so that the order does not matter.
        let uris: BTreeSet<_> = self.redirect_uris.as_slice().iter().map(without_port).collect();
        let grants: BTreeSet<_> = self.grant_types.iter().map(|grant| grant.as_str()).collect();
        members.insert("redirect_uris".into(), uris.into_iter().collect());
        members.insert("grant_types".into(), grants.into_iter().collect());
        let sorted: BTreeMap<_, _> = members.into_iter().collect();
        serde_json::to_string(&sorted).unwrap_or_default()
    }

    fn texts(&self) -> [(&'static str, &Option<String>); 8] {
        [
            ("client_name", &self.client_name),
            ("application_type", &self.application_type),
            ("client_uri", &self.client_uri),
            ("logo_uri", &self.logo_uri),
            ("tos_uri", &self.tos_uri),
            ("policy_uri", &self.policy_uri),
            ("software_id", &self.software_id),
            ("software_version", &self.software_version),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metadata() -> ClientMetadata {
        ClientMetadata {
            client_name: Some("A \"b\" <c>".into()),
            redirect_uris: RegisteredRedirects::from_stored(vec!["http://localhost/cb".into()]),
            grant_types: vec![GrantType::AuthorizationCode, GrantType::RefreshToken],
            token_endpoint_auth_method: AuthMethod::None,
            keys: None,
            may_act_for: GroupSet::default(),
            scope: Some(ScopeSet::parse("b a").unwrap()),
            application_type: Some("native".into()),
            client_uri: None,
            logo_uri: None,
            tos_uri: None,
            policy_uri: None,
            software_id: None,
            software_version: Some("1".into()),
        }
    }

    #[test]
    fn the_stored_form_reads_back() {
        let stored = Value::Object(metadata().to_json()).to_string();
        assert_eq!(ClientMetadata::from_stored(&stored), Some(metadata()));
        for damaged in ["", "{}", &stored.replace("\"none\"", "\"x\""), &stored.replace("authorization_code", "x")] {
            assert_eq!(ClientMetadata::from_stored(damaged), None, "{damaged}");
        }
    }

    #[test]
    fn the_same_registration_has_the_same_hash_whatever_the_loopback_ports_and_the_order() {
        let of = |uris: &[&str]| {
            let uris = uris.iter().map(|uri| (*uri).to_owned()).collect();
            ClientMetadata { redirect_uris: RegisteredRedirects::from_stored(uris), ..metadata() }
        };
        let first = of(&["http://127.0.0.1:40001/cb", "https://c.example/cb"]).registration_hash();
        assert!(first.is_some());
        for same in [
            &["http://127.0.0.1:40002/cb", "https://c.example/cb"][..],
            &["https://c.example/cb", "http://127.0.0.1/cb"],
            &["https://c.example/cb", "http://127.0.0.1:1/cb", "http://127.0.0.1:2/cb"],
        ] {
            assert_eq!(of(same).registration_hash(), first, "{same:?}");
        }
        for other in [
            &["http://localhost:40001/cb", "https://c.example/cb"][..],
            &["http://127.0.0.1:40001/cb/", "https://c.example/cb"],
            &["http://127.0.0.1:40001/cb", "https://c.example:8443/cb"],
            &["http://127.0.0.1:40001/cb"],
        ] {
            assert_ne!(of(other).registration_hash(), first, "{other:?}");
        }
        let same = of(&["https://c.example/cb", "http://127.0.0.1/cb"]);
        for other in [
            ClientMetadata { client_name: None, ..same.clone() },
            ClientMetadata { scope: None, ..same.clone() },
            ClientMetadata { grant_types: vec![GrantType::AuthorizationCode], ..same.clone() },
            ClientMetadata { software_id: Some("1".into()), software_version: None, ..same.clone() },
            ClientMetadata { software_version: Some("2".into()), ..same.clone() },
        ] {
            assert_ne!(other.registration_hash(), first, "{other:?}");
        }
        let secret = ClientMetadata { token_endpoint_auth_method: AuthMethod::ClientSecretPost, ..same };
        assert_eq!(secret.registration_hash(), None);
        let (here, there) = ([192, 0, 2, 0].into(), [198, 51, 100, 0].into());
        let of_secret = secret.succession_hash(here);
        assert!(of_secret.is_some() && of_secret != secret.succession_hash(there));
        let renamed = ClientMetadata { client_name: None, ..secret };
        assert_ne!(of_secret, renamed.succession_hash(here));
        assert_eq!(metadata().succession_hash(here), None, "a public client is given the same id");
    }

    #[test]
    fn members_without_a_value_are_left_out() {
        let members = metadata().to_json();
        assert!(!members.contains_key("client_uri") && members.values().all(|value| !value.is_null()));
        assert_eq!(members["scope"], "a b");
    }

    #[test]
    fn a_new_redirect_or_name_matters_to_consent_and_a_new_version_does_not() {
        let old = metadata();
        assert!(!old.security_relevant_change(&ClientMetadata { software_version: None, ..metadata() }));
        assert!(old.security_relevant_change(&ClientMetadata { client_name: None, ..metadata() }));
        let moved = RegisteredRedirects::from_stored(vec!["https://c.example/cb".into()]);
        assert!(old.security_relevant_change(&ClientMetadata { redirect_uris: moved, ..metadata() }));
    }
}
