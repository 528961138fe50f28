"""What the error of a timeout says: the last message, and what to write where rules could not recognize one."""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from ..core.codecs.message import Message, decode, encode_json, text_or_bytes
from ..core.exchange.exchange import Exchange, correlation_id_at
from ..core.exchange.last_messages import FATES
from ..core.exchange.reply_rules import Role
from ..core.expressions.paths import Path

if TYPE_CHECKING:
    from .connection import Connection

MAX_FAILURES_SHOWN: Final = 2
"""Predicates that could not be evaluated, in the error of a call that timed out."""

MAX_ID_DEPTH: Final = 4
"""Levels of a message in which the ID of a request is searched for."""

MAX_MEMBERS: Final = 200
"""Members that are searched on each level."""

UNMATCHED: Final = "did not match"
"""The fate of a message that no rule recognized."""

_OF_THE_CALL: Final = {"request_id", "args", "let"}
"""Names by which a predicate distinguishes calls of one tool."""

_NAME: Final = re.compile(r"[A-Za-z_]\w{0,39}\Z", re.ASCII)


def hint_for(exchange: Exchange, connection_failures: Mapping[str, str]) -> str:
    """Return what to write about an exchange that timed out: the type of its id, and predicates that fail.

    Args:
        exchange: The exchange.
        connection_failures: The predicates of the connection that could not be evaluated, and why.
    """
    own = {source: f"{exchange.rules.field_of(source)}: {why}" for source, why in exchange.scope.failures.items()}
    failures = {**connection_failures, **own}
    return " ".join(filter(None, (_id_hint(exchange), *list(failures.values())[:MAX_FAILURES_SHOWN])))


def last_message_for(connection: Connection, exchange: Exchange) -> tuple[Message | None, str]:
    """Return the last message since a request that did not answer it, and what became of it."""
    since = connection.dispatcher.messages.since(exchange.opened_after)
    message, role = since or exchange.skipped or (None, Role.DROPPED)
    return message, FATES.get(role, UNMATCHED)


def other_field_hint(exchange: Exchange, message: Message | None, fate: str) -> str:
    """Return what to write if a message that did not match has the ID of the request elsewhere than `match` says."""
    compared = exchange.rules.correlation_path
    if message is None or compared is None or fate != UNMATCHED or exchange.mistyped_id is not None:
        return ""
    found = _find_id(message, exchange.request_id)
    if found is None or found == compared:
        return ""
    field = "".join(f".{step}" if isinstance(step, str) else f"[{step}]" for step in found)
    return (
        f"It has the ID of the request in message{field}. If it is the reply, compare that: "
        f'"match": "message{field} == request_id".'
    )


def _find_id(message: Message, request_id: int | str) -> Path | None:
    """Return the shortest path of an ID in a message; of keys, only names, which are safe to show in an error."""
    level: list[tuple[Path, Any]] = [((), message.value)]
    for _ in range(MAX_ID_DEPTH):
        below: list[tuple[Path, Any]] = []
        for path, value in level:
            if isinstance(value, dict):
                named = ((key, each) for key, each in value.items() if isinstance(key, str) and _NAME.match(key))
                below += (((*path, key), each) for key, each in islice(named, MAX_MEMBERS))
            elif isinstance(value, list):
                below += (((*path, index), each) for index, each in enumerate(value[:MAX_MEMBERS]))
        level = below[:MAX_MEMBERS]
        for path, _ in level:
            if correlation_id_at(message, path) == request_id:
                return path
    return None


def passed_over_hint(exchange: Exchange, *, of_feed: bool = False) -> str:
    """Return what to write if a message for which `match` was true answered an earlier call.

    `of_feed`: the exchange opens a feed, with `expect` of a step in place of `match`.
    """
    match = exchange.rules.match
    # A match that is the same for all calls assigns replies in the order of the calls: this one was not answered.
    if not exchange.passed_over or match is None or not _OF_THE_CALL & set(match.names):
        return ""
    if of_feed:
        return (
            'A message for which "expect" holds confirmed another feed. If one message confirms several, set '
            '"answers_all": true in this step.'
        )
    return (
        'A message for which "match" holds answered an earlier call. If one message answers several calls, set '
        '"answers_all": true in "reply".'
    )


def undecoded_hint(connection: Connection, message: Message | None) -> str:
    """Return what to write if a message could not be decoded: another length, another codec."""
    return connection.explain_misfit(message) or _binary_hint(connection, message)


def _binary_hint(connection: Connection, message: Message | None) -> str:
    """Return what to write if a message is binary and the codec reads only text: rules see bytes then."""
    reads_text = connection.state.rules.framing.codec == "json"
    if message is None or message.decoded or not isinstance(message.raw, bytes) or not reads_text:
        return ""
    text = text_or_bytes(message.raw)
    if isinstance(text, bytes):
        return (
            'The message is binary. If it is MessagePack, CBOR or Protobuf, set the codec of "framing"; other '
            "formats are read with filters such as unpack."
        )
    if decode(text).is_json:
        return (
            'The message is binary, so that rules see bytes, not JSON. Set "send_as": "binary" to send and read JSON '
            "in binary messages, or read it with message | from_json."
        )
    return 'The message is binary, so that rules see bytes, not text. Set "framing": {"codec": "text"}.'


def _id_hint(exchange: Exchange) -> str:
    """Return what to write if a reply came whose id has another JSON type than that of the request."""
    mistyped = exchange.mistyped_id
    if mistyped is None:
        return ""
    kinds = ("a string", "a number") if isinstance(mistyped, str) else ("a number", "a string")
    setting = "string_counter" if isinstance(mistyped, str) else "counter"
    return (
        f"A reply had the id {encode_json(mistyped)}, {kinds[0]}, where that of the request is {kinds[1]}. Set "
        f'"request_id": "{setting}".'
    )
