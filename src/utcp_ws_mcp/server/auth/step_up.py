"""Challenge a call that needs another scope before it is made, so that the client can ask its user for it.

MCP's authorization specification calls this step-up authorization: the answer has to be HTTP 403 with the scope. The
call itself checks again (`ToolService.call`), for calls that reach it in another way.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from ..http.security import Rejection
from ..tools import ToolService
from .access import Caller
from .resource_server import ResourceServer


def check_scopes(
    tools: ToolService, resource_server: ResourceServer, names: Iterable[str], caller: Caller
) -> Rejection | None:
    """Return the challenge for the first called tool that the caller's scopes do not allow, or None."""
    for name in names:
        needed = tools.missing_scopes(name, caller)
        if needed is not None:
            return resource_server.insufficient_scope(caller, needed)
    return None


def called_tools(body: bytes) -> Iterator[str]:
    """Yield the names of the tools that the messages in a body call. A body that is malformed calls none."""
    if b"tools/call" not in body:
        return
    try:
        messages: Any = json.loads(body)
    except (ValueError, RecursionError):
        return
    for message in messages if isinstance(messages, list) else [messages]:
        match message:
            case {"method": "tools/call", "params": {"name": str(name)}}:
                yield name
