"""Calling a tool for a host."""

from __future__ import annotations

import base64
import gc
import json
import logging
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.peer import Peer, bridge_to, entry, peer
from utcp_ws_mcp import Bridge
from utcp_ws_mcp.server import tools as module
from utcp_ws_mcp.server.auth.access import AccessControl, Caller
from utcp_ws_mcp.server.auth.identity import Identity
from utcp_ws_mcp.server.auth.scopes import parse_tool_scopes
from utcp_ws_mcp.server.result import MessageOptions, Result
from utcp_ws_mcp.server.tools import LIST_TIMEOUT, MAX_SHOWN_NAME, ListOptions, ToolService

ROWS = '[["a row of the reply"],["another one"]]'


async def answer_rows(seen: Peer, connection: Any, message: Any) -> None:
    await connection.send(ROWS)


def is_row(value: Any) -> bool:
    return type(value) is list and value[:1] == ["another one"]


async def test_the_value_of_a_reply_is_released_before_its_text_is_searched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held: list[bool] = []

    def redact(text: str) -> str:
        if text == ROWS:
            held.append(any(map(is_row, gc.get_objects())))
        return text

    tool = {"name": "t", "tool_call_template": {"response_format": "json"}}
    async with peer(answer_rows) as seen, bridge_to(tmp_path, entry(seen, tool)) as bridge:
        monkeypatch.setattr(bridge.redactor, "redact_result", redact)
        tools = ToolService(bridge)
        found = await tools.find("m_t")
        assert found is not None
        result = await tools.call(found, {}, _ignore)
    assert (result.structured, held) == (ROWS, [False])


async def _ignore(number: float, message: str) -> None: ...


RPC = {"preset": "jsonrpc2"}
SECRET = "Kx7aB3dQ9zY5"


async def replies(seen: Peer, connection: Any, message: Any) -> None:
    """Answer with the reply that the arguments give, or with several."""
    params = message["params"]
    for result in params.get("results", ()):
        await connection.send(json.dumps({"id": message["id"], "result": result}))
    if "error" in params:
        await connection.send(json.dumps({"id": message["id"], "error": {"message": params["error"]}}))
    elif "result" in params:
        await connection.send(json.dumps({"id": message["id"], "result": params["result"]}))


TOOLS = [
    {"name": "t"},
    {"name": "typed", "outputs": {"type": "object", "properties": {"a": {"type": "integer"}}}},
    {"name": "text", "outputs": {"type": "string"}},
    {"name": "s", "tool_call_template": {"stream": {"until": "message.result == 'end'"}}},
    {"name": "binary", "tool_call_template": {"reply": {"result": "message.result | unbase64"}}},
]


async def called(folder: Path, name: str, options: MessageOptions | None = None, **arguments: Any) -> Result:
    """Return the result of a call, from which a token is removed."""
    async with peer(replies) as seen, bridge_to(folder, entry(seen, *TOOLS, **RPC)) as bridge:
        bridge.redactor.add_tokens("m", [SECRET])
        service = ToolService(bridge) if options is None else ToolService(bridge, options)
        found = await service.find(f"m_{name}")
        assert found is not None
        result = await service.call(found, arguments, _ignore)
        assert service.running == set()
    return result


def texts(result: Result) -> list[str]:
    return [block["text"] for block in result.content]


async def test_a_result_has_no_credential_in_either_form(tmp_path: Path) -> None:
    result = await called(tmp_path, "t", result={"a": SECRET, SECRET: 1})
    assert json.loads(texts(result)[0]) == {"a": "***", "***": 1}
    assert result.structured == texts(result)[0]
    assert not result.is_error


async def test_json_that_redaction_breaks_is_a_text_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with peer(replies) as seen, bridge_to(tmp_path, entry(seen, *TOOLS, **RPC)) as bridge:
        monkeypatch.setattr(bridge.redactor, "redact_result", lambda text: text.replace("{", ""))
        service = ToolService(bridge)
        found = await service.find("m_t")
        assert found is not None
        result = await service.call(found, {"result": {"a": 1}}, _ignore)
    assert (texts(result)[0].replace(" ", ""), result.structured) == ('"a":1}', None)


@pytest.mark.parametrize("data", [b"\x89PNG\r\n\x1a\n", b"\x00"])
async def test_binary_data_with_a_credential_is_replaced(tmp_path: Path, data: bytes) -> None:
    clean = await called(tmp_path, "binary", result=base64.b64encode(data).decode())
    assert clean.content[0]["type"] != "text"
    shown = await called(tmp_path, "binary", result=base64.b64encode(data + SECRET.encode()).decode())
    assert texts(shown) == ["binary data that contains a credential"]


async def test_an_error_has_the_name_that_the_host_knows_and_no_credential(tmp_path: Path) -> None:
    failed = await called(tmp_path, "t", error=f"no {SECRET}")
    assert texts(failed) == ["the endpoint said: no *** [tool-error]"]
    assert (failed.is_error, failed.code, failed.by_endpoint, failed.structured) == (True, "tool-error", True, None)


async def test_a_result_that_does_not_fit_the_outputs_is_an_error_that_shows_it(tmp_path: Path) -> None:
    result = await called(tmp_path, "typed", result={"a": "x"})
    assert (result.is_error, result.code, result.structured) == (True, "output-mismatch", None)
    first, second = texts(result)
    assert first.startswith("m_typed: the result does not fit the tool's outputs (")
    assert json.loads(second) == {"a": "x"}
    assert not (await called(tmp_path, "typed", result={"a": 1})).is_error


async def test_a_text_of_a_tool_with_outputs_is_structured_content_too(tmp_path: Path) -> None:
    result = await called(tmp_path, "text", result="hello")
    assert (texts(result), result.structured) == (["hello"], '"hello"')
    assert (await called(tmp_path, "t", result="hello")).structured is None


async def test_a_stream_that_fails_shows_the_items_that_came_before(tmp_path: Path) -> None:
    result = await called(tmp_path, "s", results=[1, SECRET], error="broken")
    assert result.is_error
    message, partial = texts(result)
    assert message.startswith("the endpoint said: broken")
    assert "***" in partial
    structured = json.loads(result.structured or "")
    assert structured == {"items": [1, "***"], "end": "error", "complete": False, "error": message}


async def test_a_stream_that_fails_has_no_structured_content_where_results_are_texts(tmp_path: Path) -> None:
    result = await called(tmp_path, "s", MessageOptions(json_form="text"), results=[1], error="broken")
    assert (len(result.content), result.structured) == (2, None)
    empty = await called(tmp_path, "s", error="broken")
    assert (len(empty.content), empty.structured) == (1, None)


async def test_a_defect_is_logged_and_its_text_is_not_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def fail(*_: object) -> None:
        raise ValueError(SECRET)

    monkeypatch.setattr(Bridge, "call_tool", fail)
    caplog.set_level(logging.ERROR, "utcp_ws_mcp")
    result = await called(tmp_path, "t")
    (text,) = texts(result)
    assert text == (
        "internal error of utcp-ws-mcp; see its log on stderr. "
        "The request may have been sent and executed; verify before retrying."
    )
    assert (result.is_error, result.outcome) == (True, None)
    assert [record.getMessage() for record in caplog.records] == ["internal error in a call of m.t"]


@pytest.mark.parametrize("length", [MAX_SHOWN_NAME, MAX_SHOWN_NAME + 1])
async def test_an_unknown_name_is_shown_up_to_its_length(tmp_path: Path, length: int) -> None:
    async with peer(replies) as seen, bridge_to(tmp_path, entry(seen, *TOOLS, **RPC)) as bridge:
        text = ToolService(bridge).unknown_tool_message("x" * length)
        odd = ToolService(bridge).unknown_tool_message("\ud800")
    assert text.startswith(f"there is no tool '{'x' * MAX_SHOWN_NAME}'.")
    assert "\ufffd" in odd or "\\ud800" in odd


async def test_the_list_is_made_once_until_the_tools_change(tmp_path: Path) -> None:
    async with peer(replies) as seen, bridge_to(tmp_path, entry(seen, *TOOLS, **RPC)) as bridge:
        service = ToolService(bridge)
        listing = await service.list_tools()
        assert await service.list_tools() is listing
        for callback in bridge.on_tools_changed:
            callback()
        again = await service.list_tools()
        assert again is not listing
        assert [*again.tools] == [f"m_{tool['name']}" for tool in TOOLS]
        assert service.input_schema("m_t") == again.input_schema("m_t")
        assert service.input_schema("zzz") is None
        assert service.missing_scopes("m_t", None) is None
        assert not service.repeats_arguments("m_t")


@pytest.mark.parametrize("timeout", [LIST_TIMEOUT, 0.25])
async def test_a_list_waits_for_discoveries_until_its_time_after_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, timeout: float
) -> None:
    waits: list[float] = []

    async def wait(self: Bridge, seconds: float) -> None:
        waits.append(seconds)

    times = iter([100.0, 100.0, 100.1, 100.0 + timeout, 200.0])
    monkeypatch.setattr(module, "anyio", SimpleNamespace(current_time=lambda: next(times)))
    monkeypatch.setattr(Bridge, "wait_fast_discovery", wait)
    async with peer(replies) as seen, bridge_to(tmp_path, entry(seen, *TOOLS, **RPC)) as bridge:
        service = ToolService(bridge, listing=ListOptions(timeout))
        for _ in range(4):
            await service.list_tools()
    assert waits == pytest.approx([timeout, timeout - 0.1, 0, 0])


def test_a_list_waits_for_the_second_that_the_documentation_says() -> None:
    assert ListOptions().timeout == 1


async def test_a_call_of_a_known_tool_waits_for_no_discovery_and_one_of_another_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []

    async def wait(self: Bridge, seconds: float) -> bool:
        waits.append(seconds)
        return False

    monkeypatch.setattr(Bridge, "wait_discovered", wait)
    async with peer(replies) as seen, bridge_to(tmp_path, entry(seen, *TOOLS, **RPC)) as bridge:
        service = ToolService(bridge)
        for name in ("m_t", "m.t"):
            found = await service.find(name)
            assert found is not None
            assert found.full_name == "m.t"
        assert waits == []
        assert await service.find("zzz") is None
    assert waits == [module.FIND_TIMEOUT]


async def test_a_call_of_a_caller_is_admitted_and_audited(tmp_path: Path) -> None:
    audited: list[Any] = []
    access = AccessControl(parse_tool_scopes(["r=m.text"]), None, audited.append)
    async with peer(replies) as seen, bridge_to(tmp_path, entry(seen, *TOOLS, **RPC)) as bridge:
        service = ToolService(bridge)
        results = []
        for name, scope in (("m_t", "r"), ("m_text", "r"), ("m_text", "other")):
            caller = Caller(Identity("https://i/", "ada", "app", frozenset({scope})), access)
            found = await service.find(name)
            assert found is not None
            results.append(await service.call(found, {"result": "x"}, _ignore, caller))
            assert (service.missing_scopes(name, caller) is None) is (results[-1].code is None)
        listed = await service.list_tools(caller)
        assert [*listed.tools] == []
    assert [result.code for result in results] == ["scope-required", None, "scope-required"]
    assert [(event.tool, event.subject, event.error_code) for event in audited] == [
        ("m.t", "ada", "scope-required"),
        ("m.text", "ada", None),
        ("m.text", "ada", "scope-required"),
    ]
    assert all(0 <= event.seconds < 60 for event in audited)
    assert len(seen.received) == 1


async def test_only_a_call_that_reports_progress_is_kept_alive_by_it(tmp_path: Path) -> None:
    running: list[int] = []

    async def answer(seen: Peer, connection: Any, message: Any) -> None:
        running.append(len(tools.running))
        await connection.send(ROWS)

    async with peer(answer) as seen, bridge_to(tmp_path, entry(seen, {"name": "t"})) as bridge:
        tools = ToolService(bridge)
        found = await tools.find("m_t")
        assert found is not None
        for report in (_ignore, None):
            await tools.call(found, {}, report)
        running.append(len(tools.running))
    assert running == [1, 0, 0]
