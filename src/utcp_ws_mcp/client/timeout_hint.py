"""What the error of a timeout says: the last message, and what to write where rules could not recognize one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from ..core.codecs.message import Message, decode, encode_json, text_or_bytes
from ..core.exchange.exchange import Exchange
from ..core.exchange.last_messages import FATES
from ..core.exchange.reply_rules import Role

if TYPE_CHECKING:
    from .connection import Connection

MAX_FAILURES_SHOWN: Final = 2
"""Predicates that could not be evaluated, in the error of a call that timed out."""


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
    return message, FATES.get(role, "did not match")


def binary_hint(connection: Connection, message: Message | None) -> str:
    """Return what to write if a message is binary and the codec reads only text: rules see bytes then."""
    reads_text = connection.state.rules.framing.codec == "json"
    if message is None or message.decoded or not isinstance(message.raw, bytes) or not reads_text:
        return ""
    text = text_or_bytes(message.raw)
    if isinstance(text, bytes):
        return (
            ' The message is binary. If it is MessagePack, CBOR or Protobuf, set the codec of "framing"; other '
            "formats are read with filters such as unpack."
        )
    if decode(text).is_json:
        return (
            ' The message is binary, so that rules see bytes, not JSON. Set "send_as": "binary" to send and read JSON '
            "in binary messages, or read it with message | from_json."
        )
    return ' The message is binary, so that rules see bytes, not text. Set "framing": {"codec": "text"}.'


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
