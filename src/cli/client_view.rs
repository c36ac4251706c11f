//! How commands show an application.

use serde_json::{Value, json};

use super::output::moment;
use super::table_view::table;
use crate::issuer::{ListedClient, ListedStanding};
use crate::oauth::{Client, ClientKeys, ClientOrigin, ClientStanding, DocumentSource, Lifetime};

/// Describes a client. `own` are the ids of those of `mcpgate token issue` and of API keys, as which nobody connects.
pub(super) fn describe(listed: &ListedClient, own: &[String]) -> Value {
    let client = &listed.client;
    let mut members = client.metadata.to_json();
    let mut add = |name: &str, value: Value| drop(members.insert(name.to_owned(), value));
    add("client_id", json!(client.id.as_str()));
    let origin = match client.origin {
        ClientOrigin::Manual if own.iter().any(|own| client.id.as_str() == own) => "operator",
        ClientOrigin::Manual | ClientOrigin::Registered | ClientOrigin::MetadataDocument => client.origin.as_str(),
    };
    add("origin", json!(origin));
    add("resource_server", json!(client.resource_server().is_some()));
    add("file", table(listed.table.as_ref()));
    add("status", json!(if client.disabled { "disabled" } else { "enabled" }));
    add("upstream", json!(listed.upstream));
    add("resource", json!(client.resource.as_ref().map(|r| r.as_str())));
    let source = client.document.map(|age| match age.source {
        DocumentSource::Fetched => "fetched",
        DocumentSource::Shipped => "shipped",
        DocumentSource::Imported => "imported",
    });
    if let (Some(age), Some(source)) = (client.document, source) {
        add("document_source", json!(source));
        add("document_of", json!(moment(age.fetched_at)));
    }
    add("created_at", json!(moment(client.created_at)));
    if let Some(standing) = &listed.standing {
        add("approval", json!(word(standing)));
        add("approval_hash", json!(standing.mark));
        if let Some(waits) = &standing.waits {
            add("waiting_since", json!(moment(waits.since)));
            add("waiting_user", json!(waits.user));
            add("waiting_from", json!(waits.from.to_string()));
        }
    }
    if let Some(secret) = client.current_secret() {
        add("secret_created_at", json!(moment(secret.created_at)));
        add("secret_age_days", json!(listed.secret_age.map(|age| age.as_secs() / 86_400)));
        add("secret_is_old", json!(listed.has_old_secret));
    }
    if let Some((previous, until)) = listed.previous_secret {
        add("previous_secret_created_at", json!(moment(previous.created_at)));
        add("previous_secret_until", json!(moment(until)));
    }
    let own = |lifetime: Option<Lifetime>| json!(lifetime.map(|lifetime| lifetime.to_string()));
    add("access_lifetime", own(client.lifetimes.access));
    add("refresh_idle", own(client.lifetimes.refresh_idle));
    add("refresh_absolute", own(client.lifetimes.refresh_absolute));
    add("active_sessions", json!(listed.sessions));
    add("last_token_at", json!(client.last_token_at.map(moment)));
    add("last_used_at", json!(client.last_used_at.map(moment)));
    Value::Object(members)
}

/// Returns the word for how a client stands.
pub(super) const fn word(listed: &ListedStanding) -> &'static str {
    match listed.standing {
        ClientStanding::Approved => "approved",
        ClientStanding::Undecided if listed.waits.is_some() => "waiting",
        ClientStanding::Undecided => "undecided",
        ClientStanding::Rejected => "rejected",
    }
}

/// Returns the keys of a client in words: where they are published, or their ids.
pub(super) fn keys_in_words(client: &Client) -> Option<String> {
    match client.metadata.keys.as_deref()? {
        ClientKeys::At(url) => Some(format!("at {url}")),
        ClientKeys::Set(set) => {
            let set = set.to_json();
            let keys: Vec<_> = set.get("keys").and_then(Value::as_array).into_iter().flatten().collect();
            let ids: Vec<_> = keys.iter().filter_map(|key| key.get("kid").and_then(Value::as_str)).collect();
            let count = if keys.len() == 1 { "1 key".to_owned() } else { format!("{} keys", keys.len()) };
            Some(if ids.is_empty() { count } else { format!("{count} ({})", ids.join(", ")) })
        }
    }
}
