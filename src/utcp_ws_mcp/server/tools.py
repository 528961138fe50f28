"""The tools of an open bridge in MCP's words: listing and calling. Both transports use it; it needs no SDK."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from typing import Any, Final

import anyio

from ..bridge import Bridge
from ..core.codecs.message import clean, encode_json
from ..core.exchange.result import told_before
from ..core.tools.tool import Plan
from ..errors import BridgeError, InvalidReply
from .content import Block, result_blocks, text_block
from .listing import Offered, has_outputs, offer
from .progress import Progress, Report
from .resources import Endpoints
from .result import Result, failure
from .schemas import advertised_inputs

LIST_PATIENCE: Final = 1.0
"""Seconds from the start that a list of tools waits for endpoints that have not told theirs yet."""

CALL_PATIENCE: Final = 10.0
"""Seconds that a call of an unknown tool waits for endpoints that have not told theirs yet."""

INSTRUCTIONS: Final = (
    "Tools of WebSocket endpoints. A failed call says whether its request may have been executed; "
    "repeat it only if it was not sent or the tool is safe to repeat."
)
LIST_TTL: Final = 1000
"""Milliseconds that a client of 2026-07-28 may keep a list."""

logger = logging.getLogger(__name__)


class Tools:
    """Lists and calls. `redact` takes secrets out of errors, `redact_result` credentials out of results."""

    def __init__(
        self, bridge: Bridge, redact: Callable[[str], str] = str, redact_result: Callable[[str], str] = str
    ) -> None:
        self.running: set[Progress] = set()
        self.changed = bridge.changed
        self.endpoints = Endpoints(bridge, redact)
        self._bridge = bridge
        self._redact = redact
        self._redact_result = redact_result
        self._patience = anyio.current_time() + LIST_PATIENCE
        self._offered: Offered | None = None
        self.changed.append(self._forget)

    async def listed(self) -> Offered:
        """The tools that are known now; at the start, endpoints have a moment to tell theirs."""
        await self._bridge.wait_quick_answers(max(0.0, self._patience - anyio.current_time()))
        return self._offer()

    async def find(self, name: str) -> Plan | None:
        """The tool of an MCP name; one that an endpoint has not told yet is waited for."""
        plan = self._offer().plans.get(name)
        if plan is None:
            await self._bridge.wait_discovered(CALL_PATIENCE)
            plan = self._offer().plans.get(name)
        return plan

    def input_schema(self, name: str) -> Mapping[str, Any] | None:
        """The input schema of an MCP name as it is listed, if the tool is known now."""
        plan = self._offer().plans.get(name)
        return advertised_inputs(plan.inputs) if plan is not None else None

    async def call(self, plan: Plan, arguments: dict[str, Any] | None, report: Report) -> Result:
        """Call a tool. Every failure is a result too; only cancellation is raised."""
        progress = Progress(report)
        self.running.add(progress)
        try:
            return self._result(plan, await self._bridge.call_tool(plan.full_name, arguments, progress.item))
        except BridgeError as failed:
            collected = getattr(failed, "collected", ())
            return failure(failed, self._explained(str(failed), told_before(plan, collected) if collected else None))
        except Exception:  # nothing may escape: its text would go to the model
            logger.exception("a defect of utcp-ws-mcp in a call of %s", plan.full_name)
            return Result(self._explained("internal error of utcp-ws-mcp; its log on stderr says more"), is_error=True)
        finally:
            self.running.discard(progress)

    async def shut_down(self) -> None:
        """Let the calls that still run fail."""
        await self._bridge.shut_down()

    def _result(self, plan: Plan, value: Any) -> Result:
        blocks, structured = result_blocks(value)
        blocks = [self._without_credentials(block) for block in blocks]
        if structured is not None:
            structured = _json_or_none(self._redact_result(structured), structured)
        elif has_outputs(plan) and isinstance(value, str):
            structured = encode_json(blocks[0]["text"])
        if has_outputs(plan) and (wrong := _misfit(plan, structured)):
            failed = InvalidReply(plan.full_name, f"the result does not fit the tool's outputs ({wrong})")
            return failure(failed, [*self._explained(str(failed)), *blocks])
        return Result(blocks, structured)

    def _without_credentials(self, block: Block) -> Block:
        """A block as the model may see it: an endpoint that echoes a credential does not get it there."""
        if block["type"] == "text":
            return {"type": "text", "text": self._redact_result(block["text"])}
        data = block["resource"]["blob"] if block["type"] == "resource" else block["data"]
        return block if self._redact_result(data) == data else text_block("binary data that holds a credential")

    def _explained(self, text: str, before: str | None = None) -> list[Block]:
        """What went wrong; what a stream gave before it failed follows in a block of its own."""
        return [text_block(self._redact(each)) for each in (text, before) if each is not None]

    def _offer(self) -> Offered:
        if self._offered is None:
            self._offered = offer(list(self._bridge.tools.values()), self._redact_result)
        return self._offered

    def _forget(self) -> None:
        self._offered = None


def unknown_tool(name: str) -> str:
    """The sentence for a name that no tool has."""
    return str(clean(f"there is no tool {name[:128]!r}; list the tools to see their names"))


def _misfit(plan: Plan, structured: str | None) -> str | None:
    if plan.result_schema is None:
        return None
    return plan.result_schema.check(None if structured is None else json.loads(structured))


def _json_or_none(text: str, original: str) -> str | None:
    """JSON of which something was taken out, if it is JSON still."""
    if text is original or text == original:
        return original
    try:
        json.loads(text)
    except ValueError:
        return None
    return text
