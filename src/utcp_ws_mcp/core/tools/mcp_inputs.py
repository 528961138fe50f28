"""The input schema of a tool as hosts see it: a plain object whose properties have names that model APIs accept.

Model APIs refuse combinators at the root, and Claude's refuses every request of a session in which one argument has
another name than `^[a-zA-Z0-9_.-]{1,64}$` at the top level. They do not check names below it.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterable, Mapping
from typing import Any, Final

from ...records import Record
from .mcp_schema import host_schema
from .schema_dialects import Schema

MAX_ARGUMENT_NAME: Final = 64
_SAFE_NAME: Final = re.compile(r"[a-zA-Z0-9_.-]{1,64}\Z")
_HASH_LENGTH: Final = 8
_ROOT_ONLY_IN_BRIDGE: Final = ("oneOf", "anyOf", "allOf", "not", "if", "then", "else", "enum", "const")
_USES_NAMES: Final = ("patternProperties", "propertyNames", "dependentSchemas", "dependentRequired")
"""Keywords that compare names; they are left out if a host sees other names."""


class HostInputs(Record):
    """An input schema for hosts.

    Attributes:
        schema: The schema.
        arguments: The name of the argument for each name that was changed.
        changes: What could not be said exactly (`host_schema`).
    """

    schema: Schema
    arguments: Mapping[str, str]
    changes: frozenset[str]


def host_inputs(inputs: Mapping[str, Any]) -> HostInputs:
    """Return the input schema of a tool for hosts. The bridge validates the combinators that are left out."""
    rewritten = host_schema(inputs)
    root = _merge_branches(rewritten.schema)
    properties = root.get("properties", {})
    renamed = host_argument_names(properties)
    shown = {**root, "type": "object", "properties": properties}
    if renamed:
        shown = _rename(shown, renamed)
    return HostInputs(shown, {name: original for original, name in renamed.items()}, rewritten.changes)


def restore_arguments(arguments: Mapping[str, Any], renamed: Mapping[str, str]) -> dict[str, Any]:
    """Return the arguments of a call with the names of the tool. A host may know those as well."""
    return {renamed.get(name, name): value for name, value in arguments.items()}


def host_argument_names(names: Iterable[str]) -> dict[str, str]:
    """Return another name for each name that model APIs refuse.

    A name depends on the argument alone, unless several arguments would have it: then each of those gets a hash.
    """
    names = list(names)
    refused = [name for name in names if not _SAFE_NAME.match(name)]
    if not refused:
        return {}
    taken = set(names).difference(refused)
    wanted = {name: _transliterated(name) for name in refused}
    renamed: dict[str, str] = {}
    for name, safe in wanted.items():
        is_unique = list(wanted.values()).count(safe) == 1 and safe not in taken
        renamed[name] = safe if is_unique and len(safe) <= MAX_ARGUMENT_NAME else _with_hash(safe, name, taken)
    return renamed


def _transliterated(name: str) -> str:
    plain = unicodedata.normalize("NFKD", name.replace("ß", "ss")).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-zA-Z0-9_.-]+", "_", plain).strip("_") or "argument"


def _with_hash(safe: str, name: str, taken: set[str]) -> str:
    digest = hashlib.sha256(name.encode("utf-8", "replace")).hexdigest()
    lengths = range(_HASH_LENGTH, MAX_ARGUMENT_NAME)
    candidates = (f"{safe[: MAX_ARGUMENT_NAME - length - 1]}_{digest[:length]}" for length in lengths)
    return next(candidate for candidate in candidates if candidate not in taken)


def _rename(schema: Schema, renamed: Mapping[str, str]) -> Schema:
    properties = {
        renamed.get(name, name): _with_original_name(shown, name) if name in renamed else shown
        for name, shown in schema["properties"].items()
    }
    kept = {key: value for key, value in schema.items() if key not in _USES_NAMES}
    if "required" in kept:
        kept["required"] = [renamed.get(name, name) for name in kept["required"]]
    return {**kept, "properties": properties}


def _with_original_name(schema: Schema, name: str) -> Schema:
    """Return the schema of a property with the name that the endpoint knows in its description."""
    text = f"{schema.get('description', '')} Sent as {name!r}.".strip()
    return {**schema, "description": text}


def _merge_branches(schema: Schema) -> Schema:
    """Return a schema without combinators at its root, with the properties of all branches.

    A property that only branches declare may have any of their forms. A name is required if every alternative
    requires it.
    """
    found = {key: schema[key] for key in _ROOT_ONLY_IN_BRIDGE if key in schema}
    if not found:
        return schema
    merged = {key: value for key, value in schema.items() if key not in found}
    alternatives = [*found.get("anyOf", ()), *found.get("oneOf", ())]
    conditional = [found[key] for key in ("then", "else") if key in found]
    branches = [_merge_branches(each) for each in (*found.get("allOf", ()), *alternatives, *conditional)]
    forms: dict[str, list[Schema]] = {}
    for branch in branches:
        for name, form in branch.get("properties", {}).items():
            if form and form not in forms.setdefault(name, []):
                forms[name].append(form)
            forms.setdefault(name, [])
    properties = dict(merged.get("properties", {}))
    for name, several in forms.items():
        if not properties.get(name):
            properties[name] = several[0] if len(several) == 1 else {"anyOf": several} if several else {}
    required = [name for name in _required(schema) if name in properties]
    merged["properties"] = properties
    return {**merged, "required": required} if required else merged


def _required(schema: Schema) -> list[str]:
    """Return the names that every value of a schema has, as far as its root says so."""
    names = [*schema.get("required", ())]
    for branch in schema.get("allOf", ()):
        names += _required(branch)
    for key in ("anyOf", "oneOf"):
        if branches := [_required(branch) for branch in schema.get(key, ())]:
            names += [name for name in branches[0] if all(name in others for others in branches)]
    return list(dict.fromkeys(names))
