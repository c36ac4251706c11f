//! A store with many live tokens, for a gateway that is not running.

use futures_util::future::join_all;
use mcpgate::clock::{Clock as _, SystemClock};
use mcpgate::oauth::Grant;
use mcpgate::store::{AuditEvent, EmbeddedStore, GrantStore as _};

use super::gateway::{Gateway, Home};
use super::records;

/// Tokens per batch.
const AT_ONCE: usize = 1000;

/// Issues a token to the administrator with the command line; returns the token and the id of its grant.
pub(crate) fn issued(home: &Home) -> [String; 2] {
    let issued = home.command(&["token", "issue", "--user", "admin", "--upstream", "mcp"]);
    ["access_token", "session"].map(|member| issued[member].as_str().expect("a text").to_owned())
}

/// Makes a gateway whose store holds so many tokens of the administrator, each with a grant of its own.
pub(crate) async fn stocked(home: Home, count: u64) -> Home {
    let gateway: Gateway = home.start().await;
    issued(&gateway.home);
    let home = gateway.kill();
    let now = SystemClock.now();
    let store = EmbeddedStore::open(&home.data().join("mcpgate.db"), None, now).expect("the store");
    let (live, _) = store.live_access_tokens(0, 1, now).await.expect("the tokens");
    let like = live.first().expect("the token just issued");
    let names: Vec<_> = (0..count).map(|n| format!("token {n}")).collect();
    for names in names.chunks(AT_ONCE) {
        let inserted = names.iter().map(|name| {
            let grant = Grant {
                client: like.client.clone(),
                subject: like.subject.clone(),
                resource: like.resource.clone(),
                scopes: like.scopes.clone(),
                exclusions: like.exclusions.clone(),
                ..records::grant_of(name, now)
            };
            let token = records::token_of(&grant, records::hash(name));
            store.insert_operator_token(grant, token, records::row(AuditEvent::OperatorTokenIssued, now))
        });
        join_all(inserted).await.into_iter().for_each(|inserted| inserted.expect("a token is written"));
    }
    home
}
