"""A value of a call cannot widen a topic of MQTT in which it is a part."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from utcp_ws_mcp.core.codecs.framing import make_framer
from utcp_ws_mcp.core.expressions.scope import Ambient, Scope
from utcp_ws_mcp.core.templates.compiler import Compiler
from utcp_ws_mcp.core.templates.nodes import RenderError
from utcp_ws_mcp.manifest.models.framing import Framing

AMBIENT = Ambient(lambda: datetime(2026, 1, 1, tzinfo=UTC), bytes)
NAMES = frozenset({"args", "session", "let", "omit"})


def packet(topic: str) -> dict[str, dict[str, Any]]:
    """Return a packet of each kind that has a topic."""
    return {
        "publish": {"type": "publish", "topic": topic, "payload": "{{ args.x }}"},
        "subscribe": {"type": "subscribe", "packet_id": 1, "topics": [{"topic": topic, "qos": 1}]},
        "subscribe by name": {"type": "subscribe", "packet_id": 1, "topics": [topic]},
        "subscribe to each": {
            "type": "subscribe",
            "packet_id": 1,
            "topics": {"$each": "{{ args.list }}", "$template": topic.replace("args.x", "item")},
        },
        "unsubscribe": {"type": "unsubscribe", "packet_id": 1, "topics": [topic]},
        "will": {"type": "connect", "client_id": "c", "will": {"topic": topic, "payload": "{{ args.x }}"}},
    }


def render(template: Any, value: Any, codec: str = "mqtt") -> Any:
    node = Compiler({}, names=NAMES, codec=codec).message(template)
    values = {"args": {"x": value, "list": [value]}, "session": {"x": value}, "let": {"x": value}}
    return node.render(Scope(AMBIENT, values))


@pytest.mark.parametrize("kind", packet(""))
@pytest.mark.parametrize("value", ["a/b", "+", "#", "a/#"])
def test_a_value_that_would_widen_a_topic_is_refused(kind: str, value: str) -> None:
    with pytest.raises(RenderError, match="would end it in this topic") as refused:
        render(packet("home/{{ args.x }}/set")[kind], value)
    assert refused.value.code == "argument-breaks-message"


@pytest.mark.parametrize("topic", ["home/{{ let.x }}", "{{ session.x }}/set", "{{ 'home/' ~ args.x }}"])
def test_the_rule_is_for_every_value_that_a_call_brings(topic: str) -> None:
    with pytest.raises(RenderError, match="would end it in this topic"):
        render(packet(topic)["publish"], "a/b")


@pytest.mark.parametrize(
    ("topic", "value", "written"),
    [
        ("{{ args.x }}", "home/+/#", "home/+/#"),
        ("home/{{ args.x | verbatim }}", "a/b", "home/a/b"),
        ("home/{{ args.x }}", 7, "home/7"),
        ("home/{{ args.x }}", "living room", "home/living room"),
    ],
)
def test_other_topics_are_written_as_they_are(topic: str, value: Any, written: str) -> None:
    assert render(packet(topic)["subscribe by name"], value)["topics"] == [written]


def test_a_topic_of_another_codec_is_only_a_text() -> None:
    assert render({"topic": "home/{{ args.x }}"}, "a/b", codec="json") == {"topic": "home/a/b"}


def topics_of(value: Any) -> list[str]:
    """Return the topics of a packet, in whichever form it has them."""
    listed = [value.get("topic"), *value.get("topics", ()), value.get("will")]
    return [each["topic"] if isinstance(each, dict) else each for each in listed if each is not None]


@given(st.text(alphabet="ab/+# \r\n\0$", max_size=6))
@pytest.mark.parametrize("kind", packet(""))
def test_a_topic_keeps_its_levels_whatever_the_argument(kind: str, value: str) -> None:
    try:
        rendered = render(packet("home/{{ args.x }}/set")[kind], value)
        make_framer(Framing(codec="mqtt")).encode(rendered)
    except (RenderError, ValueError):  # by the rule, or NUL by the codec
        assert set(value) & set("/+#\0")
        return
    (topic,) = topics_of(rendered)
    assert topic == f"home/{value}/set"
    assert set(value).isdisjoint("/+#\0")


def test_a_topic_of_one_value_and_nothing_else_is_a_whole_topic() -> None:
    assert render(packet("{{ '' ~ args.x }}")["subscribe by name"], "a/b")["topics"] == ["a/b"]
