//! How single values are written in gateway.toml: durations, sizes, addresses, words.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use toml::de::DeValue;

use super::settings::MinimumKeyBits;
use crate::oauth::Lifetime;

/// A type of value that a key may have.
pub(super) trait Readable: Sized {
    /// Returns what to write, with an example.
    fn kind() -> String;
    /// Reads a value; `None` when it has another type.
    fn read(value: &DeValue<'_>) -> Option<Self>;
    /// Returns the indices of a list's unreadable entries, each with what to write.
    fn unreadable_entries(_: &DeValue<'_>) -> Vec<(usize, String)> {
        Vec::new()
    }
}

/// A number of bytes: an integer, or a string with a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd)]
pub(super) struct Bytes(pub(super) usize);

/// The entries of a table with arbitrary keys: name, value and place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entries(pub(super) Vec<TableEntry>);

/// One entry of `Entries`.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct TableEntry {
    pub(super) name: String,
    pub(super) value: String,
    pub(super) offset: usize,
}

impl std::fmt::Debug for TableEntry {
    /// Leaves out the values, which may be secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TableEntry").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Readable for String {
    fn kind() -> String {
        "a string".into()
    }
    fn read(value: &DeValue<'_>) -> Option<Self> {
        value.as_str().map(str::to_owned)
    }
}

impl Readable for bool {
    fn kind() -> String {
        "true or false".into()
    }
    fn read(value: &DeValue<'_>) -> Option<Self> {
        value.as_bool()
    }
}

macro_rules! integers {
    ($($type:ty)*) => {$(
        impl Readable for $type {
            fn kind() -> String {
                "a whole number".into()
            }
            fn read(value: &DeValue<'_>) -> Option<Self> {
                value.as_integer().and_then(|i| Self::from_str_radix(i.as_str(), i.radix()).ok())
            }
        }
    )*};
}
integers!(u32 u64 usize);

impl Readable for Bytes {
    fn kind() -> String {
        "a size such as `65536`, `\"64KiB\"` or `\"4MiB\"`".into()
    }
    fn read(value: &DeValue<'_>) -> Option<Self> {
        let Some(text) = value.as_str() else { return usize::read(value).map(Self) };
        let units = [("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)];
        let (number, unit) = units.iter().find_map(|(name, unit)| Some((text.strip_suffix(name)?, *unit)))?;
        digits(number)?.checked_mul(unit).and_then(|n| usize::try_from(n).ok()).map(Self)
    }
}

impl Readable for MinimumKeyBits {
    fn kind() -> String {
        "`128` or `256`".into()
    }
    fn read(value: &DeValue<'_>) -> Option<Self> {
        match u32::read(value)? {
            128 => Some(Self::Bits128),
            256 => Some(Self::Bits256),
            _ => None,
        }
    }
}

impl Readable for Lifetime {
    fn kind() -> String {
        "a duration such as `\"30s\"`, `\"10m\"`, `\"1h\"` or `\"90d\"`".into()
    }
    fn read(value: &DeValue<'_>) -> Option<Self> {
        value.as_str().and_then(duration)
    }
}

impl Readable for Duration {
    fn kind() -> String {
        Lifetime::kind()
    }
    fn read(value: &DeValue<'_>) -> Option<Self> {
        Lifetime::read(value).map(Lifetime::as_duration)
    }
}

impl Readable for PathBuf {
    fn kind() -> String {
        "a path, absolute or from the folder of gateway.toml".into()
    }
    fn read(value: &DeValue<'_>) -> Option<Self> {
        value.as_str().filter(|text| !text.is_empty()).map(Self::from)
    }
}

impl Readable for SocketAddr {
    fn kind() -> String {
        "an address and port such as `\"127.0.0.1:8443\"` or `\"[::]:8443\"`".into()
    }
    fn read(value: &DeValue<'_>) -> Option<Self> {
        value.as_str()?.parse().ok()
    }
}

impl Readable for IpNet {
    fn kind() -> String {
        "an address or network such as `\"10.0.0.7\"` or `\"10.0.0.0/8\"`".into()
    }
    fn read(value: &DeValue<'_>) -> Option<Self> {
        let text = value.as_str()?;
        text.parse().ok().or_else(|| text.parse().ok().map(|address: std::net::IpAddr| address.into()))
    }
}

impl<T: Readable> Readable for Vec<T> {
    fn kind() -> String {
        format!("a list in brackets, each {}", T::kind())
    }
    fn read(value: &DeValue<'_>) -> Option<Self> {
        value.as_array()?.iter().map(|entry| T::read(entry.get_ref())).collect()
    }
    fn unreadable_entries(value: &DeValue<'_>) -> Vec<(usize, String)> {
        let entries = value.as_array().into_iter().flatten().enumerate();
        entries.filter(|(_, entry)| T::read(entry.get_ref()).is_none()).map(|(index, _)| (index, T::kind())).collect()
    }
}

impl Readable for Entries {
    fn kind() -> String {
        "a table of names and strings such as `{ Authorization = \"Bearer ${TOKEN}\" }`".into()
    }
    fn read(value: &DeValue<'_>) -> Option<Self> {
        let entry = |(name, value): (&toml::Spanned<_>, &toml::Spanned<DeValue<'_>>)| {
            let name: &std::borrow::Cow<'_, str> = name.get_ref();
            let text = value.get_ref().as_str()?.to_owned();
            Some(TableEntry { name: name.clone().into_owned(), value: text, offset: value.span().start })
        };
        value.as_table()?.iter().map(entry).collect::<Option<_>>().map(Self)
    }
}

/// Declares an enum that is written as one of several words.
macro_rules! words {
    ($(#[doc = $doc:literal])* $name:ident { $($(#[doc = $what:literal])* $variant:ident = $word:literal,)* }) => {
        $(#[doc = $doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(super) enum $name { $($(#[doc = $what])* $variant,)* }

        impl $crate::config::value::Readable for $name {
            fn kind() -> String {
                format!("one of {}", [$(concat!("`\"", $word, "\"`")),*].join(", "))
            }
            fn read(value: &toml::de::DeValue<'_>) -> Option<Self> {
                match value.as_str()? {
                    $($word => Some(Self::$variant),)*
                    _ => None,
                }
            }
        }
    };
}
pub(super) use words;

/// Parses a duration as in gateway.toml: a number and `ms`, `s`, `m`, `h` or `d`.
#[must_use]
pub fn duration(text: &str) -> Option<Lifetime> {
    let units = [("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];
    let (number, unit) = units.iter().find_map(|(name, unit)| Some((digits(text.strip_suffix(name)?)?, *unit)))?;
    number.checked_mul(unit).map(Lifetime::from_millis)
}

fn digits(text: &str) -> Option<u64> {
    (!text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())).then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read<T: Readable>(text: &str) -> Option<T> {
        T::read(DeValue::parse(text).unwrap().get_ref())
    }

    #[test]
    fn durations_have_a_unit() {
        for (text, millis) in
            [("500ms", 500), ("30s", 30_000), ("10m", 600_000), ("1h", 3_600_000), ("2d", 172_800_000)]
        {
            assert_eq!(read::<Lifetime>(&format!("{text:?}")), Some(Lifetime::from_millis(millis)), "{text}");
        }
        for text in ["30", "\"30\"", "\"s\"", "\"-1s\"", "\"1.5h\"", "\"1 h\"", "\"+1h\"", "\"99999999999999999999d\""]
        {
            assert_eq!(read::<Lifetime>(text), None, "{text}");
        }
    }

    #[test]
    fn sizes_are_numbers_or_have_a_unit() {
        assert_eq!(read::<Bytes>("65_536"), Some(Bytes(65_536)));
        assert_eq!(read::<Bytes>("0x10"), Some(Bytes(16)));
        assert_eq!(read::<Bytes>("\"4MiB\""), Some(Bytes(4 << 20)));
        for text in ["-1", "1.5", "\"4MB\"", "\"KiB\"", "\"99999999999999GiB\""] {
            assert_eq!(read::<Bytes>(text), None, "{text}");
        }
    }

    #[test]
    fn a_single_address_is_a_network_of_one() {
        assert_eq!(read::<Vec<IpNet>>("[\"10.0.0.7\", \"::1\", \"10.0.0.0/8\"]").map(|n| n.len()), Some(3));
        assert_eq!(read::<Vec<IpNet>>("[\"10.0.0.7\", \"example.com\"]"), None);
    }

    #[test]
    fn entries_hide_their_values() {
        let entries = read::<Entries>("{ Authorization = \"Bearer s3cret\" }").unwrap();
        assert!(!format!("{entries:?}").contains("s3cret"));
    }
}
