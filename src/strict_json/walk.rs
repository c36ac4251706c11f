//! A strict walk over JSON (RFC 8259) that two parsers cannot read differently: no member name twice in an object
//! (compared after unescaping), bounded depth. Only the grammar of values is checked: a number may be of any size, a
//! string may contain half a surrogate pair. It can be paused and resumed anywhere, and keeps only the names in open
//! objects.

use super::json_number::{Number, short_whole};
use super::json_string::{plain, unescape};
use super::member_names::MemberNames;

/// Maximum nesting: the limit of serde_json, which many upstreams use, and well below that of other parsers.
const MAX_DEPTH: u32 = 128;
/// Maximum length of a member name in bytes, escapes included.
pub(super) const MAX_NAME: usize = 64 << 10;
/// The extra cost of a token, in addition to its bytes, measured in bytes of a plain string.
pub(super) const TOKEN: usize = 64;

/// Why a text is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum JsonFault {
    /// The grammar of JSON is broken.
    NotJson,
    /// One of our own rules is broken.
    Rule(&'static str),
}

/// The result of a step of the walk.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum WalkStep<'a> {
    Token(Token<'a>),
    /// The allowed work is used up.
    Paused,
    /// The text has ended after its value.
    End,
}

/// A part of the text.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Token<'a> {
    Object,
    Array,
    /// The innermost object or array ends.
    Close,
    /// The raw name of the member whose value follows, and whether it contains an escape.
    Name(&'a str, bool),
    /// A raw string, number or literal.
    Scalar(&'a str),
}

/// What may follow next.
#[derive(Debug, Clone, Copy)]
pub(super) enum Expects {
    Value,
    /// A value, or the end of the array.
    FirstValue,
    Name,
    /// A name, or the end of the object.
    FirstName,
    Colon,
    CommaOrClose,
    End,
}

/// A token that may be long and whose end was not found yet.
#[derive(Debug, Clone, Copy)]
pub(super) enum Long {
    String { is_name: bool },
    Number(Number),
}

/// The state of a walk over a text.
#[derive(Debug)]
pub(crate) struct Walk<'a> {
    pub(super) text: &'a str,
    pub(super) at: usize,
    pub(super) expects: Expects,
    /// The long token at the current position, and where it began.
    pub(super) long: Option<(Long, usize)>,
    /// Whether the current string contains an escape.
    pub(super) is_escaped: bool,
    pub(super) depth: u32,
    /// A bit per level, the innermost lowest: whether it is an object.
    objects: u128,
    names: MemberNames<'a>,
    /// Whether the names of objects that open now are compared.
    pub(super) compares: bool,
}

impl<'a> Walk<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        Self {
            text,
            at: 0,
            expects: Expects::Value,
            long: None,
            is_escaped: false,
            depth: 0,
            objects: 0,
            names: MemberNames::new(),
            compares: true,
        }
    }

    /// Returns how many bytes of the text it has passed.
    pub(crate) fn passed(&self) -> usize {
        self.at
    }

    /// Returns the next token, or pauses when `work`, which it counts down, is used up.
    pub(crate) fn next(&mut self, work: &mut usize) -> Result<WalkStep<'a>, JsonFault> {
        loop {
            if *work == 0 {
                return Ok(WalkStep::Paused);
            }
            if let Some((long, begin)) = self.long {
                return self.go_on(long, begin, work);
            }
            let Some(byte) = self.skip_blanks(work) else {
                if *work == 0 {
                    return Ok(WalkStep::Paused);
                }
                return if matches!(self.expects, Expects::End) { Ok(WalkStep::End) } else { Err(JsonFault::NotJson) };
            };
            *work = work.saturating_sub(TOKEN);
            match (byte, self.expects) {
                (b'"', Expects::Name | Expects::FirstName | Expects::Value | Expects::FirstValue) => {
                    return self.begin_string(matches!(self.expects, Expects::Name | Expects::FirstName), work);
                }
                (b':', Expects::Colon) => {
                    self.at += 1;
                    self.expects = Expects::Value;
                }
                (b',', Expects::CommaOrClose) => {
                    self.at += 1;
                    self.expects = self.after_comma();
                }
                (b'-' | b'0'..=b'9', Expects::Value | Expects::FirstValue) => {
                    let rest = self.text.get(self.at..).unwrap_or_default();
                    if let Some(raw) = short_whole(rest).filter(|raw| raw.len() < *work) {
                        (self.at, *work) = (self.at + raw.len(), *work - raw.len());
                        return Ok(self.end_scalar(raw));
                    }
                    let number = Long::Number(Number::Begin);
                    self.long = Some((number, self.at));
                }
                _ => return self.short(byte).map(WalkStep::Token),
            }
        }
    }

    /// Says whether to compare the names of objects that open from now on: not in a part that nobody interprets, so
    /// that it may be read differently. Must be restored when that part has ended, the last of these objects included.
    pub(crate) fn compare_names(&mut self, compares: bool) {
        self.compares = compares;
    }

    /// Returns where the last token ends.
    pub(crate) fn end_of_token(&self) -> usize {
        // The separator after a token may have been passed already, and no token ends with one.
        let last = self.at.checked_sub(1).and_then(|last| self.text.as_bytes().get(last));
        if matches!(last, Some(b',' | b':')) { self.at - 1 } else { self.at }
    }

    pub(super) fn end_scalar(&mut self, raw: &'a str) -> WalkStep<'a> {
        self.expects = self.after_value();
        WalkStep::Token(Token::Scalar(raw))
    }

    #[inline(always)]
    pub(super) fn end_name(&mut self, raw: &'a str) -> Result<WalkStep<'a>, JsonFault> {
        self.expects = if self.passes(b':') { Expects::Value } else { Expects::Colon };
        if raw.len() > MAX_NAME {
            return Err(JsonFault::Rule("a member name is longer than 65,536 bytes"));
        }
        if self.compares && !self.names.insert(self.depth, unescape(raw, self.is_escaped).ok_or(JsonFault::NotJson)?) {
            return Err(JsonFault::Rule("a member name occurs twice"));
        }
        Ok(WalkStep::Token(Token::Name(raw, self.is_escaped)))
    }

    /// Begins a string. Most have no escapes and end within the work; of any other, the plain beginning is read twice.
    fn begin_string(&mut self, is_name: bool, work: &mut usize) -> Result<WalkStep<'a>, JsonFault> {
        let begin = self.at;
        let rest = self.text.as_bytes().get(begin + 1..).unwrap_or_default();
        let plain = plain(rest.get(..*work).unwrap_or(rest));
        self.is_escaped = false;
        if plain >= *work || rest.get(plain) != Some(&b'"') {
            let string = Long::String { is_name };
            self.long = Some((string, begin));
            self.at += 1;
            return self.go_on(string, begin, work);
        }
        *work -= plain;
        self.at = begin + plain + 2;
        let raw = self.text.get(begin..self.at).unwrap_or_default();
        if is_name { self.end_name(raw) } else { Ok(self.end_scalar(raw)) }
    }

    /// Takes a token whose end is known from its first byte. Inlined, as is what follows a string: a call for each
    /// token costs a tenth of the walk.
    #[inline(always)]
    pub(super) fn short(&mut self, byte: u8) -> Result<Token<'a>, JsonFault> {
        use Expects::{CommaOrClose, FirstName, FirstValue, Value};
        let in_object = self.objects & 1 == 1;
        match (self.expects, byte) {
            (Value | FirstValue, b'{') => self.open(true),
            (Value | FirstValue, b'[') => self.open(false),
            (FirstValue, b']') | (FirstName, b'}') => Ok(self.close()),
            (CommaOrClose, b'}') if in_object => Ok(self.close()),
            (CommaOrClose, b']') if !in_object => Ok(self.close()),
            (Value | FirstValue, _) => {
                let rest = self.text.get(self.at..).unwrap_or_default();
                let known = match byte {
                    b't' => "true",
                    b'f' => "false",
                    _ => "null",
                };
                let raw = rest.get(..known.len()).filter(|raw| *raw == known).ok_or(JsonFault::NotJson)?;
                self.at += raw.len();
                self.expects = self.after_value();
                Ok(Token::Scalar(raw))
            }
            (_, _) => Err(JsonFault::NotJson),
        }
    }

    fn open(&mut self, object: bool) -> Result<Token<'a>, JsonFault> {
        self.at += 1;
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(JsonFault::Rule("objects and arrays are nested more than 128 levels deep"));
        }
        self.objects = self.objects << 1 | u128::from(object);
        self.expects = if object { Expects::FirstName } else { Expects::FirstValue };
        Ok(if object { Token::Object } else { Token::Array })
    }

    #[inline(always)]
    fn close(&mut self) -> Token<'a> {
        self.at += 1;
        // Otherwise there are none of this level.
        if self.compares {
            self.names.close(self.depth);
        }
        self.depth = self.depth.saturating_sub(1);
        self.objects >>= 1;
        self.expects = self.after_value();
        Token::Close
    }

    pub(super) fn after_value(&mut self) -> Expects {
        if self.depth == 0 {
            Expects::End
        } else if self.passes(b',') {
            self.after_comma()
        } else {
            Expects::CommaOrClose
        }
    }

    fn after_comma(&self) -> Expects {
        if self.objects & 1 == 1 { Expects::Name } else { Expects::Value }
    }

    /// Passes a separator that follows at once, as it does where no white space is sent.
    pub(super) fn passes(&mut self, separator: u8) -> bool {
        let follows = self.text.as_bytes().get(self.at) == Some(&separator);
        self.at += usize::from(follows);
        follows
    }

    /// Returns the next byte that is no white space; `None` at the end of the text, or of the work.
    fn skip_blanks(&mut self, work: &mut usize) -> Option<u8> {
        let rest = self.text.as_bytes().get(self.at..).unwrap_or_default();
        if let Some(byte) = rest.first().filter(|byte| **byte > b' ') {
            return Some(*byte);
        }
        let blanks = rest.iter().take(*work).take_while(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r')).count();
        self.at += blanks;
        *work -= blanks;
        if *work == 0 { None } else { rest.get(blanks).copied() }
    }
}

#[cfg(test)]
mod tests {
    use super::{JsonFault, Token, Walk, WalkStep};

    /// Returns the tokens of a text, walked in pieces of `piece` work.
    fn walk(text: &str, piece: usize) -> Result<Vec<Token<'_>>, JsonFault> {
        let (mut walk, mut tokens) = (Walk::new(text), Vec::new());
        loop {
            let mut work = piece;
            loop {
                match walk.next(&mut work)? {
                    WalkStep::Token(token) => tokens.push(token),
                    WalkStep::Paused => break,
                    WalkStep::End => return Ok(tokens),
                }
            }
        }
    }

    #[test]
    fn the_parts_are_told_however_the_walk_is_cut() {
        let json = r#" {"a" : [ 1,-0.5e+10 ,"x\"y\ud800" ], "\u0062":{}, "c":[true,false,null]} "#;
        let expected = vec![
            Token::Object,
            Token::Name(r#""a""#, false),
            Token::Array,
            Token::Scalar("1"),
            Token::Scalar("-0.5e+10"),
            Token::Scalar(r#""x\"y\ud800""#),
            Token::Close,
            Token::Name(r#""\u0062""#, true),
            Token::Object,
            Token::Close,
            Token::Name(r#""c""#, false),
            Token::Array,
            Token::Scalar("true"),
            Token::Scalar("false"),
            Token::Scalar("null"),
            Token::Close,
            Token::Close,
        ];
        for piece in [1, 2, 3, 7, 64, 65, 100, 1 << 20] {
            assert_eq!(walk(json, piece).as_ref(), Ok(&expected), "{piece}");
        }
    }

    #[test]
    fn strings_of_any_length_end_where_they_end() {
        for length in 0..40 {
            for (odd, good) in [("", true), ("\\n", true), ("\\", false), ("\u{1f}", false), ("\u{7f}é", true)] {
                let json = format!("\"{}{odd}{}\"", "x".repeat(length), "y".repeat(length / 2));
                let expected = if good { Ok(vec![Token::Scalar(&json)]) } else { Err(JsonFault::NotJson) };
                for piece in [1, 8, 9, 1000] {
                    assert_eq!(walk(&json, piece), expected, "{json}");
                }
            }
        }
    }
}
