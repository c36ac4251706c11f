//! The example, the reference and README agree with the program.

use std::path::Path;

use mcpgate::config::{Config, Overrides, reference};

use crate::{GOOD, beside_certificates, golden, lines, load, problems_of, root};

/// The example, beside the certificate files that it names.
pub(crate) fn example() -> (String, Config) {
    let text = std::fs::read_to_string(root().join("gateway.toml.example")).expect("the example can be read");
    let config = beside_certificates(&text);
    (text, config)
}

/// The configuration that README shows.
fn readme() -> Config {
    let text = std::fs::read_to_string(root().join("README.md")).expect("it can be read");
    let block = text.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).expect("a configuration");
    beside_certificates(block)
}

#[test]
fn what_the_documents_show_is_reached_at_its_public_url_and_needs_no_second_look() {
    for config in [readme(), example().1] {
        assert_eq!(config.warnings(), Vec::<String>::new());
        assert_eq!((config.public_url.as_str(), config.public.address.port()), ("https://mcp.example.com", 443));
    }
}

#[test]
fn every_recipe_has_a_configuration_that_needs_no_second_look() {
    let mut found = 0;
    for entry in std::fs::read_dir(root().join("docs/recipes")).expect("the recipes") {
        let path = entry.expect("a recipe").path();
        let text = std::fs::read_to_string(&path).expect("it can be read");
        let Some(rest) = text.split("```toml\n").nth(1).filter(|_| !path.ends_with("README.md")) else { continue };
        let config = rest.split("```").next().unwrap_or_default();
        // Variables of the environment, which this process does not have.
        let set = config.split("${").enumerate().map(|(n, part)| match (n, part.split_once('}')) {
            (1.., Some((name, _))) if name.starts_with("file:") => format!("${{{part}"),
            (1.., Some((_, end))) => format!("value{end}"),
            _ => part.to_owned(),
        });
        let config = beside_certificates(&set.collect::<String>());
        assert_eq!(config.warnings(), Vec::<String>::new(), "{path:?}");
        found += 1;
    }
    assert!(found > 0, "no recipe");
}

/// Every key that the log or a document names exists, so that a reader finds it in the file.
#[test]
fn every_key_that_is_named_is_one_of_the_file() {
    let keys: std::collections::BTreeSet<_> = mcpgate::config::keys().collect();
    let tables: std::collections::BTreeSet<_> = keys.iter().filter_map(|key| Some(key.rsplit_once('.')?.0)).collect();
    let is_word = |c: char| c.is_ascii_lowercase() || c == '_' || c == '.';
    // `table.key`, with a table that exists.
    let is_wrong = |word: &str| {
        let named = word.rsplit_once('.').is_some_and(|(table, key)| tables.contains(table) && !key.is_empty());
        named && !keys.contains(word) && !tables.contains(word)
    };
    let mut wrong = Vec::new();
    for rule in mcpgate::oauth::Rule::ALL {
        let expected = rule.expected().split(|c: char| !is_word(c)).map(|word| word.trim_end_matches('.'));
        wrong.extend(expected.filter(|word| word.starts_with('.') || is_wrong(word)).map(str::to_owned));
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut folders = vec![root.join("src")];
    let mut texts = vec![root.join("docs/errors.md")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { folders.push(path) } else { texts.push(path) }
        }
    }
    for path in texts.iter().filter(|path| path.extension().is_some_and(|e| e == "rs" || e == "md")) {
        let text = std::fs::read_to_string(path).unwrap();
        let quote = if path.extension().is_some_and(|e| e == "md") { '`' } else { '"' };
        // Quoted texts that consist of keys alone. Kinds of events have the same form.
        for quoted in text.split(quote).filter(|_| !path.ends_with("src/store/audit_event.rs")) {
            wrong.extend(
                quoted.split(", ").filter(|word| word.chars().all(is_word) && is_wrong(word)).map(str::to_owned),
            );
        }
    }
    // Pages, columns of the store, and a host.
    let pages = ["login.html", "account.html", "client.example"];
    let columns = ["audit.at", "account.password_set_at", "client.origin", "client.tenant"];
    wrong.retain(|word| !pages.iter().chain(&columns).any(|other| other == word));
    assert!(wrong.is_empty(), "there are no such keys: {wrong:?}");
}

#[test]
fn the_example_loads_and_names_every_key() {
    let (text, config) = example();
    assert_eq!(config.upstreams.len(), 2);
    // Every key has its line; the rest must not outgrow what one reads in one go.
    assert!(text.lines().count() <= 340, "the example has {} lines", text.lines().count());
    let mut table = String::new();
    let mut named = std::collections::BTreeSet::new();
    for line in text.lines().map(|l| l.strip_prefix("# ").unwrap_or(l)) {
        if let Some(header) = line.trim_start_matches('[').split(']').next().filter(|_| line.starts_with('[')) {
            table = header.to_owned();
        } else if let Some((key, _)) = line.split_once(" = ") {
            let key = full_name(&table, key);
            // The keys of the tables in a list of tables, which may be named in the comment behind it too.
            if let Some((_, tables)) = line.split_once("[{ ") {
                let words = tables.split(|c: char| !c.is_ascii_lowercase() && c != '_').filter(|word| !word.is_empty());
                named.extend(words.map(|word| full_name(&key, word)));
            }
            named.insert(key);
        }
    }
    let missing: Vec<_> = mcpgate::config::keys().filter(|key| !named.contains(key)).collect();
    assert!(missing.is_empty(), "the example lacks {missing:?}");
}

/// The reference's rows by full key: the description, and the default as TOML if there is one.
fn rows_of_reference() -> std::collections::BTreeMap<String, (String, Option<String>)> {
    let mut rows = std::collections::BTreeMap::new();
    let mut table = String::new();
    // A row may continue on the next line, within a list.
    for line in reference().replace(",\n", ", ").lines() {
        if let Some(heading) = line.strip_prefix("## ") {
            table =
                if heading == "Top level" { String::new() } else { heading.trim_matches(['`', '[', ']']).to_owned() };
        } else if let Some((key, rest)) = line.strip_prefix("| `").and_then(|row| row.split_once("` | ")) {
            let mut cells = rest.trim_end_matches(" |").split(" | ");
            let about = cells.next().unwrap_or_default().to_owned();
            let default = cells.last().and_then(|cell| cell.strip_prefix('`')?.strip_suffix('`')).map(str::to_owned);
            rows.insert(full_name(&table, key), (about, default));
        }
    }
    rows
}

fn full_name(table: &str, key: &str) -> String {
    if table.is_empty() { key.to_owned() } else { format!("{table}.{key}") }
}

#[test]
fn what_the_example_says_is_what_the_reference_says() {
    // Exceptions: the example shows upstreams with values that are neither left out nor the default.
    const CHOSEN: [&str; 7] = [
        "client.redirect_uris = [\"https://wiki.example.com/callback\"]",
        "upstream.kind = \"http\"",
        "upstream.default_scopes = [\"files:read\"]",
        "upstream.required_scopes = [\"files:read\"]",
        "upstream.scope.description",
        "upstream.scope.sensitive = true",
        "upstream.rule.operations = [\"tools/call:format_*\"]",
    ];
    let rows = rows_of_reference();
    assert_eq!(rows.len(), mcpgate::config::keys().count());
    let text = std::fs::read_to_string(root().join("gateway.toml.example")).expect("the example can be read");
    let (mut table, mut comment, mut wrong) = (String::new(), String::new(), Vec::new());
    // A list may continue on the next lines.
    for line in text.replace("[\n    ", "[").replace(",\n    ", ", ").replace(",\n]", "]").lines() {
        let (line, is_comment) = line.strip_prefix("# ").map_or((line, false), |line| (line, true));
        if let Some(header) = line.strip_prefix('[').filter(|_| !is_comment) {
            table = header.trim_start_matches('[').split(']').next().unwrap_or_default().to_owned();
            continue;
        }
        let is_name =
            |key: &str| !key.is_empty() && key.bytes().all(|b| b.is_ascii_lowercase() || b"_0123456789".contains(&b));
        let Some((key, value)) = line.split_once(" = ").filter(|(key, _)| is_name(key)) else {
            // A comment followed by an empty line does not describe a key.
            comment = if line.is_empty() { String::new() } else { format!("{comment}{line}\n") };
            continue;
        };
        let name = full_name(&table, key);
        // A list of tables has no row; its keys have.
        if value.starts_with("[{ ") && rows.keys().any(|key| key.starts_with(&format!("{name}."))) {
            continue;
        }
        let Some((about, default)) = rows.get(&name) else {
            wrong.push(format!("{name}: there is no such key"));
            continue;
        };
        let comment = std::mem::take(&mut comment);
        for stated in comment.split("Default ").skip(1).filter_map(|rest| rest.lines().next()) {
            let stated = stated.trim_end_matches('.');
            if !about.contains(&format!("`{stated}`")) {
                wrong.push(format!("{name}: its default is not {stated}: {about}"));
            }
        }
        let words = |text: &str| -> Vec<String> {
            text.split(|c: char| !c.is_ascii_alphanumeric()).map(str::to_owned).collect()
        };
        let is_number = |word: &String| !word.is_empty() && word.bytes().all(|b| b.is_ascii_digit());
        for number in words(&comment).iter().filter(|word| is_number(word)) {
            if !words(about).contains(number) {
                wrong.push(format!("{name}: {number} is not in the reference: {about}"));
            }
        }
        let value = value.split(" # ").next().unwrap_or_default();
        if let Some(default) = default.as_ref().filter(|_| !is_comment) {
            let is_chosen = CHOSEN.contains(&name.as_str()) || CHOSEN.contains(&format!("{name} = {value}").as_str());
            if !is_chosen && value != default {
                wrong.push(format!("{name}: its default is {default}, not {value}"));
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn the_values_of_the_example_are_the_defaults() {
    let (_, example) = example();
    let bare = load(GOOD, &Overrides::default());
    let policies = |c: &Config| {
        (
            format!("{:?} {:?} {:?} {:?}", c.tokens, c.login, c.registration, c.metadata_documents),
            format!("{:?} {:?} {:?} {:?} {:?} {:?}", c.limits, c.rates, c.timeouts, c.audit, c.log, c.max_stale),
            (c.data_dir.clone(), c.public.hsts.clone(), c.operator, c.brand.clone(), c.watch),
        )
    };
    assert_eq!(policies(&example), policies(&bare));
}

#[test]
fn the_reference_is_what_the_declarations_say() {
    golden::check(&root().join("docs/configuration.md"), &reference());
}

#[test]
fn cf_02_paths_of_later_versions_are_kept_and_the_reference_names_them() {
    let reference = reference();
    for kept in ["oauth", "connections", "device", "device_authorization", "par", "jwks", "dashboard"] {
        for path in [format!("/{kept}"), format!("/{kept}/x"), format!("/{}", kept.to_ascii_uppercase())] {
            let found = lines(&problems_of(&GOOD.replace("\"/mcp\"", &format!("{path:?}")), &Overrides::default()));
            assert!(found.len() == 1 && found[0].contains("reserved for a later version"), "{path}: {found:?}");
        }
        assert!(reference.contains(&format!("\n- `/{kept}`: ")), "{kept}");
    }
    // `api` is free for operators, now and later.
    for path in ["/api", "/api/oauth", "/mcp/device", "/devices", "/oauth2"] {
        assert_eq!(problems_of(&GOOD.replace("\"/mcp\"", &format!("{path:?}")), &Overrides::default()), [], "{path}");
    }
}
