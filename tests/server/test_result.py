"""The forms of a result in each era, and the bound on its size."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from utcp_ws_mcp import StreamResult
from utcp_ws_mcp.server.content import result_blocks
from utcp_ws_mcp.server.result import MIN_MAX_LINE_BYTES, REPEATED_LENGTH, JsonForm, Promise, Result

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
