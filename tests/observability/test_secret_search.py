"""Where secrets are found in a text, and how much of a text with many places is looked at."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from utcp_ws_mcp.manifest.secret_names import MIN_SECRET_LENGTH, REDACTED
from utcp_ws_mcp.observability import secret_search as module
from utcp_ws_mcp.observability.secret_forms import Form, secret_forms
from utcp_ws_mcp.observability.secret_search import SecretGroup, find_first


def holds(*words: str) -> Callable[[str], bool]:
    return lambda text: any(word in text for word in words)


def naive_first(words: tuple[str, ...], text: str, position: int) -> tuple[int, int] | None:
    """The first end of a word, and the last beginning before it."""
    is_in = holds(*words)
    ends = (end for end in range(position, len(text) + 1) if is_in(text[position:end]))
    if (end := next(ends, None)) is None:
        return None
    return max(start for start in range(position, end) if is_in(text[start:end])), end


@given(st.text("ab", max_size=40), st.integers(0, 5), st.lists(st.text("ab", min_size=1, max_size=14), min_size=1))
def test_the_first_match_is_found_as_short_as_possible(text: str, position: int, words: list[str]) -> None:
    assert find_first(holds(*words), text, position) == naive_first((*words,), text, position)


@pytest.mark.parametrize("before", [0, 1, 255, 256, 257, 511, 512, 700, 5000])
@pytest.mark.parametrize("word", ["x", "x" * 11, "x" * 12, "x" * 13, "x" * 40, "x" * 300])
def test_a_match_is_found_wherever_it_stands(before: int, word: str) -> None:
    text = "." * before + word + "." * 3
    assert find_first(holds(word), text, 0) == (before, before + len(word))
    assert find_first(holds(word), text, min(before, 200)) == (before, before + len(word))
    assert find_first(holds(word), text, before + 1) is None
    assert find_first(holds(word), text[:-4], 0) is None


def test_half_of_the_text_is_not_searched_again_for_each_place() -> None:
    searched: list[int] = []

    def counted(text: str) -> bool:
        searched.append(len(text))
        return "xx" in text

    assert find_first(counted, "." * 1000 + "xx" + "." * 100_000, 990) == (1000, 1002)
    assert max(searched) <= 256


LAMP = "kitchen-lamp"


def hidden(text: str, *secrets: str) -> str:
    return SecretGroup(secrets).redact(text)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (LAMP, "***"),
        (f"{LAMP}{LAMP}", "***"),  # not how many there are
        (f"{LAMP} {LAMP}", "*** ***"),
        (f"a{LAMP}b", "a***b"),
        (f"{LAMP}-{LAMP}x", "***-***x"),
        ("kitchen-lam", "kitchen-lam"),
        ("itchen-lamp", "itchen-lamp"),
        (f"kitchen-{LAMP}-lamp", "kitchen-***-lamp"),
        (f"\\{LAMP}\\", "***\\"),
        (f"\\\\\\{LAMP}", "***"),
        (f"a\\ {LAMP}", "a\\ ***"),
    ],
)
def test_a_secret_is_replaced_with_the_backslashes_before_it_and_nothing_else(text: str, shown: str) -> None:
    assert hidden(text, LAMP) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("<kitchen\\\\>", "<***>"),
        ("<kitchen\\\\\\\\>", "<***>"),
        ("<kitchen\\>", "<***>"),
        ("<kitchen\\", "<***"),
        ("<kitchen>\\", "<kitchen>\\"),
    ],
)
def test_a_secret_that_ends_with_a_backslash_takes_all_that_follow(text: str, shown: str) -> None:
    assert hidden(text, "kitchen\\") == shown


def test_a_secret_that_does_not_end_with_a_backslash_leaves_those_that_follow() -> None:
    assert json.loads(hidden(json.dumps(f"{LAMP}\\ \n"), LAMP)) == "***\\ \n"


@pytest.mark.parametrize("length", [MIN_SECRET_LENGTH - 1, MIN_SECRET_LENGTH])
def test_a_secret_that_is_too_short_is_not_searched_for(length: int) -> None:
    secret = "x7y9z1w3"[:length]
    assert (hidden(f"<{secret}>", secret) == "<***>") is (length == MIN_SECRET_LENGTH)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("the-kitchen-lamp-is-on", "***"),
        ("the-kitchen-lamp-is-of", "the-***-is-of"),
        ("the\\u002dkitchen-lamp-is-on", "***"),
        ("kitchen-lamp the-kitchen-lamp-is-on", "*** ***"),
        ("hall-lamp-77 the-kitchen-lamp", "*** the-***"),
    ],
)
@pytest.mark.parametrize("order", [1, -1])
def test_a_longer_secret_around_another_one_is_replaced_whole(text: str, shown: str, order: int) -> None:
    assert hidden(text, *[LAMP, "the-kitchen-lamp-is-on", "hall-lamp-77"][::order]) == shown


def test_the_pieces_of_a_long_secret_are_one_replacement() -> None:
    secret = "".join(f"{number:05d}" for number in range(1500))
    assert hidden(f"<{secret}>", secret) == "<***>"
    assert hidden(f"<{secret}> <{secret[:4000]}>", secret).startswith("<***> <***")


@pytest.fixture
def few_places(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let ten places of a text be looked at. `kitchen` is one for the search, but no secret."""
    monkeypatch.setattr(module, "MAX_PLACES", 10)


@pytest.mark.usefixtures("few_places")
@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("kitchen " * 50, "kitchen " * 50),
        ("kitchen " * 9 + LAMP, "kitchen " * 9 + "***"),
        ("kitchen " * 9 + f"{LAMP} end", "kitchen " * 9 + "*** end"),
        ("kitchen " * 9 + f"{LAMP} {LAMP}", "kitchen " * 9 + "***" + "***"),
        ("kitchen " * 10 + f"{LAMP} end", "***"),
        (f"{LAMP} " + "kitchen " * 9 + f"{LAMP} end", "***" + "***"),
        (f"{LAMP} " + "kitchen " * 30, "*** " + "kitchen " * 30),
    ],
)
def test_what_follows_the_last_place_that_is_looked_at_is_replaced_if_it_holds_a_secret(text: str, shown: str) -> None:
    assert hidden(text, LAMP) == shown


@pytest.mark.usefixtures("few_places")
@pytest.mark.parametrize(
    ("count", "is_shown"), [(module.MAX_EXACT_SECRETS, True), (module.MAX_EXACT_SECRETS + 1, False)]
)
def test_with_more_secrets_than_are_compiled_at_once_the_rest_of_a_text_is_replaced(count: int, is_shown: bool) -> None:
    group = SecretGroup([LAMP, *(f"Kx{number:02}/aB3+dQ9" for number in range(count - 1))])
    text = "kitchen " * 50
    assert group.redact(text) == (text if is_shown else "***")


def test_secrets_can_be_added_replaced_and_removed() -> None:
    group = SecretGroup(["first-secret-1"])
    text = "first-secret-1 second-secret-2 third-secret-3"
    assert group.redact(text) == "*** second-secret-2 third-secret-3"
    group.add(["second-secret-2"])
    assert group.redact(text) == "*** *** third-secret-3"
    group.add(["third-secret-3"])
    group.replace(["third-secret-3", "second-secret-2"])
    assert group.redact(text) == "first-secret-1 *** ***"
    group.replace(["third-secret-3", "second-secret-2"])
    assert group.redact(text) == "first-secret-1 *** ***"
    group.replace([])
    assert group.redact(text) == text
    assert repr(group) == "SecretGroup(0 secrets)"


def test_secrets_that_are_added_one_after_the_other_are_all_found() -> None:
    group = SecretGroup()
    secrets = [f"Kx{number:03}aB3dQ9" for number in range(30)]
    for count, secret in enumerate(secrets, 1):
        group.add([secret])
        assert group.redact(" ".join(secrets)) == " ".join([*["***"] * count, *secrets[count:]])
    group.replace(secrets[10:])
    assert group.redact(" ".join(secrets)) == " ".join([*secrets[:10], *["***"] * 20])


def test_a_secret_that_was_removed_and_added_again_is_found() -> None:
    group = SecretGroup([LAMP])
    group.replace(["other-secret-1"])
    group.replace([LAMP])
    assert group.redact(f"{LAMP} other-secret-1") == "*** other-secret-1"


ESCAPED = ['a1"/:;-b2', 'c1"/:;-d2', 'e1"/:;-f2']


@pytest.mark.parametrize("most", [0, 1, 2, 3, None])
def test_only_so_many_secrets_of_signs_are_found_when_they_are_escaped(most: int | None) -> None:
    group = SecretGroup(ESCAPED, max_mixed=most)
    found = [group.redact(json.dumps(each)[1:-1]) == REDACTED for each in ESCAPED]
    assert sum(found) == (3 if most is None else most)
    assert [group.redact(each) for each in ESCAPED] == [REDACTED] * 3
    group.add(['g1"/:;-h2', "longEnough1"])
    assert group.redact("longEnough1") == REDACTED
    assert group.redact("\\u006congEnough1") != REDACTED
    assert (group.redact('g1\\"/:;-h2') == REDACTED) is (most is None)


def test_a_text_with_half_characters_is_searched_as_well() -> None:
    assert hidden(f"\ud800 {LAMP}", LAMP) == "\ufffd ***"
    assert hidden("\ud800 é", LAMP) == "\ufffd é"
    assert hidden("é", LAMP) == "é"


def test_a_secret_that_comes_often_in_several_forms_is_replaced_each_time() -> None:
    forms = ["kitchen-lamp", "KITCHEN-LAMP", "kitchen\\u002dlamp", "kitchen%2dlamp"]
    text = " ".join(f"<{forms[number % 4]}>" for number in range(400))
    assert hidden(text, LAMP) == " ".join(["<***>"] * 400)


@pytest.mark.parametrize("kinds", [module.MAX_REPLACEMENTS - 1, module.MAX_REPLACEMENTS, module.MAX_REPLACEMENTS + 1])
def test_many_different_secrets_that_come_twice_are_all_replaced(kinds: int) -> None:
    secrets = [f"Kx{number:03}aB3dQ9" for number in range(kinds)]
    text = " ".join([*secrets, *secrets, *secrets])
    assert hidden(text, *secrets) == " ".join(["***"] * (3 * kinds))


def test_the_candidates_do_not_show_the_secret() -> None:
    assert repr(module.Candidate(LAMP, Form(tuple(LAMP)))) == "Candidate()"
    assert LAMP not in repr(SecretGroup([LAMP]))


@pytest.mark.parametrize("secret", ["Kx7?aB3>d~", "kitchen-lamp", "pässwörd-1", "plainSecret12345", 'a"b/c-d1'])
def test_each_form_of_a_secret_is_found_by_itself(secret: str) -> None:
    for form in secret_forms(secret):
        for text in form.texts:
            assert hidden(f"<{text}>", secret) == "<***>"
            assert hidden(f"<{text}>", "another-Secret-1", secret, "one-more-Secret-2") == "<***>"


def test_one_form_may_come_more_often_than_places_are_looked_at() -> None:
    count = module.MAX_PLACES + 100
    assert hidden(f"<{LAMP}> " * count + "end", LAMP) == "<***> " * count + "end"
