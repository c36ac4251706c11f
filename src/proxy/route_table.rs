//! `RouteTable`: which upstream owns a path.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::budget::UserBudgets;
use super::origin::Origins;
use super::refused_operations::RefusedOperations;
use super::repeats::Repeats;
use super::route::Route;
use super::upstream::connect;
use crate::clock::Clock;
use crate::config::{Config, UpstreamKind};

/// The route table: built when the configuration is loaded, and replaced as a whole.
pub struct RouteTable {
    pub(super) routes: Vec<Arc<Route>>,
    clock: Arc<dyn Clock>,
    /// The paths of each listener: of the public one, then of those of upstreams, as in the configuration.
    paths: Vec<Paths>,
    pub(super) origins: Origins,
    pub(super) budgets: Arc<UserBudgets>,
    pub(super) repeats: Arc<Repeats>,
    pub(super) refused: Arc<RefusedOperations>,
}

/// What is served where, at one listener.
#[derive(Default)]
struct Paths {
    /// Paths that must match exactly.
    exact: BTreeMap<Box<str>, usize>,
    /// Paths below which everything is served, longest first.
    prefixes: Vec<(Box<str>, usize)>,
}

impl std::fmt::Debug for RouteTable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.routes.iter().map(|r| &r.path)).finish()
    }
}

impl RouteTable {
    /// Builds the table. The clock must be the one that tells when users consent.
    ///
    /// # Errors
    /// An upstream's CA file or the system's roots could not be read.
    pub fn build(config: &Config, clock: Arc<dyn Clock>) -> Result<Self, String> {
        let mut roots = connect::Roots::new(config.minimum_key_bits);
        let mut routes = Vec::with_capacity(config.upstreams.len());
        let mut paths: Vec<Paths> = Vec::new();
        paths.resize_with(1 + config.own_listeners.len(), Paths::default);
        for (index, upstream) in config.upstreams.iter().enumerate() {
            let route = Route::build(index, upstream, &mut roots, &clock)?;
            if let Some(paths) = paths.get_mut(config.listener_of(upstream)) {
                paths.add(&route);
            }
            routes.push(Arc::new(route));
        }
        paths.iter_mut().for_each(|paths| paths.prefixes.sort_by_key(|(path, _)| std::cmp::Reverse(path.len())));
        Ok(Self {
            routes,
            clock,
            paths,
            origins: Origins::new(config),
            budgets: Arc::new(UserBudgets::new(&config.rates)),
            repeats: Arc::default(),
            refused: Arc::default(),
        })
    }

    /// Builds the table of a changed configuration. Counters are kept where the rates are the same, and connections
    /// where an upstream is completely unchanged, including its place in the list (but not with TLS, since the roots in
    /// its files may have changed).
    ///
    /// # Errors
    /// As `build`.
    pub fn rebuild(&self, config: &Config) -> Result<Self, String> {
        let (repeats, refused) = (Arc::clone(&self.repeats), Arc::clone(&self.refused));
        let mut table = Self { repeats, refused, ..Self::build(config, Arc::clone(&self.clock))? };
        if self.budgets.are_of(&config.rates) {
            table.budgets = Arc::clone(&self.budgets);
        }
        for (new, old) in table.routes.iter_mut().zip(&self.routes) {
            if new.is_same_as(old) {
                *new = Arc::clone(old);
            } else if let Some(new) = Arc::get_mut(new) {
                new.adopt_catalogue(old);
            }
        }
        for new in table.routes.iter_mut().filter_map(Arc::get_mut) {
            let old = self.routes.iter().find(|old| old.name == new.name && old.tenant == new.tenant);
            let Some(old) = old else { continue };
            let limits = [(&mut new.limits, &old.limits), (&mut new.anonymous_limits, &old.anonymous_limits)];
            for (new, old) in limits {
                new.iter_mut().zip(old).for_each(|(new, old)| new.adopt(old));
            }
        }
        Ok(table)
    }

    /// Returns what scopes and rules refuse, which tables that are rebuilt from this one share.
    #[must_use]
    pub fn refused_operations(&self) -> &Arc<RefusedOperations> {
        &self.refused
    }

    /// Returns the index of the upstream that owns a raw path (never decoded or normalised) of the public listener, if
    /// there is one.
    #[must_use]
    pub fn find(&self, raw_path: &str) -> Option<usize> {
        self.find_at(0, raw_path)
    }

    /// The same at a listener: 0 is the public one, and those of upstreams follow as in the configuration.
    #[must_use]
    pub fn find_at(&self, listener: usize, raw_path: &str) -> Option<usize> {
        self.paths.get(listener)?.find(raw_path)
    }

    /// Returns what has the place of a route from this or an earlier table: the route at its path, to its resource.
    pub(super) fn route_of(&self, route: &Route) -> Option<&Arc<Route>> {
        self.routes
            .iter()
            .find(|own| own.path == route.path && own.resource == route.resource && own.tenant == route.tenant)
    }
}

impl Paths {
    fn add(&mut self, route: &Route) {
        let path: Box<str> = route.path.as_str().into();
        match route.kind {
            UpstreamKind::Mcp => {
                // Served with and without one trailing slash, never redirected, because clients drop their token on a
                // redirect.
                self.exact.insert(format!("{path}/").into(), route.index);
                self.exact.insert(path, route.index);
            }
            UpstreamKind::Http => self.prefixes.push((path, route.index)),
        }
    }

    fn find(&self, raw_path: &str) -> Option<usize> {
        self.exact.get(raw_path).copied().or_else(|| {
            let owns = |prefix: &str| raw_path.strip_prefix(prefix).is_some_and(|r| r.is_empty() || r.starts_with('/'));
            self.prefixes.iter().find(|(prefix, _)| owns(prefix)).map(|(_, index)| *index)
        })
    }
}
