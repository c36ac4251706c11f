//! The lifetimes of one client, as options of `mcpgate client add` and `mcpgate client edit`.

use super::when::duration;
use crate::issuer::LifetimeEdit;
use crate::oauth::Lifetime;

#[derive(Debug, clap::Args)]
pub(super) struct LifetimeArguments {
    /// How long its access tokens live, such as 4h, at most tokens.access_longest; or default
    #[arg(long, value_name = "DURATION", value_parser = wanted, group = "change")]
    access_lifetime: Option<Wanted>,
    /// How long its refresh tokens live unless used, such as 7d; or default
    #[arg(long, value_name = "DURATION", value_parser = wanted, group = "change")]
    refresh_idle: Option<Wanted>,
    /// How long its refresh tokens live in any case, at most tokens.refresh_longest; or default
    #[arg(long, value_name = "DURATION", value_parser = wanted, group = "change")]
    refresh_absolute: Option<Wanted>,
}

/// A lifetime of its own, or that of all clients.
#[derive(Debug, Clone, Copy)]
struct Wanted(Option<Lifetime>);

impl LifetimeArguments {
    /// Returns what they ask for.
    pub(super) fn edit(&self) -> LifetimeEdit {
        let wanted = |option: Option<Wanted>| option.map(|Wanted(lifetime)| lifetime);
        LifetimeEdit {
            access: wanted(self.access_lifetime),
            refresh_idle: wanted(self.refresh_idle),
            refresh_absolute: wanted(self.refresh_absolute),
        }
    }
}

fn wanted(text: &str) -> Result<Wanted, String> {
    Ok(Wanted(if text == "default" { None } else { Some(duration(text)?) }))
}
