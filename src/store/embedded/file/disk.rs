//! Room on a disk that fills up: a file that is given up for what ends access, and a reserve that strangers leave alone.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{FallocateFlags, fallocate, statvfs};
use rustix::io::Errno;

use super::paths::folder_of;
use crate::files::private;

/// The name of the file that is given up.
const FILE: &str = "reserve";
/// Its size: revocations that each write some 50 KB, until the log of the store is restarted, and once more after that.
const BALLAST: u64 = 2 << 20;
/// Where less than this is free, strangers add nothing more. Absolute: others may fill a large disk as well.
const RESERVE: u64 = 6 << 20;
/// How often the disk is looked at.
pub(super) const LOOK: Duration = Duration::from_secs(1);

/// What is known of the disk of one store.
#[derive(Debug)]
pub(crate) struct Disk {
    file: PathBuf,
    /// Whether this is the server, which keeps the file. Everybody may give it up.
    keeps: bool,
    is_kept: bool,
    is_scarce: bool,
    looked: Option<Instant>,
}

impl Disk {
    /// Knows nothing yet of the disk that the store `store` is on.
    pub(crate) fn new(store: &Path, keeps: bool) -> Self {
        Self { file: folder_of(store).join(FILE), keeps, is_kept: false, is_scarce: false, looked: None }
    }

    /// Checks the disk, unless that was done a moment ago, and recreates the file if there is room for it.
    pub(super) fn look(&mut self) {
        if !self.keeps || self.looked.is_some_and(|at| at.elapsed() < LOOK) {
            return;
        }
        let is_first = self.looked.replace(Instant::now()).is_none();
        // A file system that does not say has room enough.
        let free =
            statvfs(folder_of(&self.file)).map_or(u64::MAX, |found| found.f_bavail.saturating_mul(found.f_frsize));
        let was_kept = self.is_kept || is_first;
        self.is_kept = fs::symlink_metadata(&self.file).is_ok_and(|found| found.is_file() && found.len() >= BALLAST)
            || (free >= BALLAST.saturating_mul(2) && self.make());
        if was_kept && !self.is_kept {
            let file = self.file.display();
            tracing::warn!(%file, "there is no room on the disk for what is kept free to revoke tokens on a full disk");
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
                tracing::info!(free_kib = free, "there is room on the disk again");
            }
        }
    }

    /// Returns whether there is so little room that strangers add nothing more.
    pub(super) fn is_scarce(&self) -> bool {
        self.is_scarce
    }

    /// Returns whether the file was given up and could not be recreated: free space is then kept for revocations.
    pub(super) fn is_given_up(&self) -> bool {
        self.keeps && self.looked.is_some() && !self.is_kept
    }

    /// Returns whether it is the disk of the server, which lives on after this operation.
    pub(super) const fn is_of_server(&self) -> bool {
        self.keeps
    }

    /// Returns the folder of the store.
    pub(super) fn folder(&self) -> &Path {
        folder_of(&self.file)
    }

    /// Gives the file up.
    pub(super) fn give_up(&mut self) {
        self.is_kept = false;
        match fs::remove_file(&self.file) {
            Ok(()) => {
                let file = self.file.display();
                tracing::warn!(%file, "the disk is full: what was kept free is given up to revoke tokens");
            }
            Err(error) => tracing::debug!(%error, "nothing was kept free on the disk"),
        }
    }

    /// Makes the file, all of it on the disk.
    fn make(&self) -> bool {
        let made = private::open_or_create(&self.file).and_then(|mut file| {
            match fallocate(&file, FallocateFlags::empty(), 0, BALLAST) {
                Err(Errno::OPNOTSUPP) => (0..BALLAST / 4096).try_for_each(|_| file.write_all(&[0; 4096])),
                allocated => Ok(allocated?),
            }
        });
        if let Err(error) = &made {
            tracing::debug!(%error, "no room can be kept free on the disk");
            // A part of it is of no use.
            let _absent = fs::remove_file(&self.file);
        }
        made.is_ok()
    }
}
