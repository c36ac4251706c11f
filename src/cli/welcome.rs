//! What `mcpgate up` prints once connections are accepted: addresses, and lines to paste into clients.

use std::fmt::Write;
use std::path::PathBuf;

use serde_json::json;

use crate::config::{UpstreamConfig, UpstreamKind};
use crate::files::private::shell;
use crate::server::Ready;

/// Returns the text to print.
pub(super) fn text(ready: &Ready) -> String {
    let config = &ready.config;
    let mut out = String::from("\nmcpgate is ready.\n\n");
    for upstream in &config.upstreams {
        let behind = if config.demo { "the built-in demo".to_owned() } else { upstream.url.to_string() };
        let what = match upstream.kind {
            UpstreamKind::Mcp => "MCP server  ",
            UpstreamKind::Http => "HTTP service",
        };
        add(&mut out, format_args!("  {what} {}  (in front of {behind})\n", upstream.called_at()));
    }
    if let Some(upstream) = config.unknown_server() {
        let why = if config.is_by_annotation() {
            "its tools say whether they only read"
        } else {
            "no tool of it is known to say that it only reads"
        };
        add(&mut out, format_args!("  Permissions  {} ({why})\n", upstream.default_scopes));
    }
    add(&mut out, format_args!("  Health       http://{}/healthz, metrics at /metrics\n", ready.operator));
    add(&mut out, format_args!("  Data         {}\n", config.data_dir.display()));
    if let Some(link) = &ready.setup_link {
        let minutes = config.login.setup_link.as_secs() / 60;
        add(
            &mut out,
            format_args!("\nSet the password of the account admin, once, within {minutes} minutes:\n\n  {link}\n"),
        );
    }
    // The lines are pasted in other folders, so the paths must be absolute.
    let path = |file: &PathBuf| shell(&file.canonicalize().unwrap_or_else(|_| file.clone()));
    out.push_str("\nConnect a client:\n");
    let plain = config.public_url.starts_with("http://");
    match &ready.development {
        Some(files) => {
            let program = std::env::current_exe().map_or_else(|_| "mcpgate".to_owned(), |program| path(&program));
            out.push_str(&trust(&program, &path(&config.data_dir), &path(&files.ca), files.bundle.as_ref().map(path)));
        }
        None if plain => out.push_str(PLAIN),
        None => {}
    }
    for upstream in &config.upstreams {
        out.push_str(&clients(upstream));
    }
    out.push('\n');
    out
}

/// Printed instead of how to trust a certificate.
const PLAIN: &str = "
  WARNING: this is plain http. Passwords and tokens travel in clear text, which is safe only on this machine's
  loopback interface: do not forward this port.
";

/// Returns how to make this machine's programs trust the development CA. All arguments are already quoted for a shell.
fn trust(program: &str, data: &str, ca: &str, bundle: Option<String>) -> String {
    let mut out = format!(
        "\n  The certificate is issued by a development CA. Browsers, curl, Cursor and VS Code trust it after this command,\n  \
         which `certs untrust` undoes; Node.js and Python use other stores and need a variable where the client runs:\n    \
         {program} certs trust --data {data}\n    \
         export NODE_EXTRA_CA_CERTS={ca}\n"
    );
    if let Some(bundle) = bundle {
        add(&mut out, format_args!("    export SSL_CERT_FILE={bundle}\n"));
    }
    out.push_str(
        "  If a client cannot be made to trust it, start with --public-url http://localhost:8080: no TLS, and for this\n  \
         machine only.\n",
    );
    out
}

/// Returns the lines for clients of an upstream; none for a plain HTTP service, which MCP clients cannot use.
fn clients(upstream: &UpstreamConfig) -> String {
    let mut out = String::new();
    if upstream.kind == UpstreamKind::Http {
        return out;
    }
    let (name, url) = (&upstream.name, upstream.called_at());
    let cursor = json!({ "mcpServers": { name: { "url": url } } });
    let vs_code = json!({ "servers": { name: { "type": "http", "url": url } } });
    add(&mut out, format_args!("\n  Claude Code   claude mcp add --transport http {name} {url}\n"));
    add(&mut out, format_args!("  Cursor        ~/.cursor/mcp.json  {cursor}\n"));
    add(&mut out, format_args!("  VS Code       .vscode/mcp.json    {vs_code}\n"));
    add(&mut out, format_args!("  mcp-remote    npx mcp-remote {url}\n"));
    add(
        &mut out,
        format_args!(
            "  Inspector     npx @modelcontextprotocol/inspector@latest --transport http --server-url {url}\n                \
             (needs Node 22.19 or newer)\n"
        ),
    );
    out
}

fn add(out: &mut String, line: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _infallible = out.write_fmt(line);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Overrides};
    use crate::oauth::ResourceIndicator;

    #[test]
    fn lines_for_clients_can_be_pasted() {
        let up = Overrides { up: true, data_dir: Some("/nowhere".into()), ..Overrides::default() };
        let config = Config::load(None, &up).unwrap();
        let files = UpstreamConfig {
            name: "files".to_owned(),
            path: "/mcp/files".to_owned(),
            resource: ResourceIndicator::parse(&config.public_url).unwrap(),
            ..config.upstreams[0].clone()
        };
        let text = clients(&files);
        for line in [
            "claude mcp add --transport http files https://localhost:8443/mcp/files",
            r#"{"mcpServers":{"files":{"url":"https://localhost:8443/mcp/files"}}}"#,
            r#"{"servers":{"files":{"type":"http","url":"https://localhost:8443/mcp/files"}}}"#,
            "npx mcp-remote https://localhost:8443/mcp/files",
            "npx @modelcontextprotocol/inspector@latest --transport http --server-url https://localhost:8443/mcp/files",
        ] {
            assert!(text.contains(line), "{line}\n{text}");
        }
        assert_eq!(clients(&UpstreamConfig { kind: UpstreamKind::Http, ..files }), "");
        let text = trust("mcpgate", "/data", "'/home/ada l/ca.pem'", Some("/data/bundle.pem".to_owned()));
        for line in [
            "mcpgate certs trust --data /data",
            "export NODE_EXTRA_CA_CERTS='/home/ada l/ca.pem'",
            "export SSL_CERT_FILE=/data/bundle.pem",
        ] {
            assert!(text.lines().any(|written| written.trim() == line), "{line}\n{text}");
        }
        assert!(!trust("mcpgate", "/data", "/ca.pem", None).contains("SSL_CERT_FILE"));
    }
}
