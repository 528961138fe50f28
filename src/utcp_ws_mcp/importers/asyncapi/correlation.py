"""Find what says that a message answers a request."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Final

from ...core.expressions.paths import Path
from ...records import Record
from ..schemas import Schemas
from ..shapes import texts
from .payloads import Payload

_LOCATION: Final = re.compile(r"\$message\.(payload|header)#/(.+)\Z")
_NAMES: Final = (
    "id",
    "request_id",
    "requestId",
    "req_id",
    "reqId",
    "reqid",
    "requestID",
    "ref",
    "msg_id",
    "msgId",
    "message_id",
    "messageId",
    "correlation_id",
    "correlationId",
    "cid",
    "echo",
    "nonce",
    "seq",
    "rid",
    "ack_id",
    "ackId",
)
"""Names of properties that repeat the ID of a request."""


class Correlation(Record):
    """Where the ID of a request is, in the request and in its replies. `declared`: the document says so."""

    sent: Path
    received: Path
    is_number: bool
    declared: bool


def find_correlation(
    request: Payload,
    declared: str | None,
    replies: Sequence[tuple[Payload, str | None]],
    schemas: Schemas,
    parameters: Collection[Path] = (),
) -> Correlation | None:
    """Return where the ID of a request is: as the document declares it, else a property of request and replies.

    Args:
        request: The request.
        declared: The location of its correlation ID.
        replies: The replies, with the locations of theirs.
        schemas: Resolves references.
        parameters: Paths of values that are parameters of the channel, and so no IDs of requests.
    """
    sent = parse_location(declared)
    if sent is not None:
        received = next((path for _, location in replies if (path := parse_location(location))), sent)
        return Correlation(sent, received, _is_number(request, sent, schemas), declared=True)
    for name in _NAMES:
        path = (name,)
        if name not in request.properties or path in request.constants or path in parameters:
            continue
        if replies and all(name in reply.properties for reply, _ in replies):
            return Correlation(path, path, _is_number(request, path, schemas), declared=False)
    return None


def parse_location(location: Any) -> Path | None:
    """Return the path in the payload that a runtime expression means; None for headers, which messages do not have."""
    found = _LOCATION.match(location) if isinstance(location, str) else None
    if found is None or found[1] != "payload":
        return None
    return tuple(step.replace("~1", "/").replace("~0", "~") for step in found[2].split("/"))


def parameter_paths(parameters: Mapping[str, Any]) -> set[Path]:
    """Return where the parameters of a channel are in a payload, as far as their `location` says it."""
    locations = (each.get("location") for each in parameters.values() if isinstance(each, Mapping))
    return {path for location in locations if (path := parse_location(location))}


def _is_number(request: Payload, path: Path, schemas: Schemas) -> bool:
    schema: Any = request.schema
    for step in path:
        properties = schema.get("properties") if isinstance(schema, Mapping) else None
        schema = schemas.resolve(properties.get(step)) if isinstance(properties, Mapping) else None
    kind = schema.get("type") if isinstance(schema, Mapping) else None
    kinds = texts(kind if isinstance(kind, list) else [kind])
    return "string" not in kinds and bool({"integer", "number"} & {*kinds})


def correlation_notes(found: Sequence[Correlation | None], guessed: Sequence[str]) -> Iterator[str]:
    """Yield how replies are matched: for each request where its ID is, and the operations whose replies are guessed."""
    kinds: dict[str, int] = {}
    for each in found:
        if each is not None:
            how = "declared in the document" if each.declared else "found in request and replies"
            text = f"{'.'.join(map(str, each.sent))}, {how}"
            kinds[text] = kinds.get(text, 0) + 1
    without = sum(each is None for each in found)
    rest = f"; {without} request{'s have' if without > 1 else ' has'} none" if without else ""
    if kinds:
        listed = ", ".join(f"{text} ({count})" for text, count in kinds.items())
        yield f"Correlation: replies are matched by an ID of the request: {listed}{rest}."
    elif without:
        yield "Correlation: no request has an ID that its reply repeats; calls take turns on a connection."
    if guessed:
        names = ", ".join(dict.fromkeys(guessed))
        yield f"Replies that the document does not name were found by the names of messages: {names}."
