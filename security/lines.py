"""The parser of stdin: what becomes of one line that a host writes."""

from __future__ import annotations

import asyncio
import json
import os
from typing import Any, Final

import anyio

from utcp_ws_mcp.mcp.reader import Reader
from utcp_ws_mcp.mcp.requests import Requests
from utcp_ws_mcp.mcp.writer import encode_message

LAST: Final = "the last line"
PATIENCE: Final = 10.0


def accept_line(data: bytes) -> None:
    """A line is passed on, or answered by an error that can be written, or needs no answer; the next one is served."""
    line = data.replace(b"\n", b" ")
    passed, answers = asyncio.run(_read(line))
    assert len(passed) + len(answers) <= 1, "a line was taken for several"
    assert all(encode_message(answer) for answer in answers), "its answer cannot be written"
    request_id = expected_id(line)
    if request_id is not None:
        assert [message.id for message in (*passed, *answers)] == [request_id], "a request stays without an answer"


async def _read(line: bytes) -> tuple[list[Any], list[Any]]:
    """What is passed on, and what is answered at once, of one line."""
    incoming, outgoing = os.pipe()
    answers: list[Any] = []
    reader = Reader(incoming, Requests(), answers.append)
    end = {"jsonrpc": "2.0", "id": LAST, "method": "ping"}
    try:
        os.write(outgoing, line + b"\n" + json.dumps(end).encode() + b"\n")
        passed: list[Any] = []
        with anyio.fail_after(PATIENCE):
            while True:
                message = (await reader.receive()).message
                if getattr(message, "id", None) == LAST:
                    return passed, answers
                passed.append(message)
    finally:
        os.close(outgoing)


def expected_id(line: bytes) -> Any:
    """The id that an answer to a line must carry: that of a request, unless nobody could write it."""
    try:
        message = json.loads(line)
        request_id = message.get("id") if isinstance(message, dict) and "method" in message else None
        str(request_id).encode()
    except (ValueError, RecursionError):
        return None
    usable = isinstance(request_id, str | int) and not isinstance(request_id, bool)
    return request_id if usable and isinstance(message["method"], str) else None
