//! `mcpgate token`: an operator's own access tokens, for scripts and probes.

use serde_json::json;

use super::data::{DataArguments, Missing};
use super::failure::Failure;
use super::output::moment;
use super::runtime::block_on;
use super::when::duration;
use crate::oauth::{Lifetime, ScopeToken};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Issue an access token in a user's name; it is shown once and cannot be refreshed
    Issue {
        /// Login name of the user
        #[arg(long)]
        user: String,
        /// Name of the upstream that the token is for; optional if there is only one
        #[arg(long)]
        upstream: Option<String>,
        /// A scope; may be repeated [default: the upstream's default scopes]
        #[arg(long)]
        scope: Vec<String>,
        /// Its lifetime, from 1m to 24h [default: that of the upstream's other tokens]
        #[arg(long, value_parser = duration)]
        lifetime: Option<Lifetime>,
        #[command(flatten)]
        data: DataArguments,
    },
}

pub(super) fn run(command: Command) -> Result<(), Failure> {
    let Command::Issue { user, upstream, scope, lifetime, data } = command;
    let data = data.open(Missing::Refuse)?;
    let issued =
        block_on(async { Ok(data.administration.issue_token(&user, upstream.as_deref(), &scope, lifetime).await?) })?;
    let record = &issued.record;
    let value = json!({
        "access_token": issued.token.reveal(),
        "token_type": "Bearer",
        "expires_in": record.expires_at.since(record.issued_at).as_secs(),
        "expires_at": moment(record.expires_at),
        "scope": record.scopes.to_string(),
        "resource": record.resource.as_str(),
        "session": record.grant.to_string(),
        "scopes": record.scopes.iter().map(ScopeToken::as_str).collect::<Vec<_>>(),
    });
    let (resource, until) = (record.resource.as_str(), moment(record.expires_at));
    let with = if record.scopes.is_empty() { "without scopes".to_owned() } else { format!("with: {}", record.scopes) };
    data.output.note(&format!("Good for {resource} until {until}, {with}"));
    data.output.one(issued.token.reveal(), &value)
}
