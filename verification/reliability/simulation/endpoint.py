"""The server of a simulation: it executes requests, answers them, and injects random faults."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from utcp_ws_mcp.manifest.models.framing import Framing

from . import frames
from .ledger import Ledger
from .manifests import framer_of

if TYPE_CHECKING:
    from .loop import VirtualLoop
    from .manifests import Shape
    from .network import Link

CLOSE_CODES: Final = (1000, 1001, 1008, 1011, 1012, 1013, 4000)
STATUSES: Final = (403, 429, 500, 503)
CANCEL_HONORED_RATE: Final = 0.5
"""The share of the cancel messages that the endpoint honors."""

TOKEN: Final = "token-"

CLOSE_PROPAGATION_DELAY: Final = 0.6
"""Seconds after which no request may arrive on a connection whose end was announced; the round trip is shorter."""


@dataclass(frozen=True, slots=True)
class FaultRates:
    """The probability (0 to 1) of each fault; there are no faults after `faults_end_at`."""

    odds: dict[str, float] = field(default_factory=dict)
    faults_end_at: float = 0.0


class Endpoint:
    """The state that all connections of the server share."""

    def __init__(self, loop: VirtualLoop, shape: Shape, fault_rates: FaultRates, ledger: Ledger, seed: int) -> None:
        self.loop = loop
        self.shape = shape
        self.ledger = ledger
        self.random = random.Random(seed)
        self.peers: list[Peer] = []
        self.tokens = 0
        self.valid_from = 1
        self._fault_rates = fault_rates

    def accept(self, link: Link) -> Peer:
        """Return the server's end of a new connection."""
        self.peers.append(Peer(self, link))
        return self.peers[-1]

    def happens(self, what: str) -> bool:
        """Draw whether this fault occurs now."""
        odds = self._fault_rates.odds.get(what, 0.0)
        return odds > 0 and self.loop.now < self._fault_rates.faults_end_at and self.random.random() < odds

    def new_token(self) -> str:
        """Return a new token for the upgrade."""
        self.tokens += 1
        return f"{TOKEN}{self.tokens}"

    def accepts_token(self, token: str) -> bool:
        """Return whether a token is valid; the fault "expire" revokes all tokens so far."""
        if self.happens("expire_tokens"):
            self.valid_from = self.tokens + 1
        return token.startswith(TOKEN) and int(token.removeprefix(TOKEN)) >= self.valid_from


class Peer:
    """The server's end of one connection."""

    def __init__(self, endpoint: Endpoint, link: Link) -> None:
        self._endpoint = endpoint
        self._link = link
        self._received = bytearray()
        self._framing = _of_endpoint(endpoint.shape.framing)
        self._framer = framer_of(self._framing)
        self._cuts = random.Random(link.number)
        self._target: str | None = None
        self._upgraded = False
        self._open = False
        self._gone = False
        self._ids: list[Any] = []
        self._cancelled: set[int] = set()
        self._serials: list[int] = []
        self._batch: list[tuple[Any, int, dict[str, Any]]] = []
        self._joined: list[Any] = []
        self._session_ended_at: float | None = None

    def received(self, data: bytes) -> None:
        """Process bytes of the client."""
        if self._gone:
            return
        self._received += data
        if self._target is None and b"\r\n\r\n" in self._received:
            head, _, rest = bytes(self._received).partition(b"\r\n\r\n")
            self._received = bytearray(rest)
            self._upgrade(frames.read_request(head))
        for opcode, payload in frames.take_frames(self._received) if self._upgraded else ():
            self._take(opcode, payload)

    def ended(self) -> None:
        """Record that the client has closed or reset the connection."""
        self._gone = True

    def _upgrade(self, request: frames.Request) -> None:
        endpoint, self._target = self._endpoint, request.target
        endpoint.ledger.log(
            endpoint.loop.now, f"endpoint {self._link.number} receives an upgrade request for {request.target}"
        )
        if endpoint.happens("no_upgrade_response"):
            return
        delay = 3.0 if endpoint.happens("slow_upgrade") else 0.0
        if endpoint.shape.token and not endpoint.accepts_token(request.token):
            self._later(delay, self._reject, 401)
        elif endpoint.happens("reject_upgrade"):
            self._later(delay, self._reject, endpoint.random.choice(STATUSES))
        else:
            self._later(delay, self._accept, request)

    def _reject(self, status: int) -> None:
        self._link.down.push(frames.reject(status))
        self._link.down.later(self._link.client_sees_end)

    def _accept(self, request: frames.Request) -> None:
        self._upgraded = self._open = True
        self._link.down.push(frames.accept(request))
        if self._endpoint.shape.sends_greeting or self._endpoint.happens("event"):
            self._send({"event": "welcome"})
        if request.target.startswith("/hear/"):
            self._execute({"do": "hear", "n": int(request.target.removeprefix("/hear/"))})
        if self._endpoint.happens("close"):
            self._later(self._endpoint.random.uniform(0, 3), self._close)
        self.received(b"")

    def _take(self, opcode: int, payload: bytes) -> None:
        self._send_joined()
        if opcode == frames.CLOSE:
            if self._open:
                self._link.down.push(frames.frame(frames.CLOSE, payload))
            if self._open or not self._endpoint.happens("keep_tcp_open"):
                self._link.down.later(self._link.client_sees_end)
            self._open, self._gone = False, True
        elif not self._open:
            return
        elif opcode == frames.PING:
            self._link.down.push(frames.frame(frames.PONG, payload))
        elif opcode in (frames.TEXT, frames.BINARY):
            for message in self._framer.decode(payload.decode() if opcode == frames.TEXT else bytes(payload)):
                self._answer(message.value)

    def _answer(self, message: dict[str, Any]) -> None:
        endpoint = self._endpoint
        if "login" in message:
            if endpoint.happens("reject_login"):
                self._send({"denied": "no"})
            elif not endpoint.happens("no_reply"):
                self._send({"hello": self._link.number})
        elif "beat" in message:
            if not endpoint.happens("no_reply"):
                self._send({"beat": message["beat"]})
        elif message.get("type") == "utcp":
            if not endpoint.happens("no_reply"):
                self._send(endpoint.shape.manual)
        elif "cancel" in message:
            self._cancelled.update([message["cancel"]] if endpoint.random.random() < CANCEL_HONORED_RATE else [])
        elif self._session_ended_at is not None:
            self._refuse(message, self._session_ended_at)
        else:
            self._execute(message)

    def _execute(self, message: dict[str, Any]) -> None:
        endpoint, n = self._endpoint, message["n"]
        if message["do"] != "hear":
            self._check_http_values(message)
        serial = endpoint.ledger.execute(endpoint.loop.now, n)
        self._serials.append(serial)
        if message.get("id") is not None:
            self._ids.append((message["id"], n, serial))
        if message["do"] == "tell":
            return
        _Answer(self, endpoint, message, serial).start()
        if endpoint.shape.may_end_sessions and endpoint.happens("end_session"):
            self._session_ended_at = endpoint.loop.now
            self._send({"event": "retired"})

    def _check_http_values(self, message: dict[str, Any]) -> None:
        """Check that the values of HTTP responses are those for this call and this connection."""
        expected = {"ticket": f"ticket-{message['n']}", "key": f"key-{self._link.number}"}
        for name, value in expected.items():
            if name in self._endpoint.shape.message and message.get(name) != value:
                self._endpoint.ledger.violations.append(f"request {message['n']} has the {name} {message.get(name)!r}")

    def _refuse(self, message: dict[str, Any], since: float) -> None:
        """Reject a request after the end of the session; requests that were already sent may still arrive."""
        ledger, now, n = self._endpoint.ledger, self._endpoint.loop.now, message["n"]
        if now > since + CLOSE_PROPAGATION_DELAY and self._link.silent_since is None:
            ledger.violations.append(
                f"request {n} arrived {now - since:.3f} s after the session of its connection ended"
            )
        ledger.error_replies.add(n)
        self._send({**({"id": message["id"]} if message.get("id") is not None else {}), "error": f"fault {n}"})

    def _later(self, delay: float, act: Callable[..., None], *arguments: Any) -> None:
        if delay:
            self._endpoint.loop.call_later(delay, act, *arguments)
        else:
            act(*arguments)

    def _close(self) -> None:
        if not self._open or self._gone:
            return
        self._send_joined()
        code = self._endpoint.random.choice(CLOSE_CODES)
        now, ledger = self._endpoint.loop.now, self._endpoint.ledger
        ended = [] if self._link.silent else [ledger.executions[serial] for serial in self._serials]
        ledger.log(now, f"endpoint {self._link.number} closes with {code}")
        self._link.down.push(frames.frame(frames.CLOSE, code.to_bytes(2, "big")))
        for execution in ended:
            execution.closed = code
            execution.close_sent_at = now if self._link.silent_since is None else None
        self._open = False

    def _send(self, value: Any) -> None:
        if not self._open or self._gone:
            return
        if self._endpoint.shape.joins_messages:
            self._joined.append(value)
            if len(self._joined) == 1:
                self._endpoint.loop.call_soon(self._send_joined)
            return
        for each in self._frames_of(value):
            self._link.down.push(each)

    def _send_joined(self) -> None:
        """Send what is due at the same time as one array, or as two in one piece of TCP."""
        joined, self._joined = self._joined, []
        if joined and self._open and not self._gone:
            place = self._cuts.randrange(len(joined))
            first = self._frames_of(joined[:place]) if place else ()
            self._link.down.push(b"".join([*first, *self._frames_of(joined[place:])]))

    def _frames_of(self, value: Any) -> Iterator[bytes]:
        for message in self._framer.encode(value):
            for part in self._cut(message):
                opcode = frames.TEXT if isinstance(part, str) else frames.BINARY
                yield frames.frame(opcode, part.encode() if isinstance(part, str) else part)

    def reply(self, fields: dict[str, Any], serial: int, answer: dict[str, Any]) -> None:
        """Send the reply to an execution, now or with others in one message."""
        if not self._endpoint.shape.batches_replies:
            self._send({**fields, **answer})
            self._note_answered(serial)
            return
        self._batch.append((fields["id"], serial, answer))
        if len(self._batch) == 1:
            self._later(self._endpoint.random.choice((0.0, 0.1, 0.4)), self._send_batch)
        elif self._endpoint.random.random() < 0.1:
            self._send_batch()

    def _send_batch(self) -> None:
        batch, self._batch = self._batch, []
        if not batch:
            return
        parts = {
            plural: {str(number): answer[key] for number, _, answer in batch if key in answer}
            for plural, key in (("answers", "answer"), ("errors", "error"))
        }
        self._send({"ids": [number for number, _, _ in batch], **parts})
        for _, serial, _ in batch:
            self._note_answered(serial)

    def _note_answered(self, serial: int) -> None:
        if self._open and not self._gone and not self._link.silent:
            self._endpoint.ledger.executions[serial].answered_at = self._endpoint.loop.now

    def _cut(self, message: str | bytes) -> list[str | bytes]:
        """Return a message in pieces, if messages may span WebSocket messages."""
        if not self._framing.spans_messages or self._cuts.random() < 0.5:
            return [message]
        place = self._cuts.randrange(len(message))
        return [part for part in (message[:place], message[place:]) if part]


def _of_endpoint(framing: Framing) -> Framing:
    """Return the framing with which the other side of a connection reads and writes."""
    if framing.compression is None:
        return framing
    return framing.model_copy(update={"compression": framing.compression.model_copy(update={"send": True})})


class _Answer:
    """The messages that the endpoint sends for one execution."""

    def __init__(self, peer: Peer, endpoint: Endpoint, message: dict[str, Any], serial: int) -> None:
        self._peer = peer
        self._endpoint = endpoint
        self._serial = serial
        self._n = message["n"]
        self._tool = message["do"]
        self._id_fields = {"id": message["id"]} if message.get("id") is not None else {}
        self._remaining = 0

    def start(self) -> None:
        """Send the first answer now, later or never, and unrelated messages."""
        endpoint = self._endpoint
        self._noise()
        if endpoint.happens("no_reply"):
            return
        delay = endpoint.random.choice((0.0, 0.0, 0.02, 0.3))
        if endpoint.happens("late_reply"):
            delay = endpoint.shape.timeout * endpoint.random.uniform(0.7, 1.6)
        if endpoint.happens("close_during_call"):
            self._peer._later(endpoint.random.choice((0.0, delay)), self._peer._close)
        if self._tool not in ("ask", "look"):
            self._remaining = endpoint.random.randrange(5)
            self._peer._later(delay, self._open_stream)
        else:
            self._peer._later(delay, self._reply)

    def _noise(self) -> None:
        """Send unsolicited events, replies with an unknown id, and replies to completed requests again."""
        endpoint, peer = self._endpoint, self._peer
        if endpoint.shape.allows_events and endpoint.happens("event"):
            peer._send({"event": "noise"})
        if self._id_fields and endpoint.happens("foreign_reply"):
            unknown_id = "unknown" if isinstance(self._id_fields["id"], str) else 10_000 + self._serial
            peer._send({"id": unknown_id, "answer": {"n": -1, "x": -1, "i": 0}})
        if self._id_fields and endpoint.happens("stale_reply"):
            number, n, serial = endpoint.random.choice(peer._ids)
            if serial != self._serial and endpoint.ledger.executions[serial].done:
                peer._send({"id": number, "answer": {"n": n, "x": serial, "i": 99}})

    def _reply(self) -> None:
        endpoint = self._endpoint
        if endpoint.happens("error_reply"):
            endpoint.ledger.error_replies.add(self._n)
            answer: dict[str, Any] = {"error": f"fault {self._n}"}
        else:
            answer = {"answer": {"n": self._n, "x": self._serial}}
        endpoint.ledger.executions[self._serial].done = True
        self._peer.reply(self._id_fields, self._serial, answer)
        if endpoint.happens("duplicate_reply"):
            later = endpoint.random.choice((0.0, 0.0, 0.5)) if self._id_fields else 0.0
            self._peer._later(later, self._peer._send, {**self._id_fields, **answer})

    def _open_stream(self) -> None:
        if self._tool != "watch":
            return self._item()
        if self._remaining and self._endpoint.random.random() < 0.3:
            self._send_item()
        self._peer._send({**self._id_fields, "answer": {"sub": self._serial}})
        return self._item()

    def _item(self) -> None:
        execution = self._endpoint.ledger.executions[self._serial]
        if not self._peer._open or self._n in self._peer._cancelled:
            return
        if not self._remaining:
            execution.done = True
            self._peer._send({**self._stream_fields, "done": True})
            return
        self._send_item()
        self._peer._later(self._endpoint.random.choice((0.0, 0.05, 0.4)), self._item)

    def _send_item(self) -> None:
        self._remaining -= 1
        execution = self._endpoint.ledger.executions[self._serial]
        item = {"n": self._n, "x": self._serial, "i": execution.items}
        execution.items += 1
        self._peer._send({**self._stream_fields, "answer": item})

    @property
    def _stream_fields(self) -> dict[str, Any]:
        return {"sub": self._serial} if self._tool == "watch" else self._id_fields
