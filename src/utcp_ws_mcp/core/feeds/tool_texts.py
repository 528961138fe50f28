"""What a model reads about the tools of a feed: descriptions that say how to go on, and the schemas of arguments."""

from __future__ import annotations

from typing import Any, Final

from ...errors import end_sentence
from ...manifest.models.feed import Feed
from .feed import CompiledFeed

DEFAULT_EVENTS: Final = 50
"""Events that a read returns if it does not say how many."""
MAX_EVENTS: Final = 1000
DEFAULT_WAIT_SECONDS: Final = 25.0
"""Seconds that a read with a cursor waits if it does not say how long; hosts end calls after 60 s."""
RESERVED_ARGUMENTS: Final = frozenset({"cursor", "wait_seconds", "max_events", "where", "keys"})


def events_inputs(feed: Feed, inputs: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of the arguments of NAME_events."""
    longest = feed.max_wait_seconds
    own = {
        "cursor": {"type": "string", "description": "The cursor of the last result; without it, the newest events."},
        "wait_seconds": {
            "type": "number",
            "minimum": 0,
            "maximum": longest,
            "description": "How long to wait if there is no event: by default 0 without a cursor, "
            f"else {min(DEFAULT_WAIT_SECONDS, longest):g}.",
        },
        "max_events": {"type": "integer", "minimum": 1, "maximum": MAX_EVENTS, "default": DEFAULT_EVENTS},
        "where": {
            "type": "string",
            "description": "Only events for which this is true, such as data.id == 7 and data.state in ['done'].",
        },
    }
    return _with_properties(inputs, own)


def latest_inputs(inputs: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of the arguments of NAME_latest."""
    keys = {"type": "array", "items": {}, "description": "Only these keys; without it, all."}
    return _with_properties(inputs, {"keys": keys})


def events_outputs() -> dict[str, Any]:
    """Return the schema of the result of NAME_events."""
    event = _object({"offset": {"type": "integer"}, "at": {"type": "string"}, "data": {}})
    gap = _object({"after": {"type": "integer"}, "reason": {"type": "string"}})
    hint = {
        "type": "string",
        "description": "What is wrong with where, if it was false for all events or failed on some.",
    }
    missed = "How many events were removed before they were read; null if it is not known."
    return _object(
        {
            "events": {"type": "array", "items": event, "description": "The oldest first."},
            "cursor": {"type": "string", "description": "Pass it to the next call."},
            "missed": {"type": ["integer", "null"], "description": missed},
            "gaps": {"type": "array", "items": gap, "description": "Where the endpoint may have sent more."},
            "has_more": {"type": "boolean", "description": "More events are there already."},
            "timed_out": {"type": "boolean", "description": "No event came within wait_seconds."},
            "state": {"type": "string", "description": "open, or why no event can arrive."},
        },
        hint=hint,
    )


def latest_outputs() -> dict[str, Any]:
    """Return the schema of the result of NAME_latest."""
    value = _object({"key": {}, "data": {}, "age_seconds": {"type": "number"}})
    return _object({"values": {"type": "array", "items": value}, "state": {"type": "string"}})


def _object(properties: dict[str, Any], **optional: Any) -> dict[str, Any]:
    return {"type": "object", "properties": {**properties, **optional}, "required": list(properties)}


def _with_properties(inputs: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    declared = inputs.get("properties")
    properties = {**(declared if isinstance(declared, dict) else {}), **own}
    return {**inputs, "type": "object", "properties": properties, "additionalProperties": False}


def events_description(feed: CompiledFeed) -> str:
    """Return the description of NAME_events."""
    return (
        f"{_subject(feed)}Read the newest events, or those after a cursor; with a cursor, wait for the next one. "
        "To follow the events, call again with the cursor of the result: none is returned twice, and `missed` and "
        "`gaps` say what was lost. Stop when you have what you need; do not keep polling."
    )


def latest_description(feed: CompiledFeed) -> str:
    """Return the description of NAME_latest."""
    return f"{_subject(feed)}Read the newest event of each key, with its age in seconds."


def _subject(feed: CompiledFeed) -> str:
    text = feed.definition.description.strip()
    return f"{end_sentence(text)} " if text else f"Events of the feed {feed.definition.name} of {feed.manual}. "
