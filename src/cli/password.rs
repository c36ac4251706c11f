//! Reads passwords from a file or from standard input, never from the command line, which others can see.

use std::io::{IsTerminal, Read};
use std::os::unix::fs::FileTypeExt as _;
use std::path::Path;
use std::sync::mpsc;
use std::time::Duration;

use zeroize::Zeroizing;

use super::failure::Failure;
use crate::files;

/// The most bytes read: more than the longest password, so that a longer one is refused and not truncated.
const MAX: u64 = 4096;

/// Time limit for a password from a pipe.
const PATIENCE: Duration = Duration::from_secs(10);

/// Reads a password from a file, or from a pipe made by a shell (`<(…)`); `-` is standard input.
pub(super) fn from_file(path: &Path) -> Result<Zeroizing<String>, Failure> {
    if path.as_os_str() == "-" {
        return from_input();
    }
    let named = |why: &dyn std::fmt::Display| Failure::other(anyhow::anyhow!("{}: {why}", path.display()));
    let metadata = std::fs::metadata(path).map_err(|e| named(&e))?;
    if !metadata.file_type().is_fifo() {
        let content = Zeroizing::new(files::read(path, MAX).map_err(|e| named(&e))?);
        return read(content.as_slice()).map_err(|_| named(&files::ReadError::NotText));
    }
    // Opening a pipe blocks until there is a writer.
    let (tell, told) = mpsc::channel();
    let file = path.to_owned();
    std::thread::spawn(move || tell.send(std::fs::File::open(file).map_err(Failure::other).and_then(read)));
    told.recv_timeout(PATIENCE).map_err(|_| named(&"this pipe has no password"))?
}

/// Reads a password from standard input, which must not be a terminal: it would show what is typed.
pub(super) fn from_input() -> Result<Zeroizing<String>, Failure> {
    let input = std::io::stdin();
    if input.is_terminal() {
        let text = "pass the password with --password-file or a pipe; --link prints a link to set it in a browser";
        return Err(Failure::Usage(text.to_owned()));
    }
    read(input.lock())
}

fn read(from: impl Read) -> Result<Zeroizing<String>, Failure> {
    let mut text = Zeroizing::new(String::new());
    from.take(MAX).read_to_string(&mut text)?;
    // Editors end a file with a line end, which nobody types when logging in.
    let line = text.strip_suffix('\n').map_or(text.as_str(), |t| t.strip_suffix('\r').unwrap_or(t));
    Ok(Zeroizing::new(line.to_owned()))
}
