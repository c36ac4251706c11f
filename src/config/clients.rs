//! The rules for clients that the file describes.

use serde_json::Value;

use super::check::Check;
use super::client_file::WrittenClient;
use super::declared::{DeclaredClient, RecordTable};
use super::file_words::SecretMethod;
use super::groups::group_names;
use super::problem::Setting;
use super::settings::{Config, UpstreamConfig};
use super::table_id::{IdRules, SeenIds, declared, expect_new};
use crate::oauth::{
    AuthMethod, ClientLifetimes, ClientMetadata, ClientSecret, ClientSecretHash, Digest, GrantType, GroupSet, LeftOut,
    LifetimeRefused, LoginName, OAuthError, OperatorClient, ReadMetadata, RedirectUri, RegistrationPolicy,
    ResourceIndicator, ScopeSet, ScopeToken, with_acting,
};

/// Checks all clients. `config` is the rest of the configuration.
pub(super) fn all(check: &Check<'_>, written: &[WrittenClient], config: &Config) -> Vec<RecordTable<DeclaredClient>> {
    let rules = IdRules { brand: &config.brand, kept: (&[], &[]) };
    let mut seen = SeenIds::new();
    let mut found = Vec::new();
    for client in written {
        let Some(id) = &client.id else { continue };
        if !rules.judge(check, id, client.adopt.value) {
            continue;
        }
        expect_new(check, id, &mut seen);
        let reader = TableReader { check, client, id, config };
        found.push(declared(id, (&client.adopt, &client.removed), || reader.client()));
    }
    found
}

/// Reads one table.
struct TableReader<'a> {
    check: &'a Check<'a>,
    client: &'a WrittenClient,
    id: &'a Setting<String>,
    config: &'a Config,
}

impl TableReader<'_> {
    /// Returns the client that the table describes; `None` if something is wrong with it, which is reported.
    fn client(&self) -> Option<DeclaredClient> {
        let client = self.client;
        // What a file lacks that cannot be read is no fault of the table.
        let report = self.check.report;
        if ["secret", "jwks"].iter().any(|key| report.names(&self.key(key))) {
            return None;
        }
        let secret = client.secret.as_ref().and_then(|secret| self.secret(secret));
        let jwks = client.jwks.as_ref().and_then(|jwks| self.key_set(jwks));
        let method = self.auth_method();
        let may_act_for: GroupSet = group_names(self.check, &client.may_act_for).into_iter().collect();
        let grants = with_acting(&self.grants(), &may_act_for);
        let bound = self.upstream(&grants);
        let resource = bound.map(|upstream| upstream.resource.clone());
        let known = self.config.scopes_at(resource.as_ref());
        let limit = if client.resource_server.value {
            self.expect_resource_server(bound);
            ScopeSet::default()
        } else {
            self.expect_redirect_uris();
            let limit = self.scopes(&known);
            self.expect_unasked((&grants, &may_act_for), method, &limit, &known);
            limit
        };
        let lifetimes = self.lifetimes(resource.as_ref());
        // The rules for all clients would only say the same again.
        if report.names_part_of(self.table()) {
            return None;
        }
        let read = if client.resource_server.value {
            OperatorClient::resource_server(self.name())
        } else {
            let described = OperatorClient {
                name: self.name(),
                redirect_uris: &client.redirect_uris.value,
                grant_types: &grants,
                auth_method: method,
                jwks: jwks.as_ref(),
                jwks_uri: client.jwks_uri.as_ref().map(|uri| uri.value.as_str()),
                limit: &limit,
            };
            let policy = self.config.operator_registration(known);
            described.metadata(&RegistrationPolicy { may_act_for, ..policy })
        };
        let metadata = self.accepted(read)?;
        Some(DeclaredClient {
            metadata,
            resource,
            lifetimes,
            secret,
            disabled: client.disabled.as_ref().map(|disabled| disabled.value),
        })
    }

    fn table(&self) -> &str {
        self.id.key.strip_suffix(".id").unwrap_or(&self.id.key)
    }

    fn key(&self, name: &str) -> String {
        format!("{}.{name}", self.table())
    }

    fn name(&self) -> &str {
        self.client.name.as_ref().map_or(self.id.value.as_str(), |name| name.value.as_str())
    }

    fn wrong<T>(&self, setting: &Setting<T>, fault: impl Into<String>, remedy: &str) {
        self.check.report.wrong(setting, fault, remedy);
    }

    /// Returns the hash of the secret, which is nowhere else from here on.
    fn secret(&self, secret: &Setting<String>) -> Option<Digest<ClientSecretHash>> {
        if !self.check.report.is_reference(&secret.key) {
            self.wrong(
                secret,
                "a secret does not belong in this file",
                "write it to a file of its own, as ${file:PATH}",
            );
            return None;
        }
        let chosen = ClientSecret::chosen(&secret.value);
        if chosen.is_none() {
            let remedy = "use 32 to 256 printable characters without blanks, such as those of openssl rand -hex 32";
            self.wrong(secret, "this secret can be guessed, or cannot be sent", remedy);
        }
        chosen.map(|chosen| chosen.hash())
    }

    fn key_set(&self, jwks: &Setting<String>) -> Option<Value> {
        let read = serde_json::from_str(&jwks.value).ok();
        if read.is_none() {
            self.wrong(jwks, "this is no JSON Web Key Set", "name a file with one, as ${file:PATH}");
        }
        read
    }

    fn auth_method(&self) -> AuthMethod {
        let client = self.client;
        let keys = [client.jwks.as_ref(), client.jwks_uri.as_ref()];
        match (&client.secret, keys) {
            (Some(secret), [Some(_), _] | [_, Some(_)]) => {
                self.wrong(secret, "a client has a secret or keys, not both", "remove one of them");
            }
            (None, [Some(_), Some(uri)]) => {
                self.wrong(uri, "jwks and jwks_uri are both there", "remove one of them");
            }
            (None, _) if client.auth_method.line.is_some() => {
                self.wrong(&client.auth_method, "this has no effect without secret", "write secret, or remove it");
            }
            _ => {}
        }
        match (&client.secret, keys) {
            (None, [None, None]) => AuthMethod::None,
            (None, _) => AuthMethod::PrivateKeyJwt,
            (Some(_), _) => match client.auth_method.value {
                SecretMethod::Basic => AuthMethod::ClientSecretBasic,
                SecretMethod::Post => AuthMethod::ClientSecretPost,
            },
        }
    }

    fn grants(&self) -> Vec<GrantType> {
        let grants = &self.client.grants;
        let read = |(index, name): (usize, &String)| {
            let grant = GrantType::parse(name);
            if grant.is_none() {
                let names = GrantType::names().collect::<Vec<_>>().join(", ");
                let remedy = format!("write one of: {names}");
                self.check.report.wrong_entry(grants, index, "there is no such grant type", remedy);
            }
            grant
        };
        grants.value.iter().enumerate().filter_map(read).collect()
    }

    /// Finds the upstream that the client is bound to. One that gets tokens without asking a person, or asks about
    /// tokens, is bound to the only one, so that it gets nothing at one that is added later.
    fn upstream(&self, grants: &[GrantType]) -> Option<&UpstreamConfig> {
        let upstreams = &self.config.upstreams;
        let Some(name) = &self.client.upstream else {
            let is_bound = self.client.resource_server.value || grants.iter().any(|grant| grant.is_without_person());
            let is_only = |first: &&UpstreamConfig| upstreams.iter().all(|other| other.resource == first.resource);
            return upstreams.first().filter(|_| is_bound).filter(is_only);
        };
        let found = upstreams.iter().find(|upstream| upstream.name == name.value);
        if found.is_none() {
            self.wrong(name, "there is no upstream of this name", "write the name of an [[upstream]]");
        }
        found
    }

    fn scopes(&self, known: &ScopeSet) -> ScopeSet {
        let scopes = &self.client.scopes;
        let read = |(index, name): (usize, &String)| {
            let scope = ScopeToken::parse(name).ok().filter(|scope| known.contains(scope.as_str()));
            if scope.is_none() {
                let remedy = format!("write some of: {known}");
                self.check.report.wrong_entry(scopes, index, "there is no such scope here", remedy);
            }
            scope
        };
        scopes.value.iter().enumerate().filter_map(read).collect()
    }

    /// Returns how long its tokens live, and reports what the bounds do not allow.
    fn lifetimes(&self, resource: Option<&ResourceIndicator>) -> ClientLifetimes {
        let client = self.client;
        let keys = [&client.access_lifetime, &client.refresh_idle, &client.refresh_absolute];
        let [access, refresh_idle, refresh_absolute] = keys.map(|key| key.as_ref().map(|lifetime| lifetime.value));
        let lifetimes = ClientLifetimes { access, refresh_idle, refresh_absolute };
        if let Err(refused) = lifetimes.check(&self.config.lifetimes_at(resource)) {
            let key = match refused {
                LifetimeRefused::Access(_) => &client.access_lifetime,
                LifetimeRefused::Refresh(_) => &client.refresh_absolute,
                LifetimeRefused::Idle(_) => &client.refresh_idle,
            };
            key.iter().for_each(|key| self.wrong(key, refused.to_string(), "write one within that"));
        }
        lifetimes
    }

    /// Checks what a client needs that gets tokens without asking a person: for itself (RFC 6749 4.4), or for people
    /// who are absent (RFC 7523 2.1).
    fn expect_unasked(
        &self,
        (grants, may_act_for): (&[GrantType], &GroupSet),
        method: AuthMethod,
        limit: &ScopeSet,
        known: &ScopeSet,
    ) {
        let (written, acts) = (&self.client.grants, grants.contains(&GrantType::JwtBearer));
        if grants.is_empty() && written.value.is_empty() {
            self.wrong(written, "a client without a grant type gets no tokens", "write one, or remove the key");
        }
        let is_service = grants.contains(&GrantType::ClientCredentials);
        if is_service && method == AuthMethod::None {
            let fault = "a client with client_credentials acts for itself, so it needs a secret or keys";
            self.wrong(written, fault, "write secret, jwks or jwks_uri");
        }
        if acts && may_act_for.is_empty() && self.client.may_act_for.value.is_empty() {
            self.wrong(written, "this grant needs groups for whose members the client may act", "write may_act_for");
        } else if acts && method != AuthMethod::PrivateKeyJwt {
            let fault = "only a client with keys of its own may act for people who are absent";
            self.wrong(&self.client.may_act_for, fault, "write jwks or jwks_uri");
        }
        let is_ungranted = limit.is_empty() && self.client.scopes.value.is_empty() && !known.is_empty();
        if is_ungranted && (is_service || acts) {
            let told = if is_service { written } else { &self.client.may_act_for };
            self.wrong(told, "nobody is asked, so the table says what the client may do", "write scopes");
        }
        if is_service && LoginName::parse(&self.id.value).is_none_or(|name| name.as_str() != self.id.value) {
            let fault = "a client with client_credentials acts under its id, as a login name";
            self.wrong(self.id, fault, "write it in lower case");
        }
    }

    /// Checks what a resource server needs, and that nothing is written which it cannot have.
    fn expect_resource_server(&self, bound: Option<&UpstreamConfig>) {
        let client = self.client;
        let server = &client.resource_server;
        if client.secret.is_none() {
            self.wrong(server, "a resource server authenticates by a secret", "write secret");
        }
        if bound.is_none() && client.upstream.is_none() {
            self.wrong(server, "there are several upstreams", "write upstream");
        }
        let lists = [&client.redirect_uris, &client.grants, &client.may_act_for, &client.scopes];
        for list in lists.into_iter().filter(|l| l.line.is_some()) {
            self.wrong(list, "a resource server gets no tokens, so this has no effect", "remove it");
        }
        if client.auth_method.line.is_some() {
            let fault = "a resource server authenticates by client_secret_basic";
            self.wrong(&client.auth_method, fault, "remove it");
        }
    }

    fn expect_redirect_uris(&self) {
        let uris = &self.client.redirect_uris;
        let policy = self.config.operator_registration(ScopeSet::default()).redirects;
        for (index, uri) in uris.value.iter().enumerate() {
            if let Err(why) = RedirectUri::parse(uri, &policy) {
                self.check.report.wrong_entry(uris, index, why.to_string(), "write a redirect URI that is accepted");
            }
        }
    }

    /// Returns the metadata if nothing is wrong with it.
    fn accepted(&self, read: Result<ReadMetadata, OAuthError>) -> Option<ClientMetadata> {
        let client = self.client;
        let remedy = "write it as docs/configuration.md says";
        let at = |member: &str, fault: &str| match member {
            "redirect_uris" => self.wrong(&client.redirect_uris, fault, remedy),
            "grant_types" => self.wrong(&client.grants, fault, remedy),
            "jwks" if client.jwks.is_some() => client.jwks.iter().for_each(|jwks| self.wrong(jwks, fault, remedy)),
            "jwks_uri" => client.jwks_uri.iter().for_each(|uri| self.wrong(uri, fault, remedy)),
            "client_name" => client.name.iter().for_each(|name| self.wrong(name, fault, remedy)),
            _ => self.wrong(self.id, fault, remedy),
        };
        match read {
            Ok(ReadMetadata { metadata, left_out }) if left_out.is_empty() => Some(metadata),
            Ok(ReadMetadata { left_out, .. }) => {
                left_out.iter().for_each(|LeftOut { member, why, .. }| at(member, why));
                None
            }
            Err(error) => {
                let member = error.description().split([' ', ':']).next().unwrap_or_default();
                at(member, error.description());
                None
            }
        }
    }
}
