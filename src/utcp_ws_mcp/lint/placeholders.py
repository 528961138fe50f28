"""Check a manifest whose variables are not set: with values in their place that fit where they are used."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from ..client.manifest_files import LoadedManifest
from ..errors import InvalidManifest
from ..manifest.variables import find_variables

Load = Callable[[Mapping[str, str]], LoadedManifest]

_VALUES: Final = ("x", "1", "127.0.0.1", "wss://localhost/", "https://localhost/", "true", "{}")
"""What a variable may stand for: a word, a number, a host, a URL, a URL of HTTP, a boolean, JSON."""


def load_with_placeholders(
    document: Any, missing: Sequence[str], load: Load
) -> tuple[LoadedManifest | None, InvalidManifest | None]:
    """Return a manifest with values for its missing variables, and the problems that no value would solve.

    Args:
        document: The manifest as it is written.
        missing: The names of the variables that are not set.
        load: Loads it with these values of variables.
    """
    tried = dict.fromkeys(missing, 0)
    for _ in range(len(_VALUES) * len(missing)):
        values = {name: _VALUES[index] for name, index in tried.items()}
        try:
            return load(values), None
        except InvalidManifest as invalid:
            suspects = [(problem, _used_at(document, problem.path) & tried.keys()) for problem in invalid.problems]
            certain = [problem for problem, names in suspects if not names]
            if certain:
                return None, InvalidManifest(invalid.source, certain)
            untried = {name for _, names in suspects for name in names if tried[name] < len(_VALUES) - 1}
            if not untried:
                return None, None
            tried |= {name: tried[name] + 1 for name in untried}
    return None, None


def _used_at(document: Any, path: str) -> set[str]:
    """Return the variables in the value at a JSON path, or in the innermost value around it that is there."""
    value = document
    for step in path.replace("[", ".[").split("."):
        try:
            value = value[int(step[1:-1])] if step.startswith("[") else value[step] if step else value
        except (KeyError, IndexError, TypeError, ValueError):
            break
    return set(find_variables({"message": value} if isinstance(value, str) else value))
