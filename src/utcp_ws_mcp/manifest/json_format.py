"""JSON as people write manifests: what fits on a line stands on one."""

from __future__ import annotations

import json
from typing import Final

from .models.base import Json

LINE_WIDTH: Final = 110
"""Characters of a line."""


def format_json(value: Json, depth: int = 0, prefix_width: int = 0) -> str:
    """The text of a JSON value; `before` characters stand in front of it on its line, and one behind it."""
    short = json.dumps(value, ensure_ascii=False)
    if (
        not isinstance(value, dict | list)
        or not value
        or (depth and 2 * depth + prefix_width + len(short) < LINE_WIDTH)
    ):
        return short
    indent, end = "\n" + "  " * (depth + 1), "\n" + "  " * depth
    if isinstance(value, list):
        return f"[{indent}" + f",{indent}".join(format_json(item, depth + 1) for item in value) + f"{end}]"
    keys = ((json.dumps(key, ensure_ascii=False) + ": ", item) for key, item in value.items())
    return (
        f"{{{indent}"
        + f",{indent}".join(key + format_json(item, depth + 1, len(key)) for key, item in keys)
        + f"{end}}}"
    )
