"""Which tools a scope allows (`--scope-tools`). Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase

from ...core.tools.tool import CompiledTool
from ...errors import ServeOptionsError
from ...records import Record
from .identity import Identity


class ToolScopes(Record):
    """Which tools a scope allows (`--scope-tools SCOPE=GLOB`): patterns of `manual.tool` by scope.

    Without any, every caller may use every tool. A caller none of whose scopes has patterns may use the tools that
    only read.
    """

    patterns: Mapping[str, Sequence[str]]

    def rights_of(self, identity: Identity) -> frozenset[str] | None:
        """Return the scopes of a token that have patterns; None if there are no patterns, so every tool is allowed.

        Callers who agree in them may use the same tools.
        """
        return identity.scopes.intersection(self.patterns) if self.patterns else None

    def allow(self, identity: Identity, tool: CompiledTool) -> bool:
        """Return whether a tool may be listed and called."""
        rights = self.rights_of(identity)
        if rights is None:
            return True
        return any(self._covers(scope, tool) for scope in rights) if rights else tool.annotations.read_only is True

    def scopes_for(self, tool: CompiledTool) -> tuple[str, ...]:
        """Return the scopes of which each allows a tool, in the order of the options."""
        return tuple(scope for scope in self.patterns if self._covers(scope, tool))

    def unused(self, tools: Iterable[CompiledTool]) -> list[str]:
        """Return the options, as they are written, that allow none of these tools."""
        names = [tool.full_name for tool in tools]
        options = ((scope, pattern) for scope, patterns in self.patterns.items() for pattern in patterns)
        return [f"{scope}={each}" for scope, each in options if not any(fnmatchcase(name, each) for name in names)]

    def _covers(self, scope: str, tool: CompiledTool) -> bool:
        return any(fnmatchcase(tool.full_name, pattern) for pattern in self.patterns[scope])


def parse_tool_scopes(texts: Sequence[str]) -> ToolScopes:
    """Parse the values of `--scope-tools`; one scope may occur several times.

    Raises:
        ServeOptionsError: if one is not SCOPE=GLOB.
    """
    patterns: dict[str, list[str]] = {}
    for text in texts:
        scope, separator, pattern = text.partition("=")
        if not separator or not pattern or not is_scope(scope):
            raise ServeOptionsError(
                f"--scope-tools {text}: expected SCOPE=GLOB, such as tools:read='weather.*'", code="invalid-scope-tools"
            )
        patterns.setdefault(scope, []).append(pattern)
    return ToolScopes(patterns)


def is_scope(text: str) -> bool:
    """Return whether a text is a scope token (RFC 6749 §3.3)."""
    return bool(text) and all("!" <= char <= "~" and char not in '"\\' for char in text)
