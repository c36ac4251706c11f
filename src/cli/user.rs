//! `mcpgate user`: accounts of the people who log in.

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde_json::{Value, json};

use super::data::{Data, DataArguments, Missing};
use super::failure::Failure;
use super::output::{Output, moment, printable};
use super::password;
use super::runtime::block_on;
use super::table_view::{note_enabled, place, table};
use crate::config::{Config, DeclaredAccount};
use crate::issuer::{SessionQuery, Withdrawal, Withdrawn};
use crate::store::{Account, AccountStatus, MadeByTable};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Add an account; without a password, print a one-time link to set one
    Add {
        /// Login name
        name: String,
        /// Read the password from a file; - is standard input
        #[arg(long, value_name = "FILE")]
        password_file: Option<PathBuf>,
        #[command(flatten)]
        data: DataArguments,
    },
    /// List all accounts
    List {
        #[command(flatten)]
        data: DataArguments,
    },
    /// Show one account: its state, the applications connected to it, and its former names
    Show {
        /// Login name
        name: String,
        #[command(flatten)]
        data: DataArguments,
    },
    /// Give an account another login name; its sessions stay, and nobody else can get the old name
    Rename {
        /// Login name
        name: String,
        /// The new login name
        new: String,
        #[command(flatten)]
        data: DataArguments,
    },
    /// Delete an account: its sessions end and its tokens are refused within a second; nobody else can get its name
    Delete {
        /// Login name
        name: String,
        #[command(flatten)]
        data: DataArguments,
    },
    /// Disable an account: its sessions end and its tokens are refused within a second
    Disable {
        /// Login name
        name: String,
        #[command(flatten)]
        data: DataArguments,
    },
    /// Enable an account again; what was revoked stays revoked
    Enable {
        /// Login name
        name: String,
        #[command(flatten)]
        data: DataArguments,
    },
    /// Set a password, from standard input by default; all sessions of the account end
    SetPassword {
        /// Login name
        name: String,
        /// Read the password from a file; - is standard input
        #[arg(long, value_name = "FILE")]
        password_file: Option<PathBuf>,
        /// Print a one-time link to set it in a browser instead
        #[arg(long, conflicts_with = "password_file")]
        link: bool,
        #[command(flatten)]
        data: DataArguments,
    },
}

pub(super) fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Add { name, password_file, data } => {
            let password = password_file.as_deref().map(password::from_file).transpose()?;
            let data = data.open_to_sign_in(Missing::Make)?;
            let added = block_on(async {
                Ok(data.administration.add_account(&name, password.as_ref().map(|p| p.as_str())).await?)
            })?;
            let link = added.link.as_ref().map(|link| format!("; set its password at\n{link}")).unwrap_or_default();
            let mut value = account(&added.account);
            if let (Some(object), Some(link)) = (value.as_object_mut(), &added.link) {
                object.insert("link".to_owned(), json!(link));
            }
            data.output.one(&format!("added {}{link}", added.account.name), &value)
        }
        Command::List { data } => list(&data.open_folder()?),
        Command::Show { name, data } => show(&name, &data.open_folder()?),
        Command::Rename { name, new, data } => {
            let data = data.open(Missing::Refuse)?;
            let renamed = block_on(async { Ok(data.administration.rename_account(&name, &new).await?) })?;
            let text = format!("{name} is now {}; nobody else can get the old name", renamed.name);
            data.output.one(&text, &account(&renamed))
        }
        Command::Delete { name, data } => {
            let (name, subject) = match data.withdraw(&Withdrawal::DeleteUser { name: name.clone() })? {
                Withdrawn::User { name, subject } => (name, Some(subject)),
                Withdrawn::Sessions(_) | Withdrawn::Done => (name, None),
            };
            let value = json!({ "name": name, "subject": subject, "status": "deleted" });
            data.output().one(&format!("{} is deleted; nobody else can get this name", printable(&name)), &value)
        }
        Command::Disable { name, data } => {
            data.withdraw(&Withdrawal::DisableUser { name: name.clone() })?;
            note_enabled(&data, |config| enabled_by(config, &name));
            say_status(&name, data.output(), "disabled")
        }
        Command::Enable { name, data } => {
            let data = data.open(Missing::Refuse)?;
            block_on(async { Ok(data.administration.set_account_disabled(&name, false).await?) })?;
            say_status(&name, data.output, "enabled")
        }
        Command::SetPassword { name, password_file, link: true, data } => {
            debug_assert!(password_file.is_none(), "clap excludes both");
            let data = data.open(Missing::Refuse)?;
            let link = block_on(async { Ok(data.administration.password_link(&name).await?) })?;
            data.output.one(&link, &json!({ "name": name, "link": link }))
        }
        Command::SetPassword { name, password_file, link: false, data } => {
            let password = password_file.as_deref().map_or_else(password::from_input, password::from_file)?;
            let data = data.open(Missing::Refuse)?;
            block_on(async { Ok(data.administration.set_password(&name, &password).await?) })?;
            data.output.one(&format!("the password of {name} is set"), &json!({ "name": name, "password_set": true }))
        }
    }
}

fn list(data: &Data) -> Result<(), Failure> {
    let (mut accounts, tables) =
        block_on(async { Ok((data.administration.accounts().await?, data.administration.listed_tables().await?)) })?;
    accounts.retain(|account| account.subject.is_person());
    let row = |found: &Account| {
        let of = tables.get(&MadeByTable::Account(found.subject.id().clone()));
        let file = if data.output.is_json() { table(of) } else { json!(place(of)) };
        let mut row = account(found);
        row.as_object_mut().map(|members| members.insert("file".to_owned(), file));
        row
    };
    let columns = [("NAME", "name"), ("SUBJECT", "subject"), ("STATUS", "status"), ("PASSWORD", "password_set_at")];
    let columns = [&columns[..], &[("ADDED", "created_at"), ("FILE", "file")]].concat();
    data.output.list(&columns, &accounts.iter().map(row).collect::<Vec<_>>())
}

/// Returns the place of the table that enables an account again, if there is one.
fn enabled_by(config: &Config, name: &str) -> Option<String> {
    let enables =
        |wanted: &DeclaredAccount| wanted.name.as_str().eq_ignore_ascii_case(name) && wanted.disabled == Some(false);
    let table = config.accounts.iter().find(|table| table.present().is_some_and(enables))?;
    Some(table.place(config.file.as_deref()))
}

fn show(name: &str, data: &Data) -> Result<(), Failure> {
    let value = block_on(async {
        let found = data.administration.account(name).await?;
        let grants = data.administration.grants(&SessionQuery::of_user(name)).await?;
        let former = data.administration.former_names().await?;
        let former: Vec<_> =
            former.iter().filter(|(_, s)| s == found.subject.id()).map(|(name, _)| name.as_str()).collect();
        let mut value = account(&found);
        let tables = data.administration.listed_tables().await?;
        let more = json!({
            "file": table(tables.get(&MadeByTable::Account(found.subject.id().clone()))),
            "last_failed_at": found.last_failed_at.map(moment),
            "sessions": grants.len(),
            "clients": grants.iter().map(|g| g.client.as_str()).collect::<BTreeSet<_>>(),
            "former_names": former,
        });
        if let (Some(object), Value::Object(more)) = (value.as_object_mut(), more) {
            object.extend(more);
        }
        Ok(value)
    })?;
    data.output.members(&value)
}

fn say_status(name: &str, output: Output, word: &str) -> Result<(), Failure> {
    output.one(&format!("{name} is {word}"), &json!({ "name": name, "status": word }))
}

fn account(account: &Account) -> Value {
    json!({
        "name": account.name.as_str(),
        "subject": account.subject.as_str(),
        "kind": account.subject.kind(),
        "status": match account.status {
            AccountStatus::Enabled => "enabled",
            AccountStatus::Disabled => "disabled",
        },
        "created_at": moment(account.created_at),
        "password_set_at": account.password_set_at.map(moment),
        "failed_logins": account.failed_logins,
    })
}
