//! Reads one table of gateway.toml: its keys, their types and ranges; reports unknown keys.
//!
//! `table!` declares a table once; the struct, its reader, the defaults and the reference in `docs/configuration.md`
//! are generated from that.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::problem::{Report, Setting};
use super::value::Readable;

/// The declaration of a key.
#[derive(Debug)]
pub(super) struct KeyDeclaration {
    pub(super) name: &'static str,
    /// The lines of its doc comment.
    pub(super) about: &'static [&'static str],
    pub(super) kind: fn() -> String,
    /// The default as TOML, or `none`, or `required`.
    pub(super) default: &'static str,
    /// The smallest and the largest value, as TOML.
    pub(super) range: Option<(&'static str, &'static str)>,
}

/// The declaration of a table.
#[derive(Debug)]
pub(super) struct TableDeclaration {
    /// Its path in the file; empty for the top level.
    pub(super) path: &'static str,
    /// Whether it may be repeated (`[[path]]`).
    pub(super) repeated: bool,
    pub(super) about: &'static [&'static str],
    pub(super) keys: &'static [KeyDeclaration],
}

/// The fault of a key that no table has.
pub(super) const UNKNOWN_KEY: &str = "this key is unknown";

/// A table being read. Keys that are not taken out of it are unknown.
pub(super) struct Section<'t, 'r> {
    table: DeTable<'t>,
    prefix: String,
    line: Option<usize>,
    /// All tables of the file, for suggestions.
    known: &'r [TableDeclaration],
    report: &'r Report,
}

impl<'t, 'r> Section<'t, 'r> {
    /// Starts at the top level of a file.
    pub(super) fn root(table: DeTable<'t>, known: &'r [TableDeclaration], report: &'r Report) -> Self {
        Self { table, prefix: String::new(), line: None, known, report }
    }

    /// Takes the table `name` out of this one; an absent one is empty.
    pub(super) fn table(&mut self, name: &str) -> Self {
        let prefix = self.key(name);
        let (table, line) = match self.remove(name) {
            None => (DeTable::new(), None),
            Some(found) => {
                let line = Some(self.report.line_of(found.span().start));
                if let DeValue::Table(table) = found.into_inner() {
                    (table, line)
                } else {
                    self.report.add(line, &prefix, "this is a table", format!("write [{prefix}]"));
                    (DeTable::new(), line)
                }
            }
        };
        Self { table, prefix, line, known: self.known, report: self.report }
    }

    /// Takes the repeated table `name` out of this one.
    pub(super) fn tables(&mut self, name: &str) -> Vec<Self> {
        let prefix = self.key(name);
        let Some(found) = self.remove(name) else { return Vec::new() };
        let line = Some(self.report.line_of(found.span().start));
        let wrong = || {
            let remedy = format!("write [[{}]]", without_indices(&prefix));
            self.report.add(line, &prefix, "this table may be repeated", remedy);
        };
        let DeValue::Array(entries) = found.into_inner() else {
            wrong();
            return Vec::new();
        };
        let mut sections = Vec::new();
        for (index, entry) in entries.into_iter().enumerate() {
            let line = Some(self.report.line_of(entry.span().start));
            if let DeValue::Table(table) = entry.into_inner() {
                sections.push(Self {
                    table,
                    prefix: format!("{prefix}[{index}]"),
                    line,
                    known: self.known,
                    report: self.report,
                });
            } else {
                wrong();
            }
        }
        sections
    }

    /// Returns the line of a table, if it is present.
    pub(super) fn line_of(&self, name: &str) -> Option<usize> {
        let key = self.table.keys().find(|key| key.get_ref() == name)?;
        Some(self.report.line_of(key.span().start))
    }

    /// Takes an optional key.
    pub(super) fn take<T: Readable>(&mut self, name: &str) -> Option<Setting<T>> {
        let found = self.remove(name)?;
        let key = self.key(name);
        let line = Some(self.report.line_of(found.span().start));
        if self.report.is_set_aside(&found) {
            return None;
        }
        let Some(value) = T::read(found.get_ref()) else {
            self.unreadable::<T>(&found, &key);
            return None;
        };
        let entries = found.get_ref().as_array().into_iter().flatten();
        let entries = entries.map(|entry| self.report.line_of(entry.span().start)).collect();
        Some(Setting { value, key, line, entries })
    }

    /// Reports a value, or each entry of a list, that does not have the expected type.
    fn unreadable<T: Readable>(&self, found: &Spanned<DeValue<'_>>, key: &str) {
        let report = |value: &Spanned<DeValue<'_>>, key: &str, kind: String| {
            let line = Some(self.report.line_of(value.span().start));
            let fault = format!("this {} cannot be read", value.get_ref().type_str());
            // The descriptions are Markdown, for the reference.
            self.report.add(line, key, fault, format!("write {}", kind.replace('`', "")));
        };
        let entries = T::unreadable_entries(found.get_ref());
        if entries.is_empty() {
            report(found, key, T::kind());
        }
        for (index, kind) in entries {
            if let Some(entry) = found.get_ref().as_array().and_then(|list| list.get(index)) {
                report(entry, &format!("{key}[{index}]"), kind);
            }
        }
    }

    /// Takes an optional key and checks that it is between two values.
    pub(super) fn take_within<T: Readable + PartialOrd>(
        &mut self,
        name: &str,
        low: &str,
        high: &str,
    ) -> Option<Setting<T>> {
        let setting = self.take::<T>(name)?;
        let outside = literal::<T>(low).is_none_or(|low| setting.value < low)
            || literal::<T>(high).is_none_or(|high| setting.value > high);
        if outside {
            self.report.wrong(&setting, "this is out of range", format!("write a value from {low} to {high}"));
            return None;
        }
        Some(setting)
    }

    /// Takes a required key.
    pub(super) fn require<T: Readable>(&mut self, name: &str) -> Option<Setting<T>> {
        if !self.has(name) {
            let remedy = format!("write {}", T::kind().replace('`', ""));
            self.report.add(self.line, &self.key(name), "this key is missing", remedy);
        }
        self.take(name)
    }

    /// Returns the default of a key; `None` only if its declaration is wrong, which a test excludes.
    pub(super) fn default<T: Readable>(&self, name: &str, default: &str) -> Option<Setting<T>> {
        literal(default).map(|value| Setting::unwritten(value, &self.key(name)))
    }

    /// Reports all keys that were not taken.
    pub(super) fn finish(self) {
        let here = without_indices(&self.prefix);
        for name in self.table.keys() {
            let line = Some(self.report.line_of(name.span().start));
            self.report.add(
                line,
                &self.key(name.get_ref()),
                UNKNOWN_KEY,
                suggestion(self.known, &here, name.get_ref()),
            );
        }
    }

    fn has(&self, name: &str) -> bool {
        self.table.keys().any(|key| key.get_ref() == name)
    }

    fn remove(&mut self, name: &str) -> Option<Spanned<DeValue<'t>>> {
        let key = self.table.keys().find(|key| key.get_ref() == name)?.clone();
        self.table.remove(&key)
    }

    fn key(&self, name: &str) -> String {
        if self.prefix.is_empty() { name.to_owned() } else { format!("{}.{name}", self.prefix) }
    }
}

fn literal<T: Readable>(toml: &str) -> Option<T> {
    T::read(DeValue::parse(toml).ok()?.get_ref())
}

/// Removes indices: `upstream[1].scope[0]` becomes `upstream.scope`.
fn without_indices(path: &str) -> String {
    path.split('[').map(|part| part.split_once(']').map_or(part, |(_, rest)| rest)).collect()
}

/// Suggests what was probably meant by an unknown key of the table at `path`.
fn suggestion(tables: &[TableDeclaration], path: &str, unknown: &str) -> String {
    let full = if path.is_empty() { unknown.to_owned() } else { format!("{path}.{unknown}") };
    let known = tables.iter().filter(|t| !t.path.is_empty()).map(|t| (t.path.to_owned(), t.path.to_owned()));
    let keys = tables.iter().flat_map(|t| {
        t.keys.iter().map(move |k| {
            let full = if t.path.is_empty() { k.name.to_owned() } else { format!("{}.{}", t.path, k.name) };
            (full, k.name.to_owned())
        })
    });
    // The same key in another table is in the wrong place; otherwise the most similar key of this table is suggested.
    // Of two that are as near, one of this table is.
    let nearest = known.chain(keys).filter_map(|(candidate, name)| {
        let table = candidate.rsplit_once('.').map_or("", |(table, _)| table);
        let distance = if name == unknown { 1 } else { strsim::levenshtein(&full, &candidate) };
        let limit = if table == path { 3.min(unknown.len() / 2) } else { 1 };
        (distance <= limit).then_some((distance, table != path, candidate))
    });
    match nearest.min() {
        Some((_, _, candidate)) => format!("did you mean {candidate}?"),
        None => "remove it; docs/configuration.md lists all keys".to_owned(),
    }
}

/// Declares a table of gateway.toml. Each key has a doc comment, a type, and a default in TOML, `none` (optional) or
/// `required`; a range may follow.
macro_rules! table {
    (
        $(#[doc = $about:literal])*
        $name:ident at $path:literal $($repeated:ident)? {
            $( $(#[doc = $doc:literal])* $key:ident: $type:ty = $default:tt $(, $low:literal to $high:literal)?; )*
        }
    ) => {
        $(#[doc = $about])*
        #[derive(Debug)]
        pub(super) struct $name {
            $( $(#[doc = $doc])* pub(super) $key: $crate::config::table::slot!($default, $type), )*
        }

        impl $name {
            pub(super) const DECLARATION: $crate::config::table::TableDeclaration =
                $crate::config::table::TableDeclaration {
                    path: $path,
                    repeated: $crate::config::table::is_repeated!($($repeated)?),
                    about: &[$($about),*],
                    keys: &[$( $crate::config::table::KeyDeclaration {
                        name: stringify!($key),
                        about: &[$($doc),*],
                        kind: <$type as $crate::config::value::Readable>::kind,
                        default: stringify!($default),
                        range: $crate::config::table::range!($($low, $high)?),
                    } ),*],
                };

            pub(super) fn read(section: &mut $crate::config::table::Section<'_, '_>) -> Option<Self> {
                Some(Self { $(
                    $key: $crate::config::table::take!(
                        section, stringify!($key), $default, $type $(, stringify!($low), stringify!($high))?
                    ),
                )* })
            }
        }
    };
}

/// The type of a key's field.
macro_rules! slot {
    (none, $type:ty) => { Option<$crate::config::problem::Setting<$type>> };
    (required, $type:ty) => { Option<$crate::config::problem::Setting<$type>> };
    ($default:tt, $type:ty) => { $crate::config::problem::Setting<$type> };
}

/// Takes a key out of its section.
macro_rules! take {
    ($section:ident, $name:expr, none, $type:ty) => { $section.take::<$type>($name) };
    ($section:ident, $name:expr, none, $type:ty, $low:expr, $high:expr) => {
        $section.take_within::<$type>($name, $low, $high)
    };
    ($section:ident, $name:expr, required, $type:ty) => { $section.require::<$type>($name) };
    ($section:ident, $name:expr, $default:tt, $type:ty $(, $low:expr, $high:expr)?) => {
        match $crate::config::table::take!($section, $name, none, $type $(, $low, $high)?) {
            Some(setting) => setting,
            None => $section.default::<$type>($name, stringify!($default))?,
        }
    };
}

macro_rules! range {
    () => {
        None
    };
    ($low:literal, $high:literal) => {
        Some((stringify!($low), stringify!($high)))
    };
}

macro_rules! is_repeated {
    () => {
        false
    };
    (repeated) => {
        true
    };
}

pub(super) use {is_repeated, range, slot, table, take};

#[cfg(test)]
mod tests {
    use super::super::file::TABLES;
    use super::*;

    #[test]
    fn every_default_and_range_can_be_read_as_its_key() {
        for table in TABLES {
            for key in table.keys {
                let toml = [key.default].into_iter().filter(|d| !matches!(*d, "none" | "required"));
                for text in toml.chain(key.range.into_iter().flat_map(|(low, high)| [low, high])) {
                    assert!(DeValue::parse(text).is_ok(), "{}.{}: {text}", table.path, key.name);
                }
            }
        }
        let report = Report::new(None, "");
        assert!(super::super::file::File::read(DeTable::new(), &report).is_some());
        assert_eq!(report.finish(), []);
    }

    #[test]
    fn a_slip_is_recognised() {
        assert_eq!(suggestion(TABLES, "", "public_ulr"), "did you mean public_url?");
        assert_eq!(suggestion(TABLES, "", "listn"), "did you mean listen?");
        assert_eq!(suggestion(TABLES, "listen", "public_url"), "did you mean public_url?");
        assert_eq!(suggestion(TABLES, "upstream", "defualt_scopes"), "did you mean upstream.default_scopes?");
        assert_eq!(suggestion(TABLES, "upstream", "rules"), "did you mean upstream.rule?");
        assert_eq!(suggestion(TABLES, "", "frobnicate"), "remove it; docs/configuration.md lists all keys");
    }
}
