"""How many tokens of an endpoint are remembered, and which texts each function of a redactor changes."""

from __future__ import annotations

import json
from pathlib import PurePath
from typing import Any

import pytest

from utcp_ws_mcp.manifest.loader import load_document
from utcp_ws_mcp.manifest.variables import VariableResolver
from utcp_ws_mcp.observability import redaction as module
from utcp_ws_mcp.observability.redaction import (
    MAX_LOGINS,
    MAX_TOKENS,
    Redactor,
    SinkRedactor,
    TokenGroup,
    redact_strings,
    secrets_of,
)


def token(number: int) -> str:
    return f"token{number:05}"


def known(group: TokenGroup, *numbers: int) -> list[bool]:
    return [group.redact(token(number)) == "***" for number in numbers]


@pytest.mark.parametrize(("connections", "logins"), [(1, MAX_LOGINS), (8, MAX_LOGINS), (9, 72), (20, 160)])
def test_the_tokens_of_the_last_logins_are_remembered(connections: int, logins: int) -> None:
    group = TokenGroup()
    for number in range(logins + 1):
        group.learn([token(number)], connections)
    assert known(group, 0, 1, logins) == [False, True, True]


def test_a_login_that_comes_again_is_the_last_one() -> None:
    group = TokenGroup()
    for number in range(MAX_LOGINS):
        group.learn([token(number)], 1)
    group.learn([token(0)], 1)
    group.learn([token(MAX_LOGINS)], 1)
    assert known(group, 0, 1, 2) == [True, False, True]


def test_so_many_tokens_of_a_login_are_remembered() -> None:
    group = TokenGroup()
    group.learn(map(token, range(MAX_TOKENS + 1)), 1)
    assert known(group, MAX_TOKENS - 1, MAX_TOKENS) == [True, False]


def test_the_tokens_of_an_endpoint_have_a_greatest_length_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_TOKEN_CHARACTERS", 30)
    group = TokenGroup()
    for number in range(3):
        group.learn([token(number)], 1)
    assert known(group, 0, 1, 2) == [True] * 3
    group.learn([token(3)], 1)
    assert known(group, 0, 1, 2, 3) == [False, True, True, True]
    group.learn([token(4), token(5)], 1)
    assert known(group, 1, 2, 3, 4, 5) == [False, False, True, True, True]
    long = "".join(map(token, range(10, 20)))
    group.learn([long], 1)  # the last login is remembered whatever its length is
    assert group.redact(long) == "***"
    assert known(group, 5) == [False]


def manifest(**fields: Any) -> Any:
    document = {"name": "m", "url": "wss://a.example/", "tools": [{"name": "t"}], **fields}
    variables = {"KEY": "key-of-operator", "ROOM": "kitchen-lamp", "WORD": "sesame"}
    return load_document([document], VariableResolver([variables]), "m.json", PurePath())


HEADERS = {"X-Key": "${KEY}", "X-Word": "${WORD}"}
TEXT = "key-of-operator kitchen-lamp sesame"


def test_each_function_of_a_redactor_removes_what_it_has_to() -> None:
    redact = Redactor([manifest(headers=HEADERS, message={"room": "${ROOM}"})])
    assert redact(TEXT) == "*** *** ***"
    assert redact.redact_result(TEXT) == "*** kitchen-lamp ***"
    assert redact.guard(TEXT) == "*** kitchen-lamp sesame"
    redact.add_values(["given-later-1", "opener"])
    text = "given-later-1 opener"
    assert (redact(text), redact.redact_result(text), redact.guard(text)) == ("*** ***", "*** ***", "*** opener")
    redact.add_secrets([])
    redact.add_tokens("m", ["token-of-login"])
    for each in (redact, redact.redact_result, redact.guard):
        assert each("token-of-login key-of-operator") == "*** ***"


def test_an_entry_without_variables_and_credentials_has_no_secrets() -> None:
    (entry,) = manifest().entries
    found = secrets_of(entry)
    assert (found.values, found.credentials) == ((), ())
    (entry,) = manifest(headers=HEADERS, message={"room": "${ROOM}"}).entries
    found = secrets_of(entry)
    assert sorted(found.values) == sorted(TEXT.split())
    assert sorted(found.credentials) == ["key-of-operator", "sesame"]
    assert "sesame" not in repr(found)


def test_a_sink_removes_the_secrets_of_all_callers_that_are_there() -> None:
    shared, ada, bob = Redactor(), Redactor(), Redactor()
    for each, name in ((shared, "own-of-operator"), (ada, "key-of-ada-1"), (bob, "key-of-bob-1")):
        each.add_values([name])
    sinks = SinkRedactor(shared)
    text = "own-of-operator key-of-ada-1 key-of-bob-1"
    assert sinks(text) == "*** key-of-ada-1 key-of-bob-1"
    sinks.add(ada)
    sinks.add(bob)
    assert sinks(text) == sinks.guard(text) == "*** *** ***"
    assert sinks.guard_names(text) == "*** key-of-ada-1 key-of-bob-1"
    sinks.remove(ada)
    assert sinks(text) == sinks.guard(text) == "*** key-of-ada-1 ***"


@pytest.mark.parametrize("value", [{"a": ["s", {"s": "xs"}], "b": 1}, ["s"], "s", 5, None, True, 1.5])
def test_all_texts_of_a_value_are_redacted_and_nothing_else(value: Any) -> None:
    shown = redact_strings(value, lambda text: text.replace("s", "*"))
    assert json.dumps(shown) == json.dumps(value).replace("s", "*")
