"""One message, or one element, for each element of a list; and the pieces of text and bytes."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from utcp_ws_mcp.core.codecs.framing import make_framer
from utcp_ws_mcp.core.codecs.message import MessageList, RejectedValue, UnframedMessage
from utcp_ws_mcp.core.expressions.expression import EvaluationError, compile_expression
from utcp_ws_mcp.core.templates.compiler import Compiler
from utcp_ws_mcp.core.templates.nodes import OMIT, RenderError
from utcp_ws_mcp.errors import InvalidTemplate
from utcp_ws_mcp.manifest.models.framing import Framing

LOCAL = Compiler({})


def render(template: Any, compiler: Compiler = LOCAL, **args: Any) -> Any:
    return compiler.message(template).render({"args": args})


MESSAGES: dict[str, tuple[Any, dict[str, Any], list[Any]]] = {
    "objects": (
        {"$each": "{{ args.names }}", "$template": {"subscribe": "{{ item }}"}},
        {"names": ["a", "b"]},
        [{"subscribe": "a"}, {"subscribe": "b"}],
    ),
    "texts": ({"$each": "{{ args.names }}", "$template": "SUB {{ item }}"}, {"names": ["a", "b"]}, ["SUB a", "SUB b"]),
    "JSON text": (
        {"$each": "{{ args.names }}", "$template": '{"a": "{{ item }}"}'},
        {"names": ['"']},
        ['{"a": "\\""}'],
    ),
    "numbers of the elements": (
        {"$each": "{{ args.names }}", "$template": ["{{ index }}", "{{ index + 1 == count }}"]},
        {"names": ["a", "b"]},
        [[0, False], [1, True]],
    ),
    "members of objects": (
        {"$each": "{{ args.rows }}", "$template": {"id": "{{ item.id }}"}},
        {"rows": [{"id": 1}, {"id": 2}]},
        [{"id": 1}, {"id": 2}],
    ),
    "pieces of bytes": ({"$each": "{{ args.data | unbase64 | pieces(2) }}"}, {"data": "AAECAw=="}, [b"\0\1", b"\2\3"]),
    "pieces of bytes in JSON": (
        {"$each": "{{ args.data | unbase64 | pieces(2) }}", "$template": {"audio": "{{ item | base64 }}"}},
        {"data": "AAEC"},
        [{"audio": "AAE="}, {"audio": "Ag=="}],
    ),
    "pieces of text": ({"$each": "{{ args.text | pieces(3) }}"}, {"text": "héllo"}, ["hél", "lo"]),
    "a UTCP placeholder": ({"$each": "UTCP_ARG_names_UTCP_ARG"}, {"names": ["a", "b"]}, ["a", "b"]),
    "a list of the manifest": ({"$each": ["a", "{{ args.x }}"], "$template": "{{ item }}!"}, {"x": "b"}, ["a!", "b!"]),
    "no element": ({"$each": "{{ args.names }}"}, {"names": []}, []),
    "no argument": ({"$each": "{{ args.names }}"}, {}, []),
    "one in another": (
        {"$each": "{{ args.rows }}", "$template": {"$each": "{{ item }}", "$template": "{{ item }} of {{ count }}"}},
        {"rows": [["a", "b"], ["c"]]},
        ["a of 2", "b of 2", "c of 1"],
    ),
    "unframed ones": (
        {"$each": "{{ args.names }}", "$template": {"$raw": "{{ item }}"}},
        {"names": ["a"]},
        [UnframedMessage("a")],
    ),
}


@pytest.mark.parametrize(("template", "args", "messages"), MESSAGES.values(), ids=MESSAGES)
def test_there_is_a_message_for_each_element(template: Any, args: dict[str, Any], messages: list[Any]) -> None:
    rendered = render(template, **args)

    assert isinstance(rendered, MessageList)
    assert list(rendered) == messages


def test_inside_a_message_there_is_an_element_for_each_element() -> None:
    each = {"$each": "{{ args.names }}", "$template": {"channel": "{{ item }}"}}
    channels = [{"channel": "a"}, {"channel": "b"}]

    assert render({"args": [{"first": 1}, each]}, names=["a", "b"]) == {"args": [{"first": 1}, *channels]}
    assert render({"args": each}, names=["a", "b"]) == {"args": channels}
    assert render([each, "x"], names=[]) == ["x"]
    assert render({"args": each}) == {}
    assert render([each]) == []


def test_an_element_that_misses_an_argument_is_left_out() -> None:
    assert render([{"$each": ["a", "b"], "$template": "{{ args.none }}"}]) == []
    assert render({"$each": ["a"], "$template": {"x": "{{ args.none }}"}}) == [{}]


@pytest.mark.parametrize("value", ["text", 3, {"a": 1}, None, b"bytes"])
def test_what_is_no_list_is_refused_with_what_to_write(value: Any) -> None:
    with pytest.raises(RenderError, match="no list.*filter pieces"):
        render({"$each": "{{ args.x }}"}, x=value)


def test_a_member_that_an_element_lacks_is_an_error() -> None:
    with pytest.raises(RenderError, match=r"item\.id .*has no value"):
        render({"$each": "{{ args.rows }}", "$template": {"id": "{{ item.id }}"}}, rows=[{}])


def test_repetitions_are_bounded_over_all_levels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("utcp_ws_mcp.core.templates.nodes.MAX_REPETITIONS", 10)
    assert len(render({"$each": "{{ args.x }}"}, x=list(range(10)))) == 10
    nested = {"$each": "{{ args.x }}", "$template": [{"$each": "{{ args.x }}"}]}
    assert len(render(nested, x=[1, 2, 3])) == 3
    for template, length in (({"$each": "{{ args.x }}"}, 11), (nested, 4)):
        with pytest.raises(RenderError, match="repeats more than 10 times") as refused:
            render(template, x=list(range(length)))
        assert refused.value.code == "request-too-large"


def test_the_bytes_of_all_messages_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("utcp_ws_mcp.core.codecs.framing.MAX_REQUEST_BYTES", 1 << 20)
    framer = make_framer(Framing())
    with pytest.raises(RejectedValue, match="more than 1 MiB in total"):
        framer.encode(MessageList(["x" * 300_000] * 4))


def test_each_message_is_framed_on_its_own() -> None:
    framer = make_framer(Framing(separator="\n"))
    assert framer.encode(MessageList(["a", {"b": 1}, UnframedMessage("c")])) == ["a\n", '{"b":1}\n', "c"]


def test_names_of_the_element_are_known_only_in_the_template() -> None:
    with pytest.raises(InvalidTemplate, match="unknown name 'item'"):
        LOCAL.message({"all": {"$each": "{{ args.x }}", "$template": {}}, "y": "{{ item }}"})
    with pytest.raises(InvalidTemplate, match="unknown name 'item'"):
        LOCAL.message({"$each": "{{ item }}"})


def test_the_network_cannot_write_these_forms() -> None:
    remote = Compiler(None)
    assert render({"$each": ["a"]}, remote) == {"$each": ["a"]}
    assert render({"$raw": "a"}, remote) == {"$raw": "a"}


def test_a_raw_message_is_a_whole_message() -> None:
    assert render({"$raw": {"a": "{{ args.x }}"}}, x=1) == UnframedMessage('{"a":1}')
    assert render({"$raw": {"$base64": "AAE="}}) == UnframedMessage(b"\0\1")
    with pytest.raises(InvalidTemplate, match="inside a message"):
        LOCAL.message({"a": {"$raw": "x"}})


def evaluate(source: str, **args: Any) -> Any:
    return compile_expression(source, frozenset({"args"})).evaluate({"args": args})


@given(st.binary(max_size=50) | st.text(max_size=50), st.integers(1, 12))
def test_pieces_joined_are_the_whole(value: str | bytes, size: int) -> None:
    pieces = evaluate(f"args.x | pieces({size})", x=value)

    assert value[:0].join(pieces) == value
    assert all(len(piece) == size for piece in pieces[:-1])
    assert all(pieces)


@pytest.mark.parametrize(("value", "size"), [([1], 1), (3, 1), ("a", 0), ("a", -1), ("a", "'b'"), ("a", 1.5)])
def test_pieces_of_what_has_none_are_refused(value: Any, size: Any) -> None:
    with pytest.raises(EvaluationError, match="filter pieces takes text or bytes"):
        evaluate(f"args.x | pieces({size})", x=value)


def test_too_many_pieces_are_refused() -> None:
    assert len(evaluate("args.x | pieces(1)", x="a" * 10_000)) == 10_000
    with pytest.raises(EvaluationError, match="more than 10,000 pieces"):
        evaluate("args.x | pieces(1)", x="a" * 10_001)


def test_a_missing_argument_is_no_list_of_nothing() -> None:
    assert LOCAL.value({"$each": "{{ args.x | pieces(2) }}"}).render({"args": {}}) is OMIT
