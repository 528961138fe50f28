"""The tools of `tools/list` as JSON for both eras, with schemas that hosts and protocol revisions accept."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from ..core.tools.tool import CompiledTool
from ..observability.redaction import redact_strings
from .content import META_PREFIX, json_text
from .outputs import promised_schema
from .result import DEFAULT_OPTIONS, ENVELOPE_BYTES, MessageOptions, byte_size
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
    """A list of tools: the compiled tools by MCP name, and the JSON arrays `tools` for each era, one for each page."""

    tools: dict[str, CompiledTool]
    modern: tuple[str, ...]
    handshake: tuple[str, ...]

    def page(self, cursor: str | None, *, modern: bool) -> tuple[str, str | None] | None:
        """Return the page of a cursor, and the cursor of the next one; None for a cursor that names no page."""
        pages = self.modern if modern else self.handshake
        number = 0 if cursor is None else next((n for n in range(1, len(pages)) if cursor == str(n)), None)
        if number is None:
            return None
        return pages[number], str(number + 1) if number + 1 < len(pages) else None


def build_listing(
    tools: list[CompiledTool], redact: Callable[[str], str] = str, options: MessageOptions = DEFAULT_OPTIONS
) -> ToolListing:
    """Return the listing. A tool that JSON cannot represent is omitted and logged: it would fail the whole list.

    `redact` removes credentials from texts and schemas: a manual may repeat the token with which it was requested.
    """
    by_key = {(tool.manual, tool.name): tool for tool in tools}
    listed: dict[str, CompiledTool] = {}
    modern, handshake = [], []
    limit = options.max_line_bytes - ENVELOPE_BYTES
    for name, key in mcp_names(by_key).items():
        tool = by_key[key]
        try:
            for_handshake, for_modern = _encode_tool(name, tool, redact, options)
        except ValueError as error:
            logger.warning("%s is not offered: %s", tool.full_name, str(error).splitlines()[0])
            continue
        if max(byte_size([for_handshake]), byte_size([for_modern])) >= limit:
            logger.warning("%s is not offered: its definition is longer than --max-line-bytes", tool.full_name)
            continue
        listed[name] = tool
        handshake.append(for_handshake)
        modern.append(for_modern)
    return ToolListing(listed, _pages(modern, limit), _pages(handshake, limit))


def _pages(tools: list[str], limit: int) -> tuple[str, ...]:
    """Return the JSON of the tools as arrays of at most `limit` bytes.

    Usually there is one: some clients read only the first page.
    """
    pages: list[list[str]] = [[]]
    used = 2
    for tool in tools:
        size = byte_size([tool]) + 1
        if pages[-1] and used + size > limit:
            pages.append([])
            used = 2
        pages[-1].append(tool)
        used += size
    return tuple(f"[{','.join(page)}]" for page in pages)


def _encode_tool(
    name: str, tool: CompiledTool, redact: Callable[[str], str], options: MessageOptions
) -> tuple[str, str]:
    """Return the JSON of a tool for the handshake revisions and for 2026-07-28."""
    with_outputs = bool(tool.outputs) and options.json_form != "text"
    handshake = _redacted_json(_tool_definition(name, tool, modern=False, with_outputs=with_outputs), redact)
    if not with_outputs:
        return handshake, handshake
    return handshake, _redacted_json(_tool_definition(name, tool, modern=True, with_outputs=True), redact)


def _redacted_json(tool: dict[str, Any], redact: Callable[[str], str]) -> str:
    """Return a tool as redacted JSON. Its strings are redacted one by one only if the JSON contains a credential."""
    text = json_text(tool)
    return text if redact(text) == text else json_text(redact_strings(tool, redact))


def _tool_definition(name: str, tool: CompiledTool, *, modern: bool, with_outputs: bool) -> dict[str, Any]:
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
    outputs = promised_schema(tool, modern=modern) if with_outputs else None
    if outputs is not None:
        definition["outputSchema"] = _drop_malformed_keywords(outputs)
    hints = {key: hint for name, key in _HINTS.items() if (hint := getattr(tool.annotations, name)) is not None}
    if hints:
        definition["annotations"] = hints
    return definition


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
