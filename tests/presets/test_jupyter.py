"""The preset jupyter, against a kernel's channels as Jupyter's messaging specification describes them."""

from __future__ import annotations

import http
import re
from pathlib import Path
from typing import Any

import pytest

from tests.peer import bridge_to
from tests.presets.servers import Broken, Session, Strict, call_all, calling, meanwhile, strict
from utcp_ws_mcp import ToolError
from utcp_ws_mcp.errors import HandshakeRejected, SessionLost

TOKEN = {"JUPYTER_TOKEN": "right"}
HEADER = {
    "msg_id": "{{ request_id }}",
    "session": "utcp-ws-mcp",
    "username": "utcp-ws-mcp",
    "version": "5.3",
    "date": "{{ now }}",
}
COMPLETE = {
    "name": "complete",
    "tool_call_template": {
        "message": {
            "channel": "shell",
            "header": {**HEADER, "msg_type": "complete_request"},
            "parent_header": {},
            "metadata": {},
            "content": {"code": "{{ args.code }}", "cursor_pos": "{{ args.cursor }}"},
        },
        "stream": False,
    },
}
ASK = {
    "name": "ask",
    "tool_call_template": {
        "message": {
            "channel": "shell",
            "header": {**HEADER, "msg_type": "execute_request"},
            "parent_header": {},
            "metadata": {},
            "content": {"code": "{{ args.code }}", "silent": False, "allow_stdin": True, "stop_on_error": False},
        },
        "auto_reply": [
            {
                "match": "message.msg_type == 'input_request' and message.parent_header.msg_id == request_id",
                "send": {
                    "channel": "stdin",
                    "header": {**HEADER, "msg_id": "{{ next_id() }}", "msg_type": "input_reply"},
                    "parent_header": "{{ message.header }}",
                    "metadata": {},
                    "content": {"value": "{{ args.answer }}", "status": "ok"},
                },
            }
        ],
    },
}


class Kernel(Session):
    """A kernel that runs a few pieces of code. `slow`: the reply comes after the idle status."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.seen: set[str] = set()
        self.number = 0
        self.running: Any = None
        self.asking: Any = None

    async def take(self, message: Any) -> None:
        header = message["header"]
        if {"msg_id", "msg_type", "session", "username", "version", "date"} - header.keys():
            raise Broken(f"an incomplete header: {header}")
        if header["msg_id"] in self.seen or not re.match(r"\d{4}-\d\d-\d\dT[\d:.]+Z", header["date"]):
            raise Broken(f"the id is not new, or the date is none: {header}")
        if {"channel", "parent_header", "metadata", "content"} - message.keys():
            raise Broken(f"an incomplete message: {message}")
        self.seen.add(header["msg_id"])
        match message["channel"], header["msg_type"]:
            case "shell", "execute_request":
                await self.execute(header, message["content"])
            case "shell", "complete_request":
                await self.status(header, "busy")
                await self.say("shell", "complete_reply", header, {"status": "ok", "matches": ["getcwd"]})
                await self.status(header, "idle")
            case "control", "interrupt_request" if self.running is not None:
                running, self.running = self.running, None
                await self.say("control", "interrupt_reply", header, {"status": "ok"})
                await self.raise_(running, "KeyboardInterrupt", "")
            case "stdin", "input_reply" if message["parent_header"] == self.asking:
                parent, value = self.running, message["content"]["value"]
                self.asking = self.running = None
                await self.put_out(parent, f"'you said {value}'")
            case other:
                raise Broken(f"it cannot be said now: {other}")

    async def execute(self, header: Any, content: Any) -> None:
        if content["stop_on_error"] is not False or content["silent"] is not False:
            raise Broken("requests of others would be aborted")
        await self.status(header, "busy")
        await self.say("iopub", "execute_input", header, {"code": content["code"], "execution_count": 1})
        match content["code"]:
            case "print(1); 6*7":
                await self.say("iopub", "stream", header, {"name": "stdout", "text": "1\n"})
                await self.put_out(header, "42")
            case "1/0":
                await self.raise_(header, "ZeroDivisionError", "division by zero")
            case "forever":
                self.running = header
                await self.say("iopub", "stream", header, {"name": "stdout", "text": "started"})
            case "input()" if content["allow_stdin"] is False:
                await self.raise_(header, "StdinNotImplementedError", "no input")
            case "input()":
                self.running = header
                await self.say("stdin", "input_request", header, {"prompt": "name? ", "password": False})
            case code:
                await self.put_out(header, code)

    async def put_out(self, parent: Any, text: str) -> None:
        await self.say("iopub", "execute_result", parent, {"data": {"text/plain": text}, "execution_count": 1})
        if not self.server.settings.get("slow"):
            await self.say("shell", "execute_reply", parent, {"status": "ok", "execution_count": 1})
        await self.status(parent, "idle")
        if self.server.settings.get("slow"):
            await self.say("shell", "execute_reply", parent, {"status": "ok", "execution_count": 1})

    async def raise_(self, parent: Any, name: str, value: str) -> None:
        error = {"ename": name, "evalue": value, "traceback": []}
        await self.say("shell", "execute_reply", parent, {"status": "error", **error})
        await self.say("iopub", "error", parent, error)
        await self.status(parent, "idle")

    async def status(self, parent: Any, state: str) -> None:
        await self.say("iopub", "status", parent, {"execution_state": state})

    async def say(self, channel: str, kind: str, parent: Any, content: Any) -> None:
        self.number += 1
        header = {"msg_id": f"k{self.number}", "msg_type": kind, "session": "k", "version": "5.3"}
        if kind == "input_request":
            self.asking = header
        known = {"channel": channel, "header": header, "msg_id": header["msg_id"], "msg_type": kind}
        await self.send({**known, "parent_header": parent, "metadata": {}, "content": content})


def check_token(connection: Any, request: Any) -> Any:
    if request.headers.get("Authorization") != "token right":
        return connection.respond(http.HTTPStatus.FORBIDDEN, "")
    return None


def kernel(**settings: Any) -> Any:
    return strict(Kernel, process_request=check_token, **settings)


def manifest(server: Strict) -> dict[str, Any]:
    url = f"{server.peer.url}api/kernels/1/channels"
    return {"name": "m", "url": url, "preset": "jupyter", "tools": [{"name": "run"}, COMPLETE, ASK]}


@pytest.mark.parametrize("slow", [False, True], ids=["the reply first", "idle first"])
async def test_everything_that_code_puts_out_is_the_result(tmp_path: Path, slow: bool) -> None:
    async with kernel(slow=slow) as server, bridge_to(tmp_path, manifest(server), environ=TOKEN) as bridge:
        ran = await bridge.call_tool("m.run", {"code": "print(1); 6*7"})
        assert ran.value == {
            "items": [
                {"type": "stream", "name": "stdout", "text": "1\n"},
                {"type": "execute_result", "data": {"text/plain": "42"}, "execution_count": 1},
            ],
            "end": "until",
            "complete": True,
        }
        assert len(server.sessions) == 1


async def test_a_wrong_token_is_refused(tmp_path: Path) -> None:
    wrong = {"JUPYTER_TOKEN": "wrong"}
    async with kernel() as server, bridge_to(tmp_path, manifest(server), environ=wrong) as bridge:
        with pytest.raises(HandshakeRejected, match="403"):
            await bridge.call_tool("m.run", {"code": "1"})


async def test_the_outputs_of_concurrent_runs_stay_apart(tmp_path: Path) -> None:
    async with kernel() as server, bridge_to(tmp_path, manifest(server), environ=TOKEN) as bridge:
        results = await call_all(bridge, [("m.run", {"code": str(number)}) for number in range(8)])
        assert [result.items[0]["data"]["text/plain"] for result in results] == [str(number) for number in range(8)]
        assert len(server.sessions) == 1


async def test_a_request_with_one_reply_skips_the_status_messages(tmp_path: Path) -> None:
    async with kernel() as server, bridge_to(tmp_path, manifest(server), environ=TOKEN) as bridge:
        completed = await bridge.call_tool("m.complete", {"code": "os.getcw", "cursor": 8})
        assert completed == {"status": "ok", "matches": ["getcwd"]}


async def test_an_exception_fails_the_call_and_nothing_else(tmp_path: Path) -> None:
    async with kernel() as server, bridge_to(tmp_path, manifest(server), environ=TOKEN) as bridge:
        with pytest.raises(ToolError, match=r"^the endpoint said: ZeroDivisionError: division by zero \[tool-error\]$"):
            await bridge.call_tool("m.run", {"code": "1/0"})
        assert (await bridge.call_tool("m.run", {"code": "1"})).value["end"] == "until"
        assert len(server.sessions) == 1


async def test_a_question_in_the_middle_is_answered(tmp_path: Path) -> None:
    async with kernel() as server, bridge_to(tmp_path, manifest(server), environ=TOKEN) as bridge:
        asked = await bridge.call_tool("m.ask", {"code": "input()", "answer": "Ada"})
        assert [item["data"]["text/plain"] for item in asked.items] == ["'you said Ada'"]
        with pytest.raises(ToolError, match="StdinNotImplementedError"):
            await bridge.call_tool("m.run", {"code": "input()"})


async def test_code_that_is_cancelled_is_interrupted(tmp_path: Path) -> None:
    async with kernel() as server, bridge_to(tmp_path, manifest(server), environ=TOKEN) as bridge:
        async with calling(bridge, "m.run", {"code": "forever"}):
            await server.until(lambda: bool(server.sessions and server.session.running))
        await server.until(lambda: server.session.running is None)
        assert (await bridge.call_tool("m.run", {"code": "1"})).value["end"] == "until"
        assert len(server.sessions) == 1


async def test_code_that_reaches_a_limit_is_interrupted(tmp_path: Path) -> None:
    limited = {"name": "run", "tool_call_template": {"stream": {"max_items": 1}}}
    async with kernel() as server:
        async with bridge_to(tmp_path, {**manifest(server), "tools": [limited]}, environ=TOKEN) as bridge:
            assert (await bridge.call_tool("m.run", {"code": "forever"})).value["end"] == "max_items"
            await server.until(lambda: server.session.running is None)


@pytest.mark.parametrize(("state", "why"), [("dead", "is dead"), ("restarting", "is restarting")])
async def test_a_kernel_that_ends_fails_the_code_that_runs(tmp_path: Path, state: str, why: str) -> None:
    async with kernel() as server, bridge_to(tmp_path, manifest(server), environ=TOKEN) as bridge:

        async def end() -> None:
            await server.until(lambda: bool(server.sessions and server.session.running))
            await server.session.status({}, "busy")
            await server.session.status({}, state)

        with pytest.raises(ExceptionGroup) as failed:
            async with meanwhile(end):
                await bridge.call_tool("m.run", {"code": "forever"})
        assert failed.group_contains(SessionLost, match=why)


EXECUTE = {
    "name": "execute",
    "tool_call_template": {
        "stream": False,
        "reply": {"match": "message.parent_header.msg_id == request_id and message.msg_type == 'execute_reply'"},
    },
}


async def test_code_of_a_call_without_a_stream_is_interrupted_and_a_completion_is_not(tmp_path: Path) -> None:
    class Silent(Kernel):
        async def say(self, channel: str, kind: str, parent: Any, content: Any) -> None:
            if kind != "complete_reply":
                await super().say(channel, kind, parent, content)

    async with strict(Silent, process_request=check_token) as server:
        document = {**manifest(server), "tools": [EXECUTE, COMPLETE]}
        async with bridge_to(tmp_path, document, environ=TOKEN) as bridge:
            async with calling(bridge, "m.complete", {"code": "o", "cursor": 1}):
                await server.until(lambda: bool(server.sessions and len(server.session.seen) == 1))
            async with calling(bridge, "m.execute", {"code": "forever"}):
                await server.until(lambda: server.session.running is not None)
            await server.until(lambda: server.session.running is None)
            assert len(server.session.seen) == 3


async def test_a_lost_connection_is_replaced(tmp_path: Path) -> None:
    async with kernel() as server, bridge_to(tmp_path, manifest(server), environ=TOKEN) as bridge:
        for _ in range(3):
            assert (await bridge.call_tool("m.run", {"code": "1"})).value["end"] == "until"
            await server.cut()
        assert len(server.sessions) == 3
