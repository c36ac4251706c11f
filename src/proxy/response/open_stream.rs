//! `OpenStream`: an open answer, as the task that monitors all of them knows it.

use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use http::HeaderValue;
use tokio::time::Instant;

use super::stream_handle::{StreamHandle, StreamSignal, TokenCheck};
use crate::mcp::ChangedLists;
use crate::oauth::{Lifetime, Timestamp, TokenHash};
use crate::proxy::authenticate::Authenticated;
use crate::proxy::list_changes::{changed_by_catalogue, changed_by_rules};
use crate::proxy::opening::Opening;
use crate::proxy::route::Route;
use crate::proxy::route_access::RouteAccess;
use crate::proxy::route_table::RouteTable;
use crate::proxy::session::Sessions;
use crate::token_cache::Principal;

/// Limits on how long an answer may last and pause.
#[derive(Debug, Clone, Copy)]
pub(in crate::proxy) struct StreamLimits {
    pub(in crate::proxy) max_age: Duration,
    /// Silence after which a keep-alive is due (event streams), or the answer is given up (others).
    pub(in crate::proxy) silence: Duration,
    pub(in crate::proxy) on_silence: StreamSignal,
    /// How long an answer may continue after its token has expired.
    pub(in crate::proxy) grace: Duration,
    /// Whether it never ends by itself: the stream of a GET, or of a subscription.
    pub(in crate::proxy) is_standing: bool,
}

/// An answer that is about to become a stream, and what it answers.
pub(in crate::proxy) struct NewStream<'a> {
    pub(in crate::proxy) token: &'a Authenticated,
    /// The token cache's generation before the token was looked up.
    pub(in crate::proxy) generation: u64,
    pub(in crate::proxy) route: &'a Arc<Route>,
    /// The session that its request names.
    pub(in crate::proxy) session: Option<&'a HeaderValue>,
    pub(in crate::proxy) opening: Opening,
    /// The lists of whose changes it may tell.
    pub(in crate::proxy) tells: ChangedLists,
}

pub(super) struct OpenStream {
    handle: Arc<StreamHandle>,
    /// The route by which it goes on.
    route: Arc<Route>,
    principal: Arc<Principal>,
    opening: Opening,
    tells: ChangedLists,
    /// How often its catalogue had changed when that was last looked at.
    changes: u64,
    /// Whether lists in it are rewritten.
    is_rewritten: bool,
    hash: Option<TokenHash>,
    /// The session, where it could be taken over: of a stream without a token that does not end by itself.
    session: Option<HeaderValue>,
    /// When the token has expired and the grace period is over.
    end: Timestamp,
    opened: Instant,
    heard: Instant,
    limits: StreamLimits,
    /// Whether the token was not checked yet since the answer began; and below, whether the route was not compared yet
    /// with the table in force.
    unseen: bool,
    is_due: bool,
}

impl OpenStream {
    /// Makes the two parts of a stream: for the task, and for the body of the answer.
    pub(super) fn new(new: NewStream<'_>, limits: StreamLimits, tokens: &Arc<TokenCheck>) -> (Self, Arc<StreamHandle>) {
        let NewStream { token, generation, route, session, opening, tells } = new;
        let hash = Some(*token.hash()).filter(|_| !token.is_anonymous());
        let handle = Arc::new(StreamHandle::new(hash, generation, tokens));
        let now = Instant::now();
        let grace = Lifetime::from_millis(u64::try_from(limits.grace.as_millis()).unwrap_or(u64::MAX));
        let stream = Self {
            handle: Arc::clone(&handle),
            route: Arc::clone(route),
            principal: Arc::clone(token.principal()),
            opening,
            tells,
            changes: route.catalogue.changes(),
            is_rewritten: route.is_rewritten(),
            hash,
            session: session.filter(|_| token.is_anonymous() && limits.is_standing).cloned(),
            end: token.expires().plus(grace),
            opened: now,
            heard: now,
            limits,
            unseen: true,
            is_due: true,
        };
        (stream, handle)
    }

    pub(super) fn limits(&self) -> &StreamLimits {
        &self.limits
    }

    /// Returns whether the body still exists, which holds the other reference.
    pub(super) fn is_awaited(&self) -> bool {
        Arc::strong_count(&self.handle) > 1
    }

    pub(super) fn send(&self, signal: StreamSignal) {
        self.handle.send(signal);
    }

    pub(super) fn is_taken_over(&self, sessions: &Sessions) -> bool {
        self.session.as_ref().is_some_and(|id| sessions.is_taken(&self.route, &self.principal, id))
    }

    /// Goes on by the table in force, `is_other` than before, and tells of lists that have changed. Returns why it
    /// cannot go on; pending if `left`, how many answers may still be compared, is used up.
    pub(super) fn follow(
        &mut self,
        table: Option<&RouteTable>,
        is_other: bool,
        left: &mut usize,
    ) -> Poll<Option<StreamSignal>> {
        self.is_due |= is_other;
        let table = table.filter(|_| self.is_due);
        let has_news = !self.tells.is_empty() && self.changes != self.route.catalogue.changes();
        if table.is_none() && !has_news {
            return Poll::Ready(None);
        }
        let Some(less) = left.checked_sub(1) else { return Poll::Pending };
        *left = less;
        if has_news {
            let known = std::mem::replace(&mut self.changes, self.route.catalogue.changes());
            let access = RouteAccess::new(&self.principal, &self.route);
            self.handle.tell(changed_by_catalogue(&access, known).and(self.tells));
        }
        let Some(table) = table else { return Poll::Ready(None) };
        self.is_due = false;
        Poll::Ready(self.compare(table))
    }

    fn compare(&mut self, table: &RouteTable) -> Option<StreamSignal> {
        // TV-14: the token is useless without its upstream.
        let Some(route) = table.route_of(&self.route) else { return Some(StreamSignal::Removed) };
        if Arc::ptr_eq(route, &self.route) {
            return None;
        }
        if !route.upholds(&self.route, &self.principal) {
            return Some(StreamSignal::TokenEnded);
        }
        let now = RouteAccess::new(&self.principal, route);
        let is_unfiltered = route.is_rewritten() && !self.is_rewritten && self.opening.may_list();
        if is_unfiltered || !self.opening.is_permitted(&now) {
            return Some(StreamSignal::RulesChanged);
        }
        if !self.tells.is_empty() {
            let before = RouteAccess::new(&self.principal, &self.route);
            self.handle.tell(changed_by_rules(&before, &now).and(self.tells));
        }
        if !Arc::ptr_eq(&route.catalogue, &self.route.catalogue) {
            self.changes = route.catalogue.changes();
        }
        self.route = Arc::clone(route);
        None
    }

    pub(super) fn judge(
        &mut self,
        now: Instant,
        time: Timestamp,
        revoked: bool,
        tokens: &TokenCheck,
    ) -> Option<StreamSignal> {
        // TV-15: an answer may continue for a while after its token has expired.
        if time >= self.end {
            return Some(StreamSignal::TokenEnded);
        }
        // TV-14, SS-06. A token that is no longer in the cache may be revoked, so the stream is closed: a client that
        // reconnects is checked against the store. Expired tokens stay in the cache for longer than the grace period.
        let is_due = std::mem::take(&mut self.unseen) || revoked;
        if is_due && self.hash.as_ref().is_some_and(|hash| tokens.cache.is_forgotten(hash, time)) {
            return Some(StreamSignal::TokenEnded);
        }
        if now.saturating_duration_since(self.opened) >= self.limits.max_age {
            return Some(StreamSignal::TooOld);
        }
        if self.handle.take_data() {
            self.heard = now;
        } else if now.saturating_duration_since(self.heard) >= self.limits.silence {
            self.heard = now;
            return Some(self.limits.on_silence);
        }
        None
    }
}
