//! The numbered SQL files, their order and checksums.
