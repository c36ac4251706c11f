//! The rules for client metadata: RFC 7591 registration and Client ID Metadata Documents.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::client_keys::KeySetPlace;
use super::client_reader::MetadataReader;
use super::{
    AuthMethod, ClientMetadata, ErrorCode, GrantType, GroupSet, LeftOut, MetadataDocumentUrl, OAuthError,
    RedirectPolicy, Rule, ScopeSet, json,
};

/// What the operator allows at registration.
#[derive(Debug, Clone, Default)]
pub struct RegistrationPolicy {
    /// The rules for redirect URIs.
    pub redirects: RedirectPolicy,
    /// The scopes that a self-registered client may hold; others are left out.
    pub scopes: ScopeSet,
    /// Whether clients with a secret may act for themselves (RFC 6749 4.4).
    pub client_credentials: bool,
    /// The groups for whose members the client may act (RFC 7523 2.1); none for clients that no operator adds.
    pub may_act_for: GroupSet,
    /// Whether the key set of a client that registers may be at any host, for those that the operator adds. That of a
    /// document may be in the operator's own network only if the document is there.
    pub internal_hosts: bool,
}

/// The result of reading a registration or a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadMetadata {
    /// The accepted metadata.
    pub metadata: ClientMetadata,
    /// The members that were left out.
    pub left_out: Vec<LeftOut>,
}

impl ClientMetadata {
    /// Parses the body of an RFC 7591 registration request (JSON).
    ///
    /// # Errors
    /// `invalid_redirect_uri`, `invalid_client_metadata`, `invalid_software_statement` or
    /// `unapproved_software_statement`.
    pub fn from_registration(body: &[u8], policy: &RegistrationPolicy) -> Result<ReadMetadata, OAuthError> {
        let reader = MetadataReader::new(body)?;
        if let Some(statement) = reader.text("software_statement")? {
            return Err(refuse_statement(statement));
        }
        // RFC 7591 2: an absent method means client_secret_basic.
        let key_sets = if policy.internal_hosts { KeySetPlace::Anywhere } else { KeySetPlace::Public };
        read(reader, (&AuthMethod::ALL, AuthMethod::ClientSecretBasic), key_sets, policy)
    }
    /// Parses a Client ID Metadata Document fetched from `url`.
    ///
    /// # Errors
    /// `invalid_client_metadata` naming the rule that the document breaks.
    pub fn from_metadata_document(
        body: &[u8],
        url: &MetadataDocumentUrl,
        policy: &RegistrationPolicy,
    ) -> Result<ReadMetadata, OAuthError> {
        let reader = MetadataReader::new(body)?;
        // CIMD "Client Metadata": the document names itself, compared as a string.
        let named = reader.text("client_id")?;
        if named != Some(url.as_str()) {
            let words = "client_id in the document differs from the URL it was fetched from";
            return Err(OAuthError::new(Rule::DocumentNamesAnother, words).came("client_id", named.unwrap_or_default()));
        }
        if ["client_secret", "client_secret_expires_at"].iter().any(|name| reader.has(name)) {
            let words = "a metadata document must not contain a client secret";
            return Err(OAuthError::new(Rule::DocumentWithSecret, words));
        }
        let named = reader.expect_name();
        // CIMD "Client Metadata": no shared secret is possible, so an absent method means a public client. No account
        // can have such an id, so it cannot act for itself.
        let served = [AuthMethod::None, AuthMethod::PrivateKeyJwt];
        let policy =
            RegistrationPolicy { client_credentials: false, may_act_for: GroupSet::default(), ..policy.clone() };
        let read = read(reader, (&served, AuthMethod::None), KeySetPlace::Beside(url), &policy)
            .map_err(|cause| cause.with_code(ErrorCode::InvalidClientMetadata))?;
        named.map(|()| read)
    }
}

/// Reads the members that registrations and documents have in common.
fn read(
    mut reader: MetadataReader,
    methods: (&[AuthMethod], AuthMethod),
    key_sets: KeySetPlace<'_>,
    policy: &RegistrationPolicy,
) -> Result<ReadMetadata, OAuthError> {
    reader.check_keys()?;
    let (token_endpoint_auth_method, keys) = reader.auth_method(methods, key_sets)?;
    // RFC 6749 4.4: this grant is for confidential clients only.
    let may_be_service = policy.client_credentials && token_endpoint_auth_method != AuthMethod::None;
    let may_act = !policy.may_act_for.is_empty() && token_endpoint_auth_method == AuthMethod::PrivateKeyJwt;
    let grant_types = reader.grant_types(may_be_service, may_act)?;
    let acts = grant_types.contains(&GrantType::JwtBearer);
    reader.check_response_types(&grant_types)?;
    let metadata = ClientMetadata {
        client_name: reader.line("client_name"),
        redirect_uris: reader.redirect_uris(&policy.redirects, &grant_types)?,
        grant_types,
        token_endpoint_auth_method,
        keys: keys.map(Arc::new),
        // Whoever describes itself does not say for whom it may act.
        may_act_for: if acts { policy.may_act_for.clone() } else { GroupSet::default() },
        scope: reader.scope(&policy.scopes),
        application_type: reader.application_type(),
        client_uri: reader.url("client_uri"),
        logo_uri: reader.url("logo_uri"),
        tos_uri: reader.url("tos_uri"),
        policy_uri: reader.url("policy_uri"),
        software_id: reader.line("software_id"),
        software_version: reader.line("software_version"),
    };
    Ok(ReadMetadata { metadata, left_out: reader.left_out })
}

/// Refuses a software statement (RFC 7591 3.1.1): no issuer of statements is trusted here, so even a well-formed one is
/// unapproved.
fn refuse_statement(statement: &str) -> OAuthError {
    let parts: Vec<_> = statement.split('.').map(|part| URL_SAFE_NO_PAD.decode(part).unwrap_or_default()).collect();
    let is_signed = match parts.as_slice() {
        [header, claims, signature] => {
            let algorithm = json::object(header).and_then(|header| Some(header.get("alg")?.as_str()?.to_owned()));
            let named = algorithm.is_some_and(|name| !name.eq_ignore_ascii_case("none"));
            named && json::object(claims).is_some() && !signature.is_empty()
        }
        _ => false,
    };
    let error = if is_signed {
        OAuthError::new(Rule::StatementUnapproved, "no issuer of software statements is approved")
    } else {
        OAuthError::new(Rule::StatementMalformed, "software_statement is not a signed JWT")
    };
    error.came("software_statement", statement)
}
