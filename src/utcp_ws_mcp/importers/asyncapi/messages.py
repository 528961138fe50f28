"""The forms of the messages of a document that a manifest can express."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress

from ..failures import Inexpressible
from ..model import Skipped
from ..schemas import Schemas
from .model import Api, ApiOperation, Message
from .payloads import Payload, forms, with_kind
from .requests import check_expressible


class Messages:
    """Finds the forms of messages. Those that cannot be expressed are added to `skipped`, with the reason."""

    def __init__(self, api: Api, schemas: Schemas, skipped: list[Skipped], *, is_socketio: bool) -> None:
        self._skipped = skipped
        self._schemas = schemas
        self._is_socketio = is_socketio
        self._kinds = frozenset(self._find_kinds(api))

    def _find_kinds(self, api: Api) -> Iterator[str]:
        """Yield the properties whose constants are the keys of their messages: where one is missing, it is the key."""
        for message in (each for operation in api.operations for each in operation.messages):
            for payload in forms(message.name, message.payload, self._schemas):
                match payload.kind:
                    case ((name,), value) if value == message.key:
                        yield str(name)

    def forms_of(self, message: Message) -> list[Payload]:
        """Return the forms of a message.

        Raises:
            Inexpressible: if it cannot be written as a template.
        """
        check_expressible(message)
        found = forms(message.name, message.payload, self._schemas)
        if self._is_socketio:  # its name says what it is
            return found if len(found) == 1 else [Payload(message.name, self._schemas.peek(message.payload), {})]
        if len(found) > 1:
            return found
        return [with_kind(each, message.key, self._kinds) for each in found]

    def of_operation(self, operation: ApiOperation) -> list[tuple[Message, Payload]]:
        """Return the messages of an operation with their forms; others are skipped, unless that leaves none.

        Raises:
            Inexpressible: if it has no message that can be written as a template.
        """
        listed: list[tuple[Message, Payload]] = []
        reasons: list[tuple[Message, Inexpressible]] = []
        for message in operation.messages:
            try:
                listed += [(message, payload) for payload in self.forms_of(message)]
            except Inexpressible as reason:
                reasons.append((message, reason))
        if not listed:
            raise reasons[0][1] if reasons else Inexpressible("it has no message")
        skipped = (f"the message {message.name}, because {reason}" for message, reason in reasons)
        self._skipped += [Skipped(operation.key, reason) for reason in skipped]
        return listed

    def with_correlation(self, messages: Sequence[Message]) -> list[tuple[Payload, str | None]]:
        """Return the forms of messages, with the location of the correlation ID of each.

        Raises:
            Inexpressible: if one of them cannot be written as a template.
        """
        return [(payload, each.correlation) for each in messages for payload in self.forms_of(each)]

    def incoming(self, events: Sequence[ApiOperation]) -> Iterator[tuple[Payload, str | None]]:
        """Yield the same for what the endpoint sends by itself, as far as it can be expressed."""
        for message in (message for event in events for message in event.messages):
            with suppress(Inexpressible):
                yield from self.with_correlation([message])
