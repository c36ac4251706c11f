//! The stored records as plain types; secrets only as hashes.

use std::net::IpAddr;

use crate::oauth::{
    AccountId, BrowserSecret, Client, ClientId, CodeRecord, Digest, Exclusions, Grant, Lifetime, LoginName,
    LoginNameHash, ResourceIndicator, ScopeSet, Subject, TenantId, Timestamp,
};

/// The value of a session cookie.
pub type SessionSecret = BrowserSecret<LoginSession>;
/// The hash that a browser session is found by.
pub type SessionHash = Digest<LoginSession>;
/// The secret in a set-password link.
pub type LinkSecret = BrowserSecret<SetupLink>;
/// The hash that a set-password link is found by.
pub type LinkHash = Digest<SetupLink>;

/// A person who can log in, or a program that acts for itself.
#[derive(Clone, PartialEq, Eq)]
pub struct Account {
    /// The tenant that it belongs to.
    pub tenant: TenantId,
    /// Its kind and its stable id, which is never reused.
    pub subject: Subject,
    /// Login name. A service has one too, as a label; nobody logs in with it.
    pub name: LoginName,
    /// argon2id PHC string; `None` until set. A service never has one.
    pub password: Option<String>,
    /// Whether it may log in.
    pub status: AccountStatus,
    /// Failed logins since the last success, to be shown to the owner. Pauses depend on a count by name
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
    /// Returns whether a password that was set at this time may still start a session.
    pub(super) fn may_sign_in_by(&self, password_set_at: Option<Timestamp>) -> bool {
        self.subject.is_person() && self.status == AccountStatus::Enabled && self.password_set_at == password_set_at
    }
}

/// Whether an account may log in and its tokens are accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AccountStatus {
    /// The account may be used.
    Enabled,
    /// An operator has disabled it.
    Disabled,
}

/// A password that replaces an account's previous one.
#[derive(Clone)]
pub struct NewPassword {
    /// The argon2id PHC string.
    pub phc: String,
    /// The hash of the account's login name, whose count of failures is reset.
    pub name: LoginNameHash,
    /// When it is set.
    pub at: Timestamp,
}

impl std::fmt::Debug for NewPassword {
    /// Leaves out the password hash.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NewPassword").field("at", &self.at).finish_non_exhaustive()
    }
}

/// A password that the owner of an account sets after entering the current one.
#[derive(Debug, Clone)]
pub struct PasswordChange {
    /// The hash of the current password that was compared.
    pub old_phc: zeroize::Zeroizing<String>,
    /// The new password.
    pub new: NewPassword,
    /// Whether to end the grants of applications too.
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
    /// Returns the stored text: the bare address for a network, address and prefix length for a host.
    pub(super) fn to_stored(self) -> String {
        match self {
            Self::Host(address @ IpAddr::V4(_)) => format!("{address}/32"),
            Self::Host(address @ IpAddr::V6(_)) => format!("{address}/64"),
            Self::Network(address) => address.to_string(),
        }
    }
}

/// An attempt to sign in, as recorded.
#[derive(Debug, Clone)]
pub struct SignIn {
    /// The tenant that it belongs to.
    pub tenant: TenantId,
    /// The hash of what was typed as the login name.
    pub hash: LoginNameHash,
    /// The places that it comes from.
    pub places: [LoginPlace; 2],
    /// The current time.
    pub now: Timestamp,
}

/// What a store knows about a login name when somebody tries to sign in with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoginHistory {
    /// The account that has the name.
    pub account: Option<Account>,
    /// How many attempts with the name failed in a row.
    pub failures: u32,
    /// When its owner last signed in from each of the requested places.
    pub last_logins: [Option<Timestamp>; 2],
}

/// A one-time link to set a password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetupLink {
    /// SHA-256 of the secret in the link.
    pub hash: LinkHash,
    /// The tenant that it belongs to.
    pub tenant: TenantId,
    /// The account that it is for.
    pub subject: AccountId,
    /// When it was made, if that is known.
    pub made_at: Option<Timestamp>,
    /// When it expires.
    pub expires_at: Timestamp,
}

/// A browser in which somebody is logged in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoginSession {
    /// SHA-256 of the cookie.
    pub hash: SessionHash,
    /// The tenant that it belongs to.
    pub tenant: TenantId,
    /// The account that is logged in.
    pub subject: AccountId,
    /// When the password was last entered.
    pub authenticated_at: Timestamp,
    /// When it ends if it is not used before.
    pub idle_until: Timestamp,
    /// How long it may stay unused.
    pub idle: Lifetime,
    /// When it ends in any case.
    pub expires_at: Timestamp,
    /// How many logins failed since the previous login, and when the last of them did.
    pub failed_before: Option<(u32, Timestamp)>,
}

/// By how much the idle end of a session must move to be written.
const WORTH_A_WRITE: Lifetime = Lifetime::from_secs(60);

impl LoginSession {
    /// Returns whether it has not ended.
    pub(super) fn is_live(&self, now: Timestamp) -> bool {
        now < self.idle_until && now < self.expires_at
    }

    /// Returns the session after a use: the idle end moves, the absolute end does not. `None` if the idle end would
    /// move by less than a minute and less than a tenth of the idle time, which is not worth a write.
    pub(super) fn touched(&self, now: Timestamp) -> Option<Self> {
        let idle_until = now.plus(self.idle).min(self.expires_at);
        let worth_a_write = WORTH_A_WRITE.min(Lifetime::from_millis(self.idle.as_millis() / 10));
        let moved = idle_until.since(self.idle_until);
        let is_last = idle_until == self.expires_at && moved > Lifetime::default();
        (is_last || moved >= worth_a_write).then(|| Self { idle_until, ..self.clone() })
    }
}

/// The key of a consent: at most one is stored for the same account, client and resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsentKey {
    /// The tenant that it belongs to.
    pub tenant: TenantId,
    /// The account of the user who gave it.
    pub subject: AccountId,
    /// The client that it was given to.
    pub client: ClientId,
    /// The resource that it is for.
    pub resource: ResourceIndicator,
}

impl ConsentKey {
    /// Returns whose consent a code was issued for.
    pub(super) fn of_code(code: &CodeRecord) -> Self {
        let CodeRecord { tenant, subject, client, resource, .. } = code.clone();
        Self { tenant, subject, client, resource }
    }

    /// Returns whether a grant is of that account, to that client, for that resource.
    pub(super) fn is_of(&self, grant: &Grant) -> bool {
        let of = (&grant.tenant, grant.subject.id(), &grant.client, &grant.resource);
        of == (&self.tenant, &self.subject, &self.client, &self.resource)
    }
}

/// A remembered consent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Consent {
    /// The key that it is found by.
    pub key: ConsentKey,
    /// The scopes that it covers.
    pub scopes: ScopeSet,
    /// What the user left out of them.
    pub exclusions: Exclusions,
    /// SHA-256 over the client's redirect URIs and name at that time: if either changes, the user is asked again.
    pub client_fingerprint: Digest<Client>,
    /// When it was given.
    pub given_at: Timestamp,
    /// When it expires.
    pub expires_at: Timestamp,
}

/// How long rows of the change log are kept: longer than any server would run on without reading it.
pub(super) const CHANGE_KEPT: Lifetime = Lifetime::from_secs(24 * 3600);

/// How long a revoked grant is kept, so that reuse of its tokens can still be distinguished from invented ones.
pub(super) const REVOKED_GRANT_KEPT: Lifetime = Lifetime::from_secs(24 * 3600);

/// How long a count of uses is kept from the beginning of its day: until the day ends.
pub(super) const QUOTA_DAY: Lifetime = Lifetime::from_secs(24 * 3600);

/// How long a client that no operator added is kept after its last token: as long as a grant may live.
pub(super) const CLIENT_KEPT_UNUSED: Lifetime = Lifetime::from_secs(90 * 24 * 3600);

/// How long an unused registration is protected, since its user may be at the login page. After that it may be removed
/// when there are too many.
pub(super) const CLIENT_SPARED: Lifetime = Lifetime::from_secs(10 * 60);

/// How many unused clients are examined to find one without grants and codes.
pub(super) const CLIENTS_LOOKED_AT: u32 = 50;

/// Minimum interval between writes for repeated registrations: a stranger must not cause a write with each request.
pub(super) const REGISTERED_AGAIN_EVERY: Lifetime = Lifetime::from_secs(3600);

/// Returns whether the time of a client's last token or last use is recent enough not to be updated. A client's row is
/// some kilobytes; writing it with every token would double the write load, and the time need not be exact.
pub(super) fn is_recent(last: Option<Timestamp>, now: Timestamp) -> bool {
    last.is_some_and(|last| now < last.plus(Lifetime::from_secs(60)))
}

/// How many networks are remembered per account, and as many hosts: home, work, a phone, and those of some journeys.
pub(super) const PLACES_PER_ACCOUNT: usize = 20;

/// How long the failed logins of a name are counted after the last one. The limit on strangers' attempts bounds the
/// number of names: some 170,000 per day.
pub(super) const LOGIN_FAILURES_KEPT: Lifetime = Lifetime::from_secs(24 * 3600);

/// Figures of the store for the metrics, all since the start.
#[derive(Debug, Clone, Copy, Default)]
pub struct StoreStats {
    /// The number of committed transactions.
    pub commits: u64,
    /// The number of operations in them.
    pub operations: u64,
    /// Total time spent committing, in microseconds.
    pub commit_micros: u64,
    /// Commits by duration: at most 1 ms, 5 ms, 25 ms, 100 ms, 500 ms, longer.
    pub commit_buckets: [u64; 6],
    /// The number of failed operations.
    pub failures: u64,
    /// Whether the last transaction that had anything to write failed.
    pub failing: bool,
    /// Whether nothing more is written until a restart.
    pub halted: bool,
    /// Whether a thread of the store has died by a panic.
    pub dead: bool,
    /// Whether there is so little disk space left that strangers should add nothing more.
    pub scarce: bool,
    /// The number of operations that end access and are in force in this process, but could not be stored yet.
    pub unstored: usize,
}
