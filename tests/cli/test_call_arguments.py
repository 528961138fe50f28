"""The arguments of `call`, as a person types them, and how its result is written."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any
from unittest import mock

import click
import pytest

from utcp_ws_mcp.cli import call
from utcp_ws_mcp.cli.argument_names import check_argument_names
from utcp_ws_mcp.cli.call import check_timeout, parse_arguments
from utcp_ws_mcp.client.manifest_files import load_manifest
from utcp_ws_mcp.errors import InvalidArguments

SCHEMA = {
    "properties": {
        "text": {"type": "string"}, "n": {"type": "integer"}, "list": {"type": "array"}, "map": {"type": "object"},
        "any": {},
    }
}  # fmt: skip
ARGUMENTS: dict[str, tuple[list[str], str | None, dict[str, Any]]] = {
    "nothing": ([], None, {}),
    "a text": (["text=7"], None, {"text": "7"}),
    "a text that is empty": (["text="], None, {"text": ""}),
    "a text with an equals sign": (["text=a=b"], None, {"text": "a=b"}),
    "a number": (["n=7"], None, {"n": 7}),
    "a word in place of a number": (["n=x"], None, {"n": "x"}),
    "what has no type": (["any=7", "other=null"], None, {"any": 7, "other": None}),
    "a word that has no type": (["any=x"], None, {"any": "x"}),
    "a list": (["list=[1]"], None, {"list": [1]}),
    "an object": (['map={"a": 1}'], None, {"map": {"a": 1}}),
    "JSON": (["text:=7", 'n:={"a": [1]}'], None, {"text": 7, "n": {"a": [1]}}),
    "an object of all": ([], '{"text": "a", "n": 1}', {"text": "a", "n": 1}),
    "a pair that overrides": (["n=2", "any=3"], '{"text": "a", "n": 1}', {"text": "a", "n": 2, "any": 3}),
}


@pytest.mark.parametrize(("pairs", "input_json", "arguments"), ARGUMENTS.values(), ids=ARGUMENTS)
def test_arguments_have_the_type_of_the_schema(
    pairs: list[str], input_json: str | None, arguments: dict[str, Any]
) -> None:
    assert parse_arguments(pairs, input_json, SCHEMA) == arguments


def test_a_schema_without_properties_takes_json_or_text() -> None:
    assert parse_arguments(["a=1", "b=x"], None, {}) == {"a": 1, "b": "x"}


LONG = "x" * 81
REFUSED: dict[str, tuple[list[str], str | None, str]] = {
    "a word": (["word"], None, "expected KEY=VALUE, such as text=…, or --input-json OBJECT; not 'word'"),
    "no key": (["=x"], None, "expected KEY=VALUE, such as text=…, or --input-json OBJECT; not '=x'"),
    "no JSON": (["n:=x"], None, "expected JSON after ':=', not 'x'"),
    "long text in place of JSON": ([f"n:={LONG}"], None, f"expected JSON after ':=', not '{'x' * 80}'"),
    "a list of JSON": ([], "[1]", """--input-json needs a JSON object, such as '{"city": "Oslo"}', not '[1]'"""),
    "no object": ([], LONG, f"""--input-json needs a JSON object, such as '{{"city": "Oslo"}}', not '{'x' * 80}'"""),
    "words in place of a list": (
        ["list=one, two ,é"], None, """list is an array, which is written as JSON: list:='["one", "two", "é"]'""",
    ),
    "a word in place of an object": (
        ["map=x"], None, """map is an object, which is written as JSON: map:='{"key": "x"}'""",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("pairs", "input_json", "sentence"), REFUSED.values(), ids=REFUSED)
def test_a_malformed_argument_is_refused_with_what_to_write(
    pairs: list[str], input_json: str | None, sentence: str
) -> None:
    with pytest.raises(click.UsageError) as refused:
        parse_arguments(pairs, input_json, SCHEMA)
    assert refused.value.message == sentence
    assert refused.value.__suppress_context__ or refused.value.__context__ is None


def test_a_tool_without_arguments_is_shown_with_a_name_in_general() -> None:
    with pytest.raises(click.UsageError, match="such as name=…, or"):
        parse_arguments(["word"], None, {"properties": {}})


PROPERTIES = {"city": {}, "country": {}, "days": {}}
UNKNOWN: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "near another": ({"cty": 1}, {}, "the tool has no argument 'cty'. Did you mean 'city'?"),
    "near none": ({"q": 1}, {}, "the tool has no argument 'q'. It has: city, country, days."),
    "two": (
        {"cty": 1, "dys": 1}, {},
        "the tool has no argument 'cty'. Did you mean 'city'? the tool has no argument 'dys'. Did you mean 'days'?",
    ),
    "near a required one": (
        {"cit": 1}, {"required": ["city", "days"]},
        "the tool has no argument 'cit'. Did you mean 'city'? Required and missing: city, days.",
    ),
    "beside a required one": (
        {"cit": 1, "city": 2}, {"required": ["city"]}, "the tool has no argument 'cit'. Did you mean 'city'?",
    ),
    "near one that is required before another": (
        {"coutry": 1}, {"required": ["country"]},
        "the tool has no argument 'coutry'. Did you mean 'country'? Required and missing: country.",
    ),
    "further ones are not allowed": (
        {"q": 1}, {"additionalProperties": False}, "the tool has no argument 'q'. It has: city, country, days.",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("arguments", "schema", "sentence"), UNKNOWN.values(), ids=UNKNOWN)
def test_an_argument_that_the_tool_does_not_have_is_refused(
    arguments: dict[str, Any], schema: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(InvalidArguments) as refused:
        check_argument_names("m.t", arguments, {"properties": PROPERTIES, **schema})
    assert str(refused.value) == f"m.t: {sentence} [invalid-arguments]"


@pytest.mark.parametrize(
    "schema",
    [
        {}, {"properties": {}}, {"properties": PROPERTIES, "additionalProperties": True},
        {"properties": PROPERTIES, "additionalProperties": {}},
        *({"properties": PROPERTIES, keyword: {}} for keyword in (
            "patternProperties", "unevaluatedProperties", "allOf", "anyOf", "oneOf", "$ref", "$dynamicRef", "if",
            "dependentSchemas",
        )),
    ],
)  # fmt: skip
def test_an_argument_that_the_schema_may_allow_is_not_refused(schema: dict[str, Any]) -> None:
    check_argument_names("m.t", {"q": 1}, schema)
    check_argument_names("m.t", {"city": 1}, {"properties": PROPERTIES})


def test_only_a_tool_that_reads_a_feed_has_no_timeout(tmp_path: Path) -> None:
    file = tmp_path / "m.json"
    feed = {"name": "ticks", "match": "message.tick is defined"}
    file.write_text(
        json.dumps({"name": "m", "url": "wss://a.example/", "tools": [{"name": "t"}], "feeds": [feed]}), "utf-8"
    )
    tools = {tool.full_name: tool for tool in load_manifest(file).tools["m"]}
    with pytest.raises(click.UsageError) as refused:
        check_timeout(tools["m.ticks_events"], 1)
    assert refused.value.message == "m.ticks_events reads a feed, which has no timeout: leave out --timeout"
    check_timeout(tools["m.ticks_events"], None)
    check_timeout(tools["m.t"], 1)
    check_timeout(None, 1)


class Terminal(io.TextIOWrapper):
    """A stream that is a terminal."""

    def isatty(self) -> bool:
        return True


def test_binary_data_is_not_written_to_a_terminal(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    terminal = Terminal(io.BytesIO())
    with mock.patch("sys.stdout", terminal):
        call._print_result(b"\x00\xff", None, is_binary=True)
        call._print_result(b"text\x1b\n", None, is_binary=False)
    pipe = io.TextIOWrapper(io.BytesIO())
    with mock.patch("sys.stdout", pipe):
        call._print_result(b"\x00\xff", None, is_binary=True)
    assert pipe.buffer.getvalue() == b"\x00\xff"  # type: ignore[attr-defined]
    assert terminal.buffer.getvalue() == "text␛\n".encode()  # type: ignore[attr-defined]
    assert capsys.readouterr().err == "2 bytes of binary data; use --output FILE to save them\n"
