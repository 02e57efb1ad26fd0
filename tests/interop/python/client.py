"""An MCP client in Python that signs in by itself, driven by its input.

    client.py KIND URL

KIND is `session` (ClientSession, MCP 2025-11-25), `client` (mcp.client.Client, MCP 2026-07-28) or
`fastmcp`. It connects, and prints a line of JSON. Then it calls the tool that each line of its
input names, and prints a line with what it returned. Each line also has the scopes of the
authorization requests that were made for it.
"""

import asyncio
import json
import sys
import threading
import time
import urllib.error
import urllib.request
from contextlib import asynccontextmanager
from urllib.parse import parse_qs, urlsplit

REDIRECT_URI = "http://127.0.0.1:8976/callback"

sign_ins = []


class NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_):
        return None


def consent(url):
    """Requests the authorization URL, and returns the redirect. The fake Clerk consents at once."""
    sign_ins.append(parameter(url, "scope"))
    try:
        urllib.request.build_opener(NoRedirect).open(url)
    except urllib.error.HTTPError as response:
        if response.code == 302:
            return response.headers["Location"]
        raise
    raise RuntimeError("the authorization endpoint did not redirect")


def visit(url):
    """Requests the redirect URI. The client listens there only after it has opened the browser."""
    for _ in range(600):
        try:
            return urllib.request.urlopen(url).close()
        except urllib.error.URLError:
            time.sleep(0.05)


def parameter(url, name):
    return parse_qs(urlsplit(url).query).get(name, [None])[0]


class Storage:
    def __init__(self):
        self.tokens = self.client = None

    async def get_tokens(self):
        return self.tokens

    async def set_tokens(self, tokens):
        self.tokens = tokens

    async def get_client_info(self):
        return self.client

    async def set_client_info(self, client):
        self.client = client


def provider(url):
    from mcp.client.auth import OAuthClientProvider
    from mcp.shared.auth import OAuthClientMetadata

    redirects = []

    async def redirect_handler(authorization_url):
        redirects.append(await asyncio.to_thread(consent, authorization_url))

    async def callback_handler():
        answer = {name: parameter(redirects[-1], name) for name in ("code", "state", "iss")}
        try:
            from mcp.client.auth import AuthorizationCodeResult
        except ImportError:  # 1.x
            return answer["code"], answer["state"]
        return AuthorizationCodeResult(**answer)

    metadata = OAuthClientMetadata(
        client_name="interop",
        redirect_uris=[REDIRECT_URI],
        grant_types=["authorization_code", "refresh_token"],
        token_endpoint_auth_method="none",
    )
    return OAuthClientProvider(
        server_url=url,
        client_metadata=metadata,
        storage=Storage(),
        redirect_handler=redirect_handler,
        callback_handler=callback_handler,
    )


@asynccontextmanager
async def transport(url):
    from mcp.client.streamable_http import streamable_http_client
    from mcp.shared._httpx_utils import create_mcp_http_client

    async with create_mcp_http_client(auth=provider(url)) as http_client:
        async with streamable_http_client(url, http_client=http_client) as streams:
            yield streams


@asynccontextmanager
async def session(url):
    from mcp import ClientSession

    async with transport(url) as (read, write, *_), ClientSession(read, write) as connected:
        await connected.initialize()
        yield connected.call_tool


@asynccontextmanager
async def client(url):
    from mcp.client import Client

    async with Client(transport(url)) as connected:
        yield connected.call_tool


@asynccontextmanager
async def fastmcp(url):
    import webbrowser

    from fastmcp import Client

    def browse(authorization_url, *_, **__):
        threading.Thread(target=visit, args=[consent(authorization_url)], daemon=True).start()
        return True

    webbrowser.open = browse
    async with Client(url, auth="oauth") as connected:
        yield connected.call_tool


def report(**members):
    print(json.dumps({**members, "signIns": sign_ins}), flush=True)
    sign_ins.clear()


async def main(kind, url):
    async with {"session": session, "client": client, "fastmcp": fastmcp}[kind](url) as call:
        report(connected=True)
        while name := (await asyncio.to_thread(sys.stdin.readline)).strip():
            try:
                result = await call(name, {})
            except Exception as error:
                report(error=f"{type(error).__name__}: {error}")
            else:
                report(result=json.loads(result.content[0].text))


asyncio.run(main(*sys.argv[1:]))
