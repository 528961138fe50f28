"""The call templates of a document: one for each URL that its channels have."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress

from ..failures import Inexpressible
from ..model import Document
from ..naming import free_name
from .connections import Connection, Connections
from .model import Api, ApiOperation, Channel, are_texts
from .socketio import PRESET


class Endpoints:
    """Finds the call template of each channel; channels of one URL share one.

    Attributes:
        fields: The fields of each call template, by its key.
        variables: The variables that have to be set, and what they are.
    """

    def __init__(self, api: Api, connections: Connections) -> None:
        self.fields: dict[str, Document] = {}
        self.variables: dict[str, str] = {}
        self._connections = connections
        self._keys: dict[str, str] = {}
        self._operations: dict[str, list[ApiOperation]] = {}
        for each in api.operations:
            with suppress(Inexpressible):
                self._operations.setdefault(connections.of(each.channel).key, []).append(each)

    @property
    def is_socketio(self) -> bool:
        """Return whether messages are events of Socket.IO."""
        return self._connections.preset == PRESET

    def of(self, channel: Channel) -> tuple[str, Connection]:
        """Return the key of the call template of a channel, and the connection."""
        connection = self._connections.of(channel)
        if connection.key not in self._keys:
            path = connection.url.partition("://")[2].partition("/")[2].partition("?")[0]
            self._keys[connection.key] = free_name(path, self._keys.values())
            preset = {"preset": self._connections.preset} if self._connections.preset else {}
            every = [message for each in self._operations[connection.key] for message in each.all_messages]
            form = "text" if are_texts(every) and not self.is_socketio else "json"
            self.fields[self._keys[connection.key]] = {**connection.fields, **preset, "response_format": form}
            self.variables |= connection.variables
        return self._keys[connection.key], connection

    def operations_at(self, connection: Connection) -> Sequence[ApiOperation]:
        """Return the operations whose messages a connection carries."""
        return self._operations[connection.key]

    def notes(self) -> Iterator[str]:
        """Yield what the endpoints are."""
        urls = [str(each["url"]) for each in self.fields.values()]
        more = f" and {len(urls) - 3} more" if len(urls) > 3 else ""
        if urls:
            yield f"Endpoint{'s' * (len(urls) > 1)}: {', '.join(urls[:3])}{more}."
