"""Read a manifest and what it names: the file, its dotenv files, the environment."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from io import StringIO
from pathlib import Path, PurePath

from ..core.limits import MAX_DOCUMENT_DEPTH, is_deeper
from ..core.tools.catalog import compile_entry
from ..core.tools.tool import CompiledTool
from ..errors import InvalidManifest, InvalidTemplate, Problem
from ..manifest.loader import Manifest, ManifestEntry, inline_variables, load_document, variable_files
from ..manifest.models.base import Json
from ..manifest.variables import VariableResolver

MAX_MANIFEST_BYTES = 16 << 20
"""Bytes of a manifest."""


@dataclass(frozen=True, slots=True)
class LoadedManifest:
    """A manifest that was found to be right, with the tools that it lists itself, and the files that it depends on."""

    manifest: Manifest
    tools: Mapping[str, Sequence[CompiledTool]]
    files: tuple[Path, ...] = ()


def load_manifest(
    path: str | os.PathLike[str], environ: Mapping[str, str] | None = None, env_files: Sequence[Path] = ()
) -> LoadedManifest:
    """Read and check a manifest. `environ` is the environment if None; `env_files` come before the manifest's own.

    Raises:
        InvalidManifest: with every problem of the file.
    """
    file = Path(path)
    text = _read_text(file)
    document = _parse_json(text, str(file))
    environ = dict(os.environ) if environ is None else environ
    beside = file.parent / ".env"
    dotenvs = [*env_files, *(file.parent / named for named in variable_files(document))]
    read = [*dotenvs, beside] if beside.is_file() else dotenvs
    sources = [inline_variables(document), *(read_dotenv(dotenv, str(file)) for dotenv in read)]
    try:
        manifest = load_document(document, VariableResolver([*sources, environ]), str(file), file.parent, read_file)
        return LoadedManifest(manifest, _compile_tools(manifest), (file, *dotenvs, beside))
    except InvalidManifest as invalid:
        from ..manifest.source_map import SourceMap

        places = SourceMap(text)
        located = [replace(problem, position=places.locate(problem.path)) for problem in invalid.problems]
        raise InvalidManifest(str(file), located) from None


def load_call_template(document: Json, lookup: VariableResolver, source: str, folder: Path) -> LoadedManifest:
    """Check a call template that came from a program. Relative paths in it start at `folder`.

    Raises:
        InvalidManifest: with every problem of it; `source` is its name there.
    """
    manifest = load_document(document, lookup, source, folder, read_file)
    return LoadedManifest(manifest, _compile_tools(manifest))


def read_dotenv(path: Path, source: str) -> dict[str, str]:
    """The variables of a dotenv file, taken as they stand: nothing inside a value is expanded.

    Raises:
        InvalidManifest: if the file cannot be read; `source` is the manifest that names it.
    """
    from dotenv import dotenv_values

    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError) as failed:
        raise InvalidManifest(source, [Problem("", f"cannot read {path}: {_error_reason(failed, path)}")]) from failed
    return {
        key: value
        for key, value in dotenv_values(stream=StringIO(text), interpolate=False).items()
        if value is not None
    }


def read_file(folder: PurePath, name: str) -> bytes:
    """The content of a file that a manifest names.

    Raises:
        InvalidTemplate: if it cannot be read.
    """
    try:
        return (Path(folder) / name).read_bytes()
    except (OSError, ValueError) as failed:
        raise InvalidTemplate(f"cannot read the file {name!r}: {_error_reason(failed)}") from failed


def check_unique_names(manifests: Sequence[LoadedManifest]) -> None:
    """Names of call templates are unique over all manifests.

    Raises:
        InvalidManifest: for the first manifest that repeats one.
    """
    owners: dict[str, str] = {}
    for each in manifests:
        for entry in each.manifest.entries:
            if other := owners.get(entry.name):
                why = f"{entry.name!r} is already a call template of {other}; give it another name"
                raise InvalidManifest(each.manifest.source, [Problem(f"{entry.path}.name".lstrip("."), why)])
            owners[entry.name] = each.manifest.source


def _compile_tools(manifest: Manifest) -> dict[str, Sequence[CompiledTool]]:
    problems: list[Problem] = []
    plans: dict[str, Sequence[CompiledTool]] = {}
    for entry in manifest.entries:
        plans[entry.name], wrong = compile_entry(entry)
        problems += wrong
    if problems:
        raise InvalidManifest(manifest.source, list(dict.fromkeys(problems)))
    return plans


def _read_text(file: Path) -> str:
    try:
        if file.stat().st_size > MAX_MANIFEST_BYTES:
            raise InvalidManifest(str(file), [Problem("", f"a manifest of more than {MAX_MANIFEST_BYTES:,} bytes")])
        return file.read_text(encoding="utf-8-sig")
    except OSError as failed:
        raise InvalidManifest(str(file), [Problem("", f"cannot be read: {_error_reason(failed, file)}")]) from failed
    except UnicodeDecodeError as wrong:
        raise InvalidManifest(str(file), [Problem("", "is not a text in UTF-8")]) from wrong


def _parse_json(text: str, source: str) -> Json:
    try:
        document = json.loads(text)
    except json.JSONDecodeError as wrong:
        from ..manifest.source_map import syntax_problem

        raise InvalidManifest(source, [syntax_problem(text, wrong)]) from wrong
    except (RecursionError, ValueError) as wrong:
        raise InvalidManifest(source, [Problem("", "is nested too deeply, or holds an impossible number")]) from wrong
    if is_deeper(document, MAX_DOCUMENT_DEPTH):
        raise InvalidManifest(source, [Problem("", f"is nested more than {MAX_DOCUMENT_DEPTH} deep")])
    return document


def _error_reason(error: Exception, path: Path | None = None) -> str:
    if isinstance(error, FileNotFoundError):
        return "there is no such file" + (f" in {Path.cwd()}" if path and not path.is_absolute() else "")
    if isinstance(error, IsADirectoryError):
        return "it is a folder"
    if isinstance(error, UnicodeDecodeError):
        return "it is not a text in UTF-8"
    if isinstance(error, ValueError):
        return "no file can have this name"
    return (getattr(error, "strerror", None) or type(error).__name__).lower()


__all__ = [
    "LoadedManifest",
    "ManifestEntry",
    "check_unique_names",
    "load_call_template",
    "load_manifest",
    "read_dotenv",
]
