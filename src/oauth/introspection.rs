//! `Introspection`: what a resource server is told about a token (RFC 7662 2.2), in the members of RFC 9068 2.2.

use serde::Serialize;

use super::{AccessTokenRecord, Grant, ScopeSet};

/// The answer to a question about a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Introspection {
    /// It is no token, has ended, or is none of the asker's business: all alike (RFC 7662 2.2, 4).
    Inactive,
    /// It is valid now.
    Active(Box<ActiveToken>),
}

/// What is told about a valid token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "the members are those of RFC 7662 and RFC 9068")]
pub struct ActiveToken {
    active: bool,
    pub token_type: &'static str,
    pub iss: String,
    pub aud: String,
    pub sub: String,
    pub client_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exp: Option<u64>,
    pub iat: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auth_time: Option<u64>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub scope: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// The client that acts for an absent person.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub act: Option<Actor>,
}

/// Who acts for the subject of a token (RFC 8693 4.1).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Actor {
    /// The client's id.
    pub sub: String,
}

impl Introspection {
    /// Tells of a token with those of its scopes that are in force. Only a person has a login name and has signed in.
    #[must_use]
    pub fn of(token: &AccessTokenRecord, grant: &Grant, scopes: &ScopeSet, issuer: &str) -> Self {
        let is_person = token.subject.is_person();
        Self::Active(Box::new(ActiveToken {
            active: true,
            token_type: "Bearer",
            iss: issuer.to_owned(),
            aud: token.resource.as_str().to_owned(),
            sub: token.subject.as_str().to_owned(),
            client_id: token.client.as_str().to_owned(),
            exp: grant.end().map(|_| token.expires_at.as_secs()),
            iat: token.issued_at.as_millis() / 1000,
            // Nobody signed in for a client that acts.
            auth_time: (is_person && !token.acting).then(|| grant.authenticated_at.as_millis() / 1000),
            scope: scopes.to_string(),
            username: is_person.then(|| token.user.to_string()),
            act: token.acting.then(|| Actor { sub: token.client.as_str().to_owned() }),
        }))
    }

    /// Returns the JSON body.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        match self {
            Self::Inactive => br#"{"active":false}"#.to_vec(),
            // Serializing strings and numbers into memory cannot fail.
            Self::Active(token) => serde_json::to_vec(token).unwrap_or_default(),
        }
    }
}
