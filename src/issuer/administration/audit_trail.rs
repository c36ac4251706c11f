//! The audit trail: finding rows, and removing old ones.

use std::time::Duration;

use super::{Administration, AdministrationError};
use crate::oauth::{AccountId, ClientId, LoginName, Timestamp};
use crate::store::{AuditEvent, AuditFilter, AuditPage, AuditRetention, AuditRow};

/// Rows that are read at once.
const PAGE: u32 = 1000;

/// How long the store is left to others between two steps of pruning.
const PAUSE: Duration = Duration::from_millis(5);

/// Which rows an operator asks for.
#[derive(Debug, Clone, Default)]
pub struct AuditQuery {
    /// About the account of this login name (now or formerly) or subject, or by it.
    pub user: Option<String>,
    /// About the client of this id.
    pub client: Option<String>,
    /// One of these events; when empty: any.
    pub events: Vec<AuditEvent>,
    /// From then on.
    pub since: Option<Timestamp>,
    /// Before then.
    pub until: Option<Timestamp>,
}

impl Administration {
    /// Returns the filter that finds what is asked for. A subject or client id is taken as it is: rows outlive what they are
    /// about.
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

    /// Reads some of the wanted rows after the position `after`, oldest first.
    ///
    /// # Errors
    /// `Store`.
    pub async fn audit_after(&self, filter: &AuditFilter, after: u64) -> Result<AuditPage, AdministrationError> {
        Ok(self.services.store.audit_after(filter, after, PAGE).await?)
    }

    /// Reads the last `count` of the wanted rows, oldest first.
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

    /// Returns a position after which all rows since then are found.
    ///
    /// # Errors
    /// `Store`.
    pub async fn audit_since(&self, since: Timestamp) -> Result<u64, AdministrationError> {
        Ok(self.services.store.audit_since(since).await?)
    }

    /// Removes the rows that the trail may not keep, of all tenants, and leaves the store to others in between; returns how
    /// many. The trail says so, `what` being its words for them.
    ///
    /// # Errors
    /// `Store`; what was removed until then is gone.
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
