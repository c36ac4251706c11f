"""An MCP server on the official Python SDK v2: a second foreign implementation of a server. It listens on PORT."""

import asyncio
import os

from mcp.server.mcpserver import Context, MCPServer

server = MCPServer("python")


@server.tool()
def reverse(text: str) -> str:
    """Reverses a text."""
    return text[::-1]


@server.tool()
async def slow(steps: int, context: Context) -> str:
    """Reports its progress."""
    for done in range(1, steps + 1):
        await context.report_progress(done, steps)
        await asyncio.sleep(0.1)
    return f"{steps} steps"


server.run("streamable-http", host="127.0.0.1", port=int(os.environ["PORT"]))
