//! `mcpgate key`: API keys, for scripts and programs without a browser.

use std::collections::HashMap;

use serde_json::{Value, json};

use super::data::{Data, DataArguments, Missing};
use super::failure::Failure;
use super::output::moment;
use super::runtime::block_on;
use super::when::duration;
use crate::issuer::{KeyLifetime, MadeKey, WantedKey, Withdrawal};
use crate::oauth::{Grant, Lifetime, ScopeToken};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Make an API key in a user's name; it is shown once
    Create(CreateArguments),
    /// List the API keys that have not ended, the newest first
    List {
        /// Only keys of this user
        #[arg(long)]
        user: Option<String>,
        #[command(flatten)]
        data: DataArguments,
    },
    /// Show all details of an API key, but not the key itself, which is kept nowhere
    Show {
        #[command(flatten)]
        key: KeyArguments,
    },
    /// Revoke an API key; it is refused within a second
    Revoke {
        #[command(flatten)]
        key: KeyArguments,
    },
    /// Replace the secret of an API key; the new one is shown once
    Rotate {
        /// How long the key lives from now on, such as 90d, or none [default: as long as before]
        #[arg(long, value_name = "DURATION|none", value_parser = lifetime)]
        expires: Option<KeyLifetime>,
        /// How long the replaced secret stays valid, up to 7d [default: it ends at once]
        #[arg(long, value_parser = duration)]
        grace: Option<Lifetime>,
        #[command(flatten)]
        key: KeyArguments,
    },
}

#[derive(Debug, clap::Args)]
pub(super) struct CreateArguments {
    /// Login name of the user; the key may do what this user may when it is used
    #[arg(long)]
    user: String,
    /// A name to recognise it by
    #[arg(long)]
    name: String,
    /// Name of the upstream that the key is for; optional if there is only one
    #[arg(long)]
    upstream: Option<String>,
    /// A scope; may be repeated [default: the upstream's default scopes]
    #[arg(long)]
    scope: Vec<String>,
    /// How long it lives, such as 90d, or none [default: 90d, or tokens.key_longest if that is shorter]
    #[arg(long, value_name = "DURATION|none", value_parser = lifetime)]
    expires: Option<KeyLifetime>,
    /// An address or network that it may be used from; may be repeated [default: everywhere]
    #[arg(long, value_name = "RANGE")]
    address: Vec<String>,
    #[command(flatten)]
    data: DataArguments,
}

#[derive(Debug, clap::Args)]
pub(super) struct KeyArguments {
    /// The id of the key, as listed
    id: String,
    #[command(flatten)]
    data: DataArguments,
}

pub(super) fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Create(arguments) => create(&arguments),
        Command::List { user, data } => {
            let data = data.open_folder()?;
            let keys = block_on(async { Ok(data.administration.keys(user.as_deref()).await?) })?;
            let values = described(&data, &keys)?;
            let columns = [("ID", "id"), ("NAME", "name"), ("ENDS IN", "hint"), ("USER", "user")];
            let columns = columns.into_iter().chain([("RESOURCE", "resource"), ("SCOPES", "scopes")]);
            let columns: Vec<_> = columns.chain([("LAST USED", "last_used_at"), ("UNTIL", "expires_at")]).collect();
            data.output.list(&columns, &values)
        }
        Command::Show { key } => {
            let data = key.data.open_folder()?;
            let found = block_on(async { Ok(data.administration.key(&key.id).await?) })?;
            described(&data, &[found])?.iter().try_for_each(|value| data.output.members(value))
        }
        Command::Revoke { key } => {
            key.data.withdraw(&Withdrawal::Key { id: key.id.clone() })?;
            let text = format!("{} is revoked", key.id);
            key.data.output().one(&text, &json!({ "id": key.id, "status": "revoked" }))
        }
        Command::Rotate { expires, grace, key } => {
            let data = key.data.open(Missing::Refuse)?;
            let made = block_on(async { Ok(data.administration.rotate_key(&key.id, expires, grace).await?) })?;
            data.output.note(match grace {
                None => "The replaced secret is refused within a second.",
                Some(_) => "The replaced secret ends after the grace, or when the key is rotated again or revoked.",
            });
            show(&data, &made)
        }
    }
}

fn create(arguments: &CreateArguments) -> Result<(), Failure> {
    let data = arguments.data.open(Missing::Refuse)?;
    let wanted = WantedKey {
        name: &arguments.name,
        upstream: arguments.upstream.as_deref(),
        scopes: &arguments.scope,
        lifetime: arguments.expires.unwrap_or(KeyLifetime::Usual),
        addresses: &arguments.address,
    };
    let made = block_on(async { Ok(data.administration.create_key(&arguments.user, &wanted).await?) })?;
    show(&data, &made)
}

/// Prints a key that was just made.
fn show(data: &Data, made: &MadeKey) -> Result<(), Failure> {
    let grant = &made.grant;
    let resource = grant.resource.as_str();
    let until = grant.end().map_or_else(|| "it is revoked".to_owned(), moment);
    let with = if grant.scopes.is_empty() { "without scopes".to_owned() } else { format!("with: {}", grant.scopes) };
    data.output.note(&format!("Good for {resource} until {until}, {with}. It is not shown again."));
    let mut values = described(data, std::slice::from_ref(grant))?;
    let mut value = values.pop().unwrap_or_default();
    if let Some(members) = value.as_object_mut() {
        members.insert("key".to_owned(), json!(made.key.reveal()));
    }
    data.output.one(made.key.reveal(), &value)
}

/// Describes keys, with the login names of their users.
fn described(data: &Data, keys: &[Grant]) -> Result<Vec<Value>, Failure> {
    let accounts = block_on(async { Ok(data.administration.accounts().await?) })?;
    let users: HashMap<_, _> = accounts.iter().map(|a| (a.subject.as_str(), a.name.as_str())).collect();
    let describe = |grant: &Grant| {
        let key = grant.key.as_deref();
        json!({
            "id": grant.id.to_string(),
            "name": key.map(|key| &key.name),
            "hint": key.map(|key| &key.hint),
            "user": users.get(grant.subject.as_str()),
            "subject": grant.subject.as_str(),
            "resource": grant.resource.as_str(),
            "scopes": grant.scopes.iter().map(ScopeToken::as_str).collect::<Vec<_>>(),
            "addresses": key.map(|key| key.addresses.iter().map(ToString::to_string).collect::<Vec<_>>()),
            "created_at": moment(grant.created_at),
            "rotated_at": moment(grant.rotated_at),
            "last_used_at": grant.last_used_at.map(moment),
            "expires_at": grant.end().map(moment),
        })
    };
    Ok(keys.iter().map(describe).collect())
}

fn lifetime(text: &str) -> Result<KeyLifetime, String> {
    if text == "none" { Ok(KeyLifetime::Unlimited) } else { duration(text).map(KeyLifetime::For) }
}
