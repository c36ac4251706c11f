//! How two definitions of a tool differ, member by member.

use serde_json::Value;

use super::ToolDefinition;
use super::suspicion::visible;

/// The most differences that are listed.
const MOST: usize = 32;
/// How much of a value is shown, in characters.
const SHOWN: usize = 400;
/// How much of what is the same is shown before a difference, in characters.
const CONTEXT: usize = 40;

/// A place where two definitions differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Where, as a JSON pointer (RFC 6901) without the first slash.
    pub member: String,
    /// What was there, with what cannot be seen written as an escape; `None` if there was nothing.
    pub before: Option<String>,
    /// What is there now.
    pub after: Option<String>,
}

/// Lists how a definition differs from an earlier one, at most 32 places; everything differs from none. `None` if the
/// text of one of them is not kept.
#[must_use]
pub fn differences(before: Option<&ToolDefinition>, after: &ToolDefinition) -> Option<Vec<Difference>> {
    let mut found = Vec::new();
    let before = before.map(|before| before.value().ok_or(())).transpose().ok()?;
    compare(before.as_ref(), Some(&after.value()?), "", &mut found);
    found.truncate(MOST);
    Some(found)
}

/// Returns differences as one line of text.
#[must_use]
pub fn in_words(differences: &[Difference]) -> String {
    let words = |Difference { member, before, after }: &Difference| match (before, after) {
        (Some(before), Some(after)) => format!("{member}: {before} is now {after}"),
        (None, Some(after)) => format!("{member}: new: {after}"),
        (Some(before), None) => format!("{member}: gone: {before}"),
        (None, None) => member.clone(),
    };
    differences.iter().map(words).collect::<Vec<_>>().join("; ")
}

fn compare(before: Option<&Value>, after: Option<&Value>, at: &str, found: &mut Vec<Difference>) {
    if before == after || found.len() >= MOST {
        return;
    }
    let is_root = at.is_empty();
    match (before, after) {
        (Some(Value::Object(old)), Some(Value::Object(new))) => {
            let names: std::collections::BTreeSet<_> = old.keys().chain(new.keys()).collect();
            for name in names {
                compare(old.get(name), new.get(name), &below(at, name), found);
            }
        }
        (None, Some(Value::Object(new))) if is_root => {
            for (name, value) in new {
                compare(None, Some(value), &below(at, name), found);
            }
        }
        _ => {
            let same = common_prefix(before, after);
            let shown = |value: &Value| shown(value, same);
            found.push(Difference {
                member: visible(at).chars().take(SHOWN).collect(),
                before: before.map(shown),
                after: after.map(shown),
            });
        }
    }
}

fn below(at: &str, name: &str) -> String {
    let name = name.replace('~', "~0").replace('/', "~1");
    if at.is_empty() { name } else { format!("{at}/{name}") }
}

/// Returns how many characters two texts begin with in common, if they are texts.
fn common_prefix(before: Option<&Value>, after: Option<&Value>) -> usize {
    let (Some(Value::String(before)), Some(Value::String(after))) = (before, after) else { return 0 };
    before.chars().zip(after.chars()).take_while(|(a, b)| a == b).count()
}

/// Returns a value as it is shown, from a little before where it differs.
fn shown(value: &Value, same: usize) -> String {
    let Value::String(text) = value else {
        return visible(&value.to_string()).chars().take(SHOWN).collect();
    };
    let from = same.saturating_sub(CONTEXT);
    let begin = if from > 0 { "…" } else { "" };
    let part: String = text.chars().skip(from).take(SHOWN).collect();
    let end = if text.chars().nth(from + SHOWN).is_some() { "…" } else { "" };
    format!("\"{begin}{}{end}\"", visible(&part))
}

#[cfg(test)]
mod tests {
    use super::{Difference, MOST, differences, in_words};
    use crate::mcp::ToolDefinition;
    use serde_json::{Value, json};

    fn between(before: &Value, after: &Value) -> Vec<Difference> {
        differences(Some(&ToolDefinition::of(before)), &ToolDefinition::of(after)).unwrap()
    }

    #[test]
    fn each_place_is_named_with_both_values() {
        let before =
            json!({"name": "a", "description": "Adds.", "inputSchema": {"properties": {"x/y": {"type": "a"}}}});
        let after = json!({"name": "a", "description": "Adds.\u{200b} <b>", "title": "A",
            "inputSchema": {"properties": {"x/y": {"type": "b"}}, "required": ["x"]}});
        assert_eq!(
            in_words(&between(&before, &after)),
            "description: \"Adds.\" is now \"Adds.\\u{200b} <b>\"; inputSchema/properties/x~1y/type: \"a\" is now \"b\"; \
             inputSchema/required: new: [\"x\"]; title: new: \"A\""
        );
        assert_eq!(in_words(&between(&after, &before)).matches("gone: ").count(), 2);
        assert!(between(&before, &before).is_empty());
        let first = differences(None, &ToolDefinition::of(&json!({"name": "a", "title": "A"}))).unwrap();
        assert_eq!(in_words(&first), "name: new: \"a\"; title: new: \"A\"");
    }

    #[test]
    fn long_texts_are_shown_where_they_differ_and_many_places_are_cut_off() {
        let text = |end: &str| json!({"description": format!("{}{end}", "é".repeat(5000))});
        let [Difference { before: Some(before), after: Some(after), .. }] = &*between(&text("x"), &text("y")) else {
            panic!("one place")
        };
        assert!(before.starts_with("\"…é") && before.ends_with("éx\"") && before.chars().count() < 50, "{before}");
        assert!(after.ends_with("éy\""), "{after}");
        let many = |n: usize| json!({"inputSchema": (0..2 * MOST).map(|i| (i.to_string(), json!(n))).collect::<serde_json::Map<_, _>>()});
        assert_eq!(between(&many(1), &many(2)).len(), MOST);
        let long = ToolDefinition::of(&json!({"description": "x".repeat(70_000)}));
        assert_eq!(differences(None, &long), None);
    }
}
