"""The tools of `tools/list` as JSON for both eras, with schemas that hosts and protocol revisions accept."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from ..core.tools.tool import CompiledTool
from ..observability.redaction import redact_strings
from .content import META_PREFIX, json_text
from .tool_names import mcp_names

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
_COMBINATORS: Final = ("oneOf", "anyOf", "allOf", "not", "if", "then", "else", "$ref")


@dataclass(frozen=True, slots=True)
class ToolListing:
    """A list of tools: the compiled tools by MCP name, and the JSON array `tools` for each era."""

    tools: dict[str, CompiledTool]
    modern: str
    handshake: str


def build_listing(tools: list[CompiledTool], redact: Callable[[str], str] = str) -> ToolListing:
    """Return the listing. A tool that JSON cannot represent is omitted and logged: it would fail the whole list.

    `redact` removes credentials from texts and schemas: a manual may repeat the token with which it was requested.
    """
    by_key = {(tool.manual, tool.name): tool for tool in tools}
    listed: dict[str, CompiledTool] = {}
    modern, handshake = [], []
    for name, key in mcp_names(by_key).items():
        tool = by_key[key]
        try:
            for_all = _encode_tool(_tool_definition(name, tool, objects_only=True), redact)
            for_modern = (
                _encode_tool(_tool_definition(name, tool, objects_only=False), redact) if tool.outputs else for_all
            )
        except ValueError as error:
            logger.warning("%s is not offered: %s", tool.full_name, str(error).splitlines()[0])
            continue
        listed[name] = tool
        handshake.append(for_all)
        modern.append(for_modern)
    return ToolListing(listed, f"[{','.join(modern)}]", f"[{','.join(handshake)}]")


def _encode_tool(tool: dict[str, Any], redact: Callable[[str], str]) -> str:
    """Return a tool as redacted JSON. Its strings are redacted one by one only if the JSON contains a credential."""
    text = json_text(tool)
    return text if redact(text) == text else json_text(redact_strings(tool, redact))


def has_structured_output(tool: CompiledTool) -> bool:
    """Return whether results have the form of the manual's `outputs`: JSON replies do, text and streams do not."""
    return bool(tool.outputs) and tool.template.response_format == "json" and tool.rules.stream is None


def _tool_definition(name: str, tool: CompiledTool, *, objects_only: bool) -> dict[str, Any]:
    definition: dict[str, Any] = {
        "name": name,
        "title": tool.annotations.title or tool.full_name,
        "description": tool.description or f"{tool.name} of {tool.manual}",
        "inputSchema": advertised_inputs(tool.inputs),
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


def advertised_inputs(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return an input schema whose root is a plain object.

    APIs of models reject combinators there. The bridge validates them, and the model sees their properties.
    """
    shown = {key: value for key, value in schema.items() if key not in _COMBINATORS}
    properties = dict(_properties(schema))
    for key in ("oneOf", "anyOf", "allOf"):
        for branch in schema.get(key) or ():
            for name, value in _properties(branch).items():
                properties.setdefault(name, value)
    shown |= {"type": "object", "properties": properties}
    return _drop_malformed_keywords(shown)


def advertised_outputs(schema: Mapping[str, Any], *, objects_only: bool) -> dict[str, Any] | None:
    """Return an output schema, or None if it cannot be advertised: handshake revisions allow only objects."""
    if not schema or (objects_only and schema.get("type") != "object"):
        return None
    return _drop_malformed_keywords(dict(schema))


def _drop_malformed_keywords(schema: dict[str, Any]) -> dict[str, Any]:
    """Remove keywords of the wrong type: the models of the SDK and of hosts would reject the whole list."""
    if not isinstance(schema.get("$schema", ""), str):
        del schema["$schema"]
    if "required" in schema and not isinstance(schema["required"], list):
        del schema["required"]
    if "properties" in schema and not isinstance(schema["properties"], dict):
        del schema["properties"]
    return schema


def _properties(schema: Any) -> Mapping[str, Any]:
    properties = schema.get("properties") if isinstance(schema, dict) else None
    return properties if isinstance(properties, dict) else {}
