import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from utcp_ws_mcp.core.templates.json_state import JsonState

FUZZ = settings(max_examples=500, deadline=None, database=None)
GAP = "¤"
"""Stands for a gap of a template in these texts."""

IS_JSON = {
    "an object": '{"a": 1, "b": [true, null, "x"]}',
    "an array": " [1, 2] ",
    "empty": '{"a": {}, "b": []}',
    "documents in a row": '{"a": 1}\n[2]',
    "documents with a separator": '\x1e{"a": 1}\x1e{"b": 2}',
    "documents without one": "{}[]",
    "a gap for a value": f'{{"a": {GAP}}}',
    "gaps in an array": f"[{GAP},{GAP} , 1]",
    "gaps in a text": f'["x {GAP}{GAP} y"]',
    "a gap in a key": f'{{"{GAP}": 1}}',
    "escapes": r'["\" \\ \/ \u00e9 \n"]',
    "numbers": "[-1, 0, 1.5, 2e3, -0.1E-7]",
    "what only Python reads": "[NaN, -Infinity]",
}
NO_JSON = {
    "a text": "hello",
    "nothing": " \n",
    "a scalar alone": "5",
    "a text alone": '"x"',
    "a gap alone": GAP,
    "a gap before a document": f"{GAP}{{}}",
    "a gap behind a document": f"{{}}{GAP}",
    "a gap beside digits": f"[1{GAP}]",
    "digits beside a gap": f"[{GAP}1]",
    "two gaps for one value": f"[{GAP}{GAP}]",
    "a text beside a gap": f'["a"{GAP}]',
    "a gap for a key": f"{{{GAP}: 1}}",
    "a gap for a member": f"{{{GAP}}}",
    "a key without value": '{"a"}',
    "a key and a colon": '{"a":}',
    "a comma at the end": "[1,]",
    "a comma at the end of an object": '{"a": 1,}',
    "no comma": "[1 2]",
    "a colon in an array": '["a":1]',
    "two colons": '{"a":1:2}',
    "a comma for a colon": '{"a",1}',
    "a bracket for a colon": '{"a"}',
    "a leading comma": "[,1]",
    "other brackets": "[1}",
    "unfinished": '{"a": [1',
    "an unfinished text": '["a',
    "too many brackets": "[]]",
    "an odd escape": r'["\x"]',
    "a gap in an escape": f'["\\{GAP}"]',
    "a line break in a text": '["a\nb"]',
    "an odd number": "[01]",
    "an odd word": "[nope]",
    "a separator inside": "[1,\x1e2]",
    "a comment": "[1] // x",
}


def state_of(text):
    state = JsonState()
    pieces = text.split(GAP)
    for index, piece in enumerate(pieces):
        state.feed(piece)
        if index < len(pieces) - 1 and not state.in_string:
            state.feed_value()
    return state


@pytest.mark.parametrize("text", IS_JSON.values(), ids=IS_JSON)
def test_json_is_recognized(text):
    assert state_of(text).is_complete


@pytest.mark.parametrize("text", NO_JSON.values(), ids=NO_JSON)
def test_what_is_no_json_is_recognized(text):
    assert not state_of(text).is_complete


def test_a_gap_is_known_to_be_in_a_string_and_in_a_key():
    state = JsonState()
    places = []
    for piece in ('{"', '": "', '", "x": ', "}"):
        state.feed(piece)
        places.append((state.in_string, state.in_string and state.in_key))

    assert places == [(True, True), (True, False), (False, False), (False, False)]


def documents(text):
    """Whether Python's parser reads a text as objects and arrays in a row."""
    position, found = 0, 0
    while True:
        while text[position : position + 1] in frozenset(" \t\n\r\x1e"):
            position += 1
        if position == len(text):
            return found > 0
        if text[position] not in "{[":
            return False
        try:
            _, position = json.JSONDecoder().raw_decode(text, position)
        except ValueError:
            return False
        found += 1


PIECES = st.sampled_from(
    [
        *"{}[],:",
        '"',
        '"a"',
        '"k":',
        "1",
        "-",
        "0",
        ".5",
        "e3",
        "true",
        "null",
        "NaN",
        "\\",
        "\\n",
        "\\u00e9",
        " ",
        "\n",
        "\x1e",
    ]
)


@FUZZ
@given(st.lists(PIECES, max_size=12))
def test_it_agrees_with_the_parser_on_any_text_in_any_pieces(pieces):
    state = JsonState()
    for piece in pieces:
        if piece.endswith("\\"):  # a gap in an escape is never JSON, for a parser it is none
            return
        state.feed(piece)

    assert state.is_complete == documents("".join(pieces))


@FUZZ
@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_what_the_encoder_writes_is_json(value):
    assert state_of(json.dumps([value]).replace(GAP, "")).is_complete


@pytest.mark.parametrize("text", [*IS_JSON.values(), *NO_JSON.values()])
def test_json_is_recognized_in_any_pieces(text):
    whole = state_of(text)
    state = JsonState()
    for char in text:
        if char != GAP:
            state.feed(char)
        elif not state.in_string:
            state.feed_value()
    if not any(escape in text for escape in "\\"):
        assert (state.is_complete, state.is_json and state.documents) == (
            whole.is_complete,
            whole.is_json and whole.documents,
        )


def test_each_document_is_counted():
    state = JsonState()
    counts = []
    for piece in ("{}", "[", "{", "}", "]", ' {"a"', ": 1", "}"):
        state.feed(piece)
        counts.append((state.documents, state.is_complete))
    assert counts == [
        (1, True),
        (1, False),
        (1, False),
        (1, False),
        (2, True),
        (2, False),
        (2, False),
        (3, True),
    ]


def test_what_is_no_json_stays_none():
    state = JsonState()
    for piece in ("]", "{}", "[1]"):
        state.feed(piece)
        assert not state.is_json
        assert not state.is_complete


PIECES_OF_SCALARS = {
    "a number in pieces": (["[1", "2", "]"], True),
    "a word in pieces": (["[tr", "ue]"], True),
    "a number that ends wrong": (["[1", "-]"], False),
    "two numbers": (["[1", " ", "2]"], False),
    "a word in an object": (['{"a":nu', "ll}"], True),
    "a number as a key": (["{1", ":2}"], False),
    "a number behind a value": (['["a"', "1]"], False),
    "a number before a text": (["[1", '"a"]'], False),
    "a number before a list": (["[1", "[]]"], False),
    "a number that is open": (["[1"], False),
}


@pytest.mark.parametrize(("pieces", "is_json"), PIECES_OF_SCALARS.values(), ids=PIECES_OF_SCALARS)
def test_a_scalar_may_be_in_several_pieces(pieces, is_json):
    state = JsonState()
    for piece in pieces:
        state.feed(piece)
    assert state.is_complete is is_json


@pytest.mark.parametrize(
    ("before", "behind", "is_json"),
    [
        ("[", "]", True),
        ('{"a":', "}", True),
        ("[1,", "]", True),
        ("[", ",1]", True),
        ("[1", "]", False),
        ("[", "1]", False),
        ("{", ":1}", False),
        ("", "", False),
        ("{}", "", False),
        ('["a"', "]", False),
        ("[]", "", False),
    ],
)
def test_a_gap_stands_for_one_value(before, behind, is_json):
    state = JsonState()
    state.feed(before)
    state.feed_value()
    state.feed(behind)
    assert state.is_complete is is_json
