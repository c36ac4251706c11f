//! Passwords come from a file or from standard input, never from the command line, which others can see.

use std::io::{IsTerminal, Read};
use std::path::Path;

use zeroize::Zeroizing;

use super::failure::Failure;

/// The longest that is read: more than the longest password, so that it is refused and not cut.
const MAX: u64 = 4096;

/// Reads a password from a file; `-` is standard input.
pub(super) fn from_file(path: &Path) -> Result<Zeroizing<String>, Failure> {
    if path.as_os_str() == "-" {
        return from_input();
    }
    let named = |e| Failure::other(anyhow::anyhow!("{}: {e}", path.display()));
    read(std::fs::File::open(path).map_err(named)?)
}

/// Reads a password from standard input, which must not be a terminal: it would show what is typed.
pub(super) fn from_input() -> Result<Zeroizing<String>, Failure> {
    let input = std::io::stdin();
    if input.is_terminal() {
        let text = "the password comes from --password-file or a pipe; --link prints a link to set it in a browser";
        return Err(Failure::Usage(text.to_owned()));
    }
    read(input.lock())
}

fn read(from: impl Read) -> Result<Zeroizing<String>, Failure> {
    let mut text = Zeroizing::new(String::new());
    from.take(MAX).read_to_string(&mut text)?;
    // Editors end a file with a line end that nobody types at the login.
    let line = text.strip_suffix('\n').map_or(text.as_str(), |t| t.strip_suffix('\r').unwrap_or(t));
    Ok(Zeroizing::new(line.to_owned()))
}
