//! The bound on entries, and who is dropped first.
