"""From the JSON document of a manifest to entries; every problem of it at once, each with its JSON path."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import PurePath

from ..errors import InvalidManifest, Problem
from .inheritance import (
    CALL_TEMPLATE_KEYS,
    ENTRY_KEYS,
    apply_preset,
    check_fields,
    inherit,
    normalize,
    referenced_presets,
)
from .models.base import Json
from .models.call_template import MANUAL_KEYS, CallTemplate, ManualOptions, Tool
from .shapes import DisabledEntry, LoadReport, raw_entries
from .validation import check_model, join_path, strip_comments, unknown_keys
from .variables import VariableResolver, find_optional, find_variables, substitute

WEBSOCKET = "websocket"
_PLACEHOLDER_TEMPLATE = {"url": "wss://localhost/"}
"""What tools inherit while their entry is wrong, so that their own problems are found in the same run."""

ReadFile = Callable[[PurePath, str], bytes]
"""Reads a file that a manifest names, relative to a folder; raises InvalidTemplate where it cannot."""


@dataclass(frozen=True, slots=True)
class ResolvedTool:
    """A tool with the call template that its calls follow, everything inherited.

    `remote` names the fields of the template that came over the network; `discovered` says that the tool did,
    and then `digest` is that of its definition.
    `is_template`: it stands for the entry's own call template.
    """

    tool: Tool
    template: CallTemplate
    path: str = ""
    remote_fields: frozenset[str] = frozenset()
    discovered: bool = False
    digest: str = ""
    is_template: bool = False


@dataclass(frozen=True, slots=True)
class ManifestEntry:
    """One call template of a manifest and what belongs to its manual.

    `raw` is the document that discovered tools inherit from. `template` is None for a UTCP manual that is written
    as a manifest: there each tool brings its own URL. `variables` holds every variable that the entry refers to,
    `own_variables` those that the user named for this manual. `folder` is where relative paths start, `read_file`
    reads one.
    """

    name: str
    path: str
    raw: Mapping[str, Json] = field(repr=False)
    template: CallTemplate | None = field(repr=False)
    options: ManualOptions
    tools: tuple[ResolvedTool, ...]
    variables: Mapping[str, str] = field(repr=False)
    own_variables: Mapping[str, str] = field(repr=False)
    folder: PurePath
    read_file: ReadFile | None = field(default=None, repr=False)

    def is_equivalent(self, other: ManifestEntry) -> bool:
        """Whether the endpoint, and what is asked of it, are the same; places in the file do not count."""
        mine, its = (
            (each.raw, each.template, each.options, each.variables, each.own_variables, each.folder)
            for each in (self, other)
        )
        return mine == its

    @property
    def uses_discovery(self) -> bool:
        """Whether the endpoint is asked for its manual."""
        return self.template is not None and (self.options.tools is None or self.options.discovery is not None)


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a file offers, and what of it is left out and why (`notices`, one line each)."""

    source: str
    entries: tuple[ManifestEntry, ...]
    disabled: tuple[DisabledEntry, ...] = ()
    warnings: tuple[str, ...] = ()


def load_document(
    document: Json, resolver: VariableResolver, source: str, folder: PurePath, read_file: ReadFile | None = None
) -> Manifest:
    """Check a manifest's document and bind its variables.

    Raises:
        InvalidManifest: with all problems of the document.
    """
    findings = LoadReport()
    document = strip_comments(document)
    entries: list[ManifestEntry] = []
    for path, raw, default_name in raw_entries(document, findings, PurePath(source).stem):
        if entry := _load_entry(raw, path, default_name, resolver, findings):
            own = resolver.for_manual(entry.name)
            entries.append(replace(entry, folder=folder, own_variables=own, read_file=read_file))
    entries = _check_unique_names(entries, findings)
    if not findings.problems and not entries and not findings.disabled:
        findings.problems.append(Problem("", "no websocket call template is left in it, so there is nothing to serve"))
    if findings.problems:
        raise InvalidManifest(source, findings.problems)
    return Manifest(source, tuple(entries), tuple(findings.disabled), tuple(findings.warnings))


def variable_files(document: Json) -> list[str]:
    """The dotenv files that a manifest names, as written there. Wrong ones are reported by `load_document`."""
    loaders = document.get("load_variables_from") if isinstance(document, dict) else None
    listed = loaders if isinstance(loaders, list) else []
    paths = [loader.get("env_file_path") for loader in listed if isinstance(loader, dict)]
    return [path for path in paths if isinstance(path, str)]


def inline_variables(document: Json) -> dict[str, str]:
    """The manifest's own `variables`."""
    variables = document.get("variables") if isinstance(document, dict) else None
    return {key: str(value) for key, value in variables.items()} if isinstance(variables, dict) else {}


def _load_entry(
    raw: Json, path: str, default: str | None, resolver: VariableResolver, report: LoadReport
) -> ManifestEntry | None:
    if not isinstance(raw, dict):
        report.problems.append(Problem(path, "expected a call template (an object)"))
        return None
    kind = raw.get("call_template_type", WEBSOCKET)
    if kind != WEBSOCKET:
        label = raw.get("name", path or "the call template")
        report.warnings.append(f"{label}: call_template_type {kind!r} is not served here, skipped")
        return None
    name = _entry_name(raw) or default
    if name is None:
        report.problems.append(Problem(join_path(path, "name"), "is required, because the url does not show a host"))
        return None
    variables = _bind_variables(raw, name, resolver, report)
    return None if variables is None else _validate_entry(substitute(raw, variables), path, name, variables, report)


def _bind_variables(raw: Json, name: str, resolver: VariableResolver, report: LoadReport) -> dict[str, str] | None:
    """Every variable of the entry, or None where one is missing: then the entry is disabled."""
    written = [raw, *referenced_presets(raw)]
    names = list(dict.fromkeys(find_variables(written)))
    if not names:
        return {}
    found = {variable: resolver.resolve(name, variable) for variable in names}
    optional = find_optional(written)
    if missing := tuple(variable for variable, value in found.items() if value is None and variable not in optional):
        report.disabled.append(DisabledEntry(name, missing))
        return None
    return {variable: value for variable, value in found.items() if value is not None}


def _validate_entry(
    raw: dict[str, Json], path: str, name: str, variables: Mapping[str, str], report: LoadReport
) -> ManifestEntry | None:
    problems = unknown_keys(raw, ENTRY_KEYS, path) + check_fields(raw, path)
    own = {key: value for key, value in raw.items() if key in CALL_TEMPLATE_KEYS}
    merged = apply_preset(normalize(own))
    has_url = "url" in raw or "tools" not in raw
    template, wrong = check_model(CallTemplate, merged if has_url else {**_PLACEHOLDER_TEMPLATE, **merged}, path)
    problems += wrong
    written = {key: value for key, value in raw.items() if key in MANUAL_KEYS}
    options, wrong = check_model(ManualOptions, written, path)
    problems += wrong
    tools: list[ResolvedTool] = []
    base = _PLACEHOLDER_TEMPLATE if problems else merged
    own_template = template if has_url else None
    listed = written.get("tools")
    for index, tool in enumerate(listed if isinstance(listed, list) else ()):
        if not isinstance(tool, dict):
            continue  # that is a problem of the options
        if kind := _foreign_type(tool.get("tool_call_template")):
            report.warnings.append(f"{name}: the tool {tool.get('name')!r} is of the type {kind!r}, skipped")
            continue
        checked, wrong = check_tool(tool, base, join_path(join_path(path, "tools"), index), own_template)
        problems += wrong
        tools += [checked] if checked else []
    report.problems += problems
    if problems or options is None:
        return None
    return ManifestEntry(name, path, merged, own_template, options, tuple(tools), variables, {}, PurePath())


def _foreign_type(template: Json) -> str | None:
    kind = template.get("call_template_type", WEBSOCKET) if isinstance(template, dict) else WEBSOCKET
    return None if kind == WEBSOCKET else str(kind)


def check_tool(
    raw: Json, entry: Mapping[str, Json], path: str, template: CallTemplate | None = None
) -> tuple[ResolvedTool | None, list[Problem]]:
    """A tool with what it inherits from its entry's document, or what is wrong with it.

    A tool that says nothing of its own has the entry's `template` itself: it need not be checked again for each.
    """
    tool, problems = check_model(Tool, raw, path)
    if tool is None:
        return None, [_with_location_hint(problem, path) for problem in problems]
    own = tool.tool_call_template or {}
    if template is not None and not own:
        return ResolvedTool(tool, template, path), []
    below = join_path(path, "tool_call_template")
    problems = unknown_keys(own, CALL_TEMPLATE_KEYS, below) + check_fields(own, below)
    known = {key: value for key, value in own.items() if key in CALL_TEMPLATE_KEYS}
    template, wrong = check_model(CallTemplate, inherit(entry, known), below)
    problems += wrong
    return (ResolvedTool(tool, template, path), []) if template and not problems else (None, problems)


def _with_location_hint(problem: Problem, path: str) -> Problem:
    """A field of call templates that stands in the tool itself is told where it belongs."""
    is_field = problem.path.removeprefix(f"{path}.") in CALL_TEMPLATE_KEYS
    if not (is_field and problem.message.startswith("unknown key")):
        return problem
    return Problem(problem.path, 'unknown key here; write it into "tool_call_template"')


def _entry_name(raw: Mapping[str, Json]) -> str | None:
    if isinstance(name := raw.get("name"), str) and name:
        return name
    host = re.match(r"[a-z]+://(\[[0-9A-Fa-f:]+\]|[A-Za-z0-9.-]+)", str(raw.get("url", "")))
    return re.sub(r"[^A-Za-z0-9]+", "_", host[1]).strip("_") if host else None


def _check_unique_names(entries: Sequence[ManifestEntry], report: LoadReport) -> list[ManifestEntry]:
    seen: dict[str, ManifestEntry] = {}
    for entry in entries:
        if other := seen.get(entry.name):
            where = f"already the name of {other.path or 'another entry'}; give each call template a name of its own"
            report.problems.append(Problem(join_path(entry.path, "name"), f"{entry.name!r} is {where}"))
        seen[entry.name] = entry
    return list(seen.values())
