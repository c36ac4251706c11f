//! Files on this machine: operators' files are read within bounds; the gateway's own files are written atomically, are
//! private and belong to the owner of their folder.
//!
//! It does not know what a file is for, and names no other module. Start with `bounded.rs`, then `private.rs`.

mod bounded;
pub mod private;

pub use bounded::{ReadError, name_of, read, read_text, read_with_mode};

/// Maximum size of a PEM file in bytes. A bundle with every public CA has some 250 KB.
pub const LARGEST_PEM: u64 = 4 << 20;
