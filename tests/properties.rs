//! Properties that hold for every input. A failure means that some input, not only a listed one, bypasses a rule.

#![cfg(test)]

use mcpgate::oauth::{
    AccessToken, BearerChallenge, Brand, CodeChallenge, Form, GrantId, RedirectPolicy, RedirectUri, RefreshClaims,
    RefreshToken, RegisteredRedirects, ResourceIndicator, ScopeSet, TokenKeys,
};
use proptest::prelude::*;

/// A deployment that changed its key once.
fn two_keys() -> TokenKeys {
    let brand = Brand::parse("mcp").expect("a brand");
    TokenKeys::new(vec![(3, [7; 32]), (2, [5; 32])], brand).expect("two keys")
}

/// Text near a redirect URI: pieces that have fooled matchers, in any order.
fn near_uri() -> impl Strategy<Value = String> {
    let pieces = prop::sample::select(vec![
        "http://",
        "https://",
        "HTTP://",
        "com.example:",
        "127.0.0.1",
        "127.0.0.2",
        "localhost",
        "[::1]",
        "c.example",
        ".evil.example",
        "@",
        ":",
        "80",
        "443",
        "65536",
        "0",
        "/",
        "/cb",
        "/../",
        "%2e",
        "%2F",
        "\\",
        "?",
        "a=b",
        "&",
        "#",
        ";",
        " ",
        "\t",
        "\r\n",
        "\0",
        "\u{ff0e}",
        "xn--",
        ".",
        "0x7f.1",
        "2130706433",
    ]);
    prop::collection::vec(pieces, 0..8).prop_map(|pieces| pieces.concat())
}

/// A URI that may be registered.
fn uri() -> impl Strategy<Value = String> {
    let origin = prop::sample::select(vec![
        "https://c.example",
        "https://c.example:8443",
        "http://127.0.0.1",
        "http://127.0.0.1:3118",
        "http://127.9.9.9",
        "http://localhost",
        "http://localhost:8787",
        "http://[::1]",
        "http://[::1]:1",
        "com.example.app:",
    ]);
    let path = prop::sample::select(vec!["", "/", "/cb", "/cb/", "/a/b", "/%63b"]);
    let query = prop::sample::select(vec!["", "?", "?a=1", "?a=1&b=2"]);
    (origin, path, query).prop_map(|(origin, path, query)| format!("{origin}{path}{query}"))
}

/// A registered URI with one thing changed.
fn changed_uri() -> impl Strategy<Value = String> {
    let port = prop_oneof![Just(String::new()), (0_u32..70_000).prop_map(|port| format!(":{port}"))];
    (uri(), port, near_uri(), any::<prop::sample::Index>()).prop_map(|(uri, port, insert, at)| {
        let authority = uri.find("//").map_or(0, |slashes| slashes + 2);
        let end = uri[authority..].find(['/', '?']).map_or(uri.len(), |end| authority + end);
        let with_port = format!("{}{port}{}", &uri[..end], &uri[end..]);
        let at = at.index(with_port.len() + 1);
        if insert.len() % 3 == 0 { with_port } else { format!("{}{insert}{}", &with_port[..at], &with_port[at..]) }
    })
}

/// The matcher again, written to be obviously correct: it lists every spelling that may match.
fn reference_match(registered: &str, candidate: &str) -> bool {
    if registered == candidate {
        return true;
    }
    let take_port = |text: &str| -> Option<(String, String)> {
        for host in ["localhost", "[::1]"].map(str::to_owned).into_iter().chain(loopback_v4(text)) {
            let Some(rest) = text.strip_prefix(&format!("http://{host}")) else { continue };
            let digits: String = match rest.strip_prefix(':') {
                Some(port) => port.chars().take_while(char::is_ascii_digit).collect(),
                None => String::new(),
            };
            let rest = if rest.starts_with(':') { &rest[1 + digits.len()..] } else { rest };
            let port_is_sound = !text[7 + host.len()..].starts_with(':')
                || digits.parse::<u32>().is_ok_and(|port| (1..=65535).contains(&port) && port.to_string() == digits);
            if port_is_sound && (rest.is_empty() || rest.starts_with(['/', '?', '#'])) {
                return Some((host, rest.to_owned()));
            }
        }
        None
    };
    take_port(registered).is_some_and(|known| take_port(candidate) == Some(known))
}

/// The host of `text` if it is a dotted quad 127.x.x.x.
fn loopback_v4(text: &str) -> Option<String> {
    let host: String = text.strip_prefix("http://")?.chars().take_while(|c| c.is_ascii_digit() || *c == '.').collect();
    let numbers: Vec<u8> = host.split('.').filter_map(|n| n.parse().ok().filter(|m: &u8| m.to_string() == n)).collect();
    (numbers.len() == 4 && numbers[0] == 127 && host.split('.').count() == 4).then_some(host)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_redirect_matcher_agrees_with_the_reference(
        registered in prop::collection::vec(uri(), 1..4),
        candidate in prop_oneof![uri(), changed_uri(), near_uri()],
    ) {
        let (known, refused) = RegisteredRedirects::parse(&registered, &RedirectPolicy::default()).expect("URIs");
        prop_assert!(refused.is_empty(), "these may be registered");
        let expected = registered.iter().any(|registered| reference_match(registered, &candidate));
        let verified = known.verify(Some(&candidate));
        prop_assert_eq!(verified.is_ok(), expected);
        if let Ok(verified) = verified {
            prop_assert_eq!(verified.uri().as_str(), &candidate);
            // A browser opens a URI that differs from a registered one in the port of loopback at most.
            let opened = url::Url::parse(&candidate).expect("a browser can open it");
            let same = registered.iter().map(|uri| url::Url::parse(uri).expect("a registered URI")).any(|uri| {
                (uri.scheme(), uri.host_str(), uri.path(), uri.query())
                    == (opened.scheme(), opened.host_str(), opened.path(), opened.query())
                    && (uri.port() == opened.port() || uri.scheme() == "http")
            });
            prop_assert!(same);
        }
    }

    #[test]
    fn a_registered_uri_reads_back_and_browsers_see_its_host(text in prop_oneof![uri(), changed_uri(), near_uri()]) {
        if let Ok(uri) = RedirectUri::parse(&text, &RedirectPolicy::default()) {
            prop_assert_eq!(uri.as_str(), &text);
            prop_assert!(text.bytes().all(|b| b.is_ascii_graphic()));
            let opened = url::Url::parse(&text).expect("a browser can open it");
            match opened.scheme() {
                "https" => prop_assert_eq!(opened.host_str().map(str::to_owned), Some(uri.display_host())),
                "http" => prop_assert!(uri.is_local() && opened.host_str() == Some(uri.display_host().as_str())),
                scheme => {
                    prop_assert_eq!(Some(scheme.to_owned()), uri.private_use_scheme());
                    prop_assert!(uri.is_local() && uri.display_host() == scheme);
                }
            }
        }
    }

    #[test]
    fn no_text_makes_the_matcher_panic(registered in uri(), candidate in any::<String>()) {
        let (known, _) = RegisteredRedirects::parse(&[registered], &RedirectPolicy::default()).expect("it may be registered");
        prop_assert!(known.verify(Some(&candidate)).is_err());
        drop(RedirectUri::parse(&candidate, &RedirectPolicy::default()));
        drop(ResourceIndicator::parse(&candidate));
    }

    #[test]
    fn az_17_a_location_decodes_to_what_was_put_in(uri in uri(), state in any::<String>(), code in "[0-9A-Za-z_]{1,40}") {
        let redirect = RegisteredRedirects::from_stored(vec![uri.clone()]).verify(None).unwrap();
        let location = redirect.location(&[("code", &code), ("state", &state)]);
        let location = location.as_str();
        prop_assert!(location.bytes().all(|b| b.is_ascii_graphic()));
        prop_assert!(location.starts_with(&uri));
        let pairs: Vec<_> = url::Url::parse(location).expect("a URL").query_pairs().into_owned().collect();
        let added = [("code".to_owned(), code), ("state".to_owned(), state)];
        prop_assert!(pairs.ends_with(&added));
    }

    #[test]
    fn the_form_reader_never_panics_and_reports_every_repeat(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        drop(Form::parse(&bytes));
    }

    #[test]
    fn repeats_are_reported_in_any_order(
        mut fields in prop::collection::vec(("[abc%]{1,2}", any::<String>()), 0..12),
        seed in any::<prop::sample::Index>(),
    ) {
        let encode = |fields: &[(String, String)]| {
            let mut text = url::form_urlencoded::Serializer::new(String::new());
            text.extend_pairs(fields);
            Form::parse(text.finish().as_bytes()).expect("a well-formed form")
        };
        let form = encode(&fields);
        for (name, _) in &fields {
            let count = fields.iter().filter(|(other, _)| other == name).count();
            prop_assert_eq!(form.is_repeated(name), count > 1);
            prop_assert!(form.all(name).all(|value| fields.iter().any(|(n, v)| n == name && v == value)));
        }
        let repeats = fields.iter().any(|(name, _)| form.is_repeated(name));
        prop_assert_eq!(form.first_repeated().is_some(), repeats);
        if !fields.is_empty() {
            let middle = seed.index(fields.len());
            fields.rotate_left(middle);
            prop_assert_eq!(encode(&fields).first_repeated().is_some(), repeats);
        }
    }

    #[test]
    fn scope_sets_obey_the_laws_of_sets(a in "[a-e ,]{0,20}", b in "[a-e ,]{0,20}", c in "[a-e ,]{0,20}") {
        let [a, b, c] = [a, b, c].map(|text| ScopeSet::parse(&text).expect("scopes"));
        prop_assert_eq!(ScopeSet::parse(&a.to_string()), Ok(a.clone()));
        let (both, either) = (a.intersection(&b), a.union(&b));
        prop_assert!(both.is_subset(&a) && both.is_subset(&b) && a.is_subset(&either) && b.is_subset(&either));
        prop_assert_eq!(both == a, a.is_subset(&b));
        prop_assert!(!(a.is_subset(&b) && b.is_subset(&c)) || a.is_subset(&c));
        prop_assert!(!a.without("a").contains("a") && a.without("a").is_subset(&a));
    }

    #[test]
    fn scopes_read_back_or_are_refused(text in any::<String>()) {
        if let Ok(scopes) = ScopeSet::parse(&text) {
            prop_assert_eq!(ScopeSet::parse(&scopes.to_string()), Ok(scopes));
        }
    }

    #[test]
    fn a_canonical_resource_stays_as_it_is(text in prop_oneof![uri(), changed_uri(), near_uri()]) {
        if let Ok(resource) = ResourceIndicator::parse(&text) {
            prop_assert_eq!(ResourceIndicator::parse(resource.as_str()), Ok(resource));
        }
    }

    #[test]
    fn a_challenge_reads_back(
        error in prop::option::of(prop::sample::select(vec!["invalid_token", "insufficient_scope", "invalid_request"])),
        description in prop::option::of("[ !#-\\[\\]-~]{0,40}"),
        scope in "[a-z:. ]{0,20}",
    ) {
        let scope = ScopeSet::parse(&scope).expect("scopes");
        let resource_metadata = "https://gw/.well-known/oauth-protected-resource/mcp";
        let challenge = BearerChallenge {
            error,
            error_description: description.as_deref(),
            scope: Some(&scope),
            resource_metadata,
        };
        let header = challenge.to_header();
        let mut rest = header.strip_prefix("Bearer ").expect("Bearer comes first");
        let mut members = Vec::new();
        while let Some((name, after)) = rest.split_once("=\"") {
            let (value, after) = after.split_once('"').expect("a closing quote");
            members.push((name.to_owned(), value.to_owned()));
            rest = after.strip_prefix(", ").unwrap_or(after);
        }
        prop_assert_eq!(rest, "");
        let scope = Some(scope.to_string()).filter(|scope| !scope.is_empty());
        let expected = [("error", error.map(str::to_owned)), ("error_description", description),
            ("resource_metadata", Some(resource_metadata.to_owned())), ("scope", scope)];
        let expected: Vec<_> = expected.into_iter().filter_map(|(n, v)| Some((n.to_owned(), v?))).collect();
        prop_assert_eq!(members, expected);
    }

    #[test]
    fn no_text_breaks_out_of_a_challenge(description in any::<String>()) {
        let challenge = BearerChallenge {
            error: Some("invalid_token"),
            error_description: Some(&description),
            scope: None,
            resource_metadata: "https://gw/x",
        };
        let header = challenge.to_header();
        prop_assert_eq!(header.matches('"').count(), 6);
        prop_assert!(header.bytes().all(|b| b == b' ' || b.is_ascii_graphic()));
    }

    #[test]
    fn a_token_is_recognised_and_none_that_differs_by_a_character(
        random in any::<[u8; 32]>(), at in any::<prop::sample::Index>(), other in any::<u8>(),
    ) {
        let keys = two_keys();
        let token = AccessToken::mint(random, &keys);
        prop_assert_eq!(AccessToken::recognise(token.reveal().as_bytes(), &keys), Some(token.hash()));
        let mut changed = token.reveal().as_bytes().to_vec();
        let at = at.index(changed.len());
        if changed[at] != other {
            changed[at] = other;
            prop_assert_eq!(AccessToken::recognise(&changed, &keys), None);
        }
    }

    #[test]
    fn a_refresh_token_says_what_it_was_made_from_and_only_that(
        grant in any::<[u8; 16]>(), generation in any::<u32>(), at in any::<prop::sample::Index>(), other in "[ -~]",
    ) {
        let keys = two_keys();
        let claims = RefreshClaims { grant: GrantId(grant), generation };
        let token = RefreshToken::derive(claims, &keys);
        prop_assert_eq!(RefreshToken::recognise(token.reveal(), &keys), Some(claims));
        prop_assert_eq!(GrantId::parse(&claims.grant.to_string()), Some(claims.grant));
        let at = at.index(token.reveal().len());
        let changed = format!("{}{other}{}", &token.reveal()[..at], &token.reveal()[at + 1..]);
        if changed != token.reveal() {
            prop_assert_eq!(RefreshToken::recognise(&changed, &keys), None);
        }
    }

    #[test]
    fn cr_08_no_bytes_make_recognition_panic(bytes in prop::collection::vec(any::<u8>(), 0..100), tail in any::<String>()) {
        let keys = two_keys();
        prop_assert_eq!(AccessToken::recognise(&bytes, &keys), None);
        prop_assert_eq!(RefreshToken::recognise(&format!("mcp_refresh_{tail}"), &keys), None);
    }

    #[test]
    fn a_challenge_that_was_read_reads_back(text in "[0-9A-Za-z_-]{42,44}") {
        let challenge = CodeChallenge::parse(Some(&text), Some("S256"));
        prop_assert_eq!(challenge.is_ok(), text.len() == 43);
        if let Ok(challenge) = challenge {
            prop_assert_eq!(CodeChallenge::from_stored(challenge.as_str()), Some(challenge));
        }
    }
}

/// The shortest time of three runs.
fn quickest(mut what: impl FnMut()) -> std::time::Duration {
    let once = |_| {
        let began = std::time::Instant::now();
        what();
        began.elapsed()
    };
    (0..3).map(once).min().unwrap()
}

#[test]
fn ds_10_the_time_for_many_names_grows_with_their_number_only() {
    let message = |names: usize, escaped: bool| {
        let name = |n: usize| if escaped { format!(r#""\\u0061{n}":1"#) } else { format!(r#""a{n}":1"#) };
        let names: Vec<_> = (0..names).map(name).collect();
        format!(r#"{{"jsonrpc":"2.0","id":1,"method":"ping","params":{{{}}}}}"#, names.join(","))
    };
    for escaped in [false, true] {
        let (few, many) = (message(4_000, escaped), message(64_000, escaped));
        let read = |text: &str| assert!(mcpgate::mcp::Envelope::read(text.as_bytes(), false).is_ok());
        let (few, many) = (quickest(|| read(&few)), quickest(|| read(&many)));
        // Sixteen times as many; pairwise comparison would take 256 times as long.
        assert!(many < few * 80, "{few:?} and {many:?}");
    }
    let form = |names: usize| (0..names).map(|n| format!("a{n}=1&")).collect::<String>();
    assert!(Form::parse(form(10_000).as_bytes()).is_err(), "the number of form fields is limited");
}
