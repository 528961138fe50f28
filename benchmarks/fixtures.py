"""The tools of every measurement: all contenders offer the same ones."""

from __future__ import annotations

from typing import Any

INPUT_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "n": {"type": "integer", "description": "A number that comes back."},
        "text": {"type": "string", "description": "A text that comes back."},
        "size": {"type": "integer", "minimum": 0, "description": "Bytes of the answer."},
        "shape": {"type": "string", "enum": ["rows", "text", "binary"], "description": "What the answer is made of."},
    },
}
"""The input schema of every tool."""


def tool_descriptions(count: int) -> list[tuple[str, str]]:
    """Return the names and descriptions of the tools of one endpoint."""
    return [(f"t{number}", f"Answer with the arguments, in the manner of tool {number}.") for number in range(count)]
