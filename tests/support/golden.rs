//! Golden files: output is compared with a file; `MCPGATE_BLESS=1` rewrites the file.

use std::path::Path;

/// Compares `text` with the file.
pub(crate) fn check(file: &Path, text: &str) {
    if std::env::var_os("MCPGATE_BLESS").is_some() {
        std::fs::write(file, text).expect("a golden file can be written");
    }
    let golden = std::fs::read_to_string(file).unwrap_or_default();
    assert!(
        golden == text,
        "{} differs; if that is wished, run again with MCPGATE_BLESS=1. It is now:\n{text}",
        file.display()
    );
}
