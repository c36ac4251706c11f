//! `ClientDecision`: what an operator decided about a client that they did not add, and for which of its properties.

use serde_json::{Value, json};

use super::{ClientKeys, ClientMetadata, Digest, GrantType};

/// What an operator saw of a client when they decided: its name, where its codes go, how it authenticates, with which
/// keys, and whether it acts for itself. Of keys at a URL that is the URL, whose content the client's publisher changes
/// as it rotates them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SeenClient {
    /// The digest of everything that was seen.
    pub all: Digest<ClientMetadata>,
    /// The digest of the keys alone.
    pub keys: Digest<ClientKeys>,
}

/// What an operator decided about a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientDecision {
    /// Whether the client may be used; otherwise it was rejected.
    pub approved: bool,
    /// What the client was then.
    pub seen: SeenClient,
}

/// Whether an operator lets a client be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientStanding {
    /// It may be used as it is now: an operator added it, or approved it.
    Approved,
    /// Nobody has decided about it as it is now.
    Undecided,
    /// It was rejected.
    Rejected,
}

impl ClientDecision {
    /// Returns how a client with these metadata stands by the decision. An approval is for what the operator saw; a
    /// rejection stays, whatever the client says of itself later.
    #[must_use]
    pub fn standing(&self, metadata: &ClientMetadata) -> ClientStanding {
        match self.approved {
            false => ClientStanding::Rejected,
            true if self.seen == SeenClient::of(metadata) => ClientStanding::Approved,
            true => ClientStanding::Undecided,
        }
    }

    /// Returns whether it approves a client with other keys than these metadata have.
    #[must_use]
    pub fn is_for_other_keys(&self, metadata: &ClientMetadata) -> bool {
        self.approved && self.seen.keys != SeenClient::of(metadata).keys
    }
}

impl SeenClient {
    /// Returns what an operator sees of a client with these metadata. The order of lists does not matter.
    #[must_use]
    pub fn of(metadata: &ClientMetadata) -> Self {
        let mut uris: Vec<_> = metadata.redirect_uris.texts().collect();
        uris.sort_unstable();
        let keys = metadata.keys.as_deref().map(keys_of);
        let acts_for_itself = metadata.grant_types.contains(&GrantType::ClientCredentials);
        let name = metadata.client_name.as_deref();
        let all = json!([name, uris, metadata.token_endpoint_auth_method.as_str(), keys, acts_for_itself]);
        let keys = json!(keys);
        Self { all: Digest::of(all.to_string().as_bytes()), keys: Digest::of(keys.to_string().as_bytes()) }
    }

    /// Returns the first characters of the digest, by which an operator says which client they saw.
    #[must_use]
    pub fn mark(&self) -> String {
        self.all.as_bytes().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
    }
}

/// Returns the keys as text in which their order and that of their members does not matter.
fn keys_of(keys: &ClientKeys) -> Vec<String> {
    let (name, value) = keys.to_member();
    let set = value.get("keys").and_then(Value::as_array);
    let mut texts: Vec<_> = set.map_or_else(|| vec![value.to_string()], |set| set.iter().map(sorted).collect());
    texts.sort_unstable();
    texts.insert(0, name.to_owned());
    texts
}

fn sorted(key: &Value) -> String {
    let mut members: Vec<_> = key.as_object().into_iter().flatten().map(|(n, v)| format!("{n:?}:{v}")).collect();
    members.sort_unstable();
    members.join(",")
}
