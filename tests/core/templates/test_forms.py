"""Objects of messages whose keys begin with `$`: forms, typing errors, and data of a protocol."""

import pytest

from utcp_ws_mcp.core.templates.compiler import Compiler
from utcp_ws_mcp.core.templates.forms import check_keys, is_form, own_keys
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


REASONS = {
    "a typing error": ({"$ecah": 1}, "unknown key '$ecah' in a message. Did you mean '$each'?", "$ecah"),
    "other keys": (
        {"$each": [], "a": 1, "$template": "x"},
        '"$each" is beside \'a\', and may have only "$template" beside it. Remove the other keys.',
        "$each",
    ),
    "a template alone": ({"$template": 1, "b": 2}, '"$template" is without "$each". Add the list.', "$template"),
}


@pytest.mark.parametrize(("value", "problem", "key"), REASONS.values(), ids=REASONS)
def test_a_key_is_refused_with_what_to_write(value: dict[str, object], problem: str, key: str) -> None:
    with pytest.raises(InvalidTemplate) as refused:
        check_keys(value)
    fix = f"To send the key itself, write the object as an expression: {{{{ {{'{key}': …}} }}}}."
    assert (refused.value.message, refused.value.code) == (f"{problem} {fix}", "unknown-key")


@pytest.mark.parametrize("key", ["$ea", "$eachhh", "$files2", "$x", "each", "$", "$templates1"])
def test_a_key_that_is_not_similar_is_data(key: str) -> None:
    check_keys({key: 1})


@pytest.mark.parametrize("key", ["$eachh", "$fil", "$templates", "$base46"])
def test_a_key_that_is_one_longer_or_shorter_is_a_typing_error(key: str) -> None:
    with pytest.raises(InvalidTemplate):
        check_keys({key: 1})


def test_an_object_of_no_such_key_is_none() -> None:
    check_keys({"a": 1, "b$": 2})
    check_keys({"$eachh": 1, "a": 2})
    check_keys({})


FORMS_AND_OTHERS: list[tuple[object, str, bool]] = [
    ({"$each": []}, "$each", True),
    ({"$each": [], "$template": 1}, "$each", True),
    ({"$each": [], "a": 1}, "$each", False),
    ({"$template": 1}, "$each", False),
    ({"$raw": 1}, "$raw", True),
    ({"$raw": 1}, "$each", False),
    ({"$raw": 1, "a": 1}, "$raw", False),
    ({}, "$raw", False),
    (["$raw"], "$raw", False),
    ("$raw", "$raw", False),
]


@pytest.mark.parametrize(("value", "key", "is_one"), FORMS_AND_OTHERS)
def test_an_object_is_a_form_by_all_of_its_keys(value: object, key: str, is_one: bool) -> None:
    assert is_form(value, key) is is_one
