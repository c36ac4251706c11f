//! `Offers`: what an upstream offers, read from its lists (MCP, `tools/list` and the other lists), within bounds.

use serde_json::Value;

use super::item_names::ItemNames;
use super::offer_kind::OfferKind;
use super::ui_names::UiNames;
use crate::mcp::{ToolDefinition, ui_resources};
use crate::policy::Annotations;

/// The most entries of one list that are kept.
pub(super) const MOST_ENTRIES: usize = 2048;
/// The most bytes that names and titles take together.
const MOST_BYTES: usize = 1 << 20;
/// The longest name, URI or title that is kept, in bytes.
const LONGEST: usize = 1024;

/// A tool, as its upstream describes it. None of it is verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedTool {
    /// The name that calls use.
    pub name: String,
    /// The name for people, if it has one.
    pub title: Option<String>,
    /// What it says of itself.
    pub annotations: Annotations,
    /// What a model is told of it. `None` if that was not read.
    pub definition: Option<ToolDefinition>,
}

/// A prompt, a resource or a template of resources.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedItem {
    /// The name, URI or URI template by which requests name it.
    pub name: String,
    /// The name for people, if it has one.
    pub title: Option<String>,
}

/// What an upstream offers, in its order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Offers {
    /// Its tools, with all that is read of them.
    pub tools: Vec<ListedTool>,
    /// Its prompts, by name.
    pub prompts: Vec<ListedItem>,
    /// Its resources, by URI.
    pub resources: Vec<ListedItem>,
    /// Its templates of resources, by URI template.
    pub templates: Vec<ListedItem>,
    /// The `ui://` resources that its tools name.
    pub(super) ui: UiNames,
    /// The names of what is no tool.
    names: ItemNames,
    bytes: usize,
}

impl Offers {
    /// Returns the names, URIs or URI templates of a list, in its order.
    pub fn names(&self, kind: OfferKind) -> impl Iterator<Item = &str> {
        let items = match kind {
            OfferKind::Tools => &[],
            OfferKind::Prompts => &*self.prompts,
            OfferKind::Resources => &self.resources,
            OfferKind::Templates => &self.templates,
        };
        let tools = self.tools.iter().filter(move |_| kind == OfferKind::Tools).map(|tool| &*tool.name);
        tools.chain(items.iter().map(|item| &*item.name))
    }

    /// Returns whether a list other than that of tools has this name.
    pub(super) fn has(&self, kind: OfferKind, name: &str) -> bool {
        self.names.has(kind, name)
    }

    /// Adds a page of a list, given the `result` of its answer. Entries for which there is no room, or whose names are
    /// too long, are left out. Returns whether the result has such a list.
    pub fn add(&mut self, kind: OfferKind, result: &Value) -> bool {
        let (list, name) = kind.members();
        let Some(entries) = result.get(list).and_then(Value::as_array) else { return false };
        for entry in entries {
            let Some(item) = ListedItem::read(entry, name) else { continue };
            let bytes = self.bytes.saturating_add(item.name.len() + item.title.as_ref().map_or(0, String::len));
            if self.count(kind) < MOST_ENTRIES && bytes <= MOST_BYTES {
                self.bytes = bytes;
                self.push(kind, item, entry);
            }
        }
        true
    }

    /// Returns how many entries it has of a kind.
    #[must_use]
    pub fn count(&self, kind: OfferKind) -> usize {
        match kind {
            OfferKind::Tools => self.tools.len(),
            OfferKind::Prompts => self.prompts.len(),
            OfferKind::Resources => self.resources.len(),
            OfferKind::Templates => self.templates.len(),
        }
    }

    fn push(&mut self, kind: OfferKind, item: ListedItem, entry: &Value) {
        if kind != OfferKind::Tools {
            self.names.add(kind, &item.name);
        }
        match kind {
            OfferKind::Tools => {
                self.ui.set(&item.name, &ui_resources(entry));
                self.tools.push(ListedTool {
                    annotations: annotations(entry),
                    definition: Some(ToolDefinition::of(entry)),
                    name: item.name,
                    title: item.title,
                });
            }
            OfferKind::Prompts => self.prompts.push(item),
            OfferKind::Resources => self.resources.push(item),
            OfferKind::Templates => self.templates.push(item),
        }
    }
}

impl ListedItem {
    fn read(entry: &Value, name: &str) -> Option<Self> {
        let text = |value: Option<&Value>| value?.as_str().filter(|text| text.len() <= LONGEST).map(str::to_owned);
        let title = text(entry.get("title")).or_else(|| text(entry.get("annotations")?.get("title")));
        Some(Self { name: text(entry.get(name))?, title: title.filter(|title| !title.is_empty()) })
    }
}

fn annotations(tool: &Value) -> Annotations {
    let hint = |name| tool.get("annotations")?.get(name)?.as_bool();
    Annotations::of(hint("readOnlyHint"), hint("destructiveHint"), hint("openWorldHint"))
}

#[cfg(test)]
mod tests {
    use super::{LONGEST, MOST_BYTES, MOST_ENTRIES, OfferKind, Offers};
    use crate::policy::Annotations;
    use serde_json::{Value, json};

    fn tools(list: &Value) -> Offers {
        let mut offers = Offers::default();
        assert!(offers.add(OfferKind::Tools, &json!({ "tools": list })));
        offers
    }

    #[test]
    fn entries_are_read_with_titles_and_annotations() {
        let mut offers = tools(&json!([
            {"name": "a", "title": "A", "annotations": {"title": "B", "readOnlyHint": true, "openWorldHint": false}},
            {"name": "b", "annotations": {"title": "B", "destructiveHint": false}},
            {"name": 7}, {}, 3, {"name": "x".repeat(LONGEST + 1)},
        ]));
        let read: Vec<_> =
            offers.tools.iter().map(|tool| (&*tool.name, tool.title.as_deref(), tool.annotations)).collect();
        assert_eq!(
            read,
            [
                ("a", Some("A"), Annotations::of(Some(true), None, Some(false))),
                ("b", Some("B"), Annotations::of(None, Some(false), None)),
            ]
        );
        for (kind, page) in [
            (OfferKind::Prompts, json!({"prompts": [{"name": "greet", "title": "Greet"}]})),
            (OfferKind::Resources, json!({"resources": [{"uri": "file:///a", "name": "a"}]})),
            (OfferKind::Templates, json!({"resourceTemplates": [{"uriTemplate": "file:///{a}", "name": "a"}]})),
        ] {
            assert!(offers.add(kind, &page) && offers.count(kind) == 1);
            assert!(!offers.add(kind, &json!({"tool": []})));
        }
        assert_eq!(offers.prompts[0].title.as_deref(), Some("Greet"));
        assert_eq!((&*offers.resources[0].name, &*offers.templates[0].name), ("file:///a", "file:///{a}"));
    }

    #[test]
    fn they_are_bounded_in_number_and_bytes() {
        let many: Vec<_> = (0..2 * MOST_ENTRIES).map(|n| json!({"name": n.to_string()})).collect();
        assert_eq!(tools(&json!(many)).tools.len(), MOST_ENTRIES);
        let long: Vec<_> = (0..MOST_ENTRIES).map(|_| json!({"name": "x".repeat(LONGEST)})).collect();
        assert_eq!(tools(&json!(long)).tools.len(), MOST_BYTES / LONGEST);
    }
}
