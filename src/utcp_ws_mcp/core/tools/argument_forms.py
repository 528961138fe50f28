"""Give arguments the form that their schema says.

For JSON Schema, 5.0 is an integer, and endpoints that parse "5.0" as one fail. Some hosts send arrays, objects,
numbers and booleans as JSON in a text; where the schema allows no text, such a text is read.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, NoReturn, TypeVar

from ...records import MutableRecord, Record
from ..codecs.message import RejectedValue
from ..expressions.patterns import compile_pattern
from ..limits import MAX_MESSAGE_DEPTH, is_deeper, json_text_is_deeper
from .argument_schema import InvalidSchema, SchemaValidator
from .schema_dialects import Schema, dialect_of, modernized, references_stand_alone
from .schema_references import References

MAX_CONJUNCTS: Final = 64
"""Schemas that hold for one value, through `allOf` and references."""

MAX_STEPS: Final = 20_000
"""Parts of the arguments of one call that are visited in attempts to fit an alternative; then no more is tried."""

ALL_TYPES: Final = frozenset({"string", "integer", "number", "boolean", "null", "array", "object"})
_ALTERNATIVES: Final = ("anyOf", "oneOf")
_DEFINITIONS: Final = ("$defs", "definitions", "$schema")

_K = TypeVar("_K", str, int)

OnText = Callable[[], None]


class _Plan(Record):
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
            on_text: Called once if texts are read as JSON; None to leave texts as they are.
        """
        run = _Fit(self, on_text is not None)
        fitted: dict[str, Any] = run.fit([self._root], arguments)
        if on_text is not None and run.texts_read:
            on_text()
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
        """Return all schema objects that hold for a value, with references replaced, each once: they may be a cycle."""
        found: list[Schema] = []
        seen: set[int] = set()
        waiting = list(reversed(schemas))
        while waiting and len(found) < MAX_CONJUNCTS:
            schema = waiting.pop()
            if not isinstance(schema, dict) or id(schema) in seen:
                continue
            seen.add(id(schema))
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
        return validator is not None and validator.accepts(value)

    def _compile(self, branch: Schema) -> SchemaValidator | None:
        """Return a validator for a part of the schema; None if it refers to something outside of the definitions."""
        definitions: Schema = {key: self._root[key] for key in _DEFINITIONS if key in self._root}
        if any(not text.startswith(("#/$defs/", "#/definitions/")) for text in _references_in([branch, definitions])):
            return None
        try:
            return SchemaValidator({**definitions, "allOf": [branch]})
        except InvalidSchema:
            return None


class _Fitted(MutableRecord):
    """A value that was fitted to a plan. `given` stays alive, because it is found by its id."""

    given: Any
    form: Any
    texts_read: int = 0


class _Fit:
    """One run over the arguments of a call.

    What alternatives say of a value is found once for each value: schemas with alternatives in alternatives, or that
    lead back to themselves, would visit it again and again.
    """

    def __init__(self, forms: ArgumentForms, reads_texts: bool) -> None:
        self.texts_read = 0
        self._forms = forms
        self._changing = (dict, list, float, str) if reads_texts else (dict, list, float)
        self._known: dict[tuple[int, int], _Fitted] = {}
        self._member_plans: dict[tuple[int, str | int], _Plan] = {}
        self._attempts_open = 0
        self._steps = 0

    def fit(self, schemas: list[Any], value: Any) -> Any:
        """Return a value in the form that all of these schemas allow."""
        return self._fit(self._forms.plan(schemas), value)

    def _fit(self, plan: _Plan, value: Any) -> Any:
        if self._attempts_open:
            self._steps += 1
        if not plan.conjuncts:
            return value
        if not plan.has_alternatives:
            return self._fit_members(plan, self._fit_itself(plan, value))
        fitted = self._known.get((id(plan), id(value)))
        if fitted is not None:
            self.texts_read += fitted.texts_read
            return fitted.form
        fitted = self._known[id(plan), id(value)] = _Fitted(value, value)  # a schema that leads to itself adds nothing
        before = self.texts_read
        fitted.form = self._fit_members(plan, self._fit_alternatives(plan, self._fit_itself(plan, value)))
        fitted.texts_read = self.texts_read - before
        return fitted.form

    def _fit_itself(self, plan: _Plan, value: Any) -> Any:
        """Return a value, not what is in it, in the form of its types."""
        if isinstance(value, str) and "string" not in plan.types:
            read = _read_json(value, plan.types)
            if read is not _UNREADABLE:
                self.texts_read += 1
                value = read
        if isinstance(value, float) and value.is_integer():
            value = _listed_form(plan.conjuncts, int(value) if _only_integer(plan.types) else value)
        return value

    def _fit_members(self, plan: _Plan, value: Any) -> Any:
        """Return an object or an array whose members have their forms; itself, if they have them already."""
        if isinstance(value, dict):
            changed = {key: self._fit_member(plan, key, item) for key, item in self._that_may_change(value.items())}
            is_same = all(value[key] is item for key, item in changed.items())
            return value if is_same else value | changed
        if isinstance(value, list):
            leading = max((len(schema.get("prefixItems", ())) for schema in plan.conjuncts), default=0)
            changed = {
                at: self._fit_member(plan, min(at, leading), item)
                for at, item in self._that_may_change(enumerate(value))
            }
            is_same = all(value[at] is item for at, item in changed.items())
            return value if is_same else [changed.get(at, item) for at, item in enumerate(value)]
        return value

    def _that_may_change(self, members: Iterable[tuple[_K, Any]]) -> Iterator[tuple[_K, Any]]:
        """Yield the members whose type has several forms: most of large arguments are texts and integers."""
        changing = self._changing
        return (member for member in members if isinstance(member[1], changing))

    def _fit_member(self, plan: _Plan, key: str | int, value: Any) -> Any:
        """Return a member of an object or an array in its form; its schemas are found once."""
        found = self._member_plans.get((id(plan), key))
        if found is None:
            schemas = (
                _item_schemas(plan.conjuncts, key) if isinstance(key, int) else _member_schemas(plan.conjuncts, key)
            )
            found = self._member_plans[id(plan), key] = self._forms.plan(schemas)
        return self._fit(found, value)

    def _fit_alternatives(self, plan: _Plan, value: Any) -> Any:
        """Return a value in the form of the alternatives that accept it."""
        for schema in plan.conjuncts:
            for key in _ALTERNATIVES:
                value = self._first_accepted_form(schema.get(key, ()), value)
            if "if" in schema and self._steps < MAX_STEPS:
                branch = schema.get("then" if self._forms.accepts(schema["if"], value) else "else", True)
                value = self._attempt(branch, value)
        return value

    def _first_accepted_form(self, branches: Iterable[Any], value: Any) -> Any:
        """Return the form of the first branch that accepts a value in its form; the value, if none does."""
        for branch in branches:
            if self._steps >= MAX_STEPS:
                return value
            before = self.texts_read
            form = self._attempt(branch, value)
            if self._forms.accepts(branch, form):
                return form
            self.texts_read = before
        return value

    def _attempt(self, branch: Any, value: Any) -> Any:
        self._attempts_open += 1
        form = self.fit([branch], value)
        self._attempts_open -= 1
        return form


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
    try:
        value = json.loads(stripped, parse_constant=_refuse, parse_float=_finite)
    except (ValueError, RecursionError):
        return _UNREADABLE
    if json_text_is_deeper(stripped, MAX_MESSAGE_DEPTH) and is_deeper(value, MAX_MESSAGE_DEPTH):
        return _UNREADABLE  # the first of the conditions counts brackets in texts, the second one takes longer
    if isinstance(value, float) and value.is_integer() and "number" not in types:
        value = int(value)
    return value if _type_of(value) in types else _UNREADABLE


def _refuse(name: str) -> NoReturn:
    raise ValueError(name)


def _finite(text: str) -> float:
    number = float(text)
    return number if math.isfinite(number) else _refuse(text)


def has_float(values: Iterable[Any]) -> bool:
    """Return whether values contain a number that is written as a fraction.

    It goes through them level by level: an argument may have 50,000 values, and a call for each takes 0.1 s.
    """
    level = list(values)
    while not (types := set(map(type, level))) <= _SCALARS:
        if float in types:
            return True
        members = [item for each in level if isinstance(each, dict) for item in each.values()]
        level = members + [item for each in level if isinstance(each, list) for item in each]
    return False


_SCALARS: Final = frozenset({str, int, bool, type(None)})
"""Types of values without members, apart from float."""

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
