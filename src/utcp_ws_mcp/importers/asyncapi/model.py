"""A document of AsyncAPI 2 or 3, in the words of version 3."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ...records import Record, field


class Message(Record):
    """A message.

    Attributes:
        name: Its key or name in the document.
        key: Its key in the channel.
        payload: The schema of its payload.
        correlation: The location of its correlation ID, a runtime expression, if the document declares one.
        content_type: Its content type; empty if the document names none.
        texts: Its summary, title and description.
        schema_format: The format of the schema of its payload; empty for the usual one.
        responses: The messages that answer it, where an extension of version 2 says so.
        is_text: Whether it is a plain text, and no JSON.
        has_headers: Whether the document describes headers of it.
    """

    name: str
    payload: Any
    correlation: str | None = None
    content_type: str = ""
    texts: Sequence[Any] = ()
    schema_format: str = ""
    key: str = ""
    responses: Sequence[Message] = ()
    is_text: bool = False
    has_headers: bool = False


class Channel(Record):
    """A channel: `servers` are the keys of the servers that it is restricted to; `parameters` those of its address."""

    key: str
    address: str | None
    messages: Mapping[str, Message]
    parameters: Mapping[str, Any] = field(default_factory=dict)
    bindings: Mapping[str, Any] = field(default_factory=dict)
    servers: Sequence[str] = ()
    texts: Sequence[Any] = ()


class ApiOperation(Record):
    """An operation. `receives`: whether the application that is described receives its messages.

    `replies` are the messages that answer; None if the document does not say that there is a reply. `security` are
    the security schemes of which one is needed.
    """

    key: str
    receives: bool
    channel: Channel
    messages: Sequence[Message]
    replies: Sequence[Message] | None = None
    texts: Sequence[Any] = ()
    tags: Sequence[str] = ()
    deprecated: bool = False
    security: Sequence[Mapping[str, Any]] = ()

    @property
    def all_messages(self) -> Sequence[Message]:
        """Return its messages and those that answer them."""
        answers = [answer for message in self.messages for answer in message.responses]
        return [*self.messages, *(self.replies or ()), *answers]


def are_texts(messages: Sequence[Message]) -> bool:
    """Return whether messages are plain texts, all of them."""
    return bool(messages) and all(each.is_text for each in messages)


class ApiServer(Record):
    """A server.

    Attributes:
        key: Its key in the document.
        url: Its URL with defaults filled in.
        protocol: Its protocol.
        security: The security schemes of which one is needed.
        bindings: Its bindings to WebSocket.
    """

    key: str
    url: str
    protocol: str
    security: Sequence[Mapping[str, Any]] = ()
    bindings: Mapping[str, Any] = field(default_factory=dict)


class Api(Record):
    """A whole document.

    Attributes:
        title: Its title.
        version: The version that it says.
        servers: Its servers.
        operations: Its operations.
        schemes: Its security schemes by their key.
        problems: Operations that cannot be read, with the reason.
        notes: What was assumed.
        is_version_2: Whether it has the form of version 2, whatever version it says.
    """

    title: str
    version: str
    servers: Sequence[ApiServer]
    operations: Sequence[ApiOperation]
    schemes: Mapping[str, Mapping[str, Any]]
    problems: Sequence[tuple[str, str]] = ()
    notes: Sequence[str] = ()
    is_version_2: bool = False
