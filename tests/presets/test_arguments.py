"""No argument changes the structure of what a preset sends."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from utcp_ws_mcp.core.codecs.framing import make_framer
from utcp_ws_mcp.core.expressions.scope import Ambient, Scope
from utcp_ws_mcp.core.templates.compiler import Compiler
from utcp_ws_mcp.core.templates.nodes import RenderError
from utcp_ws_mcp.manifest.models.framing import Framing
from utcp_ws_mcp.manifest.presets import preset_names, read_preset

AMBIENT = Ambient(lambda: datetime(2026, 1, 1, tzinfo=UTC), bytes)
NAMES = frozenset({"args", "session", "request_id", "tool", "next_id", "let", "omit", "vars", "now", "now_ms"})
SENT = ("message", "send", "cancel", "close")
HOSTILE = st.text(alphabet="ab \r\n\0:\\,/{}[]\"'-+#<>&;|=%\x1e\u2028", max_size=8)


def templates(value: Any) -> Iterator[Any]:
    """Yield all messages of a preset that contain arguments."""
    if isinstance(value, dict):
        for key, item in value.items():
            if key in SENT and "args" in str(item) and not (isinstance(item, str) and "{{" not in item):
                yield item
            else:
                yield from templates(item)
    elif isinstance(value, list):
        for item in value:
            yield from templates(item)


CASES = [(name, template) for name in sorted(preset_names()) for template in templates(read_preset(name))]


def values(template: Any, drawn: list[str]) -> dict[str, str]:
    """Return a text for each argument of a template, and for names that a protocol uses."""
    named = sorted({*re.findall(r"args\.(\w+)", str(template)), "id", "type", "method", "request"})
    return {name: drawn[index % len(drawn)] for index, name in enumerate(named)}


def sent(preset: str, template: Any, arguments: dict[str, str]) -> Any:
    """Return what the other side reads of the message."""
    session = dict.fromkeys(re.findall(r"session\.(\w+)", str(template)), 1)
    scope = Scope(
        AMBIENT, {"args": arguments, "request_id": 1, "tool": "t", "next_id": lambda: 2, "let": {}, "session": session}
    )
    framer = make_framer(Framing(**read_preset(preset).get("framing", {})))
    value = Compiler({}, typed=True, names=NAMES).message(template).render(scope)
    read = [message.value for each in framer.encode(value) for message in framer.decode(each)]
    for message in read:  # the codec writes the length of the body
        if preset == "stomp":
            message["headers"].pop("content-length", None)
    return read


def filled(value: Any, marked: dict[str, str]) -> Any:
    """Return a value with the text of an argument in place of each mark."""
    if isinstance(value, str):
        return marked.get(value, value)
    if isinstance(value, dict):
        return {key: filled(item, marked) for key, item in value.items()}
    return [filled(item, marked) for item in value] if isinstance(value, list) else value


def test_presets_with_arguments_are_found() -> None:
    assert len({name for name, _ in CASES}) >= 14


@settings(suppress_health_check=list(HealthCheck), max_examples=60, deadline=None)
@given(st.lists(HOSTILE, min_size=1, max_size=4))
@pytest.mark.parametrize(("preset", "template"), CASES)
def test_each_argument_is_in_its_place_and_nothing_else_changes(preset: str, template: Any, drawn: list[str]) -> None:
    arguments = values(template, drawn)
    marks = {name: f"mark{index}" for index, name in enumerate(arguments)}
    try:
        read = sent(preset, template, arguments)
    except (RenderError, ValueError):
        return  # refused, with its reason
    expected = sent(preset, template, marks)
    assert read == filled(expected, {mark: arguments[name] for name, mark in marks.items()})
