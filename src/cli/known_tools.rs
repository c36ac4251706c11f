//! What the store knows of what upstreams offer, for commands that judge a configuration and ask no server.

use serde_json::{Value, json};

use super::output::{moment, printable};
use crate::config::{Config, PinMode, UpstreamConfig, UpstreamKind, WrittenPattern};
use crate::oauth::Timestamp;
use crate::policy::{Annotations, KnownItems, NamedKind, Said};
use crate::store::{ListedNames, StoreError, StoredCatalogue, ToolRecord, ToolState, stored_catalogue};

/// What is known of a tool.
pub(super) struct CalledTool {
    /// When the gateway itself last listed other tools than before; `None` if it never did.
    listed_at: Option<Timestamp>,
    /// The tool; `None` if it was never listed.
    record: Option<ToolRecord>,
    /// What it has said of itself, as far as that counts for everybody.
    said: Said,
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
        let said = record.as_ref().and_then(|own| kept.said(own)).unwrap_or(Said::only(Annotations::UNKNOWN));
        let listed_at = kept.listed_at;
        let is_as_pinned = record.as_ref().is_some_and(|own| match own.state() {
            ToolState::Pinned => true,
            ToolState::Changed | ToolState::New => false,
            ToolState::Gone => own.pinned.is_some(),
        });
        let (is_held, is_pinned) = (upstream.pin == PinMode::Hold && !is_as_pinned, upstream.pin != PinMode::Off);
        let is_known = listed_at.is_some() || record.is_some() || is_held;
        Ok(is_known.then_some(Self { listed_at, record, said, is_held, is_pinned }))
    }

    /// Returns what calls of it are judged by, after a new consent or without a token.
    pub(super) fn annotations(&self, is_anonymous: bool) -> Annotations {
        if is_anonymous { self.said.most_dangerous } else { self.said.for_new_consent() }
    }

    /// Returns how it is listed; `None` if it never was.
    fn state(&self) -> Option<&'static str> {
        let state = self.record.as_ref()?.state();
        let is_compared = self.is_pinned || state == ToolState::Gone;
        Some(if is_compared { state.as_str() } else { "listed" })
    }

    pub(super) fn value(&self) -> Value {
        let (says, record) = (self.said.for_new_consent(), self.record.as_ref());
        let (milder_since, before) = milder(self.said);
        json!({
            "state": self.state(),
            "since": record.map(|record| moment(record.since)),
            "held": self.is_held,
            "read_only": says.read_only,
            "destructive": says.destructive,
            "open_world": says.open_world,
            "milder_since": milder_since,
            "before": before,
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
        let before = self.said.milder_since.map(|since| {
            let names = names(self.said.most_dangerous);
            format!("; for consents up to {}, and without a token, as {names}", moment(since))
        });
        let counts = names(self.said.for_new_consent());
        format!("tool: {state}{held}; counts as {counts}{}", before.unwrap_or_default())
    }
}

/// Returns since when a tool is milder, and what counts for earlier consents; null if it is not.
pub(super) fn milder(said: Said) -> (Value, Value) {
    let most = said.most_dangerous;
    let before = || {
        json!({
            "kind": most.kind().as_str(),
            "read_only": most.read_only,
            "destructive": most.destructive,
            "open_world": most.open_world,
        })
    };
    let since = said.milder_since.map(moment);
    (json!(since), since.map_or(Value::Null, |_| before()))
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
    let tools: Vec<_> = listed.map(|tool| (tool.name.as_str(), tool.said.for_new_consent())).collect();
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

#[cfg(test)]
mod tests {
    use super::CalledTool;
    use crate::oauth::Timestamp;
    use crate::policy::{Annotations, Said};

    #[test]
    fn a_tool_that_is_milder_is_told_with_what_counts_for_earlier_consents() {
        let (reads, destroys) =
            (Annotations::of(Some(true), None, Some(false)), Annotations::of(None, None, Some(false)));
        let listed_at = Some(Timestamp::from_secs(1_800_000_000));
        let of = |said| CalledTool { listed_at, record: None, said, is_held: false, is_pinned: false };
        let milder = of(Said::only(destroys).then(reads, Timestamp::from_secs(1_800_000_060)));
        assert_eq!((milder.annotations(false), milder.annotations(true)), (reads, destroys));
        let listed = "tool: not among those listed at 2027-01-15T08:00:00Z; counts as readOnly";
        let before = "; for consents up to 2027-01-15T08:01:00Z, and without a token, as destructive";
        assert_eq!((milder.text(), of(Said::only(reads)).text()), (format!("{listed}{before}"), listed.to_owned()));
    }
}
