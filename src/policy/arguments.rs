//! `Condition`: what a rule asks of one argument of a call. Arguments are read in the bytes that are forwarded; no tree
//! is built of them.

use std::cmp::Ordering;

use super::glob::NameGlob;
use super::pointer::{Found, Pointer, find_in_message};
use crate::strict_json::text;

/// A condition on one argument.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    /// Where the argument is.
    pub pointer: Pointer,
    /// What is asked of it.
    pub test: Test,
}

/// What is asked of a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Test {
    /// It is one of these.
    OneOf(Vec<Scalar>),
    /// It is a string that this matches.
    Pattern(TextPattern),
    /// It is a number from the first to the second, both included; `None` is no bound.
    Range(Option<ArgumentNumber>, Option<ArgumentNumber>),
    /// It is there, whatever it is.
    Present,
    /// It is not there.
    Absent,
}

/// A pattern of strings: `*` stands for any characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TextPattern(NameGlob);

/// A value that is neither an object nor an array.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scalar {
    /// A string, unescaped.
    Text(String),
    /// True or false.
    Flag(bool),
    /// A number, however it is written.
    Number(ArgumentNumber),
}

/// A finite number of a rule, or any number of JSON, compared by value.
#[derive(Debug, Clone, Copy)]
pub struct ArgumentNumber {
    /// Its value, if it is a whole number that fits.
    whole: Option<i64>,
    /// Its value, or the nearest there is.
    near: f64,
}

/// Whether something holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Holds {
    Yes,
    No,
    /// Two programs could differ on it.
    Unclear,
}

impl TextPattern {
    /// Reads a pattern; any text is one.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(NameGlob::new(text))
    }

    /// Returns whether it matches all of a text.
    #[must_use]
    pub fn matches(&self, text: &str) -> bool {
        self.0.matches(text)
    }

    /// Returns whether it matches one text only.
    #[must_use]
    pub fn is_literal(&self) -> bool {
        self.0.literal().is_some()
    }

    /// Returns the text before its first `*`.
    #[must_use]
    pub fn beginning(&self) -> String {
        self.0.shape().beginning
    }
}

impl ArgumentNumber {
    /// Makes a whole number.
    #[must_use]
    #[expect(clippy::cast_precision_loss, clippy::as_conversions, reason = "the nearest is what is wanted")]
    pub fn whole(value: i64) -> Self {
        Self { whole: Some(value), near: value as f64 }
    }

    /// Makes a number; `None` if it is not finite.
    #[must_use]
    pub fn near(value: f64) -> Option<Self> {
        value.is_finite().then_some(Self { whole: None, near: value })
    }

    /// Reads a number of JSON. One beyond every bound counts as infinite.
    fn read(raw: &str) -> Option<Self> {
        let near = raw.parse().ok()?;
        Some(raw.parse().map_or(Self { whole: None, near }, Self::whole))
    }

    /// Returns whether it is greater than another.
    #[must_use]
    pub fn is_above(self, other: Self) -> bool {
        self.order(other) == Some(Ordering::Greater)
    }

    fn order(self, other: Self) -> Option<Ordering> {
        match (self.whole, other.whole) {
            (Some(own), Some(other)) => Some(own.cmp(&other)),
            _ => self.near.partial_cmp(&other.near),
        }
    }
}

impl PartialEq for ArgumentNumber {
    /// Whether they are written alike; `order` compares their values.
    fn eq(&self, other: &Self) -> bool {
        self.whole == other.whole && self.near.to_bits() == other.near.to_bits()
    }
}

impl Eq for ArgumentNumber {}

impl Holds {
    fn of(holds: bool) -> Self {
        if holds { Self::Yes } else { Self::No }
    }
}

/// Finds the raw arguments of a message in its body, where it may have a place in a batch: `Some(None)` if it has none,
/// `None` if the body cannot be read.
pub(super) fn of_message(body: &str, place: Option<usize>) -> Option<Option<&str>> {
    Some(match find_in_message(body, place, &["params", "arguments"])? {
        Found::Nothing => None,
        Found::Scalar(raw) | Found::Container(raw) => Some(raw),
    })
}

/// Returns whether all conditions hold for the raw arguments of a call; `None` if it has none.
pub(super) fn all_hold(conditions: &[Condition], arguments: Option<&str>) -> Holds {
    let mut all = Holds::Yes;
    for condition in conditions {
        match condition.holds(arguments) {
            Holds::Yes => {}
            Holds::No => return Holds::No,
            Holds::Unclear => all = Holds::Unclear,
        }
    }
    all
}

impl Condition {
    fn holds(&self, arguments: Option<&str>) -> Holds {
        let found = match arguments.map(|arguments| self.pointer.find(arguments)) {
            None => Found::Nothing,
            Some(Some(found)) => found,
            Some(None) => return Holds::Unclear,
        };
        match (&self.test, found) {
            (Test::Absent, found) => Holds::of(matches!(found, Found::Nothing)),
            (Test::Present, found) => Holds::of(!matches!(found, Found::Nothing)),
            (_, Found::Nothing | Found::Container(_)) => Holds::No,
            (Test::OneOf(values), Found::Scalar(raw)) if raw.starts_with('"') => {
                let is = |text: &str| values.iter().any(|value| matches!(value, Scalar::Text(own) if own == text));
                text(raw).map_or(Holds::Unclear, |text| Holds::of(is(&text)))
            }
            (Test::OneOf(values), Found::Scalar(raw)) => Holds::of(values.iter().any(|value| value.is_written_as(raw))),
            (Test::Pattern(TextPattern(glob)), Found::Scalar(raw)) if raw.starts_with('"') => {
                text(raw).map_or(Holds::Unclear, |text| Holds::of(glob.matches(&text)))
            }
            (Test::Pattern(_), Found::Scalar(_)) => Holds::No,
            (Test::Range(least, most), Found::Scalar(raw)) => ArgumentNumber::read(raw).map_or(Holds::No, |number| {
                let is = |bound: &Option<ArgumentNumber>, beyond| {
                    bound.is_none_or(|bound| number.order(bound) != Some(beyond))
                };
                Holds::of(is(least, Ordering::Less) && is(most, Ordering::Greater))
            }),
        }
    }
}

impl Scalar {
    /// Returns whether a raw number or literal is this value.
    fn is_written_as(&self, raw: &str) -> bool {
        match self {
            Self::Text(_) => false,
            Self::Flag(flag) => raw == if *flag { "true" } else { "false" },
            Self::Number(number) => {
                ArgumentNumber::read(raw).and_then(|read| read.order(*number)) == Some(Ordering::Equal)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn condition(pointer: &str, test: Test) -> Condition {
        Condition { pointer: Pointer::parse(pointer).unwrap(), test }
    }

    fn number(text: &str) -> ArgumentNumber {
        ArgumentNumber::read(text).unwrap()
    }

    #[test]
    fn a_value_meets_its_condition_or_not_or_cannot_be_told() {
        let text = |text: &str| Scalar::Text(text.to_owned());
        let one_of = |values: &[Scalar]| Test::OneOf(values.to_vec());
        let range = |least: Option<&str>, most: Option<&str>| Test::Range(least.map(number), most.map(number));
        for (value, test, holds) in [
            (r#""a""#, one_of(&[text("a"), text("b")]), Holds::Yes),
            (r#""\u0061""#, one_of(&[text("a")]), Holds::Yes),
            (r#""A""#, one_of(&[text("a")]), Holds::No),
            (r#""\ud800""#, one_of(&[text("a")]), Holds::Unclear),
            ("true", one_of(&[Scalar::Flag(true)]), Holds::Yes),
            (r#""true""#, one_of(&[Scalar::Flag(true)]), Holds::No),
            ("1e2", one_of(&[Scalar::Number(ArgumentNumber::whole(100))]), Holds::Yes),
            ("100.0", one_of(&[Scalar::Number(ArgumentNumber::whole(100))]), Holds::Yes),
            ("9007199254740993", one_of(&[Scalar::Number(ArgumentNumber::whole(9_007_199_254_740_992))]), Holds::No),
            ("[1]", one_of(&[Scalar::Number(ArgumentNumber::whole(1))]), Holds::No),
            (r#""/etc/passwd""#, Test::Pattern(TextPattern::new("/etc/*")), Holds::Yes),
            (r#""\/etc\/passwd""#, Test::Pattern(TextPattern::new("/etc/*")), Holds::Yes),
            (r#""/etc\ud800""#, Test::Pattern(TextPattern::new("/etc/*")), Holds::Unclear),
            ("7", Test::Pattern(TextPattern::new("*")), Holds::No),
            ("10", range(Some("1"), Some("10")), Holds::Yes),
            ("10.5", range(Some("1"), Some("10")), Holds::No),
            ("1e400", range(Some("1"), None), Holds::Yes),
            ("1e400", range(None, Some("10")), Holds::No),
            (r#""5""#, range(Some("1"), Some("10")), Holds::No),
            ("null", Test::Present, Holds::Yes),
            ("null", Test::Absent, Holds::No),
        ] {
            let arguments = format!(r#"{{"x":{{"y":1}},"v":{value}}}"#);
            assert_eq!(condition("/v", test.clone()).holds(Some(&arguments)), holds, "{value}: {test:?}");
        }
        assert_eq!(condition("/w", Test::Absent).holds(Some("{}")), Holds::Yes);
        assert_eq!(condition("/w", Test::Absent).holds(None), Holds::Yes);
        assert_eq!(condition("/w", Test::Present).holds(None), Holds::No);
        assert_eq!(condition("", Test::Present).holds(Some("[]")), Holds::Yes);
    }
}
