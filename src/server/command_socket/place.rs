//! The socket on which the server listens for commands: created, checked, and recreated when it is lost.

use std::io::{self, ErrorKind};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use tokio::net::UnixListener;
use tokio::sync::Notify;

use super::message::at;
use crate::data_dir::COMMAND_SOCKET;
use crate::files::private::shell;

/// The name of the socket until its mode is set.
const UNNAMED: &str = "server.socket.new";

/// The socket of a server that runs; removed when this is dropped, if it is still there.
pub(super) struct CommandSocket {
    pub(super) listener: UnixListener,
    path: PathBuf,
    /// Its device and inode.
    id: (u64, u64),
}

/// Why there is no socket; names the path and says what to do.
#[derive(Debug, thiserror::Error)]
#[error("{}: {source}; if something else is in its place, remove it: rm -r {}", path.display(), shell(path))]
pub(super) struct NoSocket {
    path: PathBuf,
    source: io::Error,
}

impl CommandSocket {
    /// Listens in a data directory, whose lock the caller holds. What a killed server left there is replaced.
    pub(super) fn bind(data_dir: &Path) -> Result<Self, NoSocket> {
        let (path, unnamed) = (data_dir.join(COMMAND_SOCKET), data_dir.join(UNNAMED));
        let failed = |path: &Path, source| NoSocket { path: path.to_owned(), source };
        match std::fs::remove_file(&unnamed) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(failed(&unnamed, error)),
            Ok(()) | Err(_) => {}
        }
        let listener = at(data_dir, UNNAMED, |path| UnixListener::bind(path)).map_err(|e| failed(&unnamed, e))?;
        // It gets its final name only once its mode is right.
        let named = std::fs::set_permissions(&unnamed, std::fs::Permissions::from_mode(0o600))
            .and_then(|()| std::fs::rename(&unnamed, &path))
            .and_then(|()| std::fs::symlink_metadata(&path));
        match named {
            Ok(found) => Ok(Self { listener, path, id: (found.dev(), found.ino()) }),
            Err(error) => {
                let _gone = std::fs::remove_file(&unnamed);
                Err(failed(&path, error))
            }
        }
    }

    /// Returns whether its path still leads to this socket.
    fn is_there(&self) -> bool {
        std::fs::symlink_metadata(&self.path).is_ok_and(|found| (found.dev(), found.ino()) == self.id)
    }
}

impl Drop for CommandSocket {
    fn drop(&mut self) {
        if self.is_there()
            && let Err(error) = std::fs::remove_file(&self.path)
        {
            tracing::debug!(%error, "the command socket could not be removed");
        }
    }
}

/// A server's socket, which may have to be recreated.
pub(in crate::server) struct SocketPlace {
    data_dir: PathBuf,
    socket: ArcSwapOption<CommandSocket>,
    /// Told when there is another socket, or none any more.
    pub(super) changed: Notify,
}

impl SocketPlace {
    /// Makes the socket; logs if that fails. Must be called on a runtime; reads and writes files.
    pub(in crate::server) fn new(data_dir: &Path) -> Self {
        let place = Self { data_dir: data_dir.to_owned(), socket: ArcSwapOption::empty(), changed: Notify::new() };
        if let Err(error) = place.make() {
            tracing::warn!(%error, "there is no command socket yet: on a full disk, commands cannot end access");
        }
        place
    }

    /// Returns the socket, if there is one.
    pub(super) fn socket(&self) -> Option<Arc<CommandSocket>> {
        self.socket.load_full()
    }

    fn make(&self) -> Result<(), NoSocket> {
        self.socket.store(Some(Arc::new(CommandSocket::bind(&self.data_dir)?)));
        Ok(())
    }

    /// Recreates the socket if it is missing. Must be called on a runtime; reads and writes files.
    pub(super) fn look(&self) {
        let was_there = self.socket.load().as_ref().map(|socket| socket.is_there());
        if was_there == Some(true) {
            return;
        }
        self.socket.store(None);
        let made = self.make();
        self.changed.notify_one();
        match (made, was_there) {
            (Ok(()), _) => tracing::info!("the command socket was created again"),
            (Err(error), Some(_)) => {
                tracing::warn!(%error, "the command socket is gone: on a full disk, commands cannot end access");
            }
            (Err(error), None) => tracing::debug!(%error, "there is still no command socket"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileTypeExt as _;

    use super::*;

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
            let connected = at(&long, COMMAND_SOCKET, |path| std::os::unix::net::UnixStream::connect(path)).unwrap();
            drop((socket.listener.accept().await.unwrap(), connected, socket));
            assert_eq!(std::fs::read_dir(&long).unwrap().count(), 0);
        }
    }

    #[tokio::test]
    async fn a_socket_that_is_lost_or_could_not_be_made_is_made_when_it_can_be() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(COMMAND_SOCKET);
        std::fs::create_dir(&path).unwrap();
        let error = CommandSocket::bind(folder.path()).map(drop).unwrap_err().to_string();
        assert!(error.contains(&format!("rm -r {}", path.display())), "{error}");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing half made stays");
        let place = SocketPlace::new(folder.path());
        place.look();
        assert!(place.socket().is_none());
        std::fs::remove_dir(&path).unwrap();
        for _ in 0..2 {
            place.look();
            assert!(place.socket().is_some_and(|socket| socket.is_there()));
            std::fs::remove_file(&path).unwrap();
        }
        place.look();
        drop(place);
        assert!(!path.exists());
    }
}
