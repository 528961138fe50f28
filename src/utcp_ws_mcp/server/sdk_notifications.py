"""Notifications to the clients of the SDK's server: lists and resources that have changed.

Clients of 2026-07-28 get them on the streams of `subscriptions/listen`, by the bus of the SDK. Each client of a
handshake revision has a task of its own that sends what it has subscribed to, so that a client which reads slowly
delays no other.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Hashable, Iterable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import mcp_types as types
from anyio.abc import TaskGroup
from mcp.server.subscriptions import (
    InMemorySubscriptionBus,
    ListenHandler,
    ResourcesListChanged,
    ResourceUpdated,
    ServerEvent,
    ToolsListChanged,
)

from .resources import MayUse
from .subscriptions import ResourceListChanges, ResourceWatches, watchable
from .tools import ToolService

logger = logging.getLogger(__name__)


class _Mailbox:
    """The changes that are still to be sent. Each is kept once: it says that something is to be read again."""

    def __init__(self) -> None:
        self._pending: dict[ServerEvent, None] = {}
        self._arrived = anyio.Event()

    def put(self, event: ServerEvent) -> None:
        """Add a change."""
        self._pending[event] = None
        self._arrived.set()

    async def get(self) -> ServerEvent:
        """Wait for a change, and remove it."""
        while not self._pending:
            self._arrived = anyio.Event()
            await self._arrived.wait()
        event = next(iter(self._pending))
        del self._pending[event]
        return event


class _Session:
    """A client of a handshake revision: its session, the lists that it has, and what it is to be sent."""

    def __init__(self, session: Any) -> None:
        self.listed: set[ServerEvent] = set()
        self.mailbox = _Mailbox()
        self.scope = anyio.CancelScope()
        self._session = session

    async def run(self) -> None:
        """Send until the session ends."""
        with self.scope:
            while True:
                match await self.mailbox.get():
                    case ToolsListChanged():
                        send = self._session.send_tool_list_changed()
                    case ResourcesListChanged():
                        send = self._session.send_resource_list_changed()
                    case ResourceUpdated(uri):
                        send = self._session.send_resource_updated(uri)
                try:
                    await send
                except Exception:  # a client that has gone in any way must not end the tasks of the others
                    logger.debug("a notification was not sent", exc_info=True)


class SdkNotifications:
    """The notifications to the clients of the SDK's server.

    Args:
        tools: The tools.
        sends_list_changed: Clients of the handshake revisions are notified of changed lists.
    """

    def __init__(self, tools: ToolService, *, sends_list_changed: bool) -> None:
        self._sends_list_changed = sends_list_changed
        self._bus = InMemorySubscriptionBus()
        self._listen = ListenHandler(self._bus)
        self._for_bus = _Mailbox()
        self._sessions: dict[Any, _Session] = {}
        self._tasks: TaskGroup
        self._watches = ResourceWatches(tools.resources, self._announce)
        self._list_changes = ResourceListChanges(tools.resources, lambda: self._list_changed(ResourcesListChanged()))
        tools.on_tools_changed.append(self._on_tools_changed)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Send notifications during the block."""
        async with anyio.create_task_group() as self._tasks:
            self._tasks.start_soon(self._publish)
            try:
                yield
            finally:
                self._watches.close()
                self._listen.close()
                self._tasks.cancel_scope.cancel()

    def close_streams(self) -> None:
        """End the streams on which clients of 2026-07-28 wait for notifications."""
        self._listen.close()

    async def listen(self, ctx: Any, params: types.SubscriptionsListenRequestParams, may_use: MayUse) -> Any:
        """Serve `subscriptions/listen`: acknowledge what this server announces, and send it until the client leaves."""
        wanted, subscriber = params.notifications, object()
        if wanted.resources_list_changed:
            self._list_changes.note_listed()
        uris = watchable(self._watches, wanted.resource_subscriptions or (), subscriber, may_use)
        honored = wanted.model_copy(update={"resource_subscriptions": uris or None, "prompts_list_changed": None})
        try:
            return await self._listen(ctx, params.model_copy(update={"notifications": honored}))
        finally:
            self._watches.remove_subscriber(subscriber)

    def subscribe(self, session: Any, uri: str, may_use: MayUse) -> None:
        """Notify a client of a handshake revision of the changes of a resource.

        Raises:
            ResourceNotWatched: if they are not announced.
        """
        self._watches.add(uri, self._known(session), may_use)

    def unsubscribe(self, session: Any, uri: str) -> None:
        """End a subscription of a client of a handshake revision."""
        self._watches.remove(uri, self._known(session))

    def note_listed(self, session: Any | None, event: ServerEvent) -> None:
        """Note that a client has a list; `session` is that of a client of a handshake revision."""
        if event == ResourcesListChanged():
            self._list_changes.note_listed()
        if session is not None:
            self._known(session).listed.add(event)

    def _known(self, session: Any) -> _Session:
        """Return the client of a session, for which a task runs until the connection ends."""
        connection = session._connection  # noqa: SLF001  # the only object of the SDK that lives as long as a handshake connection
        found = self._sessions.get(connection)
        if found is None:
            found = self._sessions[connection] = _Session(session)
            self._tasks.start_soon(found.run)
            connection.exit_stack.callback(self._forget, connection)
        return found

    def _forget(self, connection: Any) -> None:
        session = self._sessions.pop(connection)
        self._watches.remove_subscriber(session)
        session.scope.cancel()

    def _on_tools_changed(self) -> None:
        self._watches.renew()
        self._list_changed(ToolsListChanged())

    def _list_changed(self, event: ServerEvent) -> None:
        self._for_bus.put(event)
        for session in self._sessions.values() if self._sends_list_changed else ():
            if event in session.listed:
                session.mailbox.put(event)

    def _announce(self, uri: str, subscribers: Iterable[Hashable]) -> None:
        event = ResourceUpdated(uri)
        self._for_bus.put(event)
        for each in subscribers:
            if isinstance(each, _Session):
                each.mailbox.put(event)

    async def _publish(self) -> None:
        while True:
            await self._bus.publish(await self._for_bus.get())
