"""Calls of a manifest that is being made."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from utcp_ws_mcp.authoring import trial as module
from utcp_ws_mcp.authoring.quoting import DATA_NOTICE
from utcp_ws_mcp.authoring.trial import full_name, restrict_to_tool, try_call
from utcp_ws_mcp.client.manifest_files import LoadedManifest, load_manifest
from utcp_ws_mcp.client.resolver import EndpointResolver
from utcp_ws_mcp.errors import AuthoringRefused

from ..peer import Answer, Peer, entry, peer, silent


def load(folder: Path, document: Any, **environ: str) -> LoadedManifest:
    file = folder / "manifest.json"
    file.write_text(json.dumps(document), encoding="utf-8")
    return load_manifest(file, environ)


def template(name: str, **fields: Any) -> dict[str, Any]:
    return {"name": name, "url": f"wss://{name}.example/", "tools": [{"name": "t"}], **fields}


NAMES: list[tuple[list[Any], str, str]] = [
    ([template("a")], "t", "a.t"),
    ([template("a")], "a.t", "a.t"),
    ([template("a", headers={"X": "${KEY}"})], "t", "a.t"),
    ([template("a"), template("b")], "t", "t"),
    ([template("a"), template("b", headers={"X": "${KEY}"})], "t", "t"),
]


@pytest.mark.parametrize(("document", "name", "full"), NAMES)
def test_the_name_of_the_only_call_template_may_be_left_out(
    tmp_path: Path, document: list[Any], name: str, full: str
) -> None:
    assert full_name([load(tmp_path, document)], name) == full


def test_only_the_call_templates_that_may_have_the_tool_are_kept(tmp_path: Path) -> None:
    loaded = load(tmp_path, [template("a"), template("b")])
    for tool, kept in (("a.t", ["a"]), ("b_t", ["b"]), ("t", ["a", "b"])):
        (restricted,) = restrict_to_tool([loaded], tool)
        assert [each.name for each in restricted.manifest.entries] == kept


async def answer(_: Peer, connection: Any, message: Any) -> None:
    await connection.send(
        json.dumps({"result": message.get("text", "sunny") if isinstance(message, dict) else "sunny"})
    )


async def called(folder: Path, name: str, answer: Answer, arguments: Any = None, **options: Any) -> str:
    inputs = {"type": "object", "properties": {"text": {"type": "string"}}}
    tool = {"name": "ask", "inputs": inputs, "tool_call_template": {"reply": {"result": "message.result"}}}
    async with peer(answer) as seen:
        loaded = load(folder, entry(seen, tool, headers={"Authorization": "Bearer ${TOKEN}"}), TOKEN="s3cret-token-1")
        redact = lambda text: text.replace("sunny", "SUN")  # noqa: E731
        return await try_call(loaded, name, arguments or {}, EndpointResolver(), redact, **options)


@pytest.mark.parametrize("name", ["m.ask", "m_ask", "ask"])
async def test_a_tool_is_called_by_each_of_its_names_and_its_conversation_is_shown(tmp_path: Path, name: str) -> None:
    text = await called(tmp_path, name, answer)
    assert text.startswith(f"{DATA_NOTICE}\n\n< result of {name}: SUN\n\n")
    assert '< (reply) {"result": "SUN"}' in text


async def test_no_secret_of_the_manifest_is_shown(tmp_path: Path) -> None:
    text = await called(tmp_path, "ask", answer, {"text": "s3cret-token-1"})
    assert "s3cret" not in text


async def test_a_long_result_is_cut_and_shown_without_invisible_characters(tmp_path: Path) -> None:
    limit = module.MAX_SHOWN_RESULT
    for length, cut in ((limit, ""), (limit + 1, f"… (cut: {limit + 1:,} characters)")):
        text = await called(tmp_path, "ask", answer, {"text": "x" * length})
        assert f"< result of ask: {'x' * limit}{cut}\n\n" in text
    assert "a\\u200b" in await called(tmp_path, "ask", answer, {"text": "a\u200b"})
    assert limit == 8_000


async def test_no_part_of_a_secret_is_shown_where_a_result_is_cut(tmp_path: Path) -> None:
    beginning = "x" * (module.MAX_SHOWN_RESULT - 3)
    text = await called(tmp_path, "ask", answer, {"text": f"{beginning}sunny day"})
    assert f"< result of ask: {beginning}SUN… (cut: " in text


async def test_a_call_without_a_reply_is_given_up_with_what_was_sent(tmp_path: Path) -> None:
    text = await called(tmp_path, "ask", silent, seconds=0.05)
    assert (
        "< result of ask: (isError) no result within 0.05 s. Is the reply among the lines below? [try-timeout]" in text
    )
    assert "> {}" in text


async def test_an_error_is_marked(tmp_path: Path) -> None:
    text = await called(tmp_path, "ask", answer, {"text": 3})
    assert "< result of ask: (isError) " in text


async def test_a_tool_that_is_not_there_is_refused_with_those_that_are(tmp_path: Path) -> None:
    with pytest.raises(AuthoringRefused) as refused:
        await called(tmp_path, "x" * 200, answer)
    assert refused.value.message == f"there is no tool {'x' * 128!r}. The manifest has: m.ask."


async def test_a_short_name_that_two_tools_have_is_refused(tmp_path: Path) -> None:
    async with peer(answer) as seen:
        loaded = load(tmp_path, [entry(seen, "ask"), {**entry(seen, "ask"), "name": "n"}])
        with pytest.raises(AuthoringRefused, match="there is no tool 'ask'. The manifest has: m.ask, n.ask."):
            await try_call(loaded, "ask", {}, EndpointResolver(), str)


def test_a_block_that_is_no_text_is_shown_by_its_type_and_size() -> None:
    block = {"type": "image", "data": "x" * 2_000}
    assert module._block_text(block) == f"(image block of {len(str(block)):,} characters)"
    assert module._block_text({"type": "text", "text": "x"}) == "x"
