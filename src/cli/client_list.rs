//! `mcpgate client list`.

use clap::builder::PossibleValuesParser;
use serde_json::{Value, json};

use super::client_view::{describe, keys_in_words, word};
use super::data::DataArguments;
use super::failure::Failure;
use super::runtime::block_on;
use super::table_view::place;
use super::when;
use crate::issuer::{ClientOrder, ClientQuery, ListedClient};
use crate::oauth::{ClientOrigin, ClientStanding, Timestamp};

const ORIGINS: [ClientOrigin; 3] = [ClientOrigin::Manual, ClientOrigin::Registered, ClientOrigin::MetadataDocument];

#[derive(Debug, clap::Args)]
pub(super) struct ListArguments {
    /// Only those whose name or id contains this
    #[arg(long, value_name = "TEXT")]
    name: Option<String>,
    /// Only those bound to this upstream
    #[arg(long)]
    upstream: Option<String>,
    /// Only those that became known in this way
    #[arg(long, value_parser = PossibleValuesParser::new(ORIGINS.map(ClientOrigin::as_str)))]
    origin: Option<String>,
    /// Only those that are enabled, or disabled
    #[arg(long, value_parser = ["enabled", "disabled"])]
    status: Option<String>,
    /// Only those that were not used since then: an age such as 30d, a date, or a time
    #[arg(long, value_name = "WHEN", value_parser = when::parse)]
    unused_since: Option<Timestamp>,
    /// Only those with a secret older than tokens.secret_age_warning
    #[arg(long)]
    old_secret: bool,
    /// Only those that somebody wants, and about which you have to decide (registration.mode = "approval")
    #[arg(long)]
    waiting: bool,
    /// Oldest first, by name, those unused for longest first, or those with fewest sessions first
    #[arg(long, value_name = "ORDER", default_value = "created")]
    #[arg(value_parser = ["created", "name", "last-used", "sessions"])]
    sort: String,
    /// The opposite order
    #[arg(long)]
    reverse: bool,
    /// The most to list
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// How many to leave out at the beginning
    #[arg(long, value_name = "N", default_value_t = 0)]
    skip: usize,
    #[command(flatten)]
    data: DataArguments,
}

pub(super) fn run(arguments: ListArguments) -> Result<(), Failure> {
    let data = arguments.data.open_folder()?;
    let query = ClientQuery {
        origin: ORIGINS.into_iter().find(|origin| Some(origin.as_str()) == arguments.origin.as_deref()),
        disabled: arguments.status.map(|status| status == "disabled"),
        order: match arguments.sort.as_str() {
            "name" => ClientOrder::Name,
            "last-used" => ClientOrder::LastUsed,
            "sessions" => ClientOrder::Sessions,
            _ => ClientOrder::Created,
        },
        name: arguments.name,
        upstream: arguments.upstream,
        unused_since: arguments.unused_since,
        old_secret: arguments.old_secret,
        waiting: arguments.waiting,
        reverse: arguments.reverse,
        skip: arguments.skip,
        limit: arguments.limit,
    };
    let page = block_on(async { Ok(data.administration.list_clients(&query).await?) })?;
    let own = data.administration.built_in_client_ids();
    let row = |listed: &ListedClient| {
        let described = describe(listed, &own);
        if data.output.is_json() { described } else { with_words(described, listed) }
    };
    let values: Vec<_> = page.clients.iter().map(row).collect();
    let columns = [("ID", "client_id"), ("NAME", "client_name"), ("ORIGIN", "origin"), ("STATUS", "status")];
    let more = [("UPSTREAM", BOUND), ("SESSIONS", "active_sessions"), ("CREATED", "created_at")];
    let last = [("LAST USED", "last_used_at"), ("SECRET", SECRET), ("FILE", FILE), ("REDIRECT URIS", "redirect_uris")];
    let columns: Vec<_> =
        if query.waiting { WAITING.to_vec() } else { columns.into_iter().chain(more).chain(last).collect() };
    data.output.list(&columns, &values)?;
    if query.waiting && !data.administration.decides_about_clients() {
        data.output.note("registration.mode is not \"approval\", so no application waits.");
    }
    let (shown, next) = (page.clients.len(), query.skip.saturating_add(page.clients.len()));
    if shown < page.selected {
        let rest = if next < page.selected { format!("; --skip {next} lists the next") } else { String::new() };
        data.output.note(&format!("These are {shown} of {}{rest}.", page.selected));
    }
    Ok(())
}

/// Members of a row that only the table has.
const BOUND: &str = "bound to";
const SECRET: &str = "secret";
const FILE: &str = "described at";
const WANTED: &str = "wanted by";
const COMMAND: &str = "command";
const KEYS: &str = "keys";

/// The columns of those that wait: what they are, who wants them, and what to do.
const WAITING: [(&str, &str); 6] = [
    ("NAME", "client_name"),
    ("REDIRECT URIS", "redirect_uris"),
    ("KEYS", KEYS),
    ("WANTED BY", WANTED),
    ("SINCE", "waiting_since"),
    ("APPROVE WITH", COMMAND),
];

/// Adds to a described client what the table shows of its upstream and its secret.
fn with_words(mut described: Value, listed: &ListedClient) -> Value {
    let resource = listed.client.resource.as_ref().map(|resource| resource.as_str());
    let secret = listed.secret_age.map(|age| {
        let mark = if listed.has_old_secret { " (old)" } else { "" };
        format!("{} d{mark}", age.as_secs() / 86_400)
    });
    if let Some(members) = described.as_object_mut() {
        members.insert(BOUND.to_owned(), json!(listed.upstream.as_deref().or(resource)));
        members.insert(SECRET.to_owned(), json!(secret));
        members.insert(FILE.to_owned(), json!(place(listed.table.as_ref())));
        if let Some(standing) = &listed.standing {
            if !listed.client.disabled && standing.standing != ClientStanding::Approved {
                members.insert("status".to_owned(), json!(word(standing)));
            }
            let wanted = standing.waits.as_ref().map(|waits| match &waits.user {
                Some(user) => format!("{user} from {}", waits.from),
                None => format!("itself from {}", waits.from),
            });
            members.insert(WANTED.to_owned(), json!(wanted));
            members.insert(COMMAND.to_owned(), json!(standing.command));
        }
        members.insert(KEYS.to_owned(), json!(keys_in_words(&listed.client)));
    }
    described
}
