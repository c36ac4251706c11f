//! Request and reply, a line each, and how to make a path to the socket that is short enough for the system.

use std::io;
use std::os::fd::AsRawFd as _;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::issuer::{Withdrawal, Withdrawn};

/// The protocol version that both sides use.
pub(super) const VERSION: u32 = 1;
/// The longest request or reply, in bytes.
pub(super) const LONGEST: u64 = 16 << 10;
/// The longest path of a socket, without the terminating zero (unix(7): 108 bytes).
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

/// Calls `use_path` with a path to `name` in the folder, shortened if it is too long for a socket.
pub(super) fn at<T>(folder: &Path, name: &str, use_path: impl FnOnce(&Path) -> io::Result<T>) -> io::Result<T> {
    let whole = folder.join(name);
    if whole.as_os_str().len() <= LONGEST_PATH {
        return use_path(&whole);
    }
    let folder = std::fs::File::open(folder)?;
    use_path(&Path::new("/proc/self/fd").join(folder.as_raw_fd().to_string()).join(name))
}
