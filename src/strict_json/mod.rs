//! JSON (RFC 8259) that two parsers cannot read differently: no member name twice in an object, bounded depth. Pure.
//!
//! For JSON from outside that more than one program reads: MCP messages, client metadata. It does not interpret the
//! content and names no other module. Start with `Walk`.

mod json_number;
mod json_string;
mod long_token;
mod member_names;
mod other_case;
mod pass;
mod walk;

pub(crate) use json_string::{plain, text, unescape};
pub(crate) use other_case::differs_in_case;
pub(crate) use walk::{JsonFault, Token, Walk, WalkStep};

/// Checks that a text is one JSON value without repeated names, with at most `depth` levels.
///
/// # Errors
/// `JsonFault` says which rule it breaks.
pub(crate) fn check(text: &str, depth: usize) -> Result<(), JsonFault> {
    let (mut walk, mut work, mut level) = (Walk::new(text), usize::MAX, 0_usize);
    loop {
        match walk.next(&mut work)? {
            WalkStep::Token(Token::Object | Token::Array) => level += 1,
            WalkStep::Token(Token::Close) => level = level.saturating_sub(1),
            WalkStep::Token(Token::Name(..) | Token::Scalar(_)) => {}
            WalkStep::End | WalkStep::Paused => return Ok(()),
        }
        if level > depth {
            return Err(JsonFault::Rule("objects and arrays are nested too deeply"));
        }
    }
}
