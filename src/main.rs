//! The entry: reads the command line, runs it, turns the outcome into an exit code.

use std::process::ExitCode;

/// Gives back to the system what a burst took, which that of the C library hardly does (`docs/decisions/0020-allocator.md`).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    mcpgate::cli::run()
}
