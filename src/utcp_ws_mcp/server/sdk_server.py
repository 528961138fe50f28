"""The server of the MCP SDK over the tools of a bridge: both protocol eras, progress, cancellation, list_changed."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from types import MappingProxyType
from typing import Any, Final

import anyio
import mcp_types as types
from mcp.server.caching import CacheHint
from mcp.server.lowlevel import NotificationOptions, Server
from mcp.server.subscriptions import ResourcesListChanged, ToolsListChanged
from mcp.shared.exceptions import MCPError
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from .. import __version__
from .auth.access import CALLER_KEY, Caller
from .content import ICON, SERVER_INFO
from .progress import send_keepalive_progress
from .resources import MayUse, ResourceNotWatched, everything, media_type, unknown_resource
from .sdk_notifications import SdkNotifications
from .tools import INSTRUCTIONS, INVALID_CURSOR_MESSAGE, LIST_TTL, ToolService

Context = Any
STATELESS_MESSAGE: Final = (
    "a server without sessions cannot announce changes in this protocol version. "
    "Use version 2026-07-28 (subscriptions/listen), or serve without --stateless."
)


class McpServer(Server[Any]):
    """The SDK's server with fixed capabilities.

    Changes are announced, except to clients of the handshake revisions without sessions.
    """

    is_stateless = False

    def get_capabilities(  # noqa: D102  # the SDK describes it
        self,
        notification_options: NotificationOptions | None = None,
        *args: Any,
        protocol_version: str | None = None,
        **kwargs: Any,
    ) -> Any:
        announces = not self.is_stateless
        options = NotificationOptions(tools_changed=announces, resources_changed=announces)
        capabilities = super().get_capabilities(options, *args, protocol_version=protocol_version, **kwargs)
        if capabilities.resources is not None and protocol_version not in MODERN_PROTOCOL_VERSIONS:
            capabilities.resources.subscribe = announces
        return capabilities

    @property
    def server_info_stamp(self) -> dict[str, Any]:
        """The server's name in every result of 2026-07-28, without the icon."""
        return {**SERVER_INFO}


class SdkServer:
    """Serves tools through the SDK.

    `sends_list_changed`: this server sends list_changed and keepalive progress to clients of the handshake revisions.
    On stdio the fast path does, unless the SDK answers everything. `is_stateless`: these clients have no sessions.
    """

    def __init__(
        self,
        tools: ToolService,
        *,
        sends_list_changed: bool = True,
        is_stateless: bool = False,
        settings: Mapping[str, Any] = MappingProxyType({}),
    ) -> None:
        """Serve tools.

        Args:
            tools: What is served.
            sends_list_changed: See above.
            is_stateless: See above.
            settings: Arguments of the SDK's server that are added or replaced, such as `on_list_prompts`.
        """
        self.guard = tools.guard
        self.tools = tools
        self._sends_list_changed = sends_list_changed
        self._notifications = SdkNotifications(tools, sends_list_changed=sends_list_changed)
        self.server = self._make_server(settings)
        self.server.is_stateless = is_stateless

    def _make_server(self, settings: Mapping[str, Any]) -> McpServer:
        usual: dict[str, Any] = {
            "version": __version__,
            "title": SERVER_INFO["title"],
            "icons": [types.Icon.model_validate(ICON)],
            "instructions": INSTRUCTIONS,
            "lifespan": self._lifespan,
            "cache_hints": {"tools/list": CacheHint(ttl_ms=LIST_TTL, scope="private")},
            "get_tool_input_schema": self.tools.input_schema,  # otherwise every call over HTTP lists all tools
            "on_list_tools": self._list_tools,
            "on_call_tool": self._call_tool,
            "on_subscriptions_listen": self._listen,
            "on_subscribe_resource": self._subscribe,
            "on_unsubscribe_resource": self._unsubscribe,
            "on_list_resources": self._list_resources,
            "on_list_resource_templates": self._list_resource_templates,
            "on_read_resource": self._read_resource,
        }
        return McpServer(SERVER_INFO["name"], **{**usual, **settings})

    @asynccontextmanager
    async def _lifespan(self, _: Server[Any]) -> AsyncIterator[None]:
        async with self._notifications.running(), anyio.create_task_group() as tasks:
            if self._sends_list_changed:
                tasks.start_soon(send_keepalive_progress, self.tools.running)
            try:
                yield None
            finally:
                tasks.cancel_scope.cancel()

    def close_streams(self) -> None:
        """End the streams on which clients of 2026-07-28 wait for notifications."""
        self._notifications.close_streams()

    async def _list_tools(self, ctx: Context, params: types.PaginatedRequestParams | None) -> dict[str, Any]:
        listing = await self.tools.list_tools(_caller(ctx))
        self._notifications.note_listed(None if _is_modern(ctx) else ctx.session, ToolsListChanged())
        page = listing.page(params.cursor if params is not None else None, modern=_is_modern(ctx))
        if page is None:
            raise MCPError(types.INVALID_PARAMS, INVALID_CURSOR_MESSAGE)
        tools, next_cursor = page
        following = {} if next_cursor is None else {"nextCursor": next_cursor}
        complete = {"resultType": "complete"} if _is_modern(ctx) else {}
        return {"tools": json.loads(tools), **following, **complete}

    async def _call_tool(self, ctx: Context, params: types.CallToolRequestParams) -> dict[str, Any]:
        async def report(number: float, message: str) -> None:
            await ctx.session.report_progress(number, None, message)

        tool = await self.tools.find(params.name)
        if tool is None:
            raise MCPError(types.INVALID_PARAMS, self.tools.unknown_tool_message(params.name))
        result = await self.tools.call(tool, params.arguments, report, _caller(ctx))
        modern = _is_modern(ctx)
        result = result.readable_in(ctx.protocol_version)
        chunks = result.fitted_chunks(params.name, self.tools.options.max_line_bytes, modern=modern)
        fitted: dict[str, Any] = json.loads("".join(chunks))
        return fitted

    async def _list_resources(self, ctx: Context, params: Any) -> types.ListResourcesResult:
        _reject_cursor(params)
        self._notifications.note_listed(None if _is_modern(ctx) else ctx.session, ResourcesListChanged())
        return types.ListResourcesResult.model_validate({"resources": self.tools.resources.listed(_may_use(ctx))})

    async def _list_resource_templates(self, ctx: Context, params: Any) -> types.ListResourceTemplatesResult:
        _reject_cursor(params)
        return types.ListResourceTemplatesResult.model_validate(
            {"resourceTemplates": self.tools.resources.templates(_may_use(ctx))}
        )

    async def _read_resource(self, ctx: Context, params: types.ReadResourceRequestParams) -> types.ReadResourceResult:
        text = self.tools.resources.read(params.uri, _may_use(ctx))
        if text is None:
            raise MCPError(types.INVALID_PARAMS, *unknown_resource(params.uri))
        content = types.TextResourceContents(uri=params.uri, mime_type=media_type(params.uri), text=text)
        return types.ReadResourceResult(contents=[content])

    async def _listen(self, ctx: Context, params: types.SubscriptionsListenRequestParams) -> Any:
        return await self._notifications.listen(ctx, params, _may_use(ctx))

    async def _subscribe(self, ctx: Context, params: types.SubscribeRequestParams) -> types.EmptyResult:
        if self.server.is_stateless:
            raise MCPError(types.INVALID_REQUEST, STATELESS_MESSAGE)
        try:
            self._notifications.subscribe(ctx.session, params.uri, _may_use(ctx))
        except ResourceNotWatched as refused:
            raise MCPError(types.INVALID_PARAMS, refused.message, refused.data) from None
        return types.EmptyResult()

    async def _unsubscribe(self, ctx: Context, params: types.UnsubscribeRequestParams) -> types.EmptyResult:
        self._notifications.unsubscribe(ctx.session, params.uri)
        return types.EmptyResult()


def _reject_cursor(params: types.PaginatedRequestParams | None) -> None:
    """Reject every cursor, for a list that has one page."""
    if params is not None and params.cursor is not None:
        raise MCPError(types.INVALID_PARAMS, INVALID_CURSOR_MESSAGE)


def _may_use(ctx: Context) -> MayUse:
    """Return which tools the caller may use."""
    caller = _caller(ctx)
    return everything if caller is None else caller.may_use


def _caller(ctx: Context) -> Caller | None:
    """Return who sent the request, as the HTTP server has found out; None on stdio and with the server's own token."""
    return None if ctx.request is None else ctx.request.scope.get(CALLER_KEY)


def _is_modern(ctx: Context) -> bool:
    return ctx.protocol_version in MODERN_PROTOCOL_VERSIONS
