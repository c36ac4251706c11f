//! `mcpgate group`: groups of accounts, which rules and upstreams name.

use serde_json::{Value, json};

use super::data::{Data, DataArguments, Missing};
use super::failure::Failure;
use super::runtime::block_on;
use crate::issuer::Withdrawal;
use crate::oauth::{GroupName, LoginName};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Add accounts to a group; it exists as long as it has a member
    Add {
        /// The group: 1 to 64 of a-z, 0-9 and .-_
        name: String,
        /// Login names
        #[arg(required = true)]
        logins: Vec<String>,
        #[command(flatten)]
        data: DataArguments,
    },
    /// Remove accounts from a group; their tokens are narrowed within a second
    Remove {
        /// The group
        name: String,
        /// Login names
        #[arg(required = true)]
        logins: Vec<String>,
        #[command(flatten)]
        data: DataArguments,
    },
    /// List all groups with their members
    List {
        #[command(flatten)]
        data: DataArguments,
    },
    /// Show one group
    Show {
        /// The group
        name: String,
        #[command(flatten)]
        data: DataArguments,
    },
}

pub(super) fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Add { name, logins, data } => {
            let data = data.open(Missing::Refuse)?;
            let added = block_on(async { Ok(data.administration.add_members(&name, &logins).await?) })?;
            let added: Vec<_> = added.iter().map(|account| account.name.as_str()).collect();
            let text = format!("{} {} now in {name}", added.join(", "), are(added.len()));
            data.output.one(&text, &json!({ "name": name, "added": added }))
        }
        Command::Remove { name, logins, data } => {
            for user in &logins {
                data.withdraw(&Withdrawal::LeaveGroup { group: name.clone(), user: user.clone() })?;
            }
            let text = format!("{} {} no longer in {name}", logins.join(", "), are(logins.len()));
            data.output().one(&text, &json!({ "name": name, "removed": logins }))
        }
        Command::List { data } => {
            let data = data.open_folder()?;
            data.output.list(&[("NAME", "name"), ("MEMBERS", "members")], &groups(&data)?)
        }
        Command::Show { name, data } => {
            let data = data.open_folder()?;
            let asked = GroupName::parse(&name);
            let is_asked = |group: &Value| asked.as_ref().is_some_and(|asked| group["name"] == asked.as_str());
            let missing = || Failure::other(anyhow::anyhow!("no group {name:?}"));
            data.output.members(groups(&data)?.iter().find(|group| is_asked(group)).ok_or_else(missing)?)
        }
    }
}

fn groups(data: &Data) -> Result<Vec<Value>, Failure> {
    let groups = block_on(async { Ok(data.administration.groups().await?) })?;
    let names = |members: &[LoginName]| members.iter().map(|name| name.as_str().to_owned()).collect::<Vec<_>>();
    Ok(groups.iter().map(|(name, members)| json!({ "name": name.as_str(), "members": names(members) })).collect())
}

const fn are(count: usize) -> &'static str {
    if count == 1 { "is" } else { "are" }
}
