//! `Rooms`: the counts of one limit, in bounded memory. Grants, users and callers without a token each have a room of
//! their own, so that neither strangers nor a user with many grants take the place of anybody else.

use std::hash::RandomState;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use dashmap::DashMap;
use dashmap::mapref::one::RefMut;

use super::day_count::DayCount;
use crate::oauth::{AccountId, Timestamp};
use crate::policy::CountKey;

/// The most counts in a room, some 15 MB. Further grants count as their users, further users or callers without a token
/// share one count, so that nobody's count is lost and nobody is without one.
pub(super) const MOST: usize = 100_000;

const NANOS: u64 = 1_000_000_000;

/// What one user, grant or client has used.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct KeyCount {
    /// When its bucket will be full again, in nanoseconds since the usage began (the theoretical arrival time of the
    /// generic cell rate algorithm).
    pub(super) full_at: u64,
    pub(super) running: u32,
    pub(super) day: DayCount,
}

/// The counts of one limit.
#[derive(Default)]
pub(super) struct Rooms {
    grants: CountRoom,
    users: CountRoom,
    anonymous: CountRoom,
    /// How often there was no room.
    surplus: AtomicU64,
}

#[derive(Default)]
struct CountRoom {
    counts: DashMap<CountKey, KeyCount, RandomState>,
    /// When unused counts were last looked for, in seconds since the usage began.
    tidied_at: AtomicU64,
}

/// The time, in nanoseconds since the usage began, and the day.
#[derive(Debug, Clone, Copy)]
pub(super) struct RoomTime {
    pub(super) nanos: u64,
    pub(super) today: Timestamp,
}

impl Rooms {
    /// Returns where to count something of a user: at its own key, unless there is no room for it.
    pub(super) fn place(&self, key: CountKey, user: &AccountId, now: RoomTime) -> CountKey {
        if self.has_room_for(&key, now) {
            return key;
        }
        self.surplus.fetch_add(1, Relaxed);
        match key {
            CountKey::Grant(_) => Some(CountKey::User(user.clone()))
                .filter(|user| self.has_room_for(user, now))
                .unwrap_or(CountKey::Surplus),
            CountKey::User(_) | CountKey::Client(_) | CountKey::Upstream | CountKey::Surplus => CountKey::Surplus,
            CountKey::Anonymous(_) | CountKey::Address(_) | CountKey::AnonymousSurplus => CountKey::AnonymousSurplus,
        }
    }

    /// Returns whether there is a count of this key, or room for one.
    pub(super) fn has_room_for(&self, key: &CountKey, now: RoomTime) -> bool {
        let room = self.room(key);
        room.counts.contains_key(key) || room.counts.len() < MOST || room.tidy(now)
    }

    /// Returns the count of a key, at first with nothing used.
    pub(super) fn count(&self, key: &CountKey) -> RefMut<'_, CountKey, KeyCount> {
        self.room(key).counts.entry(key.clone()).or_default()
    }

    /// Returns the count of a key, if there is one.
    pub(super) fn find(&self, key: &CountKey) -> Option<RefMut<'_, CountKey, KeyCount>> {
        self.room(key).counts.get_mut(key)
    }

    /// Returns how many counts there are, and how often there was no room for one.
    pub(super) fn figures(&self) -> (usize, u64) {
        let rooms = [&self.grants, &self.users, &self.anonymous];
        (rooms.map(|room| room.counts.len()).iter().sum(), self.surplus.load(Relaxed))
    }

    fn room(&self, key: &CountKey) -> &CountRoom {
        match key {
            CountKey::Grant(_) => &self.grants,
            CountKey::User(_) | CountKey::Client(_) | CountKey::Upstream | CountKey::Surplus => &self.users,
            CountKey::Anonymous(_) | CountKey::Address(_) | CountKey::AnonymousSurplus => &self.anonymous,
        }
    }
}

impl CountRoom {
    /// Removes unused counts, at most once a second; returns whether there is room now.
    fn tidy(&self, now: RoomTime) -> bool {
        let second = now.nanos / NANOS;
        if self.tidied_at.swap(second, Relaxed) != second {
            self.counts
                .retain(|_, count| count.running > 0 || count.full_at > now.nanos || count.day.counts_on(now.today));
        }
        self.counts.len() < MOST
    }
}
