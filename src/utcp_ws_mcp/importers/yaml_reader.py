"""Read YAML with the types of YAML 1.2 (the only importer of PyYAML, which reads YAML 1.1).

In YAML 1.1 `yes`, `no`, `on`, `off` are booleans and `2024-01-01` is a date; in JSON Schemas they are names and texts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, ClassVar

import yaml

_Base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class NotYaml(Exception):
    """A text that is not YAML."""


class TooManyValues(Exception):
    """A document with more values than allowed, each counted as often as it is referred to."""


class _Loader(_Base):  # type: ignore[misc]
    """The loader of PyYAML with the implicit types of YAML 1.2 (section 10.3.2)."""

    yaml_implicit_resolvers: ClassVar[dict[str, Any]] = {}


for tag, pattern, first in (
    ("null", r"(?:~|null|Null|NULL|)\Z", ["~", "n", "N", ""]),
    ("bool", r"(?:true|True|TRUE|false|False|FALSE)\Z", list("tTfF")),
    ("int", r"[-+]?[0-9]+\Z", list("-+0123456789")),
    ("merge", r"<<\Z", ["<"]),
    ("float", r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?\Z", list("-+.0123456789")),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{tag}", re.compile(pattern), first)


def _mapping(loader: Any, node: Any) -> Iterator[dict[str, Any]]:
    """Yield an object whose keys are texts: Python would take `1` and `true` for the same key."""
    data: dict[str, Any] = {}
    yield data
    loader.flatten_mapping(node)
    for key, value in node.value:
        data[_key(loader.construct_object(key, deep=True))] = loader.construct_object(value)


_Loader.add_constructor("tag:yaml.org,2002:map", _mapping)


def read_yaml(text: str, max_values: int) -> Any:
    """Return the value of a YAML document whose keys are texts.

    Raises:
        NotYaml: if it is none.
        TooManyValues: if it has more values than `max_values`.
    """
    try:
        loader = _Loader(text)
        try:
            value = loader.get_single_data()
        finally:
            loader.dispose()
    except yaml.YAMLError as invalid:
        mark = getattr(invalid, "problem_mark", None)
        reason = str(getattr(invalid, "problem", None) or "not YAML")
        raise NotYaml(f"{reason} in line {mark.line + 1}" if mark else reason) from None
    except (ValueError, TypeError) as invalid:
        raise NotYaml(str(invalid)) from None
    return _Copier(max_values).copy(value)


class _Copier:
    """Copies a value without shared parts, up to a number of values."""

    def __init__(self, left: int) -> None:
        self._left = left

    def copy(self, value: Any) -> Any:
        self._left -= 1
        if self._left < 0:
            raise TooManyValues
        if isinstance(value, dict):
            return {key: self.copy(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self.copy(item) for item in value]
        return value if isinstance(value, str | int | float | None) else str(value)


def _key(key: Any) -> str:
    """Return a key as JSON would have it: response codes are integers, in JSON texts."""
    if isinstance(key, bool):
        return str(key).lower()
    return "null" if key is None else str(key)
