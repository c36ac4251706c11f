//! The use cases of the authorization server: each loads from the store, asks the rule, commits with one store call.
//! Free of hyper.

use std::net::IpAddr;
use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::clock::Clock;
use crate::config::Config;
use crate::entropy::Entropy;
use crate::oauth::{
    Client, ClientSecret, Form, GrantId, Lifetime, OAuthError, ScopeSet, ScopeToken, SessionSecret, Timestamp,
    TokenKeys, TokenResponse,
};
use crate::outbound::Fetch;
use crate::store::Store;
use crate::token_cache::TokenCache;

mod administration;
mod password;

/// Everything the use cases need.
pub struct Issuer {
    /// The store.
    pub(crate) store: Arc<dyn Store>,
    /// The cache to fill and to make forget; `None` on the command line (the change log tells the server).
    pub(crate) cache: Option<Arc<TokenCache>>,
    /// The clock.
    pub(crate) clock: Arc<dyn Clock>,
    /// Randomness.
    pub(crate) entropy: Arc<dyn Entropy>,
    /// The token keys.
    pub(crate) keys: Arc<TokenKeys>,
    /// Fetches metadata documents.
    pub(crate) fetch: Arc<dyn Fetch>,
    /// The policy; swapped whole on reload.
    pub(crate) config: Arc<ArcSwap<Config>>,
}

/// Who asks: for audit, throttling and logs.
#[derive(Debug, Clone, Default)]
pub struct Caller {
    /// The peer's address, behind trusted proxies.
    pub address: Option<IpAddr>,
    /// The request id.
    pub request_id: Option<String>,
}

impl Issuer {
    /// Makes the issuer.
    #[must_use]
    pub fn new(
        store: Arc<dyn Store>,
        cache: Option<Arc<TokenCache>>,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
        keys: Arc<TokenKeys>,
        fetch: Arc<dyn Fetch>,
        config: Arc<ArcSwap<Config>>,
    ) -> Self {
        Self { store, cache, clock, entropy, keys, fetch, config }
    }
}

/// What the browser is told next.
#[derive(Debug)]
pub enum Step {
    /// Show the login page of this transaction.
    LogIn,
    /// Show the consent page of this transaction.
    Consent,
    /// Show the account page.
    Account,
    /// Go there (a client's redirect URI with code or error; already complete).
    Redirect(String),
}

/// A browser's two handles on a pending authorization: `id` travels in URLs and forms, `cookie` in
/// `__Host-<brand>_t_<id>`. Both are needed at every step.
#[derive(Debug)]
pub struct Transaction {
    /// The id (a revealed `SessionSecret`).
    pub id: String,
    /// The cookie's value.
    pub cookie: SessionSecret,
}

/// A started authorization.
#[derive(Debug)]
pub struct Started {
    /// What is next.
    pub step: Step,
    /// The transaction that was begun; `None` when the step is a redirect.
    pub transaction: Option<Transaction>,
}

/// What an HTTP request brings along to act on a transaction; all unverified.
#[derive(Debug, Clone, Default)]
pub struct Handles {
    /// The transaction id from the URL or form.
    pub transaction: String,
    /// The value of its transaction cookie, if it came exactly once.
    pub cookie: Option<String>,
    /// The value of the session cookie, if it came exactly once.
    pub session: Option<String>,
}

/// Why an authorization step was refused.
#[derive(Debug)]
pub enum AuthorizeRejection {
    /// Shown as a page on our own origin, status 400 (503 when `code` is `temporarily_unavailable`): never a redirect.
    Page(OAuthError),
    /// Sent to the client: the complete Location.
    Redirect(String),
    /// Too many requests: 429 with `Retry-After`.
    Throttled(Lifetime),
    /// The transaction is unknown, expired, ended, or another browser's: a page saying to start again.
    Gone,
    /// The store cannot answer: 503 with `Retry-After`.
    Unavailable,
}

/// What the login page shows.
#[derive(Debug, Clone)]
pub struct LoginView {
    /// The client's display name, or `None` for the account page.
    pub client_name: Option<String>,
    /// The upstream's display name.
    pub resource_name: Option<String>,
}

/// What the consent page shows (protocol.md 3.2).
#[derive(Debug, Clone)]
pub struct ConsentView {
    /// Self-asserted name of the client, cleaned and cut; the id when it has none.
    pub client_name: String,
    /// Whether an operator vouches for the client (added by hand).
    pub client_is_vouched_for: bool,
    /// The host of the client-id URL, for metadata documents.
    pub client_host: Option<String>,
    /// Where the code goes: host, or scheme of a private-use URI.
    pub redirect_host: String,
    /// Whether any program of the user's machine can be the receiver: show the warning (S-9).
    pub redirect_is_local: bool,
    /// The upstream's display name.
    pub resource_name: String,
    /// The upstream's URL.
    pub resource: String,
    /// Scope, title, description.
    pub scopes: Vec<(ScopeToken, String, String)>,
    /// The account's login name.
    pub account: String,
    /// How long the access lasts at most.
    pub lifetime: Lifetime,
}

/// What a transaction's page shows now.
#[derive(Debug, Clone)]
pub enum View {
    /// The login form.
    LogIn(LoginView),
    /// The consent form.
    Consent(ConsentView),
    /// The account page is open to this session: go there.
    Account,
}

/// The outcome of a login attempt.
#[derive(Debug)]
pub enum LoginOutcome {
    /// Logged in: set the session cookie, then go on. The old session is dead (CN-05).
    LoggedIn {
        /// The new session cookie's value.
        session: SessionSecret,
        /// What is next.
        step: Step,
    },
    /// Unknown name, wrong password or account switched off: one answer for all (LI-04).
    Refused,
    /// Too many failures: try again after this.
    Throttled(Lifetime),
}

/// What the user decided on the consent page.
#[derive(Debug, Clone)]
pub enum Decision {
    /// Approved, with the scopes left ticked (`None`: all).
    Approve(Option<ScopeSet>),
    /// Denied.
    Deny,
}

/// One connected application on the account page.
#[derive(Debug, Clone)]
pub struct ConnectedApp {
    /// The grant.
    pub grant: GrantId,
    /// The client's name or id.
    pub client_name: String,
    /// The upstream's display name.
    pub resource_name: String,
    /// Scope titles.
    pub scopes: Vec<String>,
    /// When it was connected.
    pub since: Timestamp,
    /// When the live refresh token was made.
    pub last_used: Timestamp,
    /// When it ends at the latest.
    pub until: Timestamp,
}

/// The account page.
#[derive(Debug, Clone)]
pub struct AccountView {
    /// The login name.
    pub name: String,
    /// Connected applications, newest first.
    pub apps: Vec<ConnectedApp>,
}

/// Why a new password was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PasswordRefused {
    /// Shorter than the configured minimum.
    TooShort(usize),
    /// Longer than 1024 bytes.
    TooLong,
    /// Among the commonly used, or the name of account or product.
    TooCommon,
}

/// The outcome of using a set-password link.
#[derive(Debug)]
pub enum SetupOutcome {
    /// The password is set.
    Done,
    /// Unknown, used or expired link.
    Gone,
    /// The password is not acceptable.
    Refused(PasswordRefused),
}

/// A successful registration (RFC 7591 3.2.1).
#[derive(Debug)]
pub struct Registered {
    /// The client.
    pub client: Client,
    /// Its secret, for a confidential one; shown this once.
    pub secret: Option<ClientSecret>,
}

/// Why `/token`, `/revoke` or `/register` refused.
#[derive(Debug)]
pub enum TokenRejection {
    /// In OAuth's words; `basic`: answer with a Basic challenge.
    Refused {
        /// Why.
        error: OAuthError,
        /// Whether Basic was attempted.
        basic: bool,
    },
    /// 429 with `Retry-After`.
    Throttled(Lifetime),
    /// 503 with `Retry-After`, body `temporarily_unavailable`.
    Unavailable,
    /// The feature is switched off: 404.
    Absent,
}

#[expect(clippy::todo, reason = "contract stage")]
#[expect(unused_variables, reason = "contract stage")]
#[expect(missing_docs, reason = "contract stage: each moves to its own file and gets its docs there")]
#[expect(clippy::missing_errors_doc, reason = "contract stage")]
impl Issuer {
    // authorize.rs, interaction.rs
    pub async fn begin_authorization(
        &self,
        query: Form,
        session: Option<&str>,
        caller: &Caller,
    ) -> Result<Started, AuthorizeRejection> {
        todo!()
    }
    pub async fn begin_account(&self, session: Option<&str>, caller: &Caller) -> Result<Started, AuthorizeRejection> {
        todo!()
    }
    pub async fn view(&self, handles: &Handles, caller: &Caller) -> Result<View, AuthorizeRejection> {
        todo!()
    }
    // login.rs
    pub async fn log_in(
        &self,
        handles: &Handles,
        name: &str,
        password: &str,
        caller: &Caller,
    ) -> Result<LoginOutcome, AuthorizeRejection> {
        todo!()
    }
    /// "Not you?": ends the session and moves the transaction back to the login step.
    pub async fn switch_account(&self, handles: &Handles, caller: &Caller) -> Result<(), AuthorizeRejection> {
        todo!()
    }
    pub async fn log_out(&self, session: &str, caller: &Caller) -> Result<(), AuthorizeRejection> {
        todo!()
    }
    pub async fn find_setup(&self, link: &str) -> Result<Option<String>, AuthorizeRejection> {
        todo!()
    }
    pub async fn redeem_setup(
        &self,
        link: &str,
        password: &str,
        caller: &Caller,
    ) -> Result<SetupOutcome, AuthorizeRejection> {
        todo!()
    }
    // consent.rs
    pub async fn decide(
        &self,
        handles: &Handles,
        decision: Decision,
        caller: &Caller,
    ) -> Result<String, AuthorizeRejection> {
        todo!()
    }
    // account.rs
    pub async fn account(&self, session: &str, caller: &Caller) -> Result<Option<AccountView>, AuthorizeRejection> {
        todo!()
    }
    pub async fn revoke_own_grant(
        &self,
        session: &str,
        grant: GrantId,
        caller: &Caller,
    ) -> Result<bool, AuthorizeRejection> {
        todo!()
    }
    // register.rs
    pub async fn register(&self, body: &[u8], caller: &Caller) -> Result<Registered, TokenRejection> {
        todo!()
    }
    // token.rs
    pub async fn token(
        &self,
        authorization: Option<&[u8]>,
        form: &Form,
        caller: &Caller,
    ) -> Result<TokenResponse, TokenRejection> {
        todo!()
    }
    // revoke.rs
    pub async fn revoke(
        &self,
        authorization: Option<&[u8]>,
        form: &Form,
        caller: &Caller,
    ) -> Result<(), TokenRejection> {
        todo!()
    }
    // sweep.rs
    /// Removes what has expired, now and then, until the process ends.
    pub async fn sweep_forever(&self) {
        todo!()
    }
}
