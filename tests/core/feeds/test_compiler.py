"""What a feed of a manifest is compiled into: its requests, its events, its tools, and what is wrong with it."""

from __future__ import annotations

from pathlib import PurePath
from typing import Any

import pytest

from utcp_ws_mcp.core.codecs.message import decode
from utcp_ws_mcp.core.exchange.dispatcher import Dispatcher
from utcp_ws_mcp.core.exchange.exchange import Exchange
from utcp_ws_mcp.core.exchange.reply_rules import Concurrency, Role
from utcp_ws_mcp.core.expressions.scope import Ambient, Scope
from utcp_ws_mcp.core.feeds.feed import CompiledFeed, FeedRequest
from utcp_ws_mcp.core.templates.nodes import RenderError
from utcp_ws_mcp.core.tools.catalog import compile_entry
from utcp_ws_mcp.core.tools.tool import CompiledTool
from utcp_ws_mcp.errors import Problem
from utcp_ws_mcp.manifest.loader import load_document
from utcp_ws_mcp.manifest.variables import VariableResolver

SUBSCRIBE = [
    {"send": {"op": "subscribe", "symbol": "{{ args.symbol }}"}},
    {"expect": "message.op in ['subscribed', 'refused']", "fail": "message.op == 'refused'", "timeout": 5},
]
TRADES: dict[str, Any] = {
    "name": "trades",
    "inputs": {"properties": {"symbol": {"type": "string", "default": "ACME"}}},
    "open": SUBSCRIBE,
    "match": "message.symbol == args.symbol",
    "until": "message.op == 'closed'",
    "item": "message.price",
    "close": {"op": "unsubscribe"},
}


def compile_feed(feed: Any = TRADES, **fields: Any) -> tuple[list[CompiledTool], list[Problem]]:
    document = [{"name": "m", "url": "wss://a.example/", "feeds": [feed], **fields}]
    (entry,) = load_document(document, VariableResolver([{"TOKEN": "x"}]), "m.json", PurePath()).entries
    return compile_entry(entry)


def tools_of(feed: Any = TRADES, **fields: Any) -> list[CompiledTool]:
    tools, problems = compile_feed(feed, **fields)
    assert problems == []
    return tools


def feed_of(feed: Any = TRADES, **fields: Any) -> CompiledFeed:
    found = tools_of(feed, **fields)[0].feed
    assert found is not None
    return found.feed


def ask(request: FeedRequest, **args: Any) -> tuple[Dispatcher, Exchange, list[Any]]:
    """Open the exchange of a request; return it with the messages that are sent."""
    exchanges = Dispatcher("counter", str)
    scope = Scope(Ambient(None, None), {"args": args, "tool": "trades", "session": {}, "vars": {}})  # type: ignore[arg-type]
    exchange = exchanges.open(request.rules, scope)
    return exchanges, exchange, [message.render(exchange.scope) for message in request.messages]


def receive(exchanges: Dispatcher, text: str) -> Role:
    return exchanges.receive(decode(text))


# --- tools ---


def test_a_feed_without_keys_has_one_tool_that_only_reads() -> None:
    (tool,) = tools_of()
    assert (tool.name, tool.original_name, tool.full_name) == ("trades_events", "trades_events", "m.trades_events")
    assert (tool.annotations.read_only, tool.annotations.idempotent) == (True, True)
    assert (tool.idempotent, tool.tags, tool.hidden, tool.rank) == (True, ("feed",), frozenset(), 0)
    assert (tool.defaults, tool.compiled_template.request, tool.result_schema) == ({"symbol": "ACME"}, (), None)
    assert tool.inputs["type"] == "object"
    assert tool.outputs["required"] == ["events", "cursor", "missed", "gaps", "has_more", "timed_out", "state"]
    assert tool.feed is not None
    assert tool.feed.kind == "events"
    assert tool.rules is tool.feed.feed.subscription.rules
    assert tool.returns_parsed_json is False


def test_a_feed_with_keys_has_a_tool_for_the_newest_events_too() -> None:
    events, latest = tools_of({**TRADES, "key": "message.symbol"})
    assert [each.name for each in (events, latest)] == ["trades_events", "trades_latest"]
    assert [each.feed and each.feed.kind for each in (events, latest)] == ["events", "latest"]
    assert set(latest.inputs["properties"]) == {"symbol", "keys"}
    assert set(events.inputs["properties"]) == {"symbol", "cursor", "wait_seconds", "max_events", "where"}
    assert latest.outputs["required"] == ["values", "state"]
    assert "newest event of each key" in latest.description
    assert "cursor" in events.description


def test_the_arguments_of_a_feed_are_validated_in_its_tools() -> None:
    (tool,) = tools_of()
    assert tool.validate_arguments({"max_events": 5.0}) == {"symbol": "ACME", "max_events": 5}
    assert tool.argument_schema.check({"symbol": 1}) is not None
    assert tool.argument_schema.check({"other": 1}) is not None


def test_two_feeds_have_their_own_tools() -> None:
    tools = tools_of(TRADES, feeds=[TRADES, {"name": "news", "match": "message.news"}])
    assert [tool.name for tool in tools] == ["trades_events", "news_events"]


@pytest.mark.parametrize("name", ["cursor", "wait_seconds", "max_events", "where", "keys"])
def test_an_argument_of_a_feed_must_not_be_one_of_its_tools(name: str) -> None:
    _, (problem,) = compile_feed({**TRADES, "inputs": {"properties": {name: {}}}})
    assert (problem.path, problem.code) == ("[0].feeds[0].inputs", "feed-argument-reserved")
    assert problem.message == f"the argument {name!r} is one of the tools of every feed. Give it another name."


def test_a_schema_of_arguments_that_is_none_is_a_problem_of_the_feed() -> None:
    (tool,), problems = compile_feed({**TRADES, "inputs": {"properties": {"symbol": {"type": "text"}}}})
    assert {(each.path, each.code) for each in problems} == {
        ("[0].feeds[0].inputs.properties.symbol.type", "invalid-schema")
    }
    assert tool.argument_schema.check({"symbol": 1}) is None, "the problem is reported once, not with each value"


def test_properties_that_are_no_object_leave_a_feed_without_arguments() -> None:
    tools, _ = compile_feed({**TRADES, "match": "message.a", "open": [], "close": None, "inputs": {"properties": 1}})
    assert [tool.feed.feed.argument_names for tool in tools if tool.feed] == [frozenset()]


FIELDS: dict[str, tuple[Any, str]] = {
    "match": ({"match": "mesage.a"}, "match"),
    "item": ({"item": "mesage.a"}, "item"),
    "until": ({"until": "mesage.a"}, "until"),
    "key": ({"key": "mesage.a"}, "key"),
    "position": ({"position": "mesage.a"}, "position"),
    "close": ({"close": "{{ arg.symbol }}"}, "close"),
    "send": ({"open": [{"send": "{{ arg.symbol }}"}]}, "open[0].send"),
    "expect": ({"open": [{"send": "x"}, {"expect": "mesage.a"}]}, "open[1].expect"),
    "fail": ({"open": [{"expect": "true", "fail": "mesage.a"}]}, "open[0].fail"),
    "fail_message": ({"open": [{"expect": "true", "fail_message": "mesage.a"}]}, "open[0].fail_message"),
    "resume": ({"position": "message.n", "resume": [{"send": "{{ pos }}"}]}, "resume[0].send"),
    "the position of an event, in open": ({"open": [{"send": "{{ position }}"}]}, "open[0].send"),
    "let": ({"item": "let.a"}, "item"),
}


@pytest.mark.parametrize(("change", "path"), FIELDS.values(), ids=FIELDS)
def test_a_wrong_expression_is_reported_at_its_place(change: Any, path: str) -> None:
    _, problems = compile_feed({**TRADES, **change})
    assert [each.path for each in problems] == [f"[0].feeds[0].{path}"]


def test_what_is_wrong_with_the_call_template_is_reported_once() -> None:
    tools, problems = compile_feed(reply={"match": "mesage.id"})
    assert tools == []
    assert [each.path for each in problems] == ["[0].reply.match"]


# --- requests ---


def test_the_last_request_subscribes_and_its_reply_opens_the_stream_of_events() -> None:
    feed = feed_of()
    assert (feed.full_name, feed.opening, feed.resume) == ("m.trades", (), ())
    assert (feed.subscription.timeout, feed.argument_names) == (5, {"symbol"})
    assert feed.subscription.rules.concurrency is Concurrency.MULTIPLEXED
    exchanges, exchange, sent = ask(feed.subscription, symbol="ACME")
    assert sent == ['{"op":"subscribe","symbol":"ACME"}'] or sent == [{"op": "subscribe", "symbol": "ACME"}]
    roles = [
        receive(exchanges, text)
        for text in (
            '{"symbol": "ACME", "price": 1}',
            '{"op": "subscribed"}',
            '{"symbol": "ACME", "price": 2}',
            '{"symbol": "INIT", "price": 3}',
            '{"symbol": "ACME", "op": "closed"}',
        )
    ]
    assert roles == [Role.HELD, Role.REPLY, Role.ITEM, Role.DROPPED, Role.END]
    assert [message.value["price"] for message in exchange.received] == [1, 2]
    assert exchange.end == "until"


def test_a_refused_subscription_is_an_error_and_an_event_that_looks_refused_is_an_event() -> None:
    exchanges, exchange, _ = ask(feed_of().subscription, symbol="ACME")
    assert receive(exchanges, '{"op": "refused"}') is Role.ERROR
    exchanges, exchange, _ = ask(feed_of().subscription, symbol="ACME")
    receive(exchanges, '{"op": "subscribed"}')
    assert receive(exchanges, '{"symbol": "ACME", "op": "refused"}') is Role.ITEM
    assert exchange.error is None


REPLY = {"error": "message.error is defined", "error_message": "message.error.text"}


def test_an_event_is_an_error_where_the_reply_of_the_call_template_says_so() -> None:
    exchanges, exchange, _ = ask(feed_of(reply=REPLY).subscription, symbol="ACME")
    receive(exchanges, '{"op": "subscribed"}')
    assert receive(exchanges, '{"symbol": "ACME", "error": {"text": "full"}}') is Role.ERROR
    message = exchange.received[-1]
    assert exchange.rules.error_text(exchange.scope_for(message)) == "full"


def test_a_step_without_a_fail_of_its_own_has_that_of_the_reply() -> None:
    steps = [{"send": "x"}, {"expect": "message.op is defined"}]
    exchanges, exchange, _ = ask(feed_of({**TRADES, "open": steps}, reply=REPLY).subscription, symbol="ACME")
    assert receive(exchanges, '{"op": 1, "error": {"text": "full"}}') is Role.ERROR
    message = exchange.received[-1]
    assert exchange.rules.error_text(exchange.scope_for(message)) == "full"


def test_a_step_with_a_fail_of_its_own_has_its_text() -> None:
    steps = [{"send": "x"}, {"expect": "message.op is defined", "fail": "message.no", "fail_message": "message.why"}]
    exchanges, exchange, _ = ask(feed_of({**TRADES, "open": steps}, reply=REPLY).subscription, symbol="ACME")
    assert receive(exchanges, '{"op": 1, "no": true, "why": "closed"}') is Role.ERROR
    message = exchange.received[-1]
    assert exchange.rules.error_text(exchange.scope_for(message)) == "closed"
    exchanges, _, _ = ask(feed_of({**TRADES, "open": steps}, reply=REPLY).subscription, symbol="ACME")
    assert receive(exchanges, '{"op": 1, "error": {"text": "full"}}') is Role.REPLY


def test_steps_before_the_last_reply_are_requests_of_their_own() -> None:
    steps = [
        {"send": "hello"},
        {"send": "who"},
        {"expect": "message.me", "timeout": 2},
        {"expect": "message.ready"},
        {"send": "subscribe"},
        {"expect": "message.ok", "timeout": 3},
    ]
    feed = feed_of({**TRADES, "open": steps})
    assert [(len(each.messages), each.timeout) for each in feed.opening] == [(2, 2), (0, 10)]
    assert [each.rules.listen_only for each in feed.opening] == [False, False]
    assert (len(feed.subscription.messages), feed.subscription.timeout) == (1, 3)
    assert [ask(each)[2] for each in (*feed.opening, feed.subscription)] == [["hello", "who"], [], ["subscribe"]]
    exchanges, exchange, _ = ask(feed.opening[1])
    assert [receive(exchanges, text) for text in ('{"other": 1}', '{"ready": 1}')] == [Role.DROPPED, Role.REPLY]
    assert exchange.finished


def test_requests_whose_replies_have_no_id_share_the_connection() -> None:
    feed = feed_of({**TRADES, "open": [*SUBSCRIBE, {"send": "x"}, {"expect": "message.id == request_id"}]})
    assert feed.opening[0].rules.concurrency is Concurrency.MULTIPLEXED
    assert feed.opening[0].rules.correlation_path is None
    assert feed.subscription.rules.correlation_path == ("id",)


def test_messages_without_a_reply_open_the_stream_at_once() -> None:
    feed = feed_of({**TRADES, "open": [{"send": "subscribe"}]}, reply=REPLY)
    assert (feed.subscription.timeout, len(feed.subscription.messages)) == (10, 1)
    exchanges, exchange, _ = ask(feed.subscription, symbol="ACME")
    assert (exchange.in_stream, exchange.rules.no_reply, exchange.rules.listen_only) == (True, False, False)
    assert receive(exchanges, '{"symbol": "ACME"}') is Role.ITEM
    assert receive(exchanges, '{"symbol": "ACME", "error": {"text": "full"}}') is Role.ERROR


def test_the_last_messages_are_a_request_after_one_with_a_reply() -> None:
    feed = feed_of({**TRADES, "open": [*SUBSCRIBE, {"send": "go"}]}, reply=REPLY)
    assert [len(each.messages) for each in (*feed.opening, feed.subscription)] == [1, 1]
    assert ask(feed.subscription)[2] == ["go"]


def test_a_feed_that_sends_nothing_only_listens() -> None:
    feed = feed_of({"name": "said", "match": "message.said"})
    assert (feed.opening, feed.subscription.messages, feed.subscription.timeout) == ((), (), 10)
    assert feed.subscription.rules.listen_only
    exchanges, exchange, _ = ask(feed.subscription)
    assert [receive(exchanges, text) for text in ('{"said": 1}', '{"other": 1}')] == [Role.ITEM, Role.DROPPED]
    assert exchange.rules.stream is not None
    assert (exchange.rules.stream.until, exchange.rules.stream.item, feed.item) == ((), None, None)


def test_a_feed_has_no_bound_of_events() -> None:
    exchange = ask(feed_of({"name": "said", "match": "message.said"}).subscription)[1]
    assert exchange.limits is not None
    assert (exchange.limits.max_items, exchange.limits.max_seconds, exchange.limits.idle_seconds) == (
        1 << 62,
        None,
        None,
    )
    assert exchange.rules.stream is not None
    assert exchange.rules.stream.bounds.max_bytes == 1 << 62


def test_a_feed_that_is_closed_ends_its_subscription() -> None:
    exchanges, exchange, _ = ask(feed_of().subscription, symbol="ACME")
    receive(exchanges, '{"op": "subscribed"}')
    assert exchanges.cancellations.end(exchange) == [("stream.cancel", {"op": "unsubscribe"})]
    exchanges, exchange, _ = ask(feed_of({**TRADES, "close": None}).subscription, symbol="ACME")
    receive(exchanges, '{"op": "subscribed"}')
    assert exchanges.cancellations.end(exchange) == []


def test_the_steps_of_resume_see_the_last_position() -> None:
    resume = [
        {"send": {"after": "{{ position }}", "of": "{{ tool }}"}},
        {"expect": "message.from == position", "fail": "message.lost", "fail_message": "message.text ~ position"},
    ]
    feed = feed_of({**TRADES, "position": "message.seq", "resume": resume})
    (request,) = feed.resume
    exchanges = Dispatcher("counter", str)
    ambient = Ambient(None, None)  # type: ignore[arg-type]
    exchange = exchanges.open(request.rules, Scope(ambient, {"args": {}, "tool": "trades", "position": 7}))
    assert [message.render(exchange.scope) for message in request.messages] == [{"after": 7, "of": "trades"}]
    assert receive(exchanges, '{"from": 6}') is Role.DROPPED
    assert receive(exchanges, '{"from": 7}') is Role.REPLY


def test_a_message_of_resume_needs_no_reply() -> None:
    feed = feed_of({**TRADES, "position": "message.seq", "resume": [{"send": "again"}]}, reply=REPLY)
    (request,) = feed.resume
    assert (request.rules.no_reply, request.timeout, len(request.messages)) == (True, 10, 1)


def test_an_argument_in_the_form_of_utcp_keeps_its_type() -> None:
    feed = feed_of({**TRADES, "open": [{"send": {"n": "UTCP_ARG_n_UTCP_ARG"}}]})
    assert ask(feed.subscription, n=5)[2] == [{"n": 5}]


def test_an_argument_is_no_wildcard_of_a_topic_of_mqtt() -> None:
    subscribe = {"type": "subscribe", "topic": "prices/{{ args.symbol }}"}
    feed = feed_of({**TRADES, "open": [{"send": subscribe}], "close": None}, framing={"codec": "mqtt"})
    assert ask(feed.subscription, symbol="ACME")[2] == [{"type": "subscribe", "topic": "prices/ACME"}]
    with pytest.raises(RenderError):
        ask(feed.subscription, symbol="#")


def test_a_message_of_a_feed_can_have_credentials() -> None:
    feed = feed_of({**TRADES, "open": [{"send": "{{ vars.TOKEN }} ${TOKEN}"}]})
    exchange = Dispatcher("counter", str).open(
        feed.subscription.rules,
        Scope(Ambient(None, None), {"args": {}, "vars": {"TOKEN": "x"}}),  # type: ignore[arg-type]
    )
    assert feed.subscription.messages[0].render(exchange.scope) == "x x"
