//! `mcpgate tool`: the tools of upstreams as they are listed and as they are pinned.

use serde_json::{Value, json};

use super::data::{Data, DataArguments, Missing};
use super::failure::Failure;
use super::known_tools::milder;
use super::output::moment;
use super::runtime::block_on;
use crate::config::{PinMode, UpstreamConfig};
use crate::mcp::{Difference, ToolDefinition, differences, in_words, suspicions};
use crate::oauth::is_shown;
use crate::store::{ToolChoice, ToolRecord, ToolState};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// List the tools of upstreams, how each compares with what is pinned, and as what it counts for new consents
    List {
        /// Only tools of this upstream
        #[arg(long, value_name = "NAME")]
        upstream: Option<String>,
        #[command(flatten)]
        data: DataArguments,
    },
    /// Show how tools differ from what is pinned, and text in them that is aimed at a model
    Diff {
        /// Only this tool
        tool: Option<String>,
        /// Only tools of this upstream
        #[arg(long, value_name = "NAME")]
        upstream: Option<String>,
        #[command(flatten)]
        data: DataArguments,
    },
    /// Pin tools as they are listed now
    Approve(Chosen),
    /// Remove what is kept of tools, as if they had never been seen; of all, the next list is pinned again
    Forget(Chosen),
}

#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("which").required(true))]
pub(super) struct Chosen {
    /// Tools, by the names that calls use
    #[arg(group = "which")]
    tools: Vec<String>,
    /// All tools of the upstream
    #[arg(long, group = "which")]
    all: bool,
    /// Only if the tool, a single one, is still the one with this hash (`mcpgate tool diff` shows it)
    #[arg(long, value_name = "HASH", conflicts_with = "all")]
    hash: Option<String>,
    /// The upstream, unless there is only one
    #[arg(long, value_name = "NAME")]
    upstream: Option<String>,
    #[command(flatten)]
    data: DataArguments,
}

pub(super) fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::List { upstream, data } => {
            let data = data.open(Missing::Refuse)?;
            let tools = tools(&data, upstream.as_deref(), |upstream, tool| Some(described(upstream, tool)))?;
            let columns = [("UPSTREAM", "upstream"), ("TOOL", "tool"), ("STATE", "state"), ("HELD", "held")];
            let columns: Vec<_> = columns
                .into_iter()
                .chain([("KIND", "kind"), ("SINCE", "since"), ("MILDER SINCE", "milder_since")])
                .collect();
            data.output.list(&columns, &tools)
        }
        Command::Diff { tool, upstream, data } => {
            let data = data.open(Missing::Refuse)?;
            let is_meant = |of: &UpstreamConfig, own: &ToolRecord| match &tool {
                Some(tool) => own.name == *tool,
                None => differs(of, own),
            };
            let found = tools(&data, upstream.as_deref(), |of, tool| is_meant(of, tool).then(|| compared(of, tool)))?;
            if let Some(tool) = tool.filter(|_| found.is_empty()) {
                return Err(Failure::other(anyhow::anyhow!("no tool {tool:?}; mcpgate tool list has all")));
            }
            let text = if found.is_empty() { "no tool differs".to_owned() } else { text_of(&found) };
            data.output.one(&text, &Value::Array(found))
        }
        Command::Approve(chosen) => {
            let (data, which) = (chosen.data.open(Missing::Refuse)?, chosen.choice()?);
            let approve = data.administration.approve_tools(chosen.upstream.as_deref(), which);
            let approved = block_on(async { Ok(approve.await?) })?;
            data.output.one(&told("approved", &approved), &json!({ "approved": approved }))
        }
        Command::Forget(chosen) => {
            let (data, which) = (chosen.data.open(Missing::Refuse)?, chosen.choice()?);
            let forget = data.administration.forget_tools(chosen.upstream.as_deref(), which);
            let forgotten = block_on(async { Ok(forget.await?) })?;
            data.output.one(&told("forgotten", &forgotten), &json!({ "forgotten": forgotten }))
        }
    }
}

impl Chosen {
    fn choice(&self) -> Result<ToolChoice, Failure> {
        match (&self.hash, self.tools.as_slice()) {
            (Some(hash), [tool]) => Ok(ToolChoice::Exactly(tool.clone(), hash.to_ascii_lowercase())),
            (Some(_), _) => Err(Failure::Usage("--hash: name one tool with it".to_owned())),
            (None, []) => Ok(ToolChoice::All),
            (None, tools) => Ok(ToolChoice::Named(tools.to_vec())),
        }
    }
}

/// Returns what `describe` says of the tools of one upstream or all, with the upstream.
fn tools(
    data: &Data,
    upstream: Option<&str>,
    describe: impl Fn(&UpstreamConfig, &ToolRecord) -> Option<Value>,
) -> Result<Vec<Value>, Failure> {
    let catalogues = block_on(async { Ok(data.administration.tools(upstream).await?) })?;
    let of = |upstream: &UpstreamConfig, tool: &ToolRecord| {
        let is_held = upstream.pin == PinMode::Hold && differs(upstream, tool);
        let mut value = describe(upstream, tool)?;
        let members = value.as_object_mut()?;
        members.insert("upstream".to_owned(), json!(upstream.name));
        members.insert("held".to_owned(), json!(is_held));
        Some(value)
    };
    let values = catalogues.iter().flat_map(|(upstream, kept)| kept.tools.iter().filter_map(|tool| of(upstream, tool)));
    Ok(values.collect())
}

/// Returns whether a tool is not listed as it was pinned. Without pinning, one that nobody pinned differs from nothing.
fn differs(upstream: &UpstreamConfig, tool: &ToolRecord) -> bool {
    match tool.state() {
        ToolState::Changed => true,
        ToolState::New => upstream.pin != PinMode::Off,
        ToolState::Pinned | ToolState::Gone => false,
    }
}

/// Returns the word for how a tool compares with what is pinned.
fn state(upstream: &UpstreamConfig, tool: &ToolRecord) -> &'static str {
    let is_unpinned = tool.state() == ToolState::New && upstream.pin == PinMode::Off;
    if is_unpinned { "unpinned" } else { tool.state().as_str() }
}

fn described(upstream: &UpstreamConfig, tool: &ToolRecord) -> Value {
    let hash = |definition: &Option<ToolDefinition>| definition.as_ref().map(ToolDefinition::short_hash);
    let says = tool.said.for_new_consent();
    let (milder_since, before) = milder(tool.said);
    json!({
        "tool": tool.name,
        "title": tool.title,
        "state": state(upstream, tool),
        "kind": says.kind().as_str(),
        "read_only": says.read_only,
        "destructive": says.destructive,
        "open_world": says.open_world,
        "milder_since": milder_since,
        "before": before,
        "hash": hash(&tool.listed),
        "pinned_hash": hash(&tool.pinned),
        "since": moment(tool.since),
    })
}

fn compared(upstream: &UpstreamConfig, tool: &ToolRecord) -> Value {
    let found = tool.listed.as_ref().map(|listed| (differences(tool.pinned.as_ref(), listed), suspicions(listed)));
    let (found, signs) = found.unwrap_or((Some(Vec::new()), Vec::new()));
    let place = |Difference { member, before, after }: &Difference| json!({ "member": member, "before": before, "after": after });
    json!({
        "tool": tool.name,
        "state": state(upstream, tool),
        "hash": tool.listed.as_ref().map(ToolDefinition::short_hash),
        "differences": found.as_ref().map(|found| found.iter().map(place).collect::<Vec<_>>()),
        "lines": found.map(|found| found.iter().map(|one| in_words(std::slice::from_ref(one))).collect::<Vec<_>>()),
        "signs": signs,
    })
}

/// Returns the comparisons as text, a paragraph for each tool.
fn text_of(found: &[Value]) -> String {
    // Names are shown to a terminal.
    let words = |value: &Value| value.as_str().unwrap_or_default().chars().filter(|c| is_shown(*c)).collect::<String>();
    let list = |value: &Value| value.as_array().into_iter().flatten().map(words).collect::<Vec<_>>();
    let paragraph = |tool: &Value| {
        let hash = tool["hash"].as_str().map(|hash| format!(", hash {hash}")).unwrap_or_default();
        let first =
            format!("{} of {}: {}{hash}", words(&tool["tool"]), words(&tool["upstream"]), words(&tool["state"]));
        let long = tool["lines"].is_null().then(|| "  its definition is too long to be compared".to_owned());
        let signs = list(&tool["signs"]).into_iter().map(|sign| format!("  aimed at a model: {sign}"));
        let lines = list(&tool["lines"]).into_iter().map(|line| format!("  {line}"));
        std::iter::once(first).chain(signs).chain(long).chain(lines).collect::<Vec<_>>().join("\n")
    };
    found.iter().map(paragraph).collect::<Vec<_>>().join("\n")
}

fn told(what: &str, names: &[String]) -> String {
    if names.is_empty() { format!("nothing to be {what}") } else { format!("{what}: {}", names.join(", ")) }
}
