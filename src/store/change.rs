//! `Change`: what other processes must learn of, in the order of the `change_log` table.

use crate::oauth::{ClientId, GrantId, Subject, TenantId, TokenHash};

/// The number of a row of the change log.
pub type ChangeSeq = u64;

/// Something after which cached answers may be wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// A grant was revoked: forget its tokens.
    GrantRevoked(TenantId, GrantId),
    /// One access token was revoked.
    AccessTokenRevoked(TenantId, TokenHash),
    /// A client was switched off: forget its tokens.
    ClientDisabled(TenantId, ClientId),
    /// A client was removed: forget its tokens.
    ClientDeleted(TenantId, ClientId),
    /// An account was switched off: forget its tokens.
    AccountDisabled(TenantId, Subject),
}
