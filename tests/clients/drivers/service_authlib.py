"""A program that acts for itself with Authlib, which knows OAuth and nothing of MCP."""

import os
import time

from authlib.integrations.httpx_client import OAuth2Client
from authlib.oauth2.rfc7523 import PrivateKeyJWT
from joserfc.jwk import ECKey

ISSUER = os.environ["ISSUER"]
URL = os.environ["MCP_URL"]
METHOD = os.environ["AUTH_METHOD"]

secret = os.environ["CLIENT_SECRET"]
if METHOD == "private_key_jwt":
    secret = ECKey.import_key(secret)
with OAuth2Client(os.environ["CLIENT_ID"], secret, token_endpoint_auth_method=METHOD, leeway=5) as session:
    # By itself, Authlib names the token endpoint as audience and an hour as life; this server wants its issuer, and five
    # minutes at most.
    session.register_client_auth_method(PrivateKeyJWT(ISSUER, {"exp": int(time.time()) + 300}, alg="ES256"))
    session.fetch_token(f"{ISSUER}/token", grant_type="client_credentials", resource=URL, scope="demo:use")
    asked = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "authlib", "version": "1"}}
    answer = session.post(
        URL,
        json={"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": asked},
        headers={"accept": "application/json, text/event-stream"},
    )
    answer.raise_for_status()
    assert "serverInfo" in answer.text, answer.text
    print(session.token["scope"])
