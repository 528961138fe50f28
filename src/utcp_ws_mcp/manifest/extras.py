"""The optional packages: which extra of this package installs them, and whether they are there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from typing import Final

EXTRAS: Final[Mapping[str, Sequence[str]]] = {
    "msgpack": ("msgpack",),
    "cbor": ("cbor2",),
    "protobuf": ("google.protobuf", "proto_schema_parser"),
    "zstd": ("backports.zstd",),
    "proxy": ("python_socks",),
    "redis": ("redis", "cryptography"),
    "studio": ("nicegui",),
    "otel": ("opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.http"),
}
"""The modules of each extra."""

_IN_NEWER_PYTHON: Final = {"backports.zstd": "compression.zstd"}
"""Modules of an extra that the standard library has from some version on."""


def is_installed(extra: str) -> bool:
    """Return whether all modules of an extra can be imported; none of them is."""
    return all(_exists(module) or _exists(_IN_NEWER_PYTHON.get(module)) for module in EXTRAS[extra])


def needs_extra(what: str, extra: str) -> str:
    """Return the message about something that needs an extra which is not installed."""
    return f"{what} needs the extra {extra!r}, which is not installed. Run pip install 'utcp-ws-mcp[{extra}]'."


def _exists(module: str | None) -> bool:
    try:
        return module is not None and find_spec(module) is not None
    except ModuleNotFoundError:  # the package around it is missing
        return False
