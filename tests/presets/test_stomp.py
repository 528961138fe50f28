"""The preset stomp, against a broker that follows STOMP 1.2."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.peer import bridge_to
from tests.presets.servers import Broken, Session, Strict, call_all, calling, interval, meanwhile, refused, strict
from utcp_ws_mcp import ToolError
from utcp_ws_mcp.errors import CallTimeout, ConnectionLost, SessionLost

LOGIN = {"STOMP_LOGIN": "ada", "STOMP_PASSCODE": "se:cret"}
REQUIRED = {"SEND": {"destination"}, "SUBSCRIBE": {"destination", "id"}, "UNSUBSCRIBE": {"id"}, "ACK": {"id"}}
QUEUE = "/amq/queue/"
FRAME = re.compile(r"([A-Z]+)\n((?:[^:\n]+:[^\n]*\n)*)\n([^\0]*)\0")
WATCH = {
    "name": "watch",
    "tool_call_template": {
        "message": {
            "command": "SUBSCRIBE",
            "headers": {
                "id": "{{ request_id }}",
                "receipt": "{{ request_id }}",
                "destination": "{{ args.destination }}",
            },
        },
        "stream": {"max_items": 2},
    },
}


RECEIVE = next(
    tool
    for tool in json.loads((Path(__file__).parents[2] / "manifests" / "stomp-broker.json").read_text())["tools"]
    if tool["name"] == "receive"
)


def frame(command: str, headers: dict[str, str] | None = None, body: str = "") -> str:
    escapes = {} if command == "CONNECTED" else {"\\": "\\\\", "\n": "\\n", "\r": "\\r", ":": "\\c"}
    lines = [f"{name}:{value.translate(str.maketrans(escapes))}" for name, value in (headers or {}).items()]
    return "\n".join([command, *lines, "", body]) + "\0"


class Broker(Session):
    """A broker with one account.

    Settings: `beat`, the milliseconds between heart-beats that it wants; `hold`, how many receipts it collects and
    then sends in reverse; `nameless`, to send errors that name no receipt.
    """

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.connected = False
        self.subscriptions: dict[str, str] = {}
        self.receipts: list[str] = []
        self.beats = 0
        self.unacknowledged: dict[str, str] = {}
        self.prefetch = 0

    async def take(self, message: Any) -> None:
        if message == "\n":
            self.beats += 1
            self.expect_beat()
            return
        found = FRAME.fullmatch(str(message))
        if found is None:
            raise Broken(f"no frame: {message!r}")
        command, body = found[1], found[3]
        headers = dict(line.split(":", 1) for line in found[2].splitlines())
        if body and len(body.encode()) != int(headers["content-length"]):
            raise Broken("a wrong content-length")
        if not self.connected:
            await self.connect(command, headers)
            return
        if command == "DISCONNECT":
            self.connected = False
            self.requeue()
            return
        if command not in REQUIRED or (missing := REQUIRED[command] - headers.keys()):
            raise Broken(f"{command} without {missing if command in REQUIRED else 'a meaning'}")
        self.expect_beat()
        if command == "UNSUBSCRIBE" and headers["id"] not in self.subscriptions:
            # As RabbitMQ does: an error without a receipt, and the connection stays open.
            await self.send(frame("ERROR", {"message": "Subscription not found"}))
            return
        commands = {"SEND": self.relay, "SUBSCRIBE": self.subscribe, "UNSUBSCRIBE": self.unsubscribe}
        await {**commands, "ACK": self.acknowledge}[command](headers, body)
        if "receipt" in headers:
            self.receipts.append(headers["receipt"])
        if len(self.receipts) >= self.server.settings.get("hold", 1):
            await self.send(*(frame("RECEIPT", {"receipt-id": each}) for each in reversed(self.receipts)))
            self.receipts.clear()

    async def connect(self, command: str, headers: dict[str, str]) -> None:
        if command != "CONNECT" or not {"accept-version", "host"} <= headers.keys():
            raise Broken(f"{command} instead of a CONNECT with accept-version and host")
        if (headers.get("login"), headers.get("passcode")) != ("ada", "se:cret"):
            await self.send(frame("ERROR", {"message": "Bad CONNECT"}, "Access refused"))
            await self.connection.close()
            return
        beat = self.server.settings.get("beat", 0)
        if beat and headers.get("heart-beat", "0,0").startswith("0,"):
            raise Broken("no heart-beats are promised")
        self.connected = True
        await self.send(frame("CONNECTED", {"version": "1.2", "heart-beat": f"0,{beat}"}) + "\n", "\n")
        self.expect_beat()

    async def relay(self, headers: dict[str, str], body: str) -> None:
        if headers["destination"] == "/forbidden":
            receipt = {} if self.server.settings.get("nameless") else {"receipt-id": headers["receipt"]}
            await self.send(frame("ERROR", {"message": "access refused", **receipt}, "not yours"))
            await self.connection.close()
            return
        for id_, destination in self.subscriptions.items():
            if destination == headers["destination"]:
                known = {"subscription": id_, "message-id": "m", "destination": destination}
                await self.send(frame("MESSAGE", {**known, "note": "a:b"}, body))

    async def subscribe(self, headers: dict[str, str], _: str) -> None:
        if headers["id"] in self.subscriptions:
            raise Broken(f"the subscription {headers['id']} is there already")
        self.subscriptions[headers["id"]] = headers["destination"]
        if headers["destination"].startswith(QUEUE):
            self.prefetch = int(headers.get("prefetch-count", 1000))
            await self.deliver(headers["id"], individually=headers.get("ack") == "client-individual")

    async def deliver(self, id_: str, *, individually: bool) -> None:
        """Deliver what is in the queue, up to the prefetch count; without acknowledgements it is gone at once."""
        queue = self.server.settings["queue"]
        while queue and len(self.unacknowledged) < self.prefetch:
            body = queue.pop(0)
            if individually:
                self.unacknowledged[body] = id_
            known = {"subscription": id_, "message-id": body, "destination": self.subscriptions[id_], "ack": body}
            await self.send(frame("MESSAGE", known, body))

    async def acknowledge(self, headers: dict[str, str], _: str) -> None:
        id_ = self.unacknowledged.pop(headers["id"], None)
        if id_ not in self.subscriptions:
            raise Broken("ACK of nothing")
        self.server.settings["taken"].append(headers["id"])
        await self.deliver(id_, individually=True)

    def requeue(self) -> None:
        """Put back what was not acknowledged, as a broker does when the session ends."""
        self.server.settings["queue"][:0] = self.unacknowledged
        self.unacknowledged.clear()

    async def unsubscribe(self, headers: dict[str, str], _: str) -> None:
        if self.subscriptions.pop(headers["id"], None) is None:
            raise Broken("UNSUBSCRIBE of nothing")

    def expect_beat(self) -> None:
        if beat := self.server.settings.get("beat", 0):
            self.expect_within(3 * beat / 1000, "heart-beat")


def broker(**settings: Any) -> Any:
    return strict(Broker, subprotocols=["v12.stomp"], **settings)


def manifest(server: Strict, **template: Any) -> dict[str, Any]:
    return {
        "name": "m",
        "url": server.peer.url,
        "preset": "stomp",
        "tools": [{"name": "send"}, WATCH, RECEIVE],
        **template,
    }


async def test_a_message_is_accepted_when_its_receipt_comes(tmp_path: Path) -> None:
    async with broker() as server, bridge_to(tmp_path, manifest(server), environ=LOGIN) as bridge:
        sent = {"destination": "/queue/a", "body": "h\u00e9:\n", "content_type": "text/plain"}
        assert await bridge.call_tool("m.send", sent) == {"accepted": True}
        assert await bridge.call_tool("m.send", {"destination": "/queue/a", "body": {"n": 1}}) == {"accepted": True}
        assert len(server.sessions) == 1


@pytest.mark.parametrize("environ", [{}, {**LOGIN, "STOMP_PASSCODE": "wrong"}], ids=["no login", "a wrong passcode"])
async def test_a_login_that_is_refused_says_why(tmp_path: Path, environ: dict[str, str]) -> None:
    unset = "STOMP_HOST" if environ else "STOMP_HOST, STOMP_LOGIN, STOMP_PASSCODE"
    async with broker() as server, bridge_to(tmp_path, manifest(server), environ=environ) as bridge:
        said = await refused(bridge, "m.send", {"destination": "/queue/a"})
        assert said.endswith(
            "the server rejected the login; the endpoint said: “Bad CONNECT: Access refused”. "
            f"Check the credentials and other values that the login sends; not set: {unset}. [login-rejected]"
        )


async def test_receipts_in_any_order_reach_their_own_calls(tmp_path: Path) -> None:
    async with broker(hold=8) as server, bridge_to(tmp_path, manifest(server), environ=LOGIN) as bridge:
        calls = [("m.send", {"destination": "/queue/a", "body": str(number)}) for number in range(8)]
        assert await call_all(bridge, calls) == [{"accepted": True}] * 8
        assert len(server.sessions) == 1


@pytest.mark.parametrize("nameless", [False, True], ids=["with its receipt", "without a receipt"])
async def test_an_error_fails_the_call_and_the_next_one_logs_in_again(tmp_path: Path, nameless: bool) -> None:
    async with broker(nameless=nameless) as server, bridge_to(tmp_path, manifest(server), environ=LOGIN) as bridge:
        own = r"^the endpoint said: access refused: not yours \[tool-error\]$"
        said = "was lost: the endpoint said: “access refused: not yours”" if nameless else own
        with pytest.raises((ToolError, SessionLost), match=said):
            await bridge.call_tool("m.send", {"destination": "/forbidden", "body": "x"})
        assert await bridge.call_tool("m.send", {"destination": "/queue/a"}) == {"accepted": True}
        assert [session.connected for session in server.sessions] == [True, True]


async def test_a_subscription_ends_with_unsubscribe_at_its_limit(tmp_path: Path) -> None:
    async with broker() as server, bridge_to(tmp_path, manifest(server), environ=LOGIN) as bridge:
        items: list[Any] = []

        async def publish(item: Any) -> None:
            items.append(item["body"])
            await bridge.call_tool("m.send", {"destination": "/topic/a", "body": "two"})

        async def first() -> None:
            await server.until(lambda: bool(server.sessions and server.session.subscriptions))
            await bridge.call_tool("m.send", {"destination": "/topic/b", "body": "other"})
            await bridge.call_tool("m.send", {"destination": "/topic/a", "body": "one"})

        async with meanwhile(first):
            stream = await bridge.call_tool("m.watch", {"destination": "/topic/a"}, publish)
        assert stream.value["end"] == "max_items"
        assert [item["body"] for item in stream.items] == ["one", "two"]
        assert stream.items[0]["headers"]["note"] == "a:b"
        await server.until(lambda: not server.session.subscriptions)
        assert len(server.sessions) == 1


async def test_a_subscription_ends_with_unsubscribe_when_it_is_cancelled(tmp_path: Path) -> None:
    async with broker() as server, bridge_to(tmp_path, manifest(server), environ=LOGIN) as bridge:
        async with calling(bridge, "m.watch", {"destination": "/topic/a"}):
            await bridge.call_tool("m.send", {"destination": "/topic/b"})
            await server.until(lambda: bool(server.session.subscriptions))
        await server.until(lambda: not server.session.subscriptions)


async def test_taking_a_message_out_of_a_queue_takes_one(tmp_path: Path) -> None:
    queue = [f"m{number}" for number in range(5)]
    async with broker(queue=queue, taken=[]) as server:
        async with bridge_to(tmp_path, manifest(server), environ=LOGIN) as bridge:
            for number in range(5):
                received = await bridge.call_tool("m.receive", {"queue": "orders"})
                assert [item["body"] for item in received.items] == [f"m{number}"]
                await server.until(lambda: not server.peer.open)
                assert server.settings["taken"] == [f"m{taken}" for taken in range(number + 1)]
                assert len(queue) == 4 - number


@pytest.mark.parametrize("how", ["timeout", "cancel"])
async def test_a_call_that_was_given_up_ends_no_subscription(tmp_path: Path, how: str) -> None:
    template = {"timeout": 0.3} if how == "timeout" else {}
    async with broker(hold=2) as server, bridge_to(tmp_path, manifest(server, **template), environ=LOGIN) as bridge:
        if how == "timeout":
            with pytest.raises(CallTimeout):
                await bridge.call_tool("m.send", {"destination": "/queue/a"})
        else:
            async with calling(bridge, "m.send", {"destination": "/queue/a"}):
                await server.until(lambda: bool(server.sessions and server.session.receipts))
        assert await bridge.call_tool("m.send", {"destination": "/queue/a"}) == {"accepted": True}
        assert not any("UNSUBSCRIBE" in str(message) for message in server.peer.received)


async def test_an_error_before_its_receipt_is_no_proper_end_of_a_subscription(tmp_path: Path) -> None:
    class Dying(Broker):
        async def subscribe(self, headers: dict[str, str], _: str) -> None:
            await self.connection.close(1000, "STOMP died")

    async with strict(Dying, subprotocols=["v12.stomp"]) as server:
        async with bridge_to(tmp_path, manifest(server), environ=LOGIN) as bridge:
            with pytest.raises(ConnectionLost, match="STOMP died"):
                await bridge.call_tool("m.watch", {"destination": "/topic/a"})


@pytest.mark.parametrize(("wanted", "seconds"), [(0, None), (4000, 8), (10000, 8), (30000, 24)])
async def test_heart_beats_are_as_frequent_as_both_sides_agree(
    tmp_path: Path, wanted: int, seconds: float | None
) -> None:
    async with broker(beat=wanted) as server, bridge_to(tmp_path, manifest(server), environ=LOGIN) as bridge:
        await bridge.call_tool("m.send", {"destination": "/queue/a"})
        assert interval(bridge) == seconds


async def test_a_broker_that_wants_heart_beats_gets_them(tmp_path: Path) -> None:
    often = {"heartbeat": {"every": 0.05}}
    async with broker(beat=100) as server, bridge_to(tmp_path, manifest(server, **often), environ=LOGIN) as bridge:
        await bridge.call_tool("m.send", {"destination": "/queue/a"})
        await server.until(lambda: server.session.beats >= 8)
        assert await bridge.call_tool("m.send", {"destination": "/queue/a"}) == {"accepted": True}
        assert len(server.sessions) == 1


async def test_a_lost_connection_is_replaced_and_logged_in(tmp_path: Path) -> None:
    async with broker() as server, bridge_to(tmp_path, manifest(server), environ=LOGIN) as bridge:
        for _ in range(3):
            assert await bridge.call_tool("m.send", {"destination": "/queue/a"}) == {"accepted": True}
            await server.cut()
        assert [session.connected for session in server.sessions] == [True] * 3
