"""The messages that clients send: templates with arguments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from ...core.expressions.paths import Path
from ...recorder.templates import REQUEST_ID, escape_template
from ...records import Record
from ..failures import Inexpressible
from ..model import Document
from ..naming import argument_name, message_key
from ..schemas import Schemas
from ..shapes import mapping, texts
from .model import Message
from .payloads import Payload, expand
from .reader import SCHEMA_FORMATS

_BINARY: Final = frozenset({"application/octet-stream", "application/x-protobuf", "application/protobuf"})
_WRAPPERS: Final = frozenset({"payload", "data", "params", "args", "arguments", "body", "request"})
"""Names of an object that has all the arguments of a message."""


class Request(Record):
    """A message with arguments: its template, and the schema of the arguments."""

    template: Any
    inputs: Document


def check_expressible(message: Message) -> None:
    """Check that a message can be written as a template.

    Raises:
        Inexpressible: if it is binary, or its schema is no JSON Schema.
    """
    if not SCHEMA_FORMATS.match(message.schema_format):
        raise Inexpressible(f"its payload is described as {message.schema_format}, not as a JSON Schema")
    kind = message.content_type.partition(";")[0].lower()
    if kind.startswith(("audio/", "video/", "image/")) or kind in _BINARY:
        raise Inexpressible(f"its messages are binary ({kind})")
    if isinstance(message.payload, Mapping) and message.payload.get("format") in ("binary", "bytes"):
        raise Inexpressible("its messages are binary")


def build_request(
    payload: Payload | None,
    correlation: Path | None,
    schemas: Schemas,
    url_inputs: Mapping[str, Any],
    required: Sequence[str],
) -> Request:
    """Return the template of a message, with the ID of the request at its path, and the schema of its arguments.

    Args:
        payload: The payload; None for an empty object.
        correlation: The path of the ID of the request.
        schemas: Resolves references.
        url_inputs: The schemas of the arguments of the URL.
        required: Those of them that have to be given.
    """
    builder = _Builder(schemas, url_inputs, required, correlation or ())
    template: Any = {}
    if payload is not None and not payload.properties:
        template = builder.whole(payload, correlation)
    elif payload is not None:
        template = builder.object(payload.schema, (), payload.constants)
        if correlation is not None:
            template = _insert(template, correlation, REQUEST_ID)
            builder.forget(correlation)
    return Request(template, schemas.complete(builder.inputs()))


class _Builder:
    def __init__(
        self, schemas: Schemas, url_inputs: Mapping[str, Any], required: Sequence[str], correlation: Path
    ) -> None:
        self._schemas = schemas
        self._correlation = correlation
        self._properties: dict[str, Any] = dict(url_inputs)
        self._required = list(required)
        self._names: dict[Path, str] = {}

    def inputs(self) -> Document:
        """Return the schema of the arguments."""
        schema: Document = {"type": "object", "properties": self._properties}
        schema |= {"required": self._required} if self._required else {}
        return {**schema, "additionalProperties": False}

    def whole(self, payload: Payload, correlation: Path | None) -> str:
        """Return the template of a message that is one argument."""
        kind = payload.schema.get("type")
        name = argument_name("text" if kind == "string" else "payload", self._properties)
        self._properties[name] = payload.schema or {"type": "object"}
        self._required.append(name)
        match correlation:
            case (key,):
                return f"{{{{ args.{name} | chain({{'{key}': request_id}}) }}}}"
            case _:
                return f"{{{{ args.{name} }}}}"

    def object(self, schema: Mapping[str, Any], path: Path, constants: Mapping[Path, Any]) -> Document:
        """Return the template of an object: constants as they are, everything else as arguments."""
        properties = mapping(schema.get("properties"))
        required = texts(schema.get("required"))
        template: Document = {}
        for key, listed in properties.items():
            place = (*path, key)
            if place in constants:
                value = constants[place]
                template[message_key(key)] = escape_template(value, ()) if isinstance(value, str) else value
                continue
            below = self._schemas.resolve(listed)
            if self._is_wrapper(place, below, constants):
                template[message_key(key)] = self.object(expand(below, self._schemas), place, constants)
                continue
            if isinstance(below, Mapping) and below.get("readOnly") is True:
                continue
            name = argument_name(key, self._properties)
            self._names[place] = name
            self._properties[name] = listed
            if key in required:
                self._required.append(name)
            template[message_key(key)] = f"{{{{ args.{name} }}}}"
        return template

    def _is_wrapper(self, place: Path, schema: Any, constants: Mapping[Path, Any]) -> bool:
        """Return whether an object is only the place of the arguments, or contains a constant or the ID."""
        if isinstance(schema, Mapping) and place == self._correlation[: len(place)] != self._correlation:
            return True
        if not isinstance(schema, Mapping) or len(place) > 1:
            return False
        if any(len(path) > 1 and path[0] == place[0] for path in constants):
            return True
        whole = expand(schema, self._schemas)
        is_closed = not {"oneOf", "anyOf", "allOf", "patternProperties"} & whole.keys()
        return place[0] in _WRAPPERS and bool(whole.get("properties")) and is_closed

    def forget(self, path: Path) -> None:
        """Remove the argument at a path or of an object around it: another value is filled in there."""
        for place in [each for each in self._names if path[: len(each)] == each]:
            name = self._names.pop(place)
            del self._properties[name]
            self._required = [each for each in self._required if each != name]


def _insert(template: Any, path: Path, value: Any) -> Any:
    """Return an object with a value at a path, which need not exist."""
    if not path:
        return value
    below = template if isinstance(template, dict) else {}
    return {**below, path[0]: _insert(below.get(path[0], {}), path[1:], value)}
