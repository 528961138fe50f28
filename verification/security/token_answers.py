"""S13: the bridge uses a token or raises a defined error for every response of a token endpoint, and shows no secret.

A listener sends unusual and hostile responses to token requests. Pass criteria: the Authorization header that the
WebSocket endpoint receives, the class of the error, the number of token requests in two calls, and no client secret and
no token in the error and its traceback.
"""

from __future__ import annotations

import json
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from utcp_ws_mcp import BridgeError
from utcp_ws_mcp.errors import ConnectError, TokenRequestError
from verification.harness.command import Size, run
from verification.harness.figure import Figure
from verification.security.bridge_fixture import open_bridge
from verification.security.endpoint import Endpoint, endpoint
from verification.security.listener import http_reply, listener

SECRET: Final = "canary+of/the&client=secret"
TOKEN: Final = "canary-of-the-token.abc_~+/="


@dataclass(frozen=True, slots=True)
class Case:
    """A response and its effect: an error, or TOKEN in the upgrade and `requests` token requests in two calls."""

    name: str
    answer: bytes
    error: type[BridgeError] | None = None
    requests: int = 1


def cases() -> Iterator[Case]:
    """Yield all cases."""
    yield from (Case(f"accepted: {name}", _json(ACCEPTED[name])) for name in ACCEPTED)
    yield from (Case(f"used once: {name}", _json(SINGLE_USE[name]), requests=2) for name in SINGLE_USE)
    yield from (Case(f"rejected: {name}", _json(REJECTED[name]), TokenRequestError) for name in REJECTED)
    yield from (Case(f"not JSON: {text[:20]!r}", http_reply(200, text), TokenRequestError) for text in NOT_JSON)
    echoed = json.dumps({"error": SECRET, "error_description": SECRET, "error_uri": TOKEN}).encode()
    yield from (Case(f"HTTP {status}", http_reply(status, echoed), TokenRequestError) for status in STATUSES)
    page = f"<html>{SECRET}</html>".encode()
    yield Case("an error page", http_reply(502, page, "Content-Type: text/html"), TokenRequestError)
    yield Case("an error with line breaks", http_reply(400, b'{"error": "a\\r\\n[31mb"}'), TokenRequestError)
    yield Case(
        "a redirect with the secret", http_reply(307, b"", f"Location: http://127.0.0.1:1/{SECRET}"), TokenRequestError
    )
    yield Case("10 MB", http_reply(200, b" " * (10 << 20)), ConnectError)
    yield Case("not HTTP", b"SSH-2.0-" + SECRET.encode() + b"\r\n", ConnectError)
    yield Case("a truncated body", http_reply(200, b'{"access')[:-4], ConnectError)
    yield Case(
        "a header of 200,000 bytes", b"HTTP/1.1 200 X\r\n" + b"X-A: " + b"a" * 200_000 + b"\r\n\r\n", ConnectError
    )
    yield Case("an invalid compressed body", http_reply(200, b"x", "Content-Encoding: gzip"), TokenRequestError)
    yield Case("no response", b"", ConnectError)


def _json(answer: Any) -> bytes:
    return http_reply(200, json.dumps(answer).encode(), "Content-Type: application/json")


def _token(**more: Any) -> dict[str, Any]:
    return {"access_token": TOKEN, "token_type": "Bearer", "expires_in": 3600, **more}


ACCEPTED: Final = {
    "a usual response": _token(),
    "lower case": _token(token_type="bearer"),
    "a lifetime as text": _token(expires_in="3600"),
    "a huge lifetime": _token(expires_in=10**30),
    "an endless lifetime": _token(expires_in="inf"),
    "an invalid lifetime": _token(expires_in="soon"),
    "no lifetime": _token(expires_in=None),
    "an object as lifetime": _token(expires_in={"a": 1}),
    "NaN as lifetime": _token(expires_in="nan"),
    "a fraction": _token(expires_in=3600.5),
    "no type": {"access_token": TOKEN},
    "additional fields": _token(refresh_token=SECRET, scope="x", id_token=[1], more={"a": {}}),
}
SINGLE_USE: Final = {
    "a lifetime of 0": _token(expires_in=0),
    "a negative lifetime": _token(expires_in=-5),
    "a huge negative lifetime": _token(expires_in=-(10**30)),
}
REJECTED: Final = {
    "no token": {"token_type": "Bearer"},
    "another name": {"token": TOKEN},
    "an empty token": _token(access_token=""),
    "null": _token(access_token=None),
    "a number": _token(access_token=5),
    "a list": _token(access_token=[TOKEN]),
    "line breaks": _token(access_token=f"{TOKEN}\r\nX-Injected: 1"),
    "a line break at the end": _token(access_token=f"{TOKEN}\n"),
    "a space": _token(access_token=f"{TOKEN} x"),
    "not ASCII": _token(access_token=f"{TOKEN}é"),
    "NUL": _token(access_token=f"{TOKEN}\0"),
    "quotes": _token(access_token=f'"{TOKEN}"'),
    "too long": _token(access_token="a" * 5000),
    "another type": _token(token_type="mac"),
    "an invalid type": _token(token_type=5),
    "not an object": [_token()],
    "a text": TOKEN,
    "an error with 200": {"error": SECRET},
}
NOT_JSON: Final = (
    *(
        b"",
        b"null",
        b"{",
        SECRET.encode(),
        b"<html></html>",
        b"[" * 60_000,
        b"9" * 6_000,
        b"\xff\xfe",
        b"\xef\xbb\xbf{}",
    ),
    *(f"access_token={TOKEN}&token_type=bearer".encode(), b'{"access_token": NaN}', b'{"access_token": "\\ud800"}'),
)
STATUSES: Final = (201, 204, 301, 302, 303, 308, 400, 401, 403, 404, 429, 500, 503)


async def measure(size: Size) -> Sequence[Figure]:
    """Test every response with both ways to send the client secret."""
    failures: list[str] = []
    count = 0
    async with endpoint() as served:
        for case in cases():
            for method in ("post", "basic"):
                failures += [f"{case.name}: {problem}" for problem in await _check_case(case, method, served)]
                count += 1
    result = f"{len(failures)} failures in {count}" + (f", such as {failures[0]}" if failures else "")
    return [Figure("S13", "responses of a token endpoint", result, "0 in >= 40", not failures and count >= 40)]


async def _check_case(case: Case, method: str, served: Endpoint) -> list[str]:
    async with listener(lambda request: case.answer) as tokens:
        credentials = {"client_id": "id", "client_secret": SECRET, "auth_method": method}
        auth = {"auth_type": "oauth2", "token_url": f"http://127.0.0.1:{tokens.port}/t", **credentials}
        document = {"name": "m", "url": served.url, "auth": auth, "tools": [{"name": "t"}], "keep_alive": False}
        served.connections.clear()
        async with open_bridge({**document, "limits": {"connect_timeout": 0.5}}) as bridge:
            errors = [await _error(bridge.call_tool("m.t")) for _ in range(1 if case.error else 2)]
        requests = len(await tokens.settle())
    sent = {connection.request.headers.get("Authorization") for connection in served.connections if connection.request}
    if case.error is None:
        problems = [] if sent == {f"Bearer {TOKEN}"} and errors == [None, None] else [f"{errors} {sent}"]
        return problems + ([] if requests == case.requests else [f"{requests} requests for a token"])
    text = "".join(traceback.format_exception(errors[0])) + repr(errors[0])
    problems = [] if type(errors[0]) is case.error and not sent else [f"{errors[0]!r}"]
    return problems + [f"shows {secret!r}" for secret in (SECRET, TOKEN) if secret in text]


async def _error(call: Any) -> BridgeError | None:
    try:
        await call
    except BridgeError as failed:
        return failed
    return None


if __name__ == "__main__":
    run(measure)
