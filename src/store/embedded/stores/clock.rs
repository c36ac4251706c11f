//! `ClockStore`: the recorded time.

use crate::oauth::Timestamp;
use crate::store::embedded::rows::{clients, clock};
use crate::store::{AuditRow, ClockNote, Result};

implement! { ClockStore:
    read clock_note() -> Option<ClockNote> = |db| clock::note(db);
    write note_time(seen: Timestamp) -> () = |db| clock::note_seen(db, seen);
    write accept_time(audit: AuditRow) -> () = |db| clock::accept(db, &audit);
    write turn_back(told: Timestamp, now: Timestamp) -> u64 = |db| clock::turn_back(db, told, now);
    write shorten_secrets(latest: Timestamp) -> u64 = |db| clients::shorten_secrets(db, latest);
}
