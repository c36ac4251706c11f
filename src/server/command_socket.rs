//! The socket in the data folder by which commands reach the running server to take access away: it is in force there at
//! once, on a full disk too, where a command by itself could do nothing.
//!
//! One line of JSON is asked and one answered, then the connection ends. Only the user of the server and root are heard,
//! though nobody else should get past the mode of the folder and of the socket. `docs/decisions/0022-command-socket.md`.

use std::io::{self, BufRead as _, BufReader, ErrorKind, Read as _, Write as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use rustix::process::geteuid;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;

use crate::clock::Clock;
use crate::config::Config;
use crate::data_dir::COMMAND_SOCKET;
use crate::entropy::Entropy;
use crate::issuer::{Administration, AdministrationError, Withdrawal, Withdrawn};
use crate::oauth::{TenantId, TokenKeys};
use crate::store::{Store, StoreError};

/// The name of the socket until its mode is set.
const UNNAMED: &str = "server.socket.new";
/// What both sides speak.
const VERSION: u32 = 1;
/// The longest question or answer, in bytes.
const LONGEST: u64 = 16 << 10;
/// Connections at once.
const MOST: usize = 8;
/// How long the server stays with a connection.
const TIMEOUT: Duration = Duration::from_secs(10);
/// How long a command waits for the answer.
const LONGEST_WAIT: Duration = Duration::from_secs(12);
/// After a failure to accept.
const PAUSE: Duration = Duration::from_millis(200);
/// The longest path that the system takes for a socket, without the zero at its end (unix(7): 108 bytes).
const LONGEST_PATH: usize = 107;

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Question {
    version: u32,
    tenant: String,
    withdraw: Withdrawal,
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum Answer {
    Done(Withdrawn),
    NotStored,
    Refused(String),
    Failed(String),
}

/// What became of a question to the running server.
#[derive(Debug, PartialEq, Eq)]
pub enum Asked {
    /// It is done and stored.
    Done(Withdrawn),
    /// It is in force, and the server will store it when it can.
    NotStored,
    /// There is nothing to take away, or no such thing; why.
    Refused(String),
    /// No server runs on the folder.
    NoServer,
    /// A server runs, or did a moment ago, and has not done it; why.
    Failed(String),
}

/// Asks the server that runs on a data folder to take access away. Blocks for 12 seconds at most.
#[must_use]
pub fn ask(data_dir: &Path, tenant: &TenantId, deed: &Withdrawal) -> Asked {
    match exchange(data_dir, tenant, deed) {
        Ok(Answer::Done(withdrawn)) => Asked::Done(withdrawn),
        Ok(Answer::NotStored) => Asked::NotStored,
        Ok(Answer::Refused(why)) => Asked::Refused(why),
        Ok(Answer::Failed(why)) => Asked::Failed(why),
        // Refused: the socket of a server that was killed.
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused) => Asked::NoServer,
        Err(error) => Asked::Failed(error.to_string()),
    }
}

fn exchange(data_dir: &Path, tenant: &TenantId, deed: &Withdrawal) -> io::Result<Answer> {
    // Whoever owns the folder could lead root elsewhere by a link.
    if !std::fs::symlink_metadata(data_dir.join(COMMAND_SOCKET))?.file_type().is_socket() {
        return Err(io::Error::other(format!("{COMMAND_SOCKET} is no socket")));
    }
    let stream = at(data_dir, COMMAND_SOCKET, |path| std::os::unix::net::UnixStream::connect(path))?;
    stream.set_read_timeout(Some(LONGEST_WAIT))?;
    stream.set_write_timeout(Some(LONGEST_WAIT))?;
    let question = Question { version: VERSION, tenant: tenant.as_str().to_owned(), withdraw: deed.clone() };
    (&stream).write_all(&line(&question)?)?;
    let mut answer = Vec::new();
    BufReader::new(stream.take(LONGEST)).read_until(b'\n', &mut answer)?;
    if answer.is_empty() {
        return Err(io::Error::other("it does not answer"));
    }
    Ok(serde_json::from_slice(&answer)?)
}

fn line(value: &impl Serialize) -> io::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(value)?;
    line.push(b'\n');
    Ok(line)
}

/// Calls `use_path` with a path to `name` in a folder that is short enough for a socket.
fn at<T>(folder: &Path, name: &str, use_path: impl FnOnce(&Path) -> io::Result<T>) -> io::Result<T> {
    let whole = folder.join(name);
    if whole.as_os_str().len() <= LONGEST_PATH {
        return use_path(&whole);
    }
    let folder = std::fs::File::open(folder)?;
    use_path(&Path::new("/proc/self/fd").join(folder.as_raw_fd().to_string()).join(name))
}

/// The socket of a server that runs; removed when this is dropped.
pub(super) struct CommandSocket {
    listener: UnixListener,
    path: PathBuf,
}

impl CommandSocket {
    /// Listens in a data folder, whose lock the caller holds. What a killed server left there is replaced.
    pub(super) fn bind(data_dir: &Path) -> io::Result<Self> {
        let (path, unnamed) = (data_dir.join(COMMAND_SOCKET), data_dir.join(UNNAMED));
        match std::fs::remove_file(&unnamed) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        let listener = at(data_dir, UNNAMED, |path| UnixListener::bind(path))?;
        // It is found only once its mode is right.
        std::fs::set_permissions(&unnamed, std::fs::Permissions::from_mode(0o600))?;
        std::fs::rename(&unnamed, &path)?;
        Ok(Self { listener, path })
    }
}

impl Drop for CommandSocket {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_file(&self.path) {
            tracing::debug!(%error, "the socket of commands was not removed");
        }
    }
}

/// Carries out commands.
#[derive(Clone)]
pub(super) struct CommandHandler {
    pub(super) store: Arc<dyn Store>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) entropy: Arc<dyn Entropy>,
    pub(super) keys: Arc<TokenKeys>,
    pub(super) config: Arc<ArcSwap<Config>>,
}

/// Serves commands for ever.
pub(super) async fn run(socket: Arc<CommandSocket>, handler: CommandHandler) {
    let places = Arc::new(Semaphore::new(MOST));
    loop {
        // Never closed.
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        match socket.listener.accept().await {
            Ok((stream, _)) => {
                let handler = handler.clone();
                drop(tokio::spawn(async move {
                    let served = tokio::time::timeout(TIMEOUT, serve(stream, &handler)).await;
                    match served {
                        Ok(Ok(())) => {}
                        Ok(Err(error)) => tracing::warn!(%error, "a command was not answered"),
                        Err(_) => tracing::warn!("a command was not answered in time"),
                    }
                    drop(place);
                }));
            }
            Err(error) => {
                tracing::warn!(%error, "the socket of commands cannot accept");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

async fn serve(mut stream: UnixStream, handler: &CommandHandler) -> io::Result<()> {
    let peer = stream.peer_cred()?.uid();
    if !is_heard(peer, geteuid().as_raw()) {
        return Err(io::Error::other(format!("it is of user {peer}, who is neither root nor the user of this server")));
    }
    let (from, mut to) = stream.split();
    let mut asked = Vec::new();
    tokio::io::BufReader::new(from.take(LONGEST)).read_until(b'\n', &mut asked).await?;
    let answer = handler.answer(&asked).await;
    to.write_all(&line(&answer)?).await
}

/// Returns whether a user is heard by a server of user `ours`.
const fn is_heard(peer: u32, ours: u32) -> bool {
    peer == 0 || peer == ours
}

impl CommandHandler {
    async fn answer(&self, asked: &[u8]) -> Answer {
        let question: Question = match serde_json::from_slice(asked) {
            Ok(question) => question,
            Err(error) => {
                return Answer::Failed(format!("the running server does not understand the question: {error}"));
            }
        };
        if question.version != VERSION {
            return Answer::Failed(format!("the running server speaks version {VERSION}, not {}", question.version));
        }
        let Some(tenant) = TenantId::parse(&question.tenant) else {
            return Answer::Failed("the running server knows no such tenant".to_owned());
        };
        let administration = Administration::new(
            Arc::clone(&self.store),
            Arc::clone(&self.clock),
            Arc::clone(&self.entropy),
            Arc::clone(&self.keys),
            self.config.load_full(),
            tenant,
        );
        match administration.withdraw(&question.withdraw).await {
            Ok(withdrawn) => Answer::Done(withdrawn),
            Err(AdministrationError::Store(StoreError::NotStored)) => Answer::NotStored,
            Err(AdministrationError::Store(error)) => Answer::Failed(error.to_string()),
            Err(refused) => Answer::Refused(refused.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    fn deed() -> Withdrawal {
        Withdrawal::DisableUser { name: "alice".to_owned() }
    }

    /// Accepts one connection, and answers what comes with `said`.
    fn answered(folder: &Path, said: &'static str) -> Asked {
        let listener = at(folder, COMMAND_SOCKET, |path| std::os::unix::net::UnixListener::bind(path)).unwrap();
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut asked = String::new();
            BufReader::new(stream.try_clone().unwrap()).read_line(&mut asked).unwrap();
            stream.write_all(said.as_bytes()).unwrap();
            asked
        });
        let answer = ask(folder, &TenantId::default(), &deed());
        let asked = server.join().unwrap();
        assert_eq!(
            asked,
            "{\"version\":1,\"tenant\":\"default\",\"withdraw\":{\"disable_user\":{\"name\":\"alice\"}}}\n"
        );
        std::fs::remove_file(folder.join(COMMAND_SOCKET)).unwrap();
        answer
    }

    #[test]
    fn a_command_believes_only_what_it_understands() {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path();
        assert_eq!(ask(at, &TenantId::default(), &deed()), Asked::NoServer);
        assert_eq!(answered(at, "{\"done\":\"done\"}\n"), Asked::Done(Withdrawn::Done));
        assert_eq!(answered(at, "\"not_stored\"\n"), Asked::NotStored);
        assert_eq!(answered(at, "{\"refused\":\"no account\"}\n"), Asked::Refused("no account".to_owned()));
        for said in ["", "{}", "{\"done\":\"done\",\"more\":1}\n", "{\"done\":\"do"] {
            let answer = answered(at, said);
            assert!(matches!(answer, Asked::Failed(_)), "{said}: {answer:?}");
        }
        // Left behind by a server that was killed; and what is no socket.
        drop(std::os::unix::net::UnixListener::bind(at.join(COMMAND_SOCKET)).unwrap());
        assert_eq!(ask(at, &TenantId::default(), &deed()), Asked::NoServer);
        std::fs::remove_file(at.join(COMMAND_SOCKET)).unwrap();
        std::os::unix::fs::symlink("/run/elsewhere", at.join(COMMAND_SOCKET)).unwrap();
        assert!(matches!(ask(at, &TenantId::default(), &deed()), Asked::Failed(_)));
    }

    #[tokio::test]
    async fn a_folder_with_a_long_path_has_a_socket_too_and_what_was_left_there_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let long = folder.path().join("long".repeat(40));
        std::fs::create_dir(&long).unwrap();
        for name in [COMMAND_SOCKET, UNNAMED] {
            std::fs::write(long.join(name), "left behind").unwrap();
        }
        for _ in 0..2 {
            let socket = CommandSocket::bind(&long).unwrap();
            let metadata = std::fs::symlink_metadata(long.join(COMMAND_SOCKET)).unwrap();
            assert!(metadata.file_type().is_socket());
            assert_eq!(metadata.permissions().mode() & 0o777, 0o600);
            let path = long.clone();
            let asking = tokio::task::spawn_blocking(move || ask(&path, &TenantId::default(), &deed()));
            drop(socket.listener.accept().await.unwrap());
            assert!(matches!(asking.await.unwrap(), Asked::Failed(_)));
            drop(socket);
            assert_eq!(std::fs::read_dir(&long).unwrap().count(), 0);
        }
    }

    #[test]
    fn only_root_and_the_user_of_the_server_are_heard() {
        for (peer, ours, wished) in [(0, 1000, true), (1000, 1000, true), (1001, 1000, false), (1000, 0, false)] {
            assert_eq!(is_heard(peer, ours), wished, "{peer} {ours}");
        }
    }
}
