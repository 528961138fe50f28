"""Every parser of untrusted data accepts an input or rejects it with a documented error."""

from __future__ import annotations

import json
import random

import cbor2
import pytest

from utcp_ws_mcp.server.jsonrpc import read_message
from verification.security.fuzz import try_input, try_many
from verification.security.parsers import Parser, parsers

PARSERS = {parser.name: parser for parser in parsers()}
COUNT = 300
"""Inputs per parser; `make security` uses more."""


def nested(depth: int, value: object = "x") -> object:
    for _ in range(depth):
        value = [value]
    return value


def manifest(**fields: object) -> bytes:
    return json.dumps({"name": "m", "url": "wss://a.example/", "tools": [{"name": "t"}], **fields}).encode()


def manual(**template: object) -> bytes:
    return json.dumps({"tools": [{"name": "t", "tool_call_template": template}]}).encode()


PASSWORD = {"auth_type": "basic", "username": "ann", "password": "pass-\udcff"}
ENV_FILE = [{"variable_loader_type": "dotenv", "env_file_path": "\0"}]
FORMER_DEFECTS = {
    "pins nested deeply": ("pins", b"[" * 3000),
    "a manifest nested deeply": ("manifest", manifest(x=nested(900))),
    "a login message nested deeply": ("manifest", manifest(on_connect=[{"send": nested(400)}])),
    "a variable nested deeply": ("manifest", manifest(variables={"A": nested(900)})),
    "a password that UTF-8 cannot encode": ("manifest", manifest(auth=PASSWORD)),
    "a file whose name holds NUL": ("manifest", manifest(message={"$file": "\0"})),
    "a file whose name holds a surrogate": ("manifest", manifest(message={"$file": "\ud800"})),
    "a dotenv file whose name holds NUL": ("manifest", manifest(load_variables_from=ENV_FILE)),
    "a manual with a login message nested deeply": ("manual", manual(on_connect=[{"send": nested(400)}])),
    "a manual nested deeply": ("manual", manual(message=nested(900))),
    "unterminated placeholders": ("manual", manual(message="UTCP_ARG_x" * 20_000)),
    "unterminated arguments": ("manual", manual(on_connect=[{"send": "args['" * 20_000}])),
    "a number of thousands of digits": ("message cbor", cbor2.dumps(1 << 100_000)),
    "JSON that is encoded 60 times": ("expression", b"args" + b" | to_json" * 60),
    "a number that MQTT cannot encode": ("template", b'{"type": "publish", "topic": "a", "qos": 1e400}'),
}


@pytest.mark.parametrize(("name", "data"), FORMER_DEFECTS.values(), ids=FORMER_DEFECTS)
def test_an_input_that_broke_a_parser_before_is_accepted_or_rejected(name: str, data: bytes) -> None:
    assert try_input(PARSERS[name], data) in ("", None)


@pytest.mark.parametrize("parser", PARSERS.values(), ids=PARSERS)
def test_a_mutated_input_is_accepted_or_rejected(parser: Parser) -> None:
    verdicts = try_many(parser, random.Random(20261120), max(COUNT // parser.cost, len(parser.seeds)))

    assert verdicts.examples == {}
    assert verdicts.accepted > 0


def test_a_request_whose_id_cannot_be_encoded_is_answered_without_an_id() -> None:
    with pytest.raises(ValueError) as refused:
        read_message(b'{"jsonrpc": "2.0", "id": "\\ud800", "method": 5}')

    assert json.loads(str(refused.value))["id"] is None


def test_a_number_that_json_does_not_define_is_rejected_with_the_id_of_its_request() -> None:
    with pytest.raises(ValueError) as refused:
        read_message(b'{"jsonrpc": "2.0", "id": 7, "method": "ping", "params": {"a": NaN}}')

    assert json.loads(str(refused.value))["id"] == 7


def test_a_line_that_is_not_utf_8_is_rejected_with_the_id_of_its_request() -> None:
    with pytest.raises(ValueError) as refused:  # found by security.fuzz, seed 7
        read_message(b'{"jsonrpc": "\xed\xa0\x80", "id": 1, "method": "tools/list"}')

    assert json.loads(str(refused.value))["id"] == 1


def fails_on_a_quote(data: bytes) -> None:
    if b'"' not in data:
        raise KeyError("no quote")


def test_a_broken_parser_is_reported_with_an_input_that_breaks_it() -> None:
    parser = Parser("weak", fails_on_a_quote, (b'{"a": 1}',), (ValueError,))

    verdicts = try_many(parser, random.Random(1), 500)

    assert list(verdicts.examples) == ["KeyError: 'no quote'"]
    assert all(b'"' not in data for data in verdicts.examples.values())
    assert verdicts.accepted + verdicts.broken.total() == 500


def test_an_input_that_exceeds_the_time_limit_is_a_defect(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("verification.security.fuzz.MAX_SECONDS", -1.0)

    assert try_input(Parser("slow", lambda data: None, ()), b"") == "took 0.0 s"
