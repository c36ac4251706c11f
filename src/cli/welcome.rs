//! What `mcpgate up` prints once connections are accepted: where things are, and lines to paste into clients.

use std::fmt::Write;

use serde_json::json;

use crate::files::private::shell;
use crate::server::Ready;

/// Returns the text.
pub(super) fn text(ready: &Ready) -> String {
    let config = &ready.config;
    let mut out = String::from("\nmcpgate is ready.\n\n");
    for upstream in &config.upstreams {
        let behind = if config.demo { "the built-in demo".to_owned() } else { upstream.url.to_string() };
        add(&mut out, format_args!("  MCP server   {}  (in front of {behind})\n", upstream.resource.as_str()));
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
    // The lines are pasted elsewhere than where we run.
    let ca = ready.ca.as_ref().map(|ca| ca.canonicalize().unwrap_or_else(|_| ca.clone()).display().to_string());
    let upstreams: Vec<_> = config.upstreams.iter().map(|u| (u.name.as_str(), u.resource.as_str())).collect();
    out.push_str(&clients(&upstreams, ca.as_deref()));
    out.push('\n');
    out
}

/// Returns the lines for clients of some MCP URLs, each with its name.
fn clients(upstreams: &[(&str, &str)], ca: Option<&str>) -> String {
    let mut out = String::from("\nConnect a client:\n");
    if let Some(ca) = ca {
        let ca = shell(ca.as_ref());
        add(
            &mut out,
            format_args!(
                "\n  The certificate is of a development CA. Browsers, Cursor and VS Code trust it once {ca} is in the\n  \
                 system's store; programs on Node trust it through this variable:\n    \
                 export NODE_EXTRA_CA_CERTS={ca}\n"
            ),
        );
    }
    for (name, url) in upstreams {
        let cursor = json!({ "mcpServers": { *name: { "url": url } } });
        let vs_code = json!({ "servers": { *name: { "type": "http", "url": url } } });
        add(&mut out, format_args!("\n  Claude Code   claude mcp add --transport http {name} {url}\n"));
        add(&mut out, format_args!("  Cursor        ~/.cursor/mcp.json  {cursor}\n"));
        add(&mut out, format_args!("  VS Code       .vscode/mcp.json    {vs_code}\n"));
        add(&mut out, format_args!("  mcp-remote    npx mcp-remote {url}\n"));
        add(
            &mut out,
            format_args!("  Inspector     npx @modelcontextprotocol/inspector --transport http --server-url {url}\n"),
        );
    }
    out
}

fn add(out: &mut String, line: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _infallible = out.write_fmt(line);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_for_clients_can_be_pasted() {
        let upstreams = [("mcp", "https://localhost:8443/mcp"), ("files", "https://localhost:8443/mcp/files")];
        let text = clients(&upstreams, Some("/home/ada l/ca.pem"));
        for line in [
            "export NODE_EXTRA_CA_CERTS='/home/ada l/ca.pem'",
            "claude mcp add --transport http mcp https://localhost:8443/mcp",
            r#"{"mcpServers":{"mcp":{"url":"https://localhost:8443/mcp"}}}"#,
            r#"{"servers":{"mcp":{"type":"http","url":"https://localhost:8443/mcp"}}}"#,
            "npx mcp-remote https://localhost:8443/mcp",
            "npx @modelcontextprotocol/inspector --transport http --server-url https://localhost:8443/mcp",
            "claude mcp add --transport http files https://localhost:8443/mcp/files",
        ] {
            assert!(text.contains(line), "{line}\n{text}");
        }
        assert!(!clients(&upstreams, None).contains("NODE_EXTRA"));
    }
}
