"""The parser of stdin: a line that a host writes."""

from __future__ import annotations

import json
from typing import Any

from utcp_ws_mcp.server.jsonrpc import read_message
from utcp_ws_mcp.server.stdio.protocol_versions import INVALID_REQUEST, PARSE_ERROR


def accept_line(data: bytes) -> None:
    """Parse a line, and check that it is forwarded, answered with a valid error, or needs no answer."""
    line = data.replace(b"\n", b" ")
    try:
        message = read_message(line)
    except ValueError as refused:
        message = json.loads(str(refused))
        assert message["error"]["code"] in {PARSE_ERROR, INVALID_REQUEST}, "not a documented error code"
    request_id = expected_id(line)
    if request_id is not None:
        assert message is not None, "a request is not answered"
        assert message["id"] == request_id, "the answer has another id"


def expected_id(line: bytes) -> Any:
    """Return the id of the answer to a line: that of a request, or None if the id cannot be encoded."""
    try:
        message = json.loads(line)
        request_id = message.get("id") if isinstance(message, dict) and "method" in message else None
        str(request_id).encode()
    except (ValueError, RecursionError):
        return None
    usable = isinstance(request_id, str | int) and not isinstance(request_id, bool)
    return request_id if usable and isinstance(message["method"], str) else None
