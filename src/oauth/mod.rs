//! The OAuth rules, as pure functions of values and `now`. No sockets, no clock, no async.
//!
//! For: parsing what clients send into validated types, and applying the rules. Not for: acting on the result
//! (`issuer`), storing anything (`store`), answers and pages (`endpoints`). Start with `authorization`, then
//! `redirect`, `pkce`, `token`.
//!
//! The nouns, and where they are defined:
//!
//! | Noun | Type | Source |
//! |---|---|---|
//! | authorization request, response | [`AuthorizationRequest`], [`ValidatedRequest`], [`AuthorizationResponse`] | RFC
//! 6749 4.1, RFC 9207 |
//! | redirect URI | [`RedirectUri`], [`RegisteredRedirects`], [`VerifiedRedirect`] | RFC 6749 3.1.2, RFC 8252 7 |
//! | code challenge, code verifier | [`CodeChallenge`], [`CodeVerifier`] | RFC 7636 |
//! | resource | [`ResourceIndicator`] | RFC 8707 |
//! | scope | [`ScopeToken`], [`ScopeSet`] | RFC 6749 3.3 |
//! | client, client authentication | [`Client`], [`ClientAuthentication`], [`AuthenticatedClient`] | RFC 6749 2 |
//! | client metadata | [`ClientMetadata`], [`ReadMetadata`], [`RegistrationPolicy`] | RFC 7591 2 |
//! | client metadata document | [`MetadataDocumentUrl`] | OAuth Client ID Metadata Document |
//! | grant, authorization code | [`Grant`], [`GrantType`], [`CodeRecord`] | RFC 6749 1.3, 4.1.2 |
//! | access token, refresh token | [`AccessToken`], [`RefreshToken`], [`TokenRequest`], [`TokenResponse`] | RFC 6749
//! 1.4, 1.5, 5.1 |
//! | signed text, key set, claims | [`jose::Jws`], [`jose::JwkSet`], [`jose::Claims`] | RFC 7515, RFC 7517, RFC 7519 |
//! | API key | [`ApiKey`], [`KeyDetails`] | own |
//! | bearer challenge | [`BearerChallenge`] | RFC 6750 3, RFC 9728 5.1 |
//! | metadata | [`AuthorizationServerMetadata`], [`ProtectedResourceMetadata`] | RFC 8414, RFC 9728 |

mod address_ranges;
mod api_key;
mod auth_method;
mod authorization;
mod authorization_response;
mod base62;
mod brand;
mod challenge;
mod client;
mod client_assertion;
mod client_auth;
mod client_decision;
mod client_keys;
mod client_lifetimes;
mod client_metadata;
mod client_reader;
mod code;
mod digest;
mod display_name;
mod error;
mod error_code;
mod exclusions;
mod form;
mod grant;
mod grant_assertion;
mod grant_type;
mod group;
mod introspection;
pub mod jose;
mod json;
mod login_name;
mod lookalike;
mod metadata;
mod metadata_document;
mod operator_client;
mod pkce;
mod received_value;
mod redirect;
mod redirect_difference;
mod redirect_hosts;
mod redirect_scheme;
mod redirect_uri;
mod refresh;
mod registration;
mod request_policy;
mod resource;
mod rule;
mod scope;
mod secret;
mod sign_in_origin;
mod subject;
mod token;
mod token_keys;
mod tool_name_hash;
mod validated_request;

// Re-exported because the records here use both; code that does without OAuth names the modules themselves.
pub use crate::tenant::TenantId;
pub use crate::time::{Lifetime, Timestamp};

pub use address_ranges::AddressRanges;
pub use api_key::{ApiKey, recognise_bearer};
pub use auth_method::AuthMethod;
pub use authorization::AuthorizationRequest;
pub use authorization_response::AuthorizationResponse;
pub use brand::Brand;
pub use challenge::BearerChallenge;
pub use client::{Client, ClientId, ClientOrigin, ClientSecretHash, DocumentAge, DocumentSource};
pub use client_assertion::ClientAssertion;
pub use client_auth::{AuthenticatedClient, ClientAuthentication, CredentialError, SignedAssertion};
pub use client_decision::{ClientDecision, ClientStanding, SeenClient};
pub use client_keys::ClientKeys;
pub use client_lifetimes::{ClientLifetimes, LifetimePolicy, LifetimeRefused};
pub use client_metadata::{ClientMetadata, Succession};
pub use client_reader::LeftOut;
pub use code::{CodeRecord, CodeRefusal, CodeVerdict, PresentedCode};
pub use digest::Digest;
pub use display_name::{clean as clean_name, is_shown};
pub use error::OAuthError;
pub use error_code::{Blamed, ErrorCode};
pub use exclusions::{Exclusions, ToolGroup, ToolKind};
pub use form::{Form, FormError};
pub use grant::{FirstUse, Grant, GrantId, KeyDetails, SingleGrant};
pub use grant_assertion::{ActingFor, GrantAssertion, WorkloadIdentity};
pub use grant_type::GrantType;
pub use group::{GroupName, GroupSet};
pub use introspection::{ActiveToken, Actor, Introspection};
pub use login_name::{LoginName, LoginNameHash};
pub use lookalike::{borrowed_brand, resembles};
pub use metadata::{AuthorizationServerMetadata, ProtectedResourceMetadata};
pub use metadata_document::MetadataDocumentUrl;
pub use operator_client::{OperatorClient, with_acting};
pub use pkce::{CodeChallenge, CodeVerifier};
pub use received_value::{ReceivedValue, show};
pub use redirect::{ClientLocation, RegisteredRedirects, VerifiedRedirect};
pub use redirect_difference::redirect_difference;
pub use redirect_hosts::RedirectHosts;
pub use redirect_scheme::is_scheme;
pub use redirect_uri::{InvalidRedirect, RedirectPolicy, RedirectUri};
pub use refresh::{PresentedRefresh, RefreshRefusal, RefreshVerdict};
pub use registration::{ReadMetadata, RegistrationPolicy};
pub use request_policy::RequestPolicy;
pub use resource::{InvalidResource, ResourceIndicator};
pub use rule::Rule;
pub use scope::{InvalidScope, ScopeSet, ScopeToken};
pub use secret::{
    AccessToken, AuthorizationCode, BrowserSecret, ClientSecret, CodeHash, RefreshClaims, RefreshToken, TokenHash,
};
pub use sign_in_origin::SignInOrigin;
pub use subject::{AccountId, Subject};
pub use token::{
    AccessTokenRecord, AssertionRequest, ClientTokenRequest, CodeRequest, RefreshRequest, TokenRequest, TokenResponse,
};
pub use token_keys::TokenKeys;
pub use tool_name_hash::ToolNameHash;
pub use validated_request::{Prompt, RefusedRequest, StoredRequest, ValidatedRequest};
