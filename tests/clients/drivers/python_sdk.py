"""One run of an official Python SDK client (argument: v1 or v2) against the gateway.

Prints one JSON line per step; sdk.test.mjs says which steps must appear. The SDK's OAuth provider refreshes and
re-authorizes by itself, so the steps are inferred from its storage and from how often it opens the browser.
"""

import asyncio
import json
import os
import sys
import time
import urllib.parse
import urllib.request
from contextlib import asynccontextmanager

from mcp.client.auth import OAuthClientProvider
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import OAuthClientMetadata

SETTINGS = json.loads(os.environ["DRIVER"])
GENERATION = sys.argv[1]


def step(name, **facts):
    print(json.dumps({"step": name, **facts}), flush=True)


def post(url, body):
    with urllib.request.urlopen(urllib.request.Request(url, data=body, method="POST"), timeout=120) as answer:
        return answer.status


async def browser_service(path, **body):
    await asyncio.to_thread(post, SETTINGS["browserService"] + path, json.dumps(body).encode())


class Callback:
    """A loopback listener, as in a native application (RFC 8252 7.3)."""

    def __init__(self):
        self.arrived = asyncio.Queue()

    async def listen(self):
        self.server = await asyncio.start_server(self.answer, "127.0.0.1", 0)
        port = self.server.sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{port}/callback"

    async def answer(self, reader, writer):
        target = (await reader.readline()).split()[1].decode()
        while (await reader.readline()).strip():
            pass
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nDone.")
        await writer.drain()
        writer.close()
        parts = urllib.parse.urlsplit(target)
        if parts.path == "/callback":
            query = urllib.parse.parse_qs(parts.query, strict_parsing=True)
            await self.arrived.put({name: values[0] for name, values in query.items()})


class Memory:
    """What an application must provide: storage, and a way to open a browser."""

    def __init__(self):
        self.tokens = self.client = None
        self.openings = 0

    async def get_tokens(self):
        return self.tokens

    async def set_tokens(self, tokens):
        self.tokens = tokens
        step("tokens", scope=tokens.scope, expires_in=tokens.expires_in, refresh=bool(tokens.refresh_token))

    async def get_client_info(self):
        return self.client

    async def set_client_info(self, client):
        self.client = client
        step("registered", client_id=client.client_id)

    async def open_browser(self, url):
        self.openings += 1
        query = urllib.parse.parse_qs(urllib.parse.urlsplit(url).query)
        step("browser", resource=query.get("resource", [None])[0])
        await browser_service("/browse", url=url, profile=SETTINGS["profile"])


@asynccontextmanager
async def connect(provider, sampled):
    """A connected session; both generations have the same methods."""
    if GENERATION == "v1":
        import httpx
        from mcp import ClientSession

        async with (
            httpx.AsyncClient(auth=provider, timeout=60) as http,
            streamable_http_client(SETTINGS["url"], http_client=http) as (read, write, _),
            ClientSession(read, write, sampling_callback=sampled) as session,
        ):
            await session.initialize()
            yield session
    else:
        import httpx2
        from mcp import Client

        async with httpx2.AsyncClient(auth=provider, timeout=60) as http:
            transport = streamable_http_client(SETTINGS["url"], http_client=http)
            async with Client(transport, sampling_callback=sampled) as session:
                yield session


async def sampled(_context, _parameters):
    from mcp import types

    content = types.TextContent(type="text", text="sampled")
    return types.CreateMessageResult(role="assistant", content=content, model="none")


async def main():
    callback, memory = Callback(), Memory()
    await callback.listen()

    async def answer():
        query = await callback.arrived.get()
        if GENERATION == "v1":
            return query["code"], query.get("state")
        from mcp.client.auth import AuthorizationCodeResult

        return AuthorizationCodeResult(code=query["code"], state=query.get("state"), iss=query.get("iss"))

    metadata = OAuthClientMetadata(
        client_name=f"Python SDK {GENERATION}",
        redirect_uris=[callback.url],
        grant_types=["authorization_code", "refresh_token"],
        response_types=["code"],
        token_endpoint_auth_method="none",
    )
    provider = OAuthClientProvider(
        SETTINGS["url"],
        metadata,
        memory,
        memory.open_browser,
        answer,
        # Unset unless the test uses a Client ID Metadata Document instead of a registration.
        client_metadata_url=SETTINGS.get("documentUrl"),
    )
    wanted = SETTINGS.get("untickedCall")
    try:
        async with connect(provider, sampled) as session:
            listed = await session.list_tools()
            step("connected", tools=sorted(tool.name for tool in listed.tools))
            if wanted:
                step("answered", text=await text(session, wanted["name"], wanted["arguments"]))
                return
            part = next((part for key, part in PARTS.items() if SETTINGS.get(key)), short)
            await part(session, provider, memory)
    except Exception as error:
        if not wanted:
            raise
        # The first generation ends the whole session.
        while isinstance(error, ExceptionGroup):
            error = error.exceptions[0]
        step("refused", message=str(error), openings=memory.openings, scope=memory.tokens.scope)


async def text(session, name, arguments, **options):
    result = await session.call_tool(name, arguments, **options)
    return next((part.text for part in result.content if part.type == "text"), "")


async def progress(session, name, arguments):
    seen = []

    async def note(progress, total, message):
        seen.append(time.monotonic())

    answer = await text(session, name, arguments, progress_callback=note)
    step("progress", events=len(seen), spread=round((seen[-1] - seen[0]) * 1000) if seen else 0, text=answer)


async def short(session, _provider, _memory):
    step("called", text=await text(session, SETTINGS["tool"], SETTINGS["arguments"]))
    if slow := SETTINGS.get("progressTool"):
        await progress(session, slow["name"], slow["arguments"])
    if sampling := SETTINGS.get("samplingTool"):
        step("sampled", text=await text(session, sampling["name"], sampling["arguments"]))


async def step_up(session, _provider, memory):
    wanted = SETTINGS["stepUp"]
    answer = await text(session, wanted["name"], wanted["arguments"])
    names = sorted(tool.name for tool in (await session.list_tools()).tools)
    step("stepped up", text=answer, scope=memory.tokens.scope, openings=memory.openings, tools=names)


async def listed(session):
    """The names of everything that the server lists."""
    templates = (await session.list_resource_templates()).model_dump(by_alias=True)["resourceTemplates"]
    return {
        "tools": sorted(tool.name for tool in (await session.list_tools()).tools),
        "prompts": sorted(prompt.name for prompt in (await session.list_prompts()).prompts),
        "resources": sorted(str(resource.uri) for resource in (await session.list_resources()).resources),
        "templates": sorted(template["uriTemplate"] for template in templates),
    }


async def under_a_map(session, _provider, memory):
    wanted = SETTINGS["map"]
    step("before", lists=await listed(session))
    step("open", text=await text(session, **wanted["open"]))
    answer = await text(session, **wanted["asked"])
    step("asked", text=answer, scope=memory.tokens.scope, openings=memory.openings)
    step("after", lists=await listed(session))
    step("still open", text=await text(session, **wanted["open"]))
    try:
        step("closed", text=await text(session, **wanted["closed"]), openings=memory.openings)
    except Exception as error:
        step("closed", error=str(error), openings=memory.openings)


async def everything(session, provider, memory):
    step("echo", text=await text(session, "echo", {"text": "Grüße ✓"}))
    step("add", text=await text(session, "add", {"a": 19, "b": 23}))
    step("whoami", text=await text(session, "whoami", {}))
    resources = (await session.list_resources()).resources
    await session.read_resource(resources[0].uri)
    prompts = (await session.list_prompts()).prompts
    step("catalogue", resources=len(resources), prompts=len(prompts))
    await progress(session, "count", {"to": 5})

    before = memory.tokens.access_token
    await asyncio.sleep(memory.tokens.expires_in + 1)
    await text(session, "echo", {"text": "after expiry"})
    step("refreshed", changed=memory.tokens.access_token != before, openings=memory.openings)

    for how in ("RFC 7009", "operator"):
        # Counted first: the client may reopen a stream that the revocation ended, and ask the user, before the next
        # call.
        opened = memory.openings
        if how == "operator":
            await browser_service("/revoke", client_id=memory.client.client_id)
            # The running server applies a revocation from the command line within a second.
            await asyncio.sleep(1)
        else:
            form = {"token": memory.tokens.refresh_token, "client_id": memory.client.client_id}
            target = urllib.parse.urljoin(SETTINGS["url"], "/revoke")
            await asyncio.to_thread(post, target, urllib.parse.urlencode(form).encode())
        answer = await text(session, "echo", {"text": how})
        step("revoked", how=how, reopened=memory.openings - opened, text=answer)


PARTS = {"stepUp": step_up, "map": under_a_map, "full": everything}

asyncio.run(main())
