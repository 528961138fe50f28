import jsonschema_rs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from utcp_ws_mcp.core.tools.argument_schema import MAX_ERROR_LENGTH, InvalidSchema, SchemaValidator

FUZZ = settings(max_examples=150, deadline=None, database=None)

OBJECT = {
    "type": "object",
    "properties": {"id": {"type": "integer"}, "list": {"items": {"type": "string"}}},
    "required": ["id"],
    "additionalProperties": False,
}

CHECKED = {
    "right": ({"id": 1, "list": ["a"]}, None),
    "a missing member": ({}, '"id" is a required property'),
    "a wrong member": ({"id": "x"}, 'id: "x" is not of type "integer"'),
    "an unknown member": ({"id": 1, "x": 2}, "Additional properties are not allowed ('x' was unexpected)"),
    "a wrong element": ({"id": 1, "list": ["a", 5]}, 'list.1: 5 is not of type "string"'),
    "several mistakes": (
        {"ids": 1, "list": ["a", 5, 6, 7]},
        'list.1: 5 is not of type "string"; list.2: 6 is not of type "string"; list.3: 7 is not of type "string"',
    ),
    "no object": (5, '5 is not of type "object"'),
}


@pytest.mark.parametrize(("value", "wrong"), CHECKED.values(), ids=CHECKED)
def test_a_value_is_checked_and_the_wrong_place_is_named(value, wrong):
    assert SchemaValidator(OBJECT).check(value) == wrong


def test_all_values_of_an_enum_are_shown():
    schema = SchemaValidator({"properties": {"what": {"enum": ["version", 2, None, "é"]}}})

    assert schema.check({"what": "x"}) == 'what: "x" is not one of "version", 2, null or "é"'
    assert SchemaValidator({"enum": ["only"]}).check("x") == '"x" is not one of "only"'


def test_a_long_value_does_not_hide_what_is_allowed():
    wrong = SchemaValidator({"enum": ["on", "off"]}).check("x" * 1000)

    assert wrong is not None
    assert wrong.endswith('x… is not one of "on" or "off"')


@pytest.mark.parametrize(("length", "is_shown"), [(496, True), (497, False)])
def test_the_values_of_an_enum_are_shown_up_to_a_thousand_characters(length, is_shown):
    wrong = SchemaValidator({"enum": ["a" * length, "b" * 496]}).check("x")
    assert (f'"x" is not one of "{"a" * length}" or "{"b" * 496}"' == wrong) is is_shown


def test_an_enum_of_hundreds_of_values_is_shortened():
    wrong = SchemaValidator({"enum": [f"value {number}" for number in range(500)]}).check("x")

    assert wrong == '"x" is not one of "value 0", "value 1" or 498 other candidates'


def test_a_reason_is_cut():
    wrong = SchemaValidator({"type": "integer"}).check("x" * 5000)

    assert len(wrong) == MAX_ERROR_LENGTH + 1


DIALECTS = {
    "2020-12 without saying so": ({"prefixItems": [{"type": "integer"}]}, ["x"]),
    "draft 7": ({"$schema": "http://json-schema.org/draft-07/schema#", "items": [{"type": "integer"}]}, ["x"]),
    "a reference within": ({"$ref": "#/$defs/a", "$defs": {"a": {"type": "integer"}}}, "x"),
    "a pattern": ({"pattern": "^[0-9]+$"}, "x"),
}


@pytest.mark.parametrize(("schema", "value"), DIALECTS.values(), ids=DIALECTS)
def test_a_schema_holds(schema, value):
    assert SchemaValidator(schema).check(value) is not None


def test_formats_are_descriptions_only():
    assert SchemaValidator({"format": "email"}).check("no address") is None


REMOTE = [
    "http://127.0.0.1:9/schema.json",
    "https://evil.example/schema.json#/a",
    "file:///etc/passwd",
    "other.json",
    "//evil.example/x",
    "urn:example:x",
]


ELSEWHERE = r"^it refers to .*; only references within the schema are followed\.$"


@pytest.mark.parametrize("reference", REMOTE)
@pytest.mark.parametrize("keyword", ["$ref", "$dynamicRef"])
def test_a_reference_to_another_document_is_refused(reference, keyword):
    with pytest.raises(InvalidSchema, match=ELSEWHERE) as refused:
        SchemaValidator({"type": "object", "properties": {"a": {keyword: reference}}})
    assert reference.partition("#")[0].strip("/") in str(refused.value)
    assert refused.value.code == "schema-reference-not-allowed"


@pytest.mark.parametrize("reference", [REMOTE[0], REMOTE[2], REMOTE[5]])
def test_a_reference_to_another_document_is_refused_before_it_is_looked_for(reference):
    with pytest.raises(InvalidSchema, match="^it refers to"):
        SchemaValidator({"$ref": reference})


def test_a_file_is_not_read_although_it_holds_a_schema(tmp_path):
    file = tmp_path / "schema.json"
    file.write_text('{"type": "integer"}')

    with pytest.raises(InvalidSchema, match=ELSEWHERE):
        SchemaValidator({"$ref": file.as_uri()})


def test_a_reference_is_not_followed_to_where_the_schema_says_that_it_stands():
    with pytest.raises(InvalidSchema, match=ELSEWHERE):
        SchemaValidator({"$id": "https://evil.example/a.json", "$ref": "b.json"})


INVALID = {
    "an unknown type": {"type": "objekt"},
    "a pattern that is none": {"properties": {"a": {"pattern": "("}}},
    "a reference to nothing": {"$ref": "#/nope"},
    "a dialect of another site": {"$schema": "https://evil.example/schema"},
    "a dialect that is no text": {"$schema": 5},
    "members that are no object": {"properties": []},
    "what is no JSON": {"const": b"x"},
    "a lone surrogate": {"\ud800": 1},
    "too deep": None,
}


@pytest.mark.parametrize("schema", INVALID.values(), ids=INVALID)
def test_what_is_no_schema_is_refused_in_one_line(schema):
    if schema is None:
        schema = {}
        for _ in range(2000):
            schema = {"properties": {"a": schema}}

    with pytest.raises(InvalidSchema) as invalid:
        SchemaValidator(schema)

    assert "\n" not in str(invalid.value)
    assert 0 < len(str(invalid.value)) <= MAX_ERROR_LENGTH + 1


PATTERNS = {
    "nested repetition": r"^(a+)+$",
    "alternatives": r"^(a|a)*$",
    "with a back reference": r"(a*)*\1b",
    "with looking ahead": r"^(?=(a+)+$)b",
    "with looking behind": r"(?<=(a|aa)+)b",
}


@pytest.mark.parametrize("pattern", PATTERNS.values(), ids=PATTERNS)
def test_a_pattern_cannot_run_away(pattern):
    try:
        schema = SchemaValidator({"pattern": pattern})
    except InvalidSchema:
        return
    assert schema.check("a" * 5000 + "!") is not None


RECURSIVE = {
    "itself": {"$ref": "#"},
    "itself among others": {"allOf": [{"$ref": "#"}, {"type": "object"}]},
    "in a circle": {"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}},
    "in its members": {"properties": {"a": {"$ref": "#"}}},
}


@pytest.mark.parametrize("schema", RECURSIVE.values(), ids=RECURSIVE)
def test_a_schema_that_refers_to_itself_is_decided(schema):
    assert SchemaValidator(schema).check({"a": {"a": {}}}) is None


ODD = {
    "a lone surrogate": ({"id": 1, "list": ["\ud800"]}, None),
    "a huge number": ({"id": 10**400}, None),
    "a huge number in the wrong place": ({"id": 1, "list": [10**400]}, "list.0"),
    "no finite number": ({"id": float("inf")}, "id"),
}


@pytest.mark.parametrize(("value", "place"), ODD.values(), ids=ODD)
def test_odd_values_are_decided_too(value, place):
    wrong = SchemaValidator(OBJECT).check(value)

    assert (wrong and wrong.partition(":")[0]) == place


def test_a_value_that_is_nested_deeply_is_decided():
    value = {}
    for _ in range(900):
        value = {"a": value}

    assert SchemaValidator({"properties": {"a": {"type": "object"}}}).check(value) is None


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
keywords = st.sampled_from(
    ["type", "properties", "$ref", "pattern", "items", "enum", "allOf", "$id", "minimum", "required"]
)
words = st.sampled_from(["object", "string", "#", "#/properties", "(a+)+$", "[", "a"])


@FUZZ
@given(st.dictionaries(keywords, words | json_values | st.dictionaries(keywords, words), max_size=4), json_values)
def test_any_schema_is_refused_or_decides_any_value(raw, value):
    try:
        schema = SchemaValidator(raw)
    except InvalidSchema:
        return
    assert schema.check(value) is None or len(schema.check(value)) > 0


ODD_PARTS = [0, -1, 2.5, 1e30, 10**400, float("nan"), "x", "\ud800", b"x", None, True, [], {}, [1], [{}], {"a": {}}]
ODD_PARTS += [{"a": ["b"]}, {"\ud800": {}}, {1: {}}, {"$ref": "#/x"}, {"pattern": "("}, {"$schema": "x:y"}]
KEYWORDS = [
    "type",
    "const",
    "enum",
    "multipleOf",
    "maximum",
    "maxLength",
    "minItems",
    "uniqueItems",
    "minContains",
    "required",
    "dependentRequired",
    "items",
    "prefixItems",
    "contains",
    "properties",
    "additionalProperties",
    "unevaluatedItems",
    "propertyNames",
    "allOf",
    "not",
    "if",
    "patternProperties",
    "pattern",
    "format",
    "contentSchema",
    "default",
    "title",
    "$ref",
    "$dynamicRef",
    "$id",
    "$anchor",
    "$defs",
]


@pytest.mark.parametrize("keyword", KEYWORDS)
def test_a_schema_that_was_accepted_can_be_used(keyword):
    for part in ODD_PARTS:
        for schema in ({keyword: part}, {"properties": {"a": {keyword: part}}}):
            try:
                accepted = SchemaValidator(schema)
            except InvalidSchema:
                continue
            accepted.check({"a": 1})


ID, NAME = {"type": "integer"}, {"type": "string"}
BRANCHES = [
    {"type": "object", "properties": {"id": ID}, "required": ["id"]},
    {"type": "object", "properties": {"name": NAME}, "required": ["name"], "additionalProperties": False},
]
ALTERNATIVES = {
    "anyOf": (
        {"anyOf": BRANCHES},
        {"id": "x"},
        (
            '{"id": "x"} fits none of the allowed forms: (1) id: "x" is not of type "integer"; '
            "(2) Additional properties are not allowed ('id' was unexpected) and \"name\" is a required property"
        ),
    ),
    "oneOf": (
        {"oneOf": [ID, {"enum": ["all", "none"]}]},
        "some",
        (
            '"some" fits none of the allowed forms: (1) "some" is not of type "integer"; '
            '(2) "some" is not one of "all" or "none"'
        ),
    ),
    "oneOf with two that fit": (
        {"oneOf": [ID, {"minimum": 0}]},
        3,
        "3 fits several of the forms of which exactly one is allowed",
    ),
    "below an argument": (
        {"properties": {"to": {"anyOf": BRANCHES}}},
        {"to": {"id": "x"}},
        'to: {"id": "x"} fits none of the allowed forms: (1) id: "x" is not of type "integer"; ',
    ),
    "alternatives in alternatives": (
        {"anyOf": [{"type": "array"}, {"oneOf": [ID, {"type": "boolean"}]}]},
        "x",
        (
            '"x" fits none of the allowed forms: (1) "x" is not of type "array"; '
            '(2) "x" fits none of the allowed forms: (1) "x" is not of type "integer"; (2) "x" is not of type "boolean"'
        ),
    ),
    "many": ({"anyOf": [{"const": n} for n in range(20)]}, 99, "(8) 7 was expected; and 12 more"),
}


@pytest.mark.parametrize(("schema", "value", "reported"), ALTERNATIVES.values(), ids=ALTERNATIVES)
def test_what_each_alternative_wants_is_reported(schema, value, reported):
    wrong = SchemaValidator(schema).check(value)

    assert wrong is not None
    assert reported in wrong


# --- lengths and counts, as they are shown ---


@pytest.mark.parametrize(("length", "cut"), [(160, False), (161, True)])
def test_a_reason_is_shown_up_to_160_characters(length, cut):
    rest = len('"" is not of type "integer"')
    wrong = SchemaValidator({"type": "integer"}).check("x" * (length - rest))

    assert wrong == ('"' + "x" * (length - rest) + '" is not of type "integer"')[:160] + ("…" if cut else "")


@pytest.mark.parametrize(("length", "shown"), [(78, "x" * 78 + '"'), (79, "x" * 79 + "…")])
def test_a_wrong_value_is_shown_up_to_80_characters(length, shown):
    wrong = SchemaValidator({"enum": ["on"]}).check("x" * length)

    assert wrong == f'"{shown} is not one of "on"'
    wrong = SchemaValidator({"anyOf": [{"enum": ["on"]}, {"type": "integer"}]}).check("x" * length)
    assert wrong.startswith(f'"{shown} fits none of the allowed forms: (1) "{shown} is not one of "on"; (2) "')


def test_a_value_is_shown_with_its_own_letters():
    assert SchemaValidator({"enum": ["ä"]}).check("ü") == '"ü" is not one of "ä"'
    wrong = SchemaValidator({"anyOf": [{"type": "integer"}, {"type": "null"}]}).check("ü")
    assert wrong.startswith('"ü" fits none of the allowed forms')
    with pytest.raises(InvalidSchema, match='^"ü" is no type'):
        SchemaValidator({"type": "ü"})


def fits_none(value, text):
    return f"{value} fits none of the allowed forms: {text}"


def test_alternatives_are_shown_two_levels_deep():
    inmost = {"anyOf": [{"type": "integer"}, {"type": "null"}]}
    second = {"anyOf": [inmost, {"type": "array"}]}
    wrong = SchemaValidator({"anyOf": [second, {"type": "object"}]}).check("x")
    unexplained = "\"x\" is not valid under any of the schemas listed in the 'anyOf' keyword"

    assert wrong == fits_none(
        '"x"',
        "(1) "
        + fits_none('"x"', f'(1) {unexplained}; (2) "x" is not of type "array"')
        + '; (2) "x" is not of type "object"',
    )


def test_of_the_errors_of_one_alternative_three_are_shown():
    required = {"type": "object", "required": ["a", "b", "c", "d"]}
    wrong = SchemaValidator({"anyOf": [required, {"type": "null"}]}).check({})

    assert wrong.count("is a required property") == 3
    assert '"d"' not in wrong


@pytest.mark.parametrize(("count", "more"), [(8, ""), (9, "; and 1 more")])
def test_of_many_alternatives_eight_are_shown(count, more):
    wrong = SchemaValidator({"anyOf": [{"const": n} for n in range(count)]}).check(99)

    assert wrong.endswith(f"(8) 7 was expected{more}")


def test_alternatives_that_want_the_same_are_shown_once():
    wrong = SchemaValidator({"anyOf": [{"type": "null"}, {"type": "null"}, {"type": "array"}]}).check(1)

    assert wrong == fits_none("1", '(1) 1 is not of type "null"; (2) 1 is not of type "array"')


def test_the_place_of_an_error_in_an_alternative_is_that_below_the_value():
    schema = {"properties": {"to": {"anyOf": [{"properties": {"id": {"type": "integer"}}}, {"type": "null"}]}}}
    wrong = SchemaValidator(schema).check({"to": {"id": "x"}})

    assert wrong == "to: " + fits_none(
        '{"id": "x"}', '(1) id: "x" is not of type "integer"; (2) {"id":"x"} is not of type "null"'
    )


# --- mistakes in schemas ---

MISTAKES = {
    "an unknown type": (
        {"properties": {"a": {"type": "objekt"}}},
        "invalid-schema",
        ("properties", "a", "type"),
        '"objekt" is no type. The types are "string", "number", "integer", "boolean", "object", "array" and "null".',
    ),
    "a type that is a number": (
        {"type": 5},
        "invalid-schema",
        ("type",),
        '5 is no type. The types are "string", "number", "integer", "boolean", "object", "array" and "null".',
    ),
    "a bound that is a text": ({"items": {"minimum": "1"}}, "invalid-schema", ("items", "minimum"), None),
    "another document": (
        {"$ref": "https://evil.example/a"},
        "schema-reference-not-allowed",
        (),
        None,
    ),
    "a reference to nothing": ({"$ref": "#/nope"}, "invalid-schema", (), None),
}


@pytest.mark.parametrize(("schema", "code", "path", "text"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_in_a_schema_has_its_code_and_its_place(schema, code, path, text):
    with pytest.raises(InvalidSchema) as invalid:
        SchemaValidator(schema)

    assert (invalid.value.code, invalid.value.path) == (code, path)
    assert str(invalid.value).endswith((".", "…"))
    assert text is None or str(invalid.value) == text


def test_a_long_reference_to_another_document_is_shown_in_part():
    with pytest.raises(InvalidSchema) as invalid:
        SchemaValidator({"$ref": f"urn:{'x' * 500}"})

    assert str(invalid.value) == f"it refers to urn:{'x' * 76}…; only references within the schema are followed."


# --- when a schema is compiled ---


def nested(depth, inmost):
    schema = inmost
    for _ in range(depth):
        schema = {"items": schema}
    return schema


COMPILED = {
    "plain keywords": ({"type": "object", "properties": {"a": {"type": "integer", "minimum": 1.5}}}, False),
    "a list": ({"anyOf": [{"type": "null"}, {"enum": [1, None, True]}, {}]}, False),
    "none": ({}, False),
    "a reference": ({"properties": {"a": {"$ref": "#"}}}, True),
    "a reference in a list": ({"anyOf": [{"$ref": "#"}, {}]}, True),
    "a pattern": ({"properties": {"a": {"pattern": "a"}}}, True),
    "patterns of names": ({"patternProperties": {"a": {}}}, True),
    "a keyword beyond ASCII": ({"properties": {"ä": {}}}, True),
    "a text beyond ASCII": ({"title": "ä"}, True),
    "63 levels": (nested(63, {}), False),
    "64 levels": (nested(64, {}), True),
}


@pytest.mark.parametrize(("schema", "at_once"), COMPILED.values(), ids=COMPILED)
def test_a_schema_is_compiled_once_and_with_its_first_value_if_it_is_right_for_certain(monkeypatch, schema, at_once):
    compiled = []
    compile_schema = jsonschema_rs.validator_for
    monkeypatch.setattr(jsonschema_rs, "validator_for", lambda *a, **k: compiled.append(1) or compile_schema(*a, **k))
    validator = SchemaValidator(schema)

    assert len(compiled) == int(at_once)
    assert validator.accepts({})
    assert validator.check({}) is None
    assert len(compiled) == 1


def test_a_schema_that_is_wrong_in_its_form_is_refused_at_once():
    for schema in ({"type": "objekt"}, {"properties": []}, {"items": {"minimum": "1"}}):
        with pytest.raises(InvalidSchema):
            SchemaValidator(schema)


def test_changes_of_a_schema_after_it_was_read_have_no_effect():
    schema = {"type": "integer"}
    validator = SchemaValidator(schema)
    schema["type"] = "string"

    assert (validator.accepts(1), validator.accepts("x")) == (True, False)
