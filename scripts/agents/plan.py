"""What the scripted model does: one call of each kind, in a fixed order, whichever host it runs in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Step:
    """A call that the model makes.

    Attributes:
        kind: What is tried.
        title: The column of the table.
        tool: The end of the tool's name: each host puts a prefix of its own in front of it.
        arguments: The arguments.
        expected: Texts that must reach the model, all of them; an image is recognized by the start of its base64 form.
        also_accepted: Another text that is right, because the host shows the same fact in its own words.
    """

    kind: str
    title: str
    tool: str
    arguments: Mapping[str, Any]
    expected: tuple[str, ...]
    also_accepted: str = ""


SLOW_SECONDS = 75
"""More than the 60 s after which the SDKs give up, unless they receive progress."""
DISCOVERY_DELAY = 2.5
"""Seconds that the late endpoint takes to announce its tools."""
PNG = "iVBORw0KGgo"
"""How each PNG begins in base64."""


def steps(slow_seconds: float = SLOW_SECONDS) -> tuple[Step, ...]:
    """Return all steps."""
    return (
        Step("JSON", "JSON", "demo_add", {"a": 2, "b": 3}, ('"sum": 5',), '"sum":5'),
        Step("text", "text", "demo_shout", {"text": "hello"}, ("HELLO!",)),
        Step("image", "image", "demo_picture", {"colour": "#3366cc"}, (PNG,)),
        Step("stream", "stream", "demo_countdown", {"start": 2}, ("2", "1", "0", "items")),
        Step("fault", "fault", "demo_divide", {"a": 1, "b": 0}, ("division by zero: choose another b",)),
        Step("wrong argument", "wrong argument", "demo_add", {"a": "two", "b": 3}, ("two",), "number"),
        Step("slow", f"{slow_seconds:g} s", "slow_wait", {"seconds": slow_seconds}, ("waited",)),
        Step("late tools", "late tools", "late_echo", {"text": "here"}, ("here",)),
    )
