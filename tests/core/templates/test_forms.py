"""Objects of messages whose keys begin with `$`: forms, typing errors, and data of a protocol."""

import pytest

from utcp_ws_mcp.core.templates.compiler import Compiler
from utcp_ws_mcp.core.templates.forms import own_keys
from utcp_ws_mcp.errors import InvalidTemplate

WRONG = {
    "a transposition": ({"$ecah": "{{ args.a }}"}, "'$ecah' in a message. Did you mean '$each'?"),
    "another case": ({"$Base64": "AAE="}, "'$Base64' in a message. Did you mean '$base64'?"),
    "a missing letter": ({"$fil": "a.raw"}, "'$fil' in a message. Did you mean '$file'?"),
    "another letter": ({"$row": "x"}, "'$row' in a message. Did you mean '$raw'?"),
    "the second key": ({"$each": "{{ args.a }}", "$templat": "x"}, "\"$each\" is beside '$templat', and may have only"),
    "no $": ({"$each": "{{ args.a }}", "template": "x"}, "\"$each\" is beside 'template', and may have only"),
    "a media type": ({"$base64": "AAE=", "type": "x"}, "\"$base64\" is beside 'type', and may have nothing beside it."),
    "raw with a key": ({"$raw": "x", "id": 1}, "\"$raw\" is beside 'id', and may have nothing beside it."),
    "a file with a key": ({"$file": "x", "a": 1, "b": 2}, "\"$file\" is beside 'a', 'b', and may have nothing"),
    "a template alone": ({"$template": "x"}, '"$template" is without "$each". Add the list.'),
}


@pytest.mark.parametrize(("value", "problem"), WRONG.values(), ids=WRONG)
def test_a_key_that_looks_like_a_form_is_refused_at_any_depth(value: dict[str, object], problem: str) -> None:
    for message in (value, {"deep": [value]}):
        with pytest.raises(InvalidTemplate) as invalid:
            Compiler({}).message(message)
        assert problem in invalid.value.message
        assert invalid.value.code == "unknown-key"


def test_the_key_itself_is_sent_by_an_expression() -> None:
    assert Compiler({}).message({"a": "{{ {'$base64': 'x', 'y': 1} }}"}).render({"args": {}}) == {
        "a": {"$base64": "x", "y": 1}
    }


DATA = {
    "a type": {"$type": "ping"},
    "a time": {"$time": 1},
    "a date": {"$date": 1},
    "a search": {"$search": "x"},
    "beside other keys": {"$row": 5, "name": "x"},
    "a set": {"$set": {"$inc": 1}},
}


@pytest.mark.parametrize("value", DATA.values(), ids=DATA)
def test_the_keys_of_a_protocol_are_sent_as_they_are(value: dict[str, object]) -> None:
    assert Compiler({}).message(value).render({"args": {}}) == value


def test_a_manual_from_the_network_has_no_forms() -> None:
    assert Compiler(None).message({"$ecah": "x"}).render({"args": {}}) == {"$ecah": "x"}


def test_keys_without_a_meaning_are_found_at_any_depth() -> None:
    message = [{"$each": "{{ args.a }}", "$template": {"$set": 1}}, {"a": [{"$type": "x", "b": "$no"}]}]
    assert list(own_keys(message)) == ["$set", "$type"]
