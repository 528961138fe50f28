"""An MCP server whose tools are a bridge's: both protocol eras, progress, cancel, list_changed."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

import anyio
import mcp_types as types
from mcp.server.caching import CacheHint
from mcp.server.lowlevel import NotificationOptions, Server
from mcp.server.subscriptions import InMemorySubscriptionBus, ListenHandler, ToolsListChanged
from mcp.shared.exceptions import MCPError
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from ..bridge import Bridge
from ..errors import BridgeError, InvalidReply, UnknownTool
from ..manifest.models import Annotations
from ..version import __version__
from ..wire.codec import clean
from ..wire.plan import Plan
from ..wire.result import text_of
from .content import result_blocks, text_block
from .names import mcp_names
from .schemas import advertised_inputs, advertised_outputs

LIST_PATIENCE: Final = 1.0
"""Seconds from the start that a list of tools waits for endpoints that have not told theirs yet."""

CALL_PATIENCE: Final = 10.0
"""Seconds that a call of an unknown tool waits for endpoints that have not told theirs yet."""

FIRST_SIGN: Final = 5.0
"""Seconds after which a client that wants progress hears that a call is still running; then every SIGN_EVERY."""

SIGN_EVERY: Final = 15.0
LONGEST_SIGN: Final = 2_000
"""Characters of a progress message."""

INSTRUCTIONS: Final = (
    "Tools of WebSocket endpoints. A failed call says whether its request may have been executed; "
    "repeat it only if it was not sent or the tool is safe to repeat."
)
logger = logging.getLogger(__name__)
Context = Any


class McpServer(Server[Any]):
    """The SDK's server; every handshake revision is told that the list of tools changes."""

    def get_capabilities(  # noqa: D102  # the SDK describes it
        self, notification_options: NotificationOptions | None = None, *rest: Any, **more: Any
    ) -> Any:
        return super().get_capabilities(NotificationOptions(tools_changed=True), *rest, **more)


@dataclass(frozen=True, slots=True)
class Offered:
    """The tools as one list shows them: plans by MCP name, and the wire form for both eras."""

    plans: dict[str, Plan]
    modern: list[types.Tool]
    handshake: list[types.Tool]


class Face:
    """Serves the tools of an open bridge. `redact` takes secrets out of a text."""

    def __init__(self, bridge: Bridge, redact: Callable[[str], str] = str) -> None:
        self._bridge = bridge
        self._redact = redact
        self._bus = InMemorySubscriptionBus()
        self._listen = ListenHandler(self._bus)
        self._sessions: dict[Any, Any] = {}
        self._changed = anyio.Event()
        self._patience = anyio.current_time() + LIST_PATIENCE
        self._offered: Offered | None = None
        self._running: set[_Progress] = set()
        self.server = self._make_server()
        bridge.changed.append(self._tools_changed)

    def _make_server(self) -> McpServer:
        server = McpServer(
            "utcp-ws-mcp",
            version=__version__,
            title="WebSocket tools",
            instructions=INSTRUCTIONS,
            lifespan=self._lifespan,
            cache_hints={"tools/list": CacheHint(ttl_ms=1000, scope="private")},
            on_list_tools=self._list_tools,
            on_call_tool=self._call_tool,
            on_subscriptions_listen=self._listen,
        )
        server.add_notification_handler("notifications/initialized", types.NotificationParams, self._initialized)
        return server

    @asynccontextmanager
    async def _lifespan(self, _: Server[Any]) -> AsyncIterator[None]:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._announce_changes)
            tasks.start_soon(self._give_signs)
            try:
                yield None
            finally:
                self._listen.close()
                tasks.cancel_scope.cancel()

    def close_streams(self) -> None:
        """End the streams on which clients of 2026-07-28 are told of changes."""
        self._listen.close()

    async def _list_tools(self, ctx: Context, params: types.PaginatedRequestParams | None) -> types.ListToolsResult:
        await self._bridge.wait_discovered(max(0.0, self._patience - anyio.current_time()))
        offered = self._offer()
        modern = ctx.protocol_version in MODERN_PROTOCOL_VERSIONS
        return types.ListToolsResult(tools=offered.modern if modern else offered.handshake)

    async def _call_tool(self, ctx: Context, params: types.CallToolRequestParams) -> types.CallToolResult:
        plan = await self._find(params.name)
        progress = _Progress(ctx)
        self._running.add(progress)
        try:
            value = await self._bridge.call_tool(plan.full_name, params.arguments, progress.item)
            return self._result(ctx, plan, value)
        except BridgeError as failed:
            return self._failure(str(failed), getattr(failed, "collected", ()))
        except Exception:  # nothing may escape: the SDK would put its text on the wire
            logger.exception("a defect of utcp-ws-mcp in a call of %s", plan.full_name)
            return self._failure("internal error of utcp-ws-mcp; its log on stderr says more")
        finally:
            self._running.discard(progress)

    def _result(self, ctx: Context, plan: Plan, value: Any) -> types.CallToolResult:
        blocks, structured = result_blocks(value)
        if _has_outputs(plan) and isinstance(value, str):
            structured = clean(value)
        if _has_outputs(plan) and plan.result_schema and (wrong := plan.result_schema.check(structured)):
            failed = InvalidReply(plan.full_name, f"the result does not fit the tool's outputs ({wrong})")
            return types.CallToolResult(content=[text_block(self._redact(str(failed))), *blocks], is_error=True)
        if not isinstance(structured, dict) and ctx.protocol_version not in MODERN_PROTOCOL_VERSIONS:
            structured = None
        return types.CallToolResult(content=blocks, structured_content=structured)

    def _failure(self, text: str, collected: Sequence[object] = ()) -> types.CallToolResult:
        """An error result; what a stream gave before it failed follows in a block of its own."""
        blocks = [text_block(self._redact(text))]
        if collected:
            blocks.append(text_block(self._redact(f"what came before: {text_of(list(collected))}")))
        return types.CallToolResult(content=blocks, is_error=True)

    async def _find(self, name: str) -> Plan:
        if name not in self._offer().plans:
            await self._bridge.wait_discovered(CALL_PATIENCE)
        plan = self._offer().plans.get(name)
        if plan is None:
            raise MCPError(types.INVALID_PARAMS, clean(str(UnknownTool(name[:128]))))
        return plan

    def _offer(self) -> Offered:
        if self._offered is None:
            self._offered = offer(list(self._bridge.tools.values()))
        return self._offered

    async def _initialized(self, ctx: Context, params: types.NotificationParams) -> None:
        connection = ctx.session._connection  # noqa: SLF001  # the SDK's only object with the life of a handshake connection
        self._sessions[connection] = ctx.session
        connection.exit_stack.callback(self._sessions.pop, connection, None)

    async def _give_signs(self) -> None:
        """Tell the clients of long calls that they still run, so that none gives up."""
        while True:
            await anyio.sleep(FIRST_SIGN)
            for progress in list(self._running):
                await progress.sign()

    def _tools_changed(self) -> None:
        self._offered = None
        self._changed.set()

    async def _announce_changes(self) -> None:
        """Tell every client, in the way of its era. What changes at once is told once."""
        while True:
            await self._changed.wait()
            self._changed = anyio.Event()
            await self._bus.publish(ToolsListChanged())
            for session in list(self._sessions.values()):
                await session.send_tool_list_changed()


class _Progress:
    """Progress notifications of one call; their numbers only grow. The SDK sends them where a client asked."""

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx
        self._count = 0
        self._due = anyio.current_time() + FIRST_SIGN

    async def item(self, item: Any) -> None:
        """A stream's item."""
        await self._report(clean(text_of(item))[:LONGEST_SIGN])

    async def sign(self) -> None:
        """A sign of life, where one is due."""
        if anyio.current_time() >= self._due:
            await self._report("waiting for the endpoint")

    async def _report(self, message: str) -> None:
        self._count += 1
        self._due = anyio.current_time() + SIGN_EVERY
        await self._ctx.session.report_progress(float(self._count), None, message)


def offer(plans: list[Plan]) -> Offered:
    """The tools of a list in their wire forms; one that no host could take is left out, with a line in the log."""
    by_key = {(plan.manual, plan.name): plan for plan in plans}
    offered = Offered({}, [], [])
    for name, key in mcp_names(by_key).items():
        plan = by_key[key]
        try:
            handshake = _tool(name, plan, objects_only=True)
            modern = _tool(name, plan, objects_only=False)
        except ValueError as wrong:
            logger.warning("%s is not offered: %s", plan.full_name, str(wrong).splitlines()[0])
            continue
        offered.plans[name] = plan
        offered.handshake.append(handshake)
        offered.modern.append(modern)
    return offered


def _tool(name: str, plan: Plan, *, objects_only: bool) -> types.Tool:
    return types.Tool(
        name=name,
        title=clean(plan.annotations.title or plan.full_name),
        description=clean(plan.description or f"{plan.name} of {plan.manual}"),
        input_schema=clean(advertised_inputs(plan.inputs)),
        output_schema=advertised_outputs(clean(dict(plan.outputs)), objects_only=objects_only)
        if _has_outputs(plan) and not _may_be_null(plan)
        else None,
        annotations=_annotations(plan),
        _meta={"utcp/tool": clean(plan.full_name), **({"utcp/tags": clean(list(plan.tags))} if plan.tags else {})},
    )


def _annotations(plan: Plan) -> types.ToolAnnotations | None:
    hints = plan.annotations
    if hints == Annotations():
        return None
    return types.ToolAnnotations(
        title=hints.title,
        read_only_hint=hints.read_only,
        destructive_hint=hints.destructive,
        idempotent_hint=hints.idempotent,
        open_world_hint=hints.open_world,
    )


def _has_outputs(plan: Plan) -> bool:
    """Whether results have the form that the manual's `outputs` describe: a JSON reply, not text and not a stream."""
    return bool(plan.outputs) and plan.template.response_format == "json" and plan.rules.stream is None


def _may_be_null(plan: Plan) -> bool:
    """Whether null fits the `outputs`: the SDK cannot send it as structured content, and clients miss it then."""
    return plan.result_schema is not None and not plan.result_schema.check(None)
