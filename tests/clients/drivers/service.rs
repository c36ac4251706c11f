//! service.rs: a program that acts for itself and calls a tool.
#![expect(clippy::disallowed_methods, clippy::print_stdout, reason = "a user's program, not a part of the gateway")]

use rmcp::ServiceExt as _;
use rmcp::model::CallToolRequestParams;
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::auth::{AuthClient, ClientCredentialsConfig, OAuthState};
use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    rustls::crypto::ring::default_provider().install_default().map_err(|_| "TLS is set up twice")?;
    let url = std::env::var("MCP_URL")?;
    let login = ClientCredentialsConfig::ClientSecret {
        client_id: std::env::var("CLIENT_ID")?,
        client_secret: std::env::var("CLIENT_SECRET")?,
        scopes: Vec::new(),
        resource: Some(url.clone()),
    };
    let http = reqwest::Client::new();
    let mut state = OAuthState::new(&url, Some(http.clone())).await?;
    state.authenticate_client_credentials(login).await?;
    let manager = state.into_authorization_manager().ok_or("no token")?;

    let config = StreamableHttpClientTransportConfig::with_uri(url);
    let transport = StreamableHttpClientTransport::with_client(AuthClient::new(http, manager), config);
    let client = ().serve(transport).await?;
    let arguments = serde_json::json!({"text": "hello"}).as_object().cloned().unwrap_or_default();
    let result = client.call_tool(CallToolRequestParams::new("echo").with_arguments(arguments)).await?;
    println!("{}", serde_json::to_string(&result)?);
    Ok(())
}
