//! `mcpgate group`: groups of accounts, which rules and upstreams name.

use std::collections::BTreeMap;

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
    /// List all groups with their members, in the store and in the configuration file
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
            let columns = [("NAME", "name"), ("MEMBERS", "members"), ("IN THE FILE", "members_in_file")];
            data.output.list(&columns, &groups(&data)?)
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

/// Lists the groups of the store and of the configuration file, each with the login names of its members in either.
fn groups(data: &Data) -> Result<Vec<Value>, Failure> {
    let stored = block_on(async { Ok(data.administration.groups().await?) })?;
    let mut groups: BTreeMap<_, [Vec<&str>; 2]> = BTreeMap::new();
    for (group, members) in &stored {
        let [in_store, _] = groups.entry(group).or_default();
        in_store.extend(members.iter().map(LoginName::as_str));
    }
    for (member, of) in data.config.groups.iter() {
        for group in of.iter() {
            let [_, in_file] = groups.entry(group).or_default();
            in_file.push(member.as_str());
        }
    }
    let value = |(group, [in_store, in_file]): (&GroupName, [Vec<&str>; 2])| json!({ "name": group.as_str(), "members": in_store, "members_in_file": in_file });
    Ok(groups.into_iter().map(value).collect())
}

const fn are(count: usize) -> &'static str {
    if count == 1 { "is" } else { "are" }
}
