"""What the endpoint sends by itself: the events of feeds."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from ...recorder.messages import path_expression
from ..assembly import ANYTHING
from ..failures import Inexpressible
from ..model import Document, Event, Operation, Skipped, Status
from ..naming import summarize, without_accents
from ..schemas import Schemas
from .connections import Connection
from .endpoints import Endpoints
from .messages import Messages
from .model import ApiOperation, Channel
from .payloads import Payload, forms, predicate
from .socketio import SUBJECT


class Events:
    """Makes events of messages. Operations that make none are added to `skipped`, with the reason."""

    def __init__(
        self, title: str, schemas: Schemas, endpoints: Endpoints, messages: Messages, skipped: list[Skipped]
    ) -> None:
        self._skipped = skipped
        self._title = title
        self._schemas = schemas
        self._endpoints = endpoints
        self._messages = messages

    def of(self, operation: ApiOperation) -> Iterator[Operation]:
        """Yield the events of an operation."""
        try:
            endpoint, connection = self._endpoints.of(operation.channel)
            listed = [payload for _, payload in self._messages.of_operation(operation)]
            events = [(payload, self._event(operation, payload, listed, connection)) for payload in listed]
        except Inexpressible as reason:
            self._skipped.append(Skipped(operation.key, str(reason)))
            return
        unclear = [payload.name for payload, event in events if event is None]
        if unclear:
            what = "its messages" if len(unclear) == len(events) else f"the messages {', '.join(unclear)}"
            self._skipped.append(Skipped(operation.key, f"nothing in {what} distinguishes them from others"))
        for payload, event in events:
            if event is None:
                continue
            yield Operation(
                payload.name if len(listed) > 1 else operation.key,
                event=event,
                endpoint=endpoint,
                tags=operation.tags,
                read_only=True,
                status=Status.DEPRECATED if operation.deprecated else Status.STABLE,
                sources=(operation.key,),
            )

    def _event(
        self, operation: ApiOperation, payload: Payload, others: Sequence[Payload], connection: Connection
    ) -> Event | None:
        """Return the event that a message is, or None if nothing says which messages are."""
        channel = operation.channel
        text = summarize(*channel.texts, f"What {self._title} sends by itself.", name=channel.key)
        fields: Document = {"description": text}
        if connection.inputs:
            required = {"required": list(connection.required)} if connection.required else {}
            fields["inputs"] = self._schemas.complete(
                {"type": "object", "properties": dict(connection.inputs), **required, "additionalProperties": False}
            )
        name = _feed_name(connection, channel)
        if self._endpoints.is_socketio:
            return Event(name, SUBJECT, payload.name, fields)
        if payload.kind is not None:
            return Event(name, path_expression(payload.kind[0]), payload.kind[1], fields)
        neighbours = self._endpoints.operations_at(connection)
        rest = [each for each in others if each is not payload]
        found = predicate(payload, [*rest, *self._messages_of(operation, neighbours)])
        if found is None and len(neighbours) == 1:  # everything that comes is one of its messages
            found = ANYTHING
        return Event(name, found, None, fields) if found else None

    def _messages_of(self, operation: ApiOperation, neighbours: Sequence[ApiOperation]) -> Iterator[Payload]:
        """Yield the messages of the other operations of a connection, and all replies."""
        for each in neighbours:
            listed = [*(each.messages if each is not operation else ()), *(each.replies or ())]
            for message in listed:
                yield from forms(message.name, message.payload, self._schemas)


def _feed_name(connection: Connection, channel: Channel) -> str:
    """Return the name of the feed of a channel: that of its path, or of the connection."""
    plain = re.sub(r"\{\{.*?\}\}", "", connection.url).partition("://")[2].partition("/")[2].partition("?")[0]
    own = without_accents(plain if connection.own_path else channel.key)
    name = re.sub(r"[^A-Za-z0-9]+", "_", own).strip("_")[:24].strip("_") or "messages"
    return name if name[0].isalpha() else f"feed_{name}"
