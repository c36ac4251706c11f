//! CF-02: no two upstreams share a name, or a part of the path space of an origin, and nothing else has a path of
//! theirs.

use super::check::Check;
use super::file::{Alias, File};
use super::own_listener::origin_of;
use super::problem::Setting;
use super::settings::UpstreamKind;
use super::upstream_file::Upstream;

/// The names and paths that are taken.
pub(super) struct TakenPaths<'a>(Vec<TakenPath<'a>>);

/// A name and a path.
struct TakenPath<'a> {
    name: Option<&'a str>,
    /// The origin that an upstream has for itself.
    origin: Option<String>,
    path: Option<&'a str>,
    /// `Http` if all paths below are taken too.
    kind: UpstreamKind,
    whose: Owner,
}

/// What owns a name or path.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Owner {
    CommandLine,
    Demo,
    Upstream(Option<usize>),
    Alias(Option<usize>),
    Health,
}

impl std::fmt::Display for Owner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::CommandLine => f.write_str("the upstream of the command line"),
            Self::Demo => f.write_str("the demo upstream"),
            Self::Upstream(Some(line)) => write!(f, "the upstream of line {line}"),
            Self::Upstream(None) => f.write_str("another upstream"),
            Self::Alias(Some(line)) => write!(f, "the alias of line {line}"),
            Self::Alias(None) => f.write_str("another alias"),
            Self::Health => f.write_str("listen.health_path"),
        }
    }
}

impl<'a> TakenPaths<'a> {
    /// Returns what is taken by something else than a table `[[upstream]]` or `[[alias]]`.
    pub(super) fn of_others(check: &Check<'_>, file: &'a File) -> Self {
        let of_up =
            |whose| TakenPath { name: Some("mcp"), origin: None, path: Some("/mcp"), kind: UpstreamKind::Mcp, whose };
        let mut taken = Vec::new();
        if check.overrides.upstream.is_some() {
            taken.push(of_up(Owner::CommandLine));
        } else if check.overrides.up && file.upstreams.is_empty() {
            taken.push(of_up(Owner::Demo));
        }
        let health = file.listen.health_path.as_ref();
        taken.extend(health.map(|path| TakenPath::of_path(&path.value, Owner::Health)));
        Self(taken)
    }

    /// Returns what aliases must leave alone.
    pub(super) fn of_upstreams(check: &Check<'_>, file: &'a File) -> Self {
        let mut taken = Self::of_others(check, file);
        taken.0.extend(file.upstreams.iter().map(|whole| TakenPath::of(check, &whole.upstream)));
        taken
    }

    /// Adds an upstream, and reports what it shares with those that were added before.
    pub(super) fn add(&mut self, check: &Check<'_>, upstream: &'a Upstream) {
        let new = TakenPath::of(check, upstream);
        for other in &self.0 {
            if let Some(name) = upstream.name.as_ref().filter(|_| other.name == new.name) {
                check.report.wrong(name, format!("{} has the same name", other.whose), "choose another one");
            }
            if let Some(path) = &upstream.path {
                new.overlap(check, path, other);
            }
        }
        self.0.push(new);
    }

    /// Adds the path of an alias, and reports if it would hide another one, or be hidden.
    pub(super) fn add_alias(&mut self, check: &Check<'_>, alias: &'a Alias) {
        let Some(from) = &alias.from else { return };
        let new = TakenPath::of_path(&from.value, Owner::Alias(from.line));
        self.0.iter().for_each(|other| new.overlap(check, from, other));
        self.0.push(new);
    }
}

impl<'a> TakenPath<'a> {
    fn of_path(path: &'a str, whose: Owner) -> Self {
        Self { name: None, origin: None, path: Some(path), kind: UpstreamKind::Mcp, whose }
    }

    fn of(check: &Check<'_>, written: &'a Upstream) -> Self {
        let line = written.path.as_ref().or(written.name.as_ref()).and_then(|written| written.line);
        Self {
            name: written.name.as_ref().map(|name| name.value.as_str()),
            origin: origin_of(check, written),
            path: written.path.as_ref().map(|path| path.value.as_str()),
            kind: written.kind.value.into(),
            whose: Owner::Upstream(line),
        }
    }

    /// Reports a path that is another's, or below or above it where that one serves everything below.
    fn overlap(&self, check: &Check<'_>, path: &Setting<String>, other: &TakenPath<'_>) {
        // The health path is answered at every listener.
        let is_here = other.origin == self.origin || other.whose == Owner::Health;
        let Some(theirs) = other.path.filter(|_| is_here) else { return };
        let (ours, theirs) = (path.value.to_ascii_lowercase(), theirs.to_ascii_lowercase());
        let below = |inner: &str, outer: &str, kind: UpstreamKind| {
            kind == UpstreamKind::Http && inner.strip_prefix(outer).is_some_and(|rest| rest.starts_with('/'))
        };
        let whose = &other.whose;
        if ours == theirs {
            check.report.wrong(path, format!("{whose} has the same path"), "choose another one");
        } else if matches!(self.whose, Owner::Alias(_)) && below(&ours, &theirs, other.kind) {
            let fault = format!("this path is below that of {whose}, which has kind \"http\"");
            check.report.wrong(path, fault, "choose a path that no upstream serves");
        } else if below(&ours, &theirs, other.kind) || below(&theirs, &ours, self.kind) {
            let fault =
                format!("this path overlaps with the path of {whose}, and one of the two upstreams has kind \"http\"");
            check.report.wrong(path, fault, "choose paths so that neither contains the other");
        }
    }
}
