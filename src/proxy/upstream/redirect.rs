//! Redirects by upstreams. Within its own origin and path, one by an MCP server is followed once, and one by a plain
//! HTTP service is forwarded with its Location mapped to our path; any other is a fault.

use std::sync::Arc;

use http::header::LOCATION;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, StatusCode};
use url::Url;

use crate::policy::is_plain_path;
use crate::proxy::fault::{Cause, Fault};
use crate::proxy::response::caching;
use crate::proxy::route::Route;

/// Returns whether a redirect keeps method and body (RFC 9110 15.4.8, 15.4.9).
pub(in crate::proxy) fn repeats(status: StatusCode) -> bool {
    matches!(status, StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT)
}

impl Route {
    /// Returns the target of an MCP server's redirect, if it is followed: on the same server, at its configured path or
    /// below it. Remembers a permanent one, and logs which URL to configure.
    pub(in crate::proxy) fn follow(
        &self,
        asked: &PathAndQuery,
        status: StatusCode,
        headers: &HeaderMap,
    ) -> Option<PathAndQuery> {
        let url = self.resolve(asked, headers.get(LOCATION)?)?;
        self.below(&url)?;
        let to: PathAndQuery = path_and_query(&url).parse().ok()?;
        if to == *asked {
            return None;
        }
        let written = self.url_with(url.path());
        let mut told = self.moved.lock();
        if told.as_deref() != Some(&*written) {
            tracing::warn!(
                upstream = &*self.name,
                status = status.as_u16(),
                "the upstream redirects to another of its paths; write url = \"{written}\" in its [[upstream]], or \
                 start mcpgate up with that URL{}",
                if self.has_query { " (and its current query)" } else { "" }
            );
            *told = Some(written);
        }
        drop(told);
        if status == StatusCode::PERMANENT_REDIRECT && caching::is_for_all(headers) {
            // A query from the client is not part of it.
            let kept = if self.has_query { Some(to.clone()) } else { url.path().parse().ok() };
            self.moved.to.store(kept.map(Arc::new));
        }
        Some(to)
    }

    /// Forgets a permanent redirect if an answer may mean that its target is gone: the next request goes to the
    /// configured URL again.
    pub(in crate::proxy) fn doubt_redirect(&self, status: StatusCode) {
        let is_doubt = matches!(status, StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED | StatusCode::GONE);
        if (is_doubt || status.is_redirection()) && self.moved.to.load().is_some() {
            self.moved.to.store(None);
        }
    }

    /// Maps a Location of a plain HTTP service to the path that clients see; `None` if it leads elsewhere.
    pub(in crate::proxy) fn map_location(&self, asked: &PathAndQuery, location: &HeaderValue) -> Option<HeaderValue> {
        let url = self.resolve(asked, location)?;
        let mut mapped = format!("{}{}", self.path, self.below(&url)?);
        for (mark, part) in [('?', url.query()), ('#', url.fragment())] {
            if let Some(part) = part {
                mapped.push(mark);
                mapped.push_str(part);
            }
        }
        HeaderValue::try_from(mapped).ok()
    }

    /// Resolves a Location against the request target (RFC 9110 10.2.2); `None` if it leads to another server. Only
    /// host and port are compared: servers that honour X-Forwarded-Proto use our scheme, those behind a TLS proxy use
    /// http, and in either case the configured scheme applies.
    fn resolve(&self, asked: &PathAndQuery, location: &HeaderValue) -> Option<Url> {
        let base = Url::parse(&self.url_with(asked.as_str())).ok()?;
        let url = base.join(location.to_str().ok()?).ok()?;
        let is_at = |own: &Url| url.host() == own.host() && url.port() == own.port();
        // Servers may also use the host name from the request.
        let named = Url::parse(&format!("{}://{}", url.scheme(), self.origin.named));
        let is_own = matches!(url.scheme(), "http" | "https")
            && (is_at(&base) || named.is_ok_and(|named| is_at(&named)))
            && url.username().is_empty()
            && url.password().is_none();
        is_own.then_some(url)
    }

    /// Returns what a path adds to the configured one; `None` if it is not below it, or if the server could interpret
    /// it differently (HS-14).
    fn below<'a>(&self, url: &'a Url) -> Option<&'a str> {
        let rest = url.path().strip_prefix(&*self.base)?;
        ((rest.is_empty() || rest.starts_with('/')) && is_plain_path(rest)).then_some(rest)
    }
}

/// Makes the fault of a redirect that is neither followed nor forwarded. Its query is not logged, since it may be a
/// secret.
pub(in crate::proxy) fn fault(status: StatusCode, headers: &HeaderMap) -> Fault {
    let to = headers.get(LOCATION).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    let to = to.as_deref().map(|to| to.split(['?', '#']).next().unwrap_or_default());
    Fault::new(Cause::Redirect, format!("it answered {status}, to {}", to.unwrap_or("nowhere")))
}

fn path_and_query(url: &Url) -> String {
    match url.query() {
        Some(query) => format!("{}?{query}", url.path()),
        None => url.path().to_owned(),
    }
}
