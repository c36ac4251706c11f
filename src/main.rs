//! The entry: reads the command line, runs it, turns the outcome into an exit code.

use std::process::ExitCode;

/// Returns memory to the system after a burst, which the C library's allocator hardly does
/// (`docs/decisions/0020-allocator.md`).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    mcpgate::cli::run()
}
