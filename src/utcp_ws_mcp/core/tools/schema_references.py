"""Find the schemas that references of a document mean, inside this document."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import unquote

REFERENCES: Final = ("$ref", "$dynamicRef", "$recursiveRef")


class References:
    """The references of one document. `$dynamicRef` and `$recursiveRef` mean what `$ref` would: there is no other."""

    def __init__(self, root: Mapping[str, Any]) -> None:
        self._root = root
        self._targets: dict[str, Any] = {}
        self._anchors: dict[str, Any] | None = None

    def of(self, schema: Mapping[str, Any]) -> str | None:
        """Return the reference of a schema, or None if it has none."""
        return next((schema[key] for key in REFERENCES if isinstance(schema.get(key), str)), None)

    def target(self, reference: str) -> Any:
        """Return the schema (an object or a boolean) that a reference means; None if it is in another document."""
        if reference not in self._targets:
            self._targets[reference] = self._find(reference)
        return self._targets[reference]

    def _find(self, reference: str) -> Any:
        base, _, fragment = reference.partition("#")
        if base and base != str(self._root.get("$id", "")).partition("#")[0]:
            return None
        fragment = unquote(fragment)
        if fragment and not fragment.startswith("/"):
            return self._anchored(fragment)
        target: Any = self._root
        for step in fragment.split("/")[1:]:
            key = step.replace("~1", "/").replace("~0", "~")  # RFC 6901 §4
            if isinstance(target, list):
                target = target[int(key)] if key.isdecimal() and int(key) < len(target) else None
            else:
                target = target.get(key) if isinstance(target, dict) else None
        return target if isinstance(target, dict | bool) else None

    def _anchored(self, name: str) -> Any:
        if self._anchors is None:
            self._anchors = {}
            waiting: list[Any] = [self._root]
            while waiting:
                value = waiting.pop()
                waiting += value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
                for key in ("$anchor", "$dynamicAnchor", "$id", "id") if isinstance(value, dict) else ():
                    if isinstance(value.get(key), str):
                        self._anchors.setdefault(value[key].removeprefix("#"), value)
        return self._anchors.get(name)
