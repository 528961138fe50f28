"""JSON Schema, for arguments and results (the only importer of jsonschema-rs).

Nothing is ever fetched: a reference to another document is refused. Patterns cannot run away.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NoReturn

MAX_SHOWN: Final = 160
BACKTRACKS: Final = 50_000
"""Steps back that a pattern may take before it counts as not matched."""


class InvalidSchema(Exception):
    """A schema that cannot be used; the text says why."""


class Schema:
    """A compiled JSON Schema (2020-12 unless its `$schema` says otherwise)."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        """Compile.

        Raises:
            InvalidSchema: if it is no schema, or refers to another document.
        """
        from jsonschema_rs import FancyRegexOptions, ReferencingError, ValidationError, validator_for

        try:
            self._validator = validator_for(
                dict(schema),
                retriever=_refuse,
                pattern_options=FancyRegexOptions(backtrack_limit=BACKTRACKS),
                validate_formats=False,
            )
        except (ValidationError, ReferencingError, ValueError, RecursionError) as invalid:
            raise InvalidSchema(_first_line(str(invalid))) from None

    def check(self, value: Any) -> str | None:
        """What is wrong with a value, naming the place in it, or None."""
        if self._validator.is_valid(value):
            return None
        error = next(iter(self._validator.iter_errors(value)))
        place = ".".join(str(step) for step in error.instance_path)
        message = _first_line(error.message)
        return f"{place}: {message}" if place else message


def _refuse(uri: str) -> NoReturn:
    raise ValueError(f"refers to {uri[:80]}; only references within the schema are followed")


def _first_line(text: str) -> str:
    line = text.strip().splitlines()[0] if text.strip() else "no reason given"
    return line if len(line) <= MAX_SHOWN else line[:MAX_SHOWN] + "…"
