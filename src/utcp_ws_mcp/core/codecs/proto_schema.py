"""Read Protobuf schemas: `.proto` files with their imports, and FileDescriptorSets.

proto-schema-parser parses `.proto`, in Python alone; what it gives is rewritten as descriptors, whose names the pool of
protobuf resolves. Not read, because messages can be decoded without them: services, extensions, and most options.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from importlib import import_module
from pathlib import PurePosixPath
from typing import Any, Final

from google.protobuf import descriptor_pb2
from google.protobuf.descriptor_pb2 import DescriptorProto, EnumDescriptorProto, FieldDescriptorProto
from google.protobuf.descriptor_pb2 import FileDescriptorProto as FileProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import DecodeError
from proto_schema_parser import ast
from proto_schema_parser.parser import Parser

from ...errors import InvalidTemplate, end_sentence

MAX_SCHEMA_BYTES: Final = 4 << 20
"""Bytes of a file of a schema."""

MAX_PROTO_BYTES: Final = 512 << 10
"""Bytes of a `.proto` file and of all that it imports, together: the parser takes a second for 100 KiB."""

MAX_SCHEMA_FILES: Final = 200
"""Files that a schema imports, directly or not."""

MAX_REASON_LENGTH: Final = 200
"""Characters of a reason that a library gives."""

_WELL_KNOWN: Final = (
    *("any", "api", "descriptor", "duration", "empty", "field_mask", "source_context", "struct", "timestamp", "type"),
    "wrappers",
)
"""The files of google/protobuf that protobuf has itself."""

_LABELS: Final = {
    None: FieldDescriptorProto.LABEL_OPTIONAL,
    ast.FieldCardinality.OPTIONAL: FieldDescriptorProto.LABEL_OPTIONAL,
    ast.FieldCardinality.REQUIRED: FieldDescriptorProto.LABEL_REQUIRED,
    ast.FieldCardinality.REPEATED: FieldDescriptorProto.LABEL_REPEATED,
}

_TEXT_OR_COMMENT: Final = re.compile(
    # A quote that is never closed counts to the end of its line: a search from each quote takes quadratic time.
    r""""(?:[^"\\\n]|\\.)*+"?|'(?:[^'\\\n]|\\.)*+'?|//[^\n]*|/\*.*?(?:\*/|\Z)""",
    re.DOTALL,
)
"""Text in quotes, which may look like a comment, or a comment: the parser takes comments at some places only."""

ReadFile = Callable[[str], bytes]


def load_pool(name: str, read: ReadFile) -> tuple[Any, str]:
    """Return a pool with the types of a schema, and a digest of the schema.

    Args:
        name: The path of a `.proto` file or of a FileDescriptorSet.
        read: Returns the content of a file beside the manifest.

    Raises:
        InvalidTemplate: if a file cannot be read, or is no schema.
    """
    files = _read_proto_files(name, read) if name.endswith(".proto") else _read_descriptor_set(name, read)
    pool = DescriptorPool()
    added: set[str] = set()
    for file in files:
        for imported in file.dependency:
            _add_well_known(pool, imported, added)
        if file.name not in added:
            _add(pool, file, added)
    digest = hashlib.sha256(b"".join(file.SerializeToString(deterministic=True) for file in files))
    return pool, digest.hexdigest()


def _read_descriptor_set(name: str, read: ReadFile) -> list[Any]:
    data = _read(name, read)
    try:
        files = list(descriptor_pb2.FileDescriptorSet.FromString(data).file)
    except DecodeError:
        files = []
    # A name that is not UTF-8 is bytes.
    names = (name for file in files for name in (file.name, *file.dependency))
    if not files or not all(isinstance(name, str) for name in names):
        raise InvalidTemplate(
            f"{name!r} is no FileDescriptorSet. Make it with protoc --include_imports --descriptor_set_out, or name a "
            ".proto file.",
            code="invalid-schema-file",
        )
    return files


def _read_proto_files(name: str, read: ReadFile) -> list[Any]:
    """Return the descriptors of a file and of all that it imports, imports first."""
    root = PurePosixPath(name).parent
    files: dict[str, Any] = {}
    started: set[str] = set()
    size = 0

    def load(path: str, local: str) -> None:
        nonlocal size
        if local in started or _well_known_module(local):
            return
        started.add(local)
        if len(started) > MAX_SCHEMA_FILES:
            raise InvalidTemplate(f"{name!r} imports more than {MAX_SCHEMA_FILES} files.", code="invalid-schema-file")
        data = _read(path, read)
        size += len(data)
        if size > MAX_PROTO_BYTES:
            raise InvalidTemplate(
                f"{name!r} with its imports has more than {MAX_PROTO_BYTES >> 10} KiB, which takes seconds to parse. "
                "Make a FileDescriptorSet of it with protoc --include_imports --descriptor_set_out, and name that.",
                code="invalid-schema-file",
            )
        file = _parse(path, local, data)
        for imported in file.dependency:
            load(str(root / imported), imported)
        files[local] = file

    load(name, PurePosixPath(name).name)
    return list(files.values())


def _read(name: str, read: ReadFile) -> bytes:
    data = read(name)
    if len(data) > MAX_SCHEMA_BYTES:
        raise InvalidTemplate(f"{name!r} has more than {MAX_SCHEMA_BYTES >> 20} MiB.", code="invalid-schema-file")
    return data


def _well_known_module(name: str) -> str | None:
    """Return the module of a file of google/protobuf, or None."""
    path = PurePosixPath(name)
    is_known = str(path.parent) == "google/protobuf" and path.suffix == ".proto" and path.stem in _WELL_KNOWN
    return f"google.protobuf.{path.stem}_pb2" if is_known else None


def _add_well_known(pool: Any, name: str, added: set[str]) -> None:
    module = _well_known_module(name)
    if module is None or name in added:
        return
    file = FileProto()
    import_module(module).DESCRIPTOR.CopyToProto(file)
    for imported in file.dependency:
        _add_well_known(pool, imported, added)
    _add(pool, file, added)


def _add(pool: Any, file: Any, added: set[str]) -> None:
    added.add(file.name)
    try:
        pool.Add(file)
    except TypeError as error:
        reason = str(error).removeprefix("Couldn't build proto file into descriptor pool: ")[:MAX_REASON_LENGTH]
        raise InvalidTemplate(f"{file.name!r}: {end_sentence(reason)}", code="invalid-schema-file") from None


@lru_cache(maxsize=64)  # each handshake of a manifest loads the schema
def _parse(path: str, local: str, data: bytes) -> Any:
    """Return the descriptor of a `.proto` file; `local` is its name in imports."""
    parsed = _parse_text(path, data)
    try:
        return _describe(local, parsed)
    except (ValueError, TypeError) as error:  # protobuf has no place for a value, or the parser gave none
        raise _invalid(path, f"{str(error)[:MAX_REASON_LENGTH]!r} is not possible") from None


def _parse_text(path: str, data: bytes) -> ast.File:
    errors = _ErrorListener()
    try:
        text = _TEXT_OR_COMMENT.sub(_without_comment, data.decode("utf-8-sig"))
        return Parser(setup_lexer=errors.attach, setup_parser=errors.attach).parse(text)
    except _SyntaxError as error:
        raise _invalid(path, str(error)[:MAX_REASON_LENGTH]) from None
    except (ValueError, AttributeError, TypeError, RecursionError) as error:  # nested too deeply; or no UTF-8
        raise _invalid(path, f"it cannot be parsed ({type(error).__name__})") from None


def _invalid(path: str, reason: str) -> InvalidTemplate:
    message = f"{path!r} is no valid .proto file: {end_sentence(reason)}"
    return InvalidTemplate(message, code="invalid-schema-file")


def _describe(local: str, parsed: ast.File) -> Any:
    """Return the descriptor of a parsed file."""
    file = FileProto(name=local, syntax=parsed.syntax or "proto2")
    if parsed.edition:
        file.syntax, file.edition = "editions", descriptor_pb2.Edition.Value(f"EDITION_{parsed.edition}")
    _set_features(file, parsed.file_elements)
    for element in parsed.file_elements:
        match element:
            case ast.Package():
                file.package = element.name
            case ast.Import():
                file.dependency.append(element.name)
                if element.public:
                    file.public_dependency.append(len(file.dependency) - 1)
            case ast.Message():
                _add_message(file.message_type.add(name=element.name), element.elements, file.syntax)
            case ast.Enum():
                _add_enum(file.enum_type.add(name=element.name), element)
    return file


def _without_comment(found: re.Match[str]) -> str:
    """Return text as it is, and a comment as white space of the same lines and columns."""
    text = found[0]
    return re.sub(r"[^\n]", " ", text) if text.startswith("/") else text


class _SyntaxError(Exception):
    """The first syntax error."""


class _ErrorListener:
    """Ends the parser at the first syntax error. It would print it and go on, which takes a second for 20 KiB."""

    def attach(self, recognizer: Any) -> None:
        """Receive the errors of a lexer or a parser."""
        recognizer.removeErrorListeners()
        recognizer.addErrorListener(self)

    def syntaxError(self, _: Any, symbol: Any, line: int, column: int, message: str, error: Any) -> None:  # noqa: N802
        """Report an error."""
        reason = message.partition(" expecting ")[0]
        raise _SyntaxError(f"line {line}, column {column + 1}: {reason}")

    def __getattr__(self, name: str) -> Callable[..., None]:
        """Ignore the other reports of the parser, which are about its speed."""
        return lambda *_: None


def _add_message(message: DescriptorProto, elements: Sequence[Any], syntax: str) -> None:
    _set_features(message, elements)
    for element in elements:
        match element:
            case ast.Field():
                field = message.field.add()
                _fill_field(field, element)
                field.proto3_optional = syntax == "proto3" and element.cardinality is ast.FieldCardinality.OPTIONAL
            case ast.MapField():
                _add_map(message, element)
            case ast.Group():
                _add_group(message, element, syntax)
            case ast.OneOf():
                _add_oneof(message, element, syntax)
            case ast.Message():
                _add_message(message.nested_type.add(name=element.name), element.elements, syntax)
            case ast.Enum():
                _add_enum(message.enum_type.add(name=element.name), element)
    for field in message.field:  # each is a oneof of its own, behind the real ones
        if field.proto3_optional:
            field.oneof_index = len(message.oneof_decl)
            message.oneof_decl.add(name=f"_{field.name}")


def _add_oneof(message: DescriptorProto, element: ast.OneOf, syntax: str) -> None:
    index = len(message.oneof_decl)
    message.oneof_decl.add(name=element.name)
    for each in element.elements:
        if isinstance(each, ast.Field):
            field = message.field.add()
            _fill_field(field, each)
            field.oneof_index = index
        elif isinstance(each, ast.Group):
            _add_group(message, each, syntax).oneof_index = index


def _fill_field(field: FieldDescriptorProto, element: ast.Field) -> None:
    field.name, field.number, field.label = element.name, element.number, _LABELS[element.cardinality]
    _set_type(field, element.type)
    _set_features(field, element.options)
    for option in element.options:
        value = option.value
        if option.name == "json_name":
            field.json_name = str(value)
        elif option.name == "packed":
            field.options.packed = value is True
        elif option.name == "default" and not isinstance(value, ast.MessageLiteral):
            text = value.name if isinstance(value, ast.Identifier) else str(value)
            field.default_value = text.lower() if isinstance(value, bool) else text


def _add_map(message: DescriptorProto, element: ast.MapField) -> None:
    words = element.name.split("_")
    entry = message.nested_type.add(name="".join(word[:1].upper() + word[1:] for word in words) + "Entry")
    entry.options.map_entry = True
    for number, (name, kind) in enumerate((("key", element.key_type), ("value", element.value_type)), 1):
        part = entry.field.add(name=name, number=number, label=FieldDescriptorProto.LABEL_OPTIONAL)
        _set_type(part, kind)
    field = message.field.add(name=element.name, number=element.number, label=FieldDescriptorProto.LABEL_REPEATED)
    field.type_name = entry.name
    _fill_json_name(field, element.options)


def _add_group(message: DescriptorProto, element: ast.Group, syntax: str) -> FieldDescriptorProto:
    _add_message(message.nested_type.add(name=element.name), element.elements, syntax)
    field = message.field.add(name=element.name.lower(), number=element.number, label=_LABELS[element.cardinality])
    field.type, field.type_name = FieldDescriptorProto.TYPE_GROUP, element.name
    return field


def _fill_json_name(field: FieldDescriptorProto, options: Sequence[ast.Option]) -> None:
    for option in options:
        if option.name == "json_name":
            field.json_name = str(option.value)


def _set_type(field: FieldDescriptorProto, name: str) -> None:
    """Set a scalar type, or the name of a message or an enum: the pool finds out which of them it is."""
    number = FieldDescriptorProto.Type.DESCRIPTOR.values_by_name.get(f"TYPE_{name.upper()}")
    if number is not None and name.islower() and name not in ("message", "enum", "group"):
        field.type = number.number
    else:
        field.type_name = name


def _add_enum(enum: EnumDescriptorProto, element: ast.Enum) -> None:
    _set_features(enum, element.elements)
    for each in element.elements:
        if isinstance(each, ast.EnumValue):
            enum.value.add(name=each.name, number=each.number)
        elif isinstance(each, ast.Option) and each.name == "allow_alias":
            enum.options.allow_alias = each.value is True


def _set_features(target: Any, elements: Sequence[Any]) -> None:
    """Set the features of an edition, which decide about presence and encoding."""
    for element in elements:
        if isinstance(element, ast.Option) and element.name.startswith("features."):
            feature = element.name.removeprefix("features.")
            field = descriptor_pb2.FeatureSet.DESCRIPTOR.fields_by_name.get(feature)
            name = element.value.name if isinstance(element.value, ast.Identifier) else str(element.value)
            if field is not None and field.enum_type is not None and name in field.enum_type.values_by_name:
                setattr(target.options.features, feature, field.enum_type.values_by_name[name].number)
