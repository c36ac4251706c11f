//! The command's side: sends a request and waits for the reply, up to a limit.

use std::io::{self, BufRead as _, BufReader, ErrorKind, Read, Write};
use std::os::unix::fs::FileTypeExt as _;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

use super::message::{CommandReply, CommandRequest, LONGEST, VERSION, at, line};
use crate::data_dir::COMMAND_SOCKET;
use crate::issuer::{Withdrawal, Withdrawn};
use crate::oauth::TenantId;

/// The total time that a command may take to connect, send and get the reply.
const LONGEST_WAIT: Duration = Duration::from_secs(12);
/// Pause between two attempts to connect while the socket's queue is full.
const PAUSE: Duration = Duration::from_millis(50);

/// The outcome of a request to the running server.
#[derive(Debug, PartialEq, Eq)]
pub enum CommandOutcome {
    /// The action is done and stored.
    Done(Withdrawn),
    /// The action is in force, and the server will store it when it can.
    NotStored,
    /// There was nothing to end, or the target does not exist; the reason.
    Refused(String),
    /// No server runs on the folder.
    NoServer,
    /// A server runs, or did a moment ago, and has not carried it out; the reason.
    Failed(String),
}

/// Asks the server that runs on a data directory to end access. Blocks for at most 12 seconds.
#[must_use]
pub fn ask(data_dir: &Path, tenant: &TenantId, operation: &Withdrawal) -> CommandOutcome {
    match exchange(data_dir, tenant, operation, Instant::now() + LONGEST_WAIT) {
        Ok(CommandReply::Done(withdrawn)) => CommandOutcome::Done(withdrawn),
        Ok(CommandReply::NotStored) => CommandOutcome::NotStored,
        Ok(CommandReply::Refused(why)) => CommandOutcome::Refused(why),
        Ok(CommandReply::Failed(why)) => CommandOutcome::Failed(why),
        // Refused means the socket of a server that was killed.
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused) => {
            CommandOutcome::NoServer
        }
        Err(error) => CommandOutcome::Failed(error.to_string()),
    }
}

fn exchange(data_dir: &Path, tenant: &TenantId, operation: &Withdrawal, until: Instant) -> io::Result<CommandReply> {
    // The folder's owner could redirect root elsewhere by a symbolic link.
    if !std::fs::symlink_metadata(data_dir.join(COMMAND_SOCKET))?.file_type().is_socket() {
        return Err(io::Error::other(format!("{COMMAND_SOCKET} is not a socket")));
    }
    let mut stream = Limited { stream: at(data_dir, COMMAND_SOCKET, |path| connect(path, until))?, until };
    let question = CommandRequest { version: VERSION, tenant: tenant.as_str().to_owned(), withdraw: operation.clone() };
    stream.write_all(&line(&question)?)?;
    let mut answer = Vec::new();
    BufReader::new(stream.take(LONGEST)).read_until(b'\n', &mut answer)?;
    if answer.is_empty() {
        return Err(io::Error::other("it does not answer"));
    }
    Ok(serde_json::from_slice(&answer)?)
}

/// Connects; waits at most until `until` for room in the socket's queue.
fn connect(path: &Path, until: Instant) -> io::Result<UnixStream> {
    let address = SocketAddrUnix::new(path)?;
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    loop {
        let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
        match rustix::net::connect(&socket, &address) {
            Ok(()) => {
                let stream = UnixStream::from(socket);
                stream.set_nonblocking(false)?;
                return Ok(stream);
            }
            // connect(2): for a Unix socket this means that the queue is full.
            Err(Errno::AGAIN) => std::thread::sleep(PAUSE.min(left(until)?)),
            Err(error) => return Err(error.into()),
        }
    }
}

/// Returns the time left until a moment.
fn left(until: Instant) -> io::Result<Duration> {
    let left = until.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(late()) } else { Ok(left) }
}

fn late() -> io::Error {
    io::Error::new(ErrorKind::TimedOut, "it does not answer in time")
}

/// A connection whose reads and writes all end at one deadline, however slowly the other side proceeds.
struct Limited {
    stream: UnixStream,
    until: Instant,
}

/// Turns the system's error for an exceeded time limit into a clear one.
fn in_time(done: io::Result<usize>) -> io::Result<usize> {
    done.map_err(|error| if error.kind() == ErrorKind::WouldBlock { late() } else { error })
}

impl Read for Limited {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.stream.set_read_timeout(Some(left(self.until)?))?;
        in_time(self.stream.read(into))
    }
}

impl Write for Limited {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.set_write_timeout(Some(left(self.until)?))?;
        in_time(self.stream.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    fn operation() -> Withdrawal {
        Withdrawal::DisableUser { name: "alice".to_owned() }
    }

    /// Accepts one connection, and answers the request with `said`.
    fn answered(folder: &Path, said: &'static str) -> CommandOutcome {
        let listener = at(folder, COMMAND_SOCKET, |path| std::os::unix::net::UnixListener::bind(path)).unwrap();
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut asked = String::new();
            BufReader::new(stream.try_clone().unwrap()).read_line(&mut asked).unwrap();
            stream.write_all(said.as_bytes()).unwrap();
            asked
        });
        let answer = ask(folder, &TenantId::default(), &operation());
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
        assert_eq!(ask(at, &TenantId::default(), &operation()), CommandOutcome::NoServer);
        assert_eq!(answered(at, "{\"done\":\"done\"}\n"), CommandOutcome::Done(Withdrawn::Done));
        assert_eq!(answered(at, "\"not_stored\"\n"), CommandOutcome::NotStored);
        assert_eq!(answered(at, "{\"refused\":\"no account\"}\n"), CommandOutcome::Refused("no account".to_owned()));
        for said in ["", "{}", "{\"done\":\"done\",\"more\":1}\n", "{\"done\":\"do"] {
            let answer = answered(at, said);
            assert!(matches!(answer, CommandOutcome::Failed(_)), "{said}: {answer:?}");
        }
        // The socket left by a killed server; and a file that is no socket.
        drop(std::os::unix::net::UnixListener::bind(at.join(COMMAND_SOCKET)).unwrap());
        assert_eq!(ask(at, &TenantId::default(), &operation()), CommandOutcome::NoServer);
        std::fs::remove_file(at.join(COMMAND_SOCKET)).unwrap();
        std::os::unix::fs::symlink("/run/elsewhere", at.join(COMMAND_SOCKET)).unwrap();
        assert!(matches!(ask(at, &TenantId::default(), &operation()), CommandOutcome::Failed(_)));
    }

    #[test]
    fn a_server_that_hangs_or_answers_byte_by_byte_is_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let listener = at(folder.path(), COMMAND_SOCKET, |path| std::os::unix::net::UnixListener::bind(path)).unwrap();
        let tried = |limit| {
            let until = Instant::now() + Duration::from_millis(limit);
            let answer = exchange(folder.path(), &TenantId::default(), &operation(), until);
            assert_eq!(answer.unwrap_err().kind(), ErrorKind::TimedOut);
            let over = Instant::now().saturating_duration_since(until);
            assert!(over < Duration::from_secs(2), "{over:?}");
        };
        let slow = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            while stream.write_all(b" ").is_ok() {
                thread::sleep(Duration::from_millis(100));
            }
            listener
        });
        tried(1000);
        let listener = slow.join().unwrap();
        // Nobody accepts, and the queue is full.
        let path = folder.path().join(COMMAND_SOCKET);
        let mut waiting = Vec::new();
        while let Ok(stream) = connect(&path, Instant::now() + Duration::from_millis(100)) {
            waiting.push(stream);
        }
        assert!(!waiting.is_empty());
        tried(500);
        drop(listener);
    }
}
