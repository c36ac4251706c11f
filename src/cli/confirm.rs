//! Asks before something ends that cannot be brought back.

use std::io::{BufRead as _, IsTerminal as _, Write as _};

use super::failure::Failure;

/// Continues if the operator has said yes: by `--yes`, or at the terminal when asked. Nobody else can be asked, so a
/// script without `--yes` ends nothing.
pub(super) fn confirm(what_ends: &str, yes: bool) -> Result<(), Failure> {
    if yes {
        return Ok(());
    }
    let input = std::io::stdin();
    if !input.is_terminal() {
        return Err(Failure::other(anyhow::anyhow!("{what_ends}; repeat the command with --yes to do it")));
    }
    let mut told = std::io::stderr();
    write!(told, "{what_ends}. Continue? [y/N] ")?;
    told.flush()?;
    let mut answer = String::new();
    input.lock().read_line(&mut answer)?;
    if ["y", "yes"].contains(&answer.trim().to_lowercase().as_str()) {
        return Ok(());
    }
    Err(Failure::other(anyhow::anyhow!("nothing was changed")))
}

/// Returns a number with its noun: `1 session`, `2 sessions`.
pub(super) fn sessions(count: usize) -> String {
    format!("{count} session{}", if count == 1 { "" } else { "s" })
}
