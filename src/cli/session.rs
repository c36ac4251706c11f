//! `mcpgate session`: what people have granted to applications, and how to take it back.

use std::collections::HashMap;

use serde_json::{Value, json};

use super::data::DataArguments;
use super::failure::Failure;
use super::output::moment;
use super::runtime::block_on;
use crate::issuer::{SessionQuery, Withdrawal, Withdrawn};
use crate::oauth::{Grant, ScopeToken};
use crate::store::EndedActing;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// List the current sessions, the newest first
    List {
        /// Only sessions of this user
        #[arg(long)]
        user: Option<String>,
        /// Only sessions of this application
        #[arg(long, value_name = "ID")]
        client: Option<String>,
        /// Only sessions at this upstream
        #[arg(long)]
        upstream: Option<String>,
        #[command(flatten)]
        data: DataArguments,
    },
    /// List which applications may no longer act for whom, because that was ended
    Ended {
        /// Only for this user
        #[arg(long)]
        user: Option<String>,
        /// Only this application
        #[arg(long, value_name = "ID")]
        client: Option<String>,
        #[command(flatten)]
        data: DataArguments,
    },
    /// Let an application act for people again, for whom that was ended
    Resume {
        /// The application
        #[arg(long, value_name = "ID")]
        client: String,
        /// Only for this user [default: for everybody]
        #[arg(long)]
        user: Option<String>,
        #[command(flatten)]
        data: DataArguments,
    },
    /// Revoke sessions; their tokens are refused within a second
    Revoke(RevokeArguments),
}

#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("which").required(true).multiple(true))]
pub(super) struct RevokeArguments {
    /// One session, by its id in the list
    #[arg(long, group = "which", conflicts_with_all = ["user", "client", "upstream", "all"])]
    id: Option<String>,
    /// All sessions of this user, and the browsers in which they are signed in, but for --client and --upstream
    #[arg(long, group = "which")]
    user: Option<String>,
    /// All sessions of this application (with others: of all that are named)
    #[arg(long, value_name = "ID", group = "which")]
    client: Option<String>,
    /// All sessions at this upstream (with others: of all that are named)
    #[arg(long, group = "which")]
    upstream: Option<String>,
    /// All sessions of the tenant, including browsers
    #[arg(long, group = "which", conflicts_with_all = ["user", "client", "upstream"])]
    all: bool,
    #[command(flatten)]
    data: DataArguments,
}

pub(super) fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::List { user, client, upstream, data } => {
            let data = data.open_folder()?;
            let values = block_on(async {
                let grants = data.administration.grants(&SessionQuery { user, client, upstream }).await?;
                let accounts = data.administration.accounts().await?;
                let clients = data.administration.clients().await?;
                let users: HashMap<_, _> = accounts.iter().map(|a| (a.subject.as_str(), a.name.as_str())).collect();
                let names: HashMap<_, _> =
                    clients.iter().map(|c| (c.id.as_str(), c.metadata.client_name.as_deref())).collect();
                let describe = |grant: &Grant| {
                    let client_name = names.get(grant.client.as_str()).copied().flatten();
                    // A service has a name too, but nobody signs in with it.
                    let user = users.get(grant.subject.as_str()).copied().filter(|_| grant.subject.is_person());
                    describe(grant, user, client_name)
                };
                Ok(grants.iter().map(describe).collect::<Vec<_>>())
            })?;
            let columns = [("ID", "id"), ("USER", "user"), ("APPLICATION", "client_name"), ("RESOURCE", "resource")];
            let columns: Vec<_> = columns
                .into_iter()
                .chain([("SCOPES", "scopes"), ("LAST USED", "last_used_at"), ("LAST ACTIVITY", "last_activity_at")])
                .chain([("UNTIL IF IDLE", "idle_until"), ("UNTIL", "expires_at")])
                .chain([("SIGNED IN FROM", "signed_in_from"), ("WITH", "signed_in_with")])
                .collect();
            data.output.list(&columns, &values)
        }
        Command::Ended { user, client, data } => list_ended(user.as_deref(), client.as_deref(), &data),
        Command::Resume { client, user, data } => {
            let data = data.open_folder()?;
            let resumed = block_on(async { Ok(data.administration.resume_acting(&client, user.as_deref()).await?) })?;
            data.output.one(&format!("resumed {resumed}"), &json!({ "resumed": resumed }))
        }
        Command::Revoke(arguments) => {
            let RevokeArguments { id, user, client, upstream, data, .. } = arguments;
            let which = SessionQuery { user, client, upstream };
            let operation = id.map_or(Withdrawal::Sessions(which), |id| Withdrawal::Session { id });
            let revoked = match data.withdraw(&operation)? {
                Withdrawn::Sessions(revoked) => revoked,
                Withdrawn::User { .. } | Withdrawn::Done => 0,
            };
            data.output().one(&format!("revoked {revoked}"), &json!({ "revoked": revoked }))
        }
    }
}

/// Lists which applications may no longer act for whom.
fn list_ended(user: Option<&str>, client: Option<&str>, data: &DataArguments) -> Result<(), Failure> {
    let data = data.open_folder()?;
    let values = block_on(async {
        let ended = data.administration.ended_acting(user, client).await?;
        let accounts = data.administration.accounts().await?;
        let users: HashMap<_, _> = accounts.iter().map(|a| (a.subject.as_str(), a.name.as_str())).collect();
        let describe = |ended: &EndedActing| {
            json!({
                "user": users.get(ended.subject.as_str()),
                "subject": ended.subject.as_str(),
                "client_id": ended.client.as_str(),
                "ended_at": moment(ended.at),
            })
        };
        Ok(ended.iter().map(describe).collect::<Vec<_>>())
    })?;
    data.output.list(&[("USER", "user"), ("CLIENT", "client_id"), ("ENDED", "ended_at")], &values)
}

fn describe(grant: &Grant, user: Option<&str>, client_name: Option<&str>) -> Value {
    let key = grant.key.as_ref().map(|key| &key.name);
    let acts = if grant.acting { " (acting)" } else { "" };
    let workload = grant.workload.as_ref().map(|workload| workload.subject());
    let other = || workload.map(|subject| format!("Workload: {subject}"));
    let client_name = key
        .map(|key| format!("API key: {key}"))
        .or_else(other)
        .unwrap_or_else(|| format!("{}{acts}", client_name.unwrap_or(grant.client.as_str())));
    json!({
        "id": grant.id.to_string(),
        "user": user,
        "subject": grant.subject.as_str(),
        "client_id": grant.client.as_str(),
        "client_name": client_name,
        "key": key,
        "acting": grant.acting,
        "workload": grant.workload.as_ref().map(|workload| json!({ "issuer": workload.issuer(), "subject": workload.subject() })),
        "resource": grant.resource.as_str(),
        "scopes": grant.scopes.iter().map(ScopeToken::as_str).collect::<Vec<_>>(),
        "created_at": moment(grant.created_at),
        "refreshed_at": moment(grant.rotated_at),
        "last_used_at": grant.last_used_at.map(moment),
        "last_activity_at": moment(grant.rotated_at.max(grant.last_used_at.unwrap_or(grant.rotated_at))),
        // Only a session that can be refreshed ends earlier when it is not.
        "idle_until": grant.may_refresh.then(|| moment(grant.idle_until)),
        "expires_at": grant.end().map(moment),
        "may_refresh": grant.may_refresh,
        "signed_in_from": grant.signed_in_from.as_ref().map(|origin| origin.address.to_string()),
        "signed_in_with": grant.signed_in_from.as_ref().and_then(|origin| origin.user_agent()),
    })
}
