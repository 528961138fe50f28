"""An endpoint that returns everything that it received, in every way that an endpoint can."""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

from websockets.asyncio.server import ServerConnection
from websockets.datastructures import Headers
from websockets.http11 import Request, Response

ANSWERS: Final[Mapping[str, dict[str, Any]]] = {
    "json": {"response_format": "json"},
    "text": {"response_format": "text"},
    "no_json": {"response_format": "json"},
    "straddling": {"response_format": "json"},
    "binary": {"response_format": "text"},
    "fault": {"reply": {"error": "true"}},
    "fault_text": {"reply": {"error": "true", "error_message": "message.headers"}},
    "outputs": {"response_format": "json"},
    "stream": {"stream": {"max_items": 2}},
    "cut_stream": {"stream": True},
    "close": {},
    "abort": {},
    "silence": {"timeout": 0.3},
    "login": {"on_connect": [{"send": "hello"}, {"expect": "false", "fail": "true"}]},
    "unauthorized": {},
    "redirect": {},
    "broken": {},
    "discovery": {},
}
"""The behavior of the endpoint at each path, with the fields of the call template for it."""

_STATUSES: Final = {"/unauthorized": 401, "/redirect": 302, "/broken": 500}


def refuse(connection: ServerConnection, request: Request) -> Response | None:
    """Reject the upgrade on some paths, with the request in the response."""
    status = _STATUSES.get(request.path.partition("?")[0])
    if status is None:
        return None
    echoed = json.dumps(_echo_of(request, []))
    headers = Headers({"Location": f"http://127.0.0.1:1/{request.path}", "X-Echo": json.dumps(dict(request.headers))})
    return Response(status, HTTPStatus(status).phrase, headers, echoed.encode())


async def leak(connection: ServerConnection, message: Any) -> None:
    """Answer a message with everything that was received, in the way that the path selects."""
    assert connection.request is not None
    received = _echo_of(connection.request, message)
    text, path = json.dumps(received), connection.request.path.partition("?")[0].strip("/")
    match path:
        case "no_json":
            await connection.send(text[1:])
        case "straddling":
            for number in range(0, 240, 7):
                await connection.send(" " * (200 - number) + str(message) + str(received["headers"]))
        case "binary":
            await connection.send(b"\xff" + text.encode())
        case "close":
            await connection.close(4001, str(message)[:60] + str(received["headers"])[-60:])
        case "abort":
            connection.transport.abort()
        case "silence":
            pass
        case "stream" | "cut_stream":
            await connection.send(text)
            await connection.send(json.dumps({"type": "tool_error", "error": text}))
        case _:
            await connection.send(text)


def _echo_of(request: Request, message: Any) -> dict[str, Any]:
    return {
        "path": request.path,
        "headers": [f"{name}: {value}" for name, value in request.headers.raw_items()],
        "message": message,
    }
