"""Build the manual for a client: the tools of this transport, and allowed tools of other types."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pydantic import ValidationError
from utcp.data.call_template import CallTemplate
from utcp.data.tool import JsonSchema, Tool, ToolSerializer
from utcp.data.utcp_manual import UtcpManual
from utcp.exceptions import UtcpSerializerValidationError

from ...core.network_policy import parse_url
from ...core.tools.tool import CompiledTool
from ...errors import ForbiddenURL
from ...manifest.models.base import Json
from .template import WEBSOCKET

logger = logging.getLogger(__name__)


def build_manual(
    template: CallTemplate, manual_document: Mapping[str, Json], tools: Iterable[CompiledTool]
) -> UtcpManual:
    """Return the manual of a call template.

    Each tool keeps its own call template from the manual, with the URL of the manual if it has none.

    Args:
        template: The call template of the manual.
        manual_document: The document that lists the tools, as the endpoint announced it.
        tools: The tools of it that can be called.
    """
    listed = manual_document.get("tools")
    raw = {each["name"]: each for each in listed or () if isinstance(each, dict) and isinstance(each.get("name"), str)}
    own = [_to_utcp_tool(template, raw.get(tool.original_name, {}), tool) for tool in tools]
    version = manual_document.get("manual_version")
    others = _other_protocol_tools(template, raw.values())
    return UtcpManual([*own, *others], manual_version=version if isinstance(version, str) else "1.0.0")


def _to_utcp_tool(template: CallTemplate, raw: Mapping[str, Json], tool: CompiledTool) -> Tool:
    own = {key: value for key, value in (raw.get("tool_call_template") or {}).items() if value is not None}
    size = raw.get("average_response_size")
    return Tool(
        name=tool.name,
        description=tool.description,
        inputs=_to_json_schema(tool.inputs),
        outputs=_to_json_schema(tool.outputs),
        tags=list(tool.tags),
        average_response_size=size if isinstance(size, int) else None,
        tool_call_template={"url": template.url, **own, "name": template.name, "call_template_type": WEBSOCKET},
    )


def _to_json_schema(schema: Mapping[str, Json]) -> JsonSchema:
    """Return a schema for `utcp`, reduced to its type if `utcp` cannot represent it; this package checks arguments."""
    try:
        return JsonSchema.model_validate(dict(schema))
    except ValidationError:
        return JsonSchema.model_validate({"type": schema.get("type", "object")})


def _other_protocol_tools(template: CallTemplate, listed: Iterable[Mapping[str, Json]]) -> Iterator[Tool]:
    """Yield the tools of other types that `allowed_communication_protocols` of this manual permits."""
    wanted = set(template.allowed_communication_protocols or ()) - {WEBSOCKET}
    for raw in listed:
        own = raw.get("tool_call_template")
        if not isinstance(own, dict) or own.get("call_template_type") not in wanted:
            continue
        # A manual from elsewhere must not make the client call services of this machine.
        if any(map(_is_loopback, _urls(own))) and not _is_loopback(template.url):
            message = "%s: the tool %r of a manual from elsewhere has a URL on this machine. Tool skipped. [%s]"
            logger.warning(message, template.name, raw.get("name"), "remote-tool-invalid")
            continue
        try:
            yield ToolSerializer().validate_dict(dict(raw))
        except UtcpSerializerValidationError:
            message = "%s: utcp cannot read the tool %r. Tool skipped. [%s]"
            logger.warning(message, template.name, raw.get("name"), "remote-tool-invalid")


def _urls(own: Mapping[str, Any]) -> list[str]:
    auth = own.get("auth")
    token_url = auth.get("token_url") if isinstance(auth, dict) else None
    return [url for url in (own.get("url"), token_url) if isinstance(url, str)]


def _is_loopback(url: str) -> bool:
    try:
        return parse_url(url, ("ws", "wss", "http", "https")).is_loopback_literal
    except ForbiddenURL:
        return False
