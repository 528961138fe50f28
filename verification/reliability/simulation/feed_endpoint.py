"""The server of a simulation of feeds: events happen by themselves, connections subscribe to them."""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING, Any, Final

from . import frames
from .endpoint import CLOSE_CODES, STATUSES
from .scenario import FAULTS_END_AT

if TYPE_CHECKING:
    from .feed_scenario import FeedScenario
    from .ledger import Ledger
    from .loop import VirtualLoop
    from .network import Link

REPLAY_INTERVAL: Final = 0.03
"""Seconds between two events of a slow replay."""


class FeedEndpoint:
    """The events so far. `happened` has the virtual time of each, `peers` are the connections."""

    def __init__(self, loop: VirtualLoop, chosen: FeedScenario, ledger: Ledger) -> None:
        self.loop = loop
        self.ledger = ledger
        self.happened: list[float] = []
        self.random = random.Random(chosen.seed)
        self.resume = chosen.shape.resume
        self.flat = chosen.shape.flat
        self._odds = chosen.odds
        self.peers: list[FeedPeer] = []

    def accept(self, link: Link) -> FeedPeer:
        """Return the server's end of a new connection."""
        self.peers.append(FeedPeer(self, link))
        return self.peers[-1]

    def happens(self, what: str) -> bool:
        """Draw whether this fault occurs now."""
        odds = self._odds.get(what, 0.0)
        return odds > 0 and self.loop.now < FAULTS_END_AT and self.random.random() < odds

    def add_event(self) -> None:
        """Let an event happen."""
        self.happened.append(self.loop.now)
        self.ledger.log(self.loop.now, f"event {len(self.happened)}")
        for peer in self.peers:
            peer.send_event(len(self.happened))


class FeedPeer:
    """The server's end of one connection. `sent` has the numbers of the events that it has sent."""

    def __init__(self, endpoint: FeedEndpoint, link: Link) -> None:
        self._endpoint = endpoint
        self._link = link
        self._received = bytearray()
        self._upgraded = False
        self._open = False
        self._subscribed = False
        self.sent: list[int] = []
        self._due: list[int] = []

    def received(self, data: bytes) -> None:
        """Process bytes of the client."""
        self._received += data
        if not self._upgraded and b"\r\n\r\n" in self._received:
            head, _, rest = bytes(self._received).partition(b"\r\n\r\n")
            self._received = bytearray(rest)
            self._upgrade(frames.read_request(head))
        for opcode, payload in frames.take_frames(self._received) if self._open else ():
            self._take(opcode, payload)

    def ended(self) -> None:
        """Record that the client has closed or reset the connection."""
        self._open = self._subscribed = False

    def send_event(self, number: int) -> None:
        """Send an event to a client that has subscribed."""
        if self._subscribed:
            self.sent.append(number)
            if not self._endpoint.flat:
                self._send({"n": number})
                return
            self._due.append(number)
            if len(self._due) == 1:
                self._endpoint.loop.call_soon(self._send_due)

    def _send_due(self) -> None:
        """Send the events of the same time as one list."""
        due, self._due = self._due, []
        if due:
            self._send({"n": due})

    def _upgrade(self, request: frames.Request) -> None:
        self._upgraded, endpoint = True, self._endpoint
        if endpoint.happens("reject_upgrade"):
            self._link.down.push(frames.reject(endpoint.random.choice(STATUSES)))
            self._link.down.later(self._link.client_sees_end)
            return
        self._open = True
        self._link.down.push(frames.accept(request))
        if endpoint.happens("close"):
            endpoint.loop.call_later(endpoint.random.uniform(0, 3), self._close)

    def _take(self, opcode: int, payload: bytes) -> None:
        self._send_due()
        if opcode == frames.CLOSE:
            self._link.down.push(frames.frame(frames.CLOSE, payload))
            self._link.down.later(self._link.client_sees_end)
            self.ended()
        elif opcode == frames.PING:
            self._link.down.push(frames.frame(frames.PONG, payload))
        elif opcode == frames.TEXT:
            self._answer(json.loads(payload))

    def _answer(self, message: dict[str, Any]) -> None:
        endpoint = self._endpoint
        endpoint.ledger.log(endpoint.loop.now, f"endpoint {self._link.number} gets {message}")
        if message["op"] == "subscribe":
            self._subscribe()
        elif message["op"] == "unsubscribe":
            self._subscribed = False
        elif endpoint.resume == "confirmed" and endpoint.happens("refuse_replay"):
            self._send({"op": "replayed", "refused": True})
        else:
            self._replay(message["after"] + 1)

    def _subscribe(self) -> None:
        endpoint = self._endpoint
        self._subscribed = True
        if endpoint.happens("early_event"):
            endpoint.add_event()
        if not endpoint.happens("no_confirmation"):
            late = endpoint.random.uniform(0, 1) if endpoint.happens("late_confirmation") else 0.0
            endpoint.loop.call_later(late, self._send, {"op": "subscribed"})

    def _replay(self, number: int) -> None:
        """Send the events from a number on, at once or so slowly that others happen meanwhile."""
        endpoint = self._endpoint
        if not self._open:
            return
        if number > len(endpoint.happened):
            if endpoint.resume == "confirmed":
                self._send({"op": "replayed", "refused": False})
            return
        self._send({"n": number})
        if endpoint.happens("slow_replay"):
            endpoint.loop.call_later(REPLAY_INTERVAL, self._replay, number + 1)
        else:
            self._replay(number + 1)

    def _close(self) -> None:
        self._send_due()
        if self._open:
            code = self._endpoint.random.choice(CLOSE_CODES)
            self._link.down.push(frames.frame(frames.CLOSE, code.to_bytes(2, "big")))
            self._open = self._subscribed = False

    def _send(self, value: Any) -> None:
        if self._open:
            self._link.down.push(frames.frame(frames.TEXT, json.dumps(value).encode()))
