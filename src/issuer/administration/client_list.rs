//! Lists of clients: which, in which order, and how many at a time.

use std::collections::HashMap;
use std::net::IpAddr;

use super::tables::ListedTable;
use super::{Administration, AdministrationError, SessionQuery};
use crate::config::WhoRegisters;
use crate::issuer::client::approval::{WantedBy, decision_command, request_key};
use crate::oauth::{
    Client, ClientOrigin, ClientSecretHash, ClientStanding, Lifetime, ResourceIndicator, SeenClient, Timestamp,
};
use crate::store::{Ephemeral, EphemeralHash, EphemeralKind, MadeByTable};

/// Which clients to list, in which order, and how many. By default all, oldest first.
#[derive(Debug, Clone, Default)]
pub struct ClientQuery {
    /// Part of the name or the id; upper and lower case are alike.
    pub name: Option<String>,
    /// The name of the upstream that the client is bound to.
    pub upstream: Option<String>,
    /// How the client became known.
    pub origin: Option<ClientOrigin>,
    /// Whether the client is disabled.
    pub disabled: Option<bool>,
    /// Clients that were not used since then, or never.
    pub unused_since: Option<Timestamp>,
    /// Clients with an old secret only.
    pub old_secret: bool,
    /// Clients only that somebody wants, and about which an operator has to decide.
    pub waiting: bool,
    /// How they are sorted.
    pub order: ClientOrder,
    /// The opposite order.
    pub reverse: bool,
    /// How many to leave out at the beginning.
    pub skip: usize,
    /// The most to list.
    pub limit: Option<usize>,
}

/// An order of clients; those that it does not tell apart come oldest first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ClientOrder {
    /// By when they were added, the oldest first.
    #[default]
    Created,
    /// By name, upper and lower case alike; those without one first.
    Name,
    /// Never used first, then the one that has not been used for longest.
    LastUsed,
    /// Fewest active sessions first.
    Sessions,
}

/// A client as it is listed.
#[derive(Debug, Clone)]
pub struct ListedClient {
    /// What the store has of it.
    pub client: Client,
    /// The number of its grants that are active.
    pub sessions: u64,
    /// The name of the upstream that it is bound to, if it is bound to one of the configuration.
    pub upstream: Option<String>,
    /// The age of its current secret, if it has one.
    pub secret_age: Option<Lifetime>,
    /// The secret that a rotation replaced, and until when it stays valid, if that is still ahead.
    pub previous_secret: Option<(ClientSecretHash, Timestamp)>,
    /// Whether its current secret is older than `tokens.secret_age_warning`.
    pub has_old_secret: bool,
    /// The table of the configuration file that has made it.
    pub table: Option<ListedTable>,
    /// How it stands, where operators decide about clients and did not add it.
    pub standing: Option<ListedStanding>,
}

/// Some of the clients that a query selects.
#[derive(Debug, Clone)]
pub struct ClientPage {
    /// The clients, in order.
    pub clients: Vec<ListedClient>,
    /// The number of all clients that are selected.
    pub selected: usize,
}

/// How a client stands that no operator added.
#[derive(Debug, Clone)]
pub struct ListedStanding {
    /// What was decided about the client as it is now.
    pub standing: ClientStanding,
    /// The mark by which an operator says that they saw the client as it is now.
    pub mark: String,
    /// Who wants it, if somebody does and nobody has decided.
    pub waits: Option<WantedClient>,
    /// The command that approves it.
    pub command: String,
}

/// Who wants a client about which nobody has decided.
#[derive(Debug, Clone)]
pub struct WantedClient {
    /// When it was listed.
    pub since: Timestamp,
    /// The login name of the person; `None` if the client asks for itself, or the account was deleted.
    pub user: Option<String>,
    /// The address that it was wanted from, or the /64 of an IPv6 host.
    pub from: IpAddr,
}

/// The clients that wait, with the login names of those who want them.
#[derive(Default)]
struct WaitingList {
    requests: HashMap<EphemeralHash, Ephemeral>,
    names: HashMap<String, String>,
}

impl Administration {
    /// Lists clients, by the same number of queries however many there are.
    ///
    /// # Errors
    /// `NoSuchUpstream`, `Store`.
    pub async fn list_clients(&self, query: &ClientQuery) -> Result<ClientPage, AdministrationError> {
        let bound = query.upstream.as_deref().map(|name| self.upstream(Some(name))).transpose()?;
        let bound = bound.map(|upstream| &upstream.resource);
        let name = query.name.as_deref().map(str::to_lowercase);
        let now = self.services.clock.now();
        let sessions = self.services.store.count_grants(&self.tenant, now).await?;
        let mut sessions: HashMap<_, _> = sessions.into_iter().collect();
        let mut tables = self.listed_tables().await?;
        let waiting = self.waiting_list().await?;
        let clients = self.services.store.list_clients(&self.tenant).await?.into_iter();
        let listed = clients.map(|client| {
            let sessions = sessions.remove(&client.id).unwrap_or_default();
            let table = tables.remove(&MadeByTable::Client(client.id.clone()));
            self.listed(client, sessions, (table, &waiting), now)
        });
        let mut selected: Vec<_> = listed.filter(|listed| query.wants(listed, name.as_deref(), bound)).collect();
        match query.order {
            ClientOrder::Created => {}
            ClientOrder::Name => selected.sort_by_cached_key(|listed| shown_name(&listed.client).to_lowercase()),
            ClientOrder::LastUsed => selected.sort_by_key(|listed| listed.client.last_used_at),
            ClientOrder::Sessions => selected.sort_by_key(|listed| listed.sessions),
        }
        if query.reverse {
            selected.reverse();
        }
        let (all, limit) = (selected.len(), query.limit.unwrap_or(usize::MAX));
        Ok(ClientPage { clients: selected.into_iter().skip(query.skip).take(limit).collect(), selected: all })
    }

    /// Finds a client, as it is listed.
    ///
    /// # Errors
    /// `NoSuchClient`, `Store`.
    pub async fn listed_client(&self, id: &str) -> Result<ListedClient, AdministrationError> {
        let client = self.client(id).await?;
        let grants = self.grants(&SessionQuery::of_client(id)).await?;
        let sessions = u64::try_from(grants.len()).unwrap_or(u64::MAX);
        let table = self.listed_tables().await?.remove(&MadeByTable::Client(client.id.clone()));
        let waiting = self.waiting_list().await?;
        Ok(self.listed(client, sessions, (table, &waiting), self.services.clock.now()))
    }

    /// Returns whether clients need an approval by the configuration.
    #[must_use]
    pub fn decides_about_clients(&self) -> bool {
        self.config.registration.who == WhoRegisters::Approved
    }

    /// Reads who waits; empty where nobody has to.
    async fn waiting_list(&self) -> Result<WaitingList, AdministrationError> {
        if !self.decides_about_clients() {
            return Ok(WaitingList::default());
        }
        let (store, now) = (&self.services.store, self.services.clock.now());
        let requests = store.list_ephemerals(&self.tenant, EphemeralKind::ClientRequest, now).await?;
        let mut names = HashMap::new();
        if !requests.is_empty() {
            let accounts = store.list_accounts(&self.tenant).await?.into_iter();
            names.extend(accounts.map(|a| (a.subject.id().as_str().to_owned(), a.name.to_string())));
        }
        let requests = requests.into_iter().map(|request| (request.key.hash, request)).collect();
        Ok(WaitingList { requests, names })
    }

    /// Returns how a client stands, where that counts.
    fn listed_standing(&self, client: &Client, list: &WaitingList) -> Option<ListedStanding> {
        if client.origin == ClientOrigin::Manual || !self.decides_about_clients() {
            return None;
        }
        let standing = client.standing();
        let request = |by| list.requests.get(&request_key(&self.tenant, client, by).hash);
        let request = request(WantedBy::Person).or_else(|| request(WantedBy::Itself));
        let waits = request.filter(|_| standing == ClientStanding::Undecided).map(|request| WantedClient {
            since: request.created_at,
            user: request.body.as_ref().and_then(|subject| list.names.get(subject)).cloned(),
            from: request.source.host,
        });
        let mark = SeenClient::of(&client.metadata).mark();
        Some(ListedStanding { standing, mark, waits, command: decision_command("approve", client) })
    }

    fn listed(
        &self,
        client: Client,
        sessions: u64,
        (table, waiting): (Option<ListedTable>, &WaitingList),
        now: Timestamp,
    ) -> ListedClient {
        let of = |resource: &ResourceIndicator| {
            let known = self.config.upstreams.iter().find(|upstream| upstream.resource == *resource);
            known.map(|upstream| upstream.name.clone())
        };
        let limit = self.config.tokens.secret_age_warning;
        ListedClient {
            sessions,
            table,
            secret_age: client.current_secret().map(|secret| now.since(secret.created_at)),
            previous_secret: client
                .secrets
                .iter()
                .find_map(|secret| Some((*secret, secret.until.filter(|end| now < *end)?))),
            upstream: client.resource.as_ref().and_then(of),
            has_old_secret: client.current_secret().is_some_and(|secret| secret.is_older_than(limit, now)),
            standing: self.listed_standing(&client, waiting),
            client,
        }
    }
}

impl ClientQuery {
    /// Returns whether a client is selected. `name` is in lower case.
    fn wants(&self, listed: &ListedClient, name: Option<&str>, bound: Option<&ResourceIndicator>) -> bool {
        let client = &listed.client;
        let has = |part: &str| {
            shown_name(client).to_lowercase().contains(part) || client.id.as_str().to_lowercase().contains(part)
        };
        name.is_none_or(has)
            && bound.is_none_or(|bound| client.resource.as_ref() == Some(bound))
            && self.origin.is_none_or(|origin| client.origin == origin)
            && self.disabled.is_none_or(|disabled| client.disabled == disabled)
            && self.unused_since.is_none_or(|since| client.last_used_at.is_none_or(|last| last < since))
            && (!self.old_secret || listed.has_old_secret)
            && (!self.waiting || listed.standing.as_ref().is_some_and(|standing| standing.waits.is_some()))
    }
}

fn shown_name(client: &Client) -> &str {
    client.metadata.client_name.as_deref().unwrap_or_default()
}
