"""The last search for credentials, in the lines and response bodies that go to hosts.

Results, errors and lists are redacted where they are made. Whatever else reaches a host passes here, too: answers of
the SDK's server, progress, resources, pages. A message without a credential passes unchanged; any other one is read,
and its strings are redacted one by one, so that it stays JSON.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any, Final

from ..core.codecs.message import encode_json, to_json_safe
from ..observability.redaction import redact_strings
from .stdio.protocol_versions import INTERNAL_ERROR

MAX_JOINED_LENGTH: Final = 1 << 16
"""Parts of a line that are longer are written separately instead of being joined: joining copies them."""

_SSE_DATA: Final = "data: "
Guard = Callable[[str], str]
AsgiMessage = dict[str, Any]


def encode_line(parts: Iterable[str], guard: Guard) -> list[bytes]:
    """Return a JSON-RPC message as bytes with a line break, in few chunks, without credentials.

    Characters that UTF-8 cannot encode are replaced. Large parts are not copied; each is released once it is encoded.
    """
    small: list[str] = []
    chunks: list[bytes] = []
    is_clean = True
    for part in parts:
        if len(part) < MAX_JOINED_LENGTH:
            small.append(part)
        else:
            joined = "".join(small)
            is_clean = is_clean and guard(joined) is joined and guard(part) is part
            chunks += (joined.encode("utf-8", "replace"), part.encode("utf-8", "replace"))
            small = []
    rest = "".join((*small, "\n"))
    is_clean = is_clean and guard(rest) is rest
    chunks.append(rest.encode("utf-8", "replace"))
    if is_clean:
        return chunks
    return [f"{guard_message(b''.join(chunks).decode(), guard)}\n".encode("utf-8", "replace")]


def guard_message(message: str, guard: Guard) -> str:
    """Return a JSON-RPC message without credentials. What the host itself chose, its ids, is not changed."""
    value = json.loads(message)
    safe = _keep_ids(value, redact_strings(value, guard)) if isinstance(value, dict) else redact_strings(value, guard)
    line = encode_json(to_json_safe(safe))
    return line if guard(line) == line or _only_in_ids(value, guard) else _refusal(value)


def _keep_ids(value: dict[str, Any], safe: dict[str, Any]) -> dict[str, Any]:
    params, safe_params = value.get("params"), safe.get("params")
    if isinstance(params, dict) and "progressToken" in params and isinstance(safe_params, dict):
        safe["params"] = {**safe_params, "progressToken": params["progressToken"]}
    return {**safe, "id": value["id"]} if "id" in value else safe


def _only_in_ids(value: Any, guard: Guard) -> bool:
    if not isinstance(value, dict):
        return False
    params = value.get("params")
    ids = (value.get("id"), params.get("progressToken") if isinstance(params, dict) else None)
    return any(isinstance(each, str) and guard(each) != each for each in ids)


def _refusal(value: Any) -> str:
    """Return what replaces a message whose structure spells a credential: an error, or nothing that says something."""
    if not isinstance(value, dict) or "id" not in value:
        return '{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"error","data":"withheld"}}'
    error = {"code": INTERNAL_ERROR, "message": "the answer contained a credential"}
    return encode_json({"jsonrpc": "2.0", "id": value["id"], "error": error})


def guard_body(body: str, guard: Guard) -> str:
    """Return a response body without credentials: JSON, events whose data is JSON, or plain text."""
    if guard(body) is body:
        return body
    try:
        if body.lstrip().startswith("{"):
            return guard_message(body, guard)
        lines = body.splitlines(keepends=True)
        return "".join(_guard_event_line(line, guard) for line in lines)
    except ValueError:
        return guard(body)


def _guard_event_line(line: str, guard: Guard) -> str:
    if not line.startswith(_SSE_DATA):
        return guard(line)
    text = line.removeprefix(_SSE_DATA)
    end = text[len(text.rstrip("\r\n")) :]
    return _SSE_DATA + guard_message(text, guard) + end


class GuardMiddleware:
    """Passes the body of every response through the guard."""

    def __init__(self, app: Any, guard: Guard) -> None:
        self._app = app
        self._guard = guard

    async def __call__(self, scope: AsgiMessage, receive: Any, send: Any) -> None:
        """Serve one request. A head with a length is sent with the body, which may get another length."""
        head: list[AsgiMessage] = []

        async def guarded(message: AsgiMessage) -> None:
            if message["type"] == "http.response.start" and any(
                name.lower() == b"content-length" for name, _ in message["headers"]
            ):
                head.append(message)
                return
            if message["type"] == "http.response.body":
                body = bytes(message.get("body", b""))
                safe = self._guarded_bytes(body)
                if head:
                    await send(_with_length(head.pop(), len(safe) - len(body)))
                message = {**message, "body": safe}
            await send(message)

        await self._app(scope, receive, guarded)

    def _guarded_bytes(self, body: bytes) -> bytes:
        text = body.decode("utf-8", "replace")
        safe = guard_body(text, self._guard)
        return body if safe is text else safe.encode("utf-8", "replace")


def _with_length(head: AsgiMessage, difference: int) -> AsgiMessage:
    if not difference:
        return head
    headers = [
        (name, str(int(value) + difference).encode()) if name.lower() == b"content-length" else (name, value)
        for name, value in head["headers"]
    ]
    return {**head, "headers": headers}
