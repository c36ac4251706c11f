//! Clients and accounts that the file describes.

use std::path::Path;

use mcpgate::config::{Config, DeclaredAccount, DeclaredClient, FirstPassword, Overrides, Problem, RecordTable, Wish};
use mcpgate::oauth::{AuthMethod, ClientSecretHash, Digest, GrantType, GroupSet};

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
         secret = \"${file:secret}\"\nauth_method = \"client_secret_post\"\nscopes = [\"read\"]\nupstream = \"a\"\n\
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

#[test]
fn every_problem_of_a_table_is_told_with_its_line() {
    let uri = "redirect_uris = [\"https://c.example.com/cb\"]\n";
    let secret = "secret = \"${file:secret}\"\n";
    let keys = "jwks = \"${file:keys.json}\"\n";
    let mut wrong = Vec::new();
    for (table, expected) in [
        (format!("[[client]]\n{uri}"), "10: client[0].id: this key is missing"),
        (format!("[[client]]\nid = \"a b\"\n{uri}"), "11: client[0].id: this cannot be an id"),
        (
            format!("[[client]]\nid = \"https://c.example.com/\"\n{uri}"),
            "11: client[0].id: this is the id of a metadata document",
        ),
        (
            format!("[[client]]\nid = \"MCP_client_1\"\n{uri}"),
            "11: client[0].id: the gateway gives the ids that begin with mcp_",
        ),
        (format!("[[client]]\nid = \"c\"\n"), "11: client[0].id: "),
        (
            format!("[[client]]\nid = \"c\"\n{uri}[[client]]\nid = \"C\"\n{uri}"),
            "14: client[1].id: line 11 has this id too",
        ),
        (
            "[[client]]\nid = \"c\"\nredirect_uris = [\n  \"https://c.example.com/cb\",\n  \"http://evil.example/\"]\n"
                .into(),
            "14: client[0].redirect_uris[1]: ",
        ),
        (
            format!("[[client]]\nid = \"c\"\n{uri}secret = \"{SECRET}\"\n"),
            "13: client[0].secret: a secret does not belong in this file",
        ),
        (
            format!("[[client]]\nid = \"c\"\n{uri}secret = \"${{file:short}}\"\n"),
            "13: client[0].secret: this secret can be guessed",
        ),
        (
            format!("[[client]]\nid = \"c\"\n{uri}secret = \"${{file:blank}}\"\n"),
            "13: client[0].secret: this secret can be guessed, or cannot be sent",
        ),
        (format!("[[client]]\nid = \"c\"\n{uri}secret = \"${{file:missing}}\"\n"), "13: client[0].secret: the file"),
        (
            format!("[[client]]\nid = \"c\"\n{uri}{secret}jwks = \"${{file:keys.json}}\"\n"),
            "13: client[0].secret: a client has a secret or keys, not both",
        ),
        (
            format!("[[client]]\nid = \"c\"\n{uri}auth_method = \"client_secret_post\"\n"),
            "13: client[0].auth_method: this has no effect without secret",
        ),
        (format!("[[client]]\nid = \"c\"\n{uri}jwks = \"${{file:no-keys.json}}\"\n"), "13: client[0].jwks: jwks"),
        (format!("[[client]]\nid = \"c\"\n{uri}jwks = \"${{file:secret}}\"\n"), "13: client[0].jwks: this is no JSON"),
        (
            format!("[[client]]\nid = \"c\"\n{uri}jwks_uri = \"http://c.example.com/keys\"\n"),
            "13: client[0].jwks_uri: ",
        ),
        (
            format!("[[client]]\nid = \"c\"\n{uri}grants = [\"implicit\", \"authorization_code\"]\n"),
            "13: client[0].grants[0]: there is no such grant type",
        ),
        (
            format!("[[client]]\nid = \"c\"\n{uri}scopes = [\"read\", \"write\"]\n"),
            "13: client[0].scopes[1]: there is no such scope here; write some of: read",
        ),
        (format!("[[client]]\nid = \"c\"\n{uri}upstream = \"b\"\n"), "13: client[0].upstream: there is no upstream"),
        (
            format!("[[client]]\nid = \"c\"\n{secret}grants = [\"client_credentials\"]\n"),
            "13: client[0].grants: nobody is asked",
        ),
        (
            format!("[[client]]\nid = \"C\"\n{secret}grants = [\"client_credentials\"]\nscopes = [\"read\"]\n"),
            "11: client[0].id: a client with client_credentials acts under its id",
        ),
        (
            format!("[[client]]\nid = \"c\"\n{uri}may_act_for = [\"staff\"]\nscopes = [\"read\"]\n"),
            "13: client[0].may_act_for: only a client with keys of its own",
        ),
        (
            format!("[[client]]\nid = \"c\"\n{uri}{keys}may_act_for = [\"staff\"]\n"),
            "14: client[0].may_act_for: nobody is asked",
        ),
        (
            format!(
                "[[client]]\nid = \"c\"\n{keys}grants = [\"{}\"]\nscopes = [\"read\"]\n",
                GrantType::JwtBearer.as_str()
            ),
            "13: client[0].grants: this grant needs groups",
        ),
        (
            format!("[[client]]\nid = \"c\"\n{uri}{keys}may_act_for = [\"a b\"]\nscopes = [\"read\"]\n"),
            "14: client[0].may_act_for[0]: this cannot be a group",
        ),
        (
            "[[client]]\nid = \"c\"\nresource_server = true\n".into(),
            "12: client[0].resource_server: a resource server authenticates by a secret",
        ),
        (
            format!("[[client]]\nid = \"c\"\nresource_server = true\n{secret}scopes = [\"read\"]\n"),
            "14: client[0].scopes: a resource server gets no tokens",
        ),
        ("[[account]]\nname = \"a\"\n".into(), "10: account[0].id: this key is missing"),
        ("[[account]]\nid = \"user_1\"\n".into(), "11: account[0].id: the gateway uses this id itself"),
        ("[[account]]\nid = \"operator\"\n".into(), "11: account[0].id: the gateway uses this id itself"),
        ("[[account]]\nid = \"mcp_1\"\nadopt = true\n".into(), "11: account[0].id: the gateway gives the ids"),
        ("[[account]]\nid = \"a\"\nname = \"a b\"\n".into(), "12: account[0].name: this cannot be a login name"),
        (
            "[[account]]\nid = \"a\"\n[[account]]\nid = \"b\"\nname = \"A\"\n".into(),
            "14: account[1].name: the account of line 11 has this login name",
        ),
        (
            format!("[[account]]\nid = \"c\"\n[[client]]\nid = \"C\"\n{uri}"),
            "11: account[0].id: the client of line 13 has this id",
        ),
        (
            format!(
                "[[account]]\nid = \"x\"\nname = \"c\"\n\
                 [[client]]\nid = \"c\"\n{secret}grants = [\"client_credentials\"]\nscopes = [\"read\"]\n"
            ),
            "12: account[0].name: the client of line 14 acts under this name",
        ),
        (
            "[[account]]\nid = \"a\"\npassword = \"seven-boats\"\n".into(),
            "12: account[0].password: a password does not belong in this file",
        ),
        (
            format!("[[account]]\nid = \"a\"\npassword = \"{}\"\n", HASH.replace("m=19456", "m=64")),
            "12: account[0].password: this hash cannot be used",
        ),
        (
            format!("[[account]]\nid = \"a\"\npassword = \"{}\"\n", HASH.replace("argon2id", "argon2i")),
            "12: account[0].password: this hash cannot be used",
        ),
        (
            "[[account]]\nid = \"a\"\npassword = \"$2y$12$abcdefghijklmnopqrstuv\"\n".into(),
            "12: account[0].password: this looks like a hash",
        ),
        ("[[account]]\nid = \"a\"\ngroups = [\"a b\"]\n".into(), "12: account[0].groups[0]: this cannot be a group"),
        ("[[account]]\nid = \"a\"\nsecret = \"x\"\n".into(), "12: account[0].secret: this key is unknown"),
    ] {
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
