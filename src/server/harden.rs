//! What the process gives up, and what it asks of the system, before it starts a thread or opens anything.

use std::io;

use rustix::fs::Mode;
use rustix::io::Errno;
use rustix::process::{Resource, Rlimit, Signal, getrlimit, setrlimit, umask};
use tokio::signal::unix::{SignalKind, signal};

/// Gives up rights that the gateway never needs and asks for as many files as the system allows. Returns what the
/// system did not do; nothing logs yet.
pub(super) fn harden() -> Vec<(&'static str, Errno)> {
    // Whatever is made from here on is the gateway's own.
    umask(Mode::RWXG | Mode::RWXO);
    // Shells start programs with 1024 files for the sake of select(2), which nothing here uses; each connection is
    // one, and so is each to an upstream.
    let files = getrlimit(Resource::Nofile);
    let done = [
        // A core dump would hold every key.
        (
            "core dumps could not be switched off",
            setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) }),
        ),
        ("no_new_privs could not be set", rustix::thread::set_no_new_privs(true)),
        (
            "the number of open files could not be raised",
            setrlimit(Resource::Nofile, Rlimit { current: files.maximum, ..files }),
        ),
    ];
    done.into_iter().filter_map(|(trouble, result)| Some((trouble, result.err()?))).collect()
}

/// Takes over SIGXFSZ, which would end the process: a write beyond RLIMIT_FSIZE then fails with an error, as on a full
/// disk.
///
/// # Errors
/// The system refuses.
pub fn survive_file_size_limit() -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let _entered = runtime.enter();
    // tokio keeps its handler for the life of the process, also when nobody listens any more.
    signal(SignalKind::from_raw(Signal::XFSZ.as_raw())).map(drop)
}
