"""Say what each message of a conversation is classified as: what a draft of a manifest is made from."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from enum import StrEnum
from typing import Any

from .correlation import RecordedExchange
from .feeds import is_event
from .manifest import Understood, understand
from .messages import HEARTBEATS, RecordedMessage, message_kind
from .replies import error_rules, find_errors


class MessageRole(StrEnum):
    """What a message is classified as."""

    GREETING = "greeting"
    LOGIN = "login"
    REQUEST = "request"
    REPLY = "reply"
    ACKNOWLEDGEMENT = "acknowledgement"
    EVENT = "event"
    ERROR = "error"
    HEARTBEAT = "heartbeat"
    QUESTION = "question"
    ANSWER = "answer"
    OTHER = "other"


def message_roles(
    endpoint: dict[str, Any], messages: Sequence[RecordedMessage], variables: Collection[str]
) -> list[MessageRole]:
    """Return the role of each message; the arguments are those of `draft_manifest`."""
    understood = understand(endpoint, messages, variables)
    roles = dict(_roles(understood))
    return [_role_of(parts, roles) for parts in understood.messages]


def _role_of(parts: Sequence[RecordedMessage], roles: dict[int, MessageRole]) -> MessageRole:
    found = [roles[id(part)] for part in parts if id(part) in roles]
    if any(_is_heartbeat(part.value) for part in parts):
        return MessageRole.HEARTBEAT
    return found[0] if found else MessageRole.OTHER


def _roles(understood: Understood) -> Iterator[tuple[int, MessageRole]]:
    conversation = understood.conversation
    if conversation.greeting is not None:
        event = is_event(conversation.greeting, conversation)
        yield id(conversation.greeting), MessageRole.EVENT if event else MessageRole.GREETING
    for message in conversation.unsolicited:
        yield id(message), MessageRole.ERROR if error_rules(message.value) else MessageRole.EVENT
    for exchange in conversation.exchanges:
        yield from _roles_of_exchange(exchange, login=any(exchange is login for login in understood.logins))
    for question in understood.questions:
        yield from ((id(each), MessageRole.QUESTION) for each in question.asked)
        yield from ((id(each.sent), MessageRole.ANSWER) for each in question.answers)


def _roles_of_exchange(exchange: RecordedExchange, *, login: bool) -> Iterator[tuple[int, MessageRole]]:
    yield id(exchange.request), MessageRole.LOGIN if login else MessageRole.REQUEST
    if exchange.ack is not None:
        yield id(exchange.ack), MessageRole.ACKNOWLEDGEMENT
    errors = {id(each) for each in find_errors(exchange.replies)}
    for reply in exchange.replies:
        yield id(reply), MessageRole.ERROR if id(reply) in errors else MessageRole.REPLY


def _is_heartbeat(value: Any) -> bool:
    kind = message_kind(value)
    word = value if isinstance(value, str) else kind[1] if kind else None
    return isinstance(word, str) and word.strip().lower() in HEARTBEATS
