//! `mcpgate up`, its certificates and its demo upstream.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::Stdio;

use serde_json::Value;

use crate::{PASSWORD, Up, free_address, mcpgate, run, text};

#[test]
fn development_certificates_are_made_where_asked() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("certs");
    let made = run(&["certs", "dev", "--json", "--dir", folder.to_str().unwrap()]);
    let made: Value = serde_json::from_slice(&made.stdout).unwrap();
    for file in ["ca", "certificate", "key", "bundle"] {
        let pem = std::fs::read_to_string(made[file].as_str().unwrap()).unwrap();
        assert!(pem.starts_with("-----BEGIN "), "{file}");
    }
    assert!(folder.join("ca-key.pem").exists());
    let more = ["certs", "dev", "--dir", folder.to_str().unwrap(), "--host", "a.test", "--host", "b.test"];
    let output = run(&more);
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stderr);
    assert!(said.contains("not created for localhost, 127.0.0.1, ::1, a.test, b.test; remove it"), "{said}");
    std::fs::remove_file(folder.join("ca.pem")).unwrap();
    assert!(run(&more).status.success());
}

#[test]
fn a_ca_that_is_not_there_cannot_be_trusted() {
    let dir = tempfile::tempdir().unwrap();
    for command in ["trust", "untrust"] {
        let output = run(&["certs", command, "--data", dir.path().to_str().unwrap()]);
        assert_eq!(output.status.code(), Some(1));
        let said = text(&output.stderr);
        assert!(
            said.contains("certs/ca.pem: there is no development CA in this directory") && said.contains("--data"),
            "{said}"
        );
    }
}

#[test]
fn up_makes_everything_once_and_is_remembered() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let password = dir.path().join("password");
    std::fs::write(&password, PASSWORD).unwrap();
    let port = free_address::free_address().port();
    let origin = format!("https://localhost:{port}");
    let keys = || std::fs::read_to_string(data.join("keys/token")).unwrap();
    let command = |arguments: &[&str]| {
        let output = mcpgate(arguments).arg("--json").arg("--data").arg(&data).output().unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
        serde_json::from_slice::<Value>(&output.stdout).unwrap()
    };

    let first = Up::start(&data, port, &[]);
    assert!(first.welcome.contains(&format!("{origin}/setup?link=mcp_session_")), "{}", first.welcome);
    assert!(first.welcome.contains(&format!("claude mcp add --transport http mcp {origin}/mcp")));
    let made = keys();
    // Beside the running server, and with knowledge of how it was started.
    let listed = command(&["user", "list"]);
    assert_eq!((&listed[0]["name"], &listed[0]["password_set_at"]), (&"admin".into(), &Value::Null));
    let issued = command(&["token", "issue", "--user", "admin", "--upstream", "mcp"]);
    assert_eq!(issued["resource"], format!("{origin}/mcp"));
    assert_eq!(first.stop(), Some(0));
    // Another file replaces the remembered one; the other remembered options stay.
    let file = dir.path().join("gateway.toml");
    std::fs::write(&file, "[tokens]\naccess = \"5m\"\n").unwrap();
    let issued = ["token", "issue", "--user", "admin", "--upstream", "mcp", "--config", file.to_str().unwrap()];
    assert_eq!(command(&issued)["expires_in"], 300);

    let with_file = ["--admin-password-file", password.to_str().unwrap(), "--config", file.to_str().unwrap()];
    let second = Up::start(&data, port, &with_file);
    assert!(!second.welcome.contains("/setup"), "{}", second.welcome);
    assert_eq!(keys(), made);
    assert!(command(&["user", "list"])[0]["password_set_at"].is_string());
    assert_eq!(second.stop(), Some(0));
    // The file is remembered, and reported as gone after it was moved.
    let issue = ["token", "issue", "--user", "admin", "--upstream", "mcp"];
    assert_eq!(command(&issue)["expires_in"], 300);
    let moved = dir.path().join("moved.toml");
    std::fs::rename(&file, &moved).unwrap();
    let missed = mcpgate(&issue).arg("--data").arg(&data).output().unwrap();
    assert_eq!(missed.status.code(), Some(1));
    let said = text(&missed.stderr);
    assert!(said.contains("gateway.toml: mcpgate up was last started with this file, which is gone"), "{said}");
    let issued = command(&[&issue[..], &["--config", moved.to_str().unwrap()]].concat());
    assert_eq!((&issued["resource"], &issued["expires_in"]), (&format!("{origin}/mcp").into(), &300.into()));

    let third = Up::start(&data, port, &["--admin-password-file", password.to_str().unwrap()]);
    assert!(!third.welcome.contains("/setup"), "{}", third.welcome);
    assert_eq!(third.stop(), Some(0));
    let said = std::fs::read_to_string(data.with_extension("log")).unwrap();
    let unused =
        format!("mcpgate: --admin-password-file: {}: not used, because there are accounts", password.display());
    assert_eq!(said.matches(&unused).count(), 1, "the second start used it, the third did not: {said}");
}

#[test]
fn the_demo_upstream_runs_alone() {
    let mut demo = mcpgate(&["demo-upstream", "--listen", "127.0.0.1:0"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(demo.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let address = line.trim().strip_prefix("the demo MCP server is at http://").unwrap().strip_suffix("/mcp").unwrap();
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    let body = r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}"#;
    let head =
        format!("POST /mcp HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\nConnection: close\r\n");
    let head = format!("{head}Accept: application/json, text/event-stream\r\nContent-Length: {}\r\n\r\n", body.len());
    stream.write_all(format!("{head}{body}").as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    demo.kill().unwrap();
    demo.wait().unwrap();
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("serverInfo"), "{answer}");
}

#[test]
fn the_demo_upstream_names_an_address_that_is_taken() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let said = text(&run(&["demo-upstream", "--listen", &address]).stderr);
    let expected = format!("cannot listen on {address}: another program listens on it; change it with --listen\n");
    assert!(said.ends_with(&expected), "{said}");
}
