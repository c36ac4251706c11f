//! The law book: OAuth rules as pure functions of values and `now`. No sockets, no clock, no async.

mod authorization;
mod challenge;
mod client;
mod client_auth;
mod client_metadata;
mod error;
mod form;
mod grant;
mod metadata;
mod pkce;
mod redirect;
mod resource;
mod scope;
mod secret;
mod tenant;
mod time;
mod token;

pub use authorization::{
    AuthorizationRequest, AuthorizationResponse, Prompt, RefusedRequest, RequestPolicy, ValidatedRequest,
};
pub use challenge::BearerChallenge;
pub use client::{AuthMethod, Client, ClientId, ClientOrigin, ClientSecretHash};
pub use client_auth::{AuthenticatedClient, ClientCredentials, CredentialError};
pub use client_metadata::{ClientMetadata, MetadataDocumentUrl, RegistrationPolicy};
pub use error::{ErrorCode, OAuthError};
pub use form::{Form, FormError};
pub use grant::{Grant, GrantId, GrantType, Subject};
pub use metadata::{AuthorizationServerMetadata, ProtectedResourceMetadata};
pub use pkce::{CodeChallenge, CodeVerifier};
pub use redirect::{InvalidRedirect, RedirectUri, RegisteredRedirects, VerifiedRedirect};
pub use resource::{InvalidResource, ResourceIndicator};
pub use scope::{InvalidScope, ScopeSet, ScopeToken};
pub use secret::{
    AccessToken, AuthorizationCode, Brand, ClientSecret, RefreshClaims, RefreshToken, SessionSecret, TokenHash,
    TokenKeys,
};
pub use tenant::TenantId;
pub use time::{Lifetime, Timestamp};
pub use token::{
    AccessTokenRecord, CodeRecord, CodeVerdict, PresentedCode, PresentedRefresh, RefreshVerdict, TokenRequest,
    TokenResponse,
};
