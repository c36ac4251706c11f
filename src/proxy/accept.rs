//! Accepts callers: with a token, or without one where an upstream allows some requests without (`anonymous`).

use std::sync::Arc;

use http::{Method, StatusCode};

use super::addressed::Addressed;
use super::authenticate::{Authenticated, shows_nothing};
use super::cached_principal::CachedPrincipal;
use super::exchange::{Exchange, Proxy};
use super::field::MCP_SESSION_ID;
use super::rejection::Rejection;
use super::response::ending::Ids;
use super::session;
use crate::config::UpstreamKind;
use crate::network;
use crate::oauth::{AccountId, ClientId};
use crate::token_cache::Principal;

/// A caller that is accepted: its token, or what stands for one, and what its requests need.
type AcceptedCaller<'r> = (Addressed<'r>, Arc<CachedPrincipal>);

impl Proxy {
    /// Accepts a request with a valid token, or one without a token where the upstream answers such, and counts it.
    pub(super) fn accept<'r>(
        &self,
        exchange: &mut Exchange<'r>,
        token: Result<Addressed<'r>, Rejection>,
    ) -> Result<AcceptedCaller<'r>, Rejection> {
        let (token, caller) = match token {
            Ok(token) => {
                let caller = exchange.worker.caller(&token)?;
                (token, caller)
            }
            Err(Rejection::NoCredentials) => self.anonymous(exchange)?,
            Err(rejection) => return Err(rejection),
        };
        exchange.is_anonymous = token.token().is_anonymous();
        exchange.has_good_token = !exchange.is_anonymous;
        if let Some(record) = &mut exchange.record {
            record.of(&caller);
        }
        exchange.worker.table.budgets.spend(caller.budget())?;
        exchange.user_slot = Some(caller.budget().enter(exchange.config.limits.streams_per_principal)?);
        Ok((token, caller))
    }

    /// Accepts a request without a token, if its upstream answers some. Each session is a principal of its own, and so
    /// is each request outside a session; all of a site share what a user may use.
    fn anonymous<'r>(&self, exchange: &Exchange<'r>) -> Result<AcceptedCaller<'r>, Rejection> {
        let Exchange { worker, route, ref parts, peer, .. } = *exchange;
        if route.anonymous_limits.is_none() || !shows_nothing(&parts.headers, &parts.uri) {
            return Err(Rejection::NoCredentials);
        }
        let has_sessions = route.kind == UpstreamKind::Mcp && !exchange.version.is_modern();
        let mut ids = parts.headers.get_all(MCP_SESSION_ID).iter().filter(|_| has_sessions);
        let name = match (ids.next(), ids.next()) {
            (Some(id), None) => session::anonymous_name(id).ok_or(Rejection::NoCredentials)?.to_owned(),
            // The stream and the end of a session are for those who know its id.
            (None, _) if has_sessions && parts.method != Method::POST => return Err(Rejection::NoCredentials),
            (None, _) => peer.request_id.digits().as_str().to_owned(),
            (Some(_), Some(_)) => return Err(Rejection::NoCredentials),
        };
        let principal = exchange.nobody(&name)?;
        let token = Authenticated::anonymous(principal, self.clock.now());
        let token = Addressed::check(token, route, peer.address)?;
        let caller = Arc::new(CachedPrincipal::new(&token, &worker.table)?);
        Ok((token, caller))
    }
}

impl Exchange<'_> {
    /// Returns the principal without a token that has this name.
    pub(super) fn nobody(&self, name: &str) -> Result<Principal, Rejection> {
        let client = ClientId::parse(&format!("{}{name}", session::ANONYMOUS_CLIENT)).ok_or(Rejection::Internal)?;
        let subject = format!("anonymous_{}", network::site(self.peer.address));
        let subject = AccountId::parse(&subject).ok_or(Rejection::Internal)?;
        Ok(Principal::anonymous(self.route.tenant.clone(), client, subject, self.route.resource.clone()))
    }

    /// Returns how a request is refused: without a token, in no other way than any is without one, unless what refused
    /// it would not change with a token.
    pub(super) fn hiding(&mut self, rejection: Rejection) -> Rejection {
        let status = rejection.row().status;
        let is_pressure = status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error();
        let is_session = matches!(rejection, Rejection::UnknownSession);
        if !self.is_anonymous || is_pressure || is_session {
            return rejection;
        }
        self.ids = Ids::None;
        Rejection::NoCredentials
    }
}
