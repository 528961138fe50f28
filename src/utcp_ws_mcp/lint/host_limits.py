"""Notes: what single hosts and model APIs refuse, cut or change, and what is sent as it is. The manifest is right."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from ..client.manifest_files import LoadedManifest
from ..core.templates.forms import FORM_KEYS, own_keys
from ..core.tools.mcp_inputs import HostInputs, host_inputs
from ..core.tools.mcp_names import MAX_NAME_LENGTH, host_names
from ..core.tools.mcp_schema import RECURSIVE, TOO_LARGE, UNPORTABLE_PATTERN
from ..core.tools.tool import CompiledTool
from ..errors import Problem
from ..manifest.entries import ManifestEntry
from ..manifest.validation import join_path

MAX_DESCRIPTION: Final = 1024
"""Characters of a description that OpenAI's API accepts."""

MAX_TOOLS: Final = 128
"""Tools that OpenAI's API accepts in one request."""

MAX_NAMES_SHOWN: Final = 3

NOTES: Final[Mapping[str, str]] = {
    "annotations-missing": "Tools have no annotations, and some hosts deny them.",
    "description-long": "A description is longer than some hosts and APIs accept.",
    "argument-untyped": "An argument has no type, which some hosts and APIs refuse or replace.",
    "enum-not-text": "An enum contains other values than text, which Gemini's API refuses.",
    "schema-simplified": "Hosts see a schema in a simpler form.",
    "argument-name-changed": "Hosts see another name of an argument.",
    "tool-name-changed": "Hosts and models see another name of a tool.",
    "message-key-unknown": "A key in a message begins with $ and has no meaning.",
    "many-tools": "There are more tools than some hosts and APIs accept.",
}
"""The codes of all notes, each with a summary."""

_CHANGES: Final = {
    RECURSIVE: "refers to itself, on which LlamaIndex, DSPy and mcpo fail with all tools: hosts see two levels of it",
    UNPORTABLE_PATTERN: "has a pattern that Python or Rust cannot read (CrewAI fails with all tools): hosts see it as "
    "text",
    TOO_LARGE: "is too large or refers to another document: hosts see only the types of its inner parts",
}
_TYPES: Final = frozenset({"type", "enum", "const", "anyOf", "oneOf", "allOf", "$ref", "not"})


def host_notes(loaded: LoadedManifest) -> Iterator[Problem]:
    """Yield a note for each limit of a host that the tools of a manifest exceed."""
    count = sum(len(tools) for tools in loaded.tools.values())
    if count > MAX_TOOLS:
        message = (
            f"{count} tools: OpenAI's API and VS Code accept {MAX_TOOLS}, and models choose worse among many. "
            'Offer fewer with "include_tools", or serve with --meta-tools.'
        )
        yield Problem("", message, code="many-tools")
    for entry in loaded.manifest.entries:
        yield from tool_notes(loaded.tools[entry.name], entry)


def tool_notes(tools: Sequence[CompiledTool], entry: ManifestEntry | None = None) -> Iterator[Problem]:
    """Yield the notes about tools, one for each code: `entry` is where a manifest lists them."""
    inputs = [(tool, host_inputs(tool.inputs)) for tool in tools]
    findings = [[(tool, text) for tool, shown in inputs for text in find(tool, shown)] for find in _RULES]
    for found in (*findings, list(_tool_names(tools))):
        if found:
            first, (code, text) = found[0]
            others = dict.fromkeys(tool.name for tool, _ in found if tool is not first)
            more = f" The same holds for {_list(others)}." if others else ""
            yield Problem(_path(first, entry), f"{text}{more}", code=code)


def _annotations(tool: CompiledTool, _: HostInputs) -> Iterator[tuple[str, str]]:
    if tool.annotations.read_only is None and tool.annotations.destructive is None:
        message = (
            f'{tool.full_name} has no "annotations". Codex and Copilot CLI deny such tools in a run without a person; '
            'write {"readOnlyHint": true} for a tool that changes nothing.'
        )
        yield "annotations-missing", message


def _description(tool: CompiledTool, _: HostInputs) -> Iterator[tuple[str, str]]:
    if len(tool.description) > MAX_DESCRIPTION:
        message = (
            f"the description of {tool.full_name} has {len(tool.description):,} characters. OpenAI's API refuses more "
            f"than {MAX_DESCRIPTION:,}, and Claude Code cuts at 2,048. Shorten it."
        )
        yield "description-long", message


def _untyped(tool: CompiledTool, _: HostInputs) -> Iterator[tuple[str, str]]:
    for name, schema in _properties(tool.inputs):
        if isinstance(schema, bool) or not _TYPES & schema.keys():
            message = (
                f'the argument {name!r} of {tool.full_name} has no "type". Gemini\'s API may refuse it, and Codex '
                "offers it as text. Add the type."
            )
            yield "argument-untyped", message


def _enums(tool: CompiledTool, _: HostInputs) -> Iterator[tuple[str, str]]:
    for name, schema in _properties(tool.inputs):
        options = schema.get("enum", ()) if isinstance(schema, dict) else ()
        if any(not isinstance(option, str) for option in options):
            message = (
                f"the enum of the argument {name!r} of {tool.full_name} contains other values than text, which "
                "Gemini's API refuses. Use texts, or a range."
            )
            yield "enum-not-text", message


def _changes(tool: CompiledTool, shown: HostInputs) -> Iterator[tuple[str, str]]:
    for change in sorted(shown.changes):
        yield "schema-simplified", f"the input schema of {tool.full_name} {_CHANGES[change]}."


def _message_keys(tool: CompiledTool, _: HostInputs) -> Iterator[tuple[str, str]]:
    for key in dict.fromkeys(own_keys([tool.template.message, *tool.template.then])):
        message = (
            f"the key {key!r} in the message of {tool.full_name} is sent as it is. Keys with a meaning: "
            f"{', '.join(FORM_KEYS)}."
        )
        yield "message-key-unknown", message


def _names(tool: CompiledTool, shown: HostInputs) -> Iterator[tuple[str, str]]:
    for name, original in shown.arguments.items():
        message = (
            f"Claude's API refuses the argument name {original!r} of {tool.full_name}: hosts see {name!r}, and the "
            "endpoint gets the original name."
        )
        yield "argument-name-changed", message


def _tool_names(tools: Sequence[CompiledTool]) -> Iterator[tuple[CompiledTool, tuple[str, str]]]:
    """Yield the tools that hosts and models see under another name than `manual_tool`."""
    names = host_names({(tool.manual, tool.name): 0 for tool in tools})
    for tool in tools:
        full_name, shown = f"{tool.manual}_{tool.name}", names[tool.manual, tool.name]
        if len(full_name) > MAX_NAME_LENGTH:
            reason = f"with the prefixes of hosts, more than {MAX_NAME_LENGTH} characters exceed the limit of 64"
        elif re.search(r"[^A-Za-z0-9_.-]", full_name):
            reason = "hosts accept only letters, digits, _ and - in names"
        elif shown != full_name.replace(".", "_"):
            reason = "another tool has the same name in hosts"
        else:
            continue
        message = f'{reason}: models see {tool.full_name} as {shown!r}. "tool_overrides" can rename it.'
        yield tool, ("tool-name-changed", message)


_RULES: Final[tuple[Callable[[CompiledTool, HostInputs], Iterator[tuple[str, str]]], ...]] = (
    *(_annotations, _description, _untyped, _enums, _changes, _names, _message_keys),
)


def _properties(schema: Any) -> Iterator[tuple[str, Any]]:
    """Yield the properties of a schema, and of the objects and arrays below them."""
    properties = schema.get("properties") if isinstance(schema, dict) else None
    for name, below in properties.items() if isinstance(properties, dict) else ():
        yield name, below
        yield from _properties(below)
        yield from _properties(below.get("items") if isinstance(below, dict) else None)


def _path(tool: CompiledTool, entry: ManifestEntry | None) -> str:
    listed = entry.tools if entry is not None else ()
    source = next((each.path for each in listed if each.tool.name == tool.original_name), None)
    return join_path(source, "name") if source is not None else ""


def _list(names: Iterable[str]) -> str:
    shown = list(names)
    more = f" and {len(shown) - MAX_NAMES_SHOWN} more" if len(shown) > MAX_NAMES_SHOWN else ""
    return f"{', '.join(shown[:MAX_NAMES_SHOWN])}{more}"
