"""Judge a manifest that was loaded: what is missing, what is wrong, what is likely to be, what single hosts refuse."""

from __future__ import annotations

import json
from collections.abc import Iterator

from ..client.manifest_files import LoadedManifest
from ..client.tls import CERTIFICATE_FILES, make_ssl_context
from ..errors import InvalidTemplate, Problem
from ..lint import lint_manifest
from ..lint.host_limits import host_notes
from ..lint.placeholders import Load, load_with_placeholders
from ..lint.values import owner_path
from ..manifest.source_map import SourceMap
from ..manifest.validation import describe_field, join_path
from ..records import Record, replace


class Examination(Record):
    """What is to be said of a manifest; problems have the lines of its text.

    Attributes:
        missing: A problem for each call template that is disabled.
        errors: Problems that the values of the missing variables would not solve.
        warnings: Likely problems, in the order of the text.
        notes: What single hosts refuse or change.
    """

    missing: tuple[Problem, ...]
    errors: tuple[Problem, ...]
    warnings: tuple[Problem, ...]
    notes: tuple[Problem, ...]


def examine(text: str, loaded: LoadedManifest, load: Load) -> Examination:
    """Return what is to be said of a manifest.

    Args:
        text: Its text.
        loaded: The manifest.
        load: Loads it with additional values of variables.
    """
    document, source_map = json.loads(text), SourceMap(text)
    names = [name for disabled in loaded.manifest.disabled for name in disabled.missing]
    judged: LoadedManifest = loaded
    errors: tuple[Problem, ...] = ()
    if names:
        complete, invalid = load_with_placeholders(document, list(dict.fromkeys(names)), load)
        judged, errors = complete or loaded, invalid.problems if invalid is not None else ()
    warnings = list(dict.fromkeys(_with_positions(lint_manifest(document, judged), source_map)))
    warnings += _with_positions(_unusable_certificates(loaded), source_map)
    warnings += source_map.duplicate_keys
    return Examination(
        tuple(_missing(loaded, source_map)),
        errors,
        tuple(sorted(warnings, key=lambda warning: warning.position or (0, 0))),
        tuple(_with_positions(host_notes(judged), source_map)),
    )


def _unusable_certificates(loaded: LoadedManifest) -> Iterator[Problem]:
    """Yield a problem for each call template whose certificate files are not there, or are none."""
    for entry in loaded.manifest.entries:
        owners = [(entry.path, entry.template.tls)] if entry.template else []
        owners += [(owner_path(entry, tool, "tls")[0], tool.template.tls) for tool in entry.tools]
        for path, tls in dict.fromkeys(owners):
            if not any(getattr(tls, name) for name in CERTIFICATE_FILES):
                continue
            try:
                make_ssl_context(entry.name, tls, entry.folder)
            except InvalidTemplate as error:
                yield Problem(join_path(path, "tls"), error.message.removeprefix(f"{entry.name}: "), code=error.code)


def field_description(problem: Problem) -> str:
    """Return the description of the field that a problem is about, or an empty text."""
    description = describe_field(problem.path)
    if not description or problem.message.startswith("unknown key"):
        return ""
    return f"{problem.path.rpartition('.')[2]}: {description}"


def marked(kind: str, problem: Problem) -> Problem:
    """Return a problem whose message begins with its kind and its place."""
    place = f"{problem.path}: " if problem.path else ""
    return replace(problem, path="", message=f"{kind}: {place}{problem.message}")


def _missing(loaded: LoadedManifest, source_map: SourceMap) -> Iterator[Problem]:
    for disabled in loaded.manifest.disabled:
        position = source_map.search("|".join(rf"\$\{{?{name}\b|\bvars\.{name}\b" for name in disabled.missing))
        position = position or source_map.locate(join_path(disabled.path, "preset"))  # a preset uses them
        missing = disabled.error()
        yield Problem("", missing.message, position, code=missing.code)


def _with_positions(problems: Iterator[Problem], source_map: SourceMap) -> Iterator[Problem]:
    return (replace(problem, position=source_map.locate(problem.path)) for problem in problems)
