//! `ToolDefinition`: what a model is told of a tool (MCP, Tool), in one form.

use std::fmt::Write as _;
use std::sync::Arc;

use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

use crate::strict_json;

/// The members that a model is told, or that rules ask for.
const MEMBERS: [&str; 6] = ["annotations", "description", "inputSchema", "name", "outputSchema", "title"];
/// The longest text that is kept, in bytes.
const LONGEST: usize = 64 << 10;
/// How deep a definition may be nested.
const DEPTH: usize = 64;
/// The bytes of the hash that its short form shows.
const SHORT: usize = 8;

/// What a model is told of a tool: name, title, description, schemas, annotations. Equal if their hashes are.
#[derive(Debug, Clone)]
pub struct ToolDefinition {
    hash: [u8; 32],
    text: Option<Arc<str>>,
}

impl ToolDefinition {
    /// Reads an entry of a list, which was checked by the rules of `strict_json`.
    #[must_use]
    pub fn of(entry: &Value) -> Self {
        let told = MEMBERS.iter().filter_map(|name| Some((*name, entry.get(name).filter(|value| !value.is_null())?)));
        let told: Map<String, Value> = told.map(|(name, value)| (name.to_owned(), value.clone())).collect();
        let text = Value::Object(told).to_string();
        let hash = Sha256::digest(text.as_bytes()).into();
        Self { hash, text: (text.len() <= LONGEST).then(|| text.into()) }
    }

    /// Reads an entry of a list as it was sent; `None` if two programs might read it differently.
    #[must_use]
    pub fn read(entry: &str) -> Option<Self> {
        strict_json::check(entry, DEPTH).ok()?;
        Some(Self::of(&serde_json::from_str(entry).ok()?))
    }

    /// Makes one of its parts, without a check.
    #[must_use]
    pub fn from_stored(hash: [u8; 32], text: Option<&str>) -> Self {
        Self { hash, text: text.map(Into::into) }
    }

    /// Returns SHA-256 of the members that it has, as JSON with the names in order.
    #[must_use]
    pub const fn hash(&self) -> &[u8; 32] {
        &self.hash
    }

    /// Returns the beginning of the hash in hexadecimal, for people.
    #[must_use]
    pub fn short_hash(&self) -> String {
        self.hash.iter().take(SHORT).fold(String::new(), |mut text, byte| {
            // A string takes everything.
            let _infallible = write!(text, "{byte:02x}");
            text
        })
    }

    /// Returns the JSON that the hash is of; `None` if it is too long to be kept.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        self.text.as_deref()
    }

    /// Returns it without the text.
    #[must_use]
    pub fn without_text(self) -> Self {
        Self { text: None, ..self }
    }

    /// Returns it as JSON, if its text is kept.
    pub(super) fn value(&self) -> Option<Value> {
        serde_json::from_str(self.text()?).ok()
    }
}

impl PartialEq for ToolDefinition {
    fn eq(&self, other: &Self) -> bool {
        self.hash == other.hash
    }
}

impl Eq for ToolDefinition {}

#[cfg(test)]
mod tests {
    use super::{LONGEST, ToolDefinition};
    use serde_json::json;

    #[test]
    fn it_changes_with_what_a_model_is_told_and_with_nothing_else() {
        let tool = json!({"name": "a", "description": "d", "inputSchema": {"b": 1, "a": 2}});
        let text =
            r#"{"inputSchema": {"a": 2, "b": 1}, "description": "d", "title": null, "name": "\u0061", "_meta": {}}"#;
        assert_eq!(ToolDefinition::read(text), Some(ToolDefinition::of(&tool)));
        for (name, value) in [
            ("name", json!("b")),
            ("title", json!("t")),
            ("description", json!("e")),
            ("inputSchema", json!({"a": 2})),
            ("outputSchema", json!({})),
            ("annotations", json!({"readOnlyHint": true})),
        ] {
            let mut changed = tool.clone();
            changed[name] = value;
            assert_ne!(ToolDefinition::of(&changed), ToolDefinition::of(&tool), "{name}");
        }
    }

    #[test]
    fn pn_05_what_two_programs_might_read_differently_is_not_read() {
        let twice = r#"{"name": "a", "inputSchema": {"description": "evil", "description": "good"}}"#;
        assert_eq!(ToolDefinition::read(twice), None);
        assert_eq!(ToolDefinition::read(&format!("{}1{}", "[".repeat(65), "]".repeat(65))), None);
    }

    #[test]
    fn a_long_one_is_known_by_its_hash_alone() {
        let long = ToolDefinition::of(&json!({"name": "a", "description": "x".repeat(LONGEST)}));
        let other = ToolDefinition::of(&json!({"name": "a", "description": "y".repeat(LONGEST)}));
        assert!(long.text().is_none() && long != other && long.short_hash().len() == 16);
    }
}
