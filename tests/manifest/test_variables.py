import pytest

from utcp_ws_mcp.manifest.variables import (
    CallerValues,
    VariableResolver,
    find_optional,
    find_variables,
    map_strings,
    may_use_variables,
    namespaced_variable,
    substitute,
)

FOUND = {
    "in braces": ("${A}", ["A"]),
    "inside a text": ("a ${A} b ${B_2}", ["A", "B_2"]),
    "as the whole text": ("$A", ["A"]),
    "in an expression": ("{{ vars.A ~ vars.B }}", ["A", "B"]),
    "in an expression of a template": ({"message": {"a": "{{ [{'b': {'c': 1}}, vars.A] }}"}}, ["A"]),
    "not in the text of a template": ({"message": ["see vars.A", {"vars.B": "vars['C']"}]}, []),
    "in the expressions of a discovery": (
        {"discovery": {"match": "message.t == vars.A", "manual": "vars.B"}},
        ["A", "B"],
    ),
    "not in a text": ({"name": "vars.A", "$comment": ["vars.B"]}, []),
    "at any depth": ({"a": [{"b": "${A}"}, "$B"]}, ["A", "B"]),
    "not inside a text without braces": ("costs $A", []),
    "not where it is escaped": ("$${A}", []),
    "next to an escape": ("$${A}${B}", ["B"]),
    "not with a digit first": ("${1A}", []),
    "not with other characters": ("${A-B} ${A B} ${}", []),
    "not as a whole text with more": ("$A ", []),
    "not in what models and hosts are shown": (
        {"description": "use ${A}", "inputs": {"default": "${B}"}, "outputs": {"title": "$C"}},
        [],
    ),
    "not in numbers": ([1, None, True, 2.5], []),
}

SUBSTITUTED = {
    "in braces": ("${A}", "one"),
    "inside a text": ("<${A}-${B}>", "<one-two>"),
    "as the whole text": ("$A", "one"),
    "escaped": ("$${A}", "${A}"),
    "escaped beside a variable": ("$${A}=${A}", "${A}=one"),
    "a dollar in a text": ("costs $A", "costs $A"),
    "at any depth": ({"auth": {"api_key": ["$A", 1, None]}}, {"auth": {"api_key": ["one", 1, None]}}),
    "a value that looks like a variable": ("${LOOKS}", "${A} and $A"),
    "keys stay": ({"$A": 1, "${A}": 2}, {"$A": 1, "${A}": 2}),
    "templates stay": (
        {"url": "wss://${A}", "message": "${A}", "headers": {"X": "$A"}, "protocol": "$A", "stream": {"cancel": "$A"}},
        {"url": "wss://${A}", "message": "${A}", "headers": {"X": "$A"}, "protocol": "$A", "stream": {"cancel": "$A"}},
    ),
    "documentation stays": (
        {"description": "${A}", "inputs": {"x": "$A"}},
        {"description": "${A}", "inputs": {"x": "$A"}},
    ),
}

NAMESPACED = {
    "plain": ("stocks", "KEY", "stocks_KEY"),
    "one underscore": ("my_api", "KEY", "my__api_KEY"),
    "underscores of the name stay": ("my_api", "API_KEY", "my__api_API_KEY"),
    "several underscores": ("a_b__c", "K", "a__b____c_K"),
}


@pytest.mark.parametrize(("document", "names"), FOUND.values(), ids=FOUND)
def test_variables_are_found(document, names):
    assert list(find_variables(document)) == names


@pytest.mark.parametrize(("document", "names"), FOUND.values(), ids=FOUND)
def test_no_document_with_variables_is_taken_for_one_without(document, names):
    assert may_use_variables(document) or names == []


def test_a_document_without_variables_is_known_by_its_json():
    assert not may_use_variables({"url": "wss://a.example", "reply": {"match": "message.id == 1"}})
    assert may_use_variables({"a": "\ud800"})
    assert may_use_variables({"a": object()})


@pytest.mark.parametrize(("document", "expected"), SUBSTITUTED.values(), ids=SUBSTITUTED)
def test_variables_are_replaced_in_one_pass(document, expected):
    assert substitute(document, {"A": "one", "B": "two", "LOOKS": "${A} and $A"}) == expected


def test_a_document_is_not_changed_in_place():
    document = {"auth": {"api_key": "$A"}}

    substitute(document, {"A": "one"})

    assert document == {"auth": {"api_key": "$A"}}


@pytest.mark.parametrize(("manual", "name", "expected"), NAMESPACED.values(), ids=NAMESPACED)
def test_a_manuals_underscores_are_doubled(manual, name, expected):
    assert namespaced_variable(manual, name) == expected


LOOKUPS = {
    "the plain name": ([{"KEY": "plain"}], "plain"),
    "the name of the manual first": ([{"KEY": "plain", "my__api_KEY": "own"}], "own"),
    "the name of the manual in the last source": ([{"KEY": "plain"}, {"my__api_KEY": "own"}], "own"),
    "the nearest source": ([{}, {"KEY": "near"}, {"KEY": "far"}], "near"),
    "not another manual's": ([{"my_api_KEY": "other", "other_KEY": "other"}], None),
    "an empty value": ([{"KEY": ""}], ""),
    "not what a host could not expand": ([{"KEY": "${KEY}"}], None),
    "behind what a host could not expand": ([{"KEY": "${KEY}"}, {"KEY": "set"}], "set"),
    "a value with a variable inside": ([{"KEY": "a${KEY}b"}], "a${KEY}b"),
    "nothing": ([], None),
}


@pytest.mark.parametrize(("sources", "expected"), LOOKUPS.values(), ids=LOOKUPS)
def test_a_variable_is_looked_up_nearest_first(sources, expected):
    assert VariableResolver(sources).resolve("my_api", "KEY") == expected


def test_variables_that_were_set_for_a_manual_are_given_without_its_name():
    lookup = VariableResolver(
        [{"my__api_KEY": "near", "OTHER": "x"}, {"my__api_KEY": "far", "my__api_URL": "u", "my_api_NO": "x"}]
    )

    assert lookup.for_manual("my_api") == {"KEY": "near", "URL": "u"}


def test_a_manual_does_not_get_the_variables_of_one_whose_name_begins_alike():
    lookup = VariableResolver([{"a_KEY": "of a", "a__b_KEY": "of a_b"}])

    assert lookup.for_manual("a_b") == {"KEY": "of a_b"}
    assert lookup.resolve("a", "KEY") == "of a"


def test_a_manual_does_not_get_the_variables_of_one_whose_name_goes_on():
    lookup = VariableResolver([{"a_KEY": "of a", "a__b_KEY": "of a_b"}])

    assert lookup.for_manual("a") == {"KEY": "of a"}


def test_a_lookup_does_not_show_its_values():
    assert "s3cret" not in repr(VariableResolver([{"KEY": "s3cret"}]))


NAMES = {
    "the expressions of captured values": ({"capture": {"description": "vars.A"}}, ["A"]),
    "the expressions of let": ({"let": {"a": "vars.A ~ 'x'", "b": "$B"}}, ["A", "B"]),
    "a capture that is no object": ({"capture": [{"match": "vars.A", "set": {"a": "vars.B"}}]}, ["A", "B"]),
    "a key of a template that is called like one": ({"message": {"capture": {"a": "vars.A {{ vars.B }}"}}}, ["B"]),
    "a default that is called like one": ({"defaults": {"let": {"a": "vars.A {{ vars.B }}"}}}, ["B"]),
    "documentation in a message": ({"message": {"description": "${A}", "inputs": ["${B}"]}}, ["A", "B"]),
    "documentation in a default": ({"defaults": {"description": "${A}"}}, ["A"]),
    "each in the order of its text": ("${B} {{ vars.C }} ${A}", ["B", "A", "C"]),
    "any of an expression": ({"reply": {"match": "vars[message.a] == vars.A"}}, ["A"]),
    "a caller's": ("${caller:A}", ["A"]),
    "one with a default": ("${A:-b}", ["A"]),
}


@pytest.mark.parametrize(("document", "names"), NAMES.values(), ids=NAMES)
def test_a_variable_is_found_where_an_expression_or_a_template_is(document, names):
    assert list(find_variables(document)) == names
    assert may_use_variables(document)


def test_a_variable_is_optional_where_the_expression_says_so():
    document = {"reply": {"match": "vars.A is defined and vars.B", "error": "vars.C | default('x')"}}
    assert find_optional(document) == {"A", "C"}
    assert find_optional({"message": "{{ vars.A | default(1) }} ${B}"}) == {"A"}
    assert find_optional({"name": "vars.A is defined"}) == set()


def test_a_document_that_cannot_be_written_may_use_variables():
    assert may_use_variables({"a": object()})
    assert may_use_variables("\ud800")
    assert not may_use_variables({"a": ["b", 1, None, {"c": 1.5}]})
    assert may_use_variables({"$": 1})


def test_strings_are_converted_except_below_keys_that_stay():
    document = {
        "a": ["$x", "x"],
        "description": "$x",
        "defaults": {"description": "$x"},
        "b": {"inputs": "$x", "c": "$x"},
    }
    assert map_strings(document, lambda text: text.replace("$x", "y")) == {
        "a": ["y", "x"], "description": "$x", "defaults": {"description": "y"}, "b": {"inputs": "$x", "c": "y"},
    }  # fmt: skip
    assert map_strings({"a": "$x", "b": "$x"}, lambda _: "y", {"a"}) == {"a": "$x", "b": "y"}
    assert map_strings({"description": "$x"}, lambda _: "y", content=True) == {"description": "y"}
    assert map_strings(5, lambda _: "y") == 5


def test_a_value_that_a_host_could_not_expand_is_none():
    sources = [{"A": "${A}", "B": "x ${B}", "C": "${C} x"}, {"A": "second"}]
    resolver = VariableResolver(sources)
    assert [resolver.resolve("m", name) for name in "ABCD"] == ["second", "x ${B}", "${C} x", None]


def test_a_value_of_a_caller_comes_from_nowhere_else():
    callers = CallerValues({"A": "of-the-caller"}.get)
    resolver = VariableResolver([{"A": "mine", "B": "mine"}], callers=callers, caller_names=frozenset({"A", "C"}))
    assert [resolver.resolve("m", name) for name in "ABC"] == ["of-the-caller", "mine", None]
    alone = VariableResolver([{"A": "mine"}], caller_names=frozenset({"A"}))
    assert alone.resolve("m", "A") == "mine"
