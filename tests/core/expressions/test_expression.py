import re
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from utcp_ws_mcp.core.expressions.expression import (
    MAX_EXPRESSION_LENGTH,
    EvaluationError,
    Expression,
    compile_expression,
)
from utcp_ws_mcp.core.expressions.paths import UNDEFINED, parse_path, value_at
from utcp_ws_mcp.core.expressions.scope import Ambient, Scope
from utcp_ws_mcp.errors import InvalidTemplate

FUZZ = settings(max_examples=200, deadline=None, database=None)
NAMES = frozenset({"message", "request_id", "args", "vars", "uuid", "random_hex"})


def scope(**values):
    return Scope(
        Ambient(lambda: datetime(2026, 1, 1, tzinfo=UTC), bytes), {**dict.fromkeys(NAMES, UNDEFINED), **values}
    )


def evaluate(source, **values):
    return Expression(source, NAMES).evaluate(scope(**values))


def holds(source, message=UNDEFINED, **values):
    return Expression(source, NAMES).is_true(scope(message=message, **values))


PATHS = {
    "a name": ("message", ("message",)),
    "members": ("message.result.value", ("message", "result", "value")),
    "an index": ("message.items[0]", ("message", "items", 0)),
    "an index after a dot": ("message.items.1", ("message", "items", 1)),
    "an index from the end": ("message.items[-1]", ("message", "items", -1)),
    "a member in quotes": ("message['a-b'].c", ("message", "a-b", "c")),
    "a member in double quotes": ('message["a b"]', ("message", "a b")),
    "an empty member": ("message['']", ("message", "")),
    "no path: an operator": ("message.a + 1", None),
    "no path: a call": ("uuid()", None),
    "no path: a filter": ("message|length", None),
    "no path: a literal": ("'message'", None),
    "no path: a number": ("1", None),
    "no path: a word of the language": ("true", None),
    "no path: another word": ("none", None),
    "no path: a slice": ("message[0:2]", None),
    "no path: a computed index": ("message[args.i]", None),
    "no path: an escape": (r"message['a\'b']", None),
    "no path: nothing": ("", None),
    "no path: two lines": ("message\n", None),
}


@pytest.mark.parametrize(("source", "path"), PATHS.values(), ids=PATHS)
def test_a_path_is_distinguished_from_other_expressions(source, path):
    assert parse_path(source) == path


MESSAGE = {"id": 7, "a-b": {"c": 1.0}, "items": [b"\x00\xff", {"x": None}], "text": "abc", "": 5}

FOUND = {
    "a member": ("message.id", 7),
    "a number keeps its type": ("message['a-b'].c", 1.0),
    "bytes stay bytes": ("message.items[0]", b"\x00\xff"),
    "null": ("message.items[1].x", None),
    "the last element": ("message.items[-1]", {"x": None}),
    "a member that is called like a method": ("message.items.0", b"\x00\xff"),
    "an empty key": ("message['']", 5),
    "no such member": ("message.nothing", UNDEFINED),
    "below nothing": ("message.nothing.at.all", UNDEFINED),
    "below null": ("message.items[1].x.y", UNDEFINED),
    "outside an array": ("message.items[2]", UNDEFINED),
    "a member of an array": ("message.items.id", UNDEFINED),
    "a member of a text": ("message.text.id", UNDEFINED),
    "an index of an object": ("message[0]", UNDEFINED),
    "a method is no member": ("message.text.upper", UNDEFINED),
    "a private thing is no member": ("message.__class__", UNDEFINED),
}


@pytest.mark.parametrize(("source", "value"), FOUND.values(), ids=FOUND)
def test_a_path_finds_its_value_untouched(source, value):
    found = evaluate(source, message=MESSAGE)

    assert found == value
    assert type(found) is type(value)


def test_a_path_gives_the_very_same_value():
    value = {"deep": [1.0]}

    assert evaluate("message.result", message={"result": value}) is value
    assert value_at({"message": {"result": value}}, ("message", "result")) is value


EVALUATED = {
    "a slice in parentheses": ("(args.a[0:]) | upper", "X"),
    "arithmetic": ("1 + 2", 3),
    "concatenation": ("args.a ~ '-' ~ args.b", "x-2"),
    "a choice": ("args.a if args.b == 2 else none", "x"),
    "a filter": ("args.a | upper", "X"),
    "a method of texts": ("args.a.startswith('x')", True),
    "a chain of missing names": ("args.no.thing is defined", False),
    "an object": ("{'k': args.b}", {"k": 2}),
    "nothing, said so": ("none", None),
    "nothing, chosen": ("none if true else 1", None),
    "an undefined choice": ("args.nope if true else 1", UNDEFINED),
    "spaces around it": ("   args.b   ", 2),
    "a member that has the name of an operator": ("args.is and args.b", UNDEFINED),
    "a text that holds a bar": ("args.b ~ ' | nonesuch is nonesuch'", "2 | nonesuch is nonesuch"),
    "a test of the language": ("args.b is in [2] and args.b is not none", True),
}


@pytest.mark.parametrize(("source", "value"), EVALUATED.values(), ids=EVALUATED)
def test_an_expression_is_evaluated(source, value):
    found = evaluate(source, args={"a": "x", "b": 2})

    assert found == value
    assert (found is UNDEFINED) == (value is UNDEFINED)


def test_a_name_that_stands_in_quotes_is_said_to_be_the_unknown_one():
    with pytest.raises(InvalidTemplate, match="unknown filter 'nonesuch'"):
        Expression("[1] | map('nonesuch')", NAMES)


def test_a_text_that_is_evaluated_is_a_plain_string():
    assert type(evaluate("args.a | upper", args={"a": "<b>"})) is str
    assert evaluate("args.a ~ '<'", args={"a": "&"}) == "&<"


def test_a_function_of_the_scope_can_be_called():
    assert evaluate("uuid() ~ random_hex(2)", uuid=lambda: "u", random_hex=lambda count: "h" * count) == "uhh"


UNKNOWN = {
    "a slip": ("mesage.id", "unknown name 'mesage' in the expression 'mesage.id'. Did you mean 'message'?"),
    "a slip in the middle": (
        "message.id == requestid",
        "unknown name 'requestid' in the expression 'message.id == requestid'. Did you mean 'request_id'?",
    ),
    "a stranger": (
        "zzz",
        (
            "unknown name 'zzz' in the expression 'zzz'. Did you mean 'message.zzz' or 'args.zzz'? "
            "Known names: args, message, random_hex, request_id, uuid, vars."
        ),
    ),
    "a member without its owner": (
        "id == 1",
        (
            "unknown name 'id' in the expression 'id == 1'. Did you mean 'message.id' or 'args.id'? "
            "Known names: args, message, random_hex, request_id, uuid, vars."
        ),
    ),
    "null": ("message.e != null", "unknown name 'null' in the expression 'message.e != null'. Did you mean 'none'?"),
}


@pytest.mark.parametrize(("source", "sentence"), UNKNOWN.values(), ids=UNKNOWN)
def test_an_unknown_name_gets_a_suggestion(source, sentence):
    with pytest.raises(InvalidTemplate) as invalid:
        Expression(source, NAMES)

    assert (invalid.value.message, invalid.value.code) == (sentence, "unknown-name")


HTTP_NAMES = ("args", "body", "cookies", "headers", "status")
UNKNOWN_IN_HTTP_STEPS = {
    "the response as a message": ("message.token", "The response of an HTTP step is 'body' (the parsed JSON or text)"),
    "a member without its owner": ("token", "Did you mean 'body.token' or 'args.token'?"),
}


@pytest.mark.parametrize(("source", "hint"), UNKNOWN_IN_HTTP_STEPS.values(), ids=UNKNOWN_IN_HTTP_STEPS)
def test_an_unknown_name_in_an_http_step_leads_to_the_response(source, hint):
    with pytest.raises(InvalidTemplate, match=re.escape(hint)):
        Expression(source, HTTP_NAMES)


HABITS = {
    "braces": ("{{ message.id == 1 }}", "remove the outer braces."),
    "three signs": ("message.id === 1", "Write == or !=."),
    "two ampersands": ("message.a && message.b", "Write 'and' instead of &&."),
    "two bars": ("message.a || message.b", "Write 'or' instead of ||."),
    "an exclamation mark": ("!message.a", "Write 'not' instead of !."),
    "a careful path": ("message?.a", "write | default(…) for another value."),
    "two question marks": ("message.a ?? 5", "write | default(…) for another value."),
    "a question": ("message.a ? 1 : 2", "Write 'a if b else c' instead of"),
    "one sign": ("message.id = 1", "Write == to compare."),
}


@pytest.mark.parametrize(("source", "advice"), HABITS.values(), ids=HABITS)
def test_what_another_language_writes_is_reported_with_what_to_write_here(source, advice):
    with pytest.raises(InvalidTemplate, match=f"invalid expression .*[.] .*{re.escape(advice)}") as invalid:
        Expression(source, NAMES)
    assert invalid.value.code == "invalid-expression"


def test_a_text_and_a_named_argument_are_no_habit_of_another_language():
    with pytest.raises(InvalidTemplate) as invalid:
        Expression("message.a == '&& = !' and (message.b | map(attribute='c') | nonesuch)", NAMES)
    assert "Write" not in str(invalid.value)


UNREADABLE = {
    "nothing": "",
    "half of it": "message.id ==",
    "a bracket": "(message.id",
    "a statement": "message }} {{ vars.TOKEN",
    "a tag": "{% for x in message %}",
    "an unknown filter": "message | nonesuch",
    "an unknown test": "message is nonesuch",
    "an unknown filter that no value reaches": "message.a and message.b | nonesuch",
    "an unknown test that no value reaches": "message.a and message.b is not nonesuch",
    "an unknown function": "nonesuch()",
    "a pattern for each element": "message.x and message.y | map('regex_find', '(') | list",
    "a function that could run long": "range(100000)",
    "too much": "message." + "a" * MAX_EXPRESSION_LENGTH + " == 1",
    "too deep": "(" * 1500 + "1" + ")" * 1500,
}


@pytest.mark.parametrize("source", UNREADABLE.values(), ids=UNREADABLE)
def test_what_cannot_be_read_is_refused_when_it_is_compiled(source):
    with pytest.raises(InvalidTemplate):
        Expression(source, NAMES)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("", "an expression is empty. Write one, or remove it."),
        (" \n", "an expression is empty. Write one, or remove it."),
        ("message.id ==", "invalid expression 'message.id ==': syntax error: unexpected end of the expression."),
    ],
)
def test_an_expression_that_ends_too_early_is_refused_in_words_of_a_manifest(source, message):
    with pytest.raises(InvalidTemplate) as invalid:
        Expression(source, NAMES)
    assert (str(invalid.value), invalid.value.code) == (f"{message} [invalid-expression]", "invalid-expression")


FAILS = {
    "text and a number": "args.a - 1",
    "by zero": "1 // 0",
    "a method of text, of a number": "1.5.upper()",
}


@pytest.mark.parametrize("source", FAILS.values(), ids=FAILS)
def test_an_impossible_operation_fails_without_showing_values(source):
    with pytest.raises(EvaluationError) as failed:
        evaluate(source, args={"a": "s3cret"})

    assert "s3cret" not in str(failed.value)


CLEAR = {
    "a text with int": ("args.a | int", "the text is not a number: int and float need a text that is a number"),
    "a text with float": ("args.a | float", "the text is not a number"),
    "an empty text with int": ("'' | int", "the text is empty"),
    "a text in map": ("[args.a] | map('int') | list", "the text is not a number"),
    "a list with int": ("[1] | int", "a list cannot become an integer"),
    "a text as an argument": ("1.5 | round(args.a)", "a text cannot become a whole number"),
    "a negative text": ("-args.a", "the operation is not possible on a value of this type"),
}


@pytest.mark.parametrize(("source", "reason"), CLEAR.values(), ids=CLEAR)
def test_the_error_of_a_conversion_is_in_terms_of_manifests(source, reason):
    with pytest.raises(EvaluationError, match=f"failed: {reason}") as failed:
        evaluate(source, args={"a": "s3cret"})
    assert "s3cret" not in str(failed.value)


@pytest.mark.parametrize("source", FAILS.values(), ids=FAILS)
def test_a_predicate_that_cannot_be_evaluated_is_not_the_same_as_false(source):
    seen = scope(args={"a": "s3cret"})

    assert not Expression(source, NAMES).is_true(seen)
    assert source in seen.failures[source]
    assert "s3cret" not in seen.failures[source]


def failures_of(source, message):
    seen = scope(message=message)
    Expression(source, NAMES).is_true(seen)
    return seen.failures


PREDICATES = {
    "equal": ("message.id == 7", {"id": 7}, True),
    "not equal": ("message.id == 7", {"id": 8}, False),
    "a text is not its number": ("message.id == 7", {"id": "7"}, False),
    "a number is not its text": ("message.id == '7'", {"id": 7}, False),
    "a path": ("message.ok", {"ok": True}, True),
    "a path to false": ("message.ok", {"ok": False}, False),
    "a path to nothing": ("message.ok", {}, False),
    "undefined is not defined": ("message.error is defined", {}, False),
    "null is defined": ("message.error is defined", {"error": None}, True),
    "below what is not there": ("message.error.code == 3", {}, False),
    "of a text": ("message.type == 'x'", "type x", False),
    "of bytes": ("message.type == 'x'", b"type x", False),
    "a method": ("message.startswith('PING')", "PING 1", True),
    "a method of what is not there": ("message.text.startswith('PING')", {"a": 1}, False),
    "a lone surrogate elsewhere": ("message.id == 7 and message.e is not defined", {"id": 7, "x": "\ud800"}, True),
    "a huge number elsewhere": ("message.id == 7 and message.e is not defined", {"id": 7, "x": 10**400}, True),
    "an infinite number elsewhere": ("message.id == 7 and message.e is not defined", {"id": 7, "x": 1e999}, True),
}


@pytest.mark.parametrize(("source", "message", "answer"), PREDICATES.values(), ids=PREDICATES)
def test_a_predicate_holds_or_does_not(source, message, answer):
    assert holds(source, message) is answer
    assert not failures_of(source, message)


FROM_THE_NETWORK = {
    "a path": "message.result.items[0]",
    "a comparison": "message.id == request_id and not (message.a != 'x (y) | z * 2')",
    "a choice": "message.result if message.type == 'ok' else message",
    "a test": "message.error is defined",
    "membership": "message.type in ['a', 'b']",
}

NOT_FROM_THE_NETWORK = {
    "a filter": "message | upper",
    "a call": "uuid()",
    "a call of a method": "message.upper()",
    "a call with space": "uuid ()",
    "repetition": "'a' * 1000000000",
    "a power": "10 ** 1000",
    "concatenation": "message ~ message",
    "an object": "{'a': 1}",
    "a remainder": "message % 2",
    "a range": "range(100000)",
    "an unknown name": "nonesuch",
}


@pytest.mark.parametrize("source", FROM_THE_NETWORK.values(), ids=FROM_THE_NETWORK)
def test_an_expression_from_the_network_may_compare(source):
    assert Expression(source, NAMES, local=False).source == source


@pytest.mark.parametrize("source", NOT_FROM_THE_NETWORK.values(), ids=NOT_FROM_THE_NETWORK)
def test_an_expression_from_the_network_may_only_compare(source):
    with pytest.raises(InvalidTemplate):
        Expression(source, NAMES, local=False)


@pytest.mark.parametrize("source", ["(random_hex)(5)", "[random_hex][0](5)", "(uuid)()"])
def test_an_expression_from_the_network_may_not_call_in_parentheses_either(source):
    with pytest.raises(InvalidTemplate):
        Expression(source, NAMES, local=False)


def test_what_is_not_there_is_false_and_says_so():
    assert not UNDEFINED
    assert repr(UNDEFINED) == "undefined"


def test_an_expression_shows_its_source():
    assert repr(Expression(" message.id ", NAMES)) == "Expression('message.id')"


@FUZZ
@given(st.text(alphabet="mesageid_. '\"[]()0|=~{}%-+*,:\n", max_size=30), st.booleans())
def test_any_text_is_an_expression_or_refused(source, local):
    try:
        expression = Expression(source, NAMES, local=local)
    except InvalidTemplate:
        return
    assert isinstance(expression.is_true(scope(message={"id": 1})), bool)


keys = st.text(alphabet="abc_", min_size=1, max_size=3)
documents = st.recursive(
    st.integers() | st.text(max_size=3) | st.none(),
    lambda inner: st.dictionaries(keys, inner, max_size=3) | st.lists(inner, max_size=3),
    max_leaves=8,
)


@FUZZ
@given(documents, st.data())
def test_every_value_of_a_message_can_be_reached_by_its_path(document, data):
    source, value = "message", document
    while isinstance(value, dict | list) and value and data.draw(st.booleans()):
        step = data.draw(st.sampled_from(sorted(value) if isinstance(value, dict) else range(len(value))))
        source += f"[{step}]" if isinstance(step, int) else data.draw(st.sampled_from([f".{step}", f"['{step}']"]))
        value = value[step]

    assert evaluate(source, message=document) is value


def test_an_expression_that_was_compiled_for_the_manifest_is_not_taken_for_one_from_the_network():
    source = "message.id | upper == 'A'"
    assert compile_expression(source, NAMES) is compile_expression(source, NAMES)

    with pytest.raises(InvalidTemplate, match="it comes from the network"):
        compile_expression(source, NAMES, local=False)


def test_an_unknown_test_is_reported_with_what_looks_into_a_text():
    with pytest.raises(InvalidTemplate, match="Write 'word' in message, or message . regex_find"):
        Expression("message is containing('a')", NAMES)


def test_a_pattern_that_is_put_together_is_looked_at_when_it_is_used():
    assert evaluate("'a(b)' | regex_find('[(' ~ args.a ~ ']')", args={"a": ")"}) == "("


PYTHONS_OWN = sorted({name for kind in (dict, list, bytes) for name in dir(kind) if not name.startswith("_")})


@pytest.mark.parametrize("name", PYTHONS_OWN)
@pytest.mark.parametrize("value", [{"a": 1}, [1], b"a"], ids=["object", "array", "bytes"])
def test_a_member_that_is_not_there_is_not_defined_whatever_its_name(name, value):
    assert not holds(f"message.{name} is defined", value)
    assert holds(f"message.{name} is not defined and message['{name}'] is undefined", value)
    assert evaluate(f"message.data.{name} | default('none')", message={"data": value}) == "none"


@pytest.mark.parametrize("name", PYTHONS_OWN)
def test_a_member_that_is_there_is_found_whatever_its_name(name):
    message = {"data": [{name: {"n": 5}}]}

    assert holds(f"message.data[0].{name}.n == 5 and 'message.{name}' != ''", message)
    assert evaluate(f"[message.data.0.{name}, message.data[0]['{name}'].n]", message=message) == [{"n": 5}, 5]


def test_a_method_of_a_member_with_such_a_name_can_be_called():
    assert holds("message.title.startswith('a') and message.items[1:] == [2]", {"title": "ab", "items": [1, 2]})
    assert evaluate("message.values() | list", message={"values": 1}) == [1]


FAILURES = {
    "no arguments": (
        "args.d.get()",
        "an operation is not possible on these values: get expected at least 1 argument, got 0.",
    ),
    "an encoding": ("args.b.decode('nothing')", "an operation is not possible on these values: unknown encoding."),
    "a value that is quoted": ("args.l.index('y')", "an operation is not possible on these values."),
    "another method": ("args.l.hex()", "a value has no method of this name."),
    "a method of text on nothing": ("args.d.x.replace('a', 'b')", "a value is missing."),
    "a method on nothing": ("args.d.x.upper()", "unknown method: undefined has no method named upper."),
    "a filter": ("args.d | unhex", "an object is not hexadecimal."),
}


@pytest.mark.parametrize(("source", "reason"), FAILURES.values(), ids=FAILURES)
def test_a_failure_is_reported_without_the_words_of_python(source, reason):
    with pytest.raises(EvaluationError) as failed:
        evaluate(source, args={"d": {"k": 1}, "l": ["x"], "b": b"x"})
    assert (str(failed.value), failed.value.code) == (
        f"the expression {source!r} failed: {reason}",
        "expression-failed",
    )


def test_a_reason_of_python_has_at_most_100_characters():
    with pytest.raises(EvaluationError) as failed:
        evaluate("args.c.get()", args={"c": Calls()})
    assert str(failed.value).endswith(f" values: {'x' * 100}.")


class Calls(dict):
    def get(self, *_):
        raise TypeError("x" * 101 + ": secret")


@pytest.mark.parametrize("more", [0, 1])
def test_an_expression_is_shown_up_to_160_characters(more):
    source = "1 // 0" + " + 111" * 25 + "2222" + "2" * more
    with pytest.raises(EvaluationError) as failed:
        evaluate(source)
    assert repr(source if not more else source[:160] + " …") in str(failed.value)


def test_an_expression_has_up_to_4000_characters():
    source = "1 +" + " " * 3996 + "2"
    assert evaluate(source) == 3
    with pytest.raises(InvalidTemplate) as refused:
        evaluate("1 + " + " " * 3996 + "2")
    assert refused.value.code == "expression-too-long"
    assert refused.value.message == (
        f"the expression '1 +{' ' * 57}'… has more than 4000 characters. Divide it with \"let\"."
    )


def test_an_expression_of_half_characters_is_refused():
    with pytest.raises(InvalidTemplate, match="contains characters that are not text") as refused:
        Expression("'\ud800' ~ 1", NAMES)
    assert refused.value.code == "expression-too-long"


def test_a_function_is_called_once_for_a_value():
    calls = []
    assert evaluate("uuid() ~ ''", uuid=lambda: calls.append(1) or "u") == "u"
    assert len(calls) == 1


def test_omit_is_a_value_that_leaves_out_what_it_stands_in():
    names = NAMES | {"omit"}

    def value(source):
        return Expression(source, names).evaluate(scope(args={"a": "x"}))

    assert value("omit") is UNDEFINED
    assert value("args.b | default(omit)") is UNDEFINED
    assert value("'a ' ~ (args.b | default(omit))") is UNDEFINED
    assert value("args.a | default(omit)") == "x"
    assert value("1 if omit is defined else 2") == 1
    assert value("args.a if args.a else omit") == "x"


class Stuck:
    def eval_expr(self, *_, **__):
        raise AssertionError("MiniJinja was asked")


def test_lookups_and_comparisons_are_evaluated_without_minijinja(monkeypatch):
    monkeypatch.setattr("utcp_ws_mcp.core.expressions.expression._ENVIRONMENT", Stuck())

    assert holds("message.id == 7 and message.e is not defined", {"id": 7})
    assert evaluate("message.a if message.b else 'x'", message={"a": 1, "b": True}) == 1
    assert Expression("message.id != 7", NAMES).decide(scope(message={"id": 7})) is False


ROW = ["x" * (1 << 20)] * 20


def test_what_is_larger_than_may_be_written_is_refused_or_undefined():
    many, few = "[message, message, message, message, message]", "[message, message, message, message]"
    values = scope(message=ROW)
    with pytest.raises(EvaluationError, match="the value would have more than 67,108,864 bytes") as failed:
        Expression(many, NAMES).evaluate(values)
    assert failed.value.code == "value-too-large"
    assert Expression(many, NAMES).evaluate_or_undefined(values) is UNDEFINED
    assert Expression(few, NAMES).evaluate_or_undefined(values) == [ROW] * 4
    assert Expression(few, NAMES).evaluate_or_undefined(values, check_size=True) is UNDEFINED
    assert Expression("[message]", NAMES).evaluate_or_undefined(values, check_size=True) == [ROW]


def test_what_a_path_finds_is_never_too_large():
    Expression("message", NAMES).check_size([ROW] * 4)
    with pytest.raises(EvaluationError):
        Expression("[message]", NAMES).check_size([ROW] * 4)


def test_an_expression_knows_what_it_needs():
    needs = Expression("args.b ~ args.a ~ args.b ~ vars.X", NAMES)

    assert (needs.names, needs.arguments, needs.required_args) == (("args", "vars"), {"a", "b"}, ("b", "a"))
    assert Expression("args[0] ~ args", NAMES).required_args == ()
    assert Expression("args.a", NAMES).required_args == ()
    for source in ("args.a | default(1)", "args.a ~ 1 if args.b", "args.a is defined", "args.a or 1 + 1"):
        assert Expression(source, NAMES).required_args == ()


def test_values_that_are_missing_are_noticed():
    allowed = NAMES | {"let", "session"}
    both = Expression("args.a ~ let.b", allowed)
    of_session = Expression("session.x ~ ''", allowed)

    assert both.has_missing_inputs({"args": {"a": 1}, "let": {}})
    assert both.has_missing_inputs({"args": {}, "let": {"b": 1}})
    assert both.has_missing_inputs({"args": {"a": 1}, "let": UNDEFINED})
    assert not both.has_missing_inputs({"args": {"a": None}, "let": {"b": None}})
    assert of_session.lacks_session({"session": UNDEFINED})
    assert of_session.lacks_session({"session": {}})
    assert not of_session.lacks_session({"session": {"x": None}})
    assert not both.lacks_session({})
    assert not of_session.has_missing_inputs({})


def test_only_an_expression_that_holds_values_may_grow():
    assert not Expression("args.a ~ args.b", NAMES).may_grow
    assert not Expression("args.a", NAMES).may_grow
    assert Expression("[args, args, args, args, args]", NAMES).may_grow


def test_a_path_has_no_tree_unless_it_begins_with_a_function():
    assert Expression("args.uuid", NAMES).tree is None
    assert Expression("args.a ~ ''", NAMES).tree is not None


def test_a_predicate_that_fails_is_noted_once_and_only_where_there_is_a_place_for_it():
    seen = scope(args={"a": "x"})
    predicate = Expression("args.a - 1", NAMES)

    assert not predicate.is_true({**seen})
    assert seen.failures == {}
    assert not predicate.is_true(seen)
    first = dict(seen.failures)
    assert not predicate.is_true(seen)
    assert seen.failures == first
    with pytest.raises(EvaluationError):
        predicate.decide(seen)


@pytest.mark.parametrize(
    "source", ["message.x.replace('a', 'b') == 'c'", "message.x.upper() == 'A'", "message.x.split()"]
)
def test_a_method_of_a_missing_value_is_false(source):
    assert not holds(source, {})
    assert failures_of(source, {}) == {}
