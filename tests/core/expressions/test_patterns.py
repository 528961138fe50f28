import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from utcp_ws_mcp.core.codecs.message import RejectedValue
from utcp_ws_mcp.core.expressions.patterns import compile_pattern, find_pattern

AGREEING = [
    ("id=([0-9]+)", "a id=55 b"),
    (r"(\w+)$", "ein größe"),
    (r"(\w+)$", "last line\n"),
    (r"\d+", "x ٣٤ 12"),
    (r"[\w-]+", "größe-x y"),
    (r"\s(\S+)", "a\xa0b c"),
    (r"\W+", "ä, b"),
    (r"[^\d\s]+", "12 ab"),
    (r"x\Z", "a x"),
    ("\\u00e9t", "été"),
    (r"\+b\*c\+", "a+b*c+"),
    ("[a[]+", "[a[b"),
    ("[]a]+", "x]a"),
    ("[^]a]+", "]axy"),
    ("(?P<n>a)(b)?", "ab"),
    ("(?i)ERR", "error"),
    ("(a)|(b)", "b"),
    ("^b", "ab"),
    ("", "a"),
    ("a$b", "a$b"),
    ("[$]", "a$"),
    (r"\$", "a$"),
    ("(?s)a.b", "a\nb"),
    ("a{2,3}", "aaaa"),
    (r"x\Z", "a x\n"),
    (r"[$]?a\Z", "a\n"),
    (r"[]$]?a\Z", "a\n"),
    (r"[^]$]?a\Z", "a\n"),
    (r"[b[$]?a\Z", "a\n"),
    (r"[b[$c]?a\Z", "a\n"),
    ("[b]?a$", "a\n"),
    ("[]]?a$", "a\n"),
    ("a]$", "a]\n"),
    ("a$|[b]", "a\n"),
    (r"[\d]+[\D]", "x12y"),
    (r"[\S]$", "a b\n"),
    (r"[\W]+", "größe, é"),
    (r"[\W_]+", "größe_, é"),
    (r"[^\W_]+", "-größe_x"),
    (r"[^\W\d]+", "12größe3"),
    (r"[\D]+", "٣٤12ab"),
    (r"[\S-]+", "\xa0ä-b c"),
    (r"(?i)[\W]+", "ι, b"),
    (r"[\Wä]+", "xä-y"),
    (r"\u0061\u00E9[\u00e9]", "aéé"),
    (r"\é", "é"),
    (r"\.\[\]", "a.[]"),
    ("(?P<n>a)|b", "b"),
]


@pytest.mark.parametrize(("pattern", "text"), AGREEING)
def test_a_pattern_finds_what_it_finds_in_python(pattern, text):
    match = re.search(pattern, text)

    assert find_pattern(text, pattern) == (match and match[min(match.re.groups, 1)])


@given(st.text(alphabet="ab1 ß_-\n٣.", max_size=12), st.sampled_from([r"\w+", r"\d", r"\s+", r"\W", r"\S+$", "[^b]+$"]))
def test_classes_are_those_of_unicode_and_the_end_is_before_a_last_line_feed(text, pattern):
    match = re.search(pattern, text)

    assert (find_pattern(text, pattern) is None) == (match is None)


@pytest.mark.parametrize("escape", ["W", "D", "S"])
def test_the_opposite_of_a_class_is_the_same_inside_of_a_class(escape):
    characters = "".join(map(chr, (*range(0xD800), *range(0xE000, 0x110000)))).replace("\u0345", "")
    outside, inside = (compile_pattern(pattern).compiled for pattern in (rf"\{escape}+", rf"[\{escape}]+"))
    assert [match.span() for match in inside.finditer(characters)] == [
        match.span() for match in outside.finditer(characters)
    ]


RUNNING_AWAY = [
    "a?" * 30 + "a" * 30,
    "(a|a)?" * 28 + "b",
    "(a|aa)?" * 26 + "b",
    "(a+)+$",
    "(a*)*b",
    "(x+x+)+y",
    "(a|aa)*c",
]
RUNNING_AWAY += ["a*a*a*b", "(.*)(.*)(.*)(.*)x", "(a?){50}a{50}b"]


@pytest.mark.parametrize("pattern", RUNNING_AWAY)
def test_the_time_of_a_search_is_linear_whatever_the_pattern(pattern):
    def seconds(length):
        text = "a" * length
        started = time.process_time()
        for _ in range(5):
            find_pattern(text, pattern)
        return time.process_time() - started

    seconds(100)
    assert seconds(80_000) < 40 * max(seconds(8_000), 0.002)


def test_a_long_text_is_searched_to_its_end():
    assert find_pattern("a" * (1 << 22) + "id=5", "id=([0-9]+)") == "5"


@pytest.mark.parametrize("pattern", ["(?=a)", "(?<!a)b", r"(a)\1", "a++"])
def test_what_no_linear_engine_has_is_refused_with_what_to_write(pattern):
    with pytest.raises(RejectedValue, match="look-around.* Select the text around it"):
        find_pattern("a", pattern)


@pytest.mark.parametrize("pattern", ["(", "[a", "a" * 1001, "((a{100}){100}){100}", "*a", "\ud800", 5])
def test_what_is_no_pattern_is_refused(pattern):
    with pytest.raises(RejectedValue) as refused:
        find_pattern("a", pattern)
    assert refused.value.code == "pattern-not-allowed"


def test_half_of_a_character_in_a_text_does_not_stop_the_search():
    assert find_pattern("\ud800 id=7", "id=([0-9]+)") == "7"


def test_a_pattern_may_have_1000_characters():
    assert find_pattern("a" * 1000, "a" * 1000) == "a" * 1000


REASONS = {
    "a bracket": ("(", "the pattern is not a regular expression: missing ): (."),
    "half of a character": ("\ud800", "the pattern is not a regular expression: a character is not text."),
    "a number": (5, "the pattern is not a text of at most 1,000 characters."),
    "1001 characters": ("a" * 1001, "the pattern is not a text of at most 1,000 characters."),
    "look-ahead": (
        "(?=a)",
        (
            "the pattern is not a regular expression: look-around, back-references and possessive repetition are not "
            "supported. Select the text around it with a group, as in 'id=([0-9]+)'."
        ),
    ),
}


@pytest.mark.parametrize(("pattern", "reason"), REASONS.values(), ids=REASONS)
def test_a_pattern_is_refused_with_its_reason_and_nothing_is_written(pattern, reason, capfd):
    with pytest.raises(RejectedValue) as refused:
        find_pattern("a", pattern)
    assert str(refused.value) == reason
    assert capfd.readouterr() == ("", "")


def test_a_pattern_knows_its_groups_and_where_they_are():
    pattern = compile_pattern("b(c)(d)?")
    match = pattern.search("abc")

    assert (pattern.groups, match.span(0), match.span(1), match[2]) == (2, (1, 3), (2, 3), None)
    assert pattern.search("ab") is None
