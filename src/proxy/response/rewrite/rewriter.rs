//! `Rewriter`: what a caller may see of an answer, by the rules of its upstream.

use std::sync::Arc;

use bytes::Bytes;

use super::event;
use crate::config::UpstreamKind;
use crate::mcp::{AnswerReader, Offer, Rewritten, may_change};
use crate::policy::{Annotations, Item, Standing};
use crate::proxy::cached_principal::CachedPrincipal;
use crate::proxy::fault::{Cause, Fault};

/// The amount of work on an answer after which other tasks get their turn, see [`AnswerReader::step`]: tens of
/// microseconds.
const PIECE: usize = 16 << 10;

/// Says what a caller may use of what an upstream offers.
pub(in crate::proxy) trait Shows {
    fn shows(&self, offer: Offer<'_>) -> bool;

    /// Notes that the upstream says that one of its lists changed.
    fn note_change(&self);
}

/// Rewrites the answers to one request.
#[derive(Clone)]
pub(in crate::proxy) struct Rewriter {
    caller: Arc<CachedPrincipal>,
    is_modern: bool,
}

impl Rewriter {
    /// Makes the rewriter of a caller; `None` where nothing is rewritten. `is_modern` says whether it uses 2026-07-28.
    pub(in crate::proxy) fn of(caller: &Arc<CachedPrincipal>, is_modern: bool) -> Option<Self> {
        let route = caller.route();
        let rewrites = route.kind == UpstreamKind::Mcp && route.rules.is_some();
        rewrites.then(|| Self { caller: Arc::clone(caller), is_modern })
    }
}

impl Shows for Rewriter {
    fn shows(&self, offer: Offer<'_>) -> bool {
        let Some(rules) = &self.caller.route().rules else { return true };
        let standing: &Standing = self.caller.standing();
        match offer {
            Offer::Tool(name, hints, entry) => {
                let says = Annotations::of(hints.read_only, hints.destructive, hints.open_world);
                rules.shows_annotated(standing, Item::Tool(name), self.caller.note(name, says))
                    && self.caller.is_shown_as_pinned(name, says, entry)
            }
            Offer::Prompt(name) => rules.shows(standing, Item::Prompt(name)),
            Offer::Resource(uri) => rules.shows(standing, Item::Resource(uri)),
            Offer::Template(uri) => rules.shows(standing, Item::Template(uri)),
            // In 2026-07-28 a request asks for log messages itself, without a method of their own.
            Offer::Capability("logging") if self.is_modern => true,
            Offer::Capability(name) => rules.offers(standing, name),
        }
    }

    fn note_change(&self) {
        self.caller.route().catalogue.note_change();
    }
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
        return rewrite_message(&answer, shows).await;
    }
    let (mut rewritten, mut changes) = (Vec::new(), false);
    for event in event::events(&answer) {
        let message = if may_change(event) { event::message(event) } else { Vec::new() };
        match rewrite_message(&message, shows).await? {
            Rewritten::Unchanged => rewritten.extend_from_slice(event),
            Rewritten::Changed(message) | Rewritten::UnknownTool(message) => {
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
    let mut reader = AnswerReader::new(message, |offer: Offer<'_>| shows.shows(offer)).map_err(unreadable)?;
    loop {
        if let Some(read) = reader.step(PIECE) {
            return read.map_err(unreadable);
        }
        tokio::task::yield_now().await;
    }
}
