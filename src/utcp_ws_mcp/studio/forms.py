"""The form of a tool: fields from the JSON Schema of its arguments, and arguments from what a person entered."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from enum import Enum
from typing import Any, Final

from ..core.tools.schema_references import References
from ..manifest.invisible import escape_invisible
from ..records import Record

MAX_FIELDS: Final = 100
"""Fields of one form; the other arguments can be written as JSON."""

MAX_CHOICES: Final = 200
"""Choices of one field; a longer list is entered as JSON."""

MAX_REFERENCES: Final = 8
"""References that are followed for one field, one after the other."""

MAX_TEXT: Final = 2_000
"""Characters of a description or a default that are shown."""


class FieldKind(Enum):
    """How a person enters an argument."""

    TEXT = "text"
    INTEGER = "integer"
    NUMBER = "number"
    BOOLEAN = "boolean"
    CHOICE = "choice"
    JSON = "json"


class Field(Record):
    """One argument of a tool.

    Attributes:
        name: Its name.
        kind: How it is entered.
        required: Whether a call needs it.
        description: What it is, with its default and bounds; text of the endpoint or of the manifest's author.
        default: Its default as JSON text; empty without one.
        choices: Its possible values as they are shown, each with the value.
        example: What a person may write for a value of kind JSON.
    """

    name: str
    kind: FieldKind
    required: bool
    description: str
    default: str = ""
    choices: tuple[tuple[str, Any], ...] = ()
    example: str = ""


class FilledForm(Record):
    """What a person entered: the arguments, or what is wrong, by the name of the field."""

    arguments: dict[str, Any]
    problems: dict[str, str]


def form_fields(schema: Mapping[str, Any]) -> list[Field]:
    """Return the fields for the arguments of a tool, those that are required first.

    Args:
        schema: The JSON Schema of the arguments, as hosts see it. Whatever is unusual in it becomes a field for JSON.
    """
    properties, required = schema.get("properties"), schema.get("required")
    names = {name for name in required if isinstance(name, str)} if isinstance(required, list) else set()
    known = properties if isinstance(properties, dict) else {}
    references = References(schema)
    fields = [
        _field(name, known.get(name), name in names, references) for name in (*known, *sorted(names - set(known)))
    ]
    return sorted(fields, key=lambda field: not field.required)[:MAX_FIELDS]


def read_form(fields: Sequence[Field], entered: Mapping[str, Any]) -> FilledForm:
    """Return the arguments of a call. What is empty is left out, so that the default of the schema applies.

    Args:
        fields: The fields of the form.
        entered: What the person entered, by field: a text; for a choice the number of the choice; for a boolean
            True or False. None and an empty text mean that nothing was entered.
    """
    arguments: dict[str, Any] = {}
    problems: dict[str, str] = {}
    for field in fields:
        value = entered.get(field.name)
        try:
            if not _is_empty(value):
                arguments[field.name] = _read(field, value)
            elif field.required and field.kind is FieldKind.TEXT:
                arguments[field.name] = ""
            elif field.required and not field.default:
                problems[field.name] = "a call needs this argument"
        except ValueError as wrong:
            problems[field.name] = str(wrong)
    return FilledForm(arguments, problems)


def read_json_arguments(text: str) -> FilledForm:
    """Return the arguments of a call that were entered as one JSON object; the problem, if any, is that of ""."""
    try:
        value = json.loads(text) if text.strip() else {}
    except (ValueError, RecursionError) as wrong:
        return FilledForm({}, {"": _json_problem(wrong)})
    if not isinstance(value, dict):
        return FilledForm({}, {"": 'write one JSON object, such as {"name": "value"}'})
    return FilledForm(value, {})


def enter(fields: Sequence[Field], arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return what to show in the form for these arguments: the counterpart of `read_form`."""
    return {field.name: _entered(field, arguments[field.name]) for field in fields if field.name in arguments}


def _field(name: str, schema: Any, required: bool, references: References) -> Field:
    schema = _resolved(schema, references)
    kind, choices = _kind(schema)
    default = json.dumps(schema["default"], ensure_ascii=False)[:MAX_TEXT] if "default" in schema else ""
    return Field(name, kind, required, _description(schema, kind, default), default, choices, _example(schema, kind))


def _resolved(schema: Any, references: References) -> Mapping[str, Any]:
    """Return the schema that a chain of references means; what stands beside a reference comes first."""
    merged: dict[str, Any] = {}
    for _ in range(MAX_REFERENCES):
        if not isinstance(schema, dict):
            break
        merged = {**schema, **merged}
        reference = references.of(schema)
        if reference is None:
            break
        schema = references.target(reference)
    return merged


def _kind(schema: Mapping[str, Any]) -> tuple[FieldKind, tuple[tuple[str, Any], ...]]:
    schema = _without_null(schema)
    values = [schema["const"]] if "const" in schema else schema.get("enum")
    if isinstance(values, list) and 0 < len(values) <= MAX_CHOICES:
        return FieldKind.CHOICE, tuple((_shown(value), value) for value in values)
    match _types(schema):
        case ["string"]:
            return FieldKind.TEXT, ()
        case ["integer"]:
            return FieldKind.INTEGER, ()
        case ["number"] | ["integer", "number"] | ["number", "integer"]:
            return FieldKind.NUMBER, ()
        case ["boolean"]:
            return FieldKind.BOOLEAN, ()
    return FieldKind.JSON, ()


def _without_null(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the one alternative of `anyOf` or `oneOf` besides null: how a value that may be null is often written."""
    for key in ("anyOf", "oneOf"):
        given = schema.get(key)
        if isinstance(given, list) and len(given) == 2 and "type" not in schema:
            rest = [each for each in given if not (isinstance(each, dict) and each.get("type") == "null")]
            if len(rest) == 1 and isinstance(rest[0], dict):
                return rest[0]
    return schema


def _types(schema: Mapping[str, Any]) -> list[Any]:
    given = schema.get("type")
    types = given if isinstance(given, list) else [given]
    return [each for each in types if each != "null"] or types


def _description(schema: Mapping[str, Any], kind: FieldKind, default: str) -> str:
    given = schema.get("description") or schema.get("title") or ""
    text = given if isinstance(given, str) else ""
    facts = [_JSON_TYPES.get(str(_types(_without_null(schema))[0]), "as JSON")] if kind is FieldKind.JSON else []
    facts += [f"default: {default}"] if default else []
    facts += [f"{words} {schema[key]}" for key, words in _BOUNDS if isinstance(schema.get(key), int | float | str)]
    return escape_invisible(" ".join([text.strip(), f"({', '.join(facts)})" if facts else ""]).strip()[:MAX_TEXT])


_JSON_TYPES: Final = {"array": "a JSON array", "object": "a JSON object"}
_BOUNDS: Final = (
    ("minimum", "at least"),
    ("exclusiveMinimum", "more than"),
    ("maximum", "at most"),
    ("exclusiveMaximum", "less than"),
    ("minLength", "characters: at least"),
    ("maxLength", "characters: at most"),
    ("pattern", "pattern"),
    ("format", "format"),
)


def _example(schema: Mapping[str, Any], kind: FieldKind) -> str:
    """Return an example of a value that is entered as JSON."""
    if kind is not FieldKind.JSON:
        return ""
    types = _types(_without_null(schema))
    return {"array": '["…"]', "object": '{"…": "…"}'}.get(str(types[0]), 'JSON, such as 1, true or "text"')


def _read(field: Field, value: Any) -> Any:
    """Return the value of an argument.

    Raises:
        ValueError: with what to write instead.
    """
    match field.kind:
        case FieldKind.TEXT:
            return str(value)
        case FieldKind.BOOLEAN:
            return bool(value)
        case FieldKind.CHOICE:
            return field.choices[int(value)][1]
        case FieldKind.INTEGER:
            return _read_integer(str(value))
        case FieldKind.NUMBER:
            return _read_number(str(value))
        case FieldKind.JSON:
            return _read_json(str(value), field.example)


def _read_integer(text: str) -> int:
    number = _read_number(text)
    if number != int(number):
        raise ValueError("write a whole number, such as 3")
    return int(text) if text.strip().lstrip("+-").isdecimal() else int(number)


def _read_number(text: str) -> int | float:
    try:
        number = int(text) if text.strip().lstrip("+-").isdecimal() else float(text)
    except (ValueError, OverflowError):
        raise ValueError("write a number, such as 3 or 2.5") from None
    if not math.isfinite(number):
        raise ValueError("write a number, such as 3 or 2.5")
    return number


def _read_json(text: str, example: str) -> Any:
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as wrong:
        raise ValueError(f"{_json_problem(wrong)} Write {example}.") from None


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


def _json_problem(wrong: Exception) -> str:
    if isinstance(wrong, json.JSONDecodeError):
        return f"this is no JSON: {wrong.msg}, line {wrong.lineno}, column {wrong.colno}. Texts need quotes."
    return f"this is no JSON: {str(wrong)[:200]}."


def _is_empty(value: Any) -> bool:
    return value is None or (isinstance(value, str) and not value)


def _entered(field: Field, value: Any) -> Any:
    match field.kind:
        case FieldKind.CHOICE:
            return next(_positions(field, value), None)
        case FieldKind.BOOLEAN:
            return value if isinstance(value, bool) else None
        case FieldKind.TEXT if isinstance(value, str):
            return value
    return json.dumps(value, ensure_ascii=False)


def _positions(field: Field, value: Any) -> Iterator[int]:
    """Yield the numbers of the choices that are this value; in JSON, true is not 1."""
    wanted = json.dumps(value, sort_keys=True)
    return (at for at, (_, each) in enumerate(field.choices) if json.dumps(each, sort_keys=True) == wanted)


def _shown(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return escape_invisible(text[:MAX_TEXT])
