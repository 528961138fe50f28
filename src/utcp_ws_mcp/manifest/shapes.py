"""The shapes that a manifest's file may have, and the entries in each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from ..errors import Problem
from .models.base import Json
from .validation import unknown_keys

_CLIENT_KEYS = {"manual_call_templates", "variables", "load_variables_from", "$schema"}
_INERT_KEYS = {"tool_repository", "tool_search_strategy", "post_processing"}
_MANUAL_DOCUMENT_KEYS = {"utcp_version", "manual_version", "version", "info", "tools", "name", "variables", "$schema"}
_EXPECTED = (
    'expected an object with "manual_call_templates", an array of call templates, '
    'one call template (with "url"), or a UTCP manual (with "tools")'
)


@dataclass(frozen=True, slots=True)
class DisabledEntry:
    """An entry that cannot run because nobody sets these variables."""

    name: str
    missing: tuple[str, ...]


@dataclass(slots=True)
class LoadReport:
    """What is found while a document is read."""

    problems: list[Problem] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    disabled: list[DisabledEntry] = field(default_factory=list)


def raw_entries(document: Json, report: LoadReport, default_name: str) -> Iterator[tuple[str, Json, str | None]]:
    """Each entry of any shape of file: its path, its document, the name it has if it brings none."""
    if isinstance(document, list):
        yield from ((f"[{index}]", raw, None) for index, raw in enumerate(document))
    elif not isinstance(document, dict):
        report.problems.append(Problem("", _EXPECTED))
    elif "manual_call_templates" in document:
        yield from _client_configuration_entries(document, report)
    elif isinstance(document, dict) and (wrong := list(_check_variables(document))):
        report.problems += wrong
    elif "url" in document or "call_template_type" in document:
        yield "", {key: value for key, value in document.items() if key not in _CLIENT_KEYS}, None
    elif "tools" in document:
        report.problems += unknown_keys(document, _MANUAL_DOCUMENT_KEYS | {"url"}, "")
        yield "", {"tools": document["tools"], "name": document.get("name", default_name)}, None
    else:
        report.problems.append(Problem("", _EXPECTED))


def _client_configuration_entries(document: Json, report: LoadReport) -> Iterator[tuple[str, Json, str | None]]:
    report.problems += unknown_keys(document, _CLIENT_KEYS | _INERT_KEYS, "")
    inert = sorted(_INERT_KEYS & document.keys())
    if inert:
        report.warnings.append(f"{', '.join(inert)}: without effect here, ignored")
    report.problems += _check_variables(document)
    templates = document["manual_call_templates"]
    if not isinstance(templates, list):
        report.problems.append(Problem("manual_call_templates", "expected an array of call templates"))
        return
    yield from ((f"manual_call_templates[{index}]", raw, None) for index, raw in enumerate(templates))


def _check_variables(document: Json) -> Iterator[Problem]:
    if not isinstance(document.get("variables", {}), dict):
        yield Problem("variables", "expected an object of names and values")
    loaders = document.get("load_variables_from")
    if not isinstance(loaders, list | None):
        yield Problem("load_variables_from", "expected an array of variable loaders")
    for index, loader in enumerate(loaders if isinstance(loaders, list) else ()):
        kind = loader.get("variable_loader_type") if isinstance(loader, dict) else None
        if kind != "dotenv" or not isinstance(loader.get("env_file_path"), str):
            yield Problem(
                f"load_variables_from[{index}]",
                'expected {"variable_loader_type": "dotenv", "env_file_path": "…"}',
            )
