"""Rule for optional packages that a manifest needs and that are not installed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from ..core.expressions.syntax import parse_expression
from ..errors import Problem
from ..manifest.entries import ManifestEntry
from ..manifest.extras import is_installed, needs_extra
from ..manifest.validation import join_path
from .values import entry_expressions, owner_path

_CODECS: Final = ("msgpack", "cbor", "protobuf")
"""The codecs that need the extra of their name; so do the filters `to_…` and `from_…`."""


def check_packages(entry: ManifestEntry) -> Iterator[Problem]:
    """Yield a problem for each extra that a call template needs and that is not installed."""
    needed: dict[str, tuple[str, str]] = {}
    for tool in entry.tools:
        framing = tool.template.framing
        codec = framing.codec
        if codec in _CODECS:
            needed.setdefault(codec, (owner_path(entry, tool, "framing")[0] + ".framing.codec", f"the codec {codec!r}"))
        if framing.compression is not None and framing.compression.method == "zstd":
            path = owner_path(entry, tool, "framing")[0] + ".framing.compression"
            needed.setdefault("zstd", (path, "the compression 'zstd'"))
        if (tool.template.proxy or "").startswith("socks"):
            needed.setdefault("proxy", (join_path(owner_path(entry, tool, "proxy")[0], "proxy"), "a SOCKS proxy"))
    for extra, name in _filters(entry):
        needed.setdefault(extra, (entry.path, f"the filter {name}"))
    for extra, (path, what) in needed.items():
        if not is_installed(extra):
            yield Problem(path.removeprefix("."), needs_extra(what, extra), code="package-missing")


def _filters(entry: ManifestEntry) -> Iterator[tuple[str, str]]:
    """Yield the extra and the name of each filter that needs one."""
    for source in entry_expressions(entry):
        if any(f"_{codec}" in source for codec in _CODECS):
            for node in parse_expression(source).walk():
                _, _, codec = node.name.partition("_")
                if node.kind == "filter" and codec in _CODECS:
                    yield codec, node.name
