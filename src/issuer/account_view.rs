//! What the account page, changing one's password and set-password links return to the faces.

use std::fmt;

use crate::oauth::{GrantId, Lifetime, Timestamp};
use crate::store::SessionSecret;

/// One connected application on the account page.
#[derive(Debug, Clone)]
pub struct ConnectedApp {
    /// The id of its grant.
    pub grant: GrantId,
    /// The client's name or id.
    pub client_name: String,
    /// The upstream's display name.
    pub resource_name: String,
    /// The titles of its scopes.
    pub scopes: Vec<String>,
    /// When it was connected.
    pub since: Timestamp,
    /// When it was last used, if that is known.
    pub last_used: Option<Timestamp>,
    /// The latest time at which it ends.
    pub until: Timestamp,
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
