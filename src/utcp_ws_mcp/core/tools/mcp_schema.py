"""Rewrite a JSON Schema in the form that every host and every model API accepts.

Hosts refuse what is legal: the TypeScript SDK a boolean as the schema of a property, Claude's API keywords of older
dialects, Gemini's API required names without a property and most values of `format`. Frameworks in Python never end
on a schema that refers to itself, and pydantic refuses patterns with look-around. One such schema costs a host the
tools of all servers.

The result accepts every value that the schema accepts. It accepts others only where the schema cannot be said in this
form, which `changes` names; the bridge validates with the schema itself.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from ...records import MutableRecord, Record
from .schema_dialects import Schema, dialect_of, modernized, references_stand_alone
from .schema_references import REFERENCES, References

MAX_PARTS: Final = 1000
"""Subschemas of a rewritten schema; references are not followed beyond it."""

MAX_DEPTH: Final = 24
"""Levels of subschemas in a rewritten schema: model APIs and frameworks recurse."""

RECURSION_LEVELS: Final = 2
"""How often a schema that refers to itself is written out."""

RECURSIVE: Final = "recursive"
UNPORTABLE_PATTERN: Final = "pattern"
TOO_LARGE: Final = "large"

_ANNOTATIONS: Final = frozenset(
    {"title", "description", "default", "examples", "deprecated", "readOnly", "writeOnly", "format"}
)
_DROPPED: Final = frozenset(
    {"$schema", "$id", "$anchor", "$dynamicAnchor", "$recursiveAnchor", "$vocabulary", "$comment", "$defs"}
    | {"definitions", "contentSchema", *REFERENCES}
)
_SCHEMA: Final = frozenset({"items", "contains", "propertyNames", "if", "then", "else", "not"})
_SCHEMA_OR_BOOLEAN: Final = frozenset({"additionalProperties", "unevaluatedProperties", "unevaluatedItems"})
_SCHEMA_LISTS: Final = frozenset({"allOf", "anyOf", "oneOf", "prefixItems"})
_SCHEMA_MAPS: Final = frozenset({"properties", "patternProperties", "dependentSchemas"})
_SUBSCHEMAS: Final = _SCHEMA | _SCHEMA_OR_BOOLEAN | _SCHEMA_LISTS | _SCHEMA_MAPS

_UNCHANGED: Final = frozenset(
    {"type", "title", "description", "default", "enum", "minimum", "maximum", "minLength", "maxLength"}
)
"""Keywords that mean the same in all dialects and to all hosts; most schemas of single arguments have no others."""

_UNPORTABLE: Final = re.compile(r"\(\?(?!:)|\\[1-9kpP]|[+*?}]\+")
"""Look-around, named and atomic groups, flags, backreferences, classes of Unicode, and possessive repetition."""

_PORTABLE_FORMAT: Final = "date-time"
"""The one format of texts that Gemini's API accepts."""


class HostSchema(Record):
    """A rewritten schema, and what could not be said exactly: RECURSIVE, UNPORTABLE_PATTERN, TOO_LARGE."""

    schema: Schema
    changes: frozenset[str]


def host_schema(schema: Mapping[str, Any], *, for_outputs: bool = False) -> HostSchema:
    """Return a valid schema as hosts accept it.

    Args:
        schema: A JSON Schema of any dialect, whose root is an object.
        for_outputs: Clients check results against it, with validators of different dialects that also check formats:
            what these read differently is left out.
    """
    rewriter = _Rewriter(dict(schema), for_outputs)
    rewritten, _ = rewriter.rewrite(rewriter.root, (id(rewriter.root),), 0)
    return HostSchema(rewritten, frozenset(rewriter.changes))


class _Part(MutableRecord):
    """A schema object while it is rewritten. `exact`: it accepts the same values as the original."""

    schema: Schema
    exact: bool = True


class _Rewriter:
    """Rewrites one document. `opened` are the ids of the schemas that references have opened, down to a place."""

    def __init__(self, root: Schema, for_outputs: bool) -> None:
        self.root = root
        self.changes: set[str] = set()
        self._for_outputs = for_outputs
        self._dialect = dialect_of(root)
        self._parts = 0
        self._references = References(root)

    def rewrite(self, schema: Any, opened: tuple[int, ...], depth: int) -> tuple[Schema, bool]:
        """Return a schema as hosts accept it, and whether it accepts the same values."""
        if isinstance(schema, bool):
            return ({} if schema else {"not": {}}), True
        if depth > MAX_DEPTH or self._parts > MAX_PARTS:
            return self._loosened(schema, TOO_LARGE), False
        self._parts += 1
        if schema.keys() <= _UNCHANGED:
            return schema, True
        schema = modernized(schema, self._dialect)
        reference = self._references.of(schema)
        if reference is None:
            return self._rewrite_object(schema, opened, depth)
        return self._rewrite_reference(reference, schema, opened, depth)

    def _rewrite_reference(
        self, reference: str, schema: Schema, opened: tuple[int, ...], depth: int
    ) -> tuple[Schema, bool]:
        target = self._references.target(reference)
        if opened.count(id(target)) >= RECURSION_LEVELS:
            written, exact = self._loosened(target, RECURSIVE), False
        elif target is None:
            written, exact = self._loosened({}, TOO_LARGE), False
        else:
            written, exact = self.rewrite(target, (*opened, id(target)), depth)
        beside = {key: value for key, value in schema.items() if key not in _DROPPED}
        if references_stand_alone(self._dialect):
            beside = {key: value for key, value in beside.items() if key in _ANNOTATIONS}
        own, own_exact = self._rewrite_object(beside, opened, depth)
        if own.keys() <= _ANNOTATIONS:
            return {**written, **own}, exact and own_exact
        return {**own, "allOf": [*own.get("allOf", ()), written]}, exact and own_exact

    def _rewrite_object(self, schema: Schema, opened: tuple[int, ...], depth: int) -> tuple[Schema, bool]:
        part, widened = _Part({}), []
        for key, value in schema.items():
            if key in _SUBSCHEMAS:
                part.schema[key], exact = self._rewrite_below(key, value, opened, depth + 1)
                widened += [] if exact else [key]
            elif key not in _DROPPED:
                part.schema[key] = value
        if widened:
            part.exact = False
            _keep_wide(part.schema, widened)
        self._declare_required(part, schema, opened, depth)
        self._rewrite_texts(part)
        return part.schema, part.exact

    def _rewrite_below(self, key: str, value: Any, opened: tuple[int, ...], depth: int) -> tuple[Any, bool]:
        """Return the value of a keyword that has subschemas."""
        if isinstance(value, bool) and key in _SCHEMA_OR_BOOLEAN:
            return value, True
        if key in _SCHEMA_LISTS:
            listed = [self.rewrite(item, opened, depth) for item in value]
            return [item for item, _ in listed], all(exact for _, exact in listed)
        if key in _SCHEMA_MAPS:
            mapped = {name: self.rewrite(item, opened, depth) for name, item in value.items()}
            return {name: item for name, (item, _) in mapped.items()}, all(exact for _, exact in mapped.values())
        return self.rewrite(value, opened, depth)

    def _declare_required(self, part: _Part, schema: Schema, opened: tuple[int, ...], depth: int) -> None:
        """Add a property for each required name that has none: what may stand there does not change."""
        properties, rest = part.schema.get("properties", {}), schema.get("additionalProperties", True)
        patterns = part.schema.get("patternProperties", {})
        added: Schema = {}
        for name in part.schema.get("required", ()):
            if name not in properties:
                added[name] = {} if patterns else self.rewrite(rest, opened, depth + 1)[0]
        if added:
            part.schema["properties"] = {**properties, **added}
            part.exact = part.exact and not patterns
            if part.schema.pop("unevaluatedProperties", None) is not None:
                part.exact = False

    def _rewrite_texts(self, part: _Part) -> None:
        """Move what hosts refuse about texts into the description, which all of them pass on."""
        schema, notes = part.schema, []
        pattern = schema.get("pattern")
        if pattern is not None and (self._for_outputs or _UNPORTABLE.search(pattern)):
            del schema["pattern"]
            part.exact = False
            if not self._for_outputs:
                notes.append(f"Pattern: {pattern}")
                self.changes.add(UNPORTABLE_PATTERN)
        if any(map(_UNPORTABLE.search, schema.get("patternProperties", ()))):
            for key in ("patternProperties", "additionalProperties", "unevaluatedProperties"):
                schema.pop(key, None)
            part.exact = False
            self.changes.add(UNPORTABLE_PATTERN)
        if "format" in schema and (self._for_outputs or schema["format"] != _PORTABLE_FORMAT):
            notes.append(f"Format: {schema.pop('format')}")
        if self._for_outputs and "prefixItems" in schema and schema.pop("items", None) is not None:
            part.exact = False  # validators of draft-07 would apply it to the first items, too
        if notes:
            schema["description"] = " ".join(filter(None, (str(schema.get("description", "")), *notes)))

    def _loosened(self, schema: Schema, change: str) -> Schema:
        """Return what remains of a schema that is not written out: its type."""
        self.changes.add(change)
        if references_stand_alone(self._dialect) and "$ref" in schema:
            return {}
        return {key: schema[key] for key in ("type", "title", "description") if key in schema}


def _keep_wide(schema: Schema, widened: list[str]) -> None:
    """Change a schema some of whose keywords accept too much now, such that it does not accept less in exchange.

    A wider schema makes what it is negated in, counted in, or alone valid in, narrower.
    """
    drop = {"unevaluatedProperties", "unevaluatedItems"}
    drop |= {key for key in ("not", "if") if key in widened}
    drop |= {"then", "else"} if "if" in widened else set()
    drop |= {"maxContains"} if "contains" in widened else set()
    for key in drop:
        schema.pop(key, None)
    if "oneOf" in widened:
        branches = schema.pop("oneOf")
        if "anyOf" in schema:
            schema["allOf"] = [*schema.get("allOf", ()), {"anyOf": branches}]
        else:
            schema["anyOf"] = branches
