"""JSON Schema, for arguments and results (the only importer of jsonschema-rs).

Nothing is ever fetched: a reference to another document is refused. Patterns have a limit of steps.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, NoReturn

from ...errors import end_sentence
from ..limits import LAZY_SCHEMA_DEPTH

if TYPE_CHECKING:  # the library is imported when the first schema is compiled
    from jsonschema_rs import ValidationError, Validator

MAX_ERROR_LENGTH: Final = 160
MAX_VALUE_LENGTH: Final = 80
MAX_ENUM_LENGTH: Final = 1000
"""Characters of all values that an `enum` allows; a model chooses among them, so that all are shown or none."""

MAX_ERRORS_SHOWN: Final = 3
"""Errors that are reported for one wrong value."""

MAX_ALTERNATIVES_SHOWN: Final = 8
"""Branches of one `anyOf` or `oneOf` whose errors are reported."""

MAX_NESTED_ALTERNATIVES: Final = 2
"""Levels of branches inside branches whose errors are reported."""

MAX_BACKTRACKS: Final = 50_000
"""Steps back that a pattern may take before it counts as not matched."""


class InvalidSchema(Exception):
    """A schema that cannot be used; the text says why. `code` is that of the problem which reports it.

    `path` is where the mistake is in the schema.
    """

    def __init__(self, message: str, *, code: str, path: Sequence[str | int] = ()) -> None:
        super().__init__(message)
        self.code, self.path = code, tuple(path)


class SchemaValidator:
    """A JSON Schema (2020-12 unless its `$schema` names another dialect).

    It is compiled when the first value is checked: of a thousand tools few are called. One that could be unusable
    although it has the form of a schema is compiled at once, so that its error is reported when the manifest is loaded.
    """

    __slots__ = ("_schema", "_validator")

    def __init__(self, schema: Mapping[str, Any]) -> None:
        """Check the schema itself.

        Raises:
            InvalidSchema: if it is no schema, or refers to another document.
        """
        self._schema = dict(schema)
        self._validator = None if _can_compile_lazily(self._schema) else _compile(self._schema)

    def check(self, value: Any) -> str | None:
        """Return what is wrong with a value, the first few errors, each with its path in the value; or None."""
        validator = self._validator or self._compiled()
        if validator.is_valid(value):
            return None
        return "; ".join(_format_error(error) for error in islice(validator.iter_errors(value), MAX_ERRORS_SHOWN))

    def accepts(self, value: Any) -> bool:
        """Return whether a value is right."""
        return self._compiled().is_valid(value)

    def _compiled(self) -> Validator:
        if self._validator is None:
            self._validator = _compile(self._schema)
        return self._validator


def _format_error(error: ValidationError, nesting: int = 0, above: int = 0) -> str:
    """Return the text of an error; `above` steps of its path are those of an error that contains it."""
    place = ".".join(str(step) for step in list(error.instance_path)[above:])
    message = _format_alternatives(error, nesting) or _format_enum_error(error) or _first_line(error.message)
    return f"{place}: {message}" if place else message


def _format_alternatives(error: ValidationError, nesting: int) -> str | None:
    """Return why a value fits none of the branches of `anyOf` or `oneOf`: what each of them wants."""
    branches = getattr(error.kind, "context", None)
    if branches is None or nesting == MAX_NESTED_ALTERNATIVES:
        return None
    value = _truncate(json.dumps(error.instance, ensure_ascii=False, default=str), MAX_VALUE_LENGTH)
    above = len(error.instance_path)
    wanted = [
        " and ".join(_format_error(each, nesting + 1, above) for each in branch[:MAX_ERRORS_SHOWN])
        for branch in branches[:MAX_ALTERNATIVES_SHOWN]
        if branch
    ]
    if not wanted:
        return f"{value} fits several of the forms of which exactly one is allowed"
    more = f"; and {len(branches) - len(wanted)} more" if len(branches) > len(wanted) else ""
    numbered = "; ".join(f"({number}) {text}" for number, text in enumerate(dict.fromkeys(wanted), 1))
    return f"{value} fits none of the allowed forms: {numbered}{more}"


def _format_enum_error(error: ValidationError) -> str | None:
    """Return the error of a value that is none of an `enum`, with all allowed values, unless these are too long."""
    options = [json.dumps(option, ensure_ascii=False) for option in getattr(error.kind, "options", ())]
    if not options:
        return None
    allowed = " or ".join(filter(None, (", ".join(options[:-1]), options[-1])))
    value = _truncate(json.dumps(error.instance, ensure_ascii=False, default=str), MAX_VALUE_LENGTH)
    return f"{value} is not one of {allowed}" if len(allowed) <= MAX_ENUM_LENGTH else None


def _compile(schema: dict[str, Any]) -> Validator:
    from jsonschema_rs import FancyRegexOptions, ReferencingError, ValidationError, validator_for

    try:
        return validator_for(
            schema,
            retriever=_reject_reference,
            pattern_options=FancyRegexOptions(backtrack_limit=MAX_BACKTRACKS),
            validate_formats=False,
        )
    except (ValidationError, ReferencingError, ValueError, RecursionError) as error:
        raise _unusable(error) from None


def _unusable(error: Exception) -> InvalidSchema:
    """Return why a schema cannot be compiled, with the place of the mistake."""
    cause = str(error)
    if found := _ELSEWHERE.search(cause):
        document = _truncate(found[1], MAX_VALUE_LENGTH)
        message = f"it refers to {document}; only references within the schema are followed."
        return InvalidSchema(message, code="schema-reference-not-allowed")
    path = list(getattr(error, "instance_path", ()))
    if path and path[-1] == "type":
        wrong = json.dumps(getattr(error, "instance", None), ensure_ascii=False, default=str)
        cause = f"{_truncate(wrong, MAX_VALUE_LENGTH)} is no type. The types are {_TYPES}."
    return InvalidSchema(end_sentence(_first_line(cause)), code="invalid-schema", path=path)


def _can_compile_lazily(schema: dict[str, Any]) -> bool:
    """Return whether a schema compiles for certain: its form is valid, and it has nothing that the form leaves open."""
    from jsonschema_rs import meta

    level: list[Any] = [schema]
    for _ in range(LAZY_SCHEMA_DEPTH):
        below: list[Any] = []
        for value in level:
            if isinstance(value, str):
                if not value.isascii():
                    return False
            elif isinstance(value, dict):
                if _has_eager_keyword(value):
                    return False
                below += value.values()
            elif isinstance(value, list):
                below += value
            elif not isinstance(value, int | float | None):
                return False
        if not below:
            return meta.is_valid(schema)
        level = below
    return False


def _has_eager_keyword(value: dict[Any, Any]) -> bool:
    for key in value:  # noqa: SIM110  # a generator takes twice as long
        if not isinstance(key, str) or not key.isascii() or key.startswith(_EAGER_KEYWORDS):
            return True
    return False


_EAGER_KEYWORDS: Final = ("$", "pattern")
"""How keywords begin that can be wrong although the meta-schema accepts them."""


_TYPES: Final = '"string", "number", "integer", "boolean", "object", "array" and "null"'

_ELSEWHERE: Final = re.compile(r"Resource '(?:json-schema:/+)?(.*)' is not present in a registry")
"""How the library reports a reference to another document, with its name for this one in front of a relative one."""


def _reject_reference(uri: str) -> NoReturn:
    raise ValueError(f"{uri} is not retrieved")


def _first_line(text: str) -> str:
    return _truncate(text.strip().splitlines()[0] if text.strip() else "no reason given", MAX_ERROR_LENGTH)


def _truncate(text: str, length: int) -> str:
    return text if len(text) <= length else text[:length] + "…"
