//! Privileges that the process gives up and limits that it raises, before it starts a thread or opens anything.

use std::io;

use rustix::fs::Mode;
use rustix::io::Errno;
use rustix::process::{Resource, Rlimit, Signal, getrlimit, setrlimit, umask};
use tokio::signal::unix::{SignalKind, signal};

/// Gives up rights that the gateway never needs and raises the limit of open files as far as the system allows. Returns
/// the steps that failed, since nothing can be logged yet.
pub(super) fn harden() -> Vec<(&'static str, Errno)> {
    // Files made from here on are accessible to the gateway's user only.
    umask(Mode::RWXG | Mode::RWXO);
    // Shells limit programs to 1024 open files because of select(2), which is not used here; every connection, also to
    // an upstream, takes one.
    let files = getrlimit(Resource::Nofile);
    let done = [
        // A core dump would contain every key.
        ("core dumps could not be disabled", setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })),
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
