//! Ephemeral records, which live for minutes, in memory.

use std::cmp::Reverse;
use std::collections::HashMap;

use async_trait::async_trait;

use super::super::ephemeral::{Holder, Place};
use super::super::{
    Advance, Ephemeral, EphemeralKey, EphemeralKind, EphemeralLimits, EphemeralStep, EphemeralStore, Insertion, Result,
    StoreError, Update, limits,
};
use super::{MemoryStore, State};
use crate::oauth::{TenantId, Timestamp};

impl State {
    /// Removes as many ephemeral records as needed for one more to stay within the limits.
    fn make_room(&mut self, place: &Place, limits: &EphemeralLimits) {
        let Place { holder, weight } = *place;
        let at_host = |other: &Holder| *other == holder;
        while self.held_by(&at_host) + weight > holder.limit(limits) && self.remove_first(&at_host) {}
        let at_site = |other: &Holder| other.is_at_site_of(&holder);
        while self.held_by(&at_site) + weight > holder.limit_of_site(limits) && self.remove_of_heaviest(&at_site) {}
        while self.held_by(&|other: &Holder| other.competes_with(&holder)) + weight > limits.in_all {
            let Some(site) = self.heaviest(|other| other.competes_with(&holder), Holder::site) else { return };
            self.remove_of_heaviest(&|other: &Holder| other.is_at_site_of(&site));
        }
    }

    /// Returns whether one more record stays within the limits.
    fn has_room(&self, Place { holder, weight }: &Place, limits: &EphemeralLimits) -> bool {
        let fits = |held: u64, limit| held == 0 || held + weight <= limit;
        fits(self.held_by(&|other: &Holder| other == holder), holder.limit(limits))
            && fits(self.held_by(&|other: &Holder| other.is_at_site_of(holder)), holder.limit_of_site(limits))
            && fits(self.held_by(&|other: &Holder| other.competes_with(holder)), limits.in_all)
    }

    fn held_by(&self, is_meant: &impl Fn(&Holder) -> bool) -> u64 {
        let places = self.ephemerals.iter().map(Place::of);
        places.filter(|place| is_meant(&place.holder)).map(|place| place.weight).sum()
    }

    /// Returns who holds the most of the records that `is_meant` selects, grouped by `key`; among equals, the one whose
    /// newest record is oldest.
    fn heaviest(&self, is_meant: impl Fn(&Holder) -> bool, key: impl Fn(Holder) -> Holder) -> Option<Holder> {
        let mut held: HashMap<Holder, (u64, Reverse<usize>)> = HashMap::new();
        for (no, place) in self.ephemerals.iter().map(Place::of).enumerate().filter(|(_, p)| is_meant(&p.holder)) {
            let entry = held.entry(key(place.holder)).or_insert((0, Reverse(no)));
            *entry = (entry.0 + place.weight, Reverse(no));
        }
        held.into_iter().max_by_key(|(_, held)| *held).map(|(holder, _)| holder)
    }

    /// Removes one record of the host that holds the most of those selected; returns whether there was one.
    fn remove_of_heaviest(&mut self, is_meant: &impl Fn(&Holder) -> bool) -> bool {
        let heaviest = self.heaviest(is_meant, |holder| holder);
        heaviest.is_some_and(|heaviest| self.remove_first(&|other: &Holder| *other == heaviest))
    }

    /// Removes the oldest ended record, else the oldest; returns whether there was one.
    fn remove_first(&mut self, is_meant: &impl Fn(&Holder) -> bool) -> bool {
        let theirs = self.ephemerals.iter().enumerate().filter(|(_, i)| is_meant(&Place::of(i).holder));
        let first = theirs.min_by_key(|(no, i)| (i.step != EphemeralStep::Ended, *no)).map(|(no, _)| no);
        first.map(|no| self.ephemerals.remove(no)).is_some()
    }

    pub(super) fn ephemeral(&mut self, key: &EphemeralKey, now: Timestamp) -> Option<&mut Ephemeral> {
        self.ephemerals.iter_mut().find(|one| one.key == *key && now < one.expires_at)
    }

    /// Moves a record to its next step, if it is at the expected one. With `limits`, there must be room for it in its
    /// new place.
    pub(super) fn advance_ephemeral(
        &mut self,
        key: &EphemeralKey,
        by: &Advance,
        limits: Option<&EphemeralLimits>,
        now: Timestamp,
    ) -> Result<Update> {
        limits::body(by.body.as_deref())?;
        let found = self.ephemeral(key, now).filter(|one| one.step == by.from);
        let Some((place, advanced)) = found.map(|one| (Place::of(one), one.advanced(by))) else {
            return Ok(Update::NotFound);
        };
        let moved = Place::of(&advanced);
        if let Some(limits) = limits.filter(|_| by.to == EphemeralStep::Consent && moved.holder != place.holder) {
            self.make_room(&moved, limits);
        }
        // The record itself may have taken the room.
        let Some(one) = self.ephemeral(key, now) else { return Ok(Update::NotFound) };
        *one = advanced;
        Ok(Update::Done)
    }
}

#[async_trait]
impl EphemeralStore for MemoryStore {
    async fn put_ephemeral(&self, new: Ephemeral, limits: EphemeralLimits) -> Result<Insertion> {
        limits::body(new.body.as_deref())?;
        let mut state = self.write();
        if new.client.as_ref().is_some_and(|client| state.client(&new.key.tenant, client).is_none()) {
            return Err(StoreError::Conflict("the client is not in the store".to_owned()));
        }
        if state.ephemerals.iter().any(|one| one.key == new.key) {
            return Ok(Insertion::Exists);
        }
        let place = Place::of(&new);
        if new.key.kind.gives_way() {
            state.make_room(&place, &limits);
        } else if !state.has_room(&place, &limits) {
            return Ok(Insertion::Full);
        }
        state.ephemerals.push(new);
        Ok(Insertion::Inserted)
    }

    async fn find_ephemeral(&self, key: &EphemeralKey, now: Timestamp) -> Result<Option<Ephemeral>> {
        Ok(self.read().ephemeral(key, now).cloned())
    }

    async fn list_ephemerals(&self, tenant: &TenantId, kind: EphemeralKind, now: Timestamp) -> Result<Vec<Ephemeral>> {
        let is_meant = |one: &&Ephemeral| one.key.tenant == *tenant && one.key.kind == kind && now < one.expires_at;
        Ok(self.read().ephemerals.iter().filter(is_meant).cloned().collect())
    }

    async fn advance_ephemeral(
        &self,
        key: &EphemeralKey,
        advance: Advance,
        limits: EphemeralLimits,
        now: Timestamp,
    ) -> Result<Update> {
        self.write().advance_ephemeral(key, &advance, Some(&limits), now)
    }
}
