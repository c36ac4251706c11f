//! Writes durations in words.

use crate::time::Lifetime;

/// Writes a duration in words, rounded up, since it is shown as a maximum.
#[must_use]
pub fn in_words(lifetime: Lifetime) -> String {
    let seconds = lifetime.as_millis().div_ceil(1_000);
    let (count, unit) = match seconds {
        0..60 => (seconds, "second"),
        60..3_600 => (seconds.div_ceil(60), "minute"),
        3_600..86_400 => (seconds.div_ceil(3_600), "hour"),
        _ => (seconds.div_ceil(86_400), "day"),
    };
    format!("{count} {unit}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::in_words;
    use crate::time::Lifetime;

    #[test]
    fn spans_are_said_in_whole_units_never_too_few() {
        for (seconds, words) in [
            (1, "1 second"),
            (59, "59 seconds"),
            (60, "1 minute"),
            (61, "2 minutes"),
            (3_600, "1 hour"),
            (5_400, "2 hours"),
            (86_400, "1 day"),
            (7_776_000, "90 days"),
        ] {
            assert_eq!(in_words(Lifetime::from_secs(seconds)), words);
        }
        assert_eq!(in_words(Lifetime::from_millis(1)), "1 second");
    }
}
