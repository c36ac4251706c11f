//! What is asked and answered, a line each, and how a path to the socket is made that the system takes.

use std::io;
use std::os::fd::AsRawFd as _;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::issuer::{Withdrawal, Withdrawn};

/// What both sides speak.
pub(super) const VERSION: u32 = 1;
/// The longest question or answer, in bytes.
pub(super) const LONGEST: u64 = 16 << 10;
/// The longest path that the system takes for a socket, without the zero at its end (unix(7): 108 bytes).
const LONGEST_PATH: usize = 107;

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CommandRequest {
    pub(super) version: u32,
    pub(super) tenant: String,
    pub(super) withdraw: Withdrawal,
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum CommandReply {
    Done(Withdrawn),
    NotStored,
    Refused(String),
    Failed(String),
}

pub(super) fn line(value: &impl Serialize) -> io::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(value)?;
    line.push(b'\n');
    Ok(line)
}

/// Calls `use_path` with a path to `name` in a folder that is short enough for a socket.
pub(super) fn at<T>(folder: &Path, name: &str, use_path: impl FnOnce(&Path) -> io::Result<T>) -> io::Result<T> {
    let whole = folder.join(name);
    if whole.as_os_str().len() <= LONGEST_PATH {
        return use_path(&whole);
    }
    let folder = std::fs::File::open(folder)?;
    use_path(&Path::new("/proc/self/fd").join(folder.as_raw_fd().to_string()).join(name))
}
