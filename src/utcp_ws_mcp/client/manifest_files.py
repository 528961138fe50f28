"""Read a manifest and everything that it names: the file, its dotenv files, the environment."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path, PurePath
from typing import ClassVar, Final, Never

from ..core.codecs.json_text import parse_plain
from ..core.limits import MAX_DOCUMENT_DEPTH, is_deeper, json_text_is_deeper
from ..core.tools.catalog import compile_entry
from ..core.tools.template import SharedParts
from ..core.tools.tool import CompiledTool
from ..errors import InvalidManifest, InvalidTemplate, Problem
from ..manifest.bound_variables import without_values
from ..manifest.entries import Manifest, ManifestEntry, ReadFile
from ..manifest.loader import inline_variables, load_document, variable_files
from ..manifest.models.base import Json
from ..manifest.validation import join_path
from ..manifest.variables import CallerValues, VariableResolver
from ..records import Record, replace
from .dotenv_files import error_reason, read_dotenv

MAX_MANIFEST_BYTES = 16 << 20
"""The maximum size of a manifest, and of a file that it names, in bytes."""

_NOT_UTF_8: Final = "the file is not UTF-8 text. Save it as UTF-8."


class ParsedManifest(Record):
    """A manifest before its variables are bound: what `load_parsed` takes."""

    not_in_repr: ClassVar = ("text", "document")
    text: str
    document: Json
    resolver: VariableResolver
    source: str
    folder: Path


class LoadedManifest(Record):
    """A valid manifest.

    Attributes:
        manifest: The manifest.
        tools: The compiled tools that it lists, by the name of their manual.
        files: The files that it depends on, also those that do not exist yet.
        parsed: What it is loaded from for each caller; None if no variable comes from callers.
    """

    not_in_repr: ClassVar = ("parsed",)
    manifest: Manifest
    tools: Mapping[str, Sequence[CompiledTool]]
    files: tuple[Path, ...] = ()
    parsed: ParsedManifest | None = None

    def for_caller(self, name: str, values: Mapping[str, str]) -> LoadedManifest:
        """Return one call template with the values of a caller, and everything else as it was when it was loaded.

        Args:
            name: The name of the call template.
            values: The values by the names of the variables.

        Raises:
            InvalidManifest: If the values cannot be used.
        """
        assert self.parsed is not None
        parsed = self.parsed
        resolver = replace(parsed.resolver, callers=CallerValues(values.get))
        return load_parsed(parsed.text, parsed.document, resolver, parsed.source, parsed.folder, only=name)


def load_manifest(
    path: str | os.PathLike[str],
    environ: Mapping[str, str] | None = None,
    env_files: Sequence[Path] = (),
    callers: CallerValues | None = None,
) -> LoadedManifest:
    """Read and check a manifest.

    Args:
        path: The file.
        environ: The environment for variables; by default that of the process.
        env_files: Dotenv files that come before those of the manifest.
        callers: Where the values of `${caller:NAME}` come from; None: they are variables like others.

    Raises:
        InvalidManifest: With every problem of the file.
    """
    file = Path(path)
    return load_text(read_manifest_text(file), file, environ, env_files, callers)


def load_text(
    text: str,
    file: Path,
    environ: Mapping[str, str] | None = None,
    env_files: Sequence[Path] = (),
    callers: CallerValues | None = None,
) -> LoadedManifest:
    """Check the text of a manifest as if it were in a file, which does not have to exist.

    Args:
        text: The text.
        file: Where the manifest is; relative paths start from its folder.
        environ: The environment for variables; by default that of the process.
        env_files: Dotenv files that come before those of the manifest.
        callers: Where the values of `${caller:NAME}` come from; None: they are variables like others.

    Raises:
        InvalidManifest: With every problem of the text.
    """
    document = parse_manifest(text, str(file))
    environ = dict(os.environ) if environ is None else environ
    default_dotenv = file.parent / ".env"
    dotenvs = [*env_files, *(file.parent / name for name in variable_files(document))]
    existing = [*dotenvs, default_dotenv] if default_dotenv.is_file() else dotenvs
    read = {str(dotenv): read_dotenv(dotenv, str(file)) for dotenv in existing}
    names = {name: dotenv for dotenv, content in read.items() for name in content.variables}
    sources = [inline_variables(document), *(content.variables for content in read.values()), environ]
    resolver = VariableResolver(sources, names, callers)
    loaded = load_parsed(text, document, resolver, str(file), file.parent)
    if any(entry.awaits_caller for entry in loaded.manifest.entries):
        loaded = replace(loaded, parsed=ParsedManifest(text, document, resolver, str(file), file.parent))
    warnings = tuple(warning for content in read.values() for warning in content.warnings)
    manifest = replace(loaded.manifest, warnings=(*loaded.manifest.warnings, *warnings))
    return replace(loaded, manifest=manifest, files=(file, *dotenvs, default_dotenv))


def load_parsed(
    text: str,
    document: Json,
    resolver: VariableResolver,
    source: str,
    folder: Path,
    read: ReadFile | None = None,
    only: str | None = None,
) -> LoadedManifest:
    """Check the document of a manifest whose text is known.

    Args:
        text: The text, for the lines of problems.
        document: What it contains.
        resolver: Resolves its variables.
        source: Its name in errors.
        folder: The folder that relative paths start from.
        read: Reads the files that it names; by default from the folder.
        only: The name of the one call template to load; None: all are.

    Raises:
        InvalidManifest: With every problem of the document, and its line.
    """
    try:
        manifest = load_document(document, resolver, source, folder, read or read_file, only)
        return LoadedManifest(manifest, _compile_tools(manifest))
    except InvalidManifest as invalid:
        from ..manifest.source_map import SourceMap  # here, because only errors need it

        source_map = SourceMap(text)
        located = [replace(problem, position=source_map.locate(problem.path)) for problem in invalid.problems]
        raise InvalidManifest(source, located) from None


def load_call_template(document: Json, resolver: VariableResolver, source: str, folder: Path) -> LoadedManifest:
    """Check a call template that a program provides.

    Args:
        document: The call template as JSON.
        resolver: Resolves its variables.
        source: Its name in errors.
        folder: The folder that relative paths start from.

    Raises:
        InvalidManifest: With every problem of the call template.
    """
    manifest = load_document(document, resolver, source, folder, read_file)
    return LoadedManifest(manifest, _compile_tools(manifest))


def read_file(folder: PurePath, name: str) -> bytes:
    """Return the content of a file that a manifest names.

    Args:
        folder: The folder of the manifest.
        name: The path in the manifest, relative to the folder.

    Raises:
        InvalidTemplate: If the file cannot be read, or is too large.
    """
    try:
        with (Path(folder) / name).open("rb") as file:
            content = file.read(MAX_MANIFEST_BYTES + 1)  # the size of a device or a pipe is not known before
    except (OSError, ValueError) as failed:
        message = f"cannot read the file {name!r}: {error_reason(failed)}."
        raise InvalidTemplate(message, code="file-not-readable") from failed
    if len(content) > MAX_MANIFEST_BYTES:
        raise InvalidTemplate(f"the file {name!r} has more than {MAX_MANIFEST_BYTES:,} bytes.", code="file-too-large")
    return content


def check_unique_names(manifests: Sequence[LoadedManifest]) -> None:
    """Check that the names of call templates are unique in all manifests.

    Raises:
        InvalidManifest: For the first manifest that repeats one.
    """
    owners: dict[str, str] = {}
    for each in manifests:
        for entry in each.manifest.entries:
            if other := owners.get(entry.name):
                message = f"{entry.name!r} is already the name of a call template in {other}. Give it another name."
                problem = Problem(join_path(entry.path, "name"), message, code="duplicate-name")
                raise InvalidManifest(each.manifest.source, [problem])
            owners[entry.name] = each.manifest.source


def _compile_tools(manifest: Manifest) -> dict[str, Sequence[CompiledTool]]:
    problems: list[Problem] = []
    tools: dict[str, Sequence[CompiledTool]] = {}
    shared = SharedParts()
    for entry in manifest.entries:
        tools[entry.name], found = compile_entry(entry, shared)
        problems += without_values(found, entry.variables)
    if problems:  # tools that share a template report its problems several times
        raise InvalidManifest(manifest.source, list(dict.fromkeys(problems)))
    return tools


def read_manifest_text(file: Path) -> str:
    """Return the text of a manifest.

    Raises:
        InvalidManifest: If it cannot be read, is too large or not UTF-8.
    """
    try:
        if file.stat().st_size > MAX_MANIFEST_BYTES:
            message = f"the manifest has more than {MAX_MANIFEST_BYTES:,} bytes."
            raise InvalidManifest(str(file), [Problem("", message, code="file-too-large")])
        text = file.read_text(encoding="utf-8-sig")
    except OSError as failed:
        message = f"the file cannot be read: {error_reason(failed, file)}."
        raise InvalidManifest(str(file), [Problem("", message, code="file-not-readable")]) from failed
    except UnicodeDecodeError as invalid:
        raise InvalidManifest(str(file), [Problem("", _NOT_UTF_8, code="invalid-encoding")]) from invalid
    if "\0" in text:  # UTF-16 without a byte order mark is valid UTF-8, too
        raise InvalidManifest(str(file), [Problem("", _NOT_UTF_8, code="invalid-encoding")])
    return text


def parse_manifest(text: str, source: str) -> Json:
    """Return the document that the text of a manifest contains.

    Raises:
        InvalidManifest: If it is not JSON, or nested too deeply.
    """
    try:
        document = _parse(text)
    except json.JSONDecodeError as invalid:
        from ..manifest.source_map import syntax_problem  # here, because only errors need it

        raise InvalidManifest(source, [syntax_problem(text, invalid)]) from invalid
    except (RecursionError, ValueError) as invalid:
        message = "the manifest is nested too deeply, or contains a number that cannot be represented."
        raise InvalidManifest(source, [Problem("", message, code="file-too-large")]) from invalid
    if json_text_is_deeper(text, MAX_DOCUMENT_DEPTH) and is_deeper(document, MAX_DOCUMENT_DEPTH):
        message = f"the manifest is nested more than {MAX_DOCUMENT_DEPTH} levels deep."
        raise InvalidManifest(source, [Problem("", message, code="file-too-large")])
    return document


def _parse(text: str) -> Json:
    """Return what `json.loads` returns, faster where the text needs no decision, and without `NaN`."""
    try:
        return parse_plain(text)
    except (ValueError, TypeError):
        return json.loads(text, parse_constant=partial(_refuse_constant, text))


def _refuse_constant(text: str, name: str) -> Never:
    """Refuse `NaN` and `Infinity`, which Python's JSON reader takes and no message can contain."""
    from ..manifest.source_map import token_offset  # here, because only errors need it

    raise json.JSONDecodeError(f"Unknown value {name}", text, token_offset(text, name))


__all__ = [
    "LoadedManifest",
    "ManifestEntry",
    "check_unique_names",
    "load_call_template",
    "load_manifest",
]
