//! `mcpgate client approve` and `mcpgate client reject`.

use serde_json::json;

use super::client_view::{describe, keys_in_words};
use super::data::{DataArguments, Missing};
use super::failure::Failure;
use super::output::printable;
use super::runtime::block_on;

#[derive(Debug, clap::Args)]
pub(super) struct DecideArguments {
    /// The client id
    id: String,
    /// Only if the application is still what this hash was shown for
    #[arg(long, value_name = "HASH")]
    hash: Option<String>,
    #[command(flatten)]
    data: DataArguments,
}

pub(super) fn run(arguments: &DecideArguments, approved: bool) -> Result<(), Failure> {
    let data = arguments.data.open(Missing::Refuse)?;
    let decide = data.administration.decide_client(&arguments.id, approved, arguments.hash.as_deref());
    let client = block_on(async { Ok(decide.await?) })?;
    let listed = block_on(async { Ok(data.administration.listed_client(&arguments.id).await?) })?;
    let id = &arguments.id;
    let text = if approved {
        let name = client.metadata.client_name.as_deref().unwrap_or("without a name");
        let uris = client.metadata.redirect_uris.texts().collect::<Vec<_>>().join(" ");
        let keys = keys_in_words(&client).map(|keys| format!("\nkeys           {}", printable(&keys)));
        format!(
            "{id} is approved as\nname           {}\nredirect_uris  {}{}",
            printable(name),
            printable(&uris),
            keys.unwrap_or_default()
        )
    } else {
        format!("{id} is rejected")
    };
    if !data.administration.decides_about_clients() {
        data.output.note("This has no effect unless registration.mode is \"approval\".");
    } else if !approved && listed.sessions > 0 {
        let sessions = listed.sessions;
        data.output.note(&format!(
            "It cannot begin another session, but has {sessions} active: mcpgate client disable ends their use."
        ));
    }
    let mut value = describe(&listed, &data.administration.built_in_client_ids());
    if let Some(members) = value.as_object_mut() {
        members.insert("decision".to_owned(), json!(if approved { "approved" } else { "rejected" }));
    }
    data.output.one(&text, &value)
}
