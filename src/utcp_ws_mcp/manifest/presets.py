"""Read the presets of the package: call templates of well-known protocols, without a URL.

This is the one module of the pure layers that reads files. It may, because the files are part of the package: they are
constant while it is installed, so that all functions of this module are pure for their callers.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Final

from .models.base import Json

_FOLDER: Final = Path(__file__).with_name("presets")


@cache
def preset_names() -> frozenset[str]:
    """Return the names of all presets."""
    return frozenset(file.stem for file in _FOLDER.glob("*.json"))


def preset_summary(name: str) -> str:
    """Return what a preset is for: the first sentence of its comment, without the full stop."""
    return str(_read_file(name)["$comment"]).partition(". ")[0].rstrip(".")


def read_preset(name: str) -> dict[str, Json]:
    """Return the call template of a preset, as it is written.

    Args:
        name: One of `preset_names()`.
    """
    return {key: value for key, value in _read_file(name).items() if not key.startswith("$")}


@cache
def preset_signs() -> dict[str, str]:
    """Return the predicates on a message that endpoints send before a login, by the preset that has this login."""
    signs = {name: _read_file(name).get("$recognized_by") for name in sorted(preset_names())}
    return {name: sign for name, sign in signs.items() if sign is not None}


@cache
def read_bare_stream() -> dict[str, Json]:
    """Return the `reply` and the `stream` of UTCP's framing, for a stream that has no rules of its own (section 6)."""
    return {key: dict(value) for key, value in _read_file("utcp")["$bare_stream"].items() if key != "$comment"}


@cache
def read_bare_reply() -> dict[str, str]:
    """Return the `reply` of UTCP's framing, for a reply of which nothing is written."""
    return {key: value for key, value in _read_file("utcp")["$bare_reply"].items() if key != "$comment"}


def _read_file(name: str) -> dict[str, Json]:
    preset: dict[str, Json] = json.loads((_FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    return preset
