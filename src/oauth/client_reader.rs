//! Reads client metadata member by member: valid members are taken, invalid optional ones left out, and invalid
//! required ones refused (RFC 7591 2 and 3.2.1 let the server replace or leave out any member).

use serde_json::{Map, Value};

use super::client_keys::KeySetPlace;
use super::{
    AuthMethod, ClientKeys, GrantType, InvalidRedirect, OAuthError, RedirectHosts, RedirectPolicy, RedirectUri,
    RegisteredRedirects, Rule, ScopeSet, ScopeToken, display_name, json, metadata_document,
};

/// The most redirect URIs per client. More is an attack on the store, not a typing error.
const MAX_REDIRECT_URIS: usize = 20;
const MAX_URL: usize = 2048;

/// A member that was requested but not registered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOut {
    /// The member's name (RFC 7591 2).
    pub member: &'static str,
    /// The index of the entry, if the member is a list.
    pub index: Option<usize>,
    /// What is wrong with it; public, and never echoes the input.
    pub why: String,
    /// What the operator can do to admit it, for the log: this may contain the input.
    pub remedy: Option<String>,
}

impl std::fmt::Display for LeftOut {
    /// Names the member: `redirect_uris[1]`, `logo_uri`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.index {
            Some(index) => write!(f, "{}[{index}]", self.member),
            None => f.write_str(self.member),
        }
    }
}

/// The members of a registration or document; `null`, the empty string and the empty list count as absent, unknown
/// members are ignored.
pub(super) struct MetadataReader {
    members: Map<String, Value>,
    pub(super) left_out: Vec<LeftOut>,
}

impl MetadataReader {
    pub(super) fn new(body: &[u8]) -> Result<Self, OAuthError> {
        let problem = "the client metadata must be one JSON object without repeated members";
        let members = json::object(body).ok_or_else(|| {
            OAuthError::new(Rule::MetadataNotAnObject, problem).came("body", &String::from_utf8_lossy(body))
        })?;
        Ok(Self { members, left_out: Vec::new() })
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.members.contains_key(name)
    }

    fn value(&self, name: &str) -> Option<&Value> {
        self.members.get(name).filter(|value| !value.is_null())
    }

    fn leave_out(&mut self, member: &'static str, index: Option<usize>, why: impl Into<String>) {
        self.left_out.push(LeftOut { member, index, why: why.into(), remedy: None });
    }

    /// Returns a required text: an invalid one is an error.
    pub(super) fn text(&self, name: &'static str) -> Result<Option<&str>, OAuthError> {
        let Some(value) = self.value(name) else { return Ok(None) };
        let text = value.as_str().ok_or_else(|| malformed(name, value, format!("{name} must be a string")))?;
        Ok(Some(text).filter(|text| !text.is_empty()))
    }

    /// Returns a list of strings; entries of other types are skipped, and so is anything but a list.
    fn strings(&mut self, name: &'static str) -> Vec<String> {
        let Some(value) = self.value(name) else { return Vec::new() };
        if let Some(entries) = value.as_array() {
            entries.iter().filter_map(Value::as_str).map(str::to_owned).collect()
        } else {
            self.leave_out(name, None, "it must be a list of strings");
            Vec::new()
        }
    }

    /// Returns how the client authenticates: the first of the methods it allows that is among `served`, and for
    /// `private_key_jwt` its keys.
    ///
    /// `token_endpoint_auth_method` is the one it prefers, and `token_endpoint_auth_methods_supported` (OpenID Connect
    /// Relying Party Metadata Choices 2) lists all that it can use. ChatGPT's documents prefer `private_key_jwt` and
    /// also list `none`: such a client is a public one that may sign assertions as well.
    pub(super) fn auth_method(
        &mut self,
        (served, default): (&[AuthMethod], AuthMethod),
        key_sets: KeySetPlace<'_>,
    ) -> Result<(AuthMethod, Option<ClientKeys>), OAuthError> {
        let preferred = self.text("token_endpoint_auth_method")?.map(str::to_owned);
        let listed = self.strings("token_endpoint_auth_methods_supported");
        let allowed: Vec<_> = preferred.into_iter().chain(listed).collect();
        if allowed.is_empty() {
            return Ok((default, None));
        }
        let methods = allowed.iter().filter_map(|name| AuthMethod::parse(name));
        let methods: Vec<_> = methods.filter(|method| served.contains(method)).collect();
        let (signed, none) = (AuthMethod::PrivateKeyJwt, AuthMethod::None);
        let Some(first) = methods.first().copied() else {
            let names: Vec<_> = served.iter().map(|method| method.as_str()).collect();
            let names = names.join(", ");
            let words = format!("the client must allow one of these authentication methods: {names}");
            let error = OAuthError::new(Rule::AuthMethodUnsupported, words);
            return Err(error
                .came("token_endpoint_auth_method", &allowed.join(" "))
                .expected(format!("one of: {names}")));
        };
        if !methods.contains(&signed) || first.has_secret() {
            return Ok((first, None));
        }
        // A client that also allows another method is better served by that one than not at all.
        match (self.keys(key_sets), methods.iter().find(|method| **method != signed)) {
            (Ok(keys), _) if methods.contains(&none) => Ok((none, Some(keys))),
            (Ok(keys), _) => Ok((signed, Some(keys))),
            (Err(error), Some(other)) => {
                if error.rule() == Rule::KeysRefused {
                    let member = if self.has("jwks") { "jwks" } else { "jwks_uri" };
                    self.leave_out(member, None, error.description());
                }
                Ok((*other, None))
            }
            (Err(error), None) => Err(error),
        }
    }

    /// Returns the keys of a client that signs assertions.
    fn keys(&self, key_sets: KeySetPlace<'_>) -> Result<ClientKeys, OAuthError> {
        let missing =
            |words| OAuthError::new(Rule::KeysMissing, words).came("token_endpoint_auth_method", "private_key_jwt");
        match (self.value("jwks"), self.value("jwks_uri")) {
            (Some(jwks), None) => ClientKeys::of_set(jwks).map_err(|fault| {
                let words = format!("jwks cannot be used: {}", fault.words());
                OAuthError::new(Rule::KeysRefused, words).came("jwks", &jwks.to_string())
            }),
            // RFC 7591 2: they must not both be there.
            (Some(_), Some(_)) => Err(missing("jwks and jwks_uri are both there: send one of them")),
            (None, Some(url)) => ClientKeys::of_url(url, key_sets).map_err(|fault| {
                OAuthError::new(Rule::KeysRefused, fault.words()).came("jwks_uri", url.as_str().unwrap_or_default())
            }),
            (None, None) => Err(missing("private_key_jwt needs jwks or jwks_uri")),
        }
    }

    /// Returns the grant types. Unknown ones are dropped (VS Code and Claude ask for extra ones), and so are `password`
    /// and `implicit`, which OAuth 2.1 has removed. Absent means the code grant with refreshing, which several clients
    /// forget to ask for. `may_be_service`: whether the client may act for itself (RFC 6749
    /// 4.4); `may_act`: whether it may act for people (RFC 7523 2.1).
    pub(super) fn grant_types(&mut self, may_be_service: bool, may_act: bool) -> Result<Vec<GrantType>, OAuthError> {
        let asked = self.strings("grant_types");
        if asked.is_empty() {
            return Ok(vec![GrantType::AuthorizationCode, GrantType::RefreshToken]);
        }
        let service = GrantType::ClientCredentials;
        let service_at = asked.iter().position(|name| name == service.as_str());
        if let Some(index) = service_at.filter(|_| !may_be_service) {
            self.leave_out("grant_types", Some(index), SERVICE_REFUSED);
        }
        let is_asked = |grant: &GrantType| asked.iter().any(|name| name == grant.as_str());
        // Only an operator lets a client act for people. Claude and others list the grant and never use it here.
        let may_have = |grant: &GrantType| match grant {
            GrantType::ClientCredentials => may_be_service,
            GrantType::JwtBearer => may_act,
            GrantType::AuthorizationCode | GrantType::RefreshToken => true,
        };
        let known: Vec<_> = GrantType::ALL.iter().copied().filter(is_asked).filter(may_have).collect();
        if known.iter().any(|grant| *grant != GrantType::RefreshToken) {
            return Ok(known);
        }
        let words = if service_at.is_some() {
            format!("grant_types must contain authorization_code; client_credentials {SERVICE_REFUSED}")
        } else {
            "grant_types must contain authorization_code or client_credentials".to_owned()
        };
        Err(OAuthError::new(Rule::GrantTypesUnsupported, words).came("grant_types", &asked.join(" ")))
    }

    /// Checks that the response types match the grant types (RFC 7591 2); only the code grant has one.
    pub(super) fn check_response_types(&mut self, grants: &[GrantType]) -> Result<(), OAuthError> {
        let asked = self.strings("response_types");
        let has_code = asked.iter().any(|kind| kind == "code");
        if asked.is_empty() || has_code || !grants.contains(&GrantType::AuthorizationCode) {
            Ok(())
        } else {
            let error = OAuthError::new(Rule::ResponseTypesUnsupported, "response_types must contain code");
            Err(error.came("response_types", &asked.join(" ")))
        }
    }

    /// Refuses private keys in `jwks`, which is for public keys (RFC 7591 2): a private key that was sent here is no
    /// longer secret, and its owner must learn of it, even if nothing here uses the keys. Every private key has a
    /// member `d`, and `k` is the secret of a symmetric one (RFC 7517, RFC 7518).
    pub(super) fn check_keys(&self) -> Result<(), OAuthError> {
        let keys = self.value("jwks").and_then(|jwks| jwks.get("keys")).and_then(Value::as_array);
        let is_private = |key: &Value| ["d", "k", "p", "q"].iter().any(|member| key.get(member).is_some());
        if keys.into_iter().flatten().any(is_private) {
            let jwks = self.value("jwks").map(Value::to_string).unwrap_or_default();
            return Err(OAuthError::new(Rule::PrivateKey, "jwks must not contain private keys").came("jwks", &jwks));
        }
        Ok(())
    }

    /// Returns the redirect URIs that may be registered; the others are left out. Clients register one list for all
    /// their editions, and one bad entry must not invalidate the rest.
    pub(super) fn redirect_uris(
        &mut self,
        policy: &RedirectPolicy,
        grants: &[GrantType],
    ) -> Result<RegisteredRedirects, OAuthError> {
        // RFC 7591 2: only a client that uses redirects must register where they may lead.
        let has_none = self.value("redirect_uris").is_none_or(|uris| uris.as_array().is_some_and(Vec::is_empty));
        if has_none && !grants.contains(&GrantType::AuthorizationCode) {
            return Ok(RegisteredRedirects::default());
        }
        let refuse = |cause: InvalidRedirect| OAuthError::new(Rule::RedirectUriRefused, cause.to_string());
        let name = "redirect_uris";
        let Some(value) = self.value(name) else { return Err(refuse(InvalidRedirect::Count)) };
        let Some(entries) = value.as_array() else {
            return Err(malformed(name, value, "redirect_uris must be a list"));
        };
        if entries.len() > MAX_REDIRECT_URIS {
            return Err(malformed(name, value, "more than 20 redirect_uris"));
        }
        // An entry that is not a string is malformed, like an empty one.
        let uris: Vec<_> = entries.iter().map(|entry| entry.as_str().unwrap_or_default().to_owned()).collect();
        let (registered, refused) = RegisteredRedirects::parse(&uris, policy).map_err(|cause| {
            // The error names the fault of the first entry.
            let first = uris.first().map_or("", String::as_str);
            let error = refuse(cause).came("redirect_uris", first);
            match admit_it(first, policy) {
                Some(remedy) if cause == InvalidRedirect::NotListed => error.expected(remedy),
                _ => error,
            }
        })?;
        for (index, cause) in refused {
            let unlisted = uris.get(index).filter(|_| cause == InvalidRedirect::NotListed);
            let remedy = unlisted.and_then(|uri| admit_it(uri, policy));
            let (member, index, why) = ("redirect_uris", Some(index), cause.to_string());
            self.left_out.push(LeftOut { member, index, why, remedy });
        }
        Ok(registered)
    }

    /// Returns the requested scopes that a self-registered client may hold (RFC 7591 2). When none is left, the client
    /// counts as having requested none: clients register `openid` or `*` and mean "whatever there is".
    pub(super) fn scope(&mut self, known: &ScopeSet) -> Option<ScopeSet> {
        let asked = self.optional("scope")?;
        let asked: ScopeSet = asked.split([' ', ',']).filter_map(|name| ScopeToken::parse(name).ok()).collect();
        Some(asked.intersection(known)).filter(|scopes| !scopes.is_empty())
    }

    /// Checks that there is a name. A metadata document must have a `client_name` (MCP 2025-11-25 authorization, client
    /// id metadata documents); a registration need not.
    pub(super) fn expect_name(&self) -> Result<(), OAuthError> {
        let text = self.text("client_name")?.unwrap_or_default();
        let line = display_name::clean(text).ok_or_else(|| {
            OAuthError::new(Rule::MemberMalformed, format!("client_name {TOO_LONG}")).came("client_name", text)
        })?;
        if line.is_empty() {
            return Err(OAuthError::new(Rule::ClientNameMissing, "client_name is missing").came("client_name", text));
        }
        Ok(())
    }

    /// Returns `native` or `web`, which is not acted on here (OpenID Connect Registration 2).
    pub(super) fn application_type(&mut self) -> Option<String> {
        let kind = self.optional("application_type")?;
        if matches!(kind.as_str(), "native" | "web") {
            return Some(kind);
        }
        self.leave_out("application_type", None, "it must be native or web");
        None
    }

    /// Returns an optional one-line text.
    pub(super) fn line(&mut self, name: &'static str) -> Option<String> {
        let text = self.optional(name)?;
        let line = display_name::clean(&text);
        if line.is_none() {
            self.leave_out(name, None, format!("it {TOO_LONG}"));
        }
        line.filter(|line| !line.is_empty())
    }

    /// Returns an optional URL. RG-04: URLs that pages show or other programs may fetch must be https with a public
    /// host. No flow needs them, so others are left out: self-hosted clients name hosts of their own network.
    pub(super) fn url(&mut self, name: &'static str) -> Option<String> {
        let text = self.optional(name)?;
        let sound = text.len() <= MAX_URL
            && text.starts_with("https://")
            && text.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'\\' | b'"' | b'<' | b'>'))
            && url::Url::parse(&text).is_ok_and(|url| {
                let public = url.domain().is_some_and(metadata_document::is_public_name);
                public && url.username().is_empty() && url.password().is_none()
            });
        if sound {
            return Some(text);
        }
        self.leave_out(name, None, "it must be an https URL of a public host");
        None
    }

    /// Returns an optional text: an invalid one is left out.
    fn optional(&mut self, name: &'static str) -> Option<String> {
        let value = self.value(name)?;
        if let Some(text) = value.as_str() {
            return Some(text.to_owned()).filter(|text| !text.is_empty());
        }
        self.leave_out(name, None, "it must be a string");
        None
    }
}

/// Returns what the operator does to admit a redirect URI that is not listed.
fn admit_it(uri: &str, policy: &RedirectPolicy) -> Option<String> {
    let unlimited = RedirectPolicy { hosts: None, ..policy.clone() };
    RedirectUri::parse(uri, &unlimited).ok().map(|uri| RedirectHosts::remedy(&uri.list_entry()))
}

fn malformed(name: &'static str, value: &Value, description: impl Into<std::borrow::Cow<'static, str>>) -> OAuthError {
    let came = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    OAuthError::new(Rule::MemberMalformed, description).came(name, &came)
}

/// Why a client may not register the client credentials grant.
const SERVICE_REFUSED: &str =
    "needs a client with a secret or keys that the operator of this server lets act for itself";

const TOO_LONG: &str = "is longer than 100 characters, or has letters with a heap of marks";
