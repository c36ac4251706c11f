//! `TablePlan`: what is to be done so that the store is as the tables say.

use super::super::{Administration, AdministrationError};
use super::difference::{TableAction, TableChange, TableDifference, TableKind};
use crate::config::{FirstPassword, Problem, RecordTable};
use crate::oauth::{AccountId, ClientId, LoginName, TenantId};
use crate::store::{AuditRow, MadeByTable, TableMark, TableStep};

/// What an operator asks for beside what the tables say.
#[derive(Debug, Clone, Copy, Default)]
pub struct TableOptions<'a> {
    /// Whether what tables have made that are gone is removed.
    pub remove: bool,
    /// The ids of tables whose passwords are set again.
    pub reset_passwords: &'a [String],
}

/// What is to be done so that the store is as the tables say.
#[derive(Debug, Default)]
pub struct TablePlan {
    /// How the store differs.
    pub differences: Vec<TableDifference>,
    /// What tables have made that are gone, and stays.
    pub gone: Vec<TableMark>,
    pub(super) steps: Vec<PlannedStep>,
}

/// A step whose password, if it sets one, is not hashed yet.
#[derive(Debug)]
pub(super) struct PlannedStep {
    pub(super) step: TableStep,
    pub(super) row: AuditRow,
    pub(super) password: Option<FirstPassword>,
}

impl TablePlan {
    /// Returns the number of sessions of applications that end by it.
    #[must_use]
    pub fn ending(&self) -> usize {
        self.differences.iter().map(|difference| difference.ending).sum()
    }
}

/// A plan that is being made.
pub(super) struct Planner<'a> {
    pub(super) administration: &'a Administration,
    pub(super) options: TableOptions<'a>,
    /// What tables have made so far.
    pub(super) marks: Vec<TableMark>,
    /// The login names that accounts had before.
    pub(super) former: Vec<(LoginName, AccountId)>,
    pub(super) plan: TablePlan,
    /// Everything that is wrong.
    pub(super) problems: Vec<Problem>,
}

impl Administration {
    /// Compares the store with the tables of the configuration.
    ///
    /// # Errors
    /// `Tables` with everything that is wrong, `NoSuchTable`, `Hash`, `Store`.
    pub async fn plan_tables(&self, options: TableOptions<'_>) -> Result<TablePlan, AdministrationError> {
        // Tables have no key for the tenant: people can sign in to one only.
        if self.tenant != TenantId::default() {
            return Ok(TablePlan::default());
        }
        let tables = &self.config.accounts;
        if let Some(unknown) = options.reset_passwords.iter().find(|id| !tables.iter().any(|table| table.id == **id)) {
            return Err(AdministrationError::NoSuchTable(unknown.clone()));
        }
        let store = &self.services.store;
        let marks = store.table_marks(&self.tenant).await?;
        if marks.is_empty() && self.config.clients.is_empty() && self.config.accounts.is_empty() {
            return Ok(TablePlan::default());
        }
        let former = store.former_names(&self.tenant).await?;
        let (plan, problems) = (TablePlan::default(), Vec::new());
        let mut planner = Planner { administration: self, options, marks, former, plan, problems };
        // What is gone first; clients that act for themselves before people, whose names can be chosen.
        planner.gone().await?;
        for table in &self.config.clients {
            planner.client(table).await?;
        }
        for table in &self.config.accounts {
            planner.account(table).await?;
        }
        if planner.problems.is_empty() { Ok(planner.plan) } else { Err(AdministrationError::Tables(planner.problems)) }
    }
}

impl Planner<'_> {
    /// Plans what is to become of what tables have made that are gone.
    async fn gone(&mut self) -> Result<(), AdministrationError> {
        let config = &self.administration.config;
        for mark in self.marks.clone() {
            let is_there = match &mark.made {
                MadeByTable::Account(_) => config.accounts.iter().any(|table| table.id == mark.id),
                MadeByTable::Client(_) => config.clients.iter().any(|table| table.id == mark.id),
            };
            match &mark.made {
                _ if is_there => {}
                _ if !self.options.remove => self.plan.gone.push(mark),
                MadeByTable::Account(subject) => self.remove_account(&mark.id, None, subject).await?,
                MadeByTable::Client(id) => self.remove_client(id, None).await?,
            }
        }
        Ok(())
    }

    /// Returns what a table has made.
    pub(super) fn made_by(&self, kind: TableKind, id: &str) -> Option<&MadeByTable> {
        let mark = self.marks.iter().find(|mark| TableKind::of(&mark.made) == kind && mark.id == id);
        mark.map(|mark| &mark.made)
    }

    /// Returns whether an account other than the one with this subject had a login name.
    pub(super) fn is_former_name_of_another(&self, name: &LoginName, subject: &str) -> bool {
        self.former.iter().any(|(former, of)| former == name && of.as_str() != subject)
    }

    pub(super) fn step(&mut self, step: TableStep, row: AuditRow) {
        self.plan.steps.push(PlannedStep { step, row, password: None });
    }

    pub(super) fn differ<T>(
        &mut self,
        table: &RecordTable<T>,
        kind: TableKind,
        action: TableAction,
        (changes, ending): (Vec<TableChange>, usize),
    ) {
        let (id, line) = (table.id.clone(), table.line);
        self.plan.differences.push(TableDifference { kind, id, line, action, changes, ending });
    }

    pub(super) fn removed(&mut self, kind: TableKind, (id, line): (&str, Option<usize>), ending: usize) {
        let (id, action, changes) = (id.to_owned(), TableAction::Remove, Vec::new());
        self.plan.differences.push(TableDifference { kind, id, line, action, changes, ending });
    }

    /// Notes something that is wrong with a table.
    pub(super) fn wrong<T>(&mut self, kind: TableKind, table: &RecordTable<T>, fault: impl Into<String>, remedy: &str) {
        self.problems.push(Problem {
            file: self.administration.config.file.clone(),
            line: table.line,
            key: format!("[[{}]] {}", kind.as_str(), table.id),
            fault: fault.into(),
            remedy: remedy.to_owned(),
        });
    }

    /// Notes that what a table needs cannot be read.
    pub(super) fn unreadable<T>(&mut self, kind: TableKind, table: &RecordTable<T>) {
        self.wrong(kind, table, "a file that it names cannot be read", "let the user of this command read it");
    }

    /// Plans the end of a client.
    pub(super) async fn remove_client(
        &mut self,
        id: &ClientId,
        line: Option<usize>,
    ) -> Result<(), AdministrationError> {
        let administration = self.administration;
        let ending = administration.standing_of(id).await?.len();
        let row = administration.audit_about(crate::store::AuditEvent::ClientDeleted, id);
        self.step(TableStep::DeleteClient { id: id.clone() }, row);
        self.removed(TableKind::Client, (id.as_str(), line), ending);
        Ok(())
    }
}
