//! `mcpgate client edit`.

use clap::builder::PossibleValuesParser;
use serde_json::json;

use super::client_lifetimes::LifetimeArguments;
use super::client_view::describe;
use super::confirm::{confirm, sessions};
use super::data::{DataArguments, Missing};
use super::failure::Failure;
use super::runtime::block_on;
use crate::issuer::{Binding, ClientEdit};
use crate::oauth::GrantType;

#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("change").required(true).multiple(true))]
pub(super) struct EditArguments {
    /// The client id
    id: String,
    /// The new display name
    #[arg(long, group = "change")]
    name: Option<String>,
    /// A redirect URI that it gets; may be repeated
    #[arg(long, value_name = "URI", group = "change")]
    add_redirect_uri: Vec<String>,
    /// A redirect URI that is refused from now on; may be repeated; sessions stay
    #[arg(long, value_name = "URI", group = "change")]
    remove_redirect_uri: Vec<String>,
    /// Bind it to this upstream; its sessions at others end
    #[arg(long, group = "change")]
    upstream: Option<String>,
    /// Let it use every upstream
    #[arg(long, group = "change", conflicts_with = "upstream")]
    any_upstream: bool,
    /// A scope that it may be granted, instead of those so far; may be repeated; sessions with other scopes end
    #[arg(long, group = "change")]
    scope: Vec<String>,
    /// Let it be granted all scopes
    #[arg(long, group = "change", conflicts_with = "scope")]
    any_scope: bool,
    /// A grant type that it may use, instead of those so far; may be repeated
    #[arg(long, value_name = "TYPE", value_parser = PossibleValuesParser::new(GrantType::names()), group = "change")]
    grant: Vec<String>,
    /// A group for whose absent members it may act, instead of those so far; may be repeated; if one is left out, its
    /// sessions for absent people end
    #[arg(long, value_name = "GROUP", group = "change")]
    may_act_for: Vec<String>,
    /// Let it act for nobody
    #[arg(long, group = "change", conflicts_with = "may_act_for")]
    may_act_for_nobody: bool,
    #[command(flatten)]
    lifetimes: LifetimeArguments,
    /// Do not ask, even if sessions end
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    data: DataArguments,
}

pub(super) fn run(arguments: EditArguments) -> Result<(), Failure> {
    let bound = arguments.upstream.map(Binding::Upstream);
    let edit = ClientEdit {
        name: arguments.name,
        add_redirect_uris: arguments.add_redirect_uri,
        remove_redirect_uris: arguments.remove_redirect_uri,
        binding: bound.or_else(|| arguments.any_upstream.then_some(Binding::Any)),
        scopes: (arguments.any_scope || !arguments.scope.is_empty()).then_some(arguments.scope),
        may_act_for: (arguments.may_act_for_nobody || !arguments.may_act_for.is_empty())
            .then_some(arguments.may_act_for),
        grant_types: arguments.grant.iter().filter_map(|grant| GrantType::parse(grant)).collect(),
        lifetimes: arguments.lifetimes.edit(),
    };
    let data = arguments.data.open(Missing::Refuse)?;
    let id = &arguments.id;
    let planned = block_on(async { Ok(data.administration.plan_edit(id, &edit).await?) })?;
    if planned.ending > 0 {
        confirm(&format!("this ends {} of {id}", sessions(planned.ending)), arguments.yes)?;
    }
    let (listed, ended) = block_on(async {
        let (client, ended) = data.administration.edit_client(planned).await?;
        Ok((data.administration.listed_client(client.id.as_str()).await?, ended))
    })?;
    let mut value = describe(&listed, &data.administration.built_in_client_ids());
    if let Some(members) = value.as_object_mut() {
        members.insert("sessions_ended".to_owned(), json!(ended));
    }
    data.output.members(&value)
}
