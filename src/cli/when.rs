//! Parses times and durations as written on the command line.

use time::macros::format_description;
use time::{Date, OffsetDateTime, PrimitiveDateTime, UtcOffset};

use crate::clock::{Clock as _, SystemClock};
use crate::config;
use crate::oauth::{Lifetime, Timestamp};

/// The accepted forms, for messages.
const EXPECTED: &str =
    "write an age such as 30m, 12h or 7d, a date such as 2026-11-28, or a time such as 2026-11-28T18:05:00Z";

/// Parses an age, a date (its first moment in UTC), or a time as in RFC 3339.
pub(super) fn parse(text: &str) -> Result<Timestamp, String> {
    let now = SystemClock.now();
    if let Some(age) = config::duration(text) {
        return Ok(Timestamp::from_millis(now.as_millis().saturating_sub(age.as_millis())));
    }
    parse_moment(text).ok_or_else(|| EXPECTED.to_owned())
}

/// Parses a duration.
pub(super) fn duration(text: &str) -> Result<Lifetime, String> {
    config::duration(text).ok_or_else(|| "a duration needs a unit: 90s, 10m, 1h, 1d".to_owned())
}

fn parse_moment(text: &str) -> Option<Timestamp> {
    let day = Date::parse(text, format_description!("[year]-[month]-[day]")).ok();
    let moment = match day {
        Some(day) => PrimitiveDateTime::new(day, time::Time::MIDNIGHT).assume_offset(UtcOffset::UTC),
        None => OffsetDateTime::parse(text, &time::format_description::well_known::Rfc3339).ok()?,
    };
    u64::try_from(moment.unix_timestamp_nanos() / 1_000_000).ok().map(Timestamp::from_millis)
}

#[cfg(test)]
mod tests {
    use super::{parse, parse_moment};
    use crate::clock::{Clock as _, SystemClock};

    #[test]
    fn dates_moments_and_ages_are_read() {
        assert_eq!(parse_moment("2027-01-15").map(|at| at.as_secs()), Some(1_799_971_200));
        assert_eq!(parse_moment("2027-01-15T08:00:00Z").map(|at| at.as_secs()), Some(1_800_000_000));
        assert_eq!(parse_moment("2027-01-15T09:00:00+01:00").map(|at| at.as_secs()), Some(1_800_000_000));
        let ago = SystemClock.now().since(parse("2h").unwrap()).as_secs();
        assert!((7199..=7201).contains(&ago), "{ago}");
        for wrong in ["", "yesterday", "2027-13-01", "2027-01-15 08:00", "08:00", "1960-01-01"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
