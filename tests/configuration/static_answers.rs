//! Static answers in the configuration, and the logo and links of pages.

use std::os::unix::fs::PermissionsExt;

use mcpgate::config::{Config, Overrides};

use crate::{GOOD, lines, load, only_problem, problems_of, root};

/// A static answer at this path, with these keys.
fn static_answer(path: &str, keys: &str) -> String {
    format!("[[well_known]]\npath = {path:?}\n{keys}\n")
}

#[test]
fn a_static_answer_says_what_it_is() {
    let content = "content = \"{}\"";
    let config = load(
        &[
            GOOD.to_owned(),
            static_answer("/.well-known/openai-apps-challenge", "content = \"0123\""),
            static_answer("/.well-known/apple-app-site-association", &format!("kind = \"json\"\n{content}")),
            static_answer("/.well-known/a/b.bin", &format!("kind = \"octets\"\n{content}")),
        ]
        .concat(),
        &Overrides::default(),
    );
    let types: Vec<_> = config.well_known.iter().map(|answer| answer.content_type).collect();
    assert_eq!(types, ["text/plain; charset=utf-8", "application/json", "application/octet-stream"]);
    assert_eq!((config.well_known[0].content.as_slice(), &config.well_known[0].file), (&b"0123"[..], &None));
}

#[test]
fn what_is_wrong_with_static_answers_is_reported_at_once_with_its_lines() {
    let dir = tempfile::tempdir().expect("a temporary folder can be made");
    let write = |name: &str, content: &[u8], mode: u32| {
        let file = dir.path().join(name);
        std::fs::write(&file, content).expect("a temporary file can be written");
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).expect("its mode can be set");
    };
    write("large", &[b'x'; (64 << 10) + 1], 0o644);
    write("whole", &[b'x'; 64 << 10], 0o644);
    write("octets", &[0xff, 0xfe], 0o644);
    write("open", b"x", 0o666);
    let fifo = dir.path().join("fifo");
    let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
    rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, mode, 0).expect("a FIFO can be made");
    let path = |name: &str| format!("/.well-known/{name}");
    let text = "content = \"x\"";
    let rows = [
        (path("a"), text, None),
        (path("b"), "file = \"whole\"", None),
        (path("c"), "file = \"octets\"\nkind = \"octets\"", None),
        (path("a"), text, Some("path: the one in line 8 has the same path")),
        (path("d"), "kind = \"text\"", Some("path: content and file are both missing")),
        (path("e"), "content = \"x\"\nfile = \"whole\"", Some("file: there is also content")),
        (path("f"), "file = \"large\"", Some("file: the file cannot be used (it is larger than 64 KiB)")),
        (path("g"), "file = \"octets\"", Some("file: this is not text in UTF-8")),
        (path("h"), "file = \"open\"", Some("file: the file cannot be used (it is writable by everyone)")),
        (path("i"), "file = \"absent\"", Some("file: the file cannot be used (No such file")),
        (path("j"), "file = \".\"", Some("file: the file cannot be used (it is a folder, not a plain file)")),
        (path("k"), "file = \"fifo\"", Some("file: the file cannot be used (it is a named pipe, not a plain file)")),
        (path("l"), "content = \"{\"\nkind = \"json\"", Some("content: this is not JSON")),
        (path("m"), "content = \"x\"\nkind = \"html\"", Some("kind: this string cannot be read; write one of")),
        ("/robots.txt".to_owned(), text, Some("path: this is not below /.well-known/")),
        (path(""), text, Some("path: a public path has plain segments")),
        (path("../token"), text, Some("path: a public path has plain segments")),
        (path("a?b"), text, Some("path: a public path has plain segments")),
        (path("n"), "content = \"x\"\ntype = \"text\"", Some("type: this key is unknown")),
    ];
    let mut config = GOOD.to_owned();
    let mut expected = Vec::new();
    for (index, (path, keys, fault)) in rows.iter().enumerate() {
        let first = config.lines().count() + 1;
        config += &static_answer(path, keys);
        expected.extend(fault.map(|fault| (first..first + 4, format!("well_known[{index}].{fault}"))));
    }
    std::fs::write(dir.path().join("gateway.toml"), config).expect("a temporary file can be written");
    let found = Config::load(Some(&dir.path().join("gateway.toml")), &Overrides::default()).err().unwrap_or_default();
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    for (problem, (rows, expected)) in found.iter().zip(expected) {
        let said = format!("{}: {}; {}", problem.key, problem.fault, problem.remedy);
        assert!(said.starts_with(&expected), "{expected}: {said}");
        assert!(problem.line.is_some_and(|line| rows.contains(&line)), "{problem:?}");
    }
    let many: String = (0..101).map(|number| static_answer(&path(&number.to_string()), text)).collect();
    assert!(only_problem(&many).contains("well_known[100].path: there are more than 100"));
    // Commands that work on data do not need these files.
    let data = Overrides { data_only: true, ..Overrides::default() };
    assert!(Config::load(Some(&dir.path().join("gateway.toml")), &data).is_ok());
}

/// Neither a path that the gateway answers, in any spelling, nor the ones of ACME.
#[test]
fn cf_02_no_static_answer_is_at_an_address_of_the_gateways_own() {
    let routes = std::fs::read_to_string(root().join("tests/golden/public_routes.txt")).expect("it can be read");
    let own = routes.lines().filter_map(|line| line.split(' ').nth(1)).filter(|path| !path.contains("challenge"));
    let own = own.chain(["/.well-known/openid-configuration/mcp", "/.well-known/jwks.json"]);
    let acme = ["/.well-known/acme-challenge", "/.well-known/acme-challenge/token"];
    for path in own.chain(acme) {
        for path in [path.to_owned(), path.to_ascii_uppercase().replace("/.WELL-KNOWN/", "/.well-known/")] {
            let found = only_problem(&static_answer(&path, "content = \"x\""));
            assert!(found.starts_with("gateway.toml:8: well_known[0].path: "), "{path}: {found}");
        }
    }
}

/// The beginning of a PNG image, which states its size.
fn png(width: u32, height: u32) -> Vec<u8> {
    let head = [b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR".as_slice(), &width.to_be_bytes(), &height.to_be_bytes()];
    head.concat()
}

#[test]
fn a_logo_is_a_small_picture_and_links_are_https() {
    let dir = tempfile::tempdir().expect("a temporary folder can be made");
    let file = dir.path().join("logo");
    let problem = |content: &[u8]| {
        std::fs::write(&file, content).expect("a temporary file can be written");
        let found = problems_of(&format!("{GOOD}[login]\nlogo = \"{}\"\n", file.display()), &Overrides::default());
        lines(&found).join("\n")
    };
    let comment = b"<?xml version=\"1.0\"?>\n<!-- made by hand -->\n<svg xmlns=\"http://www.w3.org/2000/svg\"/>";
    for good in [png(300, 84).as_slice(), png(2048, 1).as_slice(), b"<svg>", comment] {
        assert_eq!(problem(good), "");
    }
    let entities = b"<!DOCTYPE svg [<!ENTITY a \"b\">]><svg/>";
    for bad in [
        b"".as_slice(),
        b"\xff\xd8\xff\xe0 JPEG",
        b"<html><svg/></html>",
        b"<svgx/>",
        b"<!-- <svg/>",
        entities,
        &png(2049, 1),
        &png(0, 1),
        b"\x89PNG\r\n\x1a\n",
    ] {
        let said = problem(bad);
        assert!(said.contains("login.logo: this is neither a PNG nor an SVG image"), "{bad:?}: {said}");
    }
    assert!(problem(&[b"<svg>".as_slice(), &[b' '; 65_536]].concat()).contains("larger than 64 KiB"));
    for unreadable in ["/nowhere/logo.png", "/dev/zero", "/"] {
        let said = only_problem(&format!("[login]\nlogo = \"{unreadable}\"\n"));
        assert!(said.contains("login.logo: the file cannot be used"), "{said}");
    }
    for key in ["support_url", "privacy_url", "terms_url"] {
        for (url, fault) in [
            ("http://example.com", "this is not an https URL"),
            ("javascript:alert(1)", "this is not an https URL"),
            ("mailto:help@example.com", "this is not an https URL"),
            ("help", "this is not a URL"),
            ("https://a:b@example.com", "credentials"),
        ] {
            let said = only_problem(&format!("[login]\n{key} = \"{url}\"\n"));
            assert!(said.contains(&format!("login.{key}: ")) && said.contains(fault), "{said}");
        }
    }
}
