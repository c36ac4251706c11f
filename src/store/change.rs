//! `Change`: what other processes must learn of through the `change_log` table.

use crate::oauth::{AccountId, ClientId, GrantId, TenantId, TokenHash};

/// A position in the change log of one store. Its content is private to the store; a follower only passes positions
/// back, and neither compares nor creates them.
#[derive(Debug, Clone)]
pub struct ChangePosition(pub(super) u64);

/// Called with a change that is in force but not stored; must never block.
pub type TellUnstored = Box<dyn Fn(&Change) + Send + Sync>;

/// The changes after a position.
#[derive(Debug, Clone)]
pub enum Changes {
    /// The next changes, oldest first, at most 1000, and the position after them; empty at the end of the log.
    Next(Vec<Change>, ChangePosition),
    /// The log no longer contains everything after the position: rows were swept, or the position is beyond the end
    /// because an older store was restored.
    Incomplete,
}

impl Changes {
    /// Checks rows from a store that numbers its changes without gaps, so that a gap means that rows were removed.
    /// `found` are up to `limit` rows after `after`, and `newest` is the highest number given so far.
    pub(super) fn checked(after: u64, found: Vec<(u64, Change)>, limit: usize, newest: u64) -> Self {
        let is_whole = found.iter().zip(1..).all(|((number, _), nth)| *number == after.saturating_add(nth));
        let last = found.last().map_or(after, |(number, _)| *number);
        if !is_whole || (found.len() < limit && last != newest) {
            return Self::Incomplete;
        }
        Self::Next(found.into_iter().map(|(_, change)| change).collect(), ChangePosition(last))
    }
}

/// A change after which cached answers may be wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// A grant was revoked: drop its tokens.
    GrantRevoked(TenantId, GrantId),
    /// One access token was revoked.
    AccessTokenRevoked(TenantId, TokenHash),
    /// A client was disabled: drop its tokens.
    ClientDisabled(TenantId, ClientId),
    /// A client was deleted: drop its tokens.
    ClientDeleted(TenantId, ClientId),
    /// An account was disabled or deleted: drop its tokens.
    AccountDisabled(TenantId, AccountId),
    /// An account was renamed: read its tokens again.
    AccountRenamed(TenantId, AccountId),
    /// An account was added to or removed from a group, or what it granted was narrowed: read its tokens again.
    AccountGroupsChanged(TenantId, AccountId),
    /// Tools of an upstream, which is named, were approved or forgotten: read what is pinned again.
    ToolsChanged(TenantId, String),
}

impl Change {
    /// Returns the tenant that it belongs to.
    pub(super) const fn tenant(&self) -> &TenantId {
        match self {
            Self::GrantRevoked(tenant, _)
            | Self::AccessTokenRevoked(tenant, _)
            | Self::ClientDisabled(tenant, _)
            | Self::ClientDeleted(tenant, _)
            | Self::AccountDisabled(tenant, _)
            | Self::AccountRenamed(tenant, _)
            | Self::AccountGroupsChanged(tenant, _)
            | Self::ToolsChanged(tenant, _) => tenant,
        }
    }

    /// Returns the word for its kind in the store.
    pub(super) const fn kind(&self) -> &'static str {
        match self {
            Self::GrantRevoked(..) => "grant_revoked",
            Self::AccessTokenRevoked(..) => "access_token_revoked",
            Self::ClientDisabled(..) => "client_disabled",
            Self::ClientDeleted(..) => "client_deleted",
            Self::AccountDisabled(..) => "account_disabled",
            Self::AccountRenamed(..) => "account_renamed",
            Self::AccountGroupsChanged(..) => "account_groups_changed",
            Self::ToolsChanged(..) => "tools_changed",
        }
    }

    /// Returns what it is about as text: ids unchanged, hashes in hexadecimal.
    pub(super) fn key(&self) -> String {
        match self {
            Self::GrantRevoked(_, grant) => grant.to_string(),
            Self::AccessTokenRevoked(_, hash) => hash.as_bytes().iter().map(|b| format!("{b:02x}")).collect(),
            Self::ClientDisabled(_, client) | Self::ClientDeleted(_, client) => client.as_str().to_owned(),
            Self::AccountDisabled(_, subject)
            | Self::AccountRenamed(_, subject)
            | Self::AccountGroupsChanged(_, subject) => subject.as_str().to_owned(),
            Self::ToolsChanged(_, upstream) => upstream.clone(),
        }
    }

    /// Parses the stored `kind` and `key`.
    pub(super) fn parse(tenant: TenantId, kind: &str, key: &str) -> Option<Self> {
        Some(match kind {
            "grant_revoked" => Self::GrantRevoked(tenant, GrantId::parse(key)?),
            "access_token_revoked" => Self::AccessTokenRevoked(tenant, TokenHash::from_stored(bytes_of_hex(key)?)),
            "client_disabled" => Self::ClientDisabled(tenant, ClientId::parse(key)?),
            "client_deleted" => Self::ClientDeleted(tenant, ClientId::parse(key)?),
            "account_disabled" => Self::AccountDisabled(tenant, AccountId::parse(key)?),
            "account_renamed" => Self::AccountRenamed(tenant, AccountId::parse(key)?),
            "tools_changed" => Self::ToolsChanged(tenant, key.to_owned()),
            "account_groups_changed" => Self::AccountGroupsChanged(tenant, AccountId::parse(key)?),
            _ => return None,
        })
    }
}

fn bytes_of_hex(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    for (i, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * i..2 * i + 2)?, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_that_does_not_go_on_from_a_position_is_incomplete() {
        let change = |number| (number, Change::GrantRevoked(TenantId::default(), GrantId([7; 16])));
        for (after, found, newest, next) in [
            (3, vec![], 3, Some(3)),
            (3, vec![4, 5], 5, Some(5)),
            (3, vec![4, 5, 6], 9, Some(6)),
            (3, vec![5], 5, None),
            (3, vec![4, 6], 6, None),
            (3, vec![4], 5, None),
            (3, vec![], 4, None),
            // An older store was restored.
            (3, vec![], 2, None),
        ] {
            let checked = Changes::checked(after, found.iter().copied().map(change).collect(), 3, newest);
            let told = match checked {
                Changes::Next(changes, position) => Some((changes.len(), position.0)),
                Changes::Incomplete => None,
            };
            assert_eq!(told, next.map(|next| (found.len(), next)), "{found:?} after {after}");
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let tenant = TenantId::default();
        let client = ClientId::parse("https://app.example/client.json").unwrap();
        for change in [
            Change::GrantRevoked(tenant.clone(), GrantId([7; 16])),
            Change::AccessTokenRevoked(tenant.clone(), TokenHash::from_stored([0xa5; 32])),
            Change::ClientDisabled(tenant.clone(), client.clone()),
            Change::ClientDeleted(tenant.clone(), client),
            Change::AccountDisabled(tenant.clone(), AccountId::parse("u1").unwrap()),
            Change::AccountRenamed(tenant.clone(), AccountId::parse("u1").unwrap()),
            Change::AccountGroupsChanged(tenant.clone(), AccountId::parse("u1").unwrap()),
            Change::ToolsChanged(tenant.clone(), "files".to_owned()),
        ] {
            assert_eq!(Change::parse(tenant.clone(), change.kind(), &change.key()), Some(change));
        }
        assert_eq!(Change::parse(tenant, "access_token_revoked", "a5"), None);
    }
}
