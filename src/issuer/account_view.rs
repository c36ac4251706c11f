//! What the use cases of a person's own account hand to the faces: the account page, a new password, a set-password link.

use std::fmt;

use crate::oauth::{GrantId, Lifetime, SessionSecret, Timestamp};

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
    pub renewed: Timestamp,
    /// When it ends at the latest.
    pub until: Timestamp,
}

/// What strangers tried before the owner came: shown to the owner, because password login was paused meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FailedLogins {
    /// How many logins failed since the one before.
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
    /// Guessed too soon: leaked words, patterns, or the name of account or product.
    TooCommon,
}

impl PasswordRefused {
    /// Returns the audit trail's word.
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
    /// The present one, as given now.
    pub present: &'a str,
    /// The new one.
    pub new: &'a str,
    /// Whether applications lose what they were granted.
    pub end_grants: bool,
}

impl fmt::Debug for OwnPassword<'_> {
    /// Without the passwords.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OwnPassword").field("end_grants", &self.end_grants).finish_non_exhaustive()
    }
}

/// The outcome of changing one's own password.
#[derive(Debug)]
pub enum PasswordChanged {
    /// It is changed: set the new session's cookie.
    Done(SessionSecret),
    /// The present password is not right.
    Wrong,
    /// Too many failures: try again after this.
    Throttled(Lifetime),
    /// The new password is not acceptable.
    Refused(PasswordRefused),
    /// Nobody is logged in by this session (any more).
    SignedOut,
}

/// The outcome of using a set-password link.
#[derive(Debug)]
pub enum SetupOutcome {
    /// The password is set, and its owner signed in: set the session's cookie. `None` when the account is switched off.
    Done(Option<SessionSecret>),
    /// Unknown, used or expired link.
    Gone,
    /// The password is not acceptable.
    Refused(PasswordRefused),
}
