"""The server of `author`: who is asked what, its own tools beside those of manifests, and how it ends."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import mcp_types as types
import pytest
from mcp.shared.exceptions import MCPError

from utcp_ws_mcp.authoring import actions
from utcp_ws_mcp.authoring import server as module
from utcp_ws_mcp.authoring.definitions import PROMPTS, TOOLS, prompt_text
from utcp_ws_mcp.authoring.folder import ManifestFolder
from utcp_ws_mcp.authoring.grants import Grants
from utcp_ws_mcp.authoring.probing import Probed
from utcp_ws_mcp.authoring.server import AuthorServer, AuthorTools, serve_author
from utcp_ws_mcp.authoring.workspace import Workspace
from utcp_ws_mcp.server.tools import INTERNAL_ERROR_MESSAGE

from ..peer import jsonrpc, peer
from .agent import BOTH_ERAS, agent, host_of


@BOTH_ERAS
async def test_the_person_is_asked_for_each_variable_and_host_of_a_call(tmp_path: Path, mode: str) -> None:
    environ = {"A": "value-of-a-1", "B": "value-of-b-1", "UNSET": ""}
    del environ["UNSET"]
    async with peer(jsonrpc) as seen:
        host = host_of(seen)
        async with agent(tmp_path, host, mode=mode, environ=environ, answer=lambda _: True) as author:
            message = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "m", "params": {"a": "${A}", "b": "${B}"}})
            await author.call("probe", url=seen.url, messages=[message])
            asked = [f"Send the value of the variable {name} to {host}?" for name in "AB"]
            assert [question.partition("?")[0] + "?" for question in author.questions] == asked
            assert author.questions[0].endswith(" An agent asks for it while it makes tools for a WebSocket API.")
            refused = await author.fail("probe", url=seen.url, messages=['{"c": "${UNSET}"}'])
            assert ("[variable-not-allowed]" in refused, len(author.questions)) == (True, 2)
            granted = [str(each) for each in author.workspace.grants.variables]
    assert granted == [f"A@{host}", f"B@{host}"]
    assert seen.received[0]["params"] == {"a": "value-of-a-1", "b": "value-of-b-1"}


@BOTH_ERAS
async def test_what_the_person_allows_holds_until_the_server_ends(tmp_path: Path, mode: str) -> None:
    async with peer(jsonrpc) as seen, agent(tmp_path, mode=mode, answer=lambda _: True) as author:
        await author.call("probe", url=seen.url)
        assert [str(each) for each in author.workspace.grants.hosts] == [host_of(seen)]


async def test_a_call_that_needs_more_than_five_questions_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert module.MAX_QUESTIONS == 5
    monkeypatch.setattr(module, "MAX_QUESTIONS", 1)
    async with peer(jsonrpc) as seen, agent(tmp_path, mode="legacy", answer=lambda _: True) as author:
        with pytest.raises(MCPError, match="too many questions for one call; call again"):
            await author.client.call_tool("probe", {"url": seen.url})


async def test_a_client_that_cannot_ask_gets_the_refusal(tmp_path: Path) -> None:
    async with agent(tmp_path) as author:
        assert "[host-not-allowed]" in await author.fail("probe", url="ws://a.example/")
        assert author.questions == []


async def test_an_answer_to_what_was_not_asked_is_ignored(tmp_path: Path) -> None:
    workspace = Workspace(ManifestFolder.open(tmp_path), Grants())
    async with workspace.open_bridge() as bridge:
        server = AuthorServer(AuthorTools(workspace, bridge))
        yes = types.ElicitResult(action="accept", content={"allow": True})
        server._take_answers({"host a.example": yes})
        assert (workspace.grants.hosts, server._declined) == ([], set())
        for answer in (
            types.ElicitResult(action="accept", content={"allow": False}),
            types.ElicitResult(action="accept", content=None),
            types.ElicitResult(action="decline", content={"allow": True}),
            types.ElicitResult(action="cancel"),
            {"action": "accept", "content": {"allow": True}},
        ):
            server._asked["key"] = module.HostPattern.parse("a.example")
            server._declined.clear()
            server._take_answers({"key": answer})
            assert (workspace.grants.hosts, server._declined, server._asked) == ([], {"key"}, {})


async def test_its_own_tools_come_first_and_cannot_be_replaced(tmp_path: Path) -> None:
    async with peer(jsonrpc) as seen, agent(tmp_path, host_of(seen)) as author:
        manifest = {"url": seen.url, "name": "m", "tools": [{"name": "t", "inputs": {"type": "object"}}]}
        await author.call("save_manifest", name="m", manifest=manifest)
        assert await author.tools() == [*TOOLS, "m_t"]
        tools = AuthorTools(author.workspace, author.workspace._bridge)
        assert await tools.find("probe") == "probe"
        assert (await tools.find("m_t")).full_name == "m.t"
        assert await tools.find("nothing") is None
        assert tools.input_schema("probe") == TOOLS["probe"]["inputSchema"]
        assert (tools.input_schema("m_t") or {})["type"] == "object"
        reserved = {**manifest, "name": "list", "tools": [{"name": "catalog"}]}
        assert "[reserved-name]" in await author.fail("save_manifest", name="r", manifest=reserved)
        assert "[reserved-name]" in await author.call("check_manifest", manifest=reserved)


async def test_an_unexpected_error_does_not_go_to_the_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def fail(*_: Any) -> str:
        raise KeyError("a secret")

    monkeypatch.setitem(actions.ACTIONS, "guide", fail)  # type: ignore[arg-type]
    async with agent(tmp_path) as author:
        assert await author.fail("guide") == INTERNAL_ERROR_MESSAGE
    assert "internal error in guide" in caplog.text


async def test_arguments_of_another_form_are_refused_by_name(tmp_path: Path) -> None:
    async with agent(tmp_path) as author:
        assert (await author.fail("probe", url=3)).startswith("probe: ")
        assert "import_description takes either text or url." in await author.fail("import_description")
        both = await author.fail("import_description", text="{}", url="https://a.example/")
        assert "import_description takes either text or url." in both


def test_a_prompt_has_its_arguments_and_those_that_are_not_given() -> None:
    for name, prompt in PROMPTS.items():
        required = {each["name"]: f"<{each['name']}>" for each in prompt["arguments"] if each.get("required")}
        text = prompt_text(name, required)
        assert all(value in text for value in required.values())
        given = {each["name"]: f"<{each['name']}>" for each in prompt["arguments"]}
        assert all(value in prompt_text(name, given) for value in given.values())
        assert ("(not given)" in text) is (len(given) > len(required))


class Ended(BaseException):
    """The process would have ended."""


@asynccontextmanager
async def stdio() -> AsyncIterator[Any]:
    """Standard input that is closed at once."""
    send, read = anyio.create_memory_object_stream[Any](0)
    write, receive = anyio.create_memory_object_stream[Any](10)
    send.close()
    async with read, write, receive:
        yield read, write


async def test_it_ends_with_its_input_and_closes_its_bridge(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    handled: list[Any] = []
    monkeypatch.setattr(module, "stdio_server", stdio)
    monkeypatch.setattr(module, "handle_signals", handled.append)
    workspace = Workspace(ManifestFolder.open(tmp_path), Grants())
    with anyio.fail_after(10):
        assert await serve_author(workspace) == 0
    assert len(handled) == 1


async def test_a_signal_closes_the_connections_and_ends_the_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed: list[str] = []

    class Bridge:
        async def aclose(self) -> None:
            closed.append("closed")

    def end(code: int) -> None:
        raise Ended(code)

    monkeypatch.setattr(module.os, "_exit", end)
    interrupted = anyio.Event()
    with anyio.move_on_after(0.05):
        await module._exit_after(interrupted, Bridge())  # type: ignore[arg-type]
    assert closed == []
    interrupted.set()
    with pytest.raises(Ended) as ended:
        await module._exit_after(interrupted, Bridge())  # type: ignore[arg-type]
    assert (ended.value.args, closed) == ((0,), ["closed"])


async def test_an_unknown_prompt_is_named_in_part_with_those_that_there_are(tmp_path: Path) -> None:
    async with agent(tmp_path) as author:
        with pytest.raises(MCPError) as refused:
            await author.client.get_prompt("x" * 65, {})
    assert str(refused.value) == f"there is no prompt {'x' * 64!r}: {', '.join(PROMPTS)}"


async def test_a_probe_without_a_draft_keeps_the_one_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drafts = iter([{"name": "first"}, None])

    async def probe(*_: Any) -> Probed:
        return Probed("said", next(drafts))

    monkeypatch.setattr(actions, "probe", probe)
    async with agent(tmp_path, "a.example") as author:
        for _ in range(2):
            assert await author.call("probe", url="wss://a.example/") == "said"
            assert author.workspace.draft == {"name": "first"}
