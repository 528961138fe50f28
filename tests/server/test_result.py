"""The forms of a result in each era, and the bound on its size."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from utcp_ws_mcp import StreamResult, ToolError
from utcp_ws_mcp.errors import CallError, Outcome
from utcp_ws_mcp.server.content import result_blocks
from utcp_ws_mcp.server.result import (
    DEFAULT_MAX_LINE_BYTES,
    ENVELOPE_BYTES,
    EXCERPT_LENGTH,
    MAX_ESCAPED_BYTES,
    MIN_MAX_LINE_BYTES,
    REPEATED_LENGTH,
    JsonForm,
    Promise,
    Result,
    byte_size,
    error_result,
    text_size,
)

NONE = object()
PNG = b"\x89PNG\r\n\x1a\nrest"
LONG = "x" * REPEATED_LENGTH
LIMIT = MIN_MAX_LINE_BYTES


def stream(value: dict[str, Any]) -> StreamResult:
    return StreamResult(value, items=(), end=None)


def result_of(value: Any, form: JsonForm = "auto", promise: Promise = Promise.NOTHING) -> Result:
    return Result(*result_blocks(value), form=form, promise=promise)


def structured(result: Result, *, modern: bool) -> Any:
    return result.to_dict(modern=modern).get("structuredContent", NONE)


@pytest.mark.parametrize(
    ("value", "form", "promise", "handshake", "modern"),
    [
        ({"a": 1}, "auto", Promise.NOTHING, {"a": 1}, {"a": 1}),
        ({"a": 1}, "text", Promise.NOTHING, NONE, NONE),
        ({"a": LONG}, "auto", Promise.NOTHING, NONE, NONE),
        ({"a": LONG}, "both", Promise.NOTHING, {"a": LONG}, {"a": LONG}),
        ({"a": LONG}, "auto", Promise.VALUE, {"a": LONG}, {"a": LONG}),
        ({"a": 1}, "auto", Promise.WRAPPED, {"result": {"a": 1}}, {"a": 1}),
        ([1], "auto", Promise.NOTHING, {"result": [1]}, [1]),
        ([1], "both", Promise.WRAPPED, {"result": [1]}, [1]),
        ([1], "text", Promise.NOTHING, NONE, NONE),
        ([LONG], "auto", Promise.NOTHING, {"result": [LONG]}, NONE),
        (5, "auto", Promise.NOTHING, {"result": 5}, 5),
        (None, "auto", Promise.NOTHING, {"result": None}, NONE),
        (True, "auto", Promise.NOTHING, {"result": True}, True),
        ("text", "auto", Promise.NOTHING, NONE, NONE),
        ('{"a": 1}', "auto", Promise.NOTHING, NONE, NONE),
        ("42", "auto", Promise.NOTHING, {"result": "42"}, NONE),
        (" null\n", "auto", Promise.NOTHING, {"result": " null\n"}, NONE),
        ('"quoted"', "auto", Promise.NOTHING, {"result": '"quoted"'}, NONE),
        ("[1, 2", "auto", Promise.NOTHING, NONE, NONE),
        ("7" * 5000, "auto", Promise.NOTHING, {"result": "7" * 5000}, NONE),
        ("42", "text", Promise.NOTHING, NONE, NONE),
        (PNG, "both", Promise.NOTHING, NONE, NONE),
        (
            stream({"items": [1], "end": "until", "complete": True}),
            "auto",
            Promise.NOTHING,
            {"items": [1], "end": "until", "complete": True},
            None,
        ),
        (stream({"items": [PNG, "x"], "end": "until", "complete": True}), "both", Promise.NOTHING, NONE, NONE),
        (stream({"item": PNG, "end": None}), "both", Promise.NOTHING, NONE, NONE),
    ],
)
def test_structured_content_has_the_form_of_the_era(
    value: Any, form: JsonForm, promise: Promise, handshake: Any, modern: Any
) -> None:
    result = result_of(value, form, promise)
    assert structured(result, modern=False) == handshake
    assert structured(result, modern=True) == (handshake if modern is None and handshake is not NONE else modern)


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists, max_leaves=5))
def test_gemini_finds_an_object_or_no_json_at_all(value: Any) -> None:
    shown = result_of(value).to_dict(modern=False)
    if not shown.get("structuredContent"):
        shown["structuredContent"] = parsed_or_none(shown["content"][0]["text"])
    assert isinstance(shown["structuredContent"], dict | None)


def parsed_or_none(text: str) -> Any:
    """What Gemini CLI 0.61 makes of a text without structured content; NONE stands for a JSON null."""
    try:
        return NONE if text.strip() == "null" else json.loads(text)
    except ValueError:
        return None


@pytest.mark.parametrize("modern", [False, True])
@pytest.mark.parametrize(
    ("value", "form", "promise", "kept"),
    [
        ({"a": "x" * (LIMIT // 3)}, "both", Promise.NOTHING, "both"),
        ({"a": "x" * (LIMIT * 2 // 3)}, "both", Promise.NOTHING, "text"),
        ({"a": "x" * (LIMIT * 2 // 3)}, "both", Promise.VALUE, "structured"),
        ({"a": "x" * LIMIT}, "both", Promise.NOTHING, "error"),
        ({"a": "x" * LIMIT}, "both", Promise.VALUE, "error"),
        ("é" * (LIMIT // 2), "auto", Promise.NOTHING, "error"),
        ("\n" * (LIMIT // 2), "auto", Promise.NOTHING, "error"),
        (PNG * (LIMIT // 12), "auto", Promise.NOTHING, "error"),
        (PNG * (LIMIT // 24), "auto", Promise.NOTHING, "binary"),
        (["x" * (LIMIT * 2 // 3)], "auto", Promise.NOTHING, "text"),
    ],
)
def test_a_result_that_is_too_large_keeps_one_form_or_says_how_to_ask_for_less(
    value: Any, form: JsonForm, promise: Promise, kept: str, modern: bool
) -> None:
    shown = json.loads("".join(result_of(value, form, promise).fitted_chunks("m_t", LIMIT, modern=modern)))
    text = shown["content"][0].get("text", "")
    assert len(json.dumps(shown, ensure_ascii=False, separators=(",", ":")).encode()) <= LIMIT
    assert shown["isError"] is (kept == "error")
    match kept:
        case "both":
            assert json.loads(text) == shown["structuredContent"]
        case "text":
            assert (json.loads(text), "structuredContent" in shown) == (value, False)
        case "structured":
            assert shown["structuredContent"] == value
            assert "in structuredContent only" in text
        case "error":
            assert text.startswith("m_t: the result has ")
            assert "ask for less" in text
            assert shown["_meta"]["io.github.utcp-ws-mcp/code"] == "result-too-large"


@given(st.text(max_size=20), st.integers(1, 30_000), st.booleans())
def test_an_error_is_cut_to_the_bound(text: str, times: int, is_pair: bool) -> None:
    content = [{"type": "text", "text": text * times}] * (2 if is_pair else 1)
    fitted = "".join(Result(content, is_error=True).fitted_chunks("t", LIMIT, modern=True))
    assert len(fitted.encode()) <= LIMIT
    assert json.loads(fitted)["isError"]


PREFIX = "io.github.utcp-ws-mcp/"


@pytest.mark.parametrize("modern", [False, True])
@pytest.mark.parametrize(
    ("error", "outcome", "code", "by_endpoint"),
    [
        (ToolError("m.t", "no"), "answered", "tool-error", True),
        (CallError("no", code="unknown-tool"), "not_sent", "unknown-tool", False),
    ],
)
def test_an_error_says_what_is_known_of_its_request(
    error: CallError, outcome: str, code: str, by_endpoint: bool, modern: bool
) -> None:
    shown = error_result(error, [{"type": "text", "text": "no"}], '{"items":[1]}').to_dict(modern=modern)
    meta = shown.pop("_meta")
    server = meta.pop("io.modelcontextprotocol/serverInfo", None)
    assert meta == {
        f"{PREFIX}outcome": outcome,
        f"{PREFIX}code": code,
        **({f"{PREFIX}text_by": "endpoint"} if by_endpoint else {}),
    }
    assert (server is not None) is modern
    assert shown == {
        "content": [{"type": "text", "text": "no"}],
        "structuredContent": {"items": [1]},
        "isError": True,
        **({"resultType": "complete"} if modern else {}),
    }


def test_a_result_names_the_server_in_the_modern_era_only() -> None:
    assert result_of("x").to_dict(modern=False) == {"content": [{"type": "text", "text": "x"}], "isError": False}
    shown = result_of("x").to_dict(modern=True)
    assert shown["_meta"]["io.modelcontextprotocol/serverInfo"]["name"] == "utcp-ws-mcp"
    assert shown["resultType"] == "complete"


@pytest.mark.parametrize(("length", "is_kept"), [(REPEATED_LENGTH, True), (REPEATED_LENGTH + 1, False)])
def test_the_items_of_a_failed_stream_are_structured_unless_they_are_long(length: int, is_kept: bool) -> None:
    structured = '{"a":"' + "x" * (length - 8) + '"}'
    assert len(structured) == length
    result = error_result(CallError("no"), [{"type": "text", "text": "no"}], structured)
    assert result.structured == (structured if is_kept else None)


@pytest.mark.parametrize(("length", "is_repeated"), [(REPEATED_LENGTH, True), (REPEATED_LENGTH + 1, False)])
@pytest.mark.parametrize("modern", [False, True])
def test_json_is_repeated_up_to_its_length(length: int, is_repeated: bool, modern: bool) -> None:
    value = {"a": "x" * (length - 8)}
    assert (structured(result_of(value), modern=modern) == value) is is_repeated


IMAGE = {"type": "image", "data": "R0lGODlh", "mimeType": "image/gif"}


@pytest.mark.parametrize(
    "content",
    [
        [],
        [{"type": "text", "text": 'a\u001f"é'}],
        [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}],
        [IMAGE],
        [{"type": "text", "text": "a", "annotations": {"priority": 1}}],
        [{"type": "resource", "resource": {"uri": "x:1", "mimeType": "a/b", "blob": ""}}, IMAGE, IMAGE],
    ],
)
def test_the_blocks_of_a_result_are_written_as_json(content: list[dict[str, Any]]) -> None:
    result = Result(content, '{"a":1}')
    text = result.to_json(modern=False)
    assert text == "".join(result.json_chunks(modern=False))
    assert json.loads(text) == {"content": content, "structuredContent": {"a": 1}, "isError": False}
    assert " " not in text


AUDIO = {"type": "audio", "data": "T2dnUw==", "mimeType": "audio/ogg"}


def test_only_the_revision_without_audio_gets_audio_as_a_resource() -> None:
    result, other = Result([IMAGE, AUDIO]), Result([IMAGE])
    assert result.readable_in("2025-03-26") is result
    assert other.readable_in("2024-11-05") is other
    first, second = result.readable_in("2024-11-05").content
    assert (first, second["type"], second["resource"]["uri"]) == (IMAGE, "resource", "websocket:message/2")


def room(limit: int) -> int:
    """Return the bytes that a result may have in a message of `limit` bytes."""
    return limit - ENVELOPE_BYTES


@pytest.mark.parametrize("modern", [False, True])
@pytest.mark.parametrize(("more", "is_kept"), [(0, True), (1, False)])
def test_both_forms_are_sent_up_to_the_bound_of_a_message(more: int, is_kept: bool, modern: bool) -> None:
    def made(length: int) -> Result:
        return result_of({"a": "x" * length}, "both")

    empty = byte_size(made(0).json_chunks(modern=modern))
    length = (room(LIMIT) - empty) // 2
    fitted = "".join(made(length).fitted_chunks("t", LIMIT, modern=modern))
    assert room(LIMIT) - 1 <= len(fitted) <= room(LIMIT)
    shown = json.loads("".join(made(length + more).fitted_chunks("t", LIMIT, modern=modern)))
    assert ("structuredContent" in shown) is is_kept
    assert shown["isError"] is False


@pytest.mark.parametrize(("more", "is_error"), [(0, False), (1, True)])
def test_one_form_is_sent_up_to_the_bound_of_a_message(more: int, is_error: bool) -> None:
    empty = byte_size(result_of("").json_chunks(modern=False))
    text = "x" * (room(LIMIT) - empty + more)
    shown = json.loads("".join(result_of(text).fitted_chunks("m_t", LIMIT, modern=False)))
    assert shown["isError"] is is_error
    if is_error:
        size = f"{room(LIMIT) + 1:,}"
        assert shown["content"][0]["text"].startswith(f"m_t: the result has {size} bytes, more than a message")
        assert f"({LIMIT:,})" in shown["content"][0]["text"]
        assert shown["content"][1]["text"] == f"it begins: {text[:EXCERPT_LENGTH]}…"
        assert shown["_meta"][f"{PREFIX}outcome"] == "answered"


def test_what_is_promised_is_kept_and_the_text_says_where_it_is() -> None:
    result = result_of({"a": "x" * (LIMIT * 2 // 3)}, "both", Promise.VALUE)
    shown = json.loads("".join(result.fitted_chunks("t", LIMIT, modern=False)))
    assert shown["content"] == [
        {
            "type": "text",
            "text": "The result is in structuredContent only: text and structured content together have more than "
            f"{LIMIT:,} bytes (`serve --max-line-bytes`).",
        }
    ]


def test_an_image_that_is_too_large_is_an_error_without_an_excerpt() -> None:
    shown = json.loads("".join(result_of(PNG * LIMIT).fitted_chunks("t", LIMIT, modern=False)))
    assert (shown["isError"], len(shown["content"])) == (True, 1)


@pytest.mark.parametrize("blocks", [1, 2, 3])
def test_the_texts_of_an_error_share_the_bound(blocks: int) -> None:
    length = (room(LIMIT) - ENVELOPE_BYTES) // (MAX_ESCAPED_BYTES * blocks)
    for size in (length, length + 1):
        content = [{"type": "text", "text": "x" * size}, *[{"type": "text", "text": "y" * LIMIT}] * (blocks - 1)]
        result = Result([*content, IMAGE, {**IMAGE, "data": "z" * LIMIT}], "{}", is_error=True)
        shown = json.loads("".join(result.fitted_chunks("t", LIMIT, modern=True)))
        texts = [block["text"] for block in shown["content"]]
        assert texts[0] == ("x" * size if size == length else "x" * (length - 100) + "… (cut)")
        assert texts[1:] == ["y" * (length - 100) + "… (cut)"] * (blocks - 1)
        assert "structuredContent" not in shown


def test_the_parts_of_a_large_result_are_released_one_by_one() -> None:
    chunks = result_of({"a": "x" * (LIMIT // 3)}, "both").fitted_chunks("t", LIMIT, modern=False)
    parts = list(chunks)
    assert len(parts) > 3
    assert json.loads("".join(parts))["structuredContent"] == {"a": "x" * (LIMIT // 3)}


@pytest.mark.parametrize(("text", "size"), [("", 0), ("abc", 3), ("é", 2), ("😀", 4), ("\ud800", 1)])
def test_the_size_of_a_text_is_that_of_utf_8(text: str, size: int) -> None:
    assert text_size(text) == size
    assert byte_size([text, "ab", text]) == 2 * size + 2


@pytest.mark.parametrize("text", ["[" * 100_000 + "]" * 100_000, "-1", "Infinity", "NaN", "tru", "nul", "{}", "é", ""])
def test_only_a_text_that_hosts_would_parse_is_wrapped(text: str) -> None:
    try:
        is_json = not isinstance(json.loads(text), dict)
    except ValueError:
        is_json = False
    except RecursionError:
        is_json = True
    assert structured(result_of(text), modern=False) == ({"result": text} if is_json else NONE)
    assert structured(Result([IMAGE]), modern=False) is NONE
    assert structured(Result([]), modern=False) is NONE


def test_the_bounds_of_a_message_are_those_of_the_documentation() -> None:
    assert DEFAULT_MAX_LINE_BYTES == 8 * 1024 * 1024
    assert MIN_MAX_LINE_BYTES == 64 * 1024


def test_errors_have_outcomes_in_words_for_programs() -> None:
    assert [each.name.lower() for each in Outcome] == ["not_sent", "maybe_executed", "answered"]
