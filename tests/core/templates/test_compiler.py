import json
from collections import defaultdict
from dataclasses import dataclass

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from utcp_ws_mcp.core.expressions.paths import UNDEFINED
from utcp_ws_mcp.core.expressions.scope import REQUEST_NAMES
from utcp_ws_mcp.core.templates.compiler import Compiler
from utcp_ws_mcp.core.templates.nodes import OMIT, AllArguments, RenderError, to_text
from utcp_ws_mcp.errors import InvalidTemplate

FUZZ = settings(max_examples=200, deadline=None, database=None)
VARIABLES = {"TOKEN": "s3cret", "TRICKY": '{{ tool }} UTCP_ARG_a_UTCP_ARG ${TOKEN} "', "JSON": '{"x": [1]}'}


def arg(name):
    return f"UTCP_ARG_{name}_UTCP_ARG"


A, B = arg("a"), arg("b")


def fill(template, *, typed=False, variables=VARIABLES, **args):
    values = {"args": args, "tool": "quote", "request_id": 7, "vars": dict(variables or {}), "session": {}}
    scope = dict.fromkeys(REQUEST_NAMES, UNDEFINED) | values
    return Compiler(variables, typed=typed).message(template).render(scope)


VALUES = {"a": {"id": 123}, "n": 1.0, "t": "text", "list": [1, "x"], "true": True, "null": None, "empty": ""}

INSERTED = {
    "an object as its JSON text": (A, {"id": 123}, '{"id": 123}'),
    "an array as its JSON text": (A, [1, "x"], '[1, "x"]'),
    "a number as its JSON text": (A, 1.0, "1.0"),
    "true as its JSON text": (A, True, "true"),
    "null as its JSON text": (A, None, "null"),
    "a text as it is": (A, 'say "hi" ü', 'say "hi" ü'),
    "an empty text": (A, "", ""),
    "inside a longer text": (f"<{A}|{A}>", {"x": "ü"}, '<{"x": "ü"}|{"x": "ü"}>'),
}


@pytest.mark.parametrize(("template", "argument", "expected"), INSERTED.values(), ids=INSERTED)
def test_an_argument_is_inserted_as_text(template, argument, expected):
    assert fill(template, a=argument) == expected
    assert fill({"deep": [template]}, a=argument) == {"deep": [expected]}


TYPED = {
    "an object": {"id": 123},
    "a number": 1.0,
    "a text": "x",
    "true": True,
    "null": None,
    "an array": [1],
}


@pytest.mark.parametrize("argument", TYPED.values(), ids=TYPED)
def test_a_typed_argument_keeps_its_type(argument):
    assert fill({"v": [A]}, typed=True, a=argument) == {"v": [argument]}
    assert fill({"v": "{{ args.a }}"}, a=argument) == {"v": argument}


def test_a_typed_argument_inside_a_longer_text_is_text():
    assert fill({"v": f"id {A}"}, typed=True, a={"id": 1}) == {"v": 'id {"id": 1}'}


FILLED = {
    "an expression keeps its type": ({"id": "{{ request_id }}"}, {"id": 7}),
    "an expression inside a text is text": ({"id": "id-{{ request_id }}"}, {"id": "id-7"}),
    "an object inside a text is JSON": ("{{ args.o }}!", '{"k": 1}!'),
    "all arguments": ({"params": "{{ args }}"}, {"params": {"o": {"k": 1}, "t": "x"}}),
    "a part of an argument": ({"k": "{{ args.o.k }}"}, {"k": 1}),
    "a computed value": ({"k": "{{ args.o.k + 1 }}"}, {"k": 2}),
    "a manifest's variable": ({"k": "{{ vars.TOKEN }}"}, {"k": "s3cret"}),
    "braces in quotes": ({"k": "{{ '}}' ~ args.t }}"}, {"k": "}}x"}),
    "an object in an expression": ({"k": "{{ {'a': {'b': 1}} }}"}, {"k": {"a": {"b": 1}}}),
    "two plain braces": ({"k": "{{ '{{' }}"}, {"k": "{{"}),
    "two expressions": ("{{ args.t }}{{ request_id }}", "x7"),
    "one brace": ({"k": "{ args.t }"}, {"k": "{ args.t }"}),
    "no text at all": ({"a": 1, "b": [None, True, 1.5]}, {"a": 1, "b": [None, True, 1.5]}),
    "an empty object": ({}, {}),
    "an empty text": ("", ""),
}


@pytest.mark.parametrize(("template", "expected"), FILLED.values(), ids=FILLED)
def test_a_template_is_filled(template, expected):
    assert fill(template, o={"k": 1}, t="x") == expected


LEFT_OUT = {
    "a key": ({"a": A, "k": 1}, {"k": 1}),
    "an element": ([A, 1, A], [1]),
    "deep inside": ({"x": {"y": [{"a": A}]}}, {"x": {"y": [{}]}}),
    "an expression": ({"a": "{{ args.a }}", "k": 1}, {"k": 1}),
    "an expression further down": ({"a": "{{ args.a.b.c }}", "k": 1}, {"k": 1}),
}


@pytest.mark.parametrize("typed", [False, True], ids=["as text", "typed"])
@pytest.mark.parametrize(("template", "expected"), LEFT_OUT.values(), ids=LEFT_OUT)
def test_what_a_missing_argument_would_fill_is_left_out(template, expected, typed):
    assert fill(template, typed=typed) == expected


UNFILLED = {
    "inside a longer text": ({"k": f"id {A}"}, "argument 'a' is missing. Pass it with the call."),
    "in a whole message": (A, "argument 'a' is missing. Pass it with the call."),
    "in a text of JSON": (f'{{"k": {A}}}', "argument 'a' is missing. Pass it with the call."),
    "an expression in a longer text": ("id {{ args.a.b }}", "argument 'a.b' is missing. Pass it with the call."),
    "an expression that computes with one": (
        "id {{ args.a | upper }}",
        "argument 'a' is missing. Pass it with the call.",
    ),
    "an expression that computes with two": ("{{ args.a ~ args.b }}-", "{{ args.a ~ args.b }} has no value."),
    "an argument and a value of the session": (
        "{{ session.x ~ args.a }}-",
        "argument 'a' is missing. Pass it with the call.",
    ),
    "an expression about something else": ({"k": "{{ session.token }}"}, "{{ session.token }} has no value."),
    "a computed one": ("<{{ args.a if true else 1 }}>", "{{ args.a if true else 1 }} has no value."),
}


@pytest.mark.parametrize(("template", "sentence"), UNFILLED.values(), ids=UNFILLED)
def test_a_message_with_a_hole_in_it_is_never_sent(template, sentence):
    with pytest.raises(RenderError) as unfilled:
        fill(template)

    assert str(unfilled.value) == sentence


def test_what_an_argument_does_not_find_is_not_left_out():
    with pytest.raises(RenderError) as unfilled:
        fill({"k": "{{ session[args.a].id }}"}, a="x")

    assert str(unfilled.value) == "{{ session[args.a].id }} has no value."
    assert fill({"k": "{{ session[args.a].id }}"}) == {}


def test_a_condition_says_itself_what_is_left_out():
    assert fill({"k": "{{ session.id if args.a }}"}, a=False) == {}


@pytest.mark.parametrize("template", ["<{{ args.a }}>", f"<{A}>"])
@pytest.mark.parametrize("argument", [b"bytes", {1, 2}, float("nan")], ids=["bytes", "a set", "not a number"])
def test_what_is_no_text_is_not_put_into_one(template, argument):
    with pytest.raises(RenderError):
        fill(template, a=argument)


REFUSED = {
    "a placeholder in a key": {A: 1},
    "a placeholder in a part of a key": {f"x{A}": 1},
    "an expression in a key": {"{{ args.a }}": 1},
    "a placeholder in a key deep inside": {"x": [{"y": {A: 1}}]},
    "an expression that never ends": {"k": "{{ args.a"},
    "an expression that never ends in quotes": "{{ '}}",
    "an unknown name": {"k": "{{ arg.a }}"},
    "a message, which there is none of yet": {"k": "{{ message.id }}"},
    "a variable inside an expression": {"k": "{{ '${TOKEN}' }}"},
    "nothing in an expression": "{{ }}",
}


@pytest.mark.parametrize("template", REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_a_template_is_refused_when_it_is_compiled(template):
    with pytest.raises(InvalidTemplate):
        Compiler(VARIABLES).message(template)


def test_a_placeholder_in_a_key_of_a_text_of_json_is_refused():
    with pytest.raises(InvalidTemplate):
        Compiler(VARIABLES).message(f'{{"{A}": 1, "role": "user"}}')


BOUND = {
    "in a value": ({"k": "${TOKEN}"}, {"k": "s3cret"}),
    "in a text": ("Bearer ${TOKEN}!", "Bearer s3cret!"),
    "as the whole text": ({"k": "$TOKEN"}, {"k": "s3cret"}),
    "not as a part of one": ({"k": "a $TOKEN"}, {"k": "a $TOKEN"}),
    "escaped": ({"k": "$${TOKEN}"}, {"k": "${TOKEN}"}),
    "escaped in a text of JSON": ('{"k": "$${TOKEN}"}', '{"k": "${TOKEN}"}'),
    "beside an escape": ("$${${TOKEN}", "${s3cret"),
    "in a text of JSON": ('{"k": "${TOKEN}"}', '{"k": "s3cret"}'),
    "as JSON, beside a placeholder": ('{"k": ${JSON}, "a": {{ args }}}', '{"k": {"x": [1]}, "a": {}}'),
    "in quotes, beside a placeholder": ('["${JSON}", {{ args }}]', '["{\\"x\\": [1]}", {}]'),
    "as JSON, in a text of JSON": ('{"k": ${JSON}}', '{"k": {"x": [1]}}'),
}


@pytest.mark.parametrize(("template", "expected"), BOUND.values(), ids=BOUND)
def test_a_variable_is_bound_when_the_template_is_compiled(template, expected):
    assert fill(template) == expected


def test_a_value_of_a_variable_is_escaped_in_a_text_of_json_without_placeholders_too():
    assert json.loads(fill('{"k": "${JSON}"}')) == {"k": VARIABLES["JSON"]}


@pytest.mark.parametrize(
    ("template", "expected"),
    [("${TRICKY}", "%s"), ("$TRICKY", "%s"), ("<{{ vars.TRICKY }}>", "<%s>"), ("<${TRICKY}>", "<%s>")],
)
def test_a_value_of_a_variable_is_never_read_as_a_template(template, expected):
    assert fill({"k": template}, a="x") == {"k": expected % VARIABLES["TRICKY"]}
    assert fill(template, a="x") == expected % VARIABLES["TRICKY"]


def test_a_value_of_a_variable_is_never_read_as_a_template_in_a_text_of_json():
    assert json.loads(fill(f'{{"k": "${{TRICKY}}", "a": "{A}"}}', a="x")) == {"k": VARIABLES["TRICKY"], "a": "x"}


KEYS = {
    "like a variable as a whole": {"$type": "x"},
    "with the name of one": {"$TOKEN": "x"},
    "with a dollar": {"a$b": "x", "$": "y"},
}


@pytest.mark.parametrize("template", KEYS.values(), ids=KEYS)
def test_a_key_with_a_dollar_is_only_a_key(template):
    assert fill(template) == template


FROM_THE_NETWORK = {
    "a variable in braces": ("${TOKEN} $${TOKEN}", "${TOKEN} $${TOKEN}"),
    "a variable as the whole text": ({"k": "$TOKEN"}, {"k": "$TOKEN"}),
    "a variable in a text of JSON": ('{"k": "${TOKEN}"}', '{"k": "${TOKEN}"}'),
    "a placeholder": ({"k": A}, {"k": "x"}),
    "a path": ({"k": "{{ args.a }}"}, {"k": "x"}),
}


@pytest.mark.parametrize(("template", "expected"), FROM_THE_NETWORK.values(), ids=FROM_THE_NETWORK)
def test_in_a_template_from_the_network_variables_are_text(template, expected):
    assert fill(template, variables=None, a="x") == expected


@pytest.mark.parametrize("expression", ["vars.TOKEN", "vars", "args.a | upper", "random_hex(9)", "'x' * 9"])
def test_a_template_from_the_network_may_not_compute_or_see_variables(expression):
    with pytest.raises(InvalidTemplate):
        Compiler(None).message({"k": f"{{{{ {expression} }}}}"})


JSON_TEXTS = {
    "in quotes": (f'{{"k": "{A}"}}', 'a"b\\\n', {"k": 'a"b\\\n'}),
    "in quotes with more": (f'{{"k": "<{A}>"}}', '"', {"k": '<">'}),
    "an object in quotes": (f'{{"k": "{A}"}}', {"x": '"'}, {"k": '{"x": "\\""}'}),
    "bare": (f'{{"k": {A}}}', {"x": '"'}, {"k": {"x": '"'}}),
    "a bare text": (f"[{A}]", 'x", "y', ['x", "y']),
    "bare with space": (f' [ {A} , "{A}" ] ', 5, [5, "5"]),
    "behind an escaped quote": (f'{{"k": "\\"{A}\\""}}', '"', {"k": '"""'}),
    "behind a backslash": (f'{{"k": "\\\\{A}"}}', '"', {"k": '\\"'}),
    "between braces in a text": (f'{{"k": "{{{A}}}"}}', '"}', {"k": '{"}}'}),
    "an expression": ('{"k": {{ args.a }}, "t": "{{ args.a }}"}', '"', {"k": '"', "t": '"'}),
}


@pytest.mark.parametrize(("template", "argument", "expected"), JSON_TEXTS.values(), ids=JSON_TEXTS)
def test_an_argument_is_escaped_for_its_place_in_a_text_of_json(template, argument, expected):
    assert json.loads(fill(template, a=argument)) == expected


@pytest.mark.parametrize("between", ["\n", "", "\x1e", " \r\n\t"])
def test_an_argument_is_escaped_in_each_of_several_documents_of_json(between):
    text = fill(f'{{"a": "{A}"}}{between}[{A}]{between}', a='"}\n{"b": "')

    assert text == f'{{"a": "\\"}}\\n{{\\"b\\": \\""}}{between}["\\"}}\\n{{\\"b\\": \\""]{between}'


@pytest.mark.parametrize("template", [f'{{"k": 1{A}}}', f'{{"k": -{A}}}', f'{{"k": "\\u000{A}"}}', f"[1.{A}]"])
def test_a_hole_inside_a_token_of_json_makes_the_template_plain_text(template):
    assert Compiler(VARIABLES).message(template).render({"args": {"a": "x"}}) == template.replace(A, "x")


TEXTS = {
    "a line": (f"GET {A}", 'x" y', 'GET x" y'),
    "braces that are no JSON": (f"{{{A}", "x", "{x"),
    "an event": (f'42["say", {A}]', '"x"', '42["say", "x"]'),
}


@pytest.mark.parametrize(("template", "argument", "expected"), TEXTS.values(), ids=TEXTS)
def test_an_argument_stands_as_it_is_in_a_text_that_is_no_json(template, argument, expected):
    assert fill(template, a=argument) == expected


@pytest.mark.parametrize("template", ["{{ args.a }}", " {{ args.a }} ", "{{ args.a }}\n"])
def test_a_message_that_is_one_expression_is_its_text(template):
    assert fill(template, a="PING").strip() == "PING"


def test_without_a_message_the_arguments_are_sent():
    args = {"a": 1, "b": [2], "X-Key": "h"}

    assert AllArguments().render({"args": args}) == args
    assert AllArguments(frozenset({"X-Key"})).render({"args": args}) == {"a": 1, "b": [2]}


def test_a_template_does_not_change_the_arguments_that_fill_it():
    args = {"o": {"k": [1]}}

    fill({"x": "{{ args.o }}", "y": arg("o")}, **args)

    assert args == {"o": {"k": [1]}}


@pytest.mark.parametrize(("value", "text"), [("x", "x"), (1, "1"), (None, "null"), ({"a": "ü"}, '{"a": "ü"}')])
def test_a_value_has_a_text(value, text):
    assert to_text(value) == text


# --- any template, any arguments ---


@dataclass(frozen=True)
class Hole:
    name: str

    @property
    def placeholder(self):
        return arg(self.name)


NAMES = ["a", "b", "c"]
TRICKS = [
    A,
    B,
    "{{ vars.TOKEN }}",
    "${TOKEN}",
    "$TOKEN",
    "$${",
    '", "admin": true, "x": "',
    "\\",
    '"',
    "}}",
    "]}",
    "\n",
]
plain = st.text(alphabet="xy \"\\:,é\n/}[]'1", max_size=6)
holes = st.sampled_from(NAMES).map(Hole)
leaves = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
mixed = st.lists(plain | holes, min_size=1, max_size=4).map(tuple)
templates = st.recursive(
    leaves | holes | mixed,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(plain, inner, max_size=3),
    max_leaves=8,
)
structures = st.lists(templates, max_size=3) | st.dictionaries(plain, templates, max_size=3)
strings = st.text(max_size=8) | st.lists(st.sampled_from(TRICKS) | plain, max_size=3).map("".join)
arguments = st.recursive(
    leaves | strings,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(strings, inner, max_size=3),
    max_leaves=6,
)
some = st.dictionaries(st.sampled_from([*NAMES, "other"]), arguments)
all_of_them = st.fixed_dictionaries(dict.fromkeys(NAMES, arguments))


def text_of(value):
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def is_alone(parts):
    return len(kept := [part for part in parts if part != ""]) == 1 and isinstance(kept[0], Hole)


def written(node):
    match node:
        case Hole():
            return node.placeholder
        case tuple():
            return "".join(part.placeholder if isinstance(part, Hole) else part for part in node)
        case list():
            return [written(item) for item in node]
        case dict():
            return {key: written(item) for key, item in node.items()}
    return node


def expected_of(node, args, typed):
    """What a template stands for, built from its structure; OMIT for a missing argument."""
    match node:
        case Hole(name):
            value = args.get(name, OMIT)
            return value if typed or value is OMIT else text_of(value)
        case tuple() if is_alone(node):
            return expected_of(next(part for part in node if part), args, typed)
        case tuple():
            return "".join(text_of(args[part.name]) if isinstance(part, Hole) else part for part in node)
        case list():
            return [value for item in node if (value := expected_of(item, args, typed)) is not OMIT]
        case dict():
            return {key: value for key, item in node.items() if (value := expected_of(item, args, typed)) is not OMIT}
    return node


@FUZZ
@given(structures, some, st.booleans())
def test_a_message_is_its_template_with_the_arguments_in_their_places_and_nothing_else(node, args, typed):
    try:
        expected = expected_of(node, args, typed)
    except KeyError:
        with pytest.raises(RenderError):
            fill(written(node), typed=typed, **args)
        return

    assert fill(written(node), typed=typed, **args) == expected


@FUZZ
@given(structures, all_of_them, all_of_them, st.sampled_from(NAMES))
def test_an_argument_changes_only_the_leaves_that_name_it(node, args, others, name):
    before = fill(written(node), typed=True, **args)
    after = fill(written(node), typed=True, **{**args, name: others[name]})

    for path, leaf in leaves_of(node):
        names = {part.name for part in (leaf if isinstance(leaf, tuple) else (leaf,)) if isinstance(part, Hole)}
        if name not in names:
            assert at(before, path) == at(after, path)


def leaves_of(node, path=()):
    if isinstance(node, dict | list):
        for step, item in node.items() if isinstance(node, dict) else enumerate(node):
            yield from leaves_of(item, (*path, step))
    else:
        yield path, node


def at(value, path):
    for step in path:
        value = value[step]
    return value


@FUZZ
@given(st.lists(plain | holes, max_size=5), all_of_them)
def test_no_text_of_an_argument_is_scanned_again(parts, args):
    template = "x" + "".join(part.placeholder if isinstance(part, Hole) else part for part in parts)
    expected = "x" + "".join(text_of(args[part.name]) if isinstance(part, Hole) else part for part in parts)

    try:
        filled = fill(template, **args)
    except RenderError as refused:
        assume(refused.code != "argument-breaks-message")
        raise
    assert filled == expected


def as_json_text(node):
    """A template as JSON text: mixed leaves stand in quotes, single holes stand bare."""
    match node:
        case Hole():
            return f" {node.placeholder} "
        case tuple():
            inner = (part.placeholder if isinstance(part, Hole) else json.dumps(part)[1:-1] for part in node)
            return f'"{"".join(inner)}"'
        case list():
            return "[" + ",".join(map(as_json_text, node)) + "]"
        case dict():
            return "{" + ",".join(f"{json.dumps(key)}:{as_json_text(item)}" for key, item in node.items()) + "}"
    return json.dumps(node)


def value_of(node, args):
    match node:
        case Hole(name):
            return args[name]
        case tuple():
            return "".join(text_of(args[part.name]) if isinstance(part, Hole) else part for part in node)
        case list():
            return [value_of(item, args) for item in node]
        case dict():
            return {key: value_of(item, args) for key, item in node.items()}
    return node


@FUZZ
@given(structures, all_of_them)
def test_a_text_of_json_stays_json_with_every_argument_in_its_place(node, args):
    assert json.loads(fill(as_json_text(node), **args)) == value_of(node, args)


def as_dumped_text(node):
    """A template as `json.dumps` writes it, with its holes in place of what fills them."""
    match node:
        case Hole():
            return node.placeholder
        case tuple():
            return f'"{"".join(part.placeholder if isinstance(part, Hole) else dumped(part)[1:-1] for part in node)}"'
        case list():
            return "[" + ", ".join(map(as_dumped_text, node)) + "]"
        case dict():
            return "{" + ", ".join(f"{dumped(key)}: {as_dumped_text(item)}" for key, item in node.items()) + "}"
    return dumped(node)


def dumped(value):
    return json.dumps(value, ensure_ascii=False)


@FUZZ
@given(structures.filter(lambda node: isinstance(node, dict | list)), all_of_them)
def test_a_text_of_json_becomes_what_the_encoder_writes_of_the_filled_document(node, args):
    assert fill(as_dumped_text(node), **args) == dumped(value_of(node, args))


@FUZZ
@given(st.text(alphabet='UTCP_ARGab{}"$[]:1, \\', max_size=40), all_of_them)
def test_any_text_is_a_template_or_refused(template, args):
    try:
        message = fill(template, variables=defaultdict(lambda: "v"), **args)
    except (InvalidTemplate, RenderError):
        return
    assert isinstance(message, str)


# --- what a template is compiled to, and why it is refused ---


def refusal(template, compiler=None):
    with pytest.raises(InvalidTemplate) as refused:
        (compiler or Compiler(VARIABLES)).message(template)
    return refused.value.message, refused.value.code


def deep(levels, inmost="x"):
    value = inmost
    for level in range(levels):
        value = [value] if level % 2 else {"k": value}
    return value


def test_a_message_may_have_64_levels():
    assert fill(deep(63)) == deep(63)
    assert fill(deep(63, A), a="x") == deep(63)
    for inmost in ("x", A, 5):
        message = ("the message is nested more than 64 levels deep.", "template-too-deep")
        assert refusal(deep(64, inmost)) == message
        assert refusal({"$each": [deep(63, inmost)]}) == message
        assert refusal([{"$each": [], "$template": deep(62, inmost)}, deep(64, inmost)]) == message


HINT = "Placeholders are allowed only in values; write the whole object as an expression: {{ {args.key: args.value} }}."
REASONS = {
    "a key": ({"{{ args.a }}": 1}, f"the key '{{{{ args.a }}}}' contains a placeholder. {HINT}", "placeholder-in-key"),
    "a key in JSON text": (
        f'{{"{A}": 1}}',
        f"a key of '{{\"{A}\": 1}}' contains a placeholder. {HINT}",
        "placeholder-in-key",
    ),
    "a variable in an expression": (
        "{{ '${TOKEN}' }}",
        "{{ '${TOKEN}' }} contains ${NAME}. Write vars.NAME in an expression.",
        "variable-in-expression",
    ),
    "raw inside": ({"a": {"$raw": 1}}, '"$raw" is inside a message. Write it as a whole message.', "invalid-message"),
    "a file without a path": (
        {"$file": ""},
        '"$file" does not contain a path. Write the path of a file, relative to the manifest.',
        "invalid-file-reference",
    ),
}


@pytest.mark.parametrize(("template", "message", "code"), REASONS.values(), ids=REASONS)
def test_a_template_is_refused_with_its_reason(template, message, code):
    assert refusal(template) == (message, code)


def test_a_long_text_is_shown_up_to_60_characters():
    message, _ = refusal(f'{{"{A}": "{"x" * 60}"}}')
    assert f"a key of {(chr(123) + chr(34) + A + chr(34) + ': ' + chr(34) + 'x' * 60)[:60]!r} contains" in message


def test_a_file_is_read_when_the_template_is_compiled():
    read = []
    compiler = Compiler({"NAME": "v"}, read_file=lambda path: read.append(path) or b"\xff")
    assert compiler.message({"a": {"$file": "dir/${NAME}.bin"}}).render({"args": {}}) == {"a": b"\xff"}
    assert read == ["dir/v.bin"]
    for source in ("{{ args.a }}", "UTCP_ARG_a_UTCP_ARG", 5, ["a"], ""):
        assert refusal({"a": {"$file": source}}, compiler)[1] == "invalid-file-reference"
    assert refusal({"a": {"$file": "x"}})[1] == "invalid-file-reference"


@pytest.mark.parametrize("kind", ["$file", "$base64", "$each", "$raw"])
def test_a_form_from_the_network_is_an_object(kind):
    compiler = Compiler(None, read_file=lambda path: b"secret")
    assert compiler.message({"a": {kind: "x"}}).render({"args": {}}) == {"a": {kind: "x"}}
    assert compiler.message({kind: "x"}).render({"args": {}}) == {kind: "x"}


def test_a_message_of_many_placeholders_is_bounded():
    row = ["x" * (1 << 20)] * 15
    few, many = {f"a{index}": "{{ args.r }}" for index in range(4)}, {f"a{index}": "{{ args.r }}" for index in range(5)}
    assert fill(few, r=row * 2) == dict.fromkeys(few, row * 2)
    for template in (many, list(many.values()), {"x": [many]}, dict.fromkeys(many, arg("r"))):
        with pytest.raises(RenderError) as refused:
            fill(template, typed=True, r=row)
        assert refused.value.code == "value-too-large"


def test_a_part_of_a_message_without_placeholders_is_constant():
    shared = Compiler({}).message({"a": [1, "x"], "b": {}})
    assert shared.render({"args": {}}) is shared.render({"args": {}})
    mixed = Compiler({}).message({"a": [1, "x"], "b": A})
    assert mixed.render({"args": {}})["a"] is mixed.render({"args": {}})["a"]


def test_texts_are_merged_around_variables():
    compiler = Compiler({"A": "1", "EMPTY": ""})
    assert compiler.parts("a${A}b${EMPTY}c") == ["a1bc"]
    assert compiler.parts("${EMPTY}") == []
    assert compiler.parts("$A") == ["1"]
    assert [type(part).__name__ for part in compiler.parts(f"x${{A}}{A}{{{{ args.b }}}}$${{")] == [
        "str",
        "Argument",
        "ExpressionValue",
        "str",
    ]
    assert Compiler(None).parts("$A ${A}") == ["$A ${A}"]


def test_topics_are_those_of_mqtt_only():
    for codec, key, is_topic in (
        ("mqtt", "topic", True),
        ("mqtt", "topics", True),
        ("mqtt", "text", False),
        ("", "topic", False),
    ):
        node = Compiler({}, codec=codec).message({key: f"a/{A}", "b": [{key: f"a/{A}"}]})
        if is_topic:
            with pytest.raises(RenderError):
                node.render({"args": {"a": "/"}})
        else:
            assert node.render({"args": {"a": "/"}}) == {key: "a//", "b": [{key: "a//"}]}


def test_a_topic_is_never_json():
    node = Compiler({}, codec="mqtt").message({"topic": f'["{A}"]'})
    assert node.render({"args": {"a": '"'}}) == {"topic": '["""]'}
    assert Compiler({}).message({"topic": f'["{A}"]'}).render({"args": {"a": '"'}}) == {"topic": '["\\""]'}


def test_a_separator_is_refused_in_messages_of_each_kind():
    compiler = Compiler({}, separator="--")
    for template in (
        A,
        f"x {A}",
        f'{{"a": "{A}"}}',
        "{{ args.a }}",
        "{{ 'x' ~ args.a }}",
        {"$each": ["1"], "$template": f"x {A}"},
    ):
        with pytest.raises(RenderError) as refused:
            compiler.message(template).render({"args": {"a": "x--"}})
        assert refused.value.code == "argument-breaks-message"
    assert compiler.message({"a": A}).render({"args": {"a": "x--"}}) == {"a": "x--"}
    assert compiler.message("a -- b").render({"args": {}}) == "a -- b"


def test_operands_of_a_message_may_be_of_any_kind():
    assert fill("{{ 'a' ~ 1 ~ args.a ~ 1.5 ~ 'b' }}", a=[1]) == "a1[1]1.5b"
    assert fill("{{ args.a ~ 'x' ~ 'y' }}", a="1") == "1xy"
    assert fill("{{ ('a' ~ args.a) ~ ('b' ~ args.a) }}", a="1") == "a1b1"
    assert fill("{{ args.a | upper ~ 'x' }}", a="a") == "Ax"


def test_variables_are_not_shown():
    assert "s3cret" not in repr(Compiler(VARIABLES))
