"""Draft feeds from the messages of a conversation that answer no request: one for each kind."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

from ..manifest.models.feed import FEED_NAME
from .correlation import Conversation
from .messages import (
    CATCH_ALL_PREDICATES,
    Mark,
    RecordedMessage,
    distinguishing_predicate,
    is_heartbeat,
    kind_predicate,
    message_kind,
    path_expression,
)
from .preset_forms import PresetForm
from .replies import RESULT_KEYS, subscribes

MAX_FEEDS: Final = 5
"""Feeds of a draft: each adds a tool, and kinds that are left out can be added by hand."""

_DATA_KEYS: Final = (*RESULT_KEYS, "params")
"""Keys that can hold what an event says."""

_MAX_NAME: Final = 40
"""Characters of the name of a feed; its tools have a longer one."""

_NAME = re.compile(rf"\w[\w.-]{{0,{_MAX_NAME - 1}}}\Z", re.ASCII)
"""A name that is made of a kind of events."""

_EVERYTHING: Final = "received"

Feed = dict[str, Any]


def is_event(greeting: RecordedMessage, conversation: Conversation) -> bool:
    """Return whether the first message is no greeting: nothing was sent, or its kind comes again."""
    if greeting.mark is Mark.EVENT or (not conversation.exchanges and not conversation.unsolicited):
        return True
    kinds = {kind_predicate(each.value) for each in conversation.unsolicited}
    return kind_predicate(greeting.value) in kinds - (CATCH_ALL_PREDICATES if conversation.exchanges else frozenset())


def draft_feeds(conversation: Conversation, form: PresetForm | None) -> list[Feed]:
    """Return a feed for each kind of message that answers no request, and that no subscription of a tool reads.

    Args:
        conversation: The conversation, without its logins.
        form: The form of the preset that the draft uses, if there is one.
    """
    subscribed = [
        id(event)
        for exchange in conversation.exchanges
        if exchange.replies and subscribes(exchange.request.value)
        for event in exchange.events
    ]
    events = [each.value for each in conversation.unsolicited if id(each) not in subscribed]
    greeting = conversation.greeting
    if greeting is not None and form is None and is_event(greeting, conversation):
        events.insert(0, greeting.value)
    if conversation.exchanges:  # who sends nothing wants to see even these
        events = [event for event in events if not is_heartbeat(event)]
    if form is not None:
        return _preset_feeds(events, form)
    if not conversation.exchanges and not events:
        return [_feed(_EVERYTHING, {"match": "message is defined"})]
    return _feeds_by_kind(events, conversation)


def _preset_feeds(events: Sequence[Any], form: PresetForm) -> list[Feed]:
    """Return feeds that the preset completes: their names are those of the events."""
    found = dict.fromkeys(name for each in events if (name := form.event(each)))
    names = [name for name in found if len(name) <= _MAX_NAME and re.fullmatch(FEED_NAME, name)]
    return [_feed(name, {}) for name in names[:MAX_FEEDS]]


def _feeds_by_kind(events: Sequence[Any], conversation: Conversation) -> list[Feed]:
    others = [reply.value for exchange in conversation.exchanges for reply in exchange.replies]
    others += [exchange.ack.value for exchange in conversation.exchanges if exchange.ack is not None]
    kinds: dict[str, list[Any]] = {}
    for event in events:
        kinds.setdefault(kind_predicate(event), []).append(event)
    feeds: dict[str, Feed] = {}
    for predicate, group in kinds.items():
        match = _match(predicate, group, others)
        if match is not None and len(feeds) < MAX_FEEDS:
            name = _unique_name(_name(group[0]), feeds)
            feeds[name] = _feed(name, {"match": match, **_item(group)})
    return list(feeds.values())


def _match(predicate: str, group: Sequence[Any], others: Sequence[Any]) -> str | None:
    """Return a predicate for the events of a kind that holds for no reply, or None."""
    taken = predicate in {kind_predicate(other) for other in others}
    if taken or (others and predicate in CATCH_ALL_PREDICATES):
        return distinguishing_predicate(group, others)
    return predicate


def _name(event: Any) -> str:
    kind = message_kind(event)
    name = re.sub(r"[^A-Za-z0-9_.-]", "_", str(kind[1])) if kind else ""
    return name if _NAME.match(name) else _EVERYTHING


def _unique_name(name: str, taken: dict[str, Feed]) -> str:
    return _unique_name(f"{name}_", taken) if name in taken else name


def _item(group: Sequence[Any]) -> Feed:
    holding = (key for key in _DATA_KEYS if all(isinstance(each, dict) and key in each for each in group))
    key = next(holding, None)
    if key is None:
        return {}
    flat = {"flat": True} if _are_rows([each[key] for each in group]) else {}
    return {"item": path_expression((key,)), **flat}


def _are_rows(values: Sequence[Any]) -> bool:
    """Return whether each value is a list of objects that have the same members: events of their own."""
    if not all(isinstance(value, list) for value in values):
        return False
    rows = [row for value in values for row in value]
    return len(rows) > 1 and all(isinstance(row, dict) and row and row.keys() == rows[0].keys() for row in rows)


def _feed(name: str, fields: Feed) -> Feed:
    kind = "What" if name == _EVERYTHING else f"{name[:40]!r}: what"
    description = f"{kind} the endpoint sends without a request. Describe here what it means."
    return {"name": name, "description": description, **fields}
