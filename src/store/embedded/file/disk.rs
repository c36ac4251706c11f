//! Space on a disk that fills up: a reserve file that is deleted to end access on a full disk, and free space that
//! strangers may not use.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{FallocateFlags, fallocate, statvfs};
use rustix::io::Errno;

use super::paths::folder_of;
use crate::files::private;

/// The name of the reserve file.
const FILE: &str = "reserve";
/// Its size: enough for revocations, which write some 50 KB each, until the store's log is restarted, and as many
/// again.
const BALLAST: u64 = 2 << 20;
/// Free space below which strangers may add nothing more. An absolute value, since others may fill a large disk too.
const RESERVE: u64 = 6 << 20;
/// How often the disk is checked.
pub(super) const LOOK: Duration = Duration::from_secs(1);

/// The state of the disk of one store.
#[derive(Debug)]
pub(crate) struct Disk {
    file: PathBuf,
    /// Whether this is the server, which recreates the file. Any process may delete it.
    keeps: bool,
    is_kept: bool,
    is_scarce: bool,
    looked: Option<Instant>,
}

impl Disk {
    /// Makes the state for the disk of the store `store`, not checked yet.
    pub(crate) fn new(store: &Path, keeps: bool) -> Self {
        Self { file: folder_of(store).join(FILE), keeps, is_kept: false, is_scarce: false, looked: None }
    }

    /// Checks the disk, unless that was just done, and recreates the reserve file if there is room.
    pub(super) fn look(&mut self) {
        if !self.keeps || self.looked.is_some_and(|at| at.elapsed() < LOOK) {
            return;
        }
        let is_first = self.looked.replace(Instant::now()).is_none();
        // A file system that does not report free space is assumed to have enough.
        let free =
            statvfs(folder_of(&self.file)).map_or(u64::MAX, |found| found.f_bavail.saturating_mul(found.f_frsize));
        let was_kept = self.is_kept || is_first;
        self.is_kept = fs::symlink_metadata(&self.file).is_ok_and(|found| found.is_file() && found.len() >= BALLAST)
            || (free >= BALLAST.saturating_mul(2) && self.make());
        if was_kept && !self.is_kept {
            let file = self.file.display();
            tracing::warn!(%file, "the disk has no space for the reserve that lets tokens be revoked on a full disk");
        }
        let is_scarce = free < RESERVE;
        if is_scarce != self.is_scarce {
            self.is_scarce = is_scarce;
            let (free, least) = (free / 1024, RESERVE / 1024);
            if is_scarce {
                tracing::warn!(
                    free_kib = free,
                    least_kib = least,
                    "the disk is nearly full: registrations are refused"
                );
            } else {
                tracing::info!(free_kib = free, "the disk has free space again");
            }
        }
    }

    /// Returns whether there is so little space that strangers may add nothing more.
    pub(super) fn is_scarce(&self) -> bool {
        self.is_scarce
    }

    /// Returns whether the reserve file was deleted and could not be recreated: free space is then kept for
    /// revocations.
    pub(super) fn is_given_up(&self) -> bool {
        self.keeps && self.looked.is_some() && !self.is_kept
    }

    /// Returns whether this is the server, which continues to run after the operation.
    pub(super) const fn is_of_server(&self) -> bool {
        self.keeps
    }

    /// Returns the folder of the store.
    pub(super) fn folder(&self) -> &Path {
        folder_of(&self.file)
    }

    /// Deletes the reserve file.
    pub(super) fn give_up(&mut self) {
        self.is_kept = false;
        match fs::remove_file(&self.file) {
            Ok(()) => {
                let file = self.file.display();
                tracing::warn!(%file, "the disk is full: the reserve is freed to revoke tokens");
            }
            Err(error) => tracing::debug!(%error, "there was no reserve on the disk"),
        }
    }

    /// Creates the reserve file, fully allocated on disk.
    fn make(&self) -> bool {
        let made = private::open_or_create(&self.file).and_then(|mut file| {
            match fallocate(&file, FallocateFlags::empty(), 0, BALLAST) {
                Err(Errno::OPNOTSUPP) => (0..BALLAST / 4096).try_for_each(|_| file.write_all(&[0; 4096])),
                allocated => Ok(allocated?),
            }
        });
        if let Err(error) = &made {
            tracing::debug!(%error, "the reserve on the disk cannot be created");
            // A partial file is useless.
            let _absent = fs::remove_file(&self.file);
        }
        made.is_ok()
    }
}
