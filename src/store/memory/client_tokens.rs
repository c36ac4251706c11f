//! Tokens that clients get for themselves, in memory.

use super::super::client_token::TOKENS_PER_CLIENT;
use super::super::{Account, AccountStatus, Change, IssueToClient, Issued, Result, StoreError, limits};
use super::State;
use crate::oauth::{AccessTokenRecord, Grant};

impl State {
    pub(super) fn issue_to_client(&mut self, request: &IssueToClient) -> Result<Option<Issued>> {
        let new = &request.grant;
        limits::resource(new.resource.as_str())?;
        if self.client(&new.tenant, &new.client).is_none_or(|client| client.disabled)
            || !self.add_service(&request.service)?
        {
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
