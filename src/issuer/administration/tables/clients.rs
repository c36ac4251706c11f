//! How clients differ from their tables.

use super::super::client_edit::changed_members;
use super::super::{Administration, AdministrationError};
use super::difference::{TableAction, TableChange, TableKind};
use super::plan::Planner;
use crate::config::{DeclaredClient, RecordTable, Wish};
use crate::oauth::{Client, ClientId, ClientOrigin, ClientSecretHash, GrantType, LoginName};
use crate::store::{Account, AuditEvent, AuditRow, ClientChange, MadeByTable, SecretRotation, TableMark, TableStep};

const CLIENT: TableKind = TableKind::Client;

impl Planner<'_> {
    /// Plans what a table asks for.
    pub(super) async fn client(&mut self, table: &RecordTable<DeclaredClient>) -> Result<(), AdministrationError> {
        let administration = self.administration;
        let Some(id) = ClientId::parse(&table.id) else { return Ok(()) };
        let is_marked = self.made_by(CLIENT, &table.id).is_some();
        let stored = administration.services.store.find_client(&administration.tenant, &id).await?;
        let wanted = match &table.wish {
            Wish::Present(wanted) => wanted,
            Wish::Removed if is_marked => return self.remove_client(&id, table.line).await,
            Wish::Removed => return Ok(()),
            Wish::Unreadable => {
                self.unreadable(CLIENT, table);
                return Ok(());
            }
        };
        if !self.judge_name(table, wanted).await? {
            return Ok(());
        }
        match stored {
            None if administration.gives(&table.id) => {
                let fault = "the gateway gives such ids, and has no client with this one to take over";
                self.wrong(CLIENT, table, fault, "write an id of your own");
            }
            None => self.add_client(table, wanted, id),
            Some(stored) if is_marked => {
                self.change_client(table, wanted, (stored, TableAction::Change)).await?;
            }
            Some(stored) => {
                let own = administration.built_in_client_ids();
                if stored.origin != ClientOrigin::Manual || own.contains(&table.id) {
                    let fault = "the client with this id says itself what it is, or belongs to the gateway";
                    self.wrong(CLIENT, table, fault, "write an id of your own");
                } else if !table.adopt {
                    let remedy = "write adopt = true to take it over, or another id";
                    self.wrong(CLIENT, table, "there is a client with this id that the table has not made", remedy);
                } else {
                    let row = administration.audit_about(AuditEvent::ClientAdopted, &id);
                    let made = MadeByTable::Client(id);
                    self.step(TableStep::Adopt(TableMark { id: table.id.clone(), made }), row);
                    self.change_client(table, wanted, (stored, TableAction::Adopt)).await?;
                }
            }
        }
        Ok(())
    }

    /// Returns whether a client can have the account that it needs to act for itself; notes what is wrong.
    async fn judge_name(
        &mut self,
        table: &RecordTable<DeclaredClient>,
        wanted: &DeclaredClient,
    ) -> Result<bool, AdministrationError> {
        let acts = wanted.metadata.grant_types.contains(&GrantType::ClientCredentials);
        let Some(name) = LoginName::parse(&table.id).filter(|_| acts) else { return Ok(true) };
        let administration = self.administration;
        let holder = administration.services.store.find_account_by_name(&administration.tenant, &name).await?;
        let is_of_another = holder.is_some_and(|holder| holder.subject.as_str() != table.id);
        if is_of_another || self.is_former_name_of_another(&name, &table.id) {
            let fault = "the id is or was the login name of an account, and the client would act under it";
            self.wrong(CLIENT, table, fault, "write another id");
            return Ok(false);
        }
        Ok(true)
    }

    fn add_client(&mut self, table: &RecordTable<DeclaredClient>, wanted: &DeclaredClient, id: ClientId) {
        let administration = self.administration;
        let mut client = administration.new_client(id, wanted.metadata.clone(), wanted.resource.clone());
        let secret = wanted.secret.map(|hash| ClientSecretHash::of(hash, client.created_at));
        client.secrets = secret.into_iter().collect();
        client.disabled = wanted.disabled == Some(true);
        client.lifetimes = wanted.lifetimes;
        let (row, service) =
            (administration.row_of_new(&client), Account::of_client(&client, client.created_at).map(Box::new));
        self.step(TableStep::AddClient { client: Box::new(client), service }, row);
        self.differ(table, CLIENT, TableAction::Add, (Vec::new(), 0));
    }

    async fn change_client(
        &mut self,
        table: &RecordTable<DeclaredClient>,
        wanted: &DeclaredClient,
        (before, action): (Client, TableAction),
    ) -> Result<(), AdministrationError> {
        let administration = self.administration;
        let id = before.id.clone();
        let (metadata, resource) = (wanted.metadata.clone(), wanted.resource.clone());
        let after = Client { metadata, resource, lifetimes: wanted.lifetimes, ..before.clone() };
        let change = ClientChange { before, after };
        let standing = administration.standing_of(&id).await?;
        let is_disabled_now = wanted.disabled == Some(true) && !change.before.disabled;
        let ending = standing.iter().filter(|grant| change.ends(grant) || is_disabled_now).count();
        let members = changed_members(&change);
        let mut changes: Vec<_> =
            members.into_iter().map(|(name, before, after)| TableChange::shown(&name, before, after)).collect();
        let before = change.before.clone();
        if !changes.is_empty() {
            let row = administration.row_of_change(&change);
            let service = Account::of_client(&change.after, row.at).map(Box::new);
            self.step(TableStep::ChangeClient { change: Box::new(change), service }, row);
        }
        if let Some((by, row)) = administration.replaced_secret(&before, wanted) {
            changes.push(TableChange::secret("secret"));
            self.step(TableStep::ReplaceSecret { id: id.clone(), by }, row);
        }
        if let Some(disabled) = wanted.disabled.filter(|disabled| *disabled != before.disabled) {
            changes.push(TableChange::shown("disabled", before.disabled.into(), disabled.into()));
            let event = if disabled { AuditEvent::ClientDisabled } else { AuditEvent::ClientEnabled };
            let row = administration.audit_about(event, &id);
            self.step(TableStep::DisableClient { id, disabled }, row);
        }
        if action != TableAction::Change || !changes.is_empty() {
            self.differ(table, CLIENT, action, (changes, ending));
        }
        Ok(())
    }
}

impl Administration {
    /// Returns whether an id begins as those that the gateway gives.
    fn gives(&self, id: &str) -> bool {
        let given = format!("{}_", self.config.brand.as_str());
        id.to_ascii_lowercase().starts_with(&given)
    }

    /// Returns how the secret of a client is replaced; `None` if it is the one of the table.
    fn replaced_secret(&self, before: &Client, wanted: &DeclaredClient) -> Option<(Option<SecretRotation>, AuditRow)> {
        let row = self.audit_about(AuditEvent::ClientSecretRotated, &before.id);
        let Some(hash) = wanted.secret else {
            let reason = Some("client_secret".to_owned());
            let row = AuditRow { reason, ..self.audit_about(AuditEvent::ClientEdited, &before.id) };
            return (!before.secrets.is_empty()).then_some((None, row));
        };
        if before.current_secret().is_some_and(|secret| secret.hash == hash) {
            return None;
        }
        let until = row.at.plus(self.config.tokens.secret_overlap);
        Some((Some(SecretRotation { new: ClientSecretHash::of(hash, row.at), previous_until: until }), row))
    }
}
