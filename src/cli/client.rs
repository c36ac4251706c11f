//! `mcpgate client`: applications, however they came to be known.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use clap::builder::{ArgPredicate, PossibleValuesParser};
use serde_json::{Value, json};

use super::client_decide::{self, DecideArguments};
use super::client_edit::{self, EditArguments};
use super::client_lifetimes::LifetimeArguments;
use super::client_list::{self, ListArguments};
use super::client_view::describe;
use super::confirm::{confirm, sessions};
use super::data::{Data, DataArguments, Missing};
use super::failure::Failure;
use super::output::{moment, printable};
use super::runtime::block_on;
use super::table_view::note_enabled;
use crate::files;
use crate::issuer::{NewClient, SessionQuery, Withdrawal};
use crate::oauth::{AuthMethod, ClientLifetimes, GrantType};
use crate::outbound::{Dialer, Fetch as _, FetchError};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Add an application; its secret, if it has one, is shown once
    Add(AddArguments),
    /// List applications
    List(ListArguments),
    /// Show all details of an application
    Show {
        #[command(flatten)]
        client: ClientArguments,
    },
    /// Change an application; what ends by it is told before
    Edit(EditArguments),
    /// Approve an application as it is now (registration.mode = "approval"); sign-ins that wait go on
    Approve(DecideArguments),
    /// Reject an application: it begins no session, whatever it becomes (registration.mode = "approval")
    Reject(DecideArguments),
    /// Disable an application: its tokens are refused within a second
    Disable {
        #[command(flatten)]
        client: ClientArguments,
    },
    /// Enable an application again
    Enable {
        #[command(flatten)]
        client: ClientArguments,
    },
    /// Delete an application and all access granted to it; what ends by it is told before
    Delete {
        #[command(flatten)]
        client: ClientArguments,
        /// Do not ask, even if sessions end
        #[arg(long)]
        yes: bool,
    },
    /// Manage copies of metadata documents
    #[command(subcommand)]
    Document(DocumentCommand),
    /// Create a new secret, shown once; the previous one stays valid for tokens.secret_overlap
    RotateSecret {
        #[command(flatten)]
        client: ClientArguments,
    },
}

/// The grant of an application that acts for people, unless others are named too.
const JWT_BEARER: &str = GrantType::JwtBearer.as_str();

#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("change").multiple(true))]
pub(super) struct AddArguments {
    /// Display name
    #[arg(long)]
    name: String,
    /// A redirect URI; may be repeated; needed for the grant authorization_code
    #[arg(long, value_name = "URI")]
    redirect_uri: Vec<String>,
    /// Bind it to one upstream
    #[arg(long)]
    upstream: Option<String>,
    /// It is the server behind an upstream, and asks the gateway about tokens (RFC 7662); it gets a secret
    #[arg(long, conflicts_with_all = ["redirect_uri", "confidential", "public", "grant", "scope", "change"])]
    resource_server: bool,
    /// The application can keep a secret, and gets one
    #[arg(long, conflicts_with = "public")]
    confidential: bool,
    /// The application cannot keep a secret (the default)
    #[arg(long)]
    public: bool,
    /// How a confidential application authenticates
    #[arg(long, value_name = "METHOD", requires = "confidential", default_value = "client_secret_basic")]
    #[arg(value_parser = ["client_secret_basic", "client_secret_post"])]
    auth_method: String,
    /// The application authenticates with its own keys (private_key_jwt); the file has its public keys, as a JSON Web
    /// Key Set
    #[arg(long, value_name = "FILE", conflicts_with_all = ["confidential", "public"])]
    jwks: Option<PathBuf>,
    /// The same, with the https URL where the application publishes its keys
    #[arg(long, value_name = "URL", conflicts_with_all = ["jwks", "confidential", "public"])]
    jwks_uri: Option<String>,
    /// A grant type; may be repeated
    #[arg(long, value_name = "TYPE", value_parser = PossibleValuesParser::new(GrantType::names()))]
    #[arg(default_values = ["authorization_code", "refresh_token"])]
    #[arg(default_value_if("may_act_for", ArgPredicate::IsPresent, JWT_BEARER))]
    grant: Vec<String>,
    /// It may act for the members of this group while they are absent (RFC 7523 2.1), with its own keys; may be
    /// repeated
    #[arg(long, value_name = "GROUP", conflicts_with = "resource_server")]
    may_act_for: Vec<String>,
    /// A scope that it may be granted; may be repeated [default: all; for client_credentials and --may-act-for none]
    #[arg(long)]
    scope: Vec<String>,
    #[command(flatten)]
    lifetimes: LifetimeArguments,
    #[command(flatten)]
    data: DataArguments,
}

#[derive(Debug, clap::Subcommand)]
pub(super) enum DocumentCommand {
    /// Import a copy of a document that this gateway cannot fetch; a document that can be fetched takes precedence
    Import {
        /// A file, or the https URL of the document
        #[arg(value_name = "FILE|URL")]
        source: String,
        #[command(flatten)]
        data: DataArguments,
    },
}

#[derive(Debug, clap::Args)]
pub(super) struct ClientArguments {
    /// The client id
    id: String,
    #[command(flatten)]
    data: DataArguments,
}

pub(super) fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Add(arguments) => add(arguments),
        Command::List(arguments) => client_list::run(arguments),
        Command::Show { client } => {
            let data = client.data.open_folder()?;
            data.output.members(&shown(&data, &client.id)?)
        }
        Command::Approve(arguments) => client_decide::run(&arguments, true),
        Command::Reject(arguments) => client_decide::run(&arguments, false),
        Command::Disable { client } => {
            client.data.withdraw(&Withdrawal::DisableClient { id: client.id.clone() })?;
            note_enabled(&client.data, |config| {
                let table = config.clients.iter().find(|table| table.id == client.id)?;
                let is_enabled = table.present()?.disabled == Some(false);
                is_enabled.then(|| table.place(config.file.as_deref()))
            });
            say_status(&client, "disabled")
        }
        Command::Enable { client } => {
            let data = client.data.open_folder()?;
            block_on(async { Ok(data.administration.set_client_disabled(&client.id, false).await?) })?;
            say_status(&client, "enabled")
        }
        Command::Edit(arguments) => client_edit::run(arguments),
        Command::Delete { client, yes } => {
            confirm_deletion(&client, yes)?;
            client.data.withdraw(&Withdrawal::DeleteClient { id: client.id.clone() })?;
            let text = format!("{} is deleted", client.id);
            client.data.output().one(&text, &json!({ "client_id": client.id, "status": "deleted" }))
        }
        Command::Document(DocumentCommand::Import { source, data }) => import(&source, &data),
        Command::RotateSecret { client } => {
            let data = client.data.open(Missing::Refuse)?;
            let (secret, until) = block_on(async { Ok(data.administration.rotate_client_secret(&client.id).await?) })?;
            let until = moment(until);
            data.output.note(&format!("The secret is not shown again. The previous one is valid until {until}."));
            let value = json!({
                "client_id": client.id,
                "client_secret": secret.reveal(),
                "earlier_secret_works_until": until,
            });
            data.output.one(secret.reveal(), &value)
        }
    }
}

fn add(arguments: AddArguments) -> Result<(), Failure> {
    let method = if arguments.jwks.is_some() || arguments.jwks_uri.is_some() {
        Some(AuthMethod::PrivateKeyJwt)
    } else {
        arguments.confidential.then(|| AuthMethod::parse(&arguments.auth_method)).flatten()
    };
    let new = NewClient {
        name: arguments.name,
        redirect_uris: arguments.redirect_uri,
        grant_types: arguments.grant.iter().filter_map(|grant| GrantType::parse(grant)).collect(),
        auth_method: method.unwrap_or(AuthMethod::None),
        jwks: arguments.jwks.as_deref().map(key_set).transpose()?,
        jwks_uri: arguments.jwks_uri,
        may_act_for: arguments.may_act_for,
        upstream: arguments.upstream,
        scopes: arguments.scope,
        lifetimes: arguments.lifetimes.edit().applied_to(ClientLifetimes::default()),
    };
    let data = arguments.data.open_to_sign_in(Missing::Make)?;
    let added = block_on(async {
        if arguments.resource_server {
            return Ok(data.administration.add_resource_server(&new.name, new.upstream.as_deref()).await?);
        }
        Ok(data.administration.add_client(&new).await?)
    })?;
    let mut value = shown(&data, added.client.id.as_str())?;
    let mut text = format!("client_id      {}", added.client.id.as_str());
    if let (Some(secret), Some(object)) = (&added.secret, value.as_object_mut()) {
        object.insert("client_secret".to_owned(), json!(secret.reveal()));
        text.push_str(&format!("\nclient_secret  {}\nThe secret is not shown again.", secret.reveal()));
    }
    // The operator must learn here what was left out, and not from a login that fails.
    let left_out = added.left_out.iter().map(|member| {
        let uri = member.index.filter(|_| member.member == "redirect_uris").and_then(|at| new.redirect_uris.get(at));
        (uri.cloned().unwrap_or_else(|| member.to_string()), &member.why)
    });
    let left_out: Vec<_> = left_out.collect();
    for (what, why) in &left_out {
        data.output.note(&format!("Left out {}: {why}.", printable(what)));
    }
    if let Some(object) = value.as_object_mut().filter(|_| !left_out.is_empty()) {
        let rows = left_out.iter().map(|(what, why)| json!({ "value": what, "problem": why }));
        object.insert("left_out".to_owned(), rows.collect());
    }
    data.output.one(&text, &value)
}

/// The largest file with a key set in bytes.
const MAX_KEY_SET: u64 = 64 << 10;

/// Reads a file with a JSON Web Key Set; whether its keys can be used, the rules for registrations say.
fn key_set(file: &Path) -> Result<Value, Failure> {
    let fault = |why: String| Failure::other(anyhow::anyhow!("{}: {why}", file.display()));
    let text = files::read(file, MAX_KEY_SET).map_err(|why| fault(why.to_string()))?;
    serde_json::from_slice(&text).map_err(|why| fault(format!("not JSON: {why}")))
}

/// Tells what a deletion ends, if it ends anything. With `--yes` nothing is read before, so that nothing but the
/// deletion itself can fail.
fn confirm_deletion(client: &ClientArguments, yes: bool) -> Result<(), Failure> {
    if yes {
        return Ok(());
    }
    let data = client.data.open_folder()?;
    let grants = block_on(async { Ok(data.administration.grants(&SessionQuery::of_client(&client.id)).await?) })?;
    if grants.is_empty() {
        return Ok(());
    }
    let people: HashSet<_> = grants.iter().filter(|g| g.subject.is_person()).map(|g| g.subject.as_str()).collect();
    let of = match people.len() {
        0 => String::new(),
        1 => " of 1 person".to_owned(),
        several => format!(" of {several} people"),
    };
    confirm(&format!("deleting {} ends {}{of}", client.id, sessions(grants.len())), false)
}

/// Describes a client that is in the store.
fn shown(data: &Data, id: &str) -> Result<Value, Failure> {
    let listed = block_on(async { Ok(data.administration.listed_client(id).await?) })?;
    Ok(describe(&listed, &data.administration.built_in_client_ids()))
}

/// Imports a copy of a metadata document.
fn import(source: &str, data: &DataArguments) -> Result<(), Failure> {
    let data = data.open(Missing::Refuse)?;
    let most = data.config.metadata_documents.max_bytes;
    let imported = block_on(async {
        let fetched_from = source.starts_with("https://").then_some(source);
        let document = if source.starts_with("https://") {
            let dialer = Dialer::new(&data.config.outbound, &data.config.rates, data.config.minimum_key_bits);
            let dialer = dialer.map_err(|why| Failure::other(anyhow::anyhow!(why)))?;
            let fetched = dialer.fetch_json(source, most).await;
            fetched.map(|f| f.body.to_vec()).map_err(|why| not_fetched(source, &why))?
        } else {
            let limit = u64::try_from(most).unwrap_or(u64::MAX);
            let content = files::read(Path::new(source), limit);
            content.map_err(|why| Failure::other(anyhow::anyhow!("{source}: {why}")))?
        };
        Ok(data.administration.import_document(&document, fetched_from).await?)
    })?;
    let id = imported.client.id.as_str();
    let value = shown(&data, id)?;
    for member in &imported.left_out {
        data.output.note(&format!("Left out {member}: {}.", member.why));
    }
    let text = format!("imported {id}; the copy is used while the document itself cannot be fetched");
    data.output.one(&text, &value)
}

fn not_fetched(url: &str, why: &FetchError) -> Failure {
    let said = if let FetchError::Status { said, .. } = why { said.as_str() } else { "" };
    let said = if said.is_empty() { String::new() } else { format!(" ({said})") };
    Failure::other(anyhow::anyhow!(
        "{url} cannot be fetched: {why}{said}; save it on a machine that can fetch it, and import the file"
    ))
}

fn say_status(client: &ClientArguments, word: &str) -> Result<(), Failure> {
    client.data.output().one(&format!("{} is {word}", client.id), &json!({ "client_id": client.id, "status": word }))
}
