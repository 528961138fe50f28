"""What is refused when an expression is compiled, and the words for it."""

import pytest
from minijinja import Environment, TemplateError

from utcp_ws_mcp.core.expressions import checks
from utcp_ws_mcp.core.expressions.expression import Expression
from utcp_ws_mcp.core.expressions.filters import FILTERS
from utcp_ws_mcp.core.expressions.scope import CALL_REPLY_NAMES
from utcp_ws_mcp.core.expressions.vocabulary import (
    BUILTIN_FILTERS,
    BUILTIN_TESTS,
    FOREIGN_FILTERS,
    FOREIGN_METHODS,
    FOREIGN_TESTS,
    METHODS,
)
from utcp_ws_mcp.errors import InvalidTemplate


def refusal(source, *, local=True):
    with pytest.raises(InvalidTemplate) as refused:
        Expression(source, CALL_REPLY_NAMES, local=local)
    return str(refused.value)


FOREIGN_WORDS = {
    "includes": ("message.includes('ERR')", "Write 'word' in message."),
    "startsWith": ("message.startsWith('a')", "Write message.startswith('…')."),
    "toUpperCase": ("message.type.toUpperCase() == 'A'", "Write message.type | upper."),
    "match": ("message.match('a')", "Write message | regex_find('…')."),
    "substring": ("message.substring(1, 2)", "Write message[start:stop]."),
    "a slip": ("message.startwith('a')", "Did you mean 'startswith'?"),
    "a method that changes the message": ("message.rows.append(1)", "Write message.rows + [item]"),
    "a method of nothing": ("message.frobnicate()", "Known methods: capitalize,"),
    "a filter as a method": ("message.to_json()", "Write message | to_json."),
    "in a part that is not reached": ("message is string or message.x.includes('a')", "Write 'word' in message.x."),
    "fromjson": ("message | fromjson", "Did you mean 'from_json'?"),
    "b64": ("message | b64", "Did you mean 'base64'?"),
    "a slip in a filter": ("message | lenght", "Did you mean 'length'?"),
    "no filter": ("message | qqq", "Known filters: abs,"),
    "no filter in map": ("message | map('qqq')", "Known filters: abs,"),
    "is startswith": ("message is startswith('a')", "Write value.startswith('…'), or 'is startingwith'."),
    "no test": ("message is frobnicated", "Known tests: boolean,"),
    "no test in selectattr": ("message | selectattr('a', 'matching', 'x')", "regex_find"),
    "no function": ("parseInt(message)", "'parseInt' is not a function. Functions: counter(), next_id(),"),
    "a filter as a function": ("length(message)", "'length' is a filter. Write value | length."),
    "a value as a function": ("message.rows[0]('x')", "is not a function."),
    "=~": ("message =~ 'x'", "Write message | regex_find('…')."),
    "a quote in a text": ("message | regex_find('it's')", "write \\x27"),
    "a double quote in a text": ('message | regex_find("a="(.*)"")', "write \\x27"),
    "an arrow": ("message.rows.filter(r => r.x)", "There are no functions"),
}


@pytest.mark.parametrize(("source", "advice"), FOREIGN_WORDS.values(), ids=FOREIGN_WORDS)
def test_a_word_that_expressions_do_not_have_is_refused_with_what_to_write(source, advice):
    assert advice in refusal(source)


@pytest.mark.parametrize("name", ["uuid", "counter", "next_id", "random_hex"])
@pytest.mark.parametrize("form", ["{}", "{} | string", "'a' ~ {}", "{{'id': {}}}", "({})", "{} == 1", "[{}]"])
def test_a_function_without_parentheses_is_refused(name, form):
    assert f"{name!r} is a function. Write {name}(" in refusal(form.format(name))


@pytest.mark.parametrize("source", ["uuid(1)", "random_hex()", "random_hex(1, 2)", "counter(2)"])
def test_a_function_with_other_arguments_is_refused(source):
    assert "arguments. Write" in refusal(source)


@pytest.mark.parametrize("source", ["session.uuid", "args.counter", "message.counter == 1", "{'counter': args.a}"])
def test_a_member_that_is_named_like_a_function_is_none(source):
    assert Expression(source, CALL_REPLY_NAMES).source == source


FOREIGN = {
    "a path": "message.a.b[0]['c d']",
    "a comparison": "message.type == 'x' and message.id == request_id or not message.n < 5",
    "in a list of literals": "message.type in ['a', 'b', -1]",
    "a condition": "message.a if message.b else reply.c",
    "a test": "message.a is defined and message.b is not none",
    "a computed index": "message.rows[args.i]",
}


@pytest.mark.parametrize("source", FOREIGN.values(), ids=FOREIGN)
def test_an_expression_from_the_network_may_look_up_and_compare(source):
    Expression(source, CALL_REPLY_NAMES, local=False)


COMPUTING = [
    *("[message, message]", "[args.x, args.x]", "{'a': message}", "(message, message)", "message.d + message.d"),
    *(
        "message.a - 1",
        "message.a / 2",
        "message.a // 2",
        "-message.a",
        "message.a * 2",
        "message.a ** 2",
        "message.a % 2",
    ),
    *("message.a ~ 'x'", "message[1:]", "message | upper", "message.a.startswith('x')", "uuid()", "message is eq(5)"),
    *("message is divisibleby 3", "[[message]]", "message in [[args.x]]", "message.a if [message] else 1"),
    *("message == [message]", "'a' in (message, 1)", "message[[message]]", "not -message.a", "-true"),
]


@pytest.mark.parametrize("source", COMPUTING)
def test_an_expression_from_the_network_may_not_compute(source):
    assert "it can only look up and compare values" in refusal(source, local=False)


ENVIRONMENT = Environment(debug=False, filters=FILTERS)


def kind_of_failure(source, **values):
    try:
        ENVIRONMENT.eval_expr(source, **values)
    except TemplateError as error:
        return error.kind
    except (TypeError, ValueError, AttributeError):
        return None


@pytest.mark.parametrize("name", sorted(BUILTIN_FILTERS))
def test_every_listed_filter_exists(name):
    assert kind_of_failure(f"'' | {name}") != "UnknownFilter"


@pytest.mark.parametrize("name", sorted(BUILTIN_TESTS))
def test_every_listed_test_exists(name):
    assert kind_of_failure(f"'' is {name}") != "UnknownTest"


@pytest.mark.parametrize("name", sorted(METHODS))
def test_every_listed_method_belongs_to_a_value(name):
    found = []
    for value in ("abc", {"a": 1}, [1], b"a"):
        try:
            ENVIRONMENT.eval_expr(f"v.{name}()", v=value)
        except TemplateError as error:
            if error.kind == "UnknownMethod":
                continue
        except AttributeError:
            continue
        except (TypeError, ValueError):
            pass
        found.append(value)
    assert found


@pytest.mark.parametrize(
    "name", ["append", "clear", "extend", "insert", "pop", "remove", "sort", "update", "setdefault"]
)
def test_no_method_changes_a_message(name):
    assert name not in METHODS


def test_no_foreign_word_is_one_of_ours():
    assert not FOREIGN_FILTERS.keys() & (BUILTIN_FILTERS | FILTERS.keys())
    assert not FOREIGN_TESTS.keys() & BUILTIN_TESTS
    assert not FOREIGN_METHODS.keys() & METHODS


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("uuid", "'uuid' is a function. Write uuid()."),
        ("random_hex ~ ''", "'random_hex' is a function. Write random_hex(8)."),
        ("uuid(1)", "the function 'uuid' takes no arguments. Write uuid()."),
        ("random_hex()", "the function 'random_hex' takes 1 arguments. Write random_hex(8)."),
        ("uuid()()", "'uuid()' is not a function. Functions: counter(), next_id(), random_hex(), uuid()."),
        ("length(message)(1)", "'length(message)' is not a function. Functions:"),
        ("length(message)", "'length' is a filter. Write value | length."),
        ("message['uuid']()", "\"message['uuid']\" is not a function."),
        ("uuid.a", "'uuid' is a function. Write uuid()."),
    ],
)
def test_what_is_wrong_with_a_call_is_said(source, message):
    assert refusal(source).startswith(f"invalid expression {source!r}: {message}")


def test_a_name_in_other_letters_is_recognized():
    assert "Did you mean 'base64'?" in refusal("message | BTOA")
    assert "Did you mean 'mapping'?" in refusal("message is Object")
    assert "Did you mean 'selectattr'?" in refusal("message | selectatr('a')")


def test_filters_of_our_own_use_cannot_be_written():
    for name in ("_listed", "_factor"):
        assert f"unknown filter {name!r}" in refusal(f"message | {name}")


ACCEPTED = ["message | select('==', 1) | list", "message | map('upper', '(')", "message | join('regex_find', '(')"]


@pytest.mark.parametrize("source", ACCEPTED)
def test_other_arguments_are_neither_names_nor_patterns(source):
    Expression(source, CALL_REPLY_NAMES)


NAMED = {
    "message | select('a1')": "unknown test 'a1'",
    "message | reject('nothing')": "unknown test 'nothing'",
    "message | rejectattr('upper', 'nothing')": "unknown test 'nothing'",
    "message | map('nothing', 1)": "unknown filter 'nothing'",
    "message | regex_find('(')": "the pattern is not a regular expression",
    "message | map('regex_find', '(')": "the pattern is not a regular expression",
}


@pytest.mark.parametrize(("source", "reason"), NAMED.items(), ids=NAMED)
def test_names_and_patterns_in_quotes_are_checked(source, reason):
    assert reason in refusal(source)


def test_a_pattern_is_refused_with_the_code_of_patterns():
    with pytest.raises(InvalidTemplate) as refused:
        Expression("message | regex_find('(?=a)')", CALL_REPLY_NAMES)
    assert refused.value.code == "pattern-not-allowed"


def test_words_of_a_newer_minijinja_are_known(monkeypatch):
    monkeypatch.setattr(checks, "_FILTER_NAMES", frozenset())
    monkeypatch.setattr(checks, "BUILTIN_TESTS", frozenset())
    for source in ("message | upper", "message | abs", "message is even", "message is defined"):
        Expression(source, CALL_REPLY_NAMES)
    assert "unknown filter 'nothing'" in refusal("message | nothing")
    assert "unknown test 'nothing'" in refusal("message is nothing")


def test_what_a_method_is_called_on_is_shown_up_to_40_characters():
    base = "message." + "a" * 32
    assert f"Write 'word' in {base}." in refusal(f"{base}.includes('a')")
    assert "Write 'word' in value." in refusal(f"{base}a.includes('a')")


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("startsWith", "Write value.startswith('…'), or 'is startingwith'."),
        ("endswith", "Write value.endswith('…'), or 'is endingwith'."),
        ("containing", "Write 'word' in message, or message | regex_find('…')."),
        ("Matching", "Write 'word' in message, or message | regex_find('…')."),
        ("includes", "Write 'word' in message, or message | regex_find('…')."),
        ("regex", "Write 'word' in message, or message | regex_find('…')."),
    ],
)
def test_a_test_of_another_language_is_refused_with_what_to_write(name, advice):
    assert f"unknown test {name!r}. {advice}" in refusal(f"message is {name}('a')")
