//! `EphemeralStore`: records that live for minutes.

use crate::oauth::Timestamp;
use crate::store::embedded::rows::ephemeral;
use crate::store::{Advance, Ephemeral, EphemeralKey, EphemeralLimits, Insertion, Result, Update};

implement! { EphemeralStore:
    write put_ephemeral(new: Ephemeral, limits: EphemeralLimits) -> Insertion
        = |db| ephemeral::insert(db, &new, &limits);
    read find_ephemeral(key: &EphemeralKey, now: Timestamp) -> Option<Ephemeral>
        = |db| ephemeral::find(db, &key, now);
    write advance_ephemeral(key: &EphemeralKey, by: Advance, limits: EphemeralLimits, now: Timestamp) -> Update
        = |db| ephemeral::advance(db, &key, &by, Some(&limits), now);
}
