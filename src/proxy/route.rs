//! `Route`: an upstream with everything that can be prepared before a request arrives.

use std::sync::Arc;
use std::time::Duration;

use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderName, HeaderValue, Uri};
use url::Url;

use super::call_limits::RouteLimits;
use super::challenges::Challenges;
use super::response::refusals::StreamRefusals;
use super::upstream::connect;
use super::upstream::health::Health;
use super::upstream::moved::Moved;
use super::upstream::origin::UpstreamOrigin;
use crate::catalogue::Catalogue;
use crate::clock::Clock;
use crate::config::{PinMode, UpstreamConfig, UpstreamKind};
use crate::network::origin_and_path;
use crate::oauth::{ResourceIndicator, ScopeSet, TenantId};
use crate::policy::{Holders, RuleCaller, Rules, Ruling, Standing, is_plain_path};
use crate::token_cache::Principal;

/// An upstream with everything prepared for requests to it.
pub(super) struct Route {
    made_of: UpstreamConfig,
    pub(super) index: usize,
    pub(super) name: String,
    pub(super) kind: UpstreamKind,
    pub(super) tenant: TenantId,
    pub(super) resource: ResourceIndicator,
    pub(super) required_scopes: ScopeSet,
    /// Which operations each scope opens; `None` if every scope opens all.
    pub(super) rules: Option<Arc<Rules>>,
    /// How often its operations may be used.
    pub(super) limits: Option<RouteLimits>,
    /// How often it may be used without a token; `None` if it may not.
    pub(super) anonymous_limits: Option<RouteLimits>,
    /// Who may hold a token for it, and which of its scopes.
    pub(super) holders: Holders,
    pub(super) check_envelope: bool,
    /// Whether to adopt the name that it gives itself.
    pub(super) takes_title: bool,
    /// The public path.
    pub(super) path: String,
    /// The values of `X-Forwarded-Host` and, below, `X-Forwarded-Proto`.
    pub(super) public_host: HeaderValue,
    pub(super) public_scheme: HeaderValue,
    pub(super) challenges: Challenges,
    pub(super) origin: UpstreamOrigin,
    /// The upstream's path and query, for a request to exactly the public path.
    target: PathAndQuery,
    /// The upstream's path without trailing slash, and whether its URL has a query.
    pub(super) base: String,
    pub(super) has_query: bool,
    pub(super) moved: Moved,
    pub(super) health: Health,
    /// What its answers said of its tools.
    pub(super) catalogue: Arc<Catalogue>,
    /// Whether the gateway may list what it offers.
    pub(super) is_listed: bool,
    /// Late refusals of streams, kept for the next request.
    pub(super) refusals: StreamRefusals,
    pub(super) static_headers: Vec<(HeaderName, HeaderValue)>,
    /// Client headers that are passed in addition.
    pub(super) pass_headers: Vec<HeaderName>,
    pub(super) max_connections: usize,
    pub(super) first_byte_timeout: Duration,
    pub(super) call_timeout: Duration,
    pub(super) max_stream: Duration,
}

impl Route {
    /// Returns what is done about tools that are not as they were pinned.
    pub(super) fn pin(&self) -> PinMode {
        self.made_of.pin
    }

    /// Returns the URL that clients call: unlike the resource, it is of this upstream alone.
    pub(super) fn address(&self) -> ResourceIndicator {
        self.made_of.address()
    }

    /// Returns the origin that it is served at.
    pub(super) fn own_origin(&self) -> &str {
        origin_and_path(&self.made_of.public_url).0
    }

    /// Returns whether listed tools say which scopes they need, and refused calls say so to clients that read it there.
    pub(super) fn gives_security_schemes(&self) -> bool {
        self.made_of.security_schemes
    }

    /// Returns the scopes of a token that its account may hold now: that changes with its groups and the configuration,
    /// while the token stays as it is. `None` if the account may hold no token for the route.
    pub(super) fn held(&self, principal: &Principal) -> Option<ScopeSet> {
        self.holders.narrow(principal.user(), principal.groups(), principal.scopes())
    }

    /// Returns what the rules know of a caller that has these scopes; nothing without rules.
    pub(super) fn standing(&self, principal: &Principal, held: &ScopeSet) -> Standing {
        let Some(rules) = &self.rules else { return Standing::default() };
        let caller = RuleCaller {
            client: principal.client(),
            client_kind: Some(principal.client_origin()),
            user: principal.user(),
            groups: &self.holders.groups.of(principal.user(), principal.groups()),
            scopes: held,
        };
        let barred = self.holders.barred(principal.user(), principal.groups());
        let standing = rules.standing_without(&caller, &barred).asking_for(rules, principal.client_limit());
        rules.leaving_out(standing, held, principal.exclusions())
    }

    /// Returns whether lists in its answers are rewritten for their caller.
    pub(super) fn is_rewritten(&self) -> bool {
        self.kind == UpstreamKind::Mcp && self.rules.is_some()
    }

    /// Returns what the rules know of a caller without a token; `None` if such a caller may do nothing.
    pub(super) fn anonymous(&self) -> Option<Standing> {
        self.rules.as_ref()?.anonymous()
    }

    /// Returns whether a caller has the scopes that every request needs.
    pub(super) fn has_required(&self, standing: &Standing, held: &ScopeSet) -> bool {
        match &self.rules {
            None => self.required_scopes.is_subset(held),
            Some(rules) => rules.missing(standing, &self.required_scopes).is_empty(),
        }
    }

    /// Returns whether a token that `earlier`, which had the place of this route before a reload, let pass would still
    /// pass, with every scope that had force then.
    pub(super) fn upholds(&self, earlier: &Self, principal: &Principal) -> bool {
        if principal.is_anonymous() {
            return self.anonymous().is_some();
        }
        let Some(held) = self.held(principal) else { return false };
        let standing = self.standing(principal, &held);
        let is_refused = self.rules.as_ref().is_some_and(|rules| rules.judge_handshake(&standing) != Ruling::Allowed);
        !is_refused
            && self.has_required(&standing, &held)
            && earlier.in_force(principal).is_subset(&self.in_force(principal))
    }

    /// Returns the scopes that have force for a token, with those that they include.
    fn in_force(&self, principal: &Principal) -> ScopeSet {
        let held = self.held(principal).unwrap_or_default();
        let in_force = self.rules.as_ref().map(|rules| rules.in_force(&self.standing(principal, &held), &held));
        in_force.unwrap_or(held)
    }

    /// Returns whether an earlier route can go on in its place. Not with TLS: the roots in its files may have changed.
    pub(super) fn is_same_as(&self, old: &Self) -> bool {
        self.made_of == old.made_of && self.origin.tls.is_none()
    }

    /// Takes over the catalogue of an earlier route, if that was learnt from the same server in the same way.
    pub(super) fn adopt_catalogue(&mut self, old: &Self) {
        if (self.made_of.url == old.made_of.url && self.resource == old.resource)
            && (self.is_listed == old.is_listed && self.name == old.name)
        {
            self.catalogue = Arc::clone(&old.catalogue);
        }
    }

    /// Prepares a route.
    ///
    /// # Errors
    /// The upstream's CA file or the system's roots could not be read.
    pub(super) fn build(
        index: usize,
        upstream: &UpstreamConfig,
        roots: &mut connect::Roots,
        clock: &Arc<dyn Clock>,
    ) -> Result<Self, String> {
        let fault = |what: &str| format!("upstream {}: {what}", upstream.name);
        let url = &upstream.url;
        let host = url.host().ok_or_else(|| fault("its URL has no host"))?.to_owned();
        let port = url.port_or_known_default().ok_or_else(|| fault("its URL has no port"))?;
        let written = url.port().map_or_else(|| host.to_string(), |port| format!("{host}:{port}"));
        let authority: Authority = written.parse().map_err(|_| fault("its host is not valid in a request"))?;
        let named = match &upstream.host {
            Some(host) => host.parse().map_err(|_| fault("its host is not valid in a request"))?,
            None => authority.clone(),
        };
        let (scheme, tls) = match url.scheme() {
            "https" => (Scheme::HTTPS, Some(roots.client(upstream.ca_file.as_deref()).map_err(|e| fault(&e))?)),
            _ => (Scheme::HTTP, None),
        };
        let public = origin_and_path(&upstream.public_url).0.split_once("://");
        let (public_scheme, public_host) = public.unwrap_or(("https", ""));
        let text = |text: &str| HeaderValue::from_str(text).map_err(|e| fault(&e.to_string()));
        Ok(Self {
            made_of: upstream.clone(),
            index,
            name: upstream.name.clone(),
            kind: upstream.kind,
            tenant: upstream.tenant.clone(),
            resource: upstream.resource.clone(),
            required_scopes: upstream.required_scopes.clone(),
            rules: upstream.rules.clone(),
            limits: upstream.limits.as_ref().map(RouteLimits::new),
            anonymous_limits: upstream.anonymous_limits.as_ref().map(RouteLimits::new),
            holders: upstream.holders.clone(),
            check_envelope: upstream.check_envelope,
            takes_title: upstream.takes_title,
            path: upstream.path.clone(),
            public_host: text(public_host)?,
            public_scheme: text(public_scheme)?,
            challenges: Challenges::build(upstream).map_err(|e| fault(&e))?,
            origin: UpstreamOrigin {
                host,
                port,
                scheme,
                host_header: text(named.as_str())?,
                authority,
                named,
                tls,
                connect_timeout: upstream.connect_timeout,
            },
            target: whole_target(url).parse().map_err(|_| fault("its path is not valid in a request"))?,
            base: url.path().trim_end_matches('/').to_owned(),
            has_query: url.query().is_some(),
            moved: Moved::default(),
            health: Health::default(),
            catalogue: Arc::new(Catalogue::new(Arc::clone(clock))),
            is_listed: upstream.is_listed,
            refusals: StreamRefusals::default(),
            static_headers: upstream.headers.clone(),
            pass_headers: upstream.pass_headers.clone(),
            max_connections: upstream.max_connections,
            first_byte_timeout: upstream.first_byte_timeout,
            call_timeout: upstream.call_timeout,
            max_stream: upstream.max_stream,
        })
    }

    /// Returns the path and query of the configured URL.
    pub(super) fn configured_target(&self) -> &PathAndQuery {
        &self.target
    }

    /// Returns the configured URL with another path and without its query, to show to the operator.
    pub(super) fn url_with(&self, path: &str) -> String {
        format!("{}://{}{path}", self.origin.scheme, self.origin.authority)
    }

    /// Returns the upstream's request target for a request to `uri`; `None` when the upstream could interpret the path
    /// as another one.
    pub(super) fn target(&self, uri: &Uri) -> Option<PathAndQuery> {
        let rest = match self.kind {
            UpstreamKind::Mcp => "",
            UpstreamKind::Http => uri.path().strip_prefix(&*self.path).filter(|rest| is_plain_path(rest))?,
        };
        let moved = self.moved.to();
        let target = moved.as_deref().unwrap_or(&self.target);
        match (self.kind, uri.query()) {
            // A query from the configuration (a key, perhaps) is never combined with the client's.
            (UpstreamKind::Mcp, _) if self.has_query => Some(target.clone()),
            (UpstreamKind::Mcp, None) => Some(target.clone()),
            (UpstreamKind::Mcp, Some(query)) => format!("{}?{query}", target.path()).parse().ok(),
            (UpstreamKind::Http, None) if rest.is_empty() && self.base.is_empty() => {
                Some(PathAndQuery::from_static("/"))
            }
            (UpstreamKind::Http, None) => format!("{}{rest}", self.base).parse().ok(),
            (UpstreamKind::Http, Some(query)) => format!("{}{rest}?{query}", self.base).parse().ok(),
        }
    }
}

/// Returns path and query of a URL.
fn whole_target(url: &Url) -> String {
    url.query().map_or_else(|| url.path().to_owned(), |query| format!("{}?{query}", url.path()))
}
