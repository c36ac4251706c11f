//! Passing a part of a text of which nobody reads anything: only the grammar is checked.

use super::json_string::plain;
use super::walk::{Expects, JsonFault, MAX_NAME, TOKEN, Walk, WalkStep};

impl Walk<'_> {
    /// Returns how many objects and arrays are open.
    pub(crate) fn depth(&self) -> u32 {
        self.depth
    }

    /// Passes what is left of the objects and arrays that are open from `depth` on, without telling its tokens. Returns
    /// whether they have ended; otherwise `work` is used up.
    pub(crate) fn pass(&mut self, depth: u32, work: &mut usize) -> Result<bool, JsonFault> {
        while self.depth >= depth {
            if self.long.is_none() {
                self.pass_plain(depth, work)?;
            }
            if self.depth >= depth && self.next(work)? == WalkStep::Paused {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Passes brackets and plain strings, which is nearly all of it, up to anything else.
    fn pass_plain(&mut self, depth: u32, work: &mut usize) -> Result<(), JsonFault> {
        while self.depth >= depth && *work > 0 {
            match self.text.as_bytes().get(self.at) {
                Some(b'"') if self.pass_string(work) => {}
                Some(bracket @ (b'{' | b'}' | b'[' | b']')) => {
                    *work = work.saturating_sub(TOKEN);
                    self.short(*bracket)?;
                }
                _ => break,
            }
        }
        Ok(())
    }

    /// Passes a string that is due here, unless it has escapes, is long or does not end within the work.
    #[inline]
    fn pass_string(&mut self, work: &mut usize) -> bool {
        let is_name = matches!(self.expects, Expects::Name | Expects::FirstName) && !self.compares;
        let is_value = matches!(self.expects, Expects::Value | Expects::FirstValue);
        let rest = self.text.as_bytes().get(self.at + 1..).unwrap_or_default();
        let plain = plain(rest.get(..MAX_NAME.min(*work)).unwrap_or(rest));
        if !(is_name || is_value) || rest.get(plain) != Some(&b'"') {
            return false;
        }
        *work = work.saturating_sub(plain + TOKEN);
        self.at += plain + 2;
        self.expects = match is_name {
            true if self.passes(b':') => Expects::Value,
            true => Expects::Colon,
            false => self.after_value(),
        };
        true
    }
}

#[cfg(test)]
mod tests {
    use crate::strict_json::{Token, Walk, WalkStep};

    #[test]
    fn what_is_passed_is_checked_however_the_walk_is_cut() {
        for (inside, is_good) in [
            (r#""a" : [ 1,-0.5e+10 ,"x\"y\ud800" ], "\u0062":{}, "a":[true,false,null]"#, true),
            (r#""a":"b","a":"c","d":["e","f",{}],"g":{"h":"i"}"#, true),
            ("", true),
            (r#""a""#, false),
            (r#""a":"b" "c":"d""#, false),
            (r#""a":"b",, "c":"d""#, false),
            (r#""a":"b","#, false),
            (r#""a":["b":"c"]"#, false),
            (r#""a":["b""c"]"#, false),
            (r#""a":[}"#, false),
            ("\"a\":\"\n\"", false),
            (r#""a":"b"#, false),
        ] {
            let json = format!(r#"[{{{inside}}},"next"]"#);
            for piece in [1, 2, 3, 7, 64, 65, 100, 1 << 20] {
                let (mut walk, mut begin) = (Walk::new(&json), usize::MAX);
                for _ in 0..2 {
                    walk.next(&mut begin).unwrap();
                }
                walk.compare_names(false);
                let passed = loop {
                    match walk.pass(2, &mut { piece }) {
                        Ok(false) => {}
                        other => break other,
                    }
                };
                walk.compare_names(true);
                assert_eq!(passed.is_ok(), is_good, "{inside} {piece}: {passed:?}");
                let next = passed.and_then(|_| walk.next(&mut { usize::MAX }));
                assert_eq!(next == Ok(WalkStep::Token(Token::Scalar("\"next\""))), is_good, "{inside}");
            }
        }
    }
}
