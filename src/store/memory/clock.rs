//! The recorded time in memory.

use async_trait::async_trait;

use super::super::clock::{AHEAD, put_back};
use super::super::{AuditRow, Change, ClockNote, ClockStore, EphemeralKind, Result};
use super::{MemoryStore, State, prune};
use crate::oauth::{Client, DocumentAge, Grant, Timestamp};

/// Moves a time later than `latest` to `now`; returns how many it moved, 0 or 1.
fn move_back(time: &mut Option<Timestamp>, latest: Timestamp, now: Timestamp) -> usize {
    let is_later = time.is_some_and(|time| time > latest);
    if is_later {
        *time = Some(now);
    }
    usize::from(is_later)
}

impl State {
    /// Moves back what a clock that was ahead has written into grants, and ends the keys that it has made; returns how
    /// many grants that were.
    fn put_grants_back(&mut self, latest: Timestamp, now: Timestamp) -> usize {
        let mut changed = 0;
        let is_early = |grant: &Grant| grant.created_at.max(grant.rotated_at) > latest && grant.revoked_at.is_none();
        for grant in &mut self.grants {
            changed += move_back(&mut grant.last_used_at, latest, now);
            if is_early(grant) && grant.key.is_none() {
                *grant = put_back(grant.clone(), latest, now);
                changed += 1;
            }
        }
        let keys: Vec<_> = self.grants.iter().filter(|grant| is_early(grant)).cloned().collect();
        for key in keys {
            changed += usize::from(self.end_grant(&key.tenant, key.id, now));
        }
        changed
    }
}

#[async_trait]
impl ClockStore for MemoryStore {
    async fn clock_note(&self) -> Result<Option<ClockNote>> {
        let state = self.read();
        let newest = state.audit.last().map(|(_, row)| ClockNote { seen_at: row.at, accepted_at: None });
        Ok(state.clock.or(newest))
    }

    async fn note_time(&self, seen: Timestamp) -> Result<()> {
        let mut state = self.write();
        let accepted_at = state.clock.and_then(|note| note.accepted_at);
        state.clock = Some(ClockNote { seen_at: seen, accepted_at });
        Ok(())
    }

    async fn accept_time(&self, audit: AuditRow) -> Result<()> {
        let mut state = self.write();
        state.clock = Some(ClockNote { seen_at: audit.at, accepted_at: Some(audit.at) });
        state.record(audit);
        Ok(())
    }

    async fn turn_back(&self, told: Timestamp, now: Timestamp) -> Result<u64> {
        let mut state = self.write();
        let state = &mut *state;
        let latest = now.plus(AHEAD);
        let mut changed = 0;
        for client in &mut state.clients {
            changed += prune(&mut client.secrets, |secret| secret.until.is_none_or(|until| told < until));
            changed += move_back(&mut client.last_token_at, latest, now);
            changed += move_back(&mut client.last_used_at, latest, now);
            for secret in client.secrets.iter_mut().filter(|secret| secret.created_at > latest) {
                secret.created_at = now;
                changed += 1;
            }
            if let Some(age) = client.document.as_mut().filter(|age| age.fetched_at > latest) {
                *age = DocumentAge { fetched_at: now, fresh_until: now, ..*age };
                changed += 1;
            }
        }
        for registered in state.registered_again.values_mut().filter(|at| **at > latest) {
            *registered = now;
            changed += 1;
        }
        for account in &mut state.accounts {
            changed += move_back(&mut account.last_failed_at, latest, now);
        }
        let places = state.places.iter_mut().map(|(.., last)| last);
        let failures = state.login_failures.iter_mut().map(|(.., last)| last);
        for last in places.chain(failures).filter(|last| **last > latest) {
            *last = now;
            changed += 1;
        }
        let early: Vec<_> =
            state.tokens.iter().map(|(_, t)| t).filter(|t| t.issued_at.max(t.consented_at) > latest).cloned().collect();
        changed += prune(&mut state.tokens, |(_, t)| t.issued_at.max(t.consented_at) <= latest);
        for token in early {
            state.announce(now, Change::AccessTokenRevoked(token.tenant, token.hash));
        }
        changed += prune(&mut state.codes, |c| c.used_at.is_some() || c.issued_at <= latest);
        changed += prune(&mut state.ephemerals, |i| {
            // A used assertion may become valid again.
            i.key.kind == EphemeralKind::ClientAssertion || told <= latest && i.created_at <= latest
        });
        changed += prune(&mut state.links, |l| l.made_at.is_none_or(|made| made <= latest));
        let counts = state.quotas.len();
        state.quotas.retain(|(_, day, _), _| *day <= latest);
        changed += counts - state.quotas.len();
        changed += prune(&mut state.sessions, |s| s.authenticated_at <= latest);
        for session in state.sessions.iter_mut().filter(|s| s.idle_until > latest.plus(s.idle)) {
            session.idle_until = now.plus(session.idle).min(session.expires_at);
            changed += 1;
        }
        changed += prune(&mut state.consents, |c| c.given_at <= latest);
        changed += state.put_grants_back(latest, now);
        Ok(u64::try_from(changed).unwrap_or(u64::MAX))
    }

    async fn shorten_secrets(&self, latest: Timestamp) -> Result<u64> {
        let mut state = self.write();
        let bound = latest.plus(AHEAD);
        let is_later = |client: &&mut Client| client.secrets.iter().any(|s| s.until.is_some_and(|until| until > bound));
        let mut changed = 0;
        for client in state.clients.iter_mut().filter(is_later) {
            client.secrets.iter_mut().for_each(|secret| secret.shorten(bound, latest));
            changed += 1;
        }
        Ok(changed)
    }
}
