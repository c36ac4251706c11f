//! The part of a store for what upstreams offer: their tools as last listed, and what of that is pinned.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::{AuditRow, Result};
use crate::mcp::ToolDefinition;
use crate::oauth::{TenantId, Timestamp};
use crate::policy::{Annotations, Said};

/// A tool of an upstream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToolRecord {
    /// The name that calls use.
    pub name: String,
    /// The name for people, if it has one.
    pub title: Option<String>,
    /// What it has said of itself since it was first seen or last approved. See [`StoredCatalogue::said`].
    pub said: Said,
    /// Its definition as last listed; `None` if the upstream does not list it any more.
    pub listed: Option<ToolDefinition>,
    /// Its definition as pinned; `None` if it was not.
    pub pinned: Option<ToolDefinition>,
    /// Since when it is listed as it is, or not at all.
    pub since: Timestamp,
}

/// How what a tool is compares with what was pinned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ToolState {
    /// It is listed as it was pinned.
    Pinned,
    /// It was pinned with another definition.
    Changed,
    /// It was never pinned.
    New,
    /// It is not listed any more.
    Gone,
}

/// What is kept of an upstream.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StoredCatalogue {
    /// When a complete list last differed from the one before; `None` if the gateway never got one itself.
    pub listed_at: Option<Timestamp>,
    /// When its tools were first pinned, all of a complete list at once.
    pub pinned_at: Option<Timestamp>,
    /// What else the gateway itself listed last; `None` if it never did.
    pub names: Option<ListedNames>,
    /// Its tools, by name, those included that are gone.
    pub tools: Vec<ToolRecord>,
}

/// What an upstream listed beside its tools.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ListedNames {
    /// Its prompts, by name.
    pub prompts: Vec<String>,
    /// Its resources, by URI.
    pub resources: Vec<String>,
    /// Its templates of resources, by URI template.
    pub templates: Vec<String>,
}

/// A tool as an upstream listed it.
#[derive(Debug, Clone)]
pub struct SeenTool {
    /// The name that calls use.
    pub name: String,
    /// The name for people, if it has one.
    pub title: Option<String>,
    /// What it says of itself.
    pub annotations: Annotations,
    /// What a model is told of it.
    pub definition: ToolDefinition,
}

/// Tools that an upstream listed.
#[derive(Debug, Clone)]
pub struct Listing {
    /// The tools, in any order.
    pub tools: Vec<SeenTool>,
    /// What else was listed; `None` where somebody was shown tools.
    pub names: Option<ListedNames>,
    /// Whether these are all, as the gateway itself listed them; otherwise somebody was shown them.
    pub is_whole: bool,
    /// How many audit rows about tools may be written; `None` where nobody wants tools to be pinned. If none may be,
    /// what is kept of the tools that want one stays as it is, so that they still want it with a later listing.
    pub alarms: Option<usize>,
}

/// What a listing leads to.
#[derive(Debug, Clone)]
pub struct KeptListing {
    /// What is kept then.
    pub catalogue: StoredCatalogue,
    /// The reasons of the audit rows that were written.
    pub alarms: Vec<String>,
    /// Whether tools want an audit row, of which none could be written.
    pub owes_alarms: bool,
}

/// Which tools of an upstream an action is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ToolChoice {
    /// All that are kept.
    All,
    /// Those with these names.
    Named(Vec<String>),
    /// One, if the short hash of its listed definition begins with this text.
    Exactly(String, String),
}

/// What became of an action on tools.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ToolsDone {
    /// It is done for the tools with these names; those are left out for which there was nothing to do.
    Done(Vec<String>),
    /// There is no such tool, or it is not listed; nothing was done.
    NotFound(String),
    /// The definition of the tool is another one by now; nothing was done.
    Changed(String),
}

/// What upstreams offer. An upstream is known by its name in the configuration.
#[async_trait]
pub trait CatalogueStore {
    /// Returns what is kept of an upstream.
    async fn catalogue(&self, tenant: &TenantId, upstream: &str) -> Result<StoredCatalogue>;
    /// Keeps what was listed of an upstream; `listing.rs` has the rules. The audit row
    /// is the pattern of those about tools that raise an alarm; its reason is that of each.
    async fn keep_listing(&self, upstream: &str, listing: Listing, audit: AuditRow) -> Result<KeptListing>;
    /// Pins tools as they are listed, and takes what they say of themselves now for what they are. Emits
    /// `Change::ToolsChanged`, with an audit row for each tool.
    async fn approve_tools(&self, upstream: &str, which: ToolChoice, audit: AuditRow) -> Result<ToolsDone>;
    /// Removes what is kept of tools, as if they had never been seen; of all, then also that they were ever listed, so
    /// that the next list is the first. Emits `Change::ToolsChanged`, with an audit row for each tool.
    async fn forget_tools(&self, upstream: &str, which: ToolChoice, audit: AuditRow) -> Result<ToolsDone>;
}

impl StoredCatalogue {
    /// Returns what a tool has said of itself as far as it counts for everybody: to the gateway itself, or as an
    /// operator approved it. `None` if only some people were told of it.
    #[must_use]
    pub fn said(&self, tool: &ToolRecord) -> Option<Said> {
        (self.listed_at.is_some() || tool.pinned.is_some()).then_some(tool.said)
    }
}

impl ToolRecord {
    /// Returns how it compares with what was pinned.
    #[must_use]
    pub fn state(&self) -> ToolState {
        match (&self.listed, &self.pinned) {
            (None, _) => ToolState::Gone,
            (Some(_), None) => ToolState::New,
            (Some(listed), Some(pinned)) if listed == pinned => ToolState::Pinned,
            (Some(_), Some(_)) => ToolState::Changed,
        }
    }
}

impl ToolState {
    /// Returns its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pinned => "pinned",
            Self::Changed => "changed",
            Self::New => "new",
            Self::Gone => "gone",
        }
    }
}
