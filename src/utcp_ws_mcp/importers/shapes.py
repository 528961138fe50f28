"""Read parts of documents of others, whatever they are: what is not of the expected kind counts as missing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def mapping(value: Any) -> Mapping[str, Any]:
    """Return a value that is an object, else an empty one."""
    return value if isinstance(value, Mapping) else {}


def objects(value: Any) -> list[Mapping[str, Any]]:
    """Return the objects of a list."""
    return [each for each in value if isinstance(each, Mapping)] if isinstance(value, list) else []


def texts(value: Any) -> list[str]:
    """Return the texts of a list, such as the names of required properties."""
    return [each for each in value if isinstance(each, str)] if isinstance(value, list) else []
