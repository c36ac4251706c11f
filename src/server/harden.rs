//! What the process gives up, and what it asks of the system, before it opens anything.

use rustix::fs::Mode;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit, umask};

/// Gives up rights that the gateway never needs and asks for as many files as the system allows.
pub(super) fn harden() {
    // Whatever is made from here on is the gateway's own.
    umask(Mode::RWXG | Mode::RWXO);
    // A core dump would hold every key.
    if let Err(error) = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) }) {
        tracing::warn!(%error, "core dumps could not be switched off");
    }
    if let Err(error) = rustix::thread::set_no_new_privs(true) {
        tracing::warn!(%error, "no_new_privs could not be set");
    }
    // Shells start programs with 1024 files for the sake of select(2), which nothing here uses; each connection is
    // one, and so is each to an upstream.
    let files = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: files.maximum, ..files }) {
        tracing::warn!(%error, "the number of open files could not be raised");
    }
}
