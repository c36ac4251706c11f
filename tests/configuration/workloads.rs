//! Workloads: whose tokens are exchanged, and that none is everybody's.

use mcpgate::config::{IssuerKeys, Overrides};

use crate::{GOOD, lines, load, only_problem, problems_of};

const ISSUER: &str = "https://token.actions.githubusercontent.com";
const SUB: &str = "claims = { sub = \"repo:acme/site:*\" }\n";

fn workload(issuer: &str, more: &str) -> String {
    format!(
        "[[workload]]\nissuer = {issuer:?}\njwks_uri = \"https://keys.example/jwks\"\naudience = \"https://mcp.example.com\"\n\
         account = \"deploy\"\nupstream = \"a\"\n{more}"
    )
}

#[test]
fn a_workload_is_read_as_it_is_written() {
    let more = format!("{SUB}allow_addresses = [\"10.0.0.0/8\"]\n");
    let config = load(&format!("{GOOD}{}", workload(ISSUER, &more)), &Overrides::default());
    let [made] = &config.workloads[..] else { panic!("{:?}", config.workloads) };
    assert_eq!((made.issuer.as_str(), made.audience.as_str()), (ISSUER, "https://mcp.example.com"));
    assert_eq!((made.account.as_str(), &made.resource), ("deploy", &config.upstreams[0].resource));
    let IssuerKeys::At(place) = &made.keys else { panic!("{made:?}") };
    assert_eq!((place.url.as_str(), place.allow_addresses.len()), ("https://keys.example/jwks", 1));
}

#[test]
fn keys_in_a_file_are_read_with_the_configuration() {
    let dir = tempfile::tempdir().expect("a temporary folder can be made");
    let key = "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}";
    let text = workload("https://kubernetes.default.svc", "claims = { sub = \"system:serviceaccount:jobs:*\" }\n");
    let text = text.replace("jwks_uri = \"https://keys.example/jwks\"", "jwks_file = \"keys.json\"");
    let file = dir.path().join("gateway.toml");
    std::fs::write(&file, format!("{GOOD}{text}")).expect("a temporary file can be written");
    let load = |keys: &str| {
        std::fs::write(dir.path().join("keys.json"), keys).expect("a temporary file can be written");
        mcpgate::config::Config::load(Some(&file), &Overrides::default())
    };
    let config = load(&format!("{{\"keys\":[{key}]}}")).expect("the configuration is good");
    assert!(matches!(config.workloads[0].keys, IssuerKeys::File(..)), "{:?}", config.workloads);
    for (keys, said) in [("{\"keys\":[]}", "no key for ES256"), ("x", "not one JSON object")] {
        let found = lines(&load(keys).expect_err("the keys are bad"));
        assert!(found.len() == 1 && found[0].contains("workload[0].jwks_file") && found[0].contains(said), "{found:?}");
    }
}

#[test]
fn a_workload_that_could_be_everybodys_is_refused_with_its_line() {
    let nobody = "no claim tells whose workload it is";
    let others = "tokens of other owners match this too";
    let own = "https://issuer.example";
    for (issuer, claims, said) in [
        (ISSUER, "", nobody),
        (own, "", nobody),
        (own, "claims = { }\n", nobody),
        (own, "claims = { sub = \"*\" }\n", nobody),
        (own, "claims = { sub = \"**\", environment = \"production\" }\n", nobody),
        (own, "claims = { environment = \"production\" }\n", nobody),
        (ISSUER, "claims = { sub = \"repo:*\" }\n", others),
        (ISSUER, "claims = { sub = \"repo:acme*\" }\n", others),
        (ISSUER, "claims = { repository_owner = \"acme*\" }\n", others),
        (ISSUER, "claims = { repository = \"acme*\" }\n", others),
        (own, "claims = { sub = \"x\", aud = \"y\" }\n", "this claim is judged by itself"),
    ] {
        let found = only_problem(&workload(issuer, claims));
        assert!(found.starts_with("gateway.toml:") && found.contains(said), "{claims}: {found}");
        assert!(found.contains(": workload[0]."), "{claims}: {found}");
    }
    for (issuer, claims) in [
        (ISSUER, "claims = { repository_owner_id = \"65\" }\n"),
        (ISSUER, "claims = { repository = \"acme/*\", ref = \"refs/heads/main\" }\n"),
        (ISSUER, "claims = { sub = \"repo:acme/*:environment:production\" }\n"),
        (own, "claims = { sub = \"system:serviceaccount:jobs:*\" }\n"),
    ] {
        load(&format!("{GOOD}{}", workload(issuer, claims)), &Overrides::default());
    }
    for audience in ["", "api", "sts.amazonaws.com", "https://kubernetes.default.svc", "https://github.com/acme"] {
        let text = workload(own, SUB).replace("\"https://mcp.example.com\"", &format!("{audience:?}"));
        let found = only_problem(&text);
        assert!(found.contains("workload[0].audience"), "{audience}: {found}");
    }
}

#[test]
fn what_else_is_wrong_with_a_workload_is_said_together() {
    let text = workload("http://issuer.example", SUB).replace("\"a\"", "\"nowhere\"").replace("deploy", "two words");
    let text = format!("{text}scopes = []\njwks_file = \"keys.json\"\nallow_addresses = [\"0.0.0.0/0\"]\n");
    let found = lines(&problems_of(&format!("{GOOD}{text}"), &Overrides::default()));
    for said in [
        "this is not the https URL of an issuer",
        "there is no upstream of this name",
        "this cannot be the name of an account",
        "there are two places for the keys",
        "this allows every address",
    ] {
        assert!(found.iter().any(|line| line.contains(said)), "{said}: {found:?}");
    }
    let none = workload("https://issuer.example", SUB).replace("jwks_uri = \"https://keys.example/jwks\"\n", "");
    assert!(only_problem(&none).contains("there are no keys"));
    let unknown = workload("https://issuer.example", &format!("{SUB}scopes = [\"x\"]\n"));
    assert!(only_problem(&unknown).contains("workload[0].scopes[0]: the upstream has no such scope"));
    let twice = format!(
        "{}{}",
        workload("https://a.example", SUB),
        workload("https://b.example", &format!("{SUB}allow_addresses = [\"10.0.0.1\"]\n"))
    );
    let found = lines(&problems_of(&format!("{GOOD}{twice}"), &Overrides::default()));
    assert!(
        found.iter().all(|line| line.contains("reaches this URL in another way")) && !found.is_empty(),
        "{found:?}"
    );
}
