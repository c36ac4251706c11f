//! `Rewriter`: what a caller may see of an answer, by the rules of its upstream.

use std::iter;
use std::sync::Arc;

use bytes::Bytes;

use super::event;
use crate::catalogue::OfferKind;
use crate::mcp::{AnswerReader, AskedCompletion, Offer, Rewritten, SecuritySchemes, Shown, ToldUnknown, may_change};
use crate::oauth::ScopeToken;
use crate::policy::{Annotations, Item, Rules, Standing};
use crate::proxy::cached_principal::CachedPrincipal;
use crate::proxy::exchange::Exchange;
use crate::proxy::fault::{Cause, Fault};
use crate::proxy::route_access::RouteAccess;
use crate::proxy::table_in_force::TableInForce;

/// The amount of work on an answer after which other tasks get their turn, see [`AnswerReader::step`]: tens of
/// microseconds.
const PIECE: usize = 16 << 10;

/// Says what a caller gets to see of what an upstream offers.
pub(in crate::proxy) trait Shows {
    fn shows(&self, offer: Offer<'_>) -> Shown;

    /// Returns whether the caller uses 2026-07-28.
    fn is_modern(&self) -> bool;

    /// Notes that the upstream says that one of its lists changed.
    fn note_change(&self);

    /// Returns what says so now, which a reload may have changed.
    fn current(&self) -> Self
    where
        Self: Clone,
    {
        self.clone()
    }
}

/// Rewrites the answers to one request.
#[derive(Clone)]
pub(in crate::proxy) struct Rewriter {
    access: Arc<RouteAccess>,
    is_modern: bool,
    /// Where the answer is a stream: what a reload may have changed meanwhile.
    table: Option<Arc<TableInForce>>,
    /// The completions that the request asks for, if any are known. As a list behind a thin pointer, because every
    /// request with rules holds it.
    asked: Option<Arc<Vec<AskedCompletion>>>,
}

impl Rewriter {
    /// Makes the rewriter of the answer to a request; `None` where nothing is rewritten.
    pub(in crate::proxy) fn of(exchange: &Exchange<'_>, caller: &CachedPrincipal) -> Option<Self> {
        if !caller.route().is_rewritten() {
            return None;
        }
        let may_complete = exchange.record.as_ref().is_some_and(|record| record.asked().may_complete());
        let asked = exchange.opening.as_ref().filter(|_| may_complete).map(|opening| Arc::new(opening.completions()));
        Some(Self { access: Arc::clone(caller.access()), is_modern: exchange.version.is_modern(), table: None, asked })
    }

    /// Returns whether a caller may read what a value of a completion stands for. Of a completion that is not known, as
    /// in a resumed stream, nothing is shown to those who may not read everything.
    fn shows_value(&self, rules: &Rules, id: Option<&str>, value: Option<&str>) -> bool {
        let standing = self.access.standing();
        let asked = match self.asked.as_deref().map(Vec::as_slice) {
            Some([only]) => Some(only),
            Some(several) => several.iter().find(|one| id.is_some_and(|id| one.is_answered_by(id))),
            None => None,
        };
        let Some(asked) = asked else { return rules.shows_every_resource(standing) };
        let may_read = |uri: &String| rules.shows_resource(standing, uri, &*self.access);
        !asked.is_of_resource() || value.is_some_and(|value| asked.uris(value).iter().any(may_read))
    }

    /// Goes by the table in force from now on.
    pub(in crate::proxy) fn following(self, table: &Arc<TableInForce>) -> Self {
        Self { table: Some(Arc::clone(table)), ..self }
    }
}

impl Shows for Rewriter {
    fn shows(&self, offer: Offer<'_>) -> Shown {
        let Some(rules) = &self.access.route().rules else { return Shown::AsItIs };
        let standing: &Standing = self.access.standing();
        let is_shown = match offer {
            Offer::Tool(name, hints, entry) => {
                let says = Annotations::of(hints.read_only, hints.destructive, hints.open_world);
                let judged_by = self.access.note(name, says, Some(entry).filter(|_| hints.has_meta));
                let is_shown = rules.shows_annotated(standing, Item::Tool(name), judged_by)
                    && self.access.is_shown_as_pinned(name, says, entry);
                if is_shown && self.access.route().gives_security_schemes() {
                    return Shown::With(schemes(&self.access, rules, (name, judged_by)));
                }
                is_shown
            }
            Offer::Prompt(name) => {
                self.access.note_item(OfferKind::Prompts, name);
                rules.shows(standing, Item::Prompt(name))
            }
            Offer::Resource(uri) => {
                self.access.note_item(OfferKind::Resources, uri);
                rules.shows_resource(standing, uri, &*self.access)
            }
            Offer::Update(uri) => rules.shows_resource(standing, uri, &*self.access),
            Offer::Template(uri) => {
                self.access.note_item(OfferKind::Templates, uri);
                rules.shows(standing, Item::Template(uri))
            }
            Offer::Completion(id, value) => self.shows_value(rules, id, value),
            // In 2026-07-28 a request asks for log messages itself, without a method of their own.
            Offer::Capability("logging") if self.is_modern => true,
            Offer::Capability(name) => {
                rules.offers(standing, name) || (name == "resources" && self.access.may_read_ui(rules))
            }
        };
        is_shown.into()
    }

    fn is_modern(&self) -> bool {
        self.is_modern
    }

    fn note_change(&self) {
        self.access.route().catalogue.note_change();
    }

    fn current(&self) -> Self {
        let changed = self.table.as_ref().and_then(|table| table.changed(&self.access)).map(Arc::new);
        Self { access: changed.unwrap_or_else(|| Arc::clone(&self.access)), ..self.clone() }
    }
}

/// Returns what a call of a tool needs, by the rules of its upstream: the scopes that every request needs, and one that
/// opens it.
fn schemes(caller: &RouteAccess, rules: &Rules, tool: (&str, Annotations)) -> SecuritySchemes {
    let access = rules.access(caller.standing(), caller.principal().scopes(), tool);
    let scopes = access.scope.map(|scope| caller.route().required_scopes.union(&iter::once(scope.clone()).collect()));
    let names: Option<Vec<&str>> = scopes.as_ref().map(|scopes| scopes.iter().map(ScopeToken::as_str).collect());
    SecuritySchemes::new(access.is_open_to_all, names.as_deref())
}

/// Rewrites all of an answer: a JSON body, or a part of a stream that consists of whole events.
///
/// # Errors
/// It may be a list, and cannot be read.
pub(in crate::proxy) async fn rewrite(
    answer: Bytes,
    is_events: bool,
    shows: &(impl Shows + Sync),
) -> Result<Rewritten, Fault> {
    if !is_events {
        let rewritten = rewrite_message(&answer, shows).await?;
        return Ok(if rewritten == Rewritten::Hidden { Rewritten::Changed(Vec::new()) } else { rewritten });
    }
    let (mut rewritten, mut changes) = (Vec::new(), false);
    for event in event::events(&answer) {
        let message = if may_change(event) { event::message(event) } else { Vec::new() };
        match rewrite_message(&message, shows).await? {
            Rewritten::Unchanged => rewritten.extend_from_slice(event),
            Rewritten::Hidden => changes = true,
            Rewritten::Changed(message) | Rewritten::Unknown(ToldUnknown { answer: message, .. }) => {
                changes = true;
                event::append_with(event, &message, &mut rewritten);
            }
        }
    }
    Ok(if changes { Rewritten::Changed(rewritten) } else { Rewritten::Unchanged })
}

async fn rewrite_message(message: &[u8], shows: &(impl Shows + Sync)) -> Result<Rewritten, Fault> {
    if !may_change(message) {
        return Ok(Rewritten::Unchanged);
    }
    let unreadable = |why: &str| Fault::new(Cause::Unreadable, format!("an answer that may be a list: {why}"));
    let reader = AnswerReader::new(message, |offer: Offer<'_>| shows.shows(offer)).map_err(unreadable)?;
    let mut reader = reader.for_modern(shows.is_modern());
    loop {
        if let Some(read) = reader.step(PIECE) {
            return read.map_err(unreadable);
        }
        tokio::task::yield_now().await;
    }
}
