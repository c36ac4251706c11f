//! What is stored, as plain types; secrets only as hashes.

use std::net::IpAddr;

use crate::oauth::{
    AccountId, Client, ClientId, Digest, Lifetime, LoginName, LoginNameHash, ResourceIndicator, ScopeSet, Subject,
    TenantId, Timestamp,
};

/// By which a browser session is found.
pub type SessionHash = Digest<LoginSession>;
/// By which a link to set a password is found.
pub type LinkHash = Digest<SetupLink>;

/// A person who can log in, or a program that acts for itself.
#[derive(Clone, PartialEq, Eq)]
pub struct Account {
    /// Whose.
    pub tenant: TenantId,
    /// Its kind, and its stable id, never reused.
    pub subject: Subject,
    /// Login name. A service has one to be told from others by, and nobody logs in with it.
    pub name: LoginName,
    /// argon2id PHC string; `None` until set. A service never has one.
    pub password: Option<String>,
    /// Whether it may log in.
    pub status: AccountStatus,
    /// Failed logins since the last success: its owner is told. What pauses a name is counted by name
    /// (`LoginStore::record_login_failure`).
    pub failed_logins: u32,
    /// When the last of them failed.
    pub last_failed_at: Option<Timestamp>,
    /// When it was added.
    pub created_at: Timestamp,
    /// When the password was last set.
    pub password_set_at: Option<Timestamp>,
}

impl std::fmt::Debug for Account {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Account")
            .field("subject", &self.subject)
            .field("name", &self.name)
            .field("status", &self.status)
            .finish_non_exhaustive()
    }
}

impl Account {
    /// Returns whether a password that was set then may still begin a session.
    pub(super) fn may_sign_in_by(&self, password_set_at: Option<Timestamp>) -> bool {
        self.subject.is_person() && self.status == AccountStatus::Enabled && self.password_set_at == password_set_at
    }
}

/// Whether an account may log in and its tokens are honoured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AccountStatus {
    /// It may.
    Enabled,
    /// An operator switched it off.
    Disabled,
}

/// A password that takes the place of an account's former one.
#[derive(Clone)]
pub struct NewPassword {
    /// argon2id PHC string.
    pub phc: String,
    /// The account's login name: its count of failures ends.
    pub name: LoginNameHash,
    /// When it is set.
    pub at: Timestamp,
}

impl std::fmt::Debug for NewPassword {
    /// Without the hash.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NewPassword").field("at", &self.at).finish_non_exhaustive()
    }
}

/// A password that the owner of an account sets, having given the present one.
#[derive(Debug, Clone)]
pub struct PasswordChange {
    /// The hash of the present one, as it was compared.
    pub old_phc: zeroize::Zeroizing<String>,
    /// The new one.
    pub new: NewPassword,
    /// Whether what applications were granted ends too.
    pub end_grants: bool,
}

/// Somewhere an account has signed in from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LoginPlace {
    /// One host: an IPv4 address, or the first address of an IPv6 /64.
    Host(IpAddr),
    /// A network: the first address of an IPv4 /24 or an IPv6 /56.
    Network(IpAddr),
}

impl LoginPlace {
    /// Returns the text under which it is stored: the bare address of a network, the address and length of a host.
    pub(super) fn to_stored(self) -> String {
        match self {
            Self::Host(address @ IpAddr::V4(_)) => format!("{address}/32"),
            Self::Host(address @ IpAddr::V6(_)) => format!("{address}/64"),
            Self::Network(address) => address.to_string(),
        }
    }
}

/// An attempt to sign in, as it is counted.
#[derive(Debug, Clone)]
pub struct SignIn {
    /// Whose.
    pub tenant: TenantId,
    /// What was typed as the login name.
    pub hash: LoginNameHash,
    /// From where.
    pub places: [LoginPlace; 2],
    /// Now.
    pub now: Timestamp,
}

/// What a store knows of a login name when somebody tries to sign in with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoginHistory {
    /// The account that has the name.
    pub account: Option<Account>,
    /// How many attempts at the name failed in a row.
    pub failures: u32,
    /// When its owner last signed in from each of the places that were asked about.
    pub last_logins: [Option<Timestamp>; 2],
}

/// A one-time link to set a password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetupLink {
    /// SHA-256 of the secret in the link.
    pub hash: LinkHash,
    /// Whose.
    pub tenant: TenantId,
    /// For which account.
    pub subject: AccountId,
    /// When it was made, if that is known.
    pub made_at: Option<Timestamp>,
    /// When it ends.
    pub expires_at: Timestamp,
}

/// A browser in which somebody is logged in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoginSession {
    /// SHA-256 of the cookie.
    pub hash: SessionHash,
    /// Whose.
    pub tenant: TenantId,
    /// Who.
    pub subject: AccountId,
    /// When the password was last given.
    pub authenticated_at: Timestamp,
    /// Ends when unused until then.
    pub idle_until: Timestamp,
    /// How long it may stay unused.
    pub idle: Lifetime,
    /// Ends then in any case.
    pub expires_at: Timestamp,
    /// How many logins failed since the one before, and when last.
    pub failed_before: Option<(u32, Timestamp)>,
}

/// By how much the idle end of a session moves before that is written.
const WORTH_A_WRITE: Lifetime = Lifetime::from_secs(60);

impl LoginSession {
    /// Returns whether it has not ended.
    pub(super) fn is_live(&self, now: Timestamp) -> bool {
        now < self.idle_until && now < self.expires_at
    }

    /// Returns the session after a use: the idle end moves, the absolute end does not. `None` where the idle end would move
    /// by less than a minute, and by less than a tenth of the idle time: that is not worth a write unless it is the last.
    pub(super) fn touched(&self, now: Timestamp) -> Option<Self> {
        let idle_until = now.plus(self.idle).min(self.expires_at);
        let worth_a_write = WORTH_A_WRITE.min(Lifetime::from_millis(self.idle.as_millis() / 10));
        let moved = idle_until.since(self.idle_until);
        let is_last = idle_until == self.expires_at && moved > Lifetime::default();
        (is_last || moved >= worth_a_write).then(|| Self { idle_until, ..self.clone() })
    }
}

/// What a consent is about: at most one is remembered about the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsentKey {
    /// Whose.
    pub tenant: TenantId,
    /// By whom.
    pub subject: AccountId,
    /// For which client.
    pub client: ClientId,
    /// At which resource.
    pub resource: ResourceIndicator,
}

/// Consent that was remembered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Consent {
    /// What it is about.
    pub key: ConsentKey,
    /// For which scopes.
    pub scopes: ScopeSet,
    /// SHA-256 over the client's redirect URIs and name at that time: another set or name asks again.
    pub client_fingerprint: Digest<Client>,
    /// When.
    pub given_at: Timestamp,
    /// Until when.
    pub expires_at: Timestamp,
}

/// How long rows of the change log are kept: longer than any server would run on without reading it.
pub(super) const CHANGE_KEPT: Lifetime = Lifetime::from_secs(24 * 3600);

/// How long a revoked grant stays, so that reuse of what lived on it is still told apart from invention.
pub(super) const REVOKED_GRANT_KEPT: Lifetime = Lifetime::from_secs(24 * 3600);

/// How long a client that came by itself stays after its last token: as long as a grant may live.
pub(super) const CLIENT_KEPT_UNUSED: Lifetime = Lifetime::from_secs(90 * 24 * 3600);

/// How long a registration is left alone that nobody has used yet: its user may be at the login page. After that it
/// makes room when there are too many.
pub(super) const CLIENT_SPARED: Lifetime = Lifetime::from_secs(10 * 60);

/// How many unused clients are examined to find one that has neither grants nor codes.
pub(super) const CLIENTS_LOOKED_AT: u32 = 50;

/// How often at most a repeated registration is written down: a stranger must not cause a write with each request.
pub(super) const REGISTERED_AGAIN_EVERY: Lifetime = Lifetime::from_secs(3600);

/// Returns whether `last_used_at` is recent enough to be left alone. A client's row is some kilobytes; writing it with
/// every token would double the write load, and nobody needs the moment to the second.
pub(super) fn was_just_used(last_used_at: Option<Timestamp>, now: Timestamp) -> bool {
    last_used_at.is_some_and(|used| now < used.plus(Lifetime::from_secs(60)))
}

/// Networks that are remembered of an account, and as many hosts: home, work, a telephone, and those of some journeys.
pub(super) const PLACES_PER_ACCOUNT: usize = 20;

/// How long failed logins of a name are counted after the last of them. What a process lets strangers try in all bounds
/// how many names that makes: some 170,000 in a day.
pub(super) const LOGIN_FAILURES_KEPT: Lifetime = Lifetime::from_secs(24 * 3600);

/// Figures of the store for the metrics; all since start.
#[derive(Debug, Clone, Copy, Default)]
pub struct StoreStats {
    /// Transactions committed.
    pub commits: u64,
    /// Operations in them.
    pub operations: u64,
    /// Microseconds spent committing, in all.
    pub commit_micros: u64,
    /// Commits by duration: at most 1 ms, 5 ms, 25 ms, 100 ms, 500 ms, longer.
    pub commit_buckets: [u64; 6],
    /// Operations that failed.
    pub failures: u64,
    /// Whether the last transaction failed that had anything to write.
    pub failing: bool,
    /// Whether nothing more is written until a restart.
    pub halted: bool,
    /// Whether a thread of the store has died by a panic.
    pub dead: bool,
    /// Whether the disk has so little room left that strangers should add nothing more.
    pub scarce: bool,
    /// Operations that end access, are in force in this process and could not be stored yet.
    pub unstored: usize,
}
