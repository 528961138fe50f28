"""A store in memory, in the time of the event loop. It does what the scripts do that a Redis server runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import anyio
import anyio.lowlevel

from utcp_ws_mcp.client.shared import accounts, feed_stream, members, rates, tokens
from utcp_ws_mcp.client.shared.accounts import Accounts
from utcp_ws_mcp.client.shared.fleet import Fleet
from utcp_ws_mcp.client.shared.members import Members
from utcp_ws_mcp.client.shared.store import BLOCK_SECONDS, Script, StoreAway

SINCE = 1_767_225_600_000
"""The time of the store at the beginning, in milliseconds since 1970."""


class MemoryStore:
    """Stands for a `SharedStore`.

    Attributes:
        since: Its time when the event loop began, in milliseconds since 1970.
        values: What is stored, by key: texts, tables, and streams as lists.
        away: Why no operation succeeds; None: they do.
        delay: Seconds that an operation takes.
        runs: How often each script was run.
    """

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}
        self.since = SINCE
        self.away: str | None = None
        self.delay = 0.0
        self.runs: dict[Script, int] = {}
        self.closed = False
        self._ends: dict[str, float] = {}
        self._changed = anyio.Event()
        self._scripts: dict[Script, Callable[..., Any]] = {
            feed_stream._CLAIM: self._claim,
            feed_stream._RENEW: self._renew,
            feed_stream._APPEND: self._append,
            feed_stream._RELEASE: self._release,
            accounts._HOLD: self._hold,
            accounts._DROP: self._delete_own,
            tokens._LOOK: self._look,
            tokens._PUT: self._put,
            tokens._UNLOCK: self._delete_own,
            members._BEAT: self._beat,
            members._LEAVE: self._leave,
            rates._TAKE_TURN: self._take_turn,
        }

    async def run(self, script: Script, keys: Sequence[str], args: Sequence[str | int | bytes]) -> Any:
        await anyio.lowlevel.checkpoint()
        if self.delay:
            await anyio.sleep(self.delay)
        if self.away is not None:
            raise StoreAway(self.away)
        self.runs[script] = self.runs.get(script, 0) + 1
        answer = self._scripts[script](*keys, *args)
        self._changed.set()
        self._changed = anyio.Event()
        return answer

    probe = run

    async def read_streams(self, positions: Mapping[str, str]) -> dict[str, list[Any]]:
        await anyio.lowlevel.checkpoint()
        with anyio.move_on_after(BLOCK_SECONDS):
            while self.away is None:
                found = {key: self._behind(key, position) for key, position in positions.items()}
                if any(found.values()):
                    return {key: entries for key, entries in found.items() if entries}
                await self._changed.wait()
        if self.away is not None:
            raise StoreAway(self.away)
        return {}

    async def aclose(self) -> None:
        self.closed = True

    # Values with an end

    def get(self, key: str) -> Any:
        if self._ends.get(key, float("inf")) <= self.now():
            self.delete(key)
        return self.values.get(key)

    def set(self, key: str, value: Any, milliseconds: float) -> None:
        self.values[key] = value
        self._ends[key] = self.now() + milliseconds

    def delete(self, key: str) -> None:
        self.values.pop(key, None)
        self._ends.pop(key, None)

    def left(self, key: str) -> float:
        """Return the milliseconds until the end of a value; -1 if it has none."""
        return self._ends[key] - self.now() if key in self._ends else -1

    def now(self) -> float:
        return self.since + round(anyio.current_time() * 1000)

    def _expire(self, key: str, milliseconds: int) -> None:
        if self.get(key) is not None:
            self._ends[key] = self.now() + milliseconds

    def _set_if_free(self, key: str, value: Any, milliseconds: int) -> bool:
        if self.get(key) is not None:
            return False
        self.set(key, value, milliseconds)
        return True

    # Feeds

    def _claim(self, lease: str, meta: str, wanted: str, token: str, lease_ms: int, keep: int, life: str) -> list[Any]:
        holder, table = self.get(lease), self.get(meta) or {}
        if holder is None and life and table.get("epoch") != life:
            return [-1, None, None, None, None, None]
        owned = holder == token or self._set_if_free(lease, token, lease_ms)
        if owned:
            table.setdefault("epoch", f"{self.now():.0f}")
            self.set(meta, table, keep)
        else:
            self.set(wanted, 1, lease_ms)
        encoded = [table.get(name) for name in ("epoch", "number", "offset", "gap", "since")]
        return [int(owned), *(None if each is None else str(each).encode() for each in encoded)]

    def _renew(self, lease: str, *rest: Any) -> int:
        meta, events, states, wanted, token, lease_ms, keep, is_open = rest
        if self.get(lease) != token:
            return -1
        self._expire(lease, lease_ms)
        for key in (meta, events, states):
            self._expire(key, keep)
        if is_open == 1:
            self._note_open(meta)
        return int(self.get(wanted) is not None)

    def _append(self, lease: str, meta: str, events: str, states: str, *args: Any) -> int:
        token, epoch, size, oldest, offset, gap, state, keep, is_open, *entries = args
        if self.get(lease) != token:
            return 0
        table = self.get(meta) or {}
        self.values[meta] = table
        stream = self.values.setdefault(events, [])
        for number, text in zip(entries[::2], entries[1::2], strict=True):
            if number > table.get("number", 0):
                stream.append((f"{epoch}-{number}", {b"e": _bytes(text)}))
                table.update(number=number, offset=offset, gap=gap)
        del stream[:-size]
        stream[:] = [entry for entry in stream if _order(entry[0]) >= _order(f"{epoch}-{oldest}") or not oldest]
        if is_open == 1:
            self._note_open(meta)
        if state:
            self._add_state(states, {b"s": _bytes(state)})
        for key in (meta, events, states):
            self._expire(key, keep)
        return 1

    def _release(self, lease: str, meta: str, events: str, states: str, token: str, was_open: int) -> int:
        if self.get(lease) != token:
            return 0
        if was_open == 1:
            self._note_open(meta)
        self.delete(lease)
        self._add_state(states, {b"released": b"1"})
        return 1

    def _note_open(self, meta: str) -> None:
        self.values.setdefault(meta, {})["since"] = self.now() // 1000

    def _add_state(self, key: str, fields: dict[bytes, bytes]) -> None:
        last = self.values[key][-1][0] if self.values.get(key) else "0-0"
        self.values[key] = [(f"{_order(last)[0] + 1}-0", fields)]

    def _behind(self, key: str, position: str) -> list[Any]:
        return [entry for entry in self.get(key) or () if _order(entry[0]) > _order(position)]

    # Accounts and tokens

    def _hold(self, key: str, lost_at: str, token: str, milliseconds: int, kept: int, settle: int) -> float:
        holder = self.get(key)
        if holder is not None and holder != token:
            return -1
        lost = self.get(lost_at) if self.get(lost_at) is not None else self.now()
        self._set_if_free(lost_at, lost, kept)
        if holder is None and (wait := lost + settle - self.now()) > 0:
            return wait
        self.set(key, token, milliseconds)
        return 0

    def _delete_own(self, key: str, token: str) -> int:
        if self.get(key) != token:
            return 0
        self.delete(key)
        return 1

    def _look(self, place: str, lock: str, holder: str, milliseconds: int, unusable: bytes) -> list[Any]:
        found = self.get(place)
        if found and found != unusable:
            return [found, self.left(place), 0]
        self.delete(place)
        mine = self.get(lock) == holder or self._set_if_free(lock, holder, milliseconds)
        return [b"", 0, int(mine)]

    def _put(self, place: str, lock: str, holder: str, sealed: bytes, milliseconds: int) -> None:
        self.set(place, sealed, milliseconds)
        self._delete_own(lock, holder)

    # Fleets

    def _beat(self, key: str, lost_at: str, replica: str, milliseconds: int, is_member: int, kept: int) -> int:
        self._set_if_free(lost_at, self.now() if is_member == 1 else 0, kept)
        self._expire(lost_at, kept)
        table = self.values.setdefault(key, {})
        table[replica] = self.now()
        for name, seen in list(table.items()):
            if seen <= self.now() - milliseconds:
                del table[name]
        return len(table)

    def _leave(self, key: str, replica: str) -> int:
        return int(self.values.get(key, {}).pop(replica, None) is not None)

    def _take_turn(self, key: str, interval: int, patience: int, earliest: int, ahead: int) -> str:
        now = self.now() * 1000
        turn = max(now + earliest, self.get(key) or 0)
        wait = max(0, turn - now - ahead)
        if wait <= patience:
            self.set(key, turn + interval, (turn + interval - now) / 1000 + 1000)
        return f"{wait:.0f}"


def make_fleet(store: Any, name: str = "a", key: str | None = None) -> Fleet:
    """A replica of the fleet `f`."""
    replicas = Members("f", name, store)
    return Fleet(replicas, Accounts(replicas), key)


def _bytes(text: str | bytes) -> bytes:
    return text if isinstance(text, bytes) else text.encode()


def _order(entry_id: str) -> tuple[int, int]:
    epoch, _, number = entry_id.partition("-")
    return int(epoch), int(number)
