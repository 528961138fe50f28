"""The tools of a list, in their form on the wire, for both eras."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from ..core.tools.tool import CompiledTool
from .content import json_text
from .schemas import advertised_inputs, advertised_outputs
from .tool_names import mcp_names

logger = logging.getLogger(__name__)

_HINTS: Final = {
    "title": "title",
    "read_only": "readOnlyHint",
    "destructive": "destructiveHint",
    "idempotent": "idempotentHint",
    "open_world": "openWorldHint",
}


@dataclass(frozen=True, slots=True)
class ToolListing:
    """The tools as one list shows them: plans by MCP name, and the JSON of the list `tools` for each era."""

    tools: dict[str, CompiledTool]
    modern: str
    handshake: str


def build_listing(tools: list[CompiledTool], redact: Callable[[str], str] = str) -> ToolListing:
    """The tools of a list; one that cannot be written as JSON is left out, with a line in the log.

    `redact` takes credentials out of texts and schemas: a manual may repeat what it was asked with.
    """
    by_key = {(plan.manual, plan.name): plan for plan in tools}
    offered: dict[str, CompiledTool] = {}
    modern, handshake = [], []
    for name, key in mcp_names(by_key).items():
        plan = by_key[key]
        try:
            for_all = _encode_tool(_tool_definition(name, plan, objects_only=True), redact)
            for_modern = (
                _encode_tool(_tool_definition(name, plan, objects_only=False), redact) if plan.outputs else for_all
            )
        except ValueError as wrong:
            logger.warning("%s is not offered: %s", plan.full_name, str(wrong).splitlines()[0])
            continue
        offered[name] = plan
        handshake.append(for_all)
        modern.append(for_modern)
    return ToolListing(offered, f"[{','.join(modern)}]", f"[{','.join(handshake)}]")


def _encode_tool(tool: dict[str, Any], redact: Callable[[str], str]) -> str:
    """A tool on the wire. Where its JSON shows no credential, its texts hold none, and are not looked at one by one."""
    text = json_text(tool)
    return text if redact(text) == text else json_text(_redact_strings(tool, redact))


def _redact_strings(value: Any, redact: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, dict):
        return {redact(key): _redact_strings(item, redact) for key, item in value.items()}
    return [_redact_strings(item, redact) for item in value] if isinstance(value, list) else value


def has_structured_output(tool: CompiledTool) -> bool:
    """Whether results have the form that the manual's `outputs` describe: a JSON reply, not text and not a stream."""
    return bool(tool.outputs) and tool.template.response_format == "json" and tool.rules.stream is None


def _tool_definition(name: str, tool: CompiledTool, *, objects_only: bool) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "name": name,
        "title": tool.annotations.title or tool.full_name,
        "description": tool.description or f"{tool.name} of {tool.manual}",
        "inputSchema": advertised_inputs(tool.inputs),
        "_meta": {
            "io.github.utcp-ws-mcp/tool": tool.full_name,
            **({"io.github.utcp-ws-mcp/tags": list(tool.tags)} if tool.tags else {}),
        },
    }
    outputs = _output_schema(tool, objects_only)
    if outputs is not None:
        shown["outputSchema"] = outputs
    hints = {key: hint for name, key in _HINTS.items() if (hint := getattr(tool.annotations, name)) is not None}
    if hints:
        shown["annotations"] = hints
    return shown


def _output_schema(tool: CompiledTool, objects_only: bool) -> dict[str, Any] | None:
    if not has_structured_output(tool) or _allows_null(tool):
        return None
    return advertised_outputs(tool.outputs, objects_only=objects_only)


def _allows_null(tool: CompiledTool) -> bool:
    """Whether null fits the `outputs`: no revision can send it as structured content, and clients miss it then."""
    return tool.result_schema is not None and not tool.result_schema.check(None)
