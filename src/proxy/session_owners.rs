//! `SessionOwners`: who got which session id last, for as many ids as there is room. Those of callers without a token
//! have room of their own, so that strangers cannot push out what users have.

use std::collections::HashMap;

/// Ids of users per half of a shard; each shard has two halves, and an id takes some 32 bytes. With all shards 524,288.
const OF_USERS: usize = 16_384;
/// Ids of callers without a token per half. With all shards 32,768.
const OF_NOBODY: usize = 1024;

/// Whose a session is: a hash, of which the lowest bit says that it is a caller without a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SessionOwner(u64);

impl SessionOwner {
    pub(super) fn new(hash: u64, is_anonymous: bool) -> Self {
        Self((hash & !1) | u64::from(is_anonymous))
    }

    fn is_anonymous(self) -> bool {
        self.0 & 1 == 1
    }
}

/// Who got an id last, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Given {
    owner: SessionOwner,
    /// Milliseconds since the epoch, and always more than for the previous owner.
    since: u64,
}

/// Ids that were given. Those not used while `recent` was filled twice are dropped.
#[derive(Debug, Default)]
struct RecentIds<const MOST: usize> {
    recent: HashMap<u64, Given>,
    older: HashMap<u64, Given>,
    /// The newest time among the dropped ids. An unknown id that is not newer may belong to somebody else by now.
    forgotten: u64,
}

impl<const MOST: usize> RecentIds<MOST> {
    /// Returns the entry of an id, which counts as a use.
    fn get(&mut self, id: u64) -> Option<Given> {
        if let Some(given) = self.recent.get(&id) {
            return Some(*given);
        }
        let given = self.older.remove(&id)?;
        self.put(id, given);
        Some(given)
    }

    fn put(&mut self, id: u64, given: Given) {
        if self.recent.len() >= MOST {
            let oldest = std::mem::replace(&mut self.older, std::mem::take(&mut self.recent));
            let newest = oldest.values().map(|given| given.since).max().unwrap_or(0);
            self.forgotten = self.forgotten.max(newest);
        }
        self.recent.insert(id, given);
    }

    fn remove(&mut self, id: u64) -> Option<Given> {
        let older = self.older.remove(&id);
        self.recent.remove(&id).or(older)
    }
}

/// A part of the ids, each with whoever got it last.
#[derive(Debug, Default)]
pub(super) struct SessionOwners {
    users: RecentIds<OF_USERS>,
    nobody: RecentIds<OF_NOBODY>,
}

impl SessionOwners {
    /// Returns whose an id is, as far as this process knows, which counts as a use.
    pub(super) fn owner(&mut self, id: u64) -> Option<SessionOwner> {
        self.get(id).map(|given| given.owner)
    }

    fn get(&mut self, id: u64) -> Option<Given> {
        self.users.get(id).or_else(|| self.nobody.get(id))
    }

    fn put(&mut self, id: u64, given: Given) {
        if !given.owner.is_anonymous() {
            self.nobody.remove(id);
            return self.users.put(id, given);
        }
        // The upstream gives the id of a user again. Whoever asks with what the user got must not get what is new.
        if let Some(gone) = self.users.remove(id) {
            self.users.forgotten = self.users.forgotten.max(gone.since);
        }
        self.nobody.put(id, given);
    }

    /// Returns until when an unknown id may have been somebody else's. A session without a token may be a user's by
    /// now, but a user's is never one without a token.
    fn forgotten(&self, owner: SessionOwner) -> u64 {
        let of_all = self.users.forgotten.max(self.nobody.forgotten);
        if owner.is_anonymous() { of_all } else { self.users.forgotten }
    }

    /// Gives an id to an owner; returns since when it belongs to that owner.
    pub(super) fn give(&mut self, id: u64, owner: SessionOwner, now: u64) -> u64 {
        let since = match self.get(id) {
            // The same owner may get it again, as without a gateway.
            Some(given) if given.owner == owner => return given.since,
            Some(given) => now.max(given.since.saturating_add(1)),
            None => now.max(self.users.forgotten.max(self.nobody.forgotten).saturating_add(1)),
        };
        self.put(id, Given { owner, since });
        since
    }

    /// Confirms that nobody else got the id since `owner` got it at `since`, and remembers it if it was unknown: then
    /// it was given before this process started or by another replica, which is only accepted if that was not before
    /// `least`.
    pub(super) fn confirm_owner(&mut self, id: u64, owner: SessionOwner, since: u64, least: u64) -> bool {
        match self.get(id) {
            Some(given) if since <= given.since => given == Given { owner, since },
            Some(_) | None if since <= self.forgotten(owner) || since < least => false,
            Some(_) | None => {
                self.put(id, Given { owner, since });
                true
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{OF_NOBODY, OF_USERS, SessionOwner, SessionOwners};

    fn user(hash: u64) -> SessionOwner {
        SessionOwner::new(hash, false)
    }

    fn nobody(hash: u64) -> SessionOwner {
        SessionOwner::new(hash, true)
    }

    #[test]
    fn hd_12_an_id_that_was_given_again_is_the_later_owners_alone() {
        let mut owners = SessionOwners::default();
        let first = owners.give(1, user(10), 500);
        assert!(first == 500 && owners.confirm_owner(1, user(10), first, 0) && owners.give(1, user(10), 600) == 500);
        // The clock has been set back meanwhile.
        let second = owners.give(1, user(20), 400);
        assert!(
            second == 501
                && owners.confirm_owner(1, user(20), second, 0)
                && !owners.confirm_owner(1, user(10), first, 0)
        );
        // Ids that this process did not give: the newest one seen counts.
        assert!(
            owners.confirm_owner(2, user(10), 700, 0)
                && owners.confirm_owner(2, user(20), 800, 0)
                && !owners.confirm_owner(2, user(10), 700, 0)
        );
        // One that is likely to be reused is only accepted since the start.
        assert!(!owners.confirm_owner(3, user(10), 899, 900) && owners.confirm_owner(3, user(10), 900, 900));
    }

    #[test]
    fn hd_12_what_was_forgotten_is_refused_and_what_is_in_use_is_not_forgotten() {
        let mut owners = SessionOwners::default();
        let (kept, left) = (owners.give(1, user(10), 5), owners.give(2, user(10), 6));
        for id in 0..2 * OF_USERS {
            owners.give(u64::try_from(id).unwrap() + 3, user(10), 7);
            assert!(owners.confirm_owner(1, user(10), kept, 0), "after {id} others");
        }
        assert!(!owners.confirm_owner(2, user(10), left, 0));
        assert!(owners.users.recent.len() <= OF_USERS && owners.users.older.len() <= OF_USERS);
        assert!(owners.give(2, user(20), 1) > left, "whoever is given it now is its owner");
    }

    #[test]
    fn an_06_sessions_without_a_token_push_out_only_their_like() {
        let mut owners = SessionOwners::default();
        let (users, first) = (owners.give(1, user(10), 5), owners.give(2, nobody(30), 6));
        for id in 0..4 * OF_NOBODY {
            owners.give(u64::try_from(id).unwrap() + 10, nobody(40), 1000);
        }
        assert!(owners.nobody.recent.len() <= OF_NOBODY && owners.nobody.older.len() <= OF_NOBODY);
        assert!(!owners.confirm_owner(2, nobody(30), first, 0));
        assert!(owners.confirm_owner(1, user(10), users, 0));
        assert!(owners.confirm_owner(3, user(10), 4, 0), "nor those that were given before the start");
    }

    #[test]
    fn an_03_a_session_that_was_taken_over_is_never_again_one_without_a_token() {
        let mut owners = SessionOwners::default();
        let first = owners.give(1, nobody(10), 5);
        owners.give(1, user(20), 5);
        assert!(!owners.confirm_owner(1, nobody(10), first, 0));
        for id in 0..4 * OF_USERS {
            owners.give(u64::try_from(id).unwrap() + 10, user(30), 7);
        }
        assert!(!owners.confirm_owner(1, nobody(10), first, 0), "also when it was forgotten");
    }

    #[test]
    fn hd_12_a_users_id_that_was_given_to_somebody_without_a_token_is_the_users_no_more() {
        let mut owners = SessionOwners::default();
        let first = owners.give(1, user(10), 5);
        owners.give(1, nobody(20), 6);
        for id in 0..4 * OF_NOBODY {
            owners.give(u64::try_from(id).unwrap() + 10, nobody(30), 7);
        }
        assert!(!owners.confirm_owner(1, user(10), first, 0));
    }
}
