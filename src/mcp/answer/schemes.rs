//! `SecuritySchemes`: how a tool may be called, for clients that read it in the tool's entry (OpenAI Apps SDK, tool
//! descriptor: `securitySchemes`, and `_meta["securitySchemes"]` for clients that only read `_meta`).

use std::borrow::Cow;
use std::ops::Range;

use serde::Serialize;

use super::cut::Edit;
use crate::strict_json::{Token, Walk, WalkStep, unescape};

/// The member of a tool, and of its `_meta`.
const SCHEMES: &str = "securitySchemes";
const META: &str = "_meta";

/// The security schemes of a tool, as JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecuritySchemes(String);

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
enum Scheme<'a> {
    NoAuth,
    OAuth2 { scopes: &'a [&'a str] },
}

impl SecuritySchemes {
    /// Makes those of a tool that may be called without a token, or with a token that has all of these scopes, or both.
    #[must_use]
    pub fn new(without_token: bool, scopes: Option<&[&str]>) -> Self {
        let without_token = without_token.then_some(Scheme::NoAuth).into_iter();
        let schemes: Vec<_> = without_token.chain(scopes.map(|scopes| Scheme::OAuth2 { scopes })).collect();
        // Strings always serialise.
        Self(serde_json::to_string(&schemes).unwrap_or_default())
    }

    /// Returns what makes them those of a tool, given the JSON object of its entry, which begins at `begin`.
    pub(super) fn edits(&self, entry: &str, begin: usize) -> Vec<Edit> {
        let members = members(entry);
        let mut edits = self.edits_of(entry, &members, begin);
        let end = begin + entry.len().saturating_sub(1);
        let mut has_meta = false;
        for (_, value) in members.iter().filter(|(name, _)| **name == *META.as_bytes()) {
            has_meta = true;
            let meta = entry.get(value.clone()).unwrap_or_default();
            // MCP: `_meta` is an object; anything else is not ours to correct.
            if meta.starts_with('{') {
                edits.extend(self.edits_of(meta, &self::members(meta), begin + value.start));
            }
        }
        if !has_meta {
            edits.push((end..end, format!(r#","{META}":{{"{SCHEMES}":{}}}"#, self.0).into()));
        }
        edits
    }

    /// Replaces the member of an object, or adds it at the end.
    fn edits_of(&self, object: &str, members: &[ObjectMember<'_>], begin: usize) -> Vec<Edit> {
        let own = members.iter().filter(|(name, _)| **name == *SCHEMES.as_bytes());
        let edit = |(_, value): &ObjectMember<'_>| (begin + value.start..begin + value.end, Cow::Owned(self.0.clone()));
        let edits: Vec<Edit> = own.map(edit).collect();
        if !edits.is_empty() {
            return edits;
        }
        let (end, comma) = (begin + object.len().saturating_sub(1), if members.is_empty() { "" } else { "," });
        vec![(end..end, format!(r#"{comma}"{SCHEMES}":{}"#, self.0).into())]
    }
}

/// The name of a member, and where its value is.
type ObjectMember<'a> = (Cow<'a, [u8]>, Range<usize>);

/// Returns the members of an object that was read before.
fn members(object: &str) -> Vec<ObjectMember<'_>> {
    let (mut walk, mut work, mut depth) = (Walk::new(object), usize::MAX, 0_usize);
    let (mut members, mut name, mut start) = (Vec::new(), Cow::default(), 0);
    walk.compare_names(false);
    while let Ok(WalkStep::Token(token)) = walk.next(&mut work) {
        let end = walk.end_of_token();
        match token {
            Token::Name(raw, is_escaped) if depth == 1 => name = unescape(raw, is_escaped).unwrap_or_default(),
            Token::Scalar(raw) if depth == 1 => members.push((std::mem::take(&mut name), end - raw.len()..end)),
            Token::Name(..) | Token::Scalar(_) => {}
            Token::Object | Token::Array => {
                start = if depth == 1 { end - 1 } else { start };
                depth += 1;
            }
            Token::Close => {
                depth = depth.saturating_sub(1);
                if depth == 1 {
                    members.push((std::mem::take(&mut name), start..end));
                }
            }
        }
    }
    members
}
