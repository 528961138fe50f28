import pytest
from minijinja import TemplateError

from utcp_ws_mcp.core.expressions.analysis import (
    ALL_MEMBERS,
    expressions_in_text,
    find_arguments,
    find_expressions,
    find_members,
    find_optional_members,
    find_references,
    uses_name,
)

REFERENCES = {
    "a path": ("message.a.b", [("message", "a", "b")]),
    "in the order in which they are written": (
        "vars.B ~ args.A ~ args.C",
        [("vars", "B"), ("args", "A"), ("args", "C")],
    ),
    "each once": ("args.a ~ args.a", [("args", "a")]),
    "a subscript of text": ("args['user-id'] ~ 'x'", [("args", "user-id")]),
    "in double quotes": ('args["a b"].c ~ 1', [("args", "a b", "c")]),
    "a number": ("message.rows[0].id == 1", [("message", "rows", 0, "id")]),
    "a number behind a dot": ("message.0.1.id == 1.5", [("message", 0, 1, "id")]),
    "from the end": ("message.rows[-1] == 1", [("message", "rows", -1)]),
    "a subscript that is computed": ("message[args.k].z", [("message",), ("args", "k")]),
    "the base of a slice": ("message.rows[args.first:]", [("message", "rows"), ("args", "first")]),
    "of a slice to a place": ("message.rows[:3] | length", [("message", "rows")]),
    "of a slice with a step": ("message.rows[::2] ~ args.a", [("message", "rows"), ("args", "a")]),
    "of all three": ("x[args.a:args.b:args.c]", [("x",), ("args", "a"), ("args", "b"), ("args", "c")]),
    "of a slice of a slice": ("message.rows[0][1:][2:]", [("message", "rows", 0)]),
    "in parentheses before a slice": ("(args.a ~ args.b)[1:]", [("args", "a"), ("args", "b")]),
    "an object in a slice": ("message.a[{'k': args.z}.k:3]", [("message", "a"), ("args", "z")]),
    "not the method of a call": ("message.text.startswith(args.p)", [("message", "text"), ("args", "p")]),
    "not the method of a name": ("args.get('x')", [("args",)]),
    "a member that is called like a method": ("message.update is defined", [("message", "update")]),
    "a call": ("uuid() ~ args.a", [("uuid",), ("args", "a")]),
    "in a condition": ("let.a if let.b is defined else args.c", [("let", "a"), ("let", "b"), ("args", "c")]),
    "in an object": ("{'a': args.x, 'b': args}", [("args",), ("args", "x")]),
    "not in a text": ("message.a == 'args.x'", [("message", "a")]),
    "not as a key": ("{args: 1}['args.x'] ~ message.a", [("args",), ("message", "a")]),
    "a list behind a word is no subscript": ("'x' in['a', args.b]", [("args", "b")]),
    "an attribute of a filter": ("message.rows | map(attribute='args') | list", [("message", "rows")]),
    "nothing": ("1 + 2", []),
}


@pytest.mark.parametrize(("source", "paths"), REFERENCES.values(), ids=REFERENCES)
def test_the_names_of_an_expression_are_found(source, paths):
    found = find_references(source)

    assert sorted(map(repr, found)) == sorted(map(repr, paths))


def test_names_are_in_the_order_in_which_they_are_written():
    assert find_references("vars.B ~ args.A ~ args.C") == (("vars", "B"), ("args", "A"), ("args", "C"))


@pytest.mark.parametrize("source", ["message.", "a b", "message[", "'", "{{ a }}"])
def test_what_cannot_be_parsed_has_no_names(source):
    with pytest.raises(TemplateError):
        find_references(source)
    assert find_members(source, "message") == set()
    assert not uses_name(source, "message")


MEMBERS = {
    "some": ("args.a ~ args['b']", {"a", "b"}),
    "all": ("args", {ALL_MEMBERS}),
    "all, and one": ("args.a ~ (args | to_json)", {"a", ALL_MEMBERS}),
    "one that only the call decides": ("args[message.k]", {ALL_MEMBERS}),
    "of a method": ("args.items() | list", {ALL_MEMBERS}),
    "of another name": ("message.args.a", set()),
    "an element": ("args[0] ~ args.a", {"a", ALL_MEMBERS}),
    "deep inside": ("args.a.b.c == 1", {"a"}),
}


@pytest.mark.parametrize(("source", "names"), MEMBERS.values(), ids=MEMBERS)
def test_the_members_of_a_name_are_found(source, names):
    assert find_members(source, "args") == names


@pytest.mark.parametrize(
    "source",
    ["vars.A is defined", "vars.A | default('x')", "vars.A is not undefined and message.a", "vars.A is undefined"],
)
def test_a_member_may_be_optional(source):
    assert find_optional_members(source, "vars") == {"A"}


@pytest.mark.parametrize(
    "source",
    [
        *("vars.A == 1", "vars.A | length", "my_vars.A is defined", "message.vars.A is defined"),
        *(
            "vars.A.b | default(1)",
            "vars | default(1)",
            "uuid() is defined",
            "(vars.A ~ '') is defined",
            "vars.A is none",
        ),
    ],
)
def test_a_member_that_is_only_used_is_required(source):
    assert find_optional_members(source, "vars") == set()


TEXTS = {
    "one": ("a {{ args.a }} b", [" args.a "]),
    "two": ("{{a}}{{ b }}", ["a", " b "]),
    "with braces": ("{{ {'a': {'b': 1}} }}!", [" {'a': {'b': 1}} "]),
    "with braces in a text": ("{{ '}}' }}", [" '}}' "]),
    "one that never ends": ("{{ a }} {{ b", [" a "]),
    "none": ("a } b", []),
    "an end alone": ("a }} b", []),
    "an end behind one": ("{{ a }} }} {{b}}", [" a ", "b"]),
    "an escaped quote": (r"{{ 'a\' }} b' }}", [r" 'a\' }} b' "]),
    "a quote at once": ("{{'}}' ~ a}}{{b}}", ["'}}' ~ a", "b"]),
    "a quote of the other kind": ("""{{ "'" }} '{{ a }}'""", [' "\'" ', " a "]),
    "braces in braces": ("{{ {'a': {}} }}{{ b }}", [" {'a': {}} ", " b "]),
    "one of nothing": ("{{}}x", [""]),
}


@pytest.mark.parametrize(("text", "sources"), TEXTS.values(), ids=TEXTS)
def test_the_expressions_in_a_text_are_found(text, sources):
    assert list(expressions_in_text(text)) == sources


DOCUMENT = {
    "match": "message.a == args.m",
    "send": {"text": "args.no {{ args.s }} UTCP_ARG_p_UTCP_ARG"},
    "capture": {"send": "message.token ~ args.c", "url": "message.url"},
    "rules": [{"set": {"message": "args.r"}}, 5, None],
}


def test_the_expressions_of_a_document_are_found():
    assert list(find_expressions(DOCUMENT, frozenset({"send", "url", "message"}))) == [
        "message.a == args.m",
        " args.s ",
        "message.token ~ args.c",
        "message.url",
        "args.r",
    ]


def test_the_arguments_of_a_document_are_found():
    assert find_arguments(DOCUMENT, frozenset({"send", "url", "message"})) == {"m", "s", "p", "c", "r"}


def test_the_keys_of_a_template_have_no_meaning() -> None:
    document = {"send": {"let": {"a": "x {{ args.a }}"}, "set": "{{ args.b }}"}, "let": {"send": "args.c"}}
    assert find_expressions(document, frozenset({"send"})) == [" args.a ", " args.b ", "args.c"]
    assert find_expressions(document, frozenset(), in_template=True) == [" args.a ", " args.b "]


def test_what_is_no_text_holds_no_expression() -> None:
    document = {"a": 5, "b": None, "c": [True, 1.5, ("args.x",)], "let": ["args.y", {"z": "args.z"}]}
    assert find_expressions(document, frozenset()) == ["args.x", "args.y", "args.z"]


def test_arguments_are_found_in_placeholders_and_expressions() -> None:
    assert find_arguments("UTCP_ARG_a_UTCP_ARG {{ args.b }}", frozenset(), in_template=True) == {"a", "b"}
    assert find_arguments(["UTCP_ARG_x_UTCP_ARG", "args.y"], frozenset()) == {"x", "y"}
    assert find_arguments({"a": ("UTCP_ARG_" + "n" * 256 + "_UTCP_ARG",)}, frozenset()) == {"n" * 256}
    assert find_arguments({"a": "UTCP_ARG_" + "n" * 257 + "_UTCP_ARG"}, frozenset()) == set()
    assert find_arguments("args", frozenset()) == {ALL_MEMBERS}


def test_a_name_is_used_as_the_beginning_of_a_path_only() -> None:
    assert uses_name("message.id == request_id", "request_id", "other")
    assert uses_name("request_id", "request_id")
    assert not uses_name("message.request_id == 'request_id'", "request_id")
    assert not uses_name("message.id", "id")
