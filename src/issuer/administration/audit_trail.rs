//! The audit trail: finding rows and removing old ones.

use std::time::Duration;

use super::{Administration, AdministrationError};
use crate::oauth::{AccountId, ClientId, LoginName, Timestamp};
use crate::store::{AuditEvent, AuditFilter, AuditPage, AuditRetention, AuditRow};

/// The most rows that are read at once.
const PAGE: u32 = 1000;

/// Pause between two steps of pruning, in which the store is free for others.
const PAUSE: Duration = Duration::from_millis(5);

/// Which rows an operator asks for.
#[derive(Debug, Clone, Default)]
pub struct AuditQuery {
    /// Rows by or about the account with this current or former login name, or this subject.
    pub user: Option<String>,
    /// Rows about the client with this id.
    pub client: Option<String>,
    /// Rows of these events; of any event when empty.
    pub events: Vec<AuditEvent>,
    /// Rows from this time on.
    pub since: Option<Timestamp>,
    /// Rows before this time.
    pub until: Option<Timestamp>,
}

impl Administration {
    /// Returns the store's filter for a query. Subjects and client ids need not exist any more: rows outlive what they
    /// are about.
    ///
    /// # Errors
    /// `NoSuchAccount`, `NoSuchClient`, `Store`.
    pub async fn audit_filter(&self, query: &AuditQuery) -> Result<AuditFilter, AdministrationError> {
        let subject = match &query.user {
            None => None,
            Some(user) => Some(self.subject_of(user).await?),
        };
        let id = |id: &str| ClientId::parse(id).ok_or_else(|| AdministrationError::NoSuchClient(id.to_owned()));
        let client = query.client.as_deref().map(id);
        Ok(AuditFilter {
            tenant: Some(self.tenant.clone()),
            subject,
            client: client.transpose()?,
            events: query.events.clone(),
            since: query.since,
            until: query.until,
        })
    }

    async fn subject_of(&self, user: &str) -> Result<AccountId, AdministrationError> {
        match self.account(user).await {
            Ok(account) => Ok(account.subject.id().clone()),
            Err(AdministrationError::NoSuchAccount(name)) => {
                let (names, wanted) = (self.former_names().await?, LoginName::parse(&name));
                let former =
                    names.into_iter().find(|(known, _)| Some(known) == wanted.as_ref()).map(|(_, subject)| subject);
                let subject = former.or_else(|| AccountId::parse(&name).filter(|_| name.starts_with("user_")));
                subject.ok_or(AdministrationError::NoSuchAccount(name))
            }
            Err(error) => Err(error),
        }
    }

    /// Reads the next page of matching rows after the position `after`, oldest first.
    ///
    /// # Errors
    /// `Store`.
    pub async fn audit_after(&self, filter: &AuditFilter, after: u64) -> Result<AuditPage, AdministrationError> {
        Ok(self.services.store.audit_after(filter, after, PAGE).await?)
    }

    /// Reads the last `count` matching rows, oldest first.
    ///
    /// # Errors
    /// `Store`.
    pub async fn audit_last(
        &self,
        filter: &AuditFilter,
        count: u32,
    ) -> Result<Vec<(u64, AuditRow)>, AdministrationError> {
        let mut rows = Vec::new();
        let mut before = None;
        while let Some(missing) = count.checked_sub(u32::try_from(rows.len()).unwrap_or(u32::MAX)).filter(|n| *n > 0) {
            let page = self.services.store.audit_before(filter, before, missing.min(PAGE)).await?;
            rows.extend(page.rows);
            match page.next {
                Some(next) => before = Some(next),
                None => break,
            }
        }
        rows.reverse();
        Ok(rows)
    }

    /// Returns a position after which all rows since `since` are found.
    ///
    /// # Errors
    /// `Store`.
    pub async fn audit_since(&self, since: Timestamp) -> Result<u64, AdministrationError> {
        Ok(self.services.store.audit_since(since).await?)
    }

    /// Removes the rows that `keep` does not retain, of all tenants, with pauses for other users of the store; returns
    /// how many. The removal is recorded in the trail, with `what` describing the rows.
    ///
    /// # Errors
    /// `Store`; rows removed before the error stay removed.
    pub async fn prune_audit(&self, keep: AuditRetention, what: &str) -> Result<u64, AdministrationError> {
        let row = AuditRow { reason: Some(what.to_owned()), ..self.audit(AuditEvent::AuditPruned) };
        let mut row = Some(row);
        let mut gone: u64 = 0;
        loop {
            let pruned = self.services.store.prune_audit(keep, row.clone()).await?;
            gone = gone.saturating_add(pruned.rows);
            if pruned.rows > 0 {
                row = None;
            }
            if !pruned.more {
                return Ok(gone);
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}
