"""Turn the JSON document of a manifest into entries, or report every problem at once, each with its JSON path."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import PurePath
from typing import Final

from ..errors import InvalidManifest, Problem
from ..records import MutableRecord, field, replace
from .bound_variables import bind_variables, secrets_in_names, without_values
from .caller_variables import caller_names, discovery_problem, without_header
from .entries import DisabledEntry, Manifest, ManifestEntry, ReadFile, ResolvedTool
from .inheritance import (
    CALL_TEMPLATE_KEYS,
    ENTRY_KEYS,
    apply_preset,
    check_fields,
    merge_tool,
    normalize,
    referenced_presets,
)
from .models.base import Json
from .models.call_template import CallTemplate
from .models.catalog import CatalogInfo
from .models.manual import MANUAL_KEYS, ManualOptions, Tool
from .stream_framing import with_utcp_framing
from .validation import check_model, join_path, strip_comments, unknown_keys
from .variable_forms import resolve_forms
from .variables import CallerValues, VariableResolver, may_use_variables, substitute

WEBSOCKET: Final = "websocket"
CLIENT_KEYS: Final = frozenset({"manual_call_templates", "variables", "load_variables_from", "catalog", "$schema"})
"""The keys of a UTCP client configuration. Those beside `manual_call_templates` are allowed in a single entry too."""

INERT_CLIENT_KEYS: Final = frozenset({"tool_repository", "tool_search_strategy", "post_processing"})
"""The keys of a UTCP client configuration that have no effect here."""

MANUAL_DOCUMENT_KEYS: Final = frozenset(
    {"utcp_version", "manual_version", "version", "info", "tools", "name", "variables", "catalog", "$schema"}
)
"""The keys of a UTCP manual that is written as a manifest."""

_EXPECTED: Final = (
    'expected an object with "manual_call_templates", an array of call templates, '
    'one call template (with "url"), or a UTCP manual (with "tools").'
)
_HOST_FILE: Final = 'this is the configuration file of an MCP host ("mcpServers"), which `install` changes'
_PLACEHOLDER_TEMPLATE: Final = {"url": "wss://localhost/"}
"""What tools inherit if their entry is invalid, so that the problems of the tools are found in the same run."""


class LoadReport(MutableRecord):
    """Everything that is reported while a document is loaded."""

    problems: list[Problem] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    disabled: list[DisabledEntry] = field(default_factory=list)


def load_document(
    document: Json,
    resolver: VariableResolver,
    source: str,
    folder: PurePath,
    read_file: ReadFile | None = None,
    only: str | None = None,
) -> Manifest:
    """Check the document of a manifest and bind its variables.

    Args:
        document: The parsed JSON.
        resolver: Resolves the variables of each entry.
        source: The name of the manifest in errors; its stem is the default name of a UTCP manual.
        folder: The folder that relative paths start from.
        read_file: Reads a file relative to `folder`; None if the manifest cannot refer to files.
        only: The name of the one entry to load; None: all are.

    Raises:
        InvalidManifest: With all problems of the document.
    """
    report = LoadReport()
    document = strip_comments(document)
    entries: list[ManifestEntry] = []
    for path, raw, default_name in _raw_entries(document, report, PurePath(source).stem):
        if only is not None and only != (_entry_name(raw) or default_name):
            continue
        if entry := _load_entry(raw, path, default_name, resolver, report):
            own = resolver.for_manual(entry.name)
            entries.append(replace(entry, folder=folder, own_variables=own, read_file=read_file))
    entries = _check_unique_names(entries, report)
    if not report.problems and not entries and not report.disabled:
        message = "there is nothing to serve: the manifest has no WebSocket call template. Add one."
        report.problems.append(Problem("", message, code="nothing-to-serve"))
    if report.problems:
        raise InvalidManifest(source, report.problems)
    return Manifest(source, tuple(entries), tuple(report.disabled), tuple(report.warnings))


def variable_files(document: Json) -> list[str]:
    """Return the dotenv files that a manifest names, as written; `load_document` reports invalid values."""
    loaders = document.get("load_variables_from") if isinstance(document, dict) else None
    listed = loaders if isinstance(loaders, list) else []
    paths = [loader.get("env_file_path") for loader in listed if isinstance(loader, dict)]
    return [path for path in paths if isinstance(path, str)]


def inline_variables(document: Json) -> dict[str, str]:
    """Return the `variables` of a manifest."""
    variables = document.get("variables") if isinstance(document, dict) else None
    return {key: str(value) for key, value in variables.items()} if isinstance(variables, dict) else {}


def _raw_entries(document: Json, report: LoadReport, default_name: str) -> Iterator[tuple[str, Json, str | None]]:
    """Yield the entries of any form of manifest: the JSON path, the document, and the name if it has none itself."""
    if isinstance(document, list):
        yield from ((f"[{index}]", raw, None) for index, raw in enumerate(document))
    elif not isinstance(document, dict):
        report.problems.append(Problem("", _EXPECTED, code="unknown-manifest-form"))
    elif "manual_call_templates" in document:
        yield from _client_configuration_entries(document, report)
    elif found := list(_check_file_keys(document)):
        report.problems += found
    elif "url" in document or "call_template_type" in document:
        yield "", {key: value for key, value in document.items() if key not in CLIENT_KEYS}, None
    elif "tools" in document:
        report.problems += unknown_keys(document, MANUAL_DOCUMENT_KEYS | {"url"}, "")
        yield "", {"tools": document["tools"], "name": document.get("name", default_name)}, None
    else:
        is_host_file = isinstance(document.get("mcpServers"), dict)
        message = f"{_HOST_FILE}; {_EXPECTED}" if is_host_file else _EXPECTED
        report.problems.append(Problem("", message, code="unknown-manifest-form"))


def _client_configuration_entries(document: Json, report: LoadReport) -> Iterator[tuple[str, Json, str | None]]:
    report.problems += unknown_keys(document, CLIENT_KEYS | INERT_CLIENT_KEYS, "")
    inert = sorted(INERT_CLIENT_KEYS & document.keys())
    if inert:
        message = "no effect in this program. Ignored."
        report.warnings.append(str(Problem(", ".join(inert), message, code="field-without-effect")))
    report.problems += _check_file_keys(document)
    templates = document["manual_call_templates"]
    if not isinstance(templates, list):
        message = "expected an array of call templates."
        report.problems.append(Problem("manual_call_templates", message, code="wrong-type"))
        return
    yield from ((f"manual_call_templates[{index}]", raw, None) for index, raw in enumerate(templates))


def _check_file_keys(document: Json) -> Iterator[Problem]:
    if "catalog" in document:
        yield from check_model(CatalogInfo, document["catalog"], "catalog")[1]
    if not isinstance(document.get("variables", {}), dict):
        yield Problem("variables", "expected an object of names and values.", code="wrong-type")
    loaders = document.get("load_variables_from")
    if not isinstance(loaders, list | None):
        yield Problem("load_variables_from", "expected an array of variable loaders.", code="wrong-type")
    for index, loader in enumerate(loaders if isinstance(loaders, list) else ()):
        kind = loader.get("variable_loader_type") if isinstance(loader, dict) else None
        if kind != "dotenv" or not isinstance(loader.get("env_file_path"), str):
            yield Problem(
                f"load_variables_from[{index}]",
                'expected {"variable_loader_type": "dotenv", "env_file_path": "…"}.',
                code="invalid-value",
            )


def _load_entry(
    raw: Json, path: str, default: str | None, resolver: VariableResolver, report: LoadReport
) -> ManifestEntry | None:
    if not isinstance(raw, dict):
        report.problems.append(Problem(path, "expected a call template (an object).", code="wrong-type"))
        return None
    kind = raw.get("call_template_type", WEBSOCKET)
    if kind != WEBSOCKET:
        label = str(raw.get("name", path or "the call template"))
        message = f"the call_template_type {kind!r} is not supported. Call template skipped."
        report.warnings.append(str(Problem(label, message, code="other-protocol")))
        return None
    name = _entry_name(raw) or default
    if name is None:
        message = "this field is required, because the URL contains no host to make a name of."
        report.problems.append(Problem(join_path(path, "name"), message, code="missing-key"))
        return None
    if not may_use_variables([raw, *referenced_presets(raw)]):
        return _validate_entry(raw, path, name, {}, report)
    names, callers = caller_names(raw), resolver.callers
    resolver = replace(resolver, caller_names=names) if names else resolver
    raw, problems = resolve_forms(raw, partial(resolver.resolve, name), path)
    problems += without_header(names, callers, path) if callers is not None else []
    problems += secrets_in_names(raw, path)
    if problems:
        report.problems += problems
        return None
    variables = bind_variables(raw, path, name, resolver)
    if isinstance(variables, DisabledEntry):
        report.disabled.append(variables)
        return None
    found = LoadReport(warnings=report.warnings)
    entry = _validate_entry(substitute(raw, variables), path, name, variables, found)
    report.problems += without_values(found.problems, variables)
    return entry if entry is None or not names else _for_callers(entry, names, callers, report)


def _for_callers(
    entry: ManifestEntry, names: frozenset[str], callers: CallerValues | None, report: LoadReport
) -> ManifestEntry | None:
    """Return an entry with the variables of its callers; None if its tools would have to be discovered."""
    if entry.uses_discovery:
        report.problems.append(discovery_problem(entry.path))
        return None
    return replace(entry, caller_variables=names, awaits_caller=callers is not None and callers.are_stand_ins)


def _validate_entry(
    raw: dict[str, Json], path: str, name: str, variables: Mapping[str, str], report: LoadReport
) -> ManifestEntry | None:
    problems = unknown_keys(raw, ENTRY_KEYS, path) + check_fields(raw, path)
    merged = apply_preset(normalize({key: value for key, value in raw.items() if key in CALL_TEMPLATE_KEYS}))
    # A UTCP manual as a manifest has no URL of its own, but its tools inherit the other fields of a checked template.
    has_url = "url" in raw or "tools" not in raw
    template, found = _check_template(merged if has_url else {**_PLACEHOLDER_TEMPLATE, **merged}, path)
    problems += found
    manual = {key: value for key, value in raw.items() if key in MANUAL_KEYS}
    options, found = check_model(ManualOptions, manual, path)
    problems += found
    own_template = template if has_url else None
    lacks_url = not has_url and not any(_names_url(tool) for tool in _objects(raw["tools"]))
    if lacks_url and _objects(raw["tools"]):
        problems.append(_missing_url(path, name))
    inherited = _PLACEHOLDER_TEMPLATE if problems else merged
    tools, found = _check_listed_tools(manual.get("tools"), inherited, path, own_template, name, report)
    problems += found
    report.problems += problems
    if problems or options is None:
        return None
    return ManifestEntry(name, path, merged, own_template, options, tools, variables, {}, PurePath())


def _missing_url(path: str, name: str) -> Problem:
    message = f'{name!r} has no "url", and no tool has one of its own. Add it.'
    return Problem(join_path(path, "url"), message, code="missing-key")


def _names_url(tool: dict[str, Json]) -> bool:
    template = tool.get("tool_call_template")
    return isinstance(template, dict) and ("url" in template or _other_type(template) is not None)


def _objects(listed: Json) -> list[dict[str, Json]]:
    return [each for each in listed if isinstance(each, dict)] if isinstance(listed, list) else []


def _check_listed_tools(
    listed: Json,
    inherited: Mapping[str, Json],
    path: str,
    template: CallTemplate | None,
    name: str,
    report: LoadReport,
) -> tuple[tuple[ResolvedTool, ...], list[Problem]]:
    tools: list[ResolvedTool] = []
    problems: list[Problem] = []
    tools_path = join_path(path, "tools")
    for index, raw in enumerate(listed if isinstance(listed, list) else ()):
        if not isinstance(raw, dict):
            continue  # ManualOptions reports it
        if kind := _other_type(raw.get("tool_call_template")):
            message = f"the call_template_type {kind!r} of the tool {raw.get('name')!r} is not supported. Tool skipped."
            report.warnings.append(str(Problem(name, message, code="other-protocol")))
            continue
        tool, found = check_tool(raw, inherited, join_path(tools_path, index), template)
        problems += found
        tools += [tool] if tool else []
    return tuple(tools), problems


def _other_type(template: Json) -> str | None:
    kind = template.get("call_template_type", WEBSOCKET) if isinstance(template, dict) else WEBSOCKET
    return None if kind == WEBSOCKET else str(kind)


def check_tool(
    raw: Json, entry: Mapping[str, Json], path: str, template: CallTemplate | None = None
) -> tuple[ResolvedTool | None, list[Problem]]:
    """Check a tool and merge its call template with what it inherits.

    Args:
        raw: The document of the tool.
        entry: The merged document that the tool inherits from.
        path: The JSON path of the tool.
        template: The checked call template of the entry. A tool without fields of its own shares it.

    Returns:
        The tool, or None; and all problems.
    """
    tool, problems = check_model(Tool, raw, path)
    if tool is None:
        return None, [_with_location_hint(problem, path) for problem in problems]
    own = tool.tool_call_template or {}
    if template is not None and not own:
        return ResolvedTool(tool, template, path), []
    own_path = join_path(path, "tool_call_template")
    problems = unknown_keys(own, CALL_TEMPLATE_KEYS, own_path) + check_fields(own, own_path)
    known = {key: value for key, value in own.items() if key in CALL_TEMPLATE_KEYS}
    template, found = _check_template(merge_tool(entry, known), own_path)
    problems += found
    return (ResolvedTool(tool, template, path), []) if template and not problems else (None, problems)


def _check_template(document: Json, path: str) -> tuple[CallTemplate | None, list[Problem]]:
    template, problems = check_model(CallTemplate, document, path)
    return template and with_utcp_framing(template), problems


def _with_location_hint(problem: Problem, path: str) -> Problem:
    """Say where a field of call templates belongs that is written into the tool itself."""
    is_field = problem.path.removeprefix(f"{path}.") in CALL_TEMPLATE_KEYS
    if not (is_field and problem.code == "unknown-key"):
        return problem
    message = 'this field belongs to the call template. Move it into "tool_call_template".'
    return Problem(problem.path, message, code="misplaced-key")


def _entry_name(raw: Mapping[str, Json]) -> str | None:
    if isinstance(name := raw.get("name"), str) and name:
        return name
    host = re.match(r"[a-z]+://(\[[0-9A-Fa-f:]+\]|[A-Za-z0-9.-]+)", str(raw.get("url", "")))
    return re.sub(r"[^A-Za-z0-9]+", "_", host[1]).strip("_") if host else None


def _check_unique_names(entries: Sequence[ManifestEntry], report: LoadReport) -> list[ManifestEntry]:
    seen: dict[str, ManifestEntry] = {}
    for entry in entries:
        if other := seen.get(entry.name):
            owner = other.path or "another call template"
            message = f"{entry.name!r} is already the name of {owner}. Give each call template another name."
            report.problems.append(Problem(join_path(entry.path, "name"), message, code="duplicate-name"))
        seen[entry.name] = entry
    return list(seen.values())
