"""S2: no redirect is followed, neither by an upgrade nor by a token request nor by a request of `before_connect`.

A listener answers every request with a redirect to a second listener. Pass criteria: the second listener receives no
connection, the first receives each request once, and the error is the one for that entry point.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from utcp_ws_mcp import BridgeError
from utcp_ws_mcp.errors import ConnectError, ForbiddenRedirect, TokenRequestError
from verification.harness.command import Size, run
from verification.harness.figure import Figure
from verification.security.bridge_fixture import STEP_TIMEOUT, JSONObject, open_bridge
from verification.security.listener import Listener, http_reply, listener

STATUSES = (300, 301, 302, 303, 305, 307, 308)
LOCATIONS = (
    *("{scheme}://127.0.0.1:{other}/x", "{scheme}s://127.0.0.1:{other}/", "//127.0.0.1:{other}/x", "/elsewhere"),
    *("{scheme}://localhost:{other}/", "http://127.0.0.1:{other}/", "ws://127.0.0.1:{other}/?key=1", "?again=1"),
    *("{scheme}://user:pw@127.0.0.1:{other}/", "\\\\\\\\127.0.0.1:{other}/", "HTTP://127.0.0.1:{other}/", "../../up"),
)
KEY = {"auth_type": "api_key", "api_key": "canary-of-the-redirects"}


@dataclass(frozen=True, slots=True)
class EntryPoint:
    """A kind of request to a listener, and the error that a redirect must cause."""

    name: str
    document: Callable[[int], JSONObject]
    error: type[BridgeError]


def _over_websocket(port: int) -> JSONObject:
    return {"url": f"ws://127.0.0.1:{port}/", "auth": KEY}


def _token(port: int) -> JSONObject:
    secret = {"client_id": "id", "client_secret": "canary-of-the-redirects"}
    return {
        "url": "ws://127.0.0.1:1/",
        "auth": {"auth_type": "oauth2", "token_url": f"http://127.0.0.1:{port}/", **secret},
    }


def _before(port: int) -> JSONObject:
    request = {
        "url": f"http://127.0.0.1:{port}/",
        "method": "POST",
        "headers": {"X-Api-Key": "canary-of-the-redirects"},
    }
    return {"url": "ws://127.0.0.1:1/", "before_connect": [{"http": request}]}


ENTRY_POINTS = (
    EntryPoint("discovery", _over_websocket, ForbiddenRedirect),
    EntryPoint("call", lambda port: {**_over_websocket(port), "tools": [{"name": "t"}]}, ForbiddenRedirect),
    EntryPoint("token", lambda port: {**_token(port), "tools": [{"name": "t"}]}, TokenRequestError),
    EntryPoint("before_connect", lambda port: {**_before(port), "tools": [{"name": "t"}]}, ConnectError),
)


async def measure(size: Size) -> Sequence[Figure]:
    """Use every status with every form of Location at every entry point."""
    statuses = range(300, 400) if size.nightly else STATUSES
    cases = list(itertools.product(ENTRY_POINTS, statuses, LOCATIONS))
    followed: list[str] = []
    unexpected: list[str] = []
    async with listener() as other:
        for entry, status, location in cases:
            case = f"{entry.name} {status} {location}"
            requests, error = await _redirect(entry, status, location, other.port)
            followed += [case] if requests != 1 or await other.settle() else []
            unexpected += [] if type(error) is entry.error else [f"{case}: {error!r}"]
    return [
        Figure("S2", "redirects followed", _count_with_example(followed, len(cases)), "0", not followed),
        Figure(
            "S2", "redirects with an unexpected error", _count_with_example(unexpected, len(cases)), "0", not unexpected
        ),
    ]


async def _redirect(entry: EntryPoint, status: int, location: str, other: int) -> tuple[int, BridgeError | None]:
    """Return the number of requests to the first listener, and the error."""
    scheme = "ws" if entry.error is ForbiddenRedirect else "http"
    answer = http_reply(status, b"", "Location: " + location.format(scheme=scheme, other=other))
    async with listener(lambda request: answer) as first:
        error = await _error(entry, first)
        return len(await first.settle()), error


async def _error(entry: EntryPoint, first: Listener) -> BridgeError | None:
    async with open_bridge({"name": "m", **entry.document(first.port)}) as bridge:
        if entry.name == "discovery":
            await bridge.wait_discovered(STEP_TIMEOUT)
            return bridge.discovery_errors.get("m")
        try:
            await bridge.call_tool("m.t")
        except BridgeError as failed:
            return failed
    return None


def _count_with_example(cases: Sequence[str], of: int) -> str:
    return f"{len(cases)} of {of}" + (f", such as {cases[0]}" if cases else "")


if __name__ == "__main__":
    run(measure)
