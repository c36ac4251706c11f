//! Tokens that clients get for themselves and for people who are absent, in memory.

use super::super::client_token::TOKENS_PER_CLIENT;
use super::super::{
    Account, AccountStatus, Change, EndedActing, GrantFilter, IssueFor, IssueToClient, Issued, Result, StoreError,
    limits,
};
use super::State;
use crate::oauth::{AccessTokenRecord, Grant, Timestamp};

impl State {
    pub(super) fn issue_to_client(&mut self, request: &IssueToClient) -> Result<Option<Issued>> {
        let new = &request.grant;
        limits::resource(new.resource.as_str())?;
        if self.client(&new.tenant, &new.client).is_none_or(|client| client.disabled) {
            return Ok(None);
        }
        let is_enabled = match &request.subject {
            IssueFor::Service(service) => self.add_service(service)?,
            IssueFor::Person => self.account(&new.tenant, new.subject.id()).is_some_and(|account| {
                let is_theirs = account.subject == new.subject && account.subject.is_person();
                is_theirs && account.status == AccountStatus::Enabled
            }),
        };
        let of = (&new.tenant, new.subject.id(), &new.client);
        if !is_enabled || self.ended_acting.iter().any(|ended| (&ended.tenant, &ended.subject, &ended.client) == of) {
            return Ok(None);
        }
        let is_of = |grant: &&Grant| {
            let of = (&grant.tenant, &grant.client, &grant.subject, &grant.resource);
            of == (&new.tenant, &new.client, &new.subject, &new.resource)
        };
        let found = self.grants.iter().filter(is_of).find(|grant| request.fits(grant)).cloned();
        let issued = match found {
            None => {
                let grant = request.new_grant();
                self.grants.push(grant.clone());
                request.issue(grant, true)
            }
            Some(found) => {
                let prolonged = request.prolonged(&found);
                prolonged.iter().for_each(|grant| self.put_grant(grant));
                request.issue(prolonged.unwrap_or(found), false)
            }
        };
        self.add_issued(&issued);
        self.remove_surplus(&issued.token, request);
        self.issued(&new.tenant, &new.client, request.now);
        let token = self.with_groups(AccessTokenRecord::clone(&issued.token));
        Ok(Some(Issued { token: Box::new(token), ..issued }))
    }

    /// Keeps the clients of unrevoked grants that are about to end from acting for the same people again.
    pub(super) fn end_acting(&mut self, which: impl Fn(&Grant) -> bool, at: Timestamp) {
        let standing = self.grants.iter().filter(|grant| grant.acting && grant.revoked_at.is_none() && which(grant));
        let standing: Vec<_> = standing.cloned().collect();
        for Grant { tenant, client, subject, .. } in standing {
            let ended = EndedActing { tenant, subject: subject.id().clone(), client, at };
            let of = |e: &EndedActing| (e.tenant.clone(), e.subject.clone(), e.client.clone());
            self.ended_acting.retain(|other| of(other) != of(&ended));
            self.ended_acting.push(ended);
        }
    }

    /// Lists which clients may no longer act for whom, the newest first.
    pub(super) fn list_ended_acting(&self, of: &GrantFilter) -> Vec<EndedActing> {
        let meant =
            self.ended_acting.iter().filter(|ended| of.wants_parties(&ended.tenant, &ended.subject, &ended.client));
        let mut found: Vec<_> = meant.cloned().collect();
        found.sort_by(|a, b| (b.at, &a.subject, &a.client).cmp(&(a.at, &b.subject, &b.client)));
        found
    }

    /// Adds a service account if it is missing; returns whether it is enabled.
    fn add_service(&mut self, service: &Account) -> Result<bool> {
        if let Some(found) = self.account(&service.tenant, service.subject.id()) {
            return Ok(found.subject == service.subject && found.status == AccountStatus::Enabled);
        }
        limits::account(service)?;
        if self.is_name_of_another(&service.tenant, &service.name, service.subject.id()) {
            return Err(StoreError::Conflict("the name of the service account is taken".to_owned()));
        }
        self.accounts.push(service.clone());
        Ok(true)
    }

    /// Removes the oldest tokens of a grant that are too many, and announces that.
    fn remove_surplus(&mut self, issued: &AccessTokenRecord, request: &IssueToClient) {
        let theirs = |t: &AccessTokenRecord| t.tenant == issued.tenant && t.grant == issued.grant;
        let newest_first = self.tokens.iter().rev().map(|(_, t)| t).filter(|t| theirs(t));
        let surplus: Vec<_> = newest_first.skip(TOKENS_PER_CLIENT.into()).map(|t| t.hash).collect();
        self.tokens.retain(|(_, t)| !surplus.contains(&t.hash));
        for hash in surplus {
            self.announce(request.now, Change::AccessTokenRevoked(issued.tenant.clone(), hash));
        }
    }
}
