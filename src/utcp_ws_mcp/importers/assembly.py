"""Put the chosen operations together: a manifest with tools and feeds."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from ..recorder.messages import literal
from .model import MAX_DESCRIPTION, Description, Document, ImportOptions, Operation
from .naming import free_name, manual_name, words

MAX_DEFAULT: Final = 60
"""Characters of a default value that is said in a description."""

ANYTHING: Final = "message is defined"
"""The predicate of a feed of everything that comes."""

MAX_ITEMS: Final = 20
MAX_SECONDS: Final = 20
"""Bounds of a stream of events: what a call returns at most, and how long it may wait."""


def assemble(description: Description, operations: Sequence[Operation], options: ImportOptions) -> Document:
    """Return a manifest with the tools and feeds of the chosen operations, without a comment."""
    used = [key for key in description.endpoints if any(each.endpoint == key for each in operations)]
    entries = []
    names: list[str] = []
    for key in used:
        title = _entry_name(description.title, key) if len(used) > 1 else manual_name(description.title)
        name = free_name(title, names)
        names.append(name)
        own = [each for each in operations if each.endpoint == key]
        entries.append({"name": name, **description.endpoints[key], **_content(own, options)})
    return entries[0] if len(entries) == 1 else {"manual_call_templates": entries}


def _entry_name(title: str, key: str) -> str:
    """Return the name of one of several endpoints: that of the API, and the last part of its path."""
    last = next((part for part in reversed(key.split("/")) if re.match(r"[A-Za-z]", part)), "")
    return "_".join([manual_name(title).partition("_")[0], *words(last)]).strip("_")


def _content(operations: Sequence[Operation], options: ImportOptions) -> Document:
    """Return the tools and feeds of one endpoint."""
    tools = [_without_defaults(each.tool) for each in operations if each.tool is not None]
    feeds = [_without_defaults(each.feed) for each in operations if each.feed is not None]
    feeds += event_feeds([each for each in operations if each.event is not None])
    if options.events == "streams":
        taken = {tool["name"] for tool in tools}
        tools += [_stream_tool(feed, taken) for feed in feeds]
        feeds = []
    return {**({"feeds": feeds} if feeds else {}), **({"tools": tools} if tools else {})}


def _without_defaults(item: Document) -> Document:
    """Return a tool or feed whose optional arguments say their default in words.

    A default in the schema would be sent with each call; the endpoint knows it, and some refuse it as a value.
    """
    inputs = item.get("inputs")
    properties = inputs.get("properties") if isinstance(inputs, dict) else None
    if not isinstance(inputs, dict) or not isinstance(properties, dict):
        return item
    required = inputs.get("required", ())
    said = {
        name: _with_spoken_default(each) if isinstance(each, dict) and name not in required else each
        for name, each in properties.items()
    }
    return {**item, "inputs": {**inputs, "properties": said}}


def _with_spoken_default(schema: Document) -> Document:
    if "default" not in schema:
        return schema
    kept = {key: value for key, value in schema.items() if key != "default"}
    shown = json.dumps(schema["default"], ensure_ascii=False)
    if schema["default"] is None or len(shown) > MAX_DEFAULT:
        return kept
    text = str(kept.get("description", "")).rstrip()
    lead = f"{text} " if not text or text.endswith((".", "!", "?")) else f"{text}. "
    return {**kept, "description": f"{lead.lstrip()}Default: {shown}."}


def event_feeds(operations: Sequence[Operation]) -> Iterator[Document]:
    """Yield the feeds that keep these events, each with the names of its events."""
    groups: dict[str, list[Operation]] = {}
    for operation in operations:
        if operation.event is not None:
            groups.setdefault(operation.event.feed, []).append(operation)
    for name, group in groups.items():
        events = [each.event for each in group if each.event is not None]
        fields = dict(events[0].fields)
        lead = str(fields.pop("description", ""))
        names = list(dict.fromkeys(_event_name(each) for each in group))
        described = _list_events(lead, [each for each in names if each])
        yield {"name": name, "description": described, **fields, "match": _predicate(group)}


def _event_name(operation: Operation) -> str:
    """Return what a feed calls one of its events; a number says nothing to a reader."""
    value = operation.event.value if operation.event is not None else None
    if value is None or isinstance(value, str):
        return value or ""
    return f"{operation.name} ({value})"


def _predicate(operations: Sequence[Operation]) -> str:
    """Return the predicate for all of these events."""
    values: dict[str, list[Any]] = {}
    for operation in operations:
        assert operation.event is not None
        values.setdefault(operation.event.subject, []).append(operation.event.value)
    if ANYTHING in values:
        return ANYTHING
    parts = [_is_one_of(subject, list(dict.fromkeys(found))) for subject, found in values.items()]
    return " or ".join(parts)


def _is_one_of(subject: str, values: Sequence[Any]) -> str:
    if None in values:
        return subject
    if len(values) == 1:
        return f"{subject} == {literal(values[0])}"
    return f"{subject} in [{', '.join(literal(value) for value in values)}]"


def _list_events(lead: str, names: Sequence[str]) -> str:
    """Return a description of a feed with the names of its events, as many as it may have."""
    if not names:
        return lead
    shown: list[str] = []
    for name in names:
        if len(lead) + sum(map(len, shown)) + 2 * len(shown) + len(name) > MAX_DESCRIPTION - 40:
            break
        shown.append(name)
    more = f" and {len(names) - len(shown)} more" if len(shown) < len(names) else ""
    return f"{lead} Events: {', '.join(shown)}{more}."


def _stream_tool(feed: Mapping[str, Any], taken: set[str]) -> Document:
    """Return a tool that collects the events of a feed for some time."""
    name = free_name(feed["name"], taken)
    taken.add(name)
    steps = feed.get("open", ())
    sent = [step["send"] for step in steps if "send" in step]
    expected = [step for step in steps if "expect" in step]
    stream = {"match": feed["match"], "max_items": MAX_ITEMS, "max_seconds": MAX_SECONDS}
    stream |= {key: feed[other] for key, other in (("item", "item"), ("cancel", "close")) if other in feed}
    template: Document = {"message": sent[0], "then": sent[1:]} if len(sent) > 1 else {}
    template |= {"message": sent[0]} if len(sent) == 1 else {} if sent else {"listen": True}
    if expected:
        template["reply"] = {"match": expected[-1]["expect"]}
    elif sent:  # what is not confirmed has no reply of its own: the items are the replies
        template["reply"] = {"match": stream.pop("match")}
    return {
        "name": name,
        "description": f"{feed['description']} Returns those of the next {MAX_SECONDS} seconds, at most {MAX_ITEMS}.",
        "inputs": feed.get("inputs", {"type": "object", "properties": {}, "additionalProperties": False}),
        "annotations": {"readOnlyHint": True},
        "tool_call_template": {**template, "stream": stream},
    }
