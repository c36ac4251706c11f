//! The keys of a data directory: created on the first run, then kept, and never readable by others.
//!
//! `keys/token` makes and recognises tokens, `keys/session` binds the sessions of older MCP revisions to their user.
//! Each contains lines with a number and 256 bits in hexadecimal. To rotate, add a line with a new number at the top:
//! new tokens are made with it. Tokens of the other lines stay valid; those of a removed line are refused from the next
//! load on. The same holds for TLS session tickets, whose keys are derived from the token keys. Sessions are only valid
//! for the first line: clients whose session has ended start a new one by themselves. A running server rereads the
//! files with its configuration.

use std::path::{Path, PathBuf};

use ring::hkdf::{HKDF_SHA256, Prk, Salt};
use zeroize::Zeroizing;

use super::{KEYS, STORE};
use crate::entropy::Entropy;
use crate::files::private::{self, PrivateFileError};
use crate::oauth::{Brand, TokenKeys};

/// The keys of a server.
pub struct Keys {
    /// The keys that tokens are made and recognised with.
    pub token: TokenKeys,
    /// The key that binds sessions of older MCP revisions to user, client and upstream.
    pub session: [u8; 32],
    /// What the keys of TLS session tickets are derived from: a secret for each token key, in the same order.
    pub ticket_secrets: Vec<Prk>,
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keys").finish_non_exhaustive()
    }
}

/// Why the keys cannot be used; names the file and never its content.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// The file cannot be read, or others may read it.
    #[error(transparent)]
    Private(#[from] PrivateFileError),
    /// The file cannot be made.
    #[error("{}: {source}", path.display())]
    File {
        /// The key file.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// A line is not a number from 0 to 255 and 64 hexadecimal digits, or a number is there twice.
    #[error("{}:{line}: each line must have a number and 64 hexadecimal digits, and each number must be unique", path.display())]
    Malformed {
        /// The key file.
        path: PathBuf,
        /// Where, from 1.
        line: usize,
    },
    /// The key is a pattern that anybody would try first.
    #[error("{}:{line}: this key is not random", path.display())]
    Guessable {
        /// The key file.
        path: PathBuf,
        /// Where, from 1.
        line: usize,
    },
    /// The file contains no key.
    #[error("{}: this file contains no key", path.display())]
    Empty {
        /// The key file.
        path: PathBuf,
    },
    /// The key is missing but there is a store, whose tokens a new key would silently invalidate.
    #[error(
        "{}: this key is missing: restore it from the backup, or create a new one as docs/operations.md describes, \
         which ends every token",
        path.display()
    )]
    Lost {
        /// The key file.
        path: PathBuf,
    },
}

/// Reads the keys of a data directory, and creates missing ones unless there is already a store.
///
/// # Errors
/// `KeysError`.
pub fn load_or_make(data_dir: &Path, brand: &Brand, entropy: &dyn Entropy) -> Result<Keys, KeysError> {
    let folder = data_dir.join(KEYS);
    private::make_folder(&folder).map_err(|source| KeysError::File { path: folder.clone(), source })?;
    let [token_file, session_file] = files(data_dir);
    // Checked before the keys, because a process that creates both creates the keys first.
    let begun = data_dir.join(STORE).exists();
    let token = load_or_make_file(&token_file, begun, entropy)?;
    let session = load_or_make_file(&session_file, begun, entropy)?;
    joined((token_file, &token), (session_file, &session), brand)
}

/// Reads the keys of a data directory that a server runs on; creates none.
///
/// # Errors
/// `KeysError`.
pub fn load(data_dir: &Path, brand: &Brand) -> Result<Keys, KeysError> {
    let [token_file, session_file] = files(data_dir);
    let read = |path: &PathBuf| match private::read(path) {
        Err(error) if error.is_absent() => Err(KeysError::Lost { path: path.clone() }),
        read => parse(&Zeroizing::new(read?), path),
    };
    let (token, session) = (read(&token_file)?, read(&session_file)?);
    joined((token_file, &token), (session_file, &session), brand)
}

/// Returns the key files: for tokens, and for sessions.
#[must_use]
pub fn files(data_dir: &Path) -> [PathBuf; 2] {
    ["token", "session"].map(|name| data_dir.join(KEYS).join(name))
}

type NumberedKeys = Zeroizing<Vec<(u8, [u8; 32])>>;

fn joined(
    token: (PathBuf, &NumberedKeys),
    session: (PathBuf, &NumberedKeys),
    brand: &Brand,
) -> Result<Keys, KeysError> {
    Ok(Keys {
        token: TokenKeys::new(token.1.to_vec(), brand.clone()).ok_or(KeysError::Empty { path: token.0 })?,
        session: session.1.first().ok_or(KeysError::Empty { path: session.0 })?.1,
        ticket_secrets: token.1.iter().map(|(_, key)| ticket_secret(key)).collect(),
    })
}

/// Extracts the secret for TLS session tickets (RFC 5869 2.2). The token key cannot be computed from it.
fn ticket_secret(token_key: &[u8; 32]) -> Prk {
    Salt::new(HKDF_SHA256, b"mcpgate TLS session tickets").extract(token_key)
}

fn load_or_make_file(path: &Path, begun: bool, entropy: &dyn Entropy) -> Result<NumberedKeys, KeysError> {
    let file = |source| KeysError::File { path: path.to_owned(), source };
    let text = match private::read(path) {
        Err(error) if error.is_absent() && begun => return Err(KeysError::Lost { path: path.to_owned() }),
        Err(error) if error.is_absent() => {
            let line = Zeroizing::new(format!("1 {}\n", *hexadecimal(&entropy.random_32())));
            private::create(path, line.as_bytes()).map_err(file)?;
            private::read(path)?
        }
        read => read?,
    };
    parse(&Zeroizing::new(text), path)
}

fn parse(text: &str, path: &Path) -> Result<NumberedKeys, KeysError> {
    let mut keys = Zeroizing::new(Vec::new());
    for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let (path, line_number) = (path.to_owned(), index.saturating_add(1));
        let Some((number, key)) = line.split_once(' ').and_then(|(n, key)| Some((n.parse().ok()?, key_of(key)?)))
        else {
            return Err(KeysError::Malformed { path, line: line_number });
        };
        if keys.iter().any(|(other, _)| *other == number) {
            return Err(KeysError::Malformed { path, line: line_number });
        }
        let [first, ..] = key;
        if key.iter().all(|byte| *byte == first) {
            return Err(KeysError::Guessable { path, line: line_number });
        }
        keys.push((number, key));
    }
    Ok(keys)
}

fn key_of(digits: &str) -> Option<[u8; 32]> {
    if digits.len() != 64 || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    let mut key = [0; 32];
    for (index, byte) in key.iter_mut().enumerate() {
        *byte = u8::from_str_radix(digits.get(index * 2..index * 2 + 2)?, 16).ok()?;
    }
    Some(key)
}

fn hexadecimal(bytes: &[u8]) -> Zeroizing<String> {
    use std::fmt::Write;
    let mut text = Zeroizing::new(String::with_capacity(bytes.len().saturating_mul(2)));
    for byte in bytes {
        // Writing to a string cannot fail.
        let _infallible = write!(text, "{byte:02x}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entropy::SeededEntropy;
    use crate::oauth::AccessToken;
    use std::os::unix::fs::PermissionsExt;

    fn brand() -> Brand {
        Brand::parse("mcp").unwrap()
    }

    #[test]
    fn keys_are_made_once_and_privately() {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("new/data");
        let first = load_or_make(&data, &brand(), &SeededEntropy::new(1)).unwrap();
        let again = load_or_make(&data, &brand(), &SeededEntropy::new(2)).unwrap();
        assert_eq!(first.session, again.session);
        let made = |keys: &Keys| AccessToken::mint([7; 32], &keys.token).hash();
        assert_eq!(made(&first), made(&again));
        for (path, mode) in [("keys", 0o700), ("keys/token", 0o600), ("keys/session", 0o600), (".", 0o700)] {
            let found = std::fs::metadata(data.join(path)).unwrap().permissions().mode() & 0o777;
            assert_eq!(found, mode, "{path}");
        }
        assert_eq!(std::fs::read_dir(data.join("keys")).unwrap().count(), 2, "nothing temporary stays");
    }

    #[test]
    fn lost_keys_are_not_replaced_beside_a_store() {
        let dir = tempfile::tempdir().unwrap();
        load_or_make(dir.path(), &brand(), &SeededEntropy::new(1)).unwrap();
        std::fs::write(dir.path().join(STORE), "").unwrap();
        load_or_make(dir.path(), &brand(), &SeededEntropy::new(2)).unwrap();
        for file in ["keys/token", "keys/session"] {
            let (file, kept) = (dir.path().join(file), dir.path().join("kept"));
            std::fs::rename(&file, &kept).unwrap();
            let error = load_or_make(dir.path(), &brand(), &SeededEntropy::new(2)).unwrap_err();
            assert!(matches!(error, KeysError::Lost { .. }), "{error}");
            assert!(!file.exists());
            std::fs::rename(&kept, &file).unwrap();
        }
    }

    #[test]
    fn the_first_line_makes_and_all_are_accepted() {
        let line = |number: u8, last: &str| format!("{number} {}{last}\n", "5a".repeat(31));
        let keys = parse(&(line(2, "01") + "\n" + &line(1, "02")), Path::new("token")).unwrap();
        assert_eq!(keys.iter().map(|(number, key)| (*number, key[31])).collect::<Vec<_>>(), [(2, 1), (1, 2)]);
        let twice = parse(&(line(1, "01") + &line(1, "02")), Path::new("token"));
        assert!(matches!(twice, Err(KeysError::Malformed { line: 2, .. })));
    }

    #[test]
    fn what_others_may_read_is_refused() {
        for mode in [0o640, 0o604, 0o660] {
            let dir = tempfile::tempdir().unwrap();
            load_or_make(dir.path(), &brand(), &SeededEntropy::new(1)).unwrap();
            std::fs::set_permissions(dir.path().join("keys/token"), std::fs::Permissions::from_mode(mode)).unwrap();
            let error = load_or_make(dir.path(), &brand(), &SeededEntropy::new(1)).unwrap_err();
            assert!(error.to_string().contains("0600"), "{error}");
        }
    }

    #[test]
    fn guessable_and_malformed_keys_are_refused_without_being_shown() {
        let zero = format!("1 {}", "0".repeat(64));
        for (text, wished) in
            [(zero.as_str(), "not random"), ("1 abcdef", "64 hexadecimal"), ("300 ", "64 hexadecimal"), ("", "no key")]
        {
            let dir = tempfile::tempdir().unwrap();
            load_or_make(dir.path(), &brand(), &SeededEntropy::new(1)).unwrap();
            std::fs::write(dir.path().join("keys/token"), text).unwrap();
            let error = load_or_make(dir.path(), &brand(), &SeededEntropy::new(1)).unwrap_err().to_string();
            assert!(error.contains(wished) && !error.contains("abcdef"), "{error}");
        }
    }
}
