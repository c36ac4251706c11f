//! The session that a legacy request names: checked before the request is judged, and taken over only once it is
//! permitted.

use http::HeaderValue;

use super::cached_principal::CachedPrincipal;
use super::exchange::{Exchange, Proxy};
use super::field::{LAST_EVENT_ID, MCP_SESSION_ID};
use super::headers::CheckedRequest;
use super::rejection::Rejection;
use super::session;
use crate::config::UpstreamKind;
use crate::token_cache::Principal;

impl Proxy {
    /// Checks the session that a legacy request names.
    pub(super) fn check_session(
        &self,
        exchange: &Exchange<'_>,
        caller: &CachedPrincipal,
    ) -> Result<CheckedRequest, Rejection> {
        let mut ids = exchange.parts.headers.get_all(MCP_SESSION_ID).iter();
        let (route, fields) = (exchange.route, &exchange.parts.headers);
        if route.kind == UpstreamKind::Http || exchange.version.is_modern() {
            return Ok(CheckedRequest { routing: route.kind == UpstreamKind::Mcp, ..CheckedRequest::default() });
        }
        match (ids.next(), ids.next()) {
            (None, _) => Ok(CheckedRequest::default()),
            (Some(id), None) => {
                let is_taken_over = session::is_anonymous(id) && !caller.is_anonymous();
                let id = if is_taken_over {
                    let nobody = exchange.who_began(id)?;
                    self.sessions.may_take_over(route, (&nobody, caller.principal()), id)?
                } else {
                    self.sessions.unwrap(route, caller.principal(), id)?
                };
                // MCP 2025-11-25, Resumability: events are replayed only to the client that they were first sent to.
                let last_event = fields.get(LAST_EVENT_ID).cloned();
                Ok(CheckedRequest { session: Some(id), last_event, is_taken_over, routing: false })
            }
            (Some(_), Some(_)) => Err(Rejection::UnknownSession),
        }
    }

    /// Gives the session that a permitted request names, and that began without a token, to its caller.
    pub(super) fn take_session(&self, exchange: &Exchange<'_>, caller: &CachedPrincipal) -> Result<(), Rejection> {
        let Some(id) = exchange.parts.headers.get(MCP_SESSION_ID) else { return Ok(()) };
        let nobody = exchange.who_began(id)?;
        self.sessions.take_over(exchange.route, (&nobody, caller.principal()), id, self.clock.now())
    }
}

impl Exchange<'_> {
    /// Returns the principal without a token that a session began with.
    fn who_began(&self, id: &HeaderValue) -> Result<Principal, Rejection> {
        self.nobody(session::anonymous_name(id).ok_or(Rejection::UnknownSession)?)
    }
}
