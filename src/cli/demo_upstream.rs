//! `mcpgate demo-upstream`: the built-in MCP server, alone.

use std::net::SocketAddr;

use super::address;
use super::failure::Failure;
use super::output::Output;
use super::runtime::block_on;
use crate::demo;
use crate::server::RunError;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Address to listen on; everybody who reaches it can use it
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8000", value_parser = address::parse)]
    listen: SocketAddr,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    block_on(async {
        let refused =
            |source| RunError::Listen { key: "--listen", option: "--listen", address: arguments.listen, source };
        let listener = tokio::net::TcpListener::bind(arguments.listen).await.map_err(refused)?;
        let address = listener.local_addr()?;
        Output::text().raw(format!("the demo MCP server is at http://{address}/mcp\n").as_bytes())?;
        let stop = async {
            if tokio::signal::ctrl_c().await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        demo::serve(std::sync::Arc::new(listener), stop).await;
        Ok(())
    })
}
