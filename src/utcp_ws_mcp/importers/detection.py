"""Recognize which kind of description a document is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from ..errors import ImportFailed
from .model import TITLES, Format
from .reading import is_sdl


def _has(*keys: str) -> Callable[[Any], bool]:
    return lambda document: isinstance(document, dict) and all(key in document for key in keys)


def _is_har(document: Any) -> bool:
    log = document.get("log") if isinstance(document, dict) else None
    return isinstance(log, dict) and isinstance(log.get("entries"), list)


def _is_graphql(document: Any) -> bool:
    if isinstance(document, str):
        return is_sdl(document)
    data = document.get("data", document) if isinstance(document, dict) else None
    return isinstance(data, dict) and isinstance(data.get("__schema"), dict)


def _is_openrpc(document: Any) -> bool:
    """Return whether a document is OpenRPC, or what an endpoint answers to a question for its methods."""
    from .openrpc.introspection import recognize, unwrap

    return _has("openrpc")(unwrap(document)) or recognize(document) is not None


RECOGNIZERS: Final[Mapping[Format, Callable[[Any], bool]]] = {
    Format.ASYNCAPI: _has("asyncapi"),
    Format.OPENRPC: _is_openrpc,
    Format.GRAPHQL: _is_graphql,
    Format.CDP: _has("domains"),
    Format.OBS: _has("requests", "enums"),
    Format.HAR: _is_har,
}
"""How the formats of single documents are recognized."""

OTHERS: Final[Mapping[str, str]] = {
    "openapi": "an OpenAPI document, which describes HTTP and no WebSocket",
    "swagger": "a Swagger document, which describes HTTP and no WebSocket",
    "manual_call_templates": "a manifest already",
    "tool_call_template": "a manifest already",
    "$schema": "a single JSON Schema; import the folder that has the schemas of requests and responses",
}
"""Documents that are mistaken for descriptions, by a key."""


def detect(document: Any, source: str) -> Format:
    """Return the format of a document.

    Raises:
        ImportFailed: if it has none, or two.
    """
    found = [kind for kind, recognizes in RECOGNIZERS.items() if recognizes(document)]
    if len(found) == 1:
        return found[0]
    if found:
        names = " and ".join(f"{TITLES[each]} (--format {each})" for each in found)
        message = f"{source} is ambiguous: it looks like {names}. Say which one it is with --format."
        raise ImportFailed(message, code="description-ambiguous")
    keys = document if isinstance(document, dict) else {}
    other = next((what for key, what in OTHERS.items() if key in keys), None)
    reason = f"it is {other}" if other else "it is none of " + ", ".join(TITLES.values())
    message = f"{source} cannot be imported: {reason}. Give the file or URL of such a description."
    raise ImportFailed(message)
