//! API keys in memory.

use async_trait::async_trait;

use super::super::{Change, Issued, KEYS_PER_ACCOUNT, KeyAdded, KeyStore, NewKey, Result, RotateKey, limits};
use super::{MemoryStore, State, prune};
use crate::oauth::{AccessTokenRecord, Grant};

impl State {
    fn insert_key(&mut self, key: &NewKey) -> KeyAdded {
        let new = &key.grant;
        let is_person = self.account(&new.tenant, new.subject.id()).is_some_and(|a| a.subject.is_person());
        if !is_person || !new.subject.is_person() || !self.parties_enabled(&new.tenant, &new.client, new.subject.id()) {
            return KeyAdded::NotFound;
        }
        let is_of = |grant: &&Grant| grant.tenant == new.tenant && grant.subject == new.subject && grant.key.is_some();
        let active = self.grants.iter().filter(is_of).filter(|grant| grant.is_active(new.created_at)).count();
        if u64::try_from(active).is_ok_and(|active| active >= KEYS_PER_ACCOUNT) {
            return KeyAdded::TooMany;
        }
        let issued = key.issue();
        self.grants.push(Grant::clone(&issued.grant));
        KeyAdded::Added(Box::new(self.added(issued)))
    }

    fn rotate_key(&mut self, by: &RotateKey) -> Option<Issued> {
        let tenant = &by.audit.tenant;
        let found = self.grant(tenant, by.grant)?.clone();
        let issued = by.issue(&found).filter(|_| self.parties_enabled(tenant, &found.client, found.subject.id()))?;
        let is_of = |token: &AccessTokenRecord| token.tenant == *tenant && token.grant == by.grant;
        let tokens: Vec<_> = self.tokens.iter().rev().map(|(_, t)| t).filter(|t| is_of(t)).cloned().collect();
        for (newer, token) in tokens.into_iter().enumerate() {
            let replaced = by.replaced(newer, &token);
            let change = match replaced {
                Some(_) => Change::AccountGroupsChanged(tenant.clone(), found.subject.id().clone()),
                None => Change::AccessTokenRevoked(tenant.clone(), token.hash),
            };
            for (_, kept) in self.tokens.iter_mut().filter(|(_, kept)| is_of(kept) && kept.hash == token.hash) {
                replaced.iter().for_each(|replaced| *kept = replaced.clone());
            }
            prune(&mut self.tokens, |(_, kept)| replaced.is_some() || !is_of(kept) || kept.hash != token.hash);
            self.announce(by.audit.at, change);
        }
        self.put_grant(&issued.grant);
        Some(self.added(issued))
    }

    /// Adds the token of a key and completes it.
    fn added(&mut self, issued: Issued) -> Issued {
        self.add_issued(&issued);
        self.issued(&issued.grant.tenant, &issued.grant.client, issued.token.issued_at);
        let token = self.with_groups(AccessTokenRecord::clone(&issued.token));
        Issued { token: Box::new(token), ..issued }
    }
}

#[async_trait]
impl KeyStore for MemoryStore {
    async fn insert_key(&self, key: NewKey) -> Result<KeyAdded> {
        limits::key(&key.grant)?;
        Ok(self.write().insert_key(&key))
    }

    async fn rotate_key(&self, by: RotateKey) -> Result<Option<Issued>> {
        Ok(self.write().rotate_key(&by))
    }
}
