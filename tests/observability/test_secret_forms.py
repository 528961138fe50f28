"""The forms of a secret: which there are, which escapes of a character are found, and what is looked for first."""

from __future__ import annotations

import base64
import json

import pytest

from utcp_ws_mcp.manifest.secret_names import MIN_SECRET_LENGTH, REDACTED
from utcp_ws_mcp.observability.redaction import redactor
from utcp_ws_mcp.observability.secret_forms import (
    MAX_ANCHOR,
    MAX_PIECE_LENGTH,
    MAX_PIECE_SIGNS,
    MIN_ANCHOR,
    Anchor,
    Form,
    escape,
    is_word,
    pieces_of,
    secret_forms,
)

ESCAPES: dict[str, list[str]] = {
    " ": [" ", "+", "%20", "%2520", "%252520", "&#32;", "&#x20;", "&#X20;", "&#x0020;", "&amp;#32;"],
    '"': ['"', '\\"', '\\\\\\"', "%22", "&quot;", "&#34;", "&amp;quot;", "&amp;amp;quot;", "%26quot%3B", "%26quot%3b"],
    "\n": [
        "\n",
        "\\n",
        "\\\\n",
        "%0A",
        "%0a",
        "\\u000a",
        "\\u000A",
        "\\x0a",
        "&#10;",
        "&#xa;",
        "&#xA;",
        "%5Cn",
        "%5cn",
    ],
    "\t": ["\t", "\\t", "\\u0009", "%09", "\\x09", "%255Ct"],
    "\\": ["\\", "\\\\", "\\\\\\\\", "%5C", "%5c", "%255C", "\\u005c", "\\u005C", "\\\\u005c", "&#92;", "&#x5c;"],
    "<": ["<", "&lt;", "%3C", "%3c", "\\u003c", "\\u003C", "&#60;", "&#x3c;", "&#x3C;", "%26lt%3B", "%26amp%3Blt%3B"],
    ">": [">", "&gt;", "%3E", "\\u003e", "&#62;"],
    "&": ["&", "&amp;", "&amp;amp;", "%26", "\\u0026", "&#38;", "%26%2338%3B", "%26amp;"],
    "/": ["/", "\\/", "%2F", "%2f", "\\u002f", "&#47;", "%252f"],
    "+": ["+", "%2B", "%2b", "\\u002b", "&#43;"],
    "%": ["%", "%25", "%2525"],
    "é": [
        "é",
        "É",
        "\\u00e9",
        "\\u00E9",
        "\\u00c9",
        "\\xe9",
        "%C3%A9",
        "%c3%a9",
        "%C3%89",
        "&#233;",
        "&#xe9;",
        "&#xC9;",
    ],
    "ÿ": ["ÿ", "\\xff", "\\u00ff", "%C3%BF"],
    "Ā": ["Ā", "ā", "\\u0100", "%C4%80", "&#256;"],
    "ł": ["ł", "Ł", "\\u0142", "%C5%82", "&#322;"],
    "😀": [
        "😀",
        "\\ud83d\\ude00",
        "\\uD83D\\uDE00",
        "\\\\ud83d\\\\ude00",
        "\\U0001f600",
        "\\U0001F600",
        "%F0%9F%98%80",
        "&#128512;",
        "&#x1F600;",
        "&#x1f600;",
    ],
}
OTHERS: dict[str, list[str]] = {
    " ": ["_", "%21", "&#33;", "&#x21;", "\\u0021", "u0020", "x20", "\\s", "&sp;"],
    '"': ["'", "%23", "&apos;", "u0022", "&quot"],
    "\n": ["n", "\r", "\\r", "%0B", "u000a", "\\u000b", "\\x0b"],
    "\\": ["/", "%5B", "u005c", "&#91;"],
    "<": [">", "&gt;", "lt;", "&#61;", "%3D"],
    "&": ["%27", "amp;", "&#39;"],
    "/": ["|", "%2E", "\\\\u002e"],
    "+": [" ", "%20", "%2C"],
    "Ā": ["\\x100", "\\u0102"],
    "é": ["e", "\\u00e8", "%C3%A8", "\\xe8", "&#232;"],
    "😀": ["\\ud83d", "\\ud83d\\ude01", "\\U0001f601", "%F0%9F%98%81", "\\u1f600", "&#128513;"],
}


@pytest.mark.parametrize(
    ("char", "escaped"), [(char, each) for char, escapes in ESCAPES.items() for each in escapes], ids=repr
)
@pytest.mark.parametrize("around", [("Kd8fTq2x", "Zb7wPm4y"), ("a1-b2", "c3-d4")], ids=["long runs", "short runs"])
def test_a_secret_is_found_with_each_escape_of_a_sign(around: tuple[str, str], char: str, escaped: str) -> None:
    secret, text = char.join(around), escaped.join(around)
    assert redactor([secret])(f"<{text}>") == f"<{REDACTED}>"


@pytest.mark.parametrize(
    ("char", "other"), [(char, each) for char, others in OTHERS.items() for each in others], ids=repr
)
def test_what_is_no_escape_of_a_sign_makes_another_text(char: str, other: str) -> None:
    text = f"<Kd8fTq2x{other}Zb7wPm4y>"
    assert redactor([f"Kd8fTq2x{char}Zb7wPm4y"])(text) == text


@pytest.mark.parametrize("backslashes", [1, 2, 3, 7])
def test_a_backslash_before_an_escaped_sign_may_have_been_doubled_any_number_of_times(backslashes: int) -> None:
    run = "\\" * backslashes
    assert redactor(['Kd8f\\"Zb7w'])(f"<Kd8f{run}u0022Zb7w>") == f"<{REDACTED}>"


@pytest.mark.parametrize(
    ("secret", "expected"),
    [
        *dict.fromkeys(["password", "Password", "PASSWORD", "a" * 16, "A" * 16, "ab", "AB"], True).items(),
        *dict.fromkeys(["passWord", "pass word", "a" * 17, "A" * 17, "abc123", "", "a", "A", "aB"], False).items(),
    ],
)
def test_a_word_has_letters_of_one_case_and_at_most_sixteen(secret: str, expected: bool) -> None:
    assert is_word(secret) is expected


@pytest.mark.parametrize(
    ("secret", "sizes"),
    [
        ("a" * MAX_PIECE_LENGTH, [MAX_PIECE_LENGTH]),
        ("a" * (MAX_PIECE_LENGTH + 1), [1025, 1024]),
        ("a" * (3 * MAX_PIECE_LENGTH), [MAX_PIECE_LENGTH] * 3),
        ("a" * (2 * MAX_PIECE_LENGTH + 1), [1366, 1366, 1365]),
        ("/" * MAX_PIECE_SIGNS, [MAX_PIECE_SIGNS]),
        ("/" * (MAX_PIECE_SIGNS + 1), [129, 128]),
        ("/a" * MAX_PIECE_SIGNS, [2 * MAX_PIECE_SIGNS]),
        ("/a" * (MAX_PIECE_SIGNS + 1), [MAX_PIECE_SIGNS + 1] * 2),
    ],
    ids=lambda value: f"{len(value)}",
)
def test_a_long_secret_has_pieces_of_about_one_length(secret: str, sizes: list[int]) -> None:
    pieces = list(pieces_of(secret))
    assert [len(piece) for piece in pieces] == sizes
    assert "".join(pieces) == secret


def texts_of(secret: str, *, escapes: bool = True) -> list[str]:
    return ["".join(form.units) for form in secret_forms(secret, escapes=escapes)]


def test_the_forms_of_a_secret_are_those_that_filters_make() -> None:
    secret = "Kx7?aB3>d~"
    assert texts_of(secret) == [
        "Kx7?aB3>d~",
        "~d>3Ba?7xK",
        "4b78373f6142333e647e",
        "4B78373F6142333E647E",
        "S3g3P2FCMz5kf",
        "t4Nz9hQjM+ZH",
        "t4Nz9hQjM-ZH",
        "LeDc/YUIzPmR+",
        "LeDc_YUIzPmR-",
    ]


@pytest.mark.parametrize("secret", ["Kx7aB3", "Kx7aB3d", "Kx7aB3dQ", ">>>???", "a>?~~~?>b", "pässwörd-1", 'q"u\\o9'])
@pytest.mark.parametrize("before", range(3))
@pytest.mark.parametrize("after", range(3))
def test_the_forms_in_base64_hold_what_does_not_depend_on_the_text_around(secret: str, before: int, after: int) -> None:
    """Of each text around, the whole digits of the secret are a form, and no digit more."""
    forms = set(texts_of(secret))
    for text in {secret, json.dumps(secret, ensure_ascii=False)[1:-1]}:
        data = text.encode()
        encoded = {
            base64.b64encode(bytes([first]) * before + data + bytes([last]) * after).decode().rstrip("=")
            for first in (0, 255)
            for last in (0, 255)
        }
        common = [chars.pop() if len(chars := set(each)) == 1 else " " for each in zip(*encoded, strict=True)]
        core = "".join(common).strip()
        if before + after and (before + len(data)) % 3 == 0:
            core = core[: (before + len(data)) // 3 * 4]
        if len(core) >= MIN_SECRET_LENGTH and after:
            assert core in forms
            assert core.replace("+", "-").replace("/", "_") in forms


def test_a_word_has_no_other_case_and_is_not_reversed() -> None:
    forms = list(secret_forms("password"))
    assert [form.any_case for form in forms if form.units == tuple("password")] == [False]
    assert "drowssap" not in texts_of("password")
    assert [form.any_case for form in secret_forms("passw0rd")][:2] == [True, False]


def test_a_secret_that_is_not_ascii_may_have_been_read_as_latin_1() -> None:
    assert "pÃ¤ss-1" in texts_of("päss-1")
    assert texts_of("pass-1").count("pass-1") == 1


def test_a_secret_whose_json_differs_is_encoded_in_both_forms() -> None:
    texts = texts_of('a"b-c9')
    assert b'a"b-c9'.hex() in texts
    assert b'a\\"b-c9'.hex() in texts


@pytest.mark.parametrize("escapes", [True, False])
def test_only_the_signs_of_forms_as_text_may_be_escaped(escapes: bool) -> None:
    secret = "ä/b-c9xyz"
    by_text = {"".join(form.units): form.escapes for form in secret_forms(secret, escapes=escapes)}
    for text in (secret, secret[::-1], secret.encode().decode("latin-1")):
        assert by_text[text] is escapes
    assert by_text[secret.encode().hex()] is True


def anchors(*units: str, **options: bool) -> list[Anchor]:
    return Form(units, **options).anchors


def test_the_end_of_the_longest_run_of_letters_and_digits_is_looked_for_first() -> None:
    assert anchors(*"ab/cdefg/hi") == [Anchor("cdefg")]
    assert anchors(*"abcde/fghij") == [Anchor("abcde")]
    assert anchors(*("x" * MAX_ANCHOR)) == [Anchor("x" * MAX_ANCHOR)]
    assert anchors(*"token0123456789") == [Anchor("en0123456789")]
    assert len(anchors(*"token0123456789")[0].text) == MAX_ANCHOR


def test_without_such_a_run_a_part_with_signs_is_looked_for_from_its_longest_run_on() -> None:
    ((anchor),) = anchors(*"ab/cdef/gh")
    assert anchor == Anchor("cdef", Form(tuple("cdef/gh")).pattern)
    assert len("cdef") == MIN_ANCHOR - 1
    ((anchor),) = anchors(*"a/b/c/defg")  # what begins with the longest run would be too short
    assert anchor == Anchor("a", Form(tuple("a/b/c/defg")).pattern)
    ((anchor),) = anchors(*"a/bcd/e-f-")  # six units are enough
    assert anchor == Anchor("bcd", Form(tuple("bcd/e-f-")).pattern)
    ((anchor),) = anchors(*"aa/-bb/--c")
    assert anchor == Anchor("aa", Form(tuple("aa/-bb/--c")).pattern)
    ((anchor),) = anchors(*"abc/-/-/-/-/-/-")
    assert anchor == Anchor("abc", Form(tuple("abc/-/-/-/-/")).pattern)
    ((anchor),) = anchors(*"-/-/-/")
    assert anchor == Anchor("", Form(tuple("-/-/-/")).pattern)


def test_a_form_in_any_case_is_looked_for_in_the_cases_that_filters_make() -> None:
    assert [anchor.text for anchor in anchors(*"abcDef", any_case=True)] == ["abcDef", "abcdef", "ABCDEF", "Abcdef"]
    assert Form(tuple("ab-cd"), any_case=True).texts == ("ab-cd", "AB-CD", "Ab-cd", "Ab-Cd")
    assert Form(tuple("ab-cD")).texts == ("ab-cD",)


def test_a_form_without_escapes_is_looked_for_as_literal_text() -> None:
    form = Form(tuple("ab/cd-ef.ghijk"), escapes=False)
    assert form.anchors == [Anchor("/cd-ef.ghijk")]
    assert form.pattern == escape("ab/cd-ef.ghijk") == r"ab\x{2f}cd\x{2d}ef\x{2e}ghijk"
    assert form.max_length == 14


def test_the_longest_text_of_a_form_has_room_for_escapes_six_deep() -> None:
    assert Form(tuple("abc")).max_length == 3
    assert Form(tuple("a/c")).max_length == 2 + 72
    assert len("\\" * (2**6 - 1) + "u0022") <= 72


def test_a_pattern_in_any_case_is_of_ascii_only_if_the_form_is() -> None:
    assert Form(tuple("abc"), any_case=True).pattern == "(?i-u:abc)"
    assert Form(tuple("abc")).pattern == "abc"
    assert Form(("a", "é"), any_case=True).pattern.startswith("(?i:a")
