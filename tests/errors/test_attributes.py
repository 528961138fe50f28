"""What an error is made of can be read from it."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import pytest

from utcp_ws_mcp import errors as e

CAUSE = e.ConnectError("https://a.example/", "refused.", code="connect-failed", step="before_message[0]")
GIVEN: list[tuple[type[e.BridgeError], dict[str, Any]]] = [
    (e.InvalidManifest, {"source": "a.json", "problems": [e.Problem("", "is empty.")]}),
    (e.MissingVariable, {"names": ["A", "B"], "manual": "m"}),
    (e.InternalError, {"context": "m"}),
    (e.UnknownTool, {"name": "m.t", "reason": "it is withheld"}),
    (e.UnknownFeed, {"name": "m.f"}),
    (e.InvalidArguments, {"tool": "m.t", "code": "argument-missing"}),
    (e.ToolError, {"tool": "m.t", "message": "no", "payload": {"a": 1}, "partial": [1, 2]}),
    (e.InvalidReply, {"tool": "m.t", "code": "reply-not-json"}),
    (e.HttpStepFailed, {"tool": "m.t", "outcome": e.Outcome.MAYBE_EXECUTED, "cause": CAUSE}),
    (e.UnidentifiableReply, {"tool": "m.t", "address": "wss://a/", "outcome": e.Outcome.ANSWERED}),
    (e.IncompleteStream, {"tool": "m.t", "end": "max_items", "outcome": e.Outcome.ANSWERED}),
    (e.ResultTooLarge, {"tool": "m.t", "size": 9, "limit": 7}),
    (e.TooManyHeldMessages, {"address": "wss://a/", "count": 9, "outcome": e.Outcome.ANSWERED}),
    (
        e.MessageTooBig,
        {"address": "wss://a/", "limit": 9, "outcome": e.Outcome.ANSWERED, "other_calls_pending": True},
    ),
    (
        e.CallTimeout,
        {"tool": "m.t", "timeout": 2.5, "stage": e.TimeoutStage.SEND, "outcome": e.Outcome.MAYBE_EXECUTED},
    ),
    (e.ConnectError, {"address": "wss://a/", "step": "on_connect[1]", "reason": "refused.", "code": "x-y"}),
    (e.HandshakeRejected, {"address": "wss://a/", "status": 401}),
    (
        e.ConnectionLost,
        {"address": "wss://a/", "close_reason": "cut", "outcome": e.Outcome.ANSWERED, "close_code": 1001},
    ),
    (e.ConnectionLost, {"partial": [1, 2]}),
    (e.SessionLost, {"address": "wss://a/", "reason": "expired", "outcome": e.Outcome.ANSWERED, "partial": [1]}),
    (e.DiscoveryTimeout, {"manual": "m", "seconds": 2.5}),
    (e.DiscoveryInterrupted, {"manual": "m", "reason": "cut"}),
    (e.TokenRequestError, {"address": "https://a/"}),
    (e.ScopeRequired, {"tool": "m.t", "scopes": ["a", "b"]}),
    (e.SubjectRateExceeded, {"per_second": 5, "wait": 0.5}),
    (e.CallerValueMissing, {"tool": "m.t", "headers": ["x-key"]}),
    (e.CallerValueRefused, {"tool": "m.t", "headers": ["x-key"]}),
    (e.TooManyCallers, {"tool": "m.t", "limit": 8}),
    (e.PinStoreError, {"path": "pins.json", "reason": "no space"}),
    (e.ApprovalRefused, {"tool": "m.t", "reason": "unknown"}),
    (e.ForbiddenAddress, {"host": "a.example", "address": "10.0.0.7", "kind": "private"}),
    (e.ForbiddenRedirect, {"address": "wss://a/", "status": 302}),
    (e.ForbiddenHeader, {"name": "Host"}),
    (e.HostNotAllowed, {"hosts": ["a.example:443"]}),
    (e.VariableNotAllowed, {"names": ["KEY"], "hosts": ["a.example:443"]}),
]
DEFAULTS: dict[str, Any] = {
    "problems": [],
    "tool": "m.t",
    "reason": "a reason",
    "address": "wss://a/",
    "close_reason": "cut",
    "excerpt": "",
    "count": 2,
    "outcome": e.Outcome.MAYBE_EXECUTED,
    "cause": CAUSE,
    "of_subject": True,
}


def made(kind: type[e.BridgeError], given: dict[str, Any]) -> e.BridgeError:
    """Return an error with the given arguments, and others where it needs them."""
    needed = {
        name
        for name, parameter in inspect.signature(kind).parameters.items()
        if parameter.default is inspect.Parameter.empty and name not in given
    }
    return kind(**given, **{name: DEFAULTS[name] for name in needed})


@pytest.mark.parametrize(("kind", "given"), GIVEN, ids=[kind.__name__ for kind, _ in GIVEN])
def test_an_error_has_the_data_that_it_was_made_of(kind: type[e.BridgeError], given: dict[str, Any]) -> None:
    error = made(kind, given)
    for name, value in given.items():
        expected = tuple(value) if isinstance(value, Sequence) and not isinstance(value, str) else value
        if name not in ("cause", "message"):
            assert getattr(error, name) == expected, name
    assert error.args == (error.message,)


@pytest.mark.parametrize(("kind", "given"), GIVEN, ids=[kind.__name__ for kind, _ in GIVEN])
def test_the_message_of_an_error_names_what_it_is_about(kind: type[e.BridgeError], given: dict[str, Any]) -> None:
    error = made(kind, given)
    about = [getattr(error, name) for name in ("tool", "address", "manual", "host", "path") if hasattr(error, name)]
    if not isinstance(error, e.ToolError):
        assert not about or any(str(each) in error.message for each in about)


def test_when_to_come_back_is_taken_from_the_cause() -> None:
    from datetime import UTC, datetime

    back = e.RetryAfter(2.5, datetime(2026, 11, 30, 12, 30, 15, tzinfo=UTC))
    cause = e.ConnectError("https://a/", "busy", code="http-step-failed", step="s", retry_after=back)
    failed = e.HttpStepFailed("m.t", cause, e.Outcome.NOT_SENT)
    assert (failed.retry_after, failed.step, failed.address, failed.code) == (
        back,
        "s",
        "https://a/",
        "http-step-failed",
    )
    for error in (
        cause,
        e.HandshakeRejected("wss://a/", 503, retry_after=back),
        e.TokenRequestError("https://a/", "busy", retry_after=back),
    ):
        assert error.retry_after == back
        assert "try again in 2.5 s, at 12:30:15 UTC." in error.message


def test_the_cause_of_an_internal_error_is_the_exception() -> None:
    bug = KeyError("x")
    assert e.InternalError("m", bug).__cause__ is bug


def test_an_error_of_a_connection_can_be_redacted_in_each_of_its_texts() -> None:
    error = e.ConnectError("wss://a/", "rejected secret.", code="x")
    error.redact(lambda text: text.replace("secret", "***"))
    assert (error.reason, error.message) == ("rejected ***.", "cannot connect to wss://a/: rejected ***.")
    assert error.args == (error.message,)


@pytest.mark.parametrize("outcome", e.Outcome)
def test_the_cause_leaves_out_what_is_known_of_the_request(outcome: e.Outcome) -> None:
    lost = e.ConnectionLost("wss://a/", "cut", outcome)
    assert lost.message.endswith(f" {outcome.value}")
    assert lost.cause == "the connection to wss://a/ was lost: cut."
