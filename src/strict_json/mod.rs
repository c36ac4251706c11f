//! JSON (RFC 8259) that two parsers cannot read differently: no member name twice in an object, bounded depth. Pure.
//!
//! For whatever JSON others send and more than one program reads: messages of MCP, metadata of clients. It judges no
//! content and knows no other module. Start with `Walk`.

mod json_string;
mod member_names;
mod walk;

pub(crate) use json_string::{text, unescape};
pub(crate) use walk::{JsonFault, Next, Token, Walk};

/// Checks that a text is one value that cannot be read in two ways, with no more than `depth` levels.
///
/// # Errors
/// Says which rule it breaks.
pub(crate) fn check(text: &str, depth: usize) -> Result<(), JsonFault> {
    let (mut walk, mut work, mut level) = (Walk::new(text), usize::MAX, 0_usize);
    loop {
        match walk.next(&mut work)? {
            Next::Token(Token::Object | Token::Array) => level += 1,
            Next::Token(Token::Close) => level = level.saturating_sub(1),
            Next::Token(Token::Name(..) | Token::Scalar(_)) => {}
            Next::End | Next::Paused => return Ok(()),
        }
        if level > depth {
            return Err(JsonFault::Rule("objects and arrays are nested too deep"));
        }
    }
}
