//! The mirror of `[[upstream.limit]]` in gateway.toml.

use super::table::{Section, table};
use super::value::words;

table! {
    /// A limit on how often operations of the upstream above are used. A request that reaches one gets 429 with
    /// `Retry-After`, and is not counted by any other. A batch counts each of its messages. The handshake,
    /// notifications and answers are not counted. `docs/rules.md` explains limits.
    Limit at "upstream.limit" repeated {
        /// Its name, which callers and the access log are told: 1 to 64 of `a-z`, `0-9` and `-`, and unique at the
        /// upstream.
        name: String = required;
        /// Operations, each written as in `allow` of a scope; by default all. Paths and URIs that are written otherwise
        /// (case, percent-encoding, parameters) count too.
        operations: Vec<String> = [];
        /// What has a count of its own: each `user` over all clients, each `grant` (what one user has allowed one
        /// client), each `client` over all users, or the `upstream` as a whole.
        per: PerWord = "user";
        /// For `per = "client"`: the ids of your own clients, those that `mcpgate client add` made. Any other client
        /// counts by grant, because strangers can share the id of a client that registered itself or has a metadata
        /// document.
        clients: Vec<String> = [];
        /// How often per minute.
        per_minute: u32 = none, 1 to 1000000;
        /// How many may come at once after a pause; by default `per_minute`.
        burst: u32 = none, 1 to 1000000;
        /// How often per day, which begins at midnight in UTC. A restart forgets nothing.
        per_day: u32 = none, 1 to 1000000000;
        /// How many at the same time: each counts until its answer has ended.
        at_once: u32 = none, 1 to 1000000;
    }
}

impl Limit {
    /// Reads the limits of an upstream; `None` only when a default is declared wrongly.
    pub(super) fn all(upstream: &mut Section<'_, '_>) -> Option<Vec<Self>> {
        let mut limits = Vec::new();
        for mut section in upstream.tables("limit") {
            limits.push(Self::read(&mut section)?);
            section.finish();
        }
        Some(limits)
    }
}

words! {
    /// What has a count of its own.
    PerWord {
        /// Each user, over all clients.
        User = "user",
        /// Each grant, of one user to one client.
        Grant = "grant",
        /// Each client of the operator, over all users.
        Client = "client",
        /// All callers together.
        Upstream = "upstream",
    }
}
