//! `Timestamp` and `Lifetime`: times as plain values. Reading the clock is in `clock`.

/// A moment: milliseconds since the Unix epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(u64);

impl Timestamp {
    /// The end of what never ends: the latest moment that every store can hold.
    pub const NEVER: Self = Self(i64::MAX.unsigned_abs());

    /// Makes a moment from milliseconds since the Unix epoch.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// Makes a moment from whole seconds since the Unix epoch; saturates.
    #[must_use]
    pub const fn from_secs(secs: u64) -> Self {
        Self(secs.saturating_mul(1000))
    }

    /// Returns milliseconds since the Unix epoch.
    #[must_use]
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// Returns whole seconds since the Unix epoch (rounded down), the unit of OAuth's own fields.
    #[must_use]
    pub const fn as_secs(self) -> u64 {
        self.0 / 1000
    }

    /// Returns the moment `lifetime` later; saturates.
    #[must_use]
    pub const fn plus(self, lifetime: Lifetime) -> Self {
        Self(self.0.saturating_add(lifetime.as_millis()))
    }

    /// Returns the first moment of its day in UTC.
    #[must_use]
    pub const fn midnight(self) -> Self {
        Self(self.0 - self.0 % (24 * 3600 * 1000))
    }

    /// Returns the day in UTC, in words: `21 November 2026`; empty for a moment beyond the year 9999.
    #[must_use]
    pub fn day(self) -> String {
        const DAY: &[time::format_description::FormatItem<'_>] =
            time::macros::format_description!("[day padding:none] [month repr:long] [year]");
        self.written(DAY)
    }

    /// Returns the minute in UTC, in words: `21 November 2026, 09:05 UTC`; empty for a moment beyond the year 9999.
    #[must_use]
    pub fn minute(self) -> String {
        const MINUTE: &[time::format_description::FormatItem<'_>] =
            time::macros::format_description!("[day padding:none] [month repr:long] [year], [hour]:[minute] UTC");
        self.written(MINUTE)
    }

    fn written(self, format: &[time::format_description::FormatItem<'_>]) -> String {
        let moment = i64::try_from(self.as_secs()).ok().and_then(|s| time::OffsetDateTime::from_unix_timestamp(s).ok());
        moment.and_then(|moment| moment.format(format).ok()).unwrap_or_default()
    }

    /// Returns how long after `earlier` this moment is; zero when it is not after it.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Lifetime {
        Lifetime::from_millis(self.0.saturating_sub(earlier.0))
    }
}

/// A span of time, at millisecond precision; never negative.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Lifetime(u64);

impl Lifetime {
    /// Makes a span of milliseconds.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// Makes a span of whole seconds; saturates.
    #[must_use]
    pub const fn from_secs(secs: u64) -> Self {
        Self(secs.saturating_mul(1000))
    }

    /// Returns the span in milliseconds.
    #[must_use]
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// Returns the span in whole seconds (rounded down), as in `expires_in`.
    #[must_use]
    pub const fn as_secs(self) -> u64 {
        self.0 / 1000
    }

    /// Returns the span in whole seconds for `Retry-After`: rounded up and at least one, so that nobody comes back too
    /// early.
    #[must_use]
    pub const fn as_pause(self) -> u64 {
        let secs = self.0.div_ceil(1000);
        if secs == 0 { 1 } else { secs }
    }

    /// Returns the span as the standard library's type.
    #[must_use]
    pub const fn as_duration(self) -> std::time::Duration {
        std::time::Duration::from_millis(self.0)
    }
}

/// Writes the span as gateway.toml has it, in the largest unit of which it is a whole number: `4h`, `90m`, `30d`.
impl std::fmt::Display for Lifetime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let units = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000)];
        let whole = units.into_iter().find(|(_, unit)| self.0.is_multiple_of(*unit) && self.0 > 0);
        let (name, unit) = whole.unwrap_or(if self.0 == 0 { ("s", 1) } else { ("ms", 1) });
        write!(f, "{}{name}", self.0 / unit)
    }
}

#[cfg(test)]
mod tests {
    use super::{Lifetime, Timestamp};

    #[test]
    fn a_day_begins_at_midnight_in_utc() {
        let (first, last) = (Timestamp::from_secs(1_795_219_200), Timestamp::from_millis(1_795_305_599_999));
        assert_eq!((first.midnight(), last.midnight()), (first, first));
        assert_eq!(Timestamp::from_millis(1_795_305_600_000).midnight().day(), "22 November 2026");
    }

    #[test]
    fn a_span_has_the_largest_unit_that_fits() {
        for (millis, text) in [(0, "0s"), (1, "1ms"), (1500, "1500ms"), (90_000, "90s"), (5_400_000, "90m")] {
            assert_eq!(Lifetime::from_millis(millis).to_string(), text);
        }
        for (seconds, text) in [(4 * 3600, "4h"), (36 * 3600, "36h"), (86_400, "1d"), (90 * 86_400, "90d")] {
            assert_eq!(Lifetime::from_secs(seconds).to_string(), text);
        }
    }

    #[test]
    fn days_are_written_out() {
        assert_eq!(Timestamp::from_secs(1_795_219_200).day(), "21 November 2026");
        assert_eq!(Timestamp::from_millis(u64::MAX).day(), "");
        assert_eq!(Timestamp::from_secs(1_795_219_200 + 9 * 3600 + 345).minute(), "21 November 2026, 09:05 UTC");
    }
}
