//! Files on this machine: what an operator wrote is read within bounds, what the gateway writes appears whole, is private
//! and belongs to the owner of its folder.
//!
//! Nothing here knows what a file is for. It names no other module. Start with `bounded.rs`, then `private.rs`.

mod bounded;
pub mod private;

pub use bounded::{ReadError, name_of, read, read_text, read_with_mode};

/// The most that is read of a PEM file. A bundle with every public CA has some 250 KB.
pub const LARGEST_PEM: u64 = 4 << 20;
