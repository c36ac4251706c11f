//! Finds tokens that were issued for a code and never used. A client that was just connected uses its token within
//! seconds; if it does not, something between the client and the gateway is probably dropping its requests. Only a log
//! line here can show that, because no request arrives.

use std::time::Duration;

use super::awaited::Awaited;
use crate::issuer::{Issuer, IssuerRequest};
use crate::oauth::{AccountId, Client, Lifetime, ResourceIndicator, TokenHash, show};
use crate::sync::lock;
use crate::telemetry::ControlEvent;

/// How long a client may take to use its token.
const PATIENCE: Lifetime = Lifetime::from_secs(60);
/// Interval between two checks for unused tokens.
const EVERY: Duration = Duration::from_secs(5);
/// The most tokens that are watched at a time; further ones are not.
const MOST: usize = 10_000;
/// The most log lines per check; further tokens are only counted.
const LINES: usize = 20;

impl IssuerRequest<'_> {
    /// Starts watching for the first use of a token that a client got for a code.
    pub(in crate::issuer) fn await_arrival(
        &self,
        hash: TokenHash,
        client: &Client,
        subject: AccountId,
        resource: ResourceIndicator,
    ) {
        let mut awaited = lock(&self.arrivals.awaited);
        if awaited.len() < MOST {
            let client_name = client.metadata.client_name.clone();
            let (since, client, address) = (self.now(), client.id.clone(), self.caller.address);
            awaited.push_back(Awaited { hash, since, client, client_name, subject, resource, address });
            self.arrivals.begun.notify_one();
        }
    }
}

impl Issuer {
    /// Checks for unused tokens until the process ends.
    pub async fn watch_arrivals_forever(&self) {
        loop {
            if lock(&self.arrivals.awaited).is_empty() {
                self.arrivals.begun.notified().await;
            }
            tokio::time::sleep(EVERY).await;
            self.watch_arrivals();
        }
    }

    /// Logs the tokens that were not used in time.
    pub fn watch_arrivals(&self) {
        let now = self.services.clock.now();
        let missing: Vec<_> = {
            let mut awaited = lock(&self.arrivals.awaited);
            let due = awaited.iter().take_while(|token| now.since(token.since) >= PATIENCE).count();
            // A token no longer in the cache was revoked or evicted: whether it was used is not known.
            awaited.drain(..due).filter(|token| self.cache.was_presented(&token.hash) == Some(false)).collect()
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
                    "a token was issued a minute ago and has not been presented: either something in front of this \
                     gateway blocks the client (a CDN or firewall that blocks AI agents, bots, or the addresses of \
                     the vendor), or the client was closed"
                );
            }
        }
        if missing.len() > LINES {
            let more = missing.len().saturating_sub(LINES);
            tracing::warn!(more, "further tokens were issued a minute ago and have not been presented");
        }
    }
}
