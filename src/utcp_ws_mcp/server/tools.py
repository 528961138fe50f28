"""The tools of an open bridge in MCP's words: listing and calling. Both transports use it; it needs no SDK."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from typing import Any, Final

import anyio

from ..bridge import Bridge
from ..core.codecs.message import encode_json, to_json_safe
from ..core.exchange.result import partial_stream_text
from ..core.tools.tool import CompiledTool
from ..errors import BridgeError, InvalidReply
from .content import ContentBlock, result_blocks, text_block
from .listing import ToolListing, build_listing, has_structured_output
from .progress import Progress, ProgressCallback
from .resources import EndpointResources
from .result import Result, error_result
from .schemas import advertised_inputs

LIST_TIMEOUT: Final = 1.0
"""Seconds from the start that a list of tools waits for endpoints that have not told theirs yet."""

FIND_TIMEOUT: Final = 10.0
"""Seconds that a call of an unknown tool waits for endpoints that have not told theirs yet."""

INSTRUCTIONS: Final = (
    "Tools of WebSocket endpoints. A failed call says whether its request may have been executed; "
    "repeat it only if it was not sent or the tool is safe to repeat."
)
LIST_TTL: Final = 1000
"""Milliseconds that a client of 2026-07-28 may keep a list."""

logger = logging.getLogger(__name__)


class ToolService:
    """Lists and calls. `redact` takes secrets out of errors, `redact_result` credentials out of results."""

    def __init__(
        self, bridge: Bridge, redact: Callable[[str], str] = str, redact_result: Callable[[str], str] = str
    ) -> None:
        self.running: set[Progress] = set()
        self.on_tools_changed = bridge.on_tools_changed
        self.resources = EndpointResources(bridge, redact)
        self._bridge = bridge
        self._redact = redact
        self._redact_result = redact_result
        self._list_deadline = anyio.current_time() + LIST_TIMEOUT
        self._cached_listing: ToolListing | None = None
        self.on_tools_changed.append(self._invalidate_listing)

    async def list_tools(self) -> ToolListing:
        """The tools that are known now; at the start, endpoints have a moment to tell theirs."""
        await self._bridge.wait_fast_discovery(max(0.0, self._list_deadline - anyio.current_time()))
        return self._listing()

    async def find(self, name: str) -> CompiledTool | None:
        """The tool of an MCP name; one that an endpoint has not told yet is waited for."""
        plan = self._listing().tools.get(name)
        if plan is None:
            await self._bridge.wait_discovered(FIND_TIMEOUT)
            plan = self._listing().tools.get(name)
        return plan

    def input_schema(self, name: str) -> Mapping[str, Any] | None:
        """The input schema of an MCP name as it is listed, if the tool is known now."""
        plan = self._listing().tools.get(name)
        return advertised_inputs(plan.inputs) if plan is not None else None

    async def call(self, tool: CompiledTool, arguments: dict[str, Any] | None, report: ProgressCallback) -> Result:
        """Call a tool. Every failure is a result too; only cancellation is raised."""
        progress = Progress(report)
        self.running.add(progress)
        try:
            return self._build_result(
                tool, await self._bridge.call_tool(tool.full_name, arguments, progress.report_item)
            )
        except BridgeError as failed:
            collected = getattr(failed, "partial", ())
            return error_result(
                failed, self._error_blocks(str(failed), partial_stream_text(tool, collected) if collected else None)
            )
        except Exception:  # nothing may escape: its text would go to the model
            logger.exception("a defect of utcp-ws-mcp in a call of %s", tool.full_name)
            return Result(
                self._error_blocks("internal error of utcp-ws-mcp; its log on stderr says more"), is_error=True
            )
        finally:
            self.running.discard(progress)

    async def aclose(self) -> None:
        """Let the calls that still run fail."""
        await self._bridge.aclose()

    def _build_result(self, tool: CompiledTool, value: Any) -> Result:
        blocks, structured = result_blocks(value)
        blocks = [self._redact_block(block) for block in blocks]
        if structured is not None:
            structured = _redacted_json(self._redact_result(structured), structured)
        elif has_structured_output(tool) and isinstance(value, str):
            structured = encode_json(blocks[0]["text"])
        if has_structured_output(tool) and (wrong := _schema_mismatch(tool, structured)):
            failed = InvalidReply(tool.full_name, f"the result does not fit the tool's outputs ({wrong})")
            return error_result(failed, [*self._error_blocks(str(failed)), *blocks])
        return Result(blocks, structured)

    def _redact_block(self, block: ContentBlock) -> ContentBlock:
        """A block as the model may see it: an endpoint that echoes a credential does not get it there."""
        if block["type"] == "text":
            return {"type": "text", "text": self._redact_result(block["text"])}
        data = block["resource"]["blob"] if block["type"] == "resource" else block["data"]
        return block if self._redact_result(data) == data else text_block("binary data that holds a credential")

    def _error_blocks(self, text: str, partial: str | None = None) -> list[ContentBlock]:
        """What went wrong; what a stream gave before it failed follows in a block of its own."""
        return [text_block(self._redact(each)) for each in (text, partial) if each is not None]

    def _listing(self) -> ToolListing:
        if self._cached_listing is None:
            self._cached_listing = build_listing(list(self._bridge.tools.values()), self._redact_result)
        return self._cached_listing

    def _invalidate_listing(self) -> None:
        self._cached_listing = None


def unknown_tool_message(name: str) -> str:
    """The sentence for a name that no tool has."""
    return str(to_json_safe(f"there is no tool {name[:128]!r}; list the tools to see their names"))


def _schema_mismatch(tool: CompiledTool, structured: str | None) -> str | None:
    if tool.result_schema is None:
        return None
    return tool.result_schema.check(None if structured is None else json.loads(structured))


def _redacted_json(text: str, original: str) -> str | None:
    """JSON of which something was taken out, if it is JSON still."""
    if text is original or text == original:
        return original
    try:
        json.loads(text)
    except ValueError:
        return None
    return text
