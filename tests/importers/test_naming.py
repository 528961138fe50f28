"""Names and descriptions of tools, arguments and manuals."""

from __future__ import annotations

from typing import Any

import pytest

from utcp_ws_mcp.importers.failures import Inexpressible
from utcp_ws_mcp.importers.model import MAX_DESCRIPTION
from utcp_ws_mcp.importers.naming import (
    argument_name,
    free_name,
    hints,
    is_reading,
    manual_name,
    message_key,
    summarize,
    tool_name,
    words,
)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("eth_getBalance", ["eth", "get", "balance"]),
        ("HTTPServer2Up", ["http", "server2", "up"]),
        ("play.ID", ["play", "id"]),
        ("→", []),
    ],
)
def test_a_name_has_words_in_lower_case(name: str, expected: list[str]) -> None:
    assert words(name) == expected


@pytest.mark.parametrize(
    ("name", "texts", "reads"),
    [
        ("node_get", (), True),
        ("the_node_get", (), False),  # the third word is no verb any more
        ("get_set", (), True),
        ("set_get", (), False),
        ("get.accounts", (), False),  # `get` is a namespace here
        ("user/list", (), True),
        ("user:list", (), True),
        ("accounts", (), False),
        ("accounts", (None, "", "→", "Returns them."), True),
        ("accounts", ("Them.", "Returns them."), False),
        ("accounts", ("It returns them.",), False),
        ("getAccounts", ("Deletes them.",), True),
    ],
)
def test_the_verb_of_a_name_decides_before_its_description(name: str, texts: tuple[Any, ...], reads: bool) -> None:
    assert is_reading(name, *texts) is reads


def test_what_only_reads_is_not_said_to_destroy_anything() -> None:
    assert hints("removeUser", True) == {"readOnlyHint": True}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("chat.say-it_2", "chat.say-it_2"),
        ("say  it!", "say_it"),
        ("-_.say._-", "say"),
        ("Straße", "Strasse"),
        ("→ ", "operation"),
        ("", "operation"),
        ("n" * 64, "n" * 64),
        ("n" * 65, "n" * 64),
    ],
)
def test_a_tool_has_the_name_that_hosts_accept(name: str, expected: str) -> None:
    assert tool_name(name, ()) == expected


@pytest.mark.parametrize(
    ("taken", "expected"),
    [((), "a"), (("b",), "a"), (("a",), "a_2"), (("a", "a_2"), "a_3"), (("a", "a_3"), "a_2")],
)
def test_a_name_that_is_taken_gets_the_first_free_number(taken: tuple[str, ...], expected: str) -> None:
    assert free_name("a", taken) == tool_name("a", taken) == argument_name("a", taken) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("fooBar", "fooBar"),
        ("_x9", "_x9"),
        ("Foo Bar-baz", "foo_bar_baz"),
        ("Höhe", "hohe"),
        ("9lives", "arg_9lives"),
        ("→", "arg"),
        ("A" * 64, "A" * 64),
        ("A" * 65, "a" * 64),
        ("A" * 64 + "\n", "a" * 64),
    ],
)
def test_an_argument_has_the_name_that_hosts_accept_and_expressions_can_use(name: str, expected: str) -> None:
    assert argument_name(name, ()) == expected


@pytest.mark.parametrize(
    "name", ["{{ args.x }}", "UTCP_ARG_x_UTCP_ARG", "$each", "$template", "$raw", "$base64", "$file"]
)
def test_a_property_that_a_template_would_read_is_no_key_of_a_message(name: str) -> None:
    with pytest.raises(Inexpressible) as refused:
        message_key(name)
    assert str(refused.value) == f"its property {name!r} would be read as a template"


def test_a_property_that_is_no_key_is_named_with_40_characters() -> None:
    with pytest.raises(Inexpressible) as refused:
        message_key("{{ " + "x" * 60)
    assert repr("{{ " + "x" * 37) in str(refused.value)
    assert message_key("$top") == "$top"


@pytest.mark.parametrize(
    ("title", "expected"),
    [
        ("The Chat API", "chat"),
        ("Chat API for Rooms", "chat_rooms"),
        ("API", "api"),
        ("9 Lives", "api_9_lives"),
        ("x" * 17, "x" * 17),
        ("x" * 18, "api"),
        ("x" * 18 + " chat", "chat"),
        ("abc " + "x" * 14, "abc_" + "x" * 14),
        ("abc " + "x" * 15 + " d", "abc"),
    ],
)
def test_a_manual_has_the_short_name_of_its_api(title: str, expected: str) -> None:
    assert manual_name(title) == expected


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (("Says it.",), "Says it."),
        (("Says it",), "Says it."),
        (("Says it!",), "Says it!"),
        (("Is it?",), "Is it?"),
        (("It says:",), "It says:"),
        ((None, 3, "", "  ", "<br>", "The\n first  one", "Another."), "The first one."),
        (("One.\n \nTwo.",), "One."),
        (("Says <b>it</b>, a <1> and a < b.",), "Says it, a <1> and a < b."),
        ((), "Eth get balance."),
    ],
)
def test_a_description_is_the_first_paragraph_of_the_first_text_that_says_something(
    texts: tuple[Any, ...], expected: str
) -> None:
    assert summarize(*texts, name="eth_getBalance") == expected


def test_a_name_without_words_is_its_own_description() -> None:
    assert summarize(name="→") == "→."


def test_a_long_description_ends_with_a_whole_word_and_an_ellipsis() -> None:
    fitting = "abcd " * (MAX_DESCRIPTION // 5 - 1) + "abcd."
    assert len(fitting) == MAX_DESCRIPTION
    assert summarize(fitting, name="x") == fitting
    longer = "abcd " * (MAX_DESCRIPTION // 5) + "e"
    assert summarize(longer, name="x") == ("abcd " * (MAX_DESCRIPTION // 5 - 1)).rstrip() + "…"


def test_what_a_tool_returns_is_said_where_there_is_room() -> None:
    assert summarize("Asks", name="x", returns="Returns: y.") == "Asks. Returns: y."
    fitting, full = "x" * (MAX_DESCRIPTION - 3) + ".", "x" * (MAX_DESCRIPTION - 2) + "."
    assert summarize(fitting, name="x", returns="R") == f"{fitting} R"
    assert summarize(full, name="x", returns="R") == full
