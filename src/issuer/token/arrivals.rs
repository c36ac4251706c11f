//! Tokens that were given out for a code and have not come back. A client that was just connected uses its token within
//! seconds; if nothing comes, what stands between it and us keeps it out, and the log here is the only place that can say
//! so: the request itself never arrives.

use std::time::Duration;

use super::awaited::Awaited;
use crate::issuer::{Issuer, IssuerRequest};
use crate::oauth::{AccountId, Client, Lifetime, ResourceIndicator, TokenHash, show};
use crate::sync::lock;
use crate::telemetry::ControlEvent;

/// How long a token may take to come.
const PATIENCE: Lifetime = Lifetime::from_secs(60);
/// How often it is looked for.
const EVERY: Duration = Duration::from_secs(5);
/// Tokens that are waited for at a time; further ones are not.
const MOST: usize = 10_000;
/// Lines of one look; further ones are counted.
const LINES: usize = 20;

impl IssuerRequest<'_> {
    /// Begins to wait for a token that is given to a client for a code.
    pub(in crate::issuer) fn await_arrival(
        &self,
        hash: TokenHash,
        client: &Client,
        subject: AccountId,
        resource: ResourceIndicator,
    ) {
        let mut awaited = lock(&self.arrivals.0);
        if awaited.len() < MOST {
            let client_name = client.metadata.client_name.clone();
            let (since, client, address) = (self.now(), client.id.clone(), self.caller.address);
            awaited.push_back(Awaited { hash, since, client, client_name, subject, resource, address });
        }
    }
}

impl Issuer {
    /// Looks for them until the process ends.
    pub async fn watch_arrivals_forever(&self) {
        loop {
            tokio::time::sleep(EVERY).await;
            self.watch_arrivals();
        }
    }

    /// Says in the log which of those that had their time have not come.
    pub fn watch_arrivals(&self) {
        let Some(cache) = &self.cache else { return };
        let now = self.services.clock.now();
        let missing: Vec<_> = {
            let mut awaited = lock(&self.arrivals.0);
            let due = awaited.iter().take_while(|token| now.since(token.since) >= PATIENCE).count();
            // One that has left the memory was revoked or pushed out: nothing is known of it.
            awaited.drain(..due).filter(|token| cache.was_presented(&token.hash) == Some(false)).collect()
        };
        for (n, token) in missing.iter().enumerate() {
            self.metrics.control(ControlEvent::TokenNotPresented);
            if n < LINES {
                tracing::warn!(
                    client = show(token.client.as_str()),
                    client_name = token.client_name.as_deref().map(show).as_deref(),
                    subject = token.subject.as_str(),
                    resource = token.resource.as_str(),
                    address = token.address.map(tracing::field::display),
                    "a token was given out a minute ago and has not been presented: does something in front of this gateway \
                     keep its client out of the resource (a CDN or firewall that blocks AI agents, bots, or the addresses \
                     of the vendor), or has the client been closed?"
                );
            }
        }
        if missing.len() > LINES {
            let more = missing.len().saturating_sub(LINES);
            tracing::warn!(more, "further tokens were given out a minute ago and have not been presented");
        }
    }
}
