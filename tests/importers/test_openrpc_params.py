"""Parameters of JSON-RPC methods as arguments, and subscriptions as feeds, whole."""

from __future__ import annotations

from typing import Any

import pytest

from utcp_ws_mcp.importers.openrpc.params import Parameters, guess_positions, read_parameters, reads_positions
from utcp_ws_mcp.importers.openrpc.subscriptions import (
    Role,
    extension_notifications,
    extension_subscriptions,
    find_roles,
    is_notified_by,
    listen_feed,
    notification,
    request,
    subscription_feed,
    token_expression,
)
from utcp_ws_mcp.importers.references import References
from utcp_ws_mcp.importers.schemas import Schemas

from .test_openrpc import method, param

SCHEMAS = Schemas(References({"d": {"p": {"name": "shared", "schema": {"type": "string"}, "required": True}}}))


def parameters(*listed: Any, by_position: bool = False, reserved: Any = ()) -> Parameters:
    return read_parameters([*listed], SCHEMAS, by_position, reserved)


def test_parameters_are_properties_of_one_object() -> None:
    read = parameters(
        param("a", required=True, description=" The\n a. "),
        {"name": "b c", "schema": {"type": "integer", "description": "Own."}, "description": "Other."},
        {"name": "d", "summary": "Short.", "required": "yes"},
        {"name": "e", "schema": True, "description": "It."},
        {"$ref": "#/d/p"},
        {"name": 3},
        "odd",
        param("f", description=3),
    )
    assert read == Parameters(
        {
            "type": "object",
            "properties": {
                "a": {"type": "string", "description": "The a."},
                "b_c": {"type": "integer", "description": "Own."},
                "d": {"description": "Short."},
                "e": True,
                "shared": {"type": "string"},
                "f": {"type": "string"},
            },
            "required": ["a", "shared"],
            "additionalProperties": False,
        },
        {"a": "a", "b c": "b_c", "d": "d", "e": "e", "shared": "shared", "f": "f"},
        ["a", "shared"],
        False,
    )


def test_no_parameters_are_an_empty_object() -> None:
    read = parameters()
    assert read.inputs == {"type": "object", "properties": {}, "additionalProperties": False}
    assert read.template() == {}
    assert parameters(by_position=True).template() == []


def test_arguments_have_free_names_that_are_not_reserved() -> None:
    assert parameters(param("a b"), param("a-b"), param("cursor"), reserved={"cursor"}).names == {
        "a b": "a_b", "a-b": "a_b_2", "cursor": "cursor_2"
    }  # fmt: skip


@pytest.mark.parametrize(
    ("read", "are_plain"),
    [
        (parameters(param("a"), param("b")), True),
        (parameters(), True),
        (parameters(param("a"), param("b c")), False),
        (parameters(param("a"), by_position=True), False),
    ],
)
def test_arguments_are_params_as_they_are_if_no_name_differs(read: Parameters, are_plain: bool) -> None:
    assert read.are_plain is are_plain


OPTIONAL, REQUIRED = {"required": False}, {"required": True}


def by_position(*required: bool) -> Any:
    return parameters(
        *(param(name, required=each) for name, each in zip("abc", required, strict=False)), by_position=True
    )


A, B, C = (f"{{{{ args.{name} }}}}" for name in "abc")


@pytest.mark.parametrize(
    ("required", "template"),
    [
        ((True,), [A]),
        ((False,), [A]),
        ((True, True), [A, B]),
        ((True, False), [A, B]),
        ((False, True), ["{{ args.a | default(none) }}", B]),
        ((False, False), ["{{ args.a | default(none if args.b is defined else omit) }}", B]),
        (
            (False, False, False),
            [
                "{{ args.a | default(none if args.b is defined or args.c is defined else omit) }}",
                "{{ args.b | default(none if args.c is defined else omit) }}",
                C,
            ],
        ),
        ((False, False, True), ["{{ args.a | default(none) }}", "{{ args.b | default(none) }}", C]),
        ((False, True, False), ["{{ args.a | default(none) }}", B, C]),
        ((True, False, True), [A, "{{ args.b | default(none) }}", C]),
    ],
)
def test_a_missing_parameter_is_null_only_before_one_that_is_there(required: Any, template: Any) -> None:
    assert by_position(*required).template() == template


def test_parameters_by_name_are_written_with_their_own_names() -> None:
    assert parameters(param("a b"), param("c")).template() == {"a b": "{{ args.a_b }}", "c": "{{ args.c }}"}
    assert parameters(param("a b", required=True), by_position=True).template() == ["{{ args.a_b }}"]


@pytest.mark.parametrize(
    ("structure", "option", "default", "expected"),
    [
        ("by-position", "name", False, True),
        ("by-name", "position", True, False),
        ("either", "position", False, True),
        ("either", "name", True, False),
        (None, None, True, True),
        (None, None, False, False),
        ("odd", "position", False, True),
    ],
)
def test_the_method_then_the_option_then_the_document_decide(
    structure: str | None, option: str | None, default: bool, expected: bool
) -> None:
    assert reads_positions({"paramStructure": structure}, option, default) is expected


ETHEREUM = "methods are called like 'eth_a', as at Ethereum nodes"
ALLOWED = "the specification allows it for every method"


@pytest.mark.parametrize(
    ("methods", "expected"),
    [
        ([], (False, ALLOWED)),
        ([method("eth_a")], (True, ETHEREUM)),
        ([method("eth_a"), method("eth_b"), method("c")], (True, ETHEREUM)),
        ([method("eth_a"), method("b")], (False, ALLOWED)),
        ([method("eth_a", paramStructure="either")], (True, ETHEREUM)),
        ([method("eth_a", paramStructure="by-name")], (False, ALLOWED)),
        ([method("eth.a_b")], (False, ALLOWED)),
        ([method("a", param("b"), param("c-d.e$f"))], (False, ALLOWED)),
        ([method("a", param("b"), param("the name"))], (True, "'the name' would be no usual name")),
        ([method("a", "odd", {"$ref": "#/d/p"}, {"name": 3})], (False, ALLOWED)),
        ([method("a", param("the name"), paramStructure="by-name")], (False, ALLOWED)),
        ([{"name": "a"}], (False, ALLOWED)),
    ],
    ids=str,
)
def test_names_say_whether_parameters_are_read_by_position(methods: Any, expected: Any) -> None:
    assert guess_positions(methods, SCHEMAS) == expected


# Roles


def event(name: str, **others: Any) -> dict[str, Any]:
    return {"name": name, "params": [], **others}


LISTEN = param("listen", "boolean")


@pytest.mark.parametrize(
    ("methods", "roles"),
    [
        ([method("get"), event("log")], {}),
        ([method("a_subscribe"), method("a_unsubscribe")], {
            "a_subscribe": Role("subscribe", "a_unsubscribe"), "a_unsubscribe": Role("unsubscribe")
        }),
        ([method("subscribe_a")], {"subscribe_a": Role("subscribe", "unsubscribe_a")}),
        ([method("subscribe_a"), method("unsubscribe")], {
            "subscribe_a": Role("subscribe", "unsubscribe"), "unsubscribe": Role("unsubscribe")
        }),
        ([method("s_subscribeHeads"), method("s_unsubscribe")], {
            "s_subscribeHeads": Role("subscribe", "s_unsubscribe"), "s_unsubscribe": Role("unsubscribe")
        }),
        ([method("chainSubscribe")], {"chainSubscribe": Role("subscribe", "chainUnsubscribe")}),
        ([method("Subscribe"), method("Unsubscribe")], {
            "Subscribe": Role("subscribe", "Unsubscribe"), "Unsubscribe": Role("unsubscribe")
        }),
        ([event("a_subscribe")], {}),
        ([method("onChange", LISTEN)], {"onChange": Role("listen")}),
        ([method("subscribe", LISTEN)], {"subscribe": Role("listen")}),
        ([method("a", "odd", param("listening"))], {}),
        ([event("onChange"), method("onOther")], {"onChange": Role("notification")}),
        ([event("changeOn")], {}),
        *([([event(f"a_{word}")], {f"a_{word}": Role("notification")}) for word in (
            "event", "events", "notification", "notify", "subscription", "changed", "changes"
        )]),
        ([method("a_changed")], {}),
    ],
    ids=str,
)  # fmt: skip
def test_names_and_results_say_what_a_method_is_for_subscriptions(methods: Any, roles: Any) -> None:
    assert find_roles(methods, {}) == roles


def test_a_method_that_ends_a_subscription_of_the_document_is_one_whatever_its_name() -> None:
    assert find_roles([method("stop"), method("None")], {"a": {"unsubscribe": "stop"}, "b": {}}) == {
        "stop": Role("unsubscribe"), "None": Role("unsubscribe")
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "feeds", "expected"),
    [
        ("eth_subscription", ["eth_subscribe"], True),
        ("eth.event", ["other", "eth_subscribe"], True),
        ("eth_subscription", ["net_subscribe"], False),
        ("eth_subscription", [], False),
    ],
)
def test_a_notification_belongs_to_a_subscription_of_its_namespace(name: str, feeds: Any, expected: bool) -> None:
    assert is_notified_by(name, feeds) is expected


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        (None, "reply.result"),
        ({"type": "string"}, "reply.result"),
        ({"properties": {"id": {}}}, "reply.result.id"),
        ({"properties": {"ok": {}, "subscriptionId": {}, "id": {}}}, "reply.result.subscriptionId"),
        ({"properties": {"idea": {}}}, "reply.result"),
        ({"properties": {"the id": {}, "my_id": {}}}, "reply.result.my_id"),
        ({"properties": {"the id": {}}}, "reply.result"),
        ({"properties": None}, "reply.result"),
    ],
    ids=str,
)
def test_the_id_of_a_subscription_is_the_result_or_a_property_of_it(schema: Any, expected: str) -> None:
    assert token_expression(schema) == expected


# Messages and feeds


def test_a_request_has_the_form_of_json_rpc() -> None:
    assert request("a", [1]) == {"jsonrpc": "2.0", "id": "{{ request_id }}", "method": "a", "params": [1]}
    assert request("a", {}, "x")["id"] == "x"
    assert "args" in request("{{ args.x }}", {})["method"]
    assert request("{{ args.x }}", {})["method"].startswith("{{ '")


OPENED = {"expect": "message.id == request_id and message.method is not defined"}
TOKENS = "[message.params.subscription, message.params.subscription_id, message.params.subscriptionId]"


@pytest.mark.parametrize(
    ("ends_by_position", "params"), [(True, ["{{ reply.result }}"]), (False, {"id": "{{ reply.result }}"})]
)
def test_a_subscription_is_a_whole_feed(ends_by_position: bool, params: Any) -> None:
    read = parameters(param("kind"))
    each = method("eth_subscribe", summary="Subscribes.", description="More.")
    assert subscription_feed("own", each, read, "reply.result", ("eth_unsubscribe", ends_by_position, "id")) == {
        "name": "own",
        "description": "Subscribes.",
        "inputs": read.inputs,
        "open": [{"send": request("eth_subscribe", {"kind": "{{ args.kind }}"})}, OPENED],
        "match": f"message.method is defined and reply.result in {TOKENS}",
        "item": "message.params.result | default(message.params.payload) | default(message.params)",
        "close": request("eth_unsubscribe", params, "{{ next_id() }}"),
    }


def test_a_subscription_without_parameters_has_no_inputs() -> None:
    feed = subscription_feed("own", method("sub"), parameters(), "reply.result", ("unsub", True, "id"))
    assert "inputs" not in feed
    assert feed["description"] == "Own."
    assert feed["open"][0]["send"]["params"] == {}


def test_a_method_that_listens_is_a_whole_feed() -> None:
    read = parameters(param("listen", "boolean", required=True), param("room", required=True), param("x"))
    feed = listen_feed("own", method("onChange", description="Changes."), read)
    others = {"room": "{{ args.room }}", "x": "{{ args.x }}"}
    assert feed == {
        "name": "own",
        "description": "Changes.",
        "inputs": {
            "type": "object",
            "properties": {"room": {"type": "string"}, "x": {"type": "string"}},
            "required": ["room"],
            "additionalProperties": False,
        },
        "open": [{"send": request("onChange", {**others, "listen": True})}, OPENED],
        "match": "message.id == request_id and message.result is defined and message.result.listening is not defined",
        "item": "message.result",
        "close": request("onChange", {**others, "listen": False}, "{{ next_id() }}"),
    }


def test_a_method_that_listens_without_other_arguments_has_no_inputs() -> None:
    assert "inputs" not in listen_feed("own", method("on"), parameters(LISTEN))
    only_optional = listen_feed("own", method("on"), parameters({**LISTEN, "required": True}, param("x")))
    assert "required" not in only_optional["inputs"]


def test_a_notification_is_an_event_with_its_description() -> None:
    event = notification("changed")
    assert (event.feed, event.subject, event.value) == ("notifications", "message.method", "changed")
    assert event.fields == {"description": "What the endpoint notifies of.", "item": "message"}


def test_what_stands_outside_of_the_methods_is_found_by_its_keys() -> None:
    subscription = {"subscribe": "a"}
    assert [*extension_subscriptions({"x-rpc-subscriptions": [subscription, {"subscribe": 3}, "odd"]})] == [
        subscription
    ]
    named = [{"name": name} for name in "abc"]
    keys = ("notifications", "x-notifications", "x-rpc-notifications")
    document = {key: [each, {"name": 3}, "odd"] for key, each in zip(keys, reversed(named), strict=True)}
    assert [*extension_notifications(document)] == named
