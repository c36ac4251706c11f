//! What the store knows of what upstreams offer, for commands that judge a configuration and ask no server.

use serde_json::{Value, json};

use super::output::{moment, printable};
use crate::config::{Config, PinMode, UpstreamConfig, UpstreamKind, WrittenPattern};
use crate::oauth::Timestamp;
use crate::policy::{Annotations, KnownItems, NamedKind};
use crate::store::{ListedNames, StoreError, StoredCatalogue, ToolRecord, ToolState, stored_catalogue};

/// What is known of a tool.
pub(super) struct CalledTool {
    /// When the gateway itself last listed other tools than before; `None` if it never did.
    listed_at: Option<Timestamp>,
    /// The tool; `None` if it was never listed.
    record: Option<ToolRecord>,
    /// What it has said of itself, as far as that counts for everybody.
    says: Annotations,
    /// Whether it is hidden and refused until it is approved.
    pub(super) is_held: bool,
    /// Whether it is compared with what was pinned.
    is_pinned: bool,
}

impl CalledTool {
    /// Looks a tool up; `None` if nothing is known of the tools of the upstream, or there is no store.
    pub(super) fn find(config: &Config, upstream: &UpstreamConfig, tool: &str) -> Result<Option<Self>, StoreError> {
        let Some(kept) = stored_catalogue(&config.data_dir, &upstream.tenant, &upstream.name)? else {
            return Ok(None);
        };
        let record = kept.tools.iter().find(|own| own.name == tool).cloned();
        let says =
            record.as_ref().and_then(|own| kept.said(own)).map_or(Annotations::UNKNOWN, |said| said.most_dangerous);
        let listed_at = kept.listed_at;
        let is_as_pinned = record.as_ref().is_some_and(|own| match own.state() {
            ToolState::Pinned => true,
            ToolState::Changed | ToolState::New => false,
            ToolState::Gone => own.pinned.is_some(),
        });
        let (is_held, is_pinned) = (upstream.pin == PinMode::Hold && !is_as_pinned, upstream.pin != PinMode::Off);
        let is_known = listed_at.is_some() || record.is_some() || is_held;
        Ok(is_known.then_some(Self { listed_at, record, says, is_held, is_pinned }))
    }

    /// Returns what calls of it are judged by.
    pub(super) fn annotations(&self) -> Annotations {
        self.says
    }

    /// Returns how it is listed; `None` if it never was.
    fn state(&self) -> Option<&'static str> {
        let state = self.record.as_ref()?.state();
        let is_compared = self.is_pinned || state == ToolState::Gone;
        Some(if is_compared { state.as_str() } else { "listed" })
    }

    pub(super) fn value(&self) -> Value {
        let (says, record) = (self.annotations(), self.record.as_ref());
        json!({
            "state": self.state(),
            "since": record.map(|record| moment(record.since)),
            "held": self.is_held,
            "read_only": says.read_only,
            "destructive": says.destructive,
            "open_world": says.open_world,
            "listed_at": self.listed_at.map(moment),
        })
    }

    pub(super) fn text(&self) -> String {
        let held = if self.is_held { ", held" } else { "" };
        let state = match (self.state().zip(self.record.as_ref()), self.listed_at) {
            (Some((state, record)), _) => format!("{state} since {}", moment(record.since)),
            (None, Some(at)) => format!("not among those listed at {}", moment(at)),
            (None, None) => "never listed".to_owned(),
        };
        format!("tool: {state}{held}; counts as {}", names(self.annotations()))
    }
}

/// Returns the names of annotations.
fn names(says: Annotations) -> String {
    let named = [("readOnly", says.read_only), ("destructive", says.destructive), ("openWorld", says.open_world)];
    let names: Vec<_> = named.into_iter().filter(|(_, has)| *has).map(|(name, _)| name).collect();
    if names.is_empty() { "neither readOnly nor destructive nor openWorld".to_owned() } else { names.join(", ") }
}

/// Returns a warning for each pattern of the configuration that names nothing the upstream has listed, one sentence
/// each.
pub(super) fn warnings(config: &Config) -> Vec<String> {
    let named = |upstream: &&UpstreamConfig| config.patterns.iter().any(|own| own.upstream == upstream.name);
    let upstreams = config.upstreams.iter().filter(|upstream| upstream.kind == UpstreamKind::Mcp).filter(named);
    let of = |upstream: &UpstreamConfig| match stored_catalogue(&config.data_dir, &upstream.tenant, &upstream.name) {
        Ok(kept) => kept.map(|kept| unnamed(config, upstream, &kept)).unwrap_or_default(),
        Err(error) => {
            let text = "patterns are not compared with what it offers, because the store cannot be read";
            vec![format!("the upstream {}: {text}: {error}", upstream.name)]
        }
    };
    upstreams.flat_map(of).collect()
}

fn unnamed(config: &Config, upstream: &UpstreamConfig, kept: &StoredCatalogue) -> Vec<String> {
    let Some(listed_at) = kept.listed_at else { return Vec::new() };
    let listed = kept.tools.iter().filter(|tool| tool.listed.is_some());
    let tools: Vec<_> = listed.map(|tool| (tool.name.as_str(), tool.said.most_dangerous)).collect();
    let ListedNames { prompts, resources, templates } = kept.names.clone().unwrap_or_default();
    let known = KnownItems { tools: &tools, prompts: &prompts, resources: &resources, templates: &templates };
    let own = config.patterns.iter().filter(|own| own.upstream == upstream.name);
    let unnamed = own.filter(|own| own.pattern.names_any(known) == Some(false));
    unnamed.map(|own| sentence(own, listed_at)).collect()
}

fn sentence(own: &WrittenPattern, listed_at: Timestamp) -> String {
    let line = own.line.map(|line| format!(" (line {line})")).unwrap_or_default();
    let what = own.pattern.named_kind().map_or("items", NamedKind::as_str);
    let (text, at) = (printable(&own.text), moment(listed_at));
    format!("{}{line}: \"{text}\" names none of the {what} that the upstream listed at {at}", own.key)
}
