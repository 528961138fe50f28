"""Name what a document says and a manifest of it does not: nothing is left out in silence."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from ..model import Operation
from .connections import PARAMETER, Connections
from .model import Api, Channel

MAX_NAMES: Final = 6
"""Names that one note lists."""

_SUBSCRIBES: Final = re.compile(r"(?<!un)subscribe", re.IGNORECASE)


def loss_notes(api: Api, connections: Connections, operations: Sequence[Operation]) -> Iterator[str]:
    """Yield what is not expressed, and what the user can do.

    Args:
        api: The document.
        connections: What its channels became.
        operations: What its operations became.
    """
    yield from _other_servers(api, connections)
    channels = {each.channel.key: each.channel for each in api.operations}
    yield from _parameters(channels.values(), connections)
    named = dict.fromkeys(each.name for one in api.operations for each in one.all_messages if each.has_headers)
    if named:
        yield f"Not expressed: the headers of {_listed(named)}. A message of a WebSocket has none."
    yield from _subscriptions(operations)


def _other_servers(api: Api, connections: Connections) -> Iterator[str]:
    used = {key for each in api.operations for key in each.channel.servers}
    others = [
        f"{each.key} ({each.url})"
        for each in api.servers
        if each.url.startswith(("ws://", "wss://")) and each.key not in used and each.url != connections.server.url
    ]
    if others and not connections.is_given:
        yield f"Other servers: {_listed(others)}. --url chooses one of them."


def _parameters(channels: Iterable[Channel], connections: Connections) -> Iterator[str]:
    """Yield the parameters of addresses that are no path, unless they say where they are in a message."""
    for channel in channels:
        address = channel.address or ""
        names = [name for name in PARAMETER.findall(address) if "location" not in channel.parameters.get(name, {})]
        if names and not connections.is_path(channel):
            yield (
                f"Not expressed: {_listed(names)} in the address {address}, which is read as a name, not as a path. "
                "If it is a path, begin it with / in the document."
            )


def _subscriptions(operations: Sequence[Operation]) -> Iterator[str]:
    """Yield the tools that subscribe: what an endpoint sends after them goes to the connection of the call."""
    heard = {each.endpoint for each in operations if each.event is not None}
    tools = [
        each.name
        for each in operations
        if each.tool is not None and each.endpoint in heard and _SUBSCRIBES.search(each.name)
    ]
    if tools:
        yield (
            f"Feeds do not subscribe by themselves: if the endpoint sends events only after {_listed(tools)}, copy the "
            "message of that tool into `open` of the feed."
        )


def _listed(names: Iterable[str]) -> str:
    found = list(names)
    more = f" and {len(found) - MAX_NAMES} more" if len(found) > MAX_NAMES else ""
    return f"{', '.join(found[:MAX_NAMES])}{more}"
