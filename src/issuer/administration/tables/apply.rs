//! Carries out a plan, in one transaction.

use std::sync::Arc;

use super::super::{Administration, AdministrationError};
use super::difference::TableDifference;
use super::plan::{PlannedStep, TableOptions, TablePlan};
use crate::config::{Config, FirstPassword};
use crate::issuer::Issuer;
use crate::issuer::login::password;
use crate::store::{AuditRow, StoreError, TableStep};

/// How often a plan is made again, because commands have changed the store meanwhile.
const ATTEMPTS: usize = 3;

impl Administration {
    /// Carries out a plan: all of it, or nothing if the store has changed meanwhile. Returns how many grants ended by
    /// changes of clients.
    ///
    /// # Errors
    /// `TablesHaveChanged`, `Hash`, `Store`.
    pub async fn apply_tables(&self, plan: TablePlan) -> Result<u64, AdministrationError> {
        if plan.steps.is_empty() {
            return Ok(0);
        }
        let mut steps = Vec::new();
        for step in plan.steps {
            steps.push(self.with_hash(step).await?);
        }
        let applied = self.services.store.apply_tables(steps).await;
        applied.map_err(|error| match error {
            StoreError::Conflict(why) => AdministrationError::TablesHaveChanged(why),
            StoreError::Unavailable(_) | StoreError::NotStored | StoreError::Corrupt(_) => error.into(),
        })
    }

    /// Makes the store as the tables say, as a start and a reload do. Logs what is done, and which tables are gone.
    ///
    /// # Errors
    /// `Tables` with everything that is wrong, and nothing is done; `TablesHaveChanged`, `Hash`, `Store`.
    pub async fn follow_tables(&self) -> Result<(), AdministrationError> {
        for attempt in 1.. {
            let mut plan = self.plan_tables(TableOptions::default()).await?;
            let (differences, gone) = (std::mem::take(&mut plan.differences), std::mem::take(&mut plan.gone));
            match Box::pin(self.apply_tables(plan)).await {
                Err(AdministrationError::TablesHaveChanged(_)) if attempt < ATTEMPTS => continue,
                applied => applied?,
            };
            differences.iter().for_each(tell);
            for mark in gone {
                let kind = super::TableKind::of(&mark.made).as_str();
                tracing::warn!(
                    event = "table.gone",
                    kind,
                    id = mark.id,
                    "the table that made this is gone, and what it made stays: write the table again, with removed = true \
                     to remove it, or remove it with mcpgate apply --remove"
                );
            }
            break;
        }
        Ok(())
    }

    async fn with_hash(&self, planned: PlannedStep) -> Result<(TableStep, AuditRow), AdministrationError> {
        let PlannedStep { mut step, row, password } = planned;
        let phc = match password {
            None => return Ok((step, row)),
            Some(FirstPassword::Hash(phc)) => phc,
            Some(FirstPassword::Text(text)) => {
                let (policy, salt) = (self.config.login.clone(), self.services.entropy.random_16());
                password::off_thread(move || password::hash(&text, &policy, salt)).await?
            }
        };
        match &mut step {
            TableStep::AddAccount { account, .. } => account.password = Some(phc),
            TableStep::SetPassword { new, .. } => new.phc = phc,
            TableStep::AddClient { .. }
            | TableStep::ChangeClient { .. }
            | TableStep::ReplaceSecret { .. }
            | TableStep::DisableClient { .. }
            | TableStep::DeleteClient { .. }
            | TableStep::RenameAccount { .. }
            | TableStep::DisableAccount { .. }
            | TableStep::DeleteAccount { .. }
            | TableStep::Adopt(_) => {}
        }
        Ok((step, row))
    }
}

impl Issuer {
    /// Makes the store as the tables of a configuration say, before it is in force.
    ///
    /// # Errors
    /// As `Administration::follow_tables`.
    pub async fn follow_tables(&self, config: Arc<Config>) -> Result<(), AdministrationError> {
        let administration = Administration::of_file(self.services.clone(), config);
        Box::pin(administration.follow_tables()).await
    }
}

/// Logs what was done to a client or account. Its members are named, and none of its values.
fn tell(difference: &TableDifference) {
    let members: Vec<_> = difference.changes.iter().map(|change| change.member.as_str()).collect();
    tracing::info!(
        event = "table.applied",
        kind = difference.kind.as_str(),
        id = difference.id,
        action = difference.action.as_str(),
        members = members.join(" "),
        sessions_ended = difference.ending,
        "a table of the configuration file was applied"
    );
}
