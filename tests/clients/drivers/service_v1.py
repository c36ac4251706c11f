"""A program that acts for itself with version 1 of the Python SDK."""

import asyncio
import os

from mcp import ClientSession
from mcp.client.auth.extensions.client_credentials import ClientCredentialsOAuthProvider
from mcp.client.streamable_http import streamablehttp_client

URL = os.environ["MCP_URL"]


class Storage:
    tokens = None

    async def get_tokens(self):
        return self.tokens

    async def set_tokens(self, tokens):
        self.tokens = tokens

    async def get_client_info(self):
        return None

    async def set_client_info(self, client):
        pass


async def main():
    login = ClientCredentialsOAuthProvider(
        server_url=URL,
        storage=Storage(),
        client_id=os.environ["CLIENT_ID"],
        client_secret=os.environ["CLIENT_SECRET"],
        issuer=os.environ["ISSUER"],
    )
    async with streamablehttp_client(URL, auth=login) as (read, write, _), ClientSession(read, write) as session:
        await session.initialize()
        result = await session.call_tool("echo", {"text": "hello"})
        print(result.content[0].text)


asyncio.run(main())
