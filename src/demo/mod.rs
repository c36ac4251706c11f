//! The built-in demo upstream: a small, honest MCP server.
