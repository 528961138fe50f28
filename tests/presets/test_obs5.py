"""The preset obs5 against an endpoint that follows the protocol of obs-websocket 5."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path
from typing import Any

import pytest

from tests.peer import bridge_to, entry
from utcp_ws_mcp.errors import ConnectError, ToolError

from .sides import (
    TOGETHER,
    Broken,
    Side,
    Stage,
    call_together,
    cancel_after_an_item,
    check,
    cut,
    say,
    stage,
    watch_during,
)

PASSWORD = "supersecretpassword"
CHALLENGE = "+IxH4CnCiqpX1rM9scsNynZzbOe4KhDeYcTNS3PDaeY="
SALT = "lM1GncleQOaCu9lT1yeUZhFYnqhsLLP1G5lAGo3ixaI="
ALL, METERS = 2047, 1 << 16


def digest(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


AUTHENTICATION = digest(digest(PASSWORD + SALT) + CHALLENGE)
IDENTIFY = {"op": 1, "d": {"rpcVersion": 1, "authentication": AUTHENTICATION}}
SCENES = {"op": 6, "d": {"requestType": "GetSceneList", "requestId": "1"}}


class OBS(Side):
    """https://github.com/obsproject/obs-websocket/blob/master/docs/generated/protocol.md"""

    wants_password = True
    identified = False

    async def greet(self) -> None:
        self.events = ALL
        self.ids: set[str] = set()
        hello: dict[str, Any] = {"obsWebSocketVersion": "5.5.0", "rpcVersion": 1}
        if self.wants_password:
            hello["authentication"] = {"challenge": CHALLENGE, "salt": SALT}
        await self.send({"op": 0, "d": hello})

    async def take(self, message: Any) -> None:
        check(message, {"op", "d"}, (), 4002)
        op, data = message["op"], message["d"]
        if op not in (1, 3, 6, 8):
            raise Broken(4006, "Unknown OpCode")
        if op != 1 and not self.identified:
            raise Broken(4007, "Not identified")
        if op == 1:
            await self.identify(data)
        elif op == 3:
            check(data, (), {"eventSubscriptions"}, 4003)
            self.events = data.get("eventSubscriptions", ALL)
            await self.send({"op": 2, "d": {"negotiatedRpcVersion": 1}})
            if self.events & METERS:
                await self.tell("InputVolumeMeters", METERS, 3)
        elif op == 6:
            check(data, {"requestType", "requestId"}, {"requestData"}, 4003)
            await self.request(data)
        else:
            check(data, {"requestId", "requests"}, {"haltOnFailure", "executionType"}, 4003)
            await self.send({"op": 9, "d": {"requestId": data["requestId"], "results": [{"n": 1}]}})

    async def identify(self, data: Any) -> None:
        if self.identified:
            raise Broken(4008, "Already identified")
        check(data, {"rpcVersion"}, {"authentication", "eventSubscriptions"}, 4003)
        if self.wants_password and data.get("authentication") != AUTHENTICATION:
            raise Broken(4009, "Authentication failed.")
        self.identified = True
        await self.send({"op": 2, "d": {"negotiatedRpcVersion": 1}})

    async def request(self, data: Any) -> None:
        if not isinstance(data["requestId"], str) or data["requestId"] in self.ids:
            raise Broken(4005, "requestId")
        self.ids.add(data["requestId"])
        asked = data.get("requestData", {})
        match data["requestType"]:
            case "GetSceneList":
                await self.reply(data, {"scenes": [{"sceneName": "Desk"}]})
            case "SetInputMute":
                await self.tell("InputMuteStateChanged", 8, 1, **asked)
                await self.reply(data, None)
            case "Sleep":
                for each in self.all_together(data):
                    await self.tell("Noise", 1, 1)
                    await self.reply(each, each["requestData"])
            case "SetCurrentProgramScene":
                await self.reply(data, None, 600, f"No source was found by the name of `{asked['sceneName']}`.")
            case "StopRecord":
                await self.reply(data, None, asked.get("code", 501))
            case _:
                await self.reply(data, None, 204, "Your request type is not valid.")

    async def reply(self, data: Any, response: Any, code: int = 100, comment: str | None = None) -> None:
        status = {"result": code == 100, "code": code, **({"comment": comment} if comment else {})}
        answer = {"requestType": data["requestType"], "requestId": data["requestId"], "requestStatus": status}
        await self.send({"op": 7, "d": answer | ({"responseData": response} if response is not None else {})})

    async def tell(self, kind: str, intent: int, times: int, **data: Any) -> None:
        for number in range(times if self.events & intent else 0):
            event = {"eventType": kind, "eventIntent": intent, "eventData": data or {"n": number}}
            await self.send({"op": 5, "d": event})


class Open(OBS):
    wants_password = False


WATCH = {
    "name": "watch",
    "tool_call_template": {
        "listen": True,
        "stream": {"match": "message.op == 5 and message.d.eventType == 'InputMuteStateChanged'", "max_items": 2},
    },
}
LEVELS = {
    "name": "levels",
    "tool_call_template": {
        "message": {"op": 3, "d": {"eventSubscriptions": METERS}},
        "reply": {"match": "message.op == 2"},
        "stream": {"max_items": 2, "cancel": {"op": 3, "d": {"eventSubscriptions": ALL}}},
    },
}
BATCH = {
    "name": "batch",
    "tool_call_template": {
        "message": {"op": 8, "d": {"requestId": "{{ request_id }}", "requests": [{"requestType": "GetVersion"}]}}
    },
}
REQUESTS = ("GetSceneList", "SetInputMute", "SetCurrentProgramScene", "StopRecord", "Sleep", "Nonsense")
TOOLS = (*REQUESTS, WATCH, LEVELS, BATCH)


def studio(tmp_path: Path, on: Stage, password: str | None = PASSWORD) -> Any:
    environ = {} if password is None else {"OBS_PASSWORD": password}
    return bridge_to(tmp_path, entry(on.seen, *TOOLS, preset="obs5"), environ=environ)


@pytest.mark.parametrize(
    ("messages", "code"),
    [
        ([SCENES], 4007),
        ([{"op": 1, "d": {"rpcVersion": 1}}], 4009),
        ([{"op": 1, "d": {"rpcVersion": 1, "authentication": "wrong"}}], 4009),
        ([{"op": 1, "d": {}}], 4003),
        ([IDENTIFY, IDENTIFY], 4008),
        ([IDENTIFY, {"op": 4, "d": {}}], 4006),
        ([IDENTIFY, {"op": 6, "d": {**SCENES["d"], "extra": 1}}], 4003),
        ([IDENTIFY, SCENES, SCENES], 4005),
    ],
)
async def test_the_endpoint_refuses_what_the_protocol_forbids(messages: list[Any], code: int) -> None:
    async with stage(OBS) as on:
        assert (await say(on, *messages))[1] == code


def test_the_answer_to_the_challenge_is_that_of_the_documentation() -> None:
    assert AUTHENTICATION == "1Ct943GAT+6YQUUX47Ia/ncufilbe6+oD6lY+5kaCu4="


@pytest.mark.parametrize(("side", "password"), [(OBS, PASSWORD), (Open, None), (Open, PASSWORD)])
async def test_the_login_goes_as_the_greeting_asks(tmp_path: Path, side: type[OBS], password: str | None) -> None:
    async with stage(side) as on, studio(tmp_path, on, password) as bridge:
        assert await bridge.call_tool("m.GetSceneList") == {"scenes": [{"sceneName": "Desk"}]}
    assert not on.broken


@pytest.mark.parametrize(("password", "fix"), [("wrong", "sends."), (None, "sends; not set: OBS_PASSWORD.")])
async def test_a_rejected_password_is_reported_with_the_code(tmp_path: Path, password: str | None, fix: str) -> None:
    async with stage(OBS) as on, studio(tmp_path, on, password) as bridge:
        with pytest.raises(
            ConnectError, match="closed by the server with code 4009; the endpoint said: “Authentication failed"
        ) as failed:
            await bridge.call_tool("m.GetSceneList")
    assert f"Check the credentials and other values that the login {fix}" in str(failed.value)


async def test_a_request_without_data_gives_an_empty_object_and_a_batch_its_results(tmp_path: Path) -> None:
    async with stage(OBS) as on, studio(tmp_path, on) as bridge:
        assert await bridge.call_tool("m.SetInputMute", {"inputName": "Mic", "inputMuted": True}) == {}
        assert await bridge.call_tool("m.batch") == [{"n": 1}]


async def test_requests_at_once_each_get_their_own_answer_between_events(tmp_path: Path) -> None:
    async with stage(OBS) as on, studio(tmp_path, on) as bridge:
        results = await call_together(bridge, "m.Sleep", lambda number: {"sleepMillis": number})
    assert results == [{"sleepMillis": number} for number in range(TOGETHER)]
    assert len(on.sides) == 1
    assert not on.broken


@pytest.mark.parametrize(
    ("tool", "arguments", "sentence"),
    [
        ("SetCurrentProgramScene", {"sceneName": "none"}, r"No source was found by the name of `none`. \(600\) "),
        ("Nonsense", {}, r"Your request type is not valid. \(204\) "),
        ("StopRecord", {}, r"^the endpoint said: the output is not running \(501\) "),
        ("StopRecord", {"code": 506}, r"^the endpoint said: studio mode is off \(506\) "),
        ("StopRecord", {"code": 205}, r"^the endpoint said: the request failed \(205\) "),
    ],
)
async def test_an_error_reply_is_reported_by_its_comment_or_the_meaning_of_its_code(
    tmp_path: Path, tool: str, arguments: dict[str, Any], sentence: str
) -> None:
    async with stage(OBS) as on, studio(tmp_path, on) as bridge:
        with pytest.raises(ToolError, match=sentence):
            await bridge.call_tool(f"m.{tool}", arguments)


async def test_a_watch_gives_the_events_that_it_names(tmp_path: Path) -> None:
    async with stage(OBS) as on, studio(tmp_path, on) as bridge:
        await bridge.call_tool("m.GetSceneList")

        async def mute_and_unmute() -> None:
            for muted in (True, False):
                await bridge.call_tool("m.SetInputMute", {"inputName": "Mic", "inputMuted": muted})

        result = await watch_during(bridge, "m.watch", {}, mute_and_unmute)
    assert [item["eventData"]["inputMuted"] for item in result.items] == [True, False]
    assert len(on.sides) == 1


@pytest.mark.parametrize("by", ["a limit", "a cancel"])
async def test_requested_events_are_cancelled(tmp_path: Path, by: str) -> None:
    async with stage(OBS) as on, studio(tmp_path, on) as bridge:
        if by == "a limit":
            result = await bridge.call_tool("m.levels")
            assert [item["eventData"] for item in result.items] == [{"n": 0}, {"n": 1}]
        else:
            await cancel_after_an_item(bridge, "m.levels", {})
        await on.seen.until(lambda: len(on.seen.received) == 3)
        assert on.seen.received[1:] == [
            {"op": 3, "d": {"eventSubscriptions": METERS}},
            {"op": 3, "d": {"eventSubscriptions": ALL}},
        ]
    assert not on.broken


async def test_a_new_connection_identifies_itself_again(tmp_path: Path) -> None:
    async with stage(OBS) as on, studio(tmp_path, on) as bridge:
        for _ in range(2):
            await bridge.call_tool("m.GetSceneList")
            await cut(on)
    assert [message["op"] for message in on.seen.received] == [1, 6, 1, 6]
