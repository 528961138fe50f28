"""Make the schemas of a description schemas of arguments: complete in themselves, in the dialect of MCP."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

from ..core.tools.argument_schema import InvalidSchema, SchemaValidator
from ..core.tools.schema_dialects import LATEST, modernized
from .failures import Inexpressible
from .model import Document
from .naming import free_name
from .references import References
from .shapes import mapping, texts

MAX_INLINE_VALUES: Final = 12
"""Values of a referenced schema that is written in place wherever it is used."""

MAX_SCHEMAS: Final = 40
"""Schemas that the arguments of one tool may refer to, as models read all of them."""

MAX_LEVELS: Final = 1
"""Levels of references that are written where there are more schemas than that."""

_DRAFT_4: Final = 4
_DRAFT_7: Final = 7

_NOT_FOR_HOSTS: Final = frozenset(
    {"$schema", "$id", "id", "$comment", "example", "examples", "externalDocs", "xml", "discriminator", "nullable"}
)
_MAPS: Final = frozenset({"properties", "patternProperties", "$defs", "definitions", "dependentSchemas"})
_LITERALS: Final = frozenset({"const", "enum", "default", "required", "dependentRequired"})


class Schemas:
    """Makes schemas complete: what they refer to stands in place, or under `$defs`."""

    def __init__(self, references: References) -> None:
        self._references = references

    def resolve(self, schema: Any) -> Any:
        """Return a schema, or what it refers to."""
        return self._references.resolve(schema)

    def peek(self, schema: Any) -> Any:
        """Return a schema, or what it refers to; an empty one if the reference leads nowhere."""
        try:
            return self._references.resolve(schema)
        except Inexpressible:
            return {}

    def complete(self, schema: Any) -> Document:
        """Return a schema without references to other places.

        A schema that is used once or is small stands in place; others, and those that contain themselves, stand under
        `$defs`. Of too many schemas only the first levels are written, deeper ones only say their type.

        Raises:
            Inexpressible: if a reference leads nowhere, or it is no schema.
        """
        run = _Completion(self._references)
        run.collect(schema)
        if run.is_too_large:
            run = _Completion(self._references, MAX_LEVELS)
            run.collect(schema)
        completed = run.write(schema)
        if isinstance(completed, bool):
            return {} if completed else {"not": {}}
        return _usable({**completed, "$defs": run.definitions} if run.definitions else completed)


def _usable(schema: Document) -> Document:
    """Return a schema that can be used: without its patterns, if one of them cannot be.

    Raises:
        Inexpressible: if it cannot be used in spite of that.
    """
    for candidate in (schema, _without_patterns(schema)):
        try:
            SchemaValidator(candidate)
        except InvalidSchema as invalid:
            reason = str(invalid)
        else:
            return candidate
    raise Inexpressible(f"its arguments are described by a schema that cannot be used ({reason.rstrip('.')})")


def _without_patterns(value: Any, is_schema: bool = True) -> Any:
    if isinstance(value, list):
        return [_without_patterns(item) for item in value]
    if not isinstance(value, dict):
        return value
    names = ("pattern", "patternProperties") if is_schema else ()
    return {key: _without_patterns(item, key not in _MAPS) for key, item in value.items() if key not in names}


class _Completion:
    """One run over a schema and everything that it refers to."""

    def __init__(self, references: References, levels: int | None = None) -> None:
        self._references = references
        self._levels = levels
        self._level = 0
        self._uses: Counter[int] = Counter()
        self._recursive: set[int] = set()
        self._names: dict[int, str] = {}
        self._open: list[int] = []
        self.definitions: Document = {}

    @property
    def is_too_large(self) -> bool:
        """Return whether there are more schemas than the arguments of a tool may have."""
        return len(self._uses) > MAX_SCHEMAS

    def collect(self, schema: Any) -> None:
        """Count how often each schema is used, and find those that contain themselves."""
        if isinstance(schema, list):
            for item in schema:
                self.collect(item)
            return
        if not isinstance(schema, dict):
            return
        if isinstance(reference := schema.get("$ref"), str):
            self._collect_target(self._references.follow(reference))
        for key, item in schema.items():
            if key in _MAPS and isinstance(item, dict):
                self.collect(list(item.values()))
            elif key not in _LITERALS:
                self.collect(item)

    def _collect_target(self, target: Any) -> None:
        key = id(target)  # the documents keep it, so that no other value gets this id
        self._uses[key] += 1
        if key in self._open:
            self._recursive.add(key)
        elif self._uses[key] == 1:
            if self.is_too_large or (self._levels is not None and len(self._open) >= self._levels):
                return
            self._open.append(key)
            self.collect(target)
            self._open.pop()

    def write(self, schema: Any) -> Any:
        """Return a schema as the arguments of a tool have it."""
        if isinstance(schema, bool):
            return schema
        if not isinstance(schema, dict):
            return {}
        schema = _without_nullable(modernized(schema, _dialect(schema)))
        if not isinstance(reference := schema.get("$ref"), str):
            return {key: self._write_keyword(key, item) for key, item in schema.items() if _is_kept(key)}
        written = self._write_target(reference, self._references.follow(reference))
        beside = {key: item for key, item in schema.items() if key in ("description", "title", "default")}
        return {**written, **beside} if isinstance(written, dict) else written

    def _write_target(self, reference: str, target: Any) -> Any:
        key = id(target)
        if self._levels is not None and self._level >= self._levels:
            return _outline(reference, target)
        is_large = self._uses[key] > 1 and _size(target) > MAX_INLINE_VALUES
        self._level += 1
        try:
            return self._write_or_define(key, reference, target, is_large)
        finally:
            self._level -= 1

    def _write_or_define(self, key: int, reference: str, target: Any, is_large: bool) -> Any:
        if key not in self._recursive and not is_large:
            return self.write(target)
        if key not in self._names:
            self._names[key] = _free_name(reference, self.definitions)
            self.definitions[self._names[key]] = {}
            self.definitions[self._names[key]] = self.write(target)
        return {"$ref": f"#/$defs/{self._names[key]}"}

    def _write_keyword(self, key: str, value: Any) -> Any:
        if key in _LITERALS:
            return value
        if key in _MAPS and isinstance(value, dict):
            return {name: self.write(item) for name, item in value.items()}
        if isinstance(value, dict):
            return self.write(value)
        if isinstance(value, list):
            return [self.write(item) if isinstance(item, dict | bool) else item for item in value]
        return value


def _dialect(schema: Mapping[str, Any]) -> int:
    """Return the dialect of one schema object, by what it contains: few descriptions name it."""
    if any(isinstance(schema.get(key), bool) for key in ("exclusiveMinimum", "exclusiveMaximum")):
        return _DRAFT_4
    return _DRAFT_7 if isinstance(schema.get("items"), list) else LATEST


def _is_kept(key: str) -> bool:
    return key not in _NOT_FOR_HOSTS and not key.startswith("x-") and key != "deprecated"


def _without_nullable(schema: Document) -> Document:
    """Return a schema in which `nullable` of OpenAPI is a type."""
    kind = schema.get("type")
    if schema.get("nullable") is not True or not isinstance(kind, str):
        return schema
    return {**schema, "type": [kind, "null"], **({"enum": [*schema["enum"], None]} if "enum" in schema else {})}


def _size(value: Any) -> int:
    """Return the number of values in a schema, up to slightly more than matters."""
    count, waiting = 0, [value]
    while waiting and count <= MAX_INLINE_VALUES:
        each = waiting.pop()
        count += 1
        waiting += each.values() if isinstance(each, dict) else each if isinstance(each, list) else ()
    return count


def _outline(reference: str, target: Any) -> Document:
    """Return a schema that only says the type of what a reference means, and its values or the names of its fields."""
    name = reference.rpartition("/")[2]
    if not isinstance(target, dict):
        return {"description": name}
    kept = {key: target[key] for key in ("type", "enum") if key in target}
    properties = target.get("properties")
    fields = f" with the fields {', '.join(list(properties)[:20])}" if isinstance(properties, dict) else ""
    return {**kept, "description": f"{name}{fields}."}


def _free_name(reference: str, taken: Mapping[str, Any]) -> str:
    name = re.sub(r"[^A-Za-z0-9_.-]+", "_", reference.rstrip("/").rpartition("/")[2]).strip("_") or "schema"
    return free_name(name, taken)


def _narrowed(properties: Document, more: Mapping[str, Any]) -> Document:
    """Return properties with those of another part of the schema: what both have is said by both."""
    merged = dict(properties)
    for name, schema in more.items():
        both = isinstance(schema, dict) and isinstance(merged.get(name), dict)
        merged[name] = {**merged[name], **schema} if both else schema
    return merged


_FLAT: Final = frozenset({"type", "properties", "required", "additionalProperties", "description", "title"}) | (
    _NOT_FOR_HOSTS - {"nullable"}
)
"""Keywords that a part of `allOf` may have if its properties are to be moved to the schema that has the `allOf`."""


def flat_object(schema: Document) -> Document:
    """Return an object schema whose properties stand at its top, where `allOf` has distributed them."""
    parts = schema.get("allOf")
    if not isinstance(parts, list) or not all(isinstance(part, dict) for part in parts):
        return schema
    merged = {key: value for key, value in schema.items() if key not in ("allOf", "properties")}
    properties: Document = {}
    rest: list[Document] = []
    for part in map(flat_object, parts):
        if not all(key in _FLAT or key.startswith("x-") for key in part):
            rest.append(part)
            continue
        properties = _narrowed(properties, mapping(part.get("properties")))
        required = dict.fromkeys([*texts(part.get("required")), *texts(merged.get("required"))])
        merged |= {"required": list(required)} if required else {}
    properties = _narrowed(properties, mapping(schema.get("properties")))
    if properties:
        merged = {"type": "object", **merged, "properties": properties}
    return {**merged, "allOf": rest} if rest else merged
