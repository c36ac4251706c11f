//! Clients and accounts that the file describes.

use std::path::Path;

use mcpgate::config::{Config, DeclaredAccount, DeclaredClient, FirstPassword, Overrides, Problem, RecordTable, Wish};
use mcpgate::oauth::{AuthMethod, ClientSecretHash, Digest, GrantType, GroupSet, Lifetime};

use crate::{GOOD, lines, load, problems_of};

const SECRET: &str = "3f6c1a0d9b8e47d2a5f0c9e1b7d84a63";
/// Of `seven-boats-on-a-quiet-lake`, with 19 MiB and 2 passes.
const HASH: &str = "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHRzYWx0c2FsdA$bG9uZyBlbm91Z2ggdG8gYmUgYSBoYXNoIG9mIGl0";

/// The good configuration with one scope and these tables.
fn with(tables: &str) -> String {
    format!("{GOOD}[[upstream.scope]]\nname = \"read\"\ntitle = \"T\"\n{tables}")
}

/// Loads a configuration beside files with a secret, a password and a key set.
fn beside_files(text: &str, overrides: &Overrides) -> Result<Config, Vec<Problem>> {
    let dir = tempfile::tempdir().expect("a temporary folder can be made");
    let set = r#"{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"1","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;
    for (name, content) in [
        ("secret", SECRET),
        ("short", "tooshort"),
        ("blank", "a secret with blanks in it that is long"),
        ("password", "seven-boats-on-a-quiet-lake"),
        ("hash", HASH),
        ("keys.json", set),
        ("no-keys.json", "[]"),
        ("gateway.toml", text),
    ] {
        std::fs::write(dir.path().join(name), format!("{content}\n")).expect("a temporary file can be written");
    }
    Config::load(Some(&dir.path().join("gateway.toml")), overrides)
}

fn good(tables: &str) -> Config {
    beside_files(&with(tables), &Overrides::default()).expect("the configuration is good")
}

fn client<'c>(config: &'c Config, id: &str) -> &'c DeclaredClient {
    let table = config.clients.iter().find(|table| table.id == id).expect("a table with the id");
    table.present().expect("it is to be there")
}

#[test]
fn what_a_command_can_add_a_table_can_describe() {
    let config = good(
        "[[client]]\nid = \"Wiki\"\nredirect_uris = [\"https://wiki.example.com/cb\"]\n\
         [[client]]\nid = \"n8n\"\nname = \"n8n bridge\"\nredirect_uris = [\"https://n8n.example.com/cb\"]\n\
         secret = \"${file:secret}\"\nauth_method = \"client_secret_post\"\naccess_lifetime = \"5m\"\nscopes = [\"read\"]\nupstream = \"a\"\n\
         [[client]]\nid = \"ci\"\njwks = \"${file:keys.json}\"\ngrants = [\"client_credentials\"]\nscopes = [\"read\"]\n\
         [[client]]\nid = \"chat\"\njwks = \"${file:keys.json}\"\ngrants = []\nmay_act_for = [\"staff\"]\nscopes = [\"read\"]\n\
         [[client]]\nid = \"at\"\njwks_uri = \"https://at.example.com/keys\"\nredirect_uris = [\"https://at.example.com/\"]\n\
         [[client]]\nid = \"rs\"\nsecret = \"${file:secret}\"\nresource_server = true\ndisabled = false\n\
         [[client]]\nid = \"old\"\nremoved = true\n[[client]]\nid = \"mcp_client_x\"\nadopt = true\n\
         redirect_uris = [\"https://x.example.com/cb\"]\n",
    );
    let wiki = client(&config, "Wiki");
    assert_eq!(wiki.metadata.client_name.as_deref(), Some("Wiki"));
    assert_eq!(wiki.metadata.token_endpoint_auth_method, AuthMethod::None);
    assert_eq!((wiki.secret, wiki.disabled, wiki.resource.is_none()), (None, None, true));
    let n8n = client(&config, "n8n");
    assert_eq!(n8n.secret, Some(Digest::<ClientSecretHash>::of(SECRET.as_bytes())));
    assert_eq!(n8n.metadata.token_endpoint_auth_method, AuthMethod::ClientSecretPost);
    let said = (n8n.metadata.client_name.as_deref(), n8n.metadata.scope.as_ref().map(ToString::to_string));
    assert_eq!(said, (Some("n8n bridge"), Some("read".to_owned())));
    assert_eq!(n8n.resource.as_ref().map(|r| r.as_str()), Some("https://mcp.example.com/mcp"));
    assert_eq!(n8n.lifetimes.access, Some(Lifetime::from_secs(300)));
    let ci = client(&config, "ci");
    assert_eq!(ci.metadata.token_endpoint_auth_method, AuthMethod::PrivateKeyJwt);
    assert!(ci.metadata.keys.is_some() && ci.resource.is_some(), "bound to the only upstream");
    let chat = client(&config, "chat");
    assert_eq!(
        (&chat.metadata.grant_types, chat.metadata.may_act_for.iter().count()),
        (&vec![GrantType::JwtBearer], 1)
    );
    assert!(client(&config, "at").metadata.keys.is_some());
    let rs = client(&config, "rs");
    assert!(rs.metadata.grant_types.is_empty() && rs.resource.is_some() && rs.disabled == Some(false));
    let places: Vec<_> = config.clients.iter().map(|t: &RecordTable<_>| t.place(Some(Path::new("g.toml")))).collect();
    assert_eq!(places.first().map(String::as_str), Some("g.toml:11"));
    let wishes: Vec<_> = config.clients.iter().map(|t| (t.is_removal(), t.adopt)).collect();
    assert_eq!(wishes.get(6..), Some(&[(true, false), (false, true)][..]));
    let shown = format!("{config:?}");
    assert!(!shown.contains(SECRET) && !shown.contains("seven-boats"), "no secret is printed");
}

fn account<'c>(config: &'c Config, id: &str) -> &'c DeclaredAccount {
    let table = config.accounts.iter().find(|table| table.id == id).expect("a table with the id");
    table.present().expect("it is to be there")
}

#[test]
fn an_account_has_a_name_a_password_and_groups() {
    let config = good(&format!(
        "[[group]]\nname = \"staff\"\nmembers = [\"ada\"]\n\
         [[account]]\nid = \"ada\"\npassword = \"${{file:password}}\"\ngroups = [\"ops\"]\n\
         [[account]]\nid = \"B.17\"\nname = \"Bob\"\npassword = \"{HASH}\"\ndisabled = true\n\
         [[account]]\nid = \"carol\"\npassword = \"${{file:hash}}\"\ngroups = [\"staff\"]\n\
         [[account]]\nid = \"gone\"\nremoved = true\ngroups = [\"staff\"]\n"
    ));
    let ada = account(&config, "ada");
    assert!(matches!(&ada.password, Some(FirstPassword::Text(text)) if text.as_str() == "seven-boats-on-a-quiet-lake"));
    let bob = account(&config, "B.17");
    assert!(matches!(&bob.password, Some(FirstPassword::Hash(hash)) if hash == HASH));
    assert_eq!((bob.name.as_str(), bob.disabled), ("bob", Some(true)));
    assert!(matches!(account(&config, "carol").password, Some(FirstPassword::Hash(_))));
    let groups = |user: &str| {
        let nothing = GroupSet::default();
        config.groups.of(user, &nothing).iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(["ada", "bob", "carol", "gone"].map(groups), ["ops staff", "", "staff", ""]);
    assert_eq!(format!("{:?}", ada.password), "Some(Text(..))");
}

/// A table, in which words in capitals stand for lines that many have, and the problem with it.
type Problems = &'static [(&'static str, &'static str)];

const OF_CLIENTS: Problems = &[
    ("[[client]]\nREDIRECT", "10: client[0].id: this key is missing"),
    ("[[client]]\nid = \"a b\"\nREDIRECT", "11: client[0].id: this cannot be an id"),
    (
        "[[client]]\nid = \"https://c.example.com/\"\nREDIRECT",
        "11: client[0].id: this is the id of a metadata document",
    ),
    ("[[client]]\nid = \"MCP_client_1\"\nREDIRECT", "11: client[0].id: the gateway gives the ids that begin with mcp_"),
    ("CLIENT", "11: client[0].id: "),
    ("CLIENTREDIRECT[[client]]\nid = \"C\"\nREDIRECT", "14: client[1].id: line 11 has this id too"),
    (
        "CLIENTredirect_uris = [\n  \"https://c.example.com/cb\",\n  \"http://evil.example/\"]\n",
        "14: client[0].redirect_uris[1]: ",
    ),
    ("CLIENTREDIRECTsecret = \"LITERAL\"\n", "13: client[0].secret: a secret does not belong in this file"),
    ("CLIENTREDIRECTsecret = \"${file:short}\"\n", "13: client[0].secret: this secret can be guessed"),
    (
        "CLIENTREDIRECTsecret = \"${file:blank}\"\n",
        "13: client[0].secret: this secret can be guessed, or cannot be sent",
    ),
    ("CLIENTREDIRECTsecret = \"${file:missing}\"\n", "13: client[0].secret: the file"),
    ("CLIENTREDIRECTSECRETKEYS", "13: client[0].secret: a client has a secret or keys, not both"),
    (
        "CLIENTREDIRECTauth_method = \"client_secret_post\"\n",
        "13: client[0].auth_method: this has no effect without secret",
    ),
    ("CLIENTREDIRECTjwks = \"${file:no-keys.json}\"\n", "13: client[0].jwks: jwks"),
    ("CLIENTREDIRECTjwks = \"${file:secret}\"\n", "13: client[0].jwks: this is no JSON"),
    (
        "CLIENTREDIRECTKEYSjwks_uri = \"https://c.example.com/k\"\n",
        "14: client[0].jwks_uri: jwks and jwks_uri are both",
    ),
    ("CLIENTREDIRECTjwks_uri = \"http://c.example.com/keys\"\n", "13: client[0].jwks_uri: "),
    (
        "CLIENTREDIRECTgrants = [\"implicit\", \"authorization_code\"]\n",
        "13: client[0].grants[0]: there is no such grant type",
    ),
    (
        "CLIENTREDIRECTscopes = [\"read\", \"write\"]\n",
        "13: client[0].scopes[1]: there is no such scope here; write some of: read",
    ),
    ("CLIENTREDIRECTupstream = \"b\"\n", "13: client[0].upstream: there is no upstream"),
    (
        "CLIENTREDIRECTSERVICESCOPES",
        "13: client[0].grants: a client with client_credentials acts for itself, so it needs",
    ),
    ("CLIENTREDIRECTgrants = []\n", "13: client[0].grants: a client without a grant type gets no tokens"),
    ("CLIENTSECRETSERVICE", "13: client[0].grants: nobody is asked"),
    (
        "[[client]]\nid = \"C\"\nSECRETSERVICESCOPES",
        "11: client[0].id: a client with client_credentials acts under its id",
    ),
    ("CLIENTREDIRECTACTINGSCOPES", "13: client[0].may_act_for: only a client with keys of its own"),
    ("CLIENTREDIRECTKEYSACTING", "14: client[0].may_act_for: nobody is asked"),
    (
        "CLIENTKEYSgrants = [\"urn:ietf:params:oauth:grant-type:jwt-bearer\"]\nSCOPES",
        "13: client[0].grants: this grant needs groups",
    ),
    ("CLIENTREDIRECTKEYSmay_act_for = [\"a b\"]\nSCOPES", "14: client[0].may_act_for[0]: this cannot be a group"),
    (
        "CLIENTREDIRECTaccess_lifetime = \"23h\"\n",
        "13: client[0].access_lifetime: access tokens of a client live from 1m to",
    ),
    ("CLIENTREDIRECTrefresh_idle = \"364d\"\n", "13: client[0].refresh_idle: unused refresh tokens of this client"),
    ("CLIENTREDIRECTaccess_lifetime = \"1s\"\n", "13: client[0].access_lifetime: this is out of range"),
    ("CLIENTresource_server = true\n", "12: client[0].resource_server: a resource server authenticates by a secret"),
    ("CLIENTresource_server = true\nSECRETSCOPES", "14: client[0].scopes: a resource server gets no tokens"),
    (
        "CLIENTresource_server = true\nSECRETauth_method = \"client_secret_basic\"\n",
        "14: client[0].auth_method: a resource server authenticates by client_secret_basic",
    ),
];

const OF_ACCOUNTS: Problems = &[
    ("[[account]]\nname = \"a\"\n", "10: account[0].id: this key is missing"),
    ("[[account]]\nid = \"user_1\"\n", "11: account[0].id: the gateway uses this id itself"),
    ("[[account]]\nid = \"operator\"\n", "11: account[0].id: the gateway uses this id itself"),
    ("[[account]]\nid = \"mcp_1\"\nadopt = true\n", "11: account[0].id: the gateway gives the ids"),
    ("ACCOUNTname = \"a b\"\n", "12: account[0].name: this cannot be a login name"),
    (
        "ACCOUNT[[account]]\nid = \"b\"\nname = \"A\"\n",
        "14: account[1].name: the account of line 11 has this login name",
    ),
    (
        "[[account]]\nid = \"c\"\n[[client]]\nid = \"C\"\nREDIRECT",
        "11: account[0].id: the client of line 13 has this id",
    ),
    (
        "[[account]]\nid = \"x\"\nname = \"c\"\nCLIENTSECRETSERVICESCOPES",
        "12: account[0].name: the client of line 14 acts under this name",
    ),
    ("ACCOUNTpassword = \"seven-boats\"\n", "12: account[0].password: a password does not belong in this file"),
    ("ACCOUNTpassword = \"CHEAP\"\n", "12: account[0].password: this hash cannot be used"),
    ("ACCOUNTpassword = \"OTHER\"\n", "12: account[0].password: this hash cannot be used"),
    ("ACCOUNTpassword = \"$2y$12$abcdefghijklmnopqrstuv\"\n", "12: account[0].password: this looks like a hash"),
    ("ACCOUNTgroups = [\"a b\"]\n", "12: account[0].groups[0]: this cannot be a group"),
    ("ACCOUNTsecret = \"x\"\n", "12: account[0].secret: this key is unknown"),
];

fn written(table: &str) -> String {
    let (cheap, other) = (HASH.replace("m=19456", "m=64"), HASH.replace("argon2id", "argon2i"));
    [
        ("ACCOUNT", "[[account]]\nid = \"a\"\n"),
        ("CLIENT", "[[client]]\nid = \"c\"\n"),
        ("REDIRECT", "redirect_uris = [\"https://c.example.com/cb\"]\n"),
        ("SECRET", "secret = \"${file:secret}\"\n"),
        ("KEYS", "jwks = \"${file:keys.json}\"\n"),
        ("SERVICE", "grants = [\"client_credentials\"]\n"),
        ("SCOPES", "scopes = [\"read\"]\n"),
        ("ACTING", "may_act_for = [\"staff\"]\n"),
        ("LITERAL", SECRET),
        ("CHEAP", &cheap),
        ("OTHER", &other),
    ]
    .into_iter()
    .fold(table.to_owned(), |text, (word, lines)| text.replace(word, lines))
}

#[test]
fn every_problem_of_a_table_is_told_with_its_line() {
    let mut wrong = Vec::new();
    for (table, expected) in OF_CLIENTS.iter().chain(OF_ACCOUNTS) {
        let table = written(table);
        let found = beside_files(&with(&table), &Overrides::default()).err().unwrap_or_default();
        let found = lines(&found);
        let is_told = matches!(found.as_slice(), [only] if only.starts_with(&format!("gateway.toml:{expected}")));
        let is_printed = found.iter().any(|problem| problem.contains(SECRET) || problem.contains("seven-boats"));
        if !is_told || is_printed {
            wrong.push(format!("{table}{expected}: {found:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[test]
fn all_problems_of_all_tables_are_told_together() {
    let text = with(
        "[[client]]\nid = \"mcp_x\"\n[[client]]\nid = \"c\"\nscopes = [\"no\"]\nredirect_uris = [\"x\"]\n\
         [[account]]\nid = \"user_1\"\n[[account]]\nid = \"a\"\npassword = \"x\"\n",
    );
    let found = lines(&problems_of(&text, &Overrides::default()));
    let at: Vec<_> = found.iter().filter_map(|line| line.strip_prefix("gateway.toml:")?.split(':').next()).collect();
    assert_eq!(at, ["11", "14", "15", "17", "20"], "{found:?}");
}

#[test]
fn a_command_that_needs_no_secret_works_without_them_and_knows_the_tables() {
    let text = with(
        "[[client]]\nid = \"c\"\nsecret = \"${file:unreadable}\"\ngrants = [\"client_credentials\"]\nscopes = [\"read\"]\n\
         [[account]]\nid = \"a\"\npassword = \"${file:unreadable}\"\n",
    );
    let config = load(&text, &Overrides { data_only: true, ..Overrides::default() });
    let (clients, accounts) = (config.clients, config.accounts);
    assert!(clients.first().is_some_and(|table| matches!(table.wish, Wish::Unreadable)), "{clients:?}");
    assert!(accounts.first().is_some_and(|table| matches!(table.wish, Wish::Unreadable)), "{accounts:?}");
    let overrides = Overrides { data_only: true, with_secrets: true, ..Overrides::default() };
    assert_eq!(problems_of(&text, &overrides).len(), 2, "apply needs them");
}
