//! `EphemeralStore`: records that live for minutes.

use crate::oauth::{TenantId, Timestamp};
use crate::store::embedded::rows::ephemeral;
use crate::store::{Advance, Ephemeral, EphemeralKey, EphemeralKind, EphemeralLimits, Insertion, Result, Update};

implement! { EphemeralStore:
    write put_ephemeral(new: Ephemeral, limits: EphemeralLimits) -> Insertion
        = |db| ephemeral::insert(db, &new, &limits);
    read find_ephemeral(key: &EphemeralKey, now: Timestamp) -> Option<Ephemeral>
        = |db| ephemeral::find(db, &key, now);
    read list_ephemerals(tenant: &TenantId, kind: EphemeralKind, now: Timestamp) -> Vec<Ephemeral>
        = |db| ephemeral::list(db, &tenant, kind, now);
    write advance_ephemeral(key: &EphemeralKey, by: Advance, limits: EphemeralLimits, now: Timestamp) -> Update
        = |db| ephemeral::advance(db, &key, &by, Some(&limits), now);
}
