"""Give arguments the form that their schema says.

For JSON Schema, 5.0 is an integer, and endpoints that parse "5.0" as one fail. Some hosts send arrays, objects,
numbers and booleans as JSON in a text; where the schema allows no text, such a text is read.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, NoReturn

from ..codecs.message import RejectedValue
from ..expressions.patterns import compile_pattern
from ..limits import MAX_MESSAGE_DEPTH, json_text_is_deeper
from .argument_schema import InvalidSchema, SchemaValidator
from .schema_dialects import Schema, dialect_of, modernized, references_stand_alone
from .schema_references import References

MAX_CONJUNCTS: Final = 64
"""Schemas that hold for one value, through `allOf` and references."""

MAX_ATTEMPTS: Final = 500
"""Alternatives that are tried for the arguments of one call."""

ALL_TYPES: Final = frozenset({"string", "integer", "number", "boolean", "null", "array", "object"})
_ALTERNATIVES: Final = ("anyOf", "oneOf")
_DEFINITIONS: Final = ("$defs", "definitions", "$schema")

OnText = Callable[[], None]


@dataclass(frozen=True, slots=True)
class _Plan:
    """What several schemas say together about one value: the schemas, references replaced, and the types they allow.

    `kept` are the schemas before that; they stay alive, because plans are found by their ids.
    """

    kept: tuple[Any, ...]
    conjuncts: tuple[Schema, ...]
    types: frozenset[str]
    has_alternatives: bool


class ArgumentForms:
    """The forms that one input schema allows."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        self._root: Schema = dict(schema)
        self._dialect = dialect_of(schema)
        self._references = References(self._root)
        self._plans: dict[tuple[int, ...], _Plan] = {}
        self._validators: dict[int, tuple[Any, SchemaValidator | None]] = {}

    def fit(self, arguments: dict[str, Any], on_text: OnText | None = None) -> dict[str, Any]:
        """Return arguments in the forms of the schema; what has no such form stays as it is.

        Args:
            arguments: The arguments by name.
            on_text: Called for each text that is read as JSON; None to leave texts as they are.
        """
        fitted: dict[str, Any] = _Fit(self, on_text).fit([self._root], arguments)
        return fitted

    def plan(self, schemas: list[Any]) -> _Plan:
        """Return what schemas say together about one value."""
        key = tuple(map(id, schemas))
        if key not in self._plans:
            conjuncts = self._conjuncts(schemas)
            types = ALL_TYPES.intersection(*map(self._types, conjuncts))
            types |= {"integer"} if "number" in types else frozenset()
            has_alternatives = any(each in schema for schema in conjuncts for each in (*_ALTERNATIVES, "if"))
            self._plans[key] = _Plan(tuple(schemas), tuple(conjuncts), types, has_alternatives)
        return self._plans[key]

    def _conjuncts(self, schemas: list[Any]) -> list[Schema]:
        """Return all schema objects that hold for a value, with references replaced."""
        found: list[Schema] = []
        waiting = list(reversed(schemas))
        while waiting and len(found) < MAX_CONJUNCTS:
            schema = waiting.pop()
            if not isinstance(schema, dict):
                continue
            reference = self._references.of(schema)
            if reference is not None:
                waiting.append(self._references.target(reference))
                if references_stand_alone(self._dialect):
                    continue
            found.append(modernized(schema, self._dialect))
            waiting += reversed(schema.get("allOf", ()))
        return found

    def _types(self, schema: Schema) -> frozenset[str]:
        """Return the types that a schema object allows, apart from what `allOf` and references add."""
        named = schema.get("type", ALL_TYPES)
        types = frozenset([named] if isinstance(named, str) else named)
        types |= {"integer"} if "number" in types else frozenset()  # 5 is a number, too
        for options in ([schema["const"]] if "const" in schema else None, schema.get("enum")):
            if options is not None:
                types &= frozenset(map(_type_of, options))
        for key in _ALTERNATIVES:
            if branches := schema.get(key):
                types &= frozenset[str]().union(*map(self._branch_types, branches))
        return types

    def _branch_types(self, branch: Any) -> frozenset[str]:
        if branch is False:
            return frozenset()
        # A branch that leads back to itself through `anyOf` allows nothing more; its own types decide.
        plain = ({key: item for key, item in each.items() if key not in _ALTERNATIVES} for each in self._branch(branch))
        return ALL_TYPES.intersection(*map(self._types, plain))

    def _branch(self, branch: Any) -> Iterator[Schema]:
        yield from self._conjuncts([branch])

    def accepts(self, branch: Any, value: Any) -> bool:
        """Return whether a part of the schema accepts a value; no, if it cannot be checked by itself."""
        if isinstance(branch, bool):
            return branch
        if id(branch) not in self._validators:
            self._validators[id(branch)] = branch, self._compile(branch)
        validator = self._validators[id(branch)][1]
        return validator is not None and validator.check(value) is None

    def _compile(self, branch: Schema) -> SchemaValidator | None:
        """Return a validator for a part of the schema; None if it refers to something outside of the definitions."""
        definitions: Schema = {key: self._root[key] for key in _DEFINITIONS if key in self._root}
        if any(not text.startswith(("#/$defs/", "#/definitions/")) for text in _references_in([branch, definitions])):
            return None
        try:
            validator = SchemaValidator({**definitions, "allOf": [branch]})
            validator.check(None)
        except InvalidSchema:
            return None
        return validator


class _Fit:
    """One run over the arguments of a call."""

    def __init__(self, forms: ArgumentForms, on_text: OnText | None) -> None:
        self._forms = forms
        self._on_text = on_text
        self._attempts = 0

    def fit(self, schemas: list[Any], value: Any) -> Any:
        """Return a value in the form that all of these schemas allow."""
        plan = self._forms.plan(schemas)
        if not plan.conjuncts:
            return value
        if isinstance(value, str) and self._on_text is not None and "string" not in plan.types:
            read = _read_json(value, plan.types)
            if read is not _UNREADABLE:
                self._on_text()
                value = read
        if isinstance(value, float) and value.is_integer():
            value = _listed_form(plan.conjuncts, int(value) if _only_integer(plan.types) else value)
        if plan.has_alternatives:
            for schema in plan.conjuncts:
                value = self._fit_alternatives(schema, value)
        if isinstance(value, dict):
            return {key: self.fit(_member_schemas(plan.conjuncts, key), item) for key, item in value.items()}
        if isinstance(value, list):
            return [self.fit(_item_schemas(plan.conjuncts, at), item) for at, item in enumerate(value)]
        return value

    def _fit_alternatives(self, schema: Schema, value: Any) -> Any:
        """Return a value in the form of the alternatives that accept it."""
        for key in _ALTERNATIVES:
            value = next(self._accepted_forms(schema.get(key, ()), value), value)
        if "if" in schema:
            branch = schema.get("then" if self._forms.accepts(schema["if"], value) else "else", True)
            value = self.fit([branch], value)
        return value

    def _accepted_forms(self, branches: Iterable[Any], value: Any) -> Iterator[Any]:
        for branch in branches:
            self._attempts += 1
            if self._attempts > MAX_ATTEMPTS:
                return
            read: list[None] = []
            within = _Fit(self._forms, None if self._on_text is None else partial(read.append, None))
            within._attempts = self._attempts
            candidate = within.fit([branch], value)
            self._attempts = within._attempts
            if self._forms.accepts(branch, candidate):
                if read and self._on_text is not None:
                    self._on_text()
                yield candidate


def _listed_form(schemas: Iterable[Schema], number: float) -> float:
    """Return a number as `enum` or `const` writes it."""
    listed = [item for schema in schemas for item in (*schema.get("enum", ()), schema.get("const"))]
    return next((item for item in listed if not isinstance(item, bool) and item == number), number)


_UNREADABLE: Final = object()


def _read_json(text: str, types: frozenset[str]) -> Any:
    """Return the value that a text has as JSON, if it is of one of these types; else `_UNREADABLE`."""
    stripped = text.strip()
    if "boolean" in types and stripped in ("True", "False"):
        return stripped == "True"
    if json_text_is_deeper(stripped, MAX_MESSAGE_DEPTH):
        return _UNREADABLE
    try:
        value = json.loads(stripped, parse_constant=_refuse, parse_float=_finite)
    except (ValueError, RecursionError):
        return _UNREADABLE
    if isinstance(value, float) and value.is_integer() and "number" not in types:
        value = int(value)
    return value if _type_of(value) in types else _UNREADABLE


def _refuse(name: str) -> NoReturn:
    raise ValueError(name)


def _finite(text: str) -> float:
    number = float(text)
    return number if math.isfinite(number) else _refuse(text)


def has_float(value: Any) -> bool:
    """Return whether a value contains a number that is written as a fraction.

    It goes through the value level by level: an argument may have 50,000 values, and a call for each takes 0.1 s.
    """
    level = [value]
    while level:
        if float in set(map(type, level)):
            return True
        members = [item for each in level if isinstance(each, dict) for item in each.values()]
        level = members + [item for each in level if isinstance(each, list) for item in each]
    return False


_CONTAINERS: Final[Mapping[type, str]] = {str: "string", list: "array", dict: "object"}


def _type_of(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return "null" if value is None else "boolean"
    if isinstance(value, int | float):
        return "integer" if isinstance(value, int) else "number"
    return _CONTAINERS.get(type(value), "")


def _only_integer(types: frozenset[str]) -> bool:
    return "integer" in types and "number" not in types


def _member_schemas(schemas: Sequence[Schema], key: str) -> list[Any]:
    """Return the schemas of a member of an object."""
    found: list[Any] = []
    for schema in schemas:
        own = [schema["properties"][key]] if key in schema.get("properties", {}) else []
        own += [part for pattern, part in schema.get("patternProperties", {}).items() if _matches(pattern, key)]
        found += own or [schema.get("additionalProperties")]
    return found


def _item_schemas(schemas: Sequence[Schema], at: int) -> list[Any]:
    """Return the schemas of an item of an array."""
    leading = [schema.get("prefixItems", ()) for schema in schemas]
    return [
        first[at] if at < len(first) else schema.get("items") for schema, first in zip(schemas, leading, strict=True)
    ]


def _matches(pattern: str, key: str) -> bool:
    """Return whether a pattern of the schema finds something in a name, in time that is linear in the name."""
    try:
        return compile_pattern(pattern).search(key) is not None
    except RejectedValue:  # ECMA 262 knows patterns that RE2 does not
        return False


def _references_in(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        yield from (item for key, item in value.items() if key in ("$ref", "$dynamicRef") and isinstance(item, str))
        for item in value.values():
            yield from _references_in(item)
    elif isinstance(value, list):
        for item in value:
            yield from _references_in(item)
