//! Why an action of an operator failed.

use crate::config::Problem;
use crate::issuer::login::password::HashError;
use crate::issuer::{KeyRefused, PasswordRefused};
use crate::oauth::{LifetimeRefused, OAuthError, ScopeSet};
use crate::store::{KEYS_PER_ACCOUNT, StoreError};

/// Why an action failed.
#[derive(Debug, thiserror::Error)]
pub enum AdministrationError {
    /// No account has this name or subject.
    #[error("no account {0:?}")]
    NoSuchAccount(String),
    /// The account with this name belongs to a client, which acts for itself.
    #[error("{0} is the account of a client, which acts for itself: see mcpgate client show, disable and delete")]
    NotAPerson(String),
    /// No client has this id.
    #[error("no client {0:?}")]
    NoSuchClient(String),
    /// No active grant has this id.
    #[error("no session {0:?}")]
    NoSuchGrant(String),
    /// No upstream of this tenant has this name.
    #[error("no upstream {asked:?} here, only: {known}")]
    NoSuchUpstream {
        /// What was asked for.
        asked: String,
        /// The names of the upstreams that exist.
        known: String,
    },
    /// No upstream was named, and there is not exactly one; the names of all.
    #[error("there are several upstreams; name one with --upstream: {0}")]
    WhichUpstream(String),
    /// The name is not valid for an account.
    #[error("{0:?} cannot be a login name: write 1 to 128 of a-z, 0-9 and .-_@+")]
    BadName(String),
    /// Another account has the name.
    #[error("there is an account {0:?} already")]
    NameTaken(String),
    /// Another account had the name before.
    #[error("{0:?} was the login name of another account and is never reused: choose another one")]
    NameOnceGiven(String),
    /// The name is not valid for a group.
    #[error("{0:?} cannot be a group: write 1 to 64 of a-z, 0-9 and .-_")]
    BadGroup(String),
    /// The account is not a member of the group in the store.
    #[error("{name} is not in the group {group}, or only by the configuration file")]
    NotAMember {
        /// The login name.
        name: String,
        /// The name of the group.
        group: String,
    },
    /// Nothing is kept of a tool of this name, or the upstream does not list it.
    #[error("no tool {0:?} is listed here; mcpgate tool list has all")]
    NoSuchTool(String),
    /// The tool has another definition than the one that was meant.
    #[error("the tool {0:?} has another hash by now; look at it again with mcpgate tool diff")]
    ToolHasChanged(String),
    /// The password is not acceptable.
    #[error("{}", refusal(*.0))]
    Password(PasswordRefused),
    /// The scope is not one of the upstream's, or not one of any upstream.
    #[error("there is no scope {asked} here, only: {known}")]
    NoSuchScope {
        /// What was asked for.
        asked: String,
        /// The scopes that exist.
        known: ScopeSet,
    },
    /// The account is disabled.
    #[error("the account {0:?} is disabled")]
    AccountDisabled(String),
    /// The account may not hold such a token.
    #[error(
        "{user} may not hold a token for {upstream} with these scopes: see allow_users and allow_groups of the upstream, \
         users and groups of its scopes"
    )]
    MayNotHold {
        /// The login name.
        user: String,
        /// The name of the upstream.
        upstream: String,
    },
    /// A client that is to act for itself has neither a secret nor keys (RFC 6749 4.4).
    #[error(
        "a client with the grant client_credentials acts for itself, so it needs a secret or keys: add --confidential \
         or --jwks"
    )]
    ServiceWithoutSecret,
    /// A client that is to act for itself was granted nothing.
    #[error("with the grant client_credentials nobody is asked, so name what the client may do with --scope: {0}")]
    ServiceWithoutScope(ScopeSet),
    /// A client that is to act for people has no keys.
    #[error("only an application with keys of its own may act for people who are absent: add --jwks or --jwks-uri")]
    ActingWithoutKeys,
    /// A client has the grant for acting, and no groups to act for.
    #[error("the grant urn:ietf:params:oauth:grant-type:jwt-bearer needs the groups to act for: add --may-act-for")]
    ActingForNobody,
    /// A change leaves a client without a grant type.
    #[error("the application would have no grant type left; name one with --grant, or disable the application")]
    NoGrantLeft,
    /// A client that is to act for people was granted nothing.
    #[error("people who are absent are not asked, so name what the application may do for them with --scope: {0}")]
    ActingWithoutScope(ScopeSet),
    /// The client of operators' tokens is disabled.
    #[error(
        "the client {0}, to which all tokens issued here belong, is disabled; enable it with mcpgate client enable"
    )]
    ClientDisabled(String),
    /// No active API key has this id.
    #[error("no API key {0:?}; mcpgate key list has all")]
    NoSuchKey(String),
    /// What was asked for makes no API key.
    #[error(transparent)]
    Key(#[from] KeyRefused),
    /// The account has as many API keys as it may have.
    #[error("{0} has {KEYS_PER_ACCOUNT} API keys, which is the most: revoke those that nobody uses")]
    TooManyKeys(String),
    /// A replaced secret would stay valid for too long.
    #[error("a replaced secret stays valid for 7 days at most")]
    BadGrace,
    /// The lifetime is out of range.
    #[error("an operator's token lives from 1 minute to 24 hours")]
    BadLifetime,
    /// The client would get lifetimes beyond a bound.
    #[error(transparent)]
    Lifetimes(#[from] LifetimeRefused),
    /// The client's metadata breaks a rule of RFC 7591 or of redirect URIs.
    #[error("{}", .0.description())]
    BadClient(OAuthError),
    /// The client, or what is to be changed of it, is not the operator's.
    #[error(
        "{0} says itself what it is, or belongs to mcpgate token issue or to API keys: of a client that no operator \
         added, only upstream and lifetimes can be changed"
    )]
    NotOperators(String),
    /// The client has no such redirect URI.
    #[error("{0:?} is not a redirect URI of this client; mcpgate client show lists them")]
    NoSuchRedirectUri(String),
    /// Something that the client is to have cannot be accepted.
    #[error("{member}: {why}; nothing was changed")]
    LeftOut {
        /// The member of the metadata.
        member: String,
        /// What is wrong with it.
        why: String,
    },
    /// The client is not the one that the change was planned for.
    #[error("the client {0:?} was changed or deleted meanwhile; nothing was changed by this command")]
    ClientHasChanged(String),
    /// An operator cannot decide about the client, or not as they said.
    #[error("the client {0:?} {1}")]
    CannotDecide(String, &'static str),
    /// The supposed metadata document has no `client_id` that is the URL of one.
    #[error(
        "this is no client metadata document: it must be a JSON object whose client_id is the https URL of the document"
    )]
    NoDocument,
    /// The document was fetched from another URL than its `client_id`.
    #[error("{at} contains the document of {of}; fetch that URL, or import a copy that you trust as a file")]
    Elsewhere {
        /// The URL that it was fetched from.
        at: String,
        /// The `client_id` in the document.
        of: String,
    },
    /// The document's publisher is not among the verified publishers.
    #[error(
        "{0} is not among client_id_metadata_documents.verified_publishers; a copy is used only for a trusted \
         publisher: add the URL there first"
    )]
    NotVerified(String),
    /// The configuration does not admit documents at this URL.
    #[error("client_id_metadata_documents.mode does not admit {0}; allow its host or URL first")]
    NotAdmitted(String),
    /// The client has no secret: it is public, or it has keys.
    #[error("the client {0:?} has no secret")]
    NoSecret(String),
    /// The tenant already has as many clients as it may have.
    #[error("this tenant has as many clients as registration.max_clients allows")]
    TooManyClients,
    /// The client or account is described by a table of the configuration file, which wins.
    #[error("{what} is described at {place}: {remedy}")]
    InFile {
        /// What was to be changed.
        what: String,
        /// Where the table is.
        place: String,
        /// What to do.
        remedy: &'static str,
    },
    /// Tables of the configuration file ask for what cannot be.
    #[error("{}", lines(.0))]
    Tables(Vec<Problem>),
    /// The store was changed while tables were applied.
    #[error("{0}, so no table was applied; try again")]
    TablesHaveChanged(String),
    /// No table of an account has this id.
    #[error("no [[account]] of the configuration has the id {0:?}")]
    NoSuchTable(String),
    /// The password could not be hashed.
    #[error("the password could not be hashed: {0}")]
    Hash(String),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<HashError> for AdministrationError {
    fn from(error: HashError) -> Self {
        Self::Hash(error.to_string())
    }
}

fn lines(problems: &[Problem]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

fn refusal(why: PasswordRefused) -> String {
    match why {
        PasswordRefused::TooShort(least) => format!("a password has at least {least} characters"),
        PasswordRefused::TooLong => "a password has at most 1024 bytes".to_owned(),
        PasswordRefused::TooCommon => {
            "this password is too easy to guess: it consists of common words or names, a date, a pattern, or the \
             account's own name"
                .to_owned()
        }
    }
}
