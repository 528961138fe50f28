"""The tools of `tools/list` as JSON for both eras, with schemas that hosts and protocol revisions accept."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from ..core.tools.host_inputs import HostInputs, host_inputs
from ..core.tools.host_names import host_names
from ..core.tools.host_schema import host_schema
from ..core.tools.tool import CompiledTool
from .content import META_PREFIX, json_text

logger = logging.getLogger(__name__)

TOOL_KEY: Final = f"{META_PREFIX}tool"
"""In `_meta` of a tool: its name in the manifest, `manual.tool`."""

TAGS_KEY: Final = f"{META_PREFIX}tags"
_HINTS: Final = {
    "title": "title",
    "read_only": "readOnlyHint",
    "destructive": "destructiveHint",
    "idempotent": "idempotentHint",
    "open_world": "openWorldHint",
}


@dataclass(frozen=True, slots=True)
class ToolListing:
    """A list of tools.

    Attributes:
        tools: The compiled tools by the names that hosts see.
        modern: The JSON array `tools` for clients of 2026-07-28.
        handshake: The same for the handshake revisions.
        names: The name that hosts see of each `manual.tool`.
        arguments: The names of arguments that hosts see otherwise, by `manual.tool`: original names by those of hosts.
    """

    tools: Mapping[str, CompiledTool]
    modern: str
    handshake: str
    names: Mapping[str, str] = field(default_factory=dict)
    arguments: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def find(self, name: str) -> CompiledTool | None:
        """Return the tool that hosts see under a name, or whose name is `manual.tool`; None if there is none."""
        return self.tools.get(name) or self.tools.get(self.names.get(name, ""))


def build_listing(
    tools: Sequence[CompiledTool], redact: Callable[[str], str] = str, server_name: str = ""
) -> ToolListing:
    """Return the listing. A tool that JSON cannot represent is omitted and logged: it would fail the whole list.

    Args:
        tools: The tools.
        redact: Removes credentials from texts and schemas: a manual may repeat the token with which it was requested.
        server_name: The name of this server in the host (`host_names`).
    """
    names = host_names({(tool.manual, tool.name): tool.rank for tool in tools}, server_name)
    listed: dict[str, CompiledTool] = {}
    arguments: dict[str, Mapping[str, str]] = {}
    modern, handshake = [], []
    for tool in tools:
        name = names[tool.manual, tool.name]
        inputs = host_inputs(tool.inputs)
        try:
            for_all = _encode_tool(_tool_definition(name, tool, inputs, objects_only=True), redact)
            for_modern = (
                _encode_tool(_tool_definition(name, tool, inputs, objects_only=False), redact)
                if tool.outputs
                else for_all
            )
        except ValueError as error:
            logger.warning("%s is not offered: %s", tool.full_name, str(error).splitlines()[0])
            continue
        listed[name] = tool
        if inputs.arguments:
            arguments[tool.full_name] = inputs.arguments
        handshake.append(for_all)
        modern.append(for_modern)
    shown = {tool.full_name: name for name, tool in listed.items()}
    return ToolListing(listed, f"[{','.join(modern)}]", f"[{','.join(handshake)}]", shown, arguments)


def _encode_tool(tool: dict[str, Any], redact: Callable[[str], str]) -> str:
    """Return a tool as redacted JSON. Its strings are redacted one by one only if the JSON contains a credential."""
    text = json_text(tool)
    return text if redact(text) == text else json_text(_redact_strings(tool, redact))


def _redact_strings(value: Any, redact: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, dict):
        return {redact(key): _redact_strings(item, redact) for key, item in value.items()}
    return [_redact_strings(item, redact) for item in value] if isinstance(value, list) else value


def has_structured_output(tool: CompiledTool) -> bool:
    """Return whether results have the form of the manual's `outputs`: JSON replies do, text and streams do not."""
    return bool(tool.outputs) and tool.template.response_format == "json" and tool.rules.stream is None


def _tool_definition(name: str, tool: CompiledTool, inputs: HostInputs, *, objects_only: bool) -> dict[str, Any]:
    definition: dict[str, Any] = {
        "name": name,
        "title": tool.annotations.title or tool.full_name,
        "description": tool.description or f"{tool.name} of {tool.manual}",
        "inputSchema": inputs.schema,
        "_meta": {
            TOOL_KEY: tool.full_name,
            **({TAGS_KEY: list(tool.tags)} if tool.tags else {}),
        },
    }
    outputs = _output_schema(tool, objects_only)
    if outputs is not None:
        definition["outputSchema"] = outputs
    hints = {key: hint for name, key in _HINTS.items() if (hint := getattr(tool.annotations, name)) is not None}
    if hints:
        definition["annotations"] = hints
    return definition


def _output_schema(tool: CompiledTool, objects_only: bool) -> dict[str, Any] | None:
    if not has_structured_output(tool) or _allows_null(tool):
        return None
    return advertised_outputs(tool.outputs, objects_only=objects_only)


def _allows_null(tool: CompiledTool) -> bool:
    """Return whether `outputs` allow null, which structured content cannot be; clients would then miss the content."""
    return tool.result_schema is not None and not tool.result_schema.check(None)


def advertised_outputs(schema: Mapping[str, Any], *, objects_only: bool) -> dict[str, Any] | None:
    """Return an output schema, or None if it cannot be advertised: handshake revisions allow only objects."""
    shown = host_schema(schema, for_outputs=True).schema if schema else {}
    if not shown or (objects_only and shown.get("type") != "object"):
        return None
    return shown
