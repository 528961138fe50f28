"""Listing and calling the tools of an open bridge, in the terms of MCP. Both transports use it, without the SDK."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import anyio

from ..bridge import Bridge
from ..core.codecs.message import encode_json, to_json_safe
from ..core.exchange.result import collect_stream, partial_stream_text
from ..core.tools.tool import CompiledTool
from ..errors import BridgeError, InvalidReply
from ..records import Record
from .content import ContentBlock, json_text, result_blocks, text_block
from .outputs import promise_of
from .progress import Progress, ProgressCallback
from .resources import EndpointResources
from .result import DEFAULT_OPTIONS, MessageOptions, Result, error_result

if TYPE_CHECKING:
    from .auth.access import Caller
    from .callers import CallerBridge, CallerBridges
    from .listing import ToolListing

LIST_TIMEOUT: Final = 1.0
"""Seconds from the start that a list of tools waits for endpoints whose tools are not known yet, by default."""

FIND_TIMEOUT: Final = 10.0
"""Seconds that a call of an unknown tool waits for endpoints that have not returned their manual yet."""

INSTRUCTIONS: Final = (
    "Tools of WebSocket endpoints. An error says so if its request may have been executed: then repeat the call only "
    "if the tool is safe to repeat. Otherwise the request was not sent, or the endpoint answered it. "
    'What follows "the endpoint said:" is the text of the endpoint, not of this server.'
)
MAX_SHOWN_NAME: Final = 128
"""Characters of an unknown name in the message about it."""

LIST_TTL: Final = 1000
"""Milliseconds that a client of 2026-07-28 may cache a list."""

INVALID_CURSOR_MESSAGE: Final = "this server returned no such cursor, or the list has changed; list from the beginning"
INTERNAL_ERROR_MESSAGE: Final = "internal error of utcp-ws-mcp; see its log on stderr"

logger = logging.getLogger(__name__)

Redact = Callable[[str], str]


class ListOptions(Record):
    """How the tools are listed.

    Args:
        timeout: Seconds from the start that a list waits for endpoints whose tools are not known yet.
        server_name: The name of this server in the host (`host_names`).
    """

    timeout: float = LIST_TIMEOUT
    server_name: str = ""


DEFAULT_LIST_OPTIONS: Final = ListOptions()


class ToolService:
    """Lists and calls tools. Credentials are removed from results; `guard` removes them from what leaves in any way.

    Args:
        bridge: The open bridge.
        options: How results are sent.
        listing: How the tools are listed.
        callers: The bridges of callers who bring values of their own; None: there are none.

    Where a method takes a caller, None is one without an identity, who may do everything.
    """

    def __init__(
        self,
        bridge: Bridge,
        options: MessageOptions = DEFAULT_OPTIONS,
        listing: ListOptions = DEFAULT_LIST_OPTIONS,
        callers: CallerBridges | None = None,
    ) -> None:
        self.options = options
        self.running: set[Progress] = set()
        self.on_tools_changed = bridge.on_tools_changed
        self.resources = EndpointResources(bridge)
        self.guard = bridge.redactor.guard
        self.is_ready = lambda: bridge.is_ready
        self._bridge = bridge
        self._callers = callers
        self._redact_result = bridge.redactor.redact_result
        self._list_deadline = anyio.current_time() + listing.timeout
        self._server_name = listing.server_name
        self._listings: dict[frozenset[str] | None, ToolListing] = {}
        self.on_tools_changed.append(self._invalidate_listing)

    async def list_tools(self, caller: Caller | None = None) -> ToolListing:
        """Return the tools that a caller may use and that are known now.

        Shortly after the start, wait a moment for discoveries.
        """
        await self._bridge.wait_fast_discovery(max(0.0, self._list_deadline - anyio.current_time()))
        return self._listing(caller)

    def find_known(self, name: str) -> CompiledTool | None:
        """Return the tool with a name if it is known now, or None.

        Whether a caller may use it is the question of `missing_scopes`.
        """
        return self._listing().find(name)

    async def find(self, name: str) -> CompiledTool | None:
        """Return the tool with a name, or None. If it is unknown, wait for the discoveries that are running."""
        tool = self.find_known(name)
        if tool is None:
            await self._bridge.wait_discovered(FIND_TIMEOUT)
            tool = self.find_known(name)
        return tool

    def unknown_tool_message(self, name: str) -> str:
        """Return the message for a name that no tool has: why, if its manual is known."""
        shown = to_json_safe(name[:MAX_SHOWN_NAME])
        return str(to_json_safe(str(self._bridge.unknown_tool(shown, self._server_name))))

    def begins_at_once(self, tool: CompiledTool) -> bool:
        """Return whether `call` of a tool for no caller needs no task before it waits for the reply (`EagerTask`)."""
        return tool.has_plain_reply and self._callers is None

    def input_schema(self, name: str) -> Mapping[str, Any] | None:
        """Return the input schema that hosts see of a tool, or None if it is not known now."""
        return self._listing().input_schema(name)

    def repeats_arguments(self, name: str) -> bool:
        """Return whether clients repeat arguments of a tool in headers over HTTP."""
        return name in self._listing().in_headers

    def missing_scopes(self, name: str, caller: Caller | None) -> Sequence[str] | None:
        """Return the scopes of which each would allow a tool that a caller may not use; None if the caller may.

        Unknown tools are allowed: that they are unknown is the better answer.
        """
        tool = self._listing().find(name)
        return None if tool is None or caller is None else caller.missing_scopes(tool)

    async def call(
        self,
        tool: CompiledTool,
        arguments: dict[str, Any] | None,
        report: ProgressCallback | None,
        caller: Caller | None = None,
    ) -> Result:
        """Call a tool. A failure is a result as well (MCP, Tools, "Error Handling"); only cancellation is raised.

        `report` sends the progress; None: the client has not requested it.
        """
        arguments = self._listing().restore_arguments(tool, arguments)
        started, code = time.monotonic(), "cancelled"
        lease: CallerBridge | None = None
        try:
            if caller is not None:
                await caller.admit(tool)
            if self._callers is not None and tool.manual in self._bridge.awaiting_callers:
                lease = await self._callers.lease(tool, caller)
            result = await self._call_over(lease, tool, arguments, report)
            code = ""
        except BridgeError as failed:
            code = failed.code
            return self._error_result(tool, failed, lease)
        except Exception:  # the text of an unexpected exception may contain anything, and would go to the model
            code = "internal-error"
            logger.exception("internal error in a call of %s", tool.full_name)
            text = f"{INTERNAL_ERROR_MESSAGE}. The request may have been sent and executed; verify before retrying."
            return Result(_error_blocks(text), is_error=True)
        else:
            return result
        finally:
            if lease is not None:
                lease.release()
            if caller is not None:
                caller.audit(tool.full_name, time.monotonic() - started, code)

    async def _call_over(
        self,
        lease: CallerBridge | None,
        tool: CompiledTool,
        arguments: dict[str, Any] | None,
        report: ProgressCallback | None,
    ) -> Result:
        """Call a tool over the bridge of its caller, or the one that all share."""
        bridge, redact = (self._bridge, self._redact_result) if lease is None else (lease.bridge, lease.redact_result)
        is_parsed = tool.returns_parsed_json
        progress = None if report is None else Progress(report, redact, is_parsed=is_parsed)
        if progress is not None:
            self.running.add(progress)
        try:
            # No variable holds the value, so that `result_blocks` can release it before its text is made.
            blocks, structured = result_blocks(
                await bridge.call_tool(tool.full_name, arguments, None if progress is None else progress.report_item),
                tool.template.media_type,
                is_parsed=is_parsed,
            )
            return self._build_result(tool, blocks, structured, redact)
        finally:
            if progress is not None:
                self.running.discard(progress)

    def _error_result(self, tool: CompiledTool, failed: BridgeError, lease: CallerBridge | None) -> Result:
        redact = self._redact_result if lease is None else lease.redact_result
        text = redact(partial_stream_text(tool, failed.partial)) if failed.partial else None
        message = self._with_host_name(tool, str(failed))
        message = message if lease is None else lease.guard(message)
        partial = self._partial_json(tool, failed.partial, message, redact)
        return error_result(failed, _error_blocks(message, text), partial)

    async def aclose(self) -> None:
        """Close the bridge; calls that still run fail."""
        await self._bridge.aclose()

    def _build_result(
        self, tool: CompiledTool, blocks: Sequence[ContentBlock], structured: str | None, redact: Redact
    ) -> Result:
        is_text = structured is None and [block["type"] for block in blocks] == ["text"]
        blocks = [_redact_block(block, redact) for block in blocks]
        if structured is not None:
            structured = _if_still_json(blocks[0]["text"], structured)  # the same JSON, without credentials
        elif tool.has_structured_output and is_text:
            structured = encode_json(blocks[0]["text"])
        if not tool.has_structured_output:
            return Result(blocks, structured, form=self.options.json_form)
        if mismatch := _schema_mismatch(tool, structured):
            failed = InvalidReply(tool.full_name, f"the result does not fit the tool's outputs ({mismatch})")
            return error_result(failed, [*_error_blocks(self._with_host_name(tool, str(failed))), *blocks])
        return Result(blocks, structured, form=self.options.json_form, promise=promise_of(tool))

    def _partial_json(self, tool: CompiledTool, items: Sequence[object], message: str, redact: Redact) -> str | None:
        """Return the items of a stream that failed in the form of its result; None without items, or with bytes.

        The message of the error is in it as well: some hosts read only the structured content if there is any.
        """
        is_text_only = self.options.json_form == "text"
        if not items or is_text_only or tool.rules.stream is None or any(isinstance(item, bytes) for item in items):
            return None
        text = json_text({**collect_stream(tool, items, "error", complete=False), "error": message})
        return _if_still_json(redact(text), text)

    def _with_host_name(self, tool: CompiledTool, text: str) -> str:
        """Return the message of an error with the name that the host knows in place of `manual.tool`."""
        name = self._listing().names.get(tool.full_name)
        prefix = f"{tool.full_name}: "
        return f"{name}: {text.removeprefix(prefix)}" if name and text.startswith(prefix) else text

    def _listing(self, caller: Caller | None = None) -> ToolListing:
        """Return the tools that a caller may use: one listing for all callers with the same rights."""
        rights = caller.rights if caller is not None else None
        if rights not in self._listings:
            from .listing import build_listing  # for the first list: `initialize` does not wait for it

            tools, visible = list(self._bridge.tools.values()), caller.may_use if caller is not None else None
            self._listings[rights] = build_listing(tools, self._redact_result, self.options, self._server_name, visible)
        return self._listings[rights]

    def _invalidate_listing(self) -> None:
        self._listings.clear()


def _redact_block(block: ContentBlock, redact: Redact) -> ContentBlock:
    """Return a block without credentials: an endpoint may echo them, and the block goes to the model."""
    if block["type"] == "text":
        return {"type": "text", "text": redact(block["text"])}
    data = block["resource"]["blob"] if block["type"] == "resource" else block["data"]
    return block if redact(data) == data else text_block("binary data that contains a credential")


def _error_blocks(text: str, partial: str | None = None) -> list[ContentBlock]:
    """Return the message of an error, and a second block with the items that a stream returned before it."""
    return [text_block(each) for each in (text, partial) if each is not None]


def _schema_mismatch(tool: CompiledTool, structured: str | None) -> str | None:
    if tool.result_schema is None:
        return None
    return tool.result_schema.check(None if structured is None else json.loads(structured))


def _if_still_json(text: str, original: str) -> str | None:
    """Return redacted JSON, or None if redaction has broken its syntax."""
    if text is original or text == original:
        return original
    try:
        json.loads(text)
    except ValueError:
        return None
    return text
