"""The tools of a list, in their form on the wire, for both eras."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from ..core.tools.tool import Plan
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
class Offered:
    """The tools as one list shows them: plans by MCP name, and the JSON of the list `tools` for each era."""

    plans: dict[str, Plan]
    modern: str
    handshake: str


def offer(plans: list[Plan], redact: Callable[[str], str] = str) -> Offered:
    """The tools of a list; one that cannot be written as JSON is left out, with a line in the log.

    `redact` takes credentials out of texts and schemas: a manual may repeat what it was asked with.
    """
    by_key = {(plan.manual, plan.name): plan for plan in plans}
    offered: dict[str, Plan] = {}
    modern, handshake = [], []
    for name, key in mcp_names(by_key).items():
        plan = by_key[key]
        try:
            for_all = _json(_tool(name, plan, objects_only=True), redact)
            for_modern = _json(_tool(name, plan, objects_only=False), redact) if plan.outputs else for_all
        except ValueError as wrong:
            logger.warning("%s is not offered: %s", plan.full_name, str(wrong).splitlines()[0])
            continue
        offered[name] = plan
        handshake.append(for_all)
        modern.append(for_modern)
    return Offered(offered, f"[{','.join(modern)}]", f"[{','.join(handshake)}]")


def _json(tool: dict[str, Any], redact: Callable[[str], str]) -> str:
    """A tool on the wire. Where its JSON shows no credential, its texts hold none, and are not looked at one by one."""
    text = json_text(tool)
    return text if redact(text) == text else json_text(_redacted(tool, redact))


def _redacted(value: Any, redact: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, dict):
        return {redact(key): _redacted(item, redact) for key, item in value.items()}
    return [_redacted(item, redact) for item in value] if isinstance(value, list) else value


def has_outputs(plan: Plan) -> bool:
    """Whether results have the form that the manual's `outputs` describe: a JSON reply, not text and not a stream."""
    return bool(plan.outputs) and plan.template.response_format == "json" and plan.rules.stream is None


def _tool(name: str, plan: Plan, *, objects_only: bool) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "name": name,
        "title": plan.annotations.title or plan.full_name,
        "description": plan.description or f"{plan.name} of {plan.manual}",
        "inputSchema": advertised_inputs(plan.inputs),
        "_meta": {"utcp/tool": plan.full_name, **({"utcp/tags": list(plan.tags)} if plan.tags else {})},
    }
    outputs = _outputs(plan, objects_only)
    if outputs is not None:
        shown["outputSchema"] = outputs
    hints = {key: hint for name, key in _HINTS.items() if (hint := getattr(plan.annotations, name)) is not None}
    if hints:
        shown["annotations"] = hints
    return shown


def _outputs(plan: Plan, objects_only: bool) -> dict[str, Any] | None:
    if not has_outputs(plan) or _may_be_null(plan):
        return None
    return advertised_outputs(plan.outputs, objects_only=objects_only)


def _may_be_null(plan: Plan) -> bool:
    """Whether null fits the `outputs`: no revision can send it as structured content, and clients miss it then."""
    return plan.result_schema is not None and not plan.result_schema.check(None)
