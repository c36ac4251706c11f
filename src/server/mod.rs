//! The one place where all is wired: sockets, TLS, dispatch, drain.
