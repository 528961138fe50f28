"""The tools of `tools/list` as JSON for both eras, with schemas that hosts and protocol revisions accept."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from ..core.tools.mcp_inputs import HostInputs, host_inputs, restore_arguments
from ..core.tools.mcp_names import host_names
from ..core.tools.mcp_schema import host_schema
from ..core.tools.tool import CompiledTool
from ..observability.redaction import redact_strings
from ..records import Record, field
from .content import META_PREFIX, json_text
from .outputs import promised_schema
from .result import DEFAULT_OPTIONS, ENVELOPE_BYTES, MessageOptions, text_size

logger = logging.getLogger(__name__)

TOOL_KEY: Final = f"{META_PREFIX}tool"
"""In `_meta` of a tool: its name in the manifest, `manual.tool`."""

HEADER_KEYWORD: Final = "x-mcp-header"
"""In the schema of an argument: the header in which clients of 2026-07-28 repeat it."""

TAGS_KEY: Final = f"{META_PREFIX}tags"
_HINTS: Final = {
    "title": "title",
    "read_only": "readOnlyHint",
    "destructive": "destructiveHint",
    "idempotent": "idempotentHint",
    "open_world": "openWorldHint",
}


class ToolListing(Record):
    """A list of tools.

    Attributes:
        tools: The compiled tools by the names that hosts see.
        modern: The JSON arrays `tools` for clients of 2026-07-28, one for each page.
        handshake: The same for the handshake revisions.
        names: The name that hosts see of each `manual.tool`.
        arguments: The names of arguments that hosts see otherwise, by `manual.tool`: original names by those of hosts.
        in_headers: The names of tools whose arguments clients repeat in headers over HTTP (`x-mcp-header`).
    """

    tools: Mapping[str, CompiledTool]
    modern: tuple[str, ...]
    handshake: tuple[str, ...]
    names: Mapping[str, str] = field(default_factory=dict)
    arguments: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    in_headers: frozenset[str] = frozenset()

    def find(self, name: str) -> CompiledTool | None:
        """Return the tool that hosts see under a name, or whose name is `manual.tool`; None if there is none."""
        return self.tools.get(name) or self.tools.get(self.names.get(name, ""))

    def input_schema(self, name: str) -> Mapping[str, Any] | None:
        """Return the input schema that hosts see of a tool; None if there is none."""
        tool = self.find(name)
        return host_inputs(tool.inputs).schema if tool is not None else None

    def restore_arguments(self, tool: CompiledTool, arguments: dict[str, Any] | None) -> dict[str, Any] | None:
        """Return the arguments of a call with the names that the tool has for them."""
        renamed = self.arguments.get(tool.full_name)
        return restore_arguments(arguments, renamed) if renamed and arguments else arguments

    def page(self, cursor: str | None, *, modern: bool) -> tuple[str, str | None] | None:
        """Return the page of a cursor, and the cursor of the next one; None for a cursor that names no page."""
        pages = self.modern if modern else self.handshake
        number = 0 if cursor is None else next((n for n in range(1, len(pages)) if cursor == str(n)), None)
        if number is None:
            return None
        return pages[number], str(number + 1) if number + 1 < len(pages) else None


def build_listing(
    tools: Sequence[CompiledTool],
    redact: Callable[[str], str] = str,
    options: MessageOptions = DEFAULT_OPTIONS,
    server_name: str = "",
    visible: Callable[[CompiledTool], bool] | None = None,
) -> ToolListing:
    """Return the listing. A tool that JSON cannot represent is omitted and logged: it would fail the whole list.

    Args:
        tools: The tools.
        redact: Removes credentials from texts and schemas: a manual may repeat the token with which it was requested.
        options: The form of results, and the bound on the size of a message.
        server_name: The name of this server in the host (`host_names`).
        visible: Whether a tool is listed; None: all are. It does not change the names of the others.
    """
    names = host_names({(tool.manual, tool.name): tool.rank for tool in tools}, server_name)
    listed: dict[str, CompiledTool] = {}
    arguments: dict[str, Mapping[str, str]] = {}
    modern, handshake, in_headers = [], [], set()
    limit = options.max_line_bytes - ENVELOPE_BYTES
    shared: dict[int, HostInputs] = {}
    for tool in (tool for tool in tools if visible is None or visible(tool)):
        name, declared = names[tool.manual, tool.name], id(tool.inputs)
        inputs = shared.get(declared) or shared.setdefault(declared, host_inputs(tool.inputs))
        try:
            for_handshake, for_modern = _encode_tool(name, tool, inputs, redact, options)
        except ValueError as error:
            logger.warning("%s is not offered: %s", tool.full_name, str(error).splitlines()[0])
            continue
        if max(text_size(for_handshake), text_size(for_modern)) >= limit:
            logger.warning("%s is not offered: its definition is longer than --max-line-bytes", tool.full_name)
            continue
        listed[name] = tool
        if HEADER_KEYWORD in for_modern:
            in_headers.add(name)
        if inputs.arguments:
            arguments[tool.full_name] = inputs.arguments
        handshake.append(for_handshake)
        modern.append(for_modern)
    shown = {tool.full_name: name for name, tool in listed.items()}
    return ToolListing(listed, _pages(modern, limit), _pages(handshake, limit), shown, arguments, frozenset(in_headers))


def _pages(tools: list[str], limit: int) -> tuple[str, ...]:
    """Return the JSON of the tools as arrays of at most `limit` bytes.

    Usually there is one: some clients read only the first page.
    """
    bracket = comma = 1
    pages: list[list[str]] = [[]]
    used = bracket
    for tool in tools:
        size = text_size(tool) + comma  # behind the last tool, a bracket in its place
        if pages[-1] and used + size > limit:
            pages.append([])
            used = bracket
        pages[-1].append(tool)
        used += size
    return tuple(f"[{','.join(page)}]" for page in pages)


def _encode_tool(
    name: str, tool: CompiledTool, inputs: HostInputs, redact: Callable[[str], str], options: MessageOptions
) -> tuple[str, str]:
    """Return the JSON of a tool for the handshake revisions and for 2026-07-28."""
    with_outputs = bool(tool.outputs) and options.json_form != "text"
    definition = _tool_definition(name, tool, inputs)
    handshake = _encode_redacted(_with_outputs(definition, tool, modern=False) if with_outputs else definition, redact)
    if not with_outputs:
        return handshake, handshake
    return handshake, _encode_redacted(_with_outputs(definition, tool, modern=True), redact)


def _encode_redacted(tool: dict[str, Any], redact: Callable[[str], str]) -> str:
    """Return a tool as redacted JSON. Its strings are redacted one by one only if the JSON contains a credential."""
    text = json_text(tool, is_parsed=True)  # a schema that holds anything else is refused when it is compiled
    return text if redact(text) == text else json_text(redact_strings(tool, redact))


def _tool_definition(name: str, tool: CompiledTool, inputs: HostInputs) -> dict[str, Any]:
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
    hints = {key: hint for name, key in _HINTS.items() if (hint := getattr(tool.annotations, name)) is not None}
    if hints:
        definition["annotations"] = hints
    return definition


def _with_outputs(definition: dict[str, Any], tool: CompiledTool, *, modern: bool) -> dict[str, Any]:
    promised = promised_schema(tool, modern=modern)
    if promised is None:
        return definition
    shown = host_schema(promised, for_outputs=True).schema
    if promised.get("type") == "object":
        shown["type"] = "object"
    return {**definition, "outputSchema": shown}
