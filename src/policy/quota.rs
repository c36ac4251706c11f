//! `CountKey`: whose count under a limit it is. `QuotaUse`: how much of the limit for a day is used.

use std::net::IpAddr;

use crate::oauth::{AccountId, ClientId, GrantId, Timestamp};

/// Whose count under a limit it is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum CountKey {
    /// A user, over all clients.
    User(AccountId),
    /// What one user has allowed one client.
    Grant(GrantId),
    /// A client of the operator, over all users.
    Client(ClientId),
    /// All callers of the upstream.
    Upstream,
    /// All users and clients for whom there is no room.
    Surplus,
    /// A network from which requests without a token come, by the name that its callers have in place of a user's.
    Anonymous(AccountId),
    /// A host or a site from which requests without a token come (`network.rs`).
    Address(IpAddr),
    /// All callers without a token for whom there is no room.
    AnonymousSurplus,
}

/// How often somebody has used the operations of a limit on a day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuotaUse {
    /// Whose count it is.
    pub holder: CountKey,
    /// The first moment of the day, in UTC.
    pub day: Timestamp,
    /// How often they were used that day.
    pub used: u64,
}

impl CountKey {
    /// Writes it as the store keeps it.
    #[must_use]
    pub fn to_stored(&self) -> String {
        match self {
            Self::User(id) => format!("user {}", id.as_str()),
            Self::Grant(id) => format!("grant {id}"),
            Self::Client(id) => format!("client {}", id.as_str()),
            Self::Upstream => "upstream".to_owned(),
            Self::Surplus => "surplus".to_owned(),
            Self::Anonymous(id) => format!("anonymous {}", id.as_str()),
            Self::Address(address) => format!("address {address}"),
            Self::AnonymousSurplus => "anonymous_surplus".to_owned(),
        }
    }

    /// Reads what `to_stored` wrote; `None` for anything else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text.split_once(' ') {
            None => [Self::Upstream, Self::Surplus, Self::AnonymousSurplus].into_iter().find(|k| k.to_stored() == text),
            Some(("user", id)) => AccountId::parse(id).map(Self::User),
            Some(("grant", id)) => GrantId::parse(id).map(Self::Grant),
            Some(("client", id)) => ClientId::parse(id).map(Self::Client),
            Some(("anonymous", id)) => AccountId::parse(id).map(Self::Anonymous),
            Some(("address", address)) => address.parse().ok().map(Self::Address),
            Some(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::CountKey;
    use crate::oauth::{AccountId, ClientId, GrantId};

    #[test]
    fn what_is_stored_is_read_as_it_was() {
        let account = |text| AccountId::parse(text).unwrap();
        for (key, text) in [
            (CountKey::User(account("ada")), "user ada"),
            (CountKey::Grant(GrantId([0xab; 16])), "grant abababababababababababababababab"),
            (CountKey::Client(ClientId::parse("https://a.example/").unwrap()), "client https://a.example/"),
            (CountKey::Upstream, "upstream"),
            (CountKey::Surplus, "surplus"),
            (CountKey::Anonymous(account("anonymous_192.0.2.0")), "anonymous anonymous_192.0.2.0"),
            (CountKey::Address([192, 0, 2, 1].into()), "address 192.0.2.1"),
            (CountKey::AnonymousSurplus, "anonymous_surplus"),
        ] {
            assert_eq!(key.to_stored(), text);
            assert_eq!(CountKey::parse(text), Some(key));
        }
        for other in ["", "user", "user ", "grant 12", "upstream x", "address here", "User ada", "nobody ada"] {
            assert_eq!(CountKey::parse(other), None, "{other:?}");
        }
    }
}
