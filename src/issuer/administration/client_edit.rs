//! Changing clients: what the change would end is told first, then it is made.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::clients::{Unasked, group_set};
use super::tables::CHANGE_THERE;
use super::{Administration, AdministrationError, scopes_among};
use crate::oauth::{
    Client, ClientId, ClientLifetimes, ClientMetadata, ClientOrigin, Grant, GrantType, GroupSet, Lifetime,
    RegistrationPolicy, with_acting,
};
use crate::store::{AuditEvent, AuditRow, ClientChange, GrantFilter};

/// What an operator changes of a client. What is `None` or empty stays as it is.
#[derive(Debug, Clone, Default)]
pub struct ClientEdit {
    /// The new display name.
    pub name: Option<String>,
    /// Redirect URIs that it gets.
    pub add_redirect_uris: Vec<String>,
    /// Redirect URIs that it loses, as they are registered.
    pub remove_redirect_uris: Vec<String>,
    /// What it is bound to.
    pub binding: Option<Binding>,
    /// The scopes that it may be granted at most; an empty list for all.
    pub scopes: Option<Vec<String>>,
    /// The grant types that it may use; empty for those that it has.
    pub grant_types: Vec<GrantType>,
    /// The groups for whose members it may act while they are absent; an empty list for nobody.
    pub may_act_for: Option<Vec<String>>,
    /// The lifetimes that change, with the new ones; `Some(None)` for those of all.
    pub lifetimes: LifetimeEdit,
}

/// What an operator changes of a client's lifetimes: `Some(None)` for those of all clients.
#[derive(Debug, Clone, Copy, Default)]
pub struct LifetimeEdit {
    /// Of access tokens.
    pub access: Option<Option<Lifetime>>,
    /// Of refresh tokens that are not used.
    pub refresh_idle: Option<Option<Lifetime>>,
    /// Of refresh tokens in any case.
    pub refresh_absolute: Option<Option<Lifetime>>,
}

impl LifetimeEdit {
    /// Returns the lifetimes after the change.
    #[must_use]
    pub fn applied_to(&self, before: ClientLifetimes) -> ClientLifetimes {
        ClientLifetimes {
            access: self.access.unwrap_or(before.access),
            refresh_idle: self.refresh_idle.unwrap_or(before.refresh_idle),
            refresh_absolute: self.refresh_absolute.unwrap_or(before.refresh_absolute),
        }
    }
}

/// Which upstreams a client may use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Binding {
    /// The one with this name.
    Upstream(String),
    /// Every upstream, those added later too.
    Any,
}

/// A change that is allowed and not made yet.
#[derive(Debug)]
pub struct PlannedEdit {
    change: ClientChange,
    /// The number of active grants that end by it.
    pub ending: usize,
}

impl ClientEdit {
    /// Returns whether it changes anything that a client registers about itself.
    fn is_of_metadata(&self) -> bool {
        self.name.is_some()
            || !self.add_redirect_uris.is_empty()
            || !self.remove_redirect_uris.is_empty()
            || self.scopes.is_some()
            || !self.grant_types.is_empty()
            || self.may_act_for.is_some()
    }

    /// Returns the redirect URIs of a client after the change.
    fn redirect_uris(&self, of: &Client) -> Result<Vec<String>, AdministrationError> {
        let mut uris: Vec<_> = of.metadata.redirect_uris.as_slice().iter().map(|uri| uri.as_str().to_owned()).collect();
        for gone in &self.remove_redirect_uris {
            let at = uris.iter().position(|uri| uri == gone);
            let at = at.ok_or_else(|| AdministrationError::NoSuchRedirectUri(gone.clone()))?;
            uris.remove(at);
        }
        let new = self.add_redirect_uris.iter().filter(|uri| !uris.contains(uri)).cloned().collect::<Vec<_>>();
        uris.extend(new);
        Ok(uris)
    }
}

impl Administration {
    /// Checks a change of a client, and counts what it would end. Of clients that no operator added only binding and
    /// lifetimes can be changed, because the rest is what they say of themselves.
    ///
    /// # Errors
    /// `NoSuchClient`, `NotOperators`, `NoSuchRedirectUri`, `NoSuchUpstream`, `NoSuchScope`, `ServiceWithoutSecret`,
    /// `ServiceWithoutScope`, `BadGroup`, `ActingForNobody`, `ActingWithoutKeys`, `ActingWithoutScope`, `NoGrantLeft`,
    /// `BadClient`, `LeftOut`, `Lifetimes`, `Store`.
    pub async fn plan_edit(&self, id: &str, edit: &ClientEdit) -> Result<PlannedEdit, AdministrationError> {
        let before = self.client(id).await?;
        self.expect_not_in_file(id, CHANGE_THERE)?;
        let is_built_in = self.built_in_client_ids().iter().any(|own| own == id);
        if is_built_in || (before.origin != ClientOrigin::Manual && edit.is_of_metadata()) {
            return Err(AdministrationError::NotOperators(id.to_owned()));
        }
        let resource = match &edit.binding {
            None => before.resource.clone(),
            Some(Binding::Any) if before.resource_server().is_some() => before.resource.clone(),
            Some(Binding::Any) => None,
            Some(Binding::Upstream(name)) => Some(self.upstream(Some(name))?.resource.clone()),
        };
        let lifetimes = edit.lifetimes.applied_to(before.lifetimes);
        if lifetimes != before.lifetimes {
            self.check_lifetimes(&lifetimes, resource.as_ref())?;
        }
        let mut after = Client { resource, lifetimes, ..before.clone() };
        if edit.is_of_metadata() {
            after.metadata = self.edited(&after, edit)?;
        }
        let change = ClientChange { before, after };
        let standing = self.standing_of(&change.before.id).await?;
        Ok(PlannedEdit { ending: standing.iter().filter(|grant| change.ends(grant)).count(), change })
    }

    /// Lists the active grants of a client.
    pub(super) async fn standing_of(&self, client: &ClientId) -> Result<Vec<Grant>, AdministrationError> {
        let theirs = GrantFilter::of_client(&self.tenant, client);
        Ok(self.services.store.list_grants(&theirs, self.services.clock.now()).await?)
    }

    /// Starts the audit row of a change.
    pub(super) fn row_of_change(&self, change: &ClientChange) -> AuditRow {
        let after = &change.after;
        let members: Vec<_> = changed_members(change).into_iter().map(|(name, ..)| name).collect();
        AuditRow {
            resource: after.resource.clone(),
            scopes: after.scope_limit().cloned(),
            reason: Some(members.join(" ")).filter(|members| !members.is_empty()),
            ..self.audit_about(AuditEvent::ClientEdited, &after.id)
        }
    }

    /// Makes a change; returns the client as it is now, and how many grants ended.
    ///
    /// # Errors
    /// `ClientHasChanged`, `Store`.
    pub async fn edit_client(&self, planned: PlannedEdit) -> Result<(Client, u64), AdministrationError> {
        let PlannedEdit { change, .. } = planned;
        let (after, row) = (change.after.clone(), self.row_of_change(&change));
        let ended = self.services.store.change_client(change, row).await?;
        let gone = || AdministrationError::ClientHasChanged(after.id.as_str().to_owned());
        Ok((after.clone(), ended.ok_or_else(gone)?))
    }

    /// Returns the metadata after the change, by the rules for new clients.
    fn edited(&self, client: &Client, edit: &ClientEdit) -> Result<ClientMetadata, AdministrationError> {
        let scopes = self.config.scopes_at(client.resource.as_ref());
        let old_limit = client.metadata.scope.clone().unwrap_or_default();
        let limit = edit.scopes.as_ref().map_or_else(|| Ok(old_limit), |asked| scopes_among(&scopes, asked))?;
        let grant_types = if edit.grant_types.is_empty() { &client.metadata.grant_types } else { &edit.grant_types };
        let (grant_types, may_act_for) = acting_after(client, edit, grant_types)?;
        let grants: Vec<_> = grant_types.iter().map(|grant| grant.as_str()).collect();
        let auth_method = client.metadata.token_endpoint_auth_method;
        let asked = Unasked { grant_types: &grant_types, may_act_for: &may_act_for, auth_method };
        asked.check(&limit, &scopes)?;
        let mut members: Map<String, Value> = client.metadata.to_json();
        // They follow from the grant types.
        members.remove("response_types");
        if let Some(name) = &edit.name {
            members.insert("client_name".to_owned(), json!(name));
        }
        members.insert("redirect_uris".to_owned(), json!(edit.redirect_uris(client)?));
        members.insert("grant_types".to_owned(), json!(grants));
        members.insert("scope".to_owned(), json!((!limit.is_empty()).then(|| limit.to_string())));
        let is_resource_server = client.resource_server().is_some();
        if is_resource_server {
            members.insert("grant_types".to_owned(), json!([GrantType::ClientCredentials.as_str()]));
        }
        let policy = RegistrationPolicy { may_act_for, ..self.config.operator_registration(scopes.union(&limit)) };
        let body = Value::Object(members).to_string();
        let mut read =
            ClientMetadata::from_registration(body.as_bytes(), &policy).map_err(AdministrationError::BadClient)?;
        if let Some(left_out) = read.left_out.first() {
            return Err(AdministrationError::LeftOut { member: left_out.to_string(), why: left_out.why.clone() });
        }
        if is_resource_server && edit.grant_types.is_empty() {
            read.metadata.grant_types.clear();
        }
        Ok(read.metadata)
    }
}

/// Returns the grant types of a client after the change, and the groups for which it may act. Whoever loses the grant
/// for acting, or all groups, loses both.
fn acting_after(
    client: &Client,
    edit: &ClientEdit,
    grant_types: &[GrantType],
) -> Result<(Vec<GrantType>, GroupSet), AdministrationError> {
    let Some(groups) = &edit.may_act_for else {
        let acts = grant_types.contains(&GrantType::JwtBearer);
        let groups = if acts { client.metadata.may_act_for.clone() } else { GroupSet::default() };
        return Ok((grant_types.to_vec(), groups));
    };
    let groups = group_set(groups)?;
    let others: Vec<_> = grant_types.iter().copied().filter(|grant| *grant != GrantType::JwtBearer).collect();
    let left = with_acting(&others, &groups);
    // An empty list would register the usual grants.
    if left.is_empty() { Err(AdministrationError::NoGrantLeft) } else { Ok((left, groups)) }
}

/// Members of the metadata that follow from others.
const FOLLOWING: [&str; 2] = ["response_types", "token_endpoint_auth_methods_supported"];

/// Returns what a change changes: each member with its value before and after.
pub(super) fn changed_members(change: &ClientChange) -> Vec<(String, Value, Value)> {
    let (before, after) = (change.before.metadata.to_json(), change.after.metadata.to_json());
    let names: BTreeSet<_> =
        before.keys().chain(after.keys()).filter(|name| !FOLLOWING.contains(&name.as_str())).collect();
    let value = |of: &Map<String, Value>, name: &String| of.get(name).cloned().unwrap_or_default();
    let mut changed: Vec<_> =
        names.into_iter().map(|name| (name.clone(), value(&before, name), value(&after, name))).collect();
    changed.retain(|(_, before, after)| before != after);
    let resource = |client: &Client| client.resource.as_ref().map_or(Value::Null, |resource| json!(resource.as_str()));
    if change.before.resource != change.after.resource {
        changed.push(("resource".to_owned(), resource(&change.before), resource(&change.after)));
    }
    let lifetimes = |client: &Client| {
        let ClientLifetimes { access, refresh_idle, refresh_absolute } = client.lifetimes;
        let own = [access, refresh_idle, refresh_absolute].map(|own| own.map(|own| own.to_string()));
        json!(own)
    };
    if change.before.lifetimes != change.after.lifetimes {
        changed.push(("lifetimes".to_owned(), lifetimes(&change.before), lifetimes(&change.after)));
    }
    changed
}
