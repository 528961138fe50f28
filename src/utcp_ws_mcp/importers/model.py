"""What importers return: the operations of a description, and the endpoints that they belong to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any, Final

from ..records import Record, field

Document = dict[str, Any]

MAX_DESCRIPTION: Final = 500
"""Characters of a description; models read the descriptions of all tools."""


class Format(StrEnum):
    """The kinds of descriptions."""

    ASYNCAPI = "asyncapi"
    OPENRPC = "openrpc"
    GRAPHQL = "graphql"
    CDP = "cdp"
    OBS = "obs"
    HOMEASSISTANT = "homeassistant"
    HAR = "har"
    JSON_SCHEMA = "json-schema"


TITLES: Final[Mapping[Format, str]] = {
    Format.ASYNCAPI: "AsyncAPI",
    Format.OPENRPC: "OpenRPC",
    Format.GRAPHQL: "GraphQL",
    Format.CDP: "Chrome DevTools Protocol",
    Format.OBS: "obs-websocket",
    Format.HOMEASSISTANT: "Home Assistant",
    Format.HAR: "HAR",
    Format.JSON_SCHEMA: "JSON Schema",
}
"""How a report names the formats."""


class Status(StrEnum):
    """How stable an operation is."""

    STABLE = "stable"
    DEPRECATED = "deprecated"
    EXPERIMENTAL = "experimental"


class ImportOptions(Record):
    """The options of `import` that decide what comes out.

    Attributes:
        url: The endpoint, instead of that of the document.
        viewpoint: Whose view an AsyncAPI document has: `server`, `client`, or `auto`.
        include: Glob patterns of operations; only these are imported.
        exclude: Glob patterns of operations that are left out.
        tags: Tags; only operations with one of them are imported.
        read_only: Whether operations that may change something are left out.
        everything: Whether nothing is left out by default.
        events: What becomes of events: `feeds`, `streams` or `none`.
        depth: Levels of objects that a GraphQL query selects.
        params: How JSON-RPC parameters are sent where the document does not say it: `position` or `name`.
        preset: The preset of the endpoint, instead of the one that belongs to the format.
    """

    url: str | None = None
    viewpoint: str = "auto"
    include: Sequence[str] = ()
    exclude: Sequence[str] = ()
    tags: Sequence[str] = ()
    read_only: bool = False
    everything: bool = False
    events: str = "feeds"
    depth: int = 1
    params: str | None = None
    preset: str | None = None


class Event(Record):
    """One kind of event. All events of a feed are read together.

    Attributes:
        feed: The name of the feed.
        subject: The expression of what says which event it is, such as `message.method`.
        value: The value of the subject for this event; None if any value of it is one.
        fields: The other fields of the feed, such as its subscription; the same for all of its events.
    """

    feed: str
    subject: str
    value: Any
    fields: Document = field(default_factory=dict)


class Operation(Record):
    """One operation of a description: a tool, a feed of its own, or an event of a feed.

    Attributes:
        name: The name in the document, or that of its message where an operation has several.
        tool: The tool, if it is one.
        feed: The feed, if the operation is a subscription.
        event: The event, if the operation is one.
        endpoint: The key of its endpoint.
        tags: The tags in the document.
        read_only: Whether it changes nothing, by the document or by its name.
        status: How stable it is.
        only_if_asked: Whether it is imported only if the options ask for it.
        sources: The operations of the document that it stands for; by default the one of its name.
    """

    name: str
    tool: Document | None = None
    feed: Document | None = None
    event: Event | None = None
    endpoint: str = ""
    tags: Sequence[str] = ()
    read_only: bool = False
    status: Status = Status.STABLE
    only_if_asked: bool = False
    sources: Sequence[str] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Return the operations of the document that it stands for."""
        return tuple(self.sources) or (self.name,)


class Skipped(Record):
    """An operation that cannot be expressed or is no use, and why."""

    name: str
    reason: str


class Description(Record):
    """A description that was read.

    Attributes:
        title: The name of the API.
        format: The kind of the description.
        version: The version of the format, for the report.
        endpoints: The fields of each endpoint besides its name and tools, by a key.
        operations: The operations, in the order of the document.
        skipped: The operations that are not imported whatever the options are.
        notes: What was assumed, with the reasons.
        variables: The variables that have to be set, and what they are.
    """

    title: str
    format: Format
    endpoints: Mapping[str, Document]
    operations: Sequence[Operation]
    version: str = ""
    skipped: Sequence[Skipped] = ()
    notes: Sequence[str] = ()
    variables: Mapping[str, str] = field(default_factory=dict)
