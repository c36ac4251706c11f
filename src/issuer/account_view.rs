//! What the account page, changing one's password and set-password links return to the faces.

use std::fmt;

use super::account_activity::AccountActivity;
use super::api_keys::{KeyLifetime, KeyRefused, MadeKey};
use crate::oauth::{ClientId, GrantId, Lifetime, ResourceIndicator, ScopeSet, ScopeToken, Timestamp, ToolKind};
use crate::store::SessionSecret;

/// A connected application on the account page: everything that one client may do at one upstream.
#[derive(Debug, Clone)]
pub struct ConnectedApp {
    /// The client's id.
    pub client: ClientId,
    /// The resource of the upstream that it uses.
    pub resource: ResourceIndicator,
    /// The client's name, or general words if it has none.
    pub client_name: String,
    /// Whether it acts for the person without their sign-in.
    pub acts: bool,
    /// The upstream's display name.
    pub resource_name: String,
    /// Whether an operator has disabled the client, so that it may do nothing for now.
    pub is_disabled: bool,
    /// The titles of the scopes of all its sessions.
    pub scopes: Vec<String>,
    /// What it may call.
    pub tools: UsableTools,
    /// When it was last used, if that is known.
    pub last_used: Option<Timestamp>,
    /// Its sessions, newest first; never empty.
    pub sessions: Vec<AppSession>,
}

/// One session of a connected application, which is one grant.
#[derive(Debug, Clone)]
pub struct AppSession {
    /// The id of its grant.
    pub grant: GrantId,
    /// When it was connected.
    pub since: Timestamp,
    /// When it was last used, if that is known.
    pub last_used: Option<Timestamp>,
    /// The latest time at which it ends.
    pub until: Timestamp,
}

/// An application that may no longer act for the person, because that was ended.
#[derive(Debug, Clone)]
pub struct EndedApp {
    /// The client's id.
    pub client: ClientId,
    /// The client's name or id.
    pub client_name: String,
    /// When it was ended.
    pub since: Timestamp,
}

/// What a connected application may call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UsableTools {
    /// Everything that the upstream offers.
    Everything,
    /// Nothing: its account may hold no such token now, or it lacks a scope that every request needs.
    Nothing,
    /// What its scopes say: the upstream is no MCP server, and has no tools.
    None,
    /// The upstream did not say which tools it has, or nobody here can tell.
    Unknown,
    /// These tools, by what they do; kinds without any are left out.
    Listed(Vec<ToolsOfKind>),
}

/// The tools of one kind that a connected application may call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToolsOfKind {
    /// What they do.
    pub kind: ToolKind,
    /// How many there are.
    pub count: usize,
    /// What the page calls the first of them.
    pub titles: Vec<String>,
}

/// An API key on the account page.
#[derive(Debug, Clone)]
pub struct OwnKeyView {
    /// The id of its grant.
    pub grant: GrantId,
    /// The name that its owner or an operator gave it.
    pub name: String,
    /// Its last characters.
    pub hint: String,
    /// The upstream's display name.
    pub resource_name: String,
    /// The titles of its scopes.
    pub scopes: Vec<String>,
    /// From where it may be used, in words; `None` for everywhere.
    pub addresses: Option<String>,
    /// When it was made.
    pub since: Timestamp,
    /// When it was last used, if that is known.
    pub last_used: Option<Timestamp>,
    /// When it ends, if it does.
    pub until: Option<Timestamp>,
}

/// An upstream for which a person may make API keys.
#[derive(Debug, Clone)]
pub struct KeyOffer {
    /// The upstream's name.
    pub upstream: String,
    /// The upstream's display name.
    pub resource_name: String,
    /// The scopes that the person may have.
    pub scopes: Vec<OfferedScope>,
}

/// A scope that a key may be given.
#[derive(Debug, Clone)]
pub struct OfferedScope {
    /// The scope, as tokens carry it.
    pub name: ScopeToken,
    /// Its title, for people.
    pub title: String,
    /// Whether it is ticked in advance.
    pub is_usual: bool,
}

/// An API key that a person wants to make.
pub struct OwnKey<'a> {
    /// The current password, as just entered.
    pub present: &'a str,
    /// The name of the upstream.
    pub upstream: &'a str,
    /// The name of the key, as entered.
    pub name: &'a str,
    /// The scopes that were ticked.
    pub scopes: ScopeSet,
    /// How long the key is to live.
    pub lifetime: KeyLifetime,
}

impl fmt::Debug for OwnKey<'_> {
    /// Leaves the password out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OwnKey").field("upstream", &self.upstream).field("name", &self.name).finish_non_exhaustive()
    }
}

/// The outcome of making an API key for oneself.
#[derive(Debug)]
pub enum KeyMade {
    /// It was made.
    Done(Box<MadeKey>),
    /// The current password is wrong.
    Wrong,
    /// Too many failures; try again after this long.
    Throttled(Lifetime),
    /// What was entered makes no key.
    Refused(KeyRefused),
    /// The person may not have such a key, or chose no scope.
    NotOffered,
    /// There are as many keys as there may be.
    TooMany,
    /// An operator has switched all API keys off.
    SwitchedOff,
    /// The session has ended or never existed.
    SignedOut,
}

/// Failed logins since the owner last signed in, shown to them because password login was paused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FailedLogins {
    /// How many logins failed since the last successful one.
    pub count: u32,
    /// When the last of them failed.
    pub last: Timestamp,
}

/// The account page.
#[derive(Debug, Clone)]
pub struct AccountView {
    /// The login name.
    pub name: String,
    /// Failed logins that the owner should know of.
    pub failed_logins: Option<FailedLogins>,
    /// Connected applications, that with the newest session first.
    pub apps: Vec<ConnectedApp>,
    /// Applications that may no longer act for the person, newest first.
    pub ended: Vec<EndedApp>,
    /// API keys, newest first.
    pub keys: Vec<OwnKeyView>,
    /// For what the person may make keys.
    pub key_offers: Vec<KeyOffer>,
    /// What happened to the account recently, newest first.
    pub activity: Vec<AccountActivity>,
}

/// Why a new password was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PasswordRefused {
    /// Shorter than the configured minimum.
    TooShort(usize),
    /// Longer than 1024 bytes.
    TooLong,
    /// Too easy to guess: a leaked password, a pattern, or the name of the account or product.
    TooCommon,
}

impl PasswordRefused {
    /// Returns the word for it in the audit trail.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::TooShort(_) => "too_short",
            Self::TooLong => "too_long",
            Self::TooCommon => "too_common",
        }
    }
}

/// A password that the owner of an account wants to set.
pub struct OwnPassword<'a> {
    /// The current password, as just entered.
    pub present: &'a str,
    /// The new one.
    pub new: &'a str,
    /// Whether to revoke the grants of applications as well.
    pub end_grants: bool,
}

impl fmt::Debug for OwnPassword<'_> {
    /// Leaves the passwords out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OwnPassword").field("end_grants", &self.end_grants).finish_non_exhaustive()
    }
}

/// Which of their own grants a person ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OwnGrants<'a> {
    /// One session of an application, or one API key, by the id of its grant as a form sends it.
    One(&'a str),
    /// All sessions of one application: of this client at this upstream, as a form sends them.
    Application {
        /// The client's id.
        client: &'a str,
        /// The upstream's resource.
        resource: &'a str,
    },
    /// All sessions of all applications; API keys stay.
    Applications,
}

/// The outcome of changing one's own password.
#[derive(Debug)]
pub enum PasswordChanged {
    /// Changed; the new session's secret, for its cookie.
    Done(SessionSecret),
    /// The current password is wrong.
    Wrong,
    /// Too many failures; try again after this long.
    Throttled(Lifetime),
    /// The new password is not acceptable.
    Refused(PasswordRefused),
    /// The session has ended or never existed.
    SignedOut,
}

/// The outcome of using a set-password link.
#[derive(Debug)]
pub enum SetupOutcome {
    /// The password is set and its owner signed in, with the secret for the session's cookie; `None` when the account
    /// is disabled.
    Done(Option<SessionSecret>),
    /// The link is unknown, used or expired.
    Gone,
    /// The password is not acceptable.
    Refused(PasswordRefused),
}
