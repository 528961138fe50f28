"""The feeds of a draft, and which first message is an event."""

from __future__ import annotations

from typing import Any

import pytest

from tests.recorder.conversations import conversation
from utcp_ws_mcp.recorder.correlation import analyze
from utcp_ws_mcp.recorder.feeds import draft_feeds, is_event
from utcp_ws_mcp.recorder.preset_forms import PRESET_FORMS, PresetForm

JSONRPC = next(form for form in PRESET_FORMS if form.preset == "jsonrpc2")


def feeds_of(*lines: str, form: PresetForm | None = None) -> list[tuple[str, str | None, str | None]]:
    feeds = draft_feeds(analyze(conversation(*lines)), form)
    return [(feed["name"], feed.get("match"), feed.get("item")) for feed in feeds]


GET, GOT = '> {"id": 1, "op": "get"}', '< {"id": 1, "v": 1}'
FEEDS: dict[str, tuple[tuple[str, ...], Any]] = {
    "nothing": ((), [("received", "message is defined", None)]),
    "a request and its reply": ((GET, GOT), []),
    "only a greeting": (('< {"type": "hello"}', GET, GOT), []),
    "a greeting that comes again": (
        ('< {"type": "tick"}', GET, GOT, '< {"type": "tick"}'), [("tick", "message.type == 'tick'", None)],
    ),
    "a greeting that differs": (
        ('< {"type": "hello"}', GET, GOT, '< {"type": "tick"}'), [("tick", "message.type == 'tick'", None)],
    ),
    "a marked greeting": (('<E {"type": "tick"}', GET, GOT), [("tick", "message.type == 'tick'", None)]),
    "a marked greeting before another event": (
        ('<E {"type": "b"}', GET, GOT, '< {"type": "a"}'),
        [("b", "message.type == 'b'", None), ("a", "message.type == 'a'", None)],
    ),
    "texts": (("< a", "< b"), [("received", "message is string", None)]),
    "texts beside replies": ((GET, GOT, "< a"), []),
    "what an event holds": (
        (GET, GOT, '< {"event": "a", "params": 1, "data": 2}', '< {"event": "b", "params": 1}'),
        [("a", "message.event == 'a'", "message.data"), ("b", "message.event == 'b'", "message.params")],
    ),
    "what not each event holds": (
        (GET, GOT, '< {"event": "a", "data": 2}', '< {"event": "a"}'), [("a", "message.event == 'a'", None)],
    ),
    "one member that is a list": (
        (GET, GOT, '< {"event": "a", "data": [1, 2]}'), [("a", "message.event == 'a'", "message.data")],
    ),
    "a name with signs": ((GET, GOT, '< {"event": "a b/c"}'), [("a_b_c", "message.event == 'a b/c'", None)]),
    "a name that begins with a sign": ((GET, GOT, '< {"event": "-a"}'), [("received", "message.event == '-a'", None)]),
    "a name of 40 characters": (
        (GET, GOT, f'< {{"event": "{"e" * 40}"}}'), [("e" * 40, f"message.event == '{'e' * 40}'", None)],
    ),
    "a name of 41 characters": (
        (GET, GOT, f'< {{"event": "{"e" * 41}"}}'), [("received", f"message.event == '{'e' * 41}'", None)],
    ),
    "two kinds of one name": (
        (GET, GOT, '< {"event": "a/b"}', '< {"event": "a:b"}', '< {"event": "a.b"}', '< {"event": "a b"}'),
        [
            ("a_b", "message.event == 'a/b'", None), ("a_b_", "message.event == 'a:b'", None),
            ("a.b", "message.event == 'a.b'", None), ("a_b__", "message.event == 'a b'", None),
        ],
    ),
    "what follows a subscription": (('> {"id": 1, "op": "watch"}', GOT, '< {"event": "a"}'), []),
    "what follows a subscription without a reply": (
        ('> {"id": 1, "op": "watch"}', '> {"id": 2, "op": "get"}', '< {"id": 2}', '< {"id": 2, "n": 1}',
            '< {"event": "a"}'),
        [("a", "message.event == 'a'", None)],
    ),
    "events of the kind of a reply": (
        ('> {"id": 1}', '< {"id": 1, "type": "a", "x": "y"}', '< {"type": "a", "live": true}'),
        [("a", "message.live == true", None)],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("lines", "feeds"), FEEDS.values(), ids=FEEDS)
def test_a_feed_has_what_answers_nothing(lines: tuple[str, ...], feeds: Any) -> None:
    assert feeds_of(*lines) == feeds


ROWS: dict[str, tuple[tuple[str, ...], bool]] = {
    "several objects": (('[{"s": "A", "p": 1}, {"s": "B", "p": 2}]',), True),
    "one object in each of two messages": (('[{"s": "A"}]', '[{"s": "B"}]'), True),
    "an empty list beside others": (("[]", '[{"s": "A"}, {"s": "B"}]'), True),
    "one object": (('[{"s": "A"}]',), False),
    "empty lists": (("[]", "[]"), False),
    "objects with other members": (('[{"s": "A"}, {"p": 1}]',), False),
    "empty objects": (("[{}, {}]",), False),
    "numbers": (("[1, 2]",), False),
    "an object among them": (('[{"s": "A"}, {"s": "B"}]', '{"s": "A"}'), False),
}


@pytest.mark.parametrize(("values", "flat"), ROWS.values(), ids=ROWS)
def test_a_list_of_like_objects_in_each_message_is_drafted_as_events_of_their_own(
    values: tuple[str, ...], flat: bool
) -> None:
    events = [f'< {{"event": "a", "data": {value}}}' for value in values]
    (feed,) = draft_feeds(analyze(conversation(GET, GOT, *events)), None)
    assert (feed["item"], feed.get("flat", False)) == ("message.data", flat)


def test_at_most_five_feeds_are_drafted() -> None:
    events = [f'< {{"event": "e{number}"}}' for number in range(6)]
    assert [name for name, _, _ in feeds_of(GET, GOT, *events)] == ["e0", "e1", "e2", "e3", "e4"]


def test_a_feed_has_a_description() -> None:
    tick, other = draft_feeds(analyze(conversation(GET, GOT, '< {"event": "tick"}', '< {"n": 1}')), None)
    said = "the endpoint sends without a request. Describe here what it means."
    assert tick == {"name": "tick", "description": f"'tick': what {said}", "match": "message.event == 'tick'"}
    assert other == {"name": "received", "description": f"What {said}", "match": "message.n is defined"}


def test_the_feeds_of_a_preset_are_named_by_its_events() -> None:
    call = '> {"jsonrpc": "2.0", "id": 1, "method": "get"}', '< {"jsonrpc": "2.0", "id": 1}'
    names = ["a", "a", "b", " c", "x" * 41, "chat/said", "e:new", "f", "g"]
    events = [f'< {{"jsonrpc": "2.0", "method": "{name}"}}' for name in names]
    assert feeds_of(*call, *events, form=JSONRPC) == [
        (name, None, None) for name in ("a", "b", "chat/said", "e:new", "f")
    ]
    assert feeds_of(*call, form=JSONRPC) == []
    assert feeds_of(form=JSONRPC) == []


def test_a_greeting_is_no_feed_of_a_preset() -> None:
    tick = '< {"jsonrpc": "2.0", "method": "tick"}'
    call = '> {"jsonrpc": "2.0", "id": 1, "method": "get"}', '< {"jsonrpc": "2.0", "id": 1}'
    assert feeds_of(tick.replace("tick", "hello"), tick, *call, form=JSONRPC) == [("tick", None, None)]


GREETINGS: dict[str, tuple[tuple[str, ...], bool]] = {
    "the only message": (('< {"type": "a"}',), True),
    "before a request": (('< {"type": "a"}', GET, GOT), False),
    "marked": (('<E {"type": "a"}', GET, GOT), True),
    "before another event": (('< {"type": "a"}', '< {"type": "b"}'), False),
    "before another event of its kind": (('< {"type": "a"}', '< {"type": "a"}'), True),
    "before a request, and an event of its kind": (('< {"type": "a"}', GET, GOT, '< {"type": "a"}'), True),
    "a text before texts": (("< a", "< b"), True),
    "a text before a request, and texts": (("< a", GET, GOT, "< b"), False),
}


@pytest.mark.parametrize(("lines", "result"), GREETINGS.values(), ids=GREETINGS)
def test_the_first_message_is_an_event_if_its_kind_comes_again(lines: tuple[str, ...], result: bool) -> None:
    recorded = analyze(conversation(*lines))
    assert recorded.greeting is not None
    assert is_event(recorded.greeting, recorded) is result
