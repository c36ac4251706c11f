//! The resources with which a tool shows its results to people: `_meta.ui.resourceUri` (MCP Apps, SEP-1865),
//! `_meta["ui/resourceUri"]` (its first form) and `_meta["openai/outputTemplate"]` (OpenAI Apps SDK).

use serde_json::Value;

use crate::strict_json;

/// How such URIs begin.
const UI: &str = "ui://";
/// How one begins in JSON. What is written otherwise is not found, and opens nothing.
const SIGN: &str = "\"ui:";
/// How deep an entry may be nested.
const DEPTH: usize = 64;

/// Returns whether a URI is of a resource that tools show their results with.
#[must_use]
pub fn is_ui(uri: &str) -> bool {
    uri.starts_with(UI)
}

/// Returns the `ui://` resources that a tool names, each once, given its entry in a list, which was checked by the
/// rules of `strict_json`.
#[must_use]
pub fn ui_resources(tool: &Value) -> Vec<String> {
    let Some(meta) = tool.get("_meta") else { return Vec::new() };
    let standard = meta.get("ui").and_then(|ui| ui.get("resourceUri"));
    let mut named: Vec<String> = Vec::new();
    for value in [standard, meta.get("ui/resourceUri"), meta.get("openai/outputTemplate")].into_iter().flatten() {
        let uri = value.as_str().filter(|uri| is_ui(uri) && !named.iter().any(|other| other == uri));
        named.extend(uri.map(str::to_owned));
    }
    named
}

/// Returns the `ui://` resources that a tool names, given its entry as it was sent; none if two programs might read it
/// differently.
#[must_use]
pub fn ui_resources_as_sent(entry: &str) -> Vec<String> {
    if !entry.contains(SIGN) || strict_json::check(entry, DEPTH).is_err() {
        return Vec::new();
    }
    serde_json::from_str(entry).map(|tool| ui_resources(&tool)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::ui_resources_as_sent;

    #[test]
    fn a_tool_names_resources_in_each_of_the_forms() {
        for (meta, expected) in [
            (r#"{"ui":{"resourceUri":"ui://a"}}"#, &["ui://a"][..]),
            (r#"{"ui/resourceUri":"ui://a"}"#, &["ui://a"]),
            (r#"{"openai/outputTemplate":"ui:\/\/a"}"#, &["ui://a"]),
            (
                r#"{"ui":{"resourceUri":"ui://a"},"ui/resourceUri":"ui://a","openai/outputTemplate":"ui://b"}"#,
                &["ui://a", "ui://b"],
            ),
            (r#"{"ui":{"resourceUri":"https://a"},"ui/resourceUri":7,"openai/outputTemplate":["ui://a"]}"#, &[]),
            (r#"{"ui":"ui://a","x":"ui://a"}"#, &[]),
            (r#"{"ui":{"resourceUri":"UI://a"}}"#, &[]),
            // Two programs might read these differently.
            (r#"{"ui":{"resourceUri":"ui://a"},"ui":{"resourceUri":"ui://b"}}"#, &[]),
            (r#"{"ui":{"resourceUri":"ui://a","resourceUri":"ui://b"}}"#, &[]),
        ] {
            assert_eq!(ui_resources_as_sent(&format!(r#"{{"name":"t","_meta":{meta}}}"#)), expected, "{meta}");
        }
        assert!(ui_resources_as_sent(r#"{"name":"t","ui":{"resourceUri":"ui://a"}}"#).is_empty());
    }
}
