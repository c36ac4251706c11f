//! The one place where all is wired: sockets, TLS, dispatch, drain.

pub mod dev_certs;
pub mod keys;
mod private_file;
