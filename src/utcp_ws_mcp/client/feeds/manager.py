"""All feeds of a bridge: one for each set of arguments, within the limits, as long as they are wanted."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import anyio
from anyio.abc import TaskGroup

from ...core.codecs.message import encode_json
from ...core.expressions.scope import Ambient
from ...core.feeds.buffer import BufferLimits, EventBuffer
from ...core.feeds.feed import CompiledFeed
from ...core.tools.tool import CompiledTool
from ...errors import CallError
from ...observability.events import Observer, noop
from ...records import MutableRecord, field
from ..cancel import CANCEL_TIMEOUT
from ..pool.manager import PoolManager
from ..pool.status import shutdown_error
from ..wakeup import Wakeup
from .keeper import FeedKeeper
from .live_feed import FeedState, LiveFeed
from .subscription import FOREVER, FeedSubscription

if TYPE_CHECKING:
    from ..shared.feed_keeper import SharedKeeper
    from ..shared.fleet import Fleet

logger = logging.getLogger(__name__)

MAX_TOTAL_BYTES: Final = 64 << 20
"""Bytes of the events of all feeds; the oldest events of the largest feed are removed first."""
EPOCH_BYTES: Final = 4
STOPPED: Final = "it is no longer read"
REPLACED: Final = "the manifest was changed"
ENDED: Final = "the program ends"


class FeedInstance(MutableRecord, eq=False):
    """A feed with one set of arguments.

    Attributes:
        tool: One of the tools of the feed.
        live: Its events.
        keeper: Keeps it open.
        scope: Cancels the keeper; None while it does not run.
        reading: Reads and watchers that are under way.
        last_read: When a read ended, by the clock of anyio.
        read_ended: Set when a read has ended.
        removed: Why it belongs to the manager no more; empty while it does.
    """

    tool: CompiledTool
    feed: CompiledFeed
    arguments: dict[str, Any]
    live: LiveFeed
    keeper: FeedKeeper | SharedKeeper
    scope: anyio.CancelScope | None = None
    reading: int = 0
    last_read: float = field(default_factory=anyio.current_time)
    read_ended: Wakeup = field(default_factory=Wakeup)
    removed: str = ""

    @contextmanager
    def being_read(self) -> Iterator[None]:
        """Keep the feed open during the block, and for `linger` seconds after it."""
        self.reading += 1
        try:
            yield
        finally:
            self.end_read()

    def end_read(self) -> None:
        """Note that a read that counted in `reading` has ended."""
        self.reading -= 1
        self.note_read()

    def note_read(self) -> None:
        """Note that a read has ended."""
        self.last_read = anyio.current_time()
        self.read_ended.set()

    @property
    def has_failed(self) -> bool:
        """Return whether it cannot be opened now, has no events and no reader."""
        failed = self.live.state is FeedState.WAITING and not len(self.live.buffer)
        return failed and not self.reading and self.feed.definition.start != "start"

    @property
    def wanted_until(self) -> float:
        """Return until when the feed is kept open, if no further read begins."""
        definition = self.feed.definition
        if self.reading or definition.start == "start":
            return math.inf
        return self.last_read + definition.linger


class FeedManager:
    """Opens feeds when they are read, and closes them when they are no longer wanted.

    Args:
        tasks: Runs the keepers.
        pools: The connections.
        ambient: Time and randomness.
        max_total_bytes: Bytes of the events of all feeds; None: MAX_TOTAL_BYTES.
        fleet: The replicas that share the feeds.
        observe: Gets what happens to the feeds.
        on_change: Called when a set of arguments is followed, no longer followed, or has another state.
    """

    def __init__(
        self,
        tasks: TaskGroup,
        pools: PoolManager,
        ambient: Ambient,
        *,
        max_total_bytes: int | None = None,
        fleet: Fleet | None = None,
        observe: Observer = noop,
        on_change: Callable[[], None] = lambda: None,
    ) -> None:
        self._fleet = fleet
        self._observe = observe
        self._on_change = on_change
        self._tasks = tasks
        self._pools = pools
        self._ambient = ambient
        self._max_total_bytes = MAX_TOTAL_BYTES if max_total_bytes is None else max_total_bytes
        self._instances: dict[tuple[str, str], FeedInstance] = {}
        self._room = self._max_total_bytes
        self._search_turns = anyio.Lock()
        self._running = 0
        self._ended = Wakeup()
        self._closed = False
        pools.on_opened.append(self._note_reachable)

    def __iter__(self) -> Iterator[FeedInstance]:
        return iter(self._instances.values())

    def start(self, tools: Iterable[CompiledTool]) -> None:
        """Open the feeds that are open from the start; `tools` are the tools NAME_events."""
        for tool in tools:
            assert tool.feed is not None
            if tool.feed.feed.definition.start == "start":
                self._run(self._find(tool, dict(tool.defaults)))

    def replace(self, tools: Mapping[str, CompiledTool], unchanged: Collection[str]) -> None:
        """Close the feeds that have changed or are gone; those of unchanged call templates go on."""
        for key, instance in list(self._instances.items()):
            current = tools.get(instance.tool.full_name)
            if instance.feed.manual in unchanged and current is not None and current.feed is not None:
                instance.tool, instance.feed = current, current.feed.feed
            else:
                self._remove(key, REPLACED)

    def get(self, tool: CompiledTool, arguments: dict[str, Any]) -> FeedInstance:
        """Return the feed of a tool with these arguments, and open it. Arguments of the tool itself are ignored.

        Raises:
            CallError: if as many sets of arguments are read as may be.
            ConnectionLost: if the bridge is being closed.
        """
        assert tool.feed is not None
        feed = tool.feed.feed
        if self._closed:
            raise shutdown_error(feed.full_name)
        own = {name: value for name, value in arguments.items() if name in feed.argument_names}
        instance = self._find(tool, own)
        self._run(instance)
        return instance

    def watch(self, tool: CompiledTool, arguments: dict[str, Any], on_change: Callable[[], None]) -> Callable[[], None]:
        """Call a function with each change of a feed, and keep the feed open; return the function that ends it.

        Raises:
            CallError: if as many sets of arguments are read as may be.
        """
        instance = self.get(tool, arguments)
        watchers, watcher = instance.live.watchers, partial(on_change)  # an object of its own for each watch
        watch = ExitStack()
        instance.reading += 1
        watch.callback(instance.end_read)
        watchers.add(watcher)
        watch.callback(watchers.discard, watcher)
        return watch.close

    def _find(self, tool: CompiledTool, arguments: dict[str, Any]) -> FeedInstance:
        assert tool.feed is not None
        feed = tool.feed.feed
        key = feed.full_name, canonical(arguments)
        instance = self._instances.get(key)
        if instance is None:
            self._make_room(feed)
            instance = self._instances[key] = self._make_instance(tool, feed, arguments)
            self._on_change()
        return instance

    def _make_instance(self, tool: CompiledTool, feed: CompiledFeed, arguments: dict[str, Any]) -> FeedInstance:
        definition = feed.definition
        limits = BufferLimits(definition.size, definition.max_bytes, definition.max_age)
        buffer = EventBuffer(self._ambient.random_hex(EPOCH_BYTES), limits, latest=definition.keep == "latest")
        now, shown = (lambda: self._ambient.now().timestamp()), encode_json(arguments)
        live = LiveFeed(
            feed.full_name, buffer, now, self._observe, shown, self._on_change, self._bound_memory, self._search_turns
        )

        def subscribe(position: Any) -> FeedSubscription:
            pool = self._pools.pool(feed.manual)
            logins = self._pools.logins(feed.manual)
            return FeedSubscription(pool, logins, self._ambient, feed, arguments, dict(tool.variables), position)

        if self._fleet is None or feed.handshake.template.limits.scope == "replica":
            return FeedInstance(tool, feed, arguments, live, FeedKeeper(feed, live, subscribe))
        from ..shared.feed_keeper import SharedKeeper

        shared = SharedKeeper(feed, live, subscribe, self._fleet)
        instance = FeedInstance(tool, feed, arguments, live, shared)
        shared.on_wanted = instance.note_read
        return instance

    def _make_room(self, feed: CompiledFeed) -> None:
        """Remove the instance of a feed that was read least recently, if there are as many as may be.

        One that cannot be opened and has no events goes, too: otherwise wrong arguments would keep right ones away.
        """
        limit = feed.definition.max_instances
        own = [(key, each) for key, each in self._instances.items() if each.feed.full_name == feed.full_name]
        if len(own) < limit:
            return
        now = anyio.current_time()
        idle = [(each.last_read, key) for key, each in own if each.wanted_until <= now or each.has_failed]
        if not idle:
            raise CallError(
                f"{feed.full_name}: {limit} sets of arguments are followed already. Read one of them, wait until "
                f'one has not been read for {feed.definition.linger:g} s, or raise "max_instances".',
                code="too-many-feeds",
            )
        self._remove(min(idle)[1], STOPPED)

    def _run(self, instance: FeedInstance) -> None:
        if instance.scope is None and not self._closed:
            instance.scope = anyio.CancelScope()
            instance.live.set_state(FeedState.OPENING)
            self._tasks.start_soon(self._keep, instance, instance.scope)

    async def _keep(self, instance: FeedInstance, scope: anyio.CancelScope) -> None:
        """Run the keeper of a feed as long as it is wanted."""
        self._running += 1
        try:
            with scope:
                await self._keep_while_wanted(instance)
        finally:
            instance.scope = None
            instance.keeper.stopped(instance.removed or STOPPED)
            self._running -= 1
            self._ended.set()

    async def _keep_while_wanted(self, instance: FeedInstance) -> None:
        while True:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._run_keeper, instance)
                while (until := instance.wanted_until) > anyio.current_time():
                    await instance.read_ended.wait(min(until, anyio.current_time() + FOREVER))
                tasks.cancel_scope.cancel()
            if instance.wanted_until <= anyio.current_time():
                return
            instance.keeper.interrupted(STOPPED)  # a read began while it was being closed

    async def _run_keeper(self, instance: FeedInstance) -> None:
        try:
            await instance.keeper.run()
        except Exception:  # a defect ends this feed, not the bridge
            logger.exception("internal error in the feed %s", instance.feed.full_name)
            instance.keeper.stopped("internal error; see the log")

    def _remove(self, key: tuple[str, str], reason: str) -> None:
        instance = self._instances.pop(key)
        instance.removed = reason
        if instance.scope is not None:
            instance.scope.cancel()
        self._on_change()

    def _note_reachable(self, manual: str) -> None:
        for instance in self:
            if instance.feed.manual == manual:
                instance.keeper.note_reachable()

    def _bound_memory(self, added: int) -> None:
        """Remove the oldest events of the largest feeds if all feeds together exceed the limit.

        The feeds are added up only when the limit may be reached, and then somewhat more is removed than necessary, so
        that an event costs the same however many feeds there are.
        """
        self._room -= added
        if self._room >= 0:
            return
        total = sum(instance.live.buffer.bytes for instance in self)
        target = self._max_total_bytes if total <= self._max_total_bytes else self._max_total_bytes * 63 // 64
        while total > target:
            live = max(self, key=lambda instance: instance.live.buffer.bytes).live
            largest = live.buffer
            before = largest.bytes
            while total - (before - largest.bytes) > target and largest.bytes * 2 > before:
                largest.evict_oldest()
            live.report_evictions()
            total -= before - largest.bytes
        self._room = self._max_total_bytes - total

    async def aclose(self) -> None:
        """Stop all keepers, which send `close`; the connections are closed by the pools."""
        self._closed = True
        for key in list(self._instances):
            self._remove(key, ENDED)
        with anyio.move_on_after(2 * CANCEL_TIMEOUT):
            while self._running:
                await self._ended.wait(anyio.current_time() + FOREVER)


def canonical(arguments: Mapping[str, Any]) -> str:
    """Return arguments as JSON in which the order of keys plays no part."""
    return encode_json(_sorted(arguments))


def _sorted(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _sorted(value[key]) for key in sorted(value)}
    return [_sorted(item) for item in value] if isinstance(value, list) else value
