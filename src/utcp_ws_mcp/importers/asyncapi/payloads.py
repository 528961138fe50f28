"""What the schema of a payload says: constants, the forms that it can have, and where values are."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Final

from ...core.expressions.paths import Path
from ...recorder.messages import literal, path_expression
from ...records import Record, replace
from ..model import Document
from ..schemas import Schemas, flat_object
from ..shapes import mapping, texts

MAX_FORMS: Final = 100
"""Forms of one payload, from alternatives in alternatives."""

_LITERAL: Final = re.compile(r"literal<\"?(.*?)\"?>\Z")
KIND_NAMES: Final = (
    "type",
    "event",
    "action",
    "op",
    "method",
    "cmd",
    "command",
    "kind",
    "msg",
    "name",
    "topic",
    "channel",
)
"""Names of properties whose constant says what a message is, the most usual first."""

_ERROR: Final = re.compile(
    r"error|fail|reject|denied|refused|invalid|problem|exception|unauthori[sz]ed|forbidden", re.IGNORECASE
)
_TEXT_NAMES: Final = (
    "message",
    "errorMessage",
    "error_message",
    "reason",
    "detail",
    "error",
    "msg",
    "description",
    "text",
    "cause",
)


class Payload(Record):
    """One form of the payload of a message.

    Attributes:
        name: The name of the message, with that of the form where there are several.
        schema: The schema, with its properties at its top.
        constants: The values that are always the same, by their path.
    """

    name: str
    schema: Document
    constants: Mapping[Path, Any]

    @property
    def properties(self) -> Mapping[str, Any]:
        """Return the schemas of the properties."""
        found = self.schema.get("properties")
        return found if isinstance(found, Mapping) else {}

    @property
    def kind(self) -> tuple[Path, Any] | None:
        """Return the path and the value of the constant that says what the message is."""
        texts = [(path, value) for path, value in self.constants.items() if isinstance(value, str | int)]
        ranked = sorted(texts, key=lambda each: (len(each[0]), _rank(str(each[0][-1]))))
        return ranked[0] if ranked else None

    def reports_failure(self, request: str = "") -> bool:
        """Return whether it reports a failure, by its constants or its name, apart from the name of its request."""
        said = [*map(str, self.constants.values()), self.name.rpartition(".")[2]]
        return any(says_failure(text.replace(request, "") if request else text) for text in said)


def says_failure(text: str) -> bool:
    """Return whether a text names a failure."""
    return _ERROR.search(text) is not None


def _rank(name: str) -> int:
    return KIND_NAMES.index(name) if name in KIND_NAMES else len(KIND_NAMES)


def forms(name: str, schema: Any, schemas: Schemas) -> list[Payload]:
    """Return the forms of a payload: one for each alternative of `oneOf` and `anyOf` that is an object."""
    found = list(_alternatives(name, schema, schemas, {}, ()))[:MAX_FORMS]
    return [Payload(key, form, dict(_constants(form, schemas))) for key, form in found]


def _alternatives(
    name: str, schema: Any, schemas: Schemas, shared: Document, around: tuple[str, ...]
) -> Iterator[tuple[str, Document]]:
    """Yield the forms of a schema; `around` are the references that lead to it, an empty text where there is none."""
    around = (*around, _reference(schema))
    resolved = schemas.peek(schema)
    resolved = expand(resolved, schemas, around) if isinstance(resolved, Mapping) else {}
    own = {key: value for key, value in resolved.items() if key not in ("oneOf", "anyOf")}
    listed = next((resolved[key] for key in ("oneOf", "anyOf") if isinstance(resolved.get(key), list)), None)
    listed = listed and [each for each in listed if not _reference(each) or _reference(each) not in around]
    together = _with_shared(own, shared)
    if not listed or len(around) > 5 or not any(_is_object(each, schemas) for each in listed):
        yield name, _with_shared(dict(resolved), shared)
        return
    for number, each in enumerate(listed, 1):
        below = _alternative_name(each, schemas) or str(number)
        context = together if together.get("properties") else shared
        yield from _alternatives(f"{name}.{below}", each, schemas, context, around)


def _reference(schema: Any) -> str:
    reference = schema.get("$ref") if isinstance(schema, Mapping) else None
    return reference if isinstance(reference, str) else ""


def _alternative_name(schema: Any, schemas: Schemas) -> str:
    if isinstance(schema, Mapping) and isinstance(schema.get("$ref"), str):
        return str(schema["$ref"]).rpartition("/")[2]
    resolved = schemas.peek(schema)
    title = resolved.get("title") if isinstance(resolved, Mapping) else None
    return str(title).replace(" ", "_") if title else ""


def _is_object(schema: Any, schemas: Schemas) -> bool:
    resolved = schemas.peek(schema)
    keys = {"properties", "allOf", "oneOf", "anyOf"}
    return isinstance(resolved, Mapping) and (resolved.get("type") == "object" or bool(keys & resolved.keys()))


def _with_shared(schema: Document, shared: Document) -> Document:
    """Return a schema with the properties of the schema whose alternative it is."""
    if not shared.get("properties"):
        return schema
    required = dict.fromkeys([*texts(shared.get("required")), *texts(schema.get("required"))])
    merged = {**schema, "properties": {**mapping(shared["properties"]), **mapping(schema.get("properties"))}}
    return {**merged, **({"required": list(required)} if required else {})}


def expand(schema: Mapping[str, Any], schemas: Schemas, around: tuple[str, ...] = ()) -> Document:
    """Return an object schema with the properties of what `allOf` refers to at its top.

    Args:
        schema: The schema.
        schemas: Resolves references.
        around: The references that lead to the schema. If a part is one of them, the schema contains itself: what
            the part itself consists of is left out. If a part has one of them as an alternative, the part is its base
            class: the alternatives are left out.
    """
    parts = schema.get("allOf")
    if not isinstance(parts, list):
        return dict(schema)
    resolved = [_part(part, schemas, around) for part in parts]
    alternatives = [part for part in resolved if isinstance(part, Mapping) and {"oneOf", "anyOf"} & part.keys()]
    if len(alternatives) == 1:  # what is common stands beside the alternatives
        rest = [part for part in resolved if part is not alternatives[0]]
        common = flat_object(
            {**{k: v for k, v in schema.items() if k != "allOf"}, "allOf": [expand(p, schemas, around) for p in rest]}
        )
        return {**alternatives[0], **common}
    expanded = [
        expand(part, schemas, (*around, _reference(listed)))
        for listed, part in zip(parts, resolved, strict=True)
        if isinstance(part, Mapping)
    ]
    return flat_object({**schema, "allOf": expanded})


def _part(listed: Any, schemas: Schemas, around: tuple[str, ...]) -> Any:
    """Return a part of `allOf`, without what would lead back to the schema that has it."""
    part = schemas.peek(listed)
    if not isinstance(part, Mapping):
        return part
    known = {each for each in around if each}
    alternatives = [each for key in ("oneOf", "anyOf") for each in part.get(key) or () if isinstance(each, Mapping)]
    is_around = _reference(listed) in known
    if is_around or any(_reference(each) in known for each in alternatives):
        without = {"oneOf", "anyOf"} | ({"allOf"} if is_around else set())
        return {key: value for key, value in part.items() if key not in without}
    return part


def _constants(schema: Mapping[str, Any], schemas: Schemas, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Yield the constants of a schema, and those of the objects in it."""
    properties = schema.get("properties")
    for name, listed in properties.items() if isinstance(properties, Mapping) else ():
        below = schemas.peek(listed)
        if not isinstance(below, Mapping):
            continue
        found = constant(below)
        if found is not None:
            yield (*path, name), found
        elif not path and isinstance(below.get("properties"), Mapping) and name in texts(schema.get("required")):
            yield from _constants(below, schemas, (name,))


def constant(schema: Mapping[str, Any]) -> Any:
    """Return the only value that a schema allows, or None."""
    if "const" in schema:
        return schema["const"]
    options = schema.get("enum")
    if isinstance(options, list) and len(options) == 1:
        return options[0]
    found = _LITERAL.match(str(schema.get("x-fern-type", "")))
    return found[1] if found else None


def with_kind(payload: Payload, key: str, names: Collection[str]) -> Payload:
    """Return a payload with the key of its message as a constant, where one of these properties has no value."""
    if payload.kind is not None:
        return payload
    name = min((each for each in names if each in payload.properties), key=lambda each: (_rank(each), each), default="")
    return payload if not name else replace(payload, constants={**payload.constants, (name,): key})


def predicate(payload: Payload, others: Sequence[Payload]) -> str | None:
    """Return a predicate for a message that holds for none of the others, or None."""
    if payload.kind is not None:
        path, value = payload.kind
        return f"{path_expression(path)} == {literal(value)}"
    required = texts(payload.schema.get("required"))
    taken = {name for other in others for name in other.properties}
    own = next((name for name in [*required, *payload.properties] if name not in taken), None)
    return f"{path_expression((own,))} is defined" if own is not None else None


def error_text(payload: Payload, schemas: Schemas) -> str | None:
    """Return the expression of the text of a failure: the property that is called most like one."""
    found = list(_texts(payload.schema, schemas, (), 0))
    found = [path for path in found if path not in payload.constants]
    if not found:
        return None
    best = min(found, key=lambda path: (_TEXT_NAMES.index(str(path[-1])), len(path)))
    return path_expression(best)


def _texts(schema: Mapping[str, Any], schemas: Schemas, path: Path, depth: int) -> Iterator[Path]:
    properties = schema.get("properties")
    for name, listed in properties.items() if isinstance(properties, Mapping) else ():
        below = schemas.peek(listed)
        if not isinstance(below, Mapping):
            continue
        if (
            name in _TEXT_NAMES
            and below.get("type", "string") in ("string", ["string", "null"])
            and "properties" not in below
        ):
            yield (*path, name)
        elif depth < 2:
            yield from _texts(below, schemas, (*path, name), depth + 1)
