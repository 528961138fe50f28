"""Find and replace many secrets in a text, in a time that grows with its length and not with what is in it.

Rust's `regex` only says whether a text contains something, at a gigabyte per second. So a text without secrets is
searched once, and the places of secrets are found by halving. At a place, the literal text of the secrets is tried
first; a pattern is compiled when a text has a secret in another form.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property, lru_cache
from typing import Any, Final

from pydantic_core import SchemaValidator, core_schema

from ..manifest.secret_names import MIN_SECRET_LENGTH, REDACTED
from .secret_forms import MAX_ANCHOR, Anchor, Form, escape, pieces_of, secret_forms

MAX_PLACES: Final = 2048
"""Places of a text that are looked at one by one. What follows more of them is replaced as a whole."""

MAX_REPLACEMENTS: Final = 64
"""Different forms of secrets in a text of which a second one replaces all others, which searches the text once."""

MAX_EXACT_SECRETS: Final = 16
"""Secrets of a group whose patterns say whether the rest of a text, behind MAX_PLACES places, holds one: compiling
them takes a millisecond each. With more secrets, the rest is replaced."""

MAX_LAYER_LENGTH: Final = 1 << 17
"""Characters of a pattern of anchors; Rust's `regex` refuses patterns that compile to more than 10 MiB."""

MAX_LAYERS: Final = 8
"""Patterns of anchors that are searched for one after the other, before those of all secrets are compiled again."""

_FIRST_SPAN: Final = 256
"""Characters that are searched for the next place, then twice as many, and so on."""

_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_FIRST_RUN: Final = re.compile(r"[A-Za-z0-9]*")

Predicate = Callable[[str], bool]
Place = tuple[int, int]


def _contains(patterns: Iterable[str]) -> Predicate:
    """Return a function that says whether a text contains a match of one of the patterns."""
    schema = core_schema.str_schema(pattern="|".join(dict.fromkeys(patterns)), regex_engine="rust-regex", strict=True)
    accepts: Any = SchemaValidator(schema).isinstance_python
    return accepts  # type: ignore[no-any-return]


class Candidate:
    """One form of one secret. Its pattern is compiled when it is needed."""

    def __init__(self, value: str, form: Form) -> None:
        self.value = value
        self.anchors = form.anchors
        self._form = form

    def __repr__(self) -> str:
        return "Candidate()"

    @cached_property
    def _texts(self) -> tuple[str, ...]:
        return self._form.texts

    @cached_property
    def _folded(self) -> str:
        return self._texts[0].casefold()

    @cached_property
    def _max_length(self) -> int:
        return self._form.max_length

    @cached_property
    def is_in(self) -> Predicate:
        """Whether a text contains the form."""
        return _contains([self._form.pattern])

    @property
    def is_mixed(self) -> bool:
        """Whether an anchor is no literal text."""
        return any(anchor.pattern for anchor in self.anchors)

    def may_begin(self, run: str) -> bool:
        """Return whether the form contains the letters and digits with which a part of a text begins."""
        return run in self._folded

    def find_text(self, text: str, first: int, place: Place) -> Place | None:
        """Return where the literal text of the form is that begins at a place or before it."""
        window = max(first, place[0] - self._max_length), place[1] + self._max_length
        for literal in self._texts:
            found = text.find(literal, *window)
            if 0 <= found <= place[0]:
                return found, found + len(literal)
        return None

    def find_pattern(self, text: str, first: int, place: Place) -> Place | None:
        """Return where the form is, escaped or not, that begins at a place or before it."""
        first = max(first, place[0] - self._max_length)
        found = find_first(self.is_in, text[first : place[1] + self._max_length], 0)
        if found is None or first + found[0] > place[0]:  # it is another place, behind this one
            return None
        return first + found[0], first + found[1]


class SecretGroup:
    """Secrets that are searched for together.

    Args:
        values: The secrets.
        max_mixed: Secrets without enough letters and digits in a row whose escaped forms are searched for; the pattern
            of each is large. An author's secrets all are, those that an endpoint chooses are not.
    """

    def __init__(self, values: Iterable[str] = (), *, max_mixed: int | None = None) -> None:
        self._max_mixed = max_mixed
        self._secrets: dict[str, list[Candidate]] = {}
        self._layers: list[Predicate] = []
        self._new: list[str] = []
        self._find_candidates = lru_cache(maxsize=1024)(self._search_candidates)
        self.replace(values)

    def __repr__(self) -> str:
        return f"SecretGroup({len(self._secrets)} secrets)"

    def replace(self, values: Iterable[str]) -> None:
        """Search for these secrets from now on; shorter ones than MIN_SECRET_LENGTH occur everywhere."""
        pieces = {piece for each in values if len(each) >= MIN_SECRET_LENGTH for piece in pieces_of(each)}
        if pieces == self._secrets.keys():
            return
        self._new = [each for each in self._new if each in pieces]
        self._new += sorted(pieces - self._secrets.keys())
        ordered = sorted(pieces, key=lambda each: (-len(each), each))
        self._secrets = {each: self._secrets.get(each, []) for each in ordered}
        self._find_candidates.cache_clear()
        self.__dict__.pop("_index", None)

    def add(self, values: Iterable[str]) -> None:
        """Search for these secrets, too."""
        self.replace([*self._secrets, *values])

    def redact(self, text: str) -> str:
        """Return the text without the secrets."""
        if not self._secrets:
            return text
        if self._new:
            self._compile()
        if self._may_be_in(text):
            return _Replacement(text, self._may_be_in, self._find_candidates, self.holds_secret).run()
        # What is searched must be UTF-8. A text with lone surrogates cannot be written as it is anyway.
        return text if text.isascii() or _is_utf8(text) else self.redact(_SURROGATE.sub("\ufffd", text))

    def holds_secret(self, text: str) -> bool:
        """Return whether a text holds a secret; True if there are too many to compile the patterns of all."""
        if len(self._secrets) > MAX_EXACT_SECRETS:
            return True
        return any(each.is_in(text) for candidates in self._secrets.values() for each in candidates)

    def _may_be_in(self, text: str) -> bool:
        """Return whether an anchor of a secret is in a text."""
        for layer in self._layers:  # noqa: SIM110  # a generator costs more than a layer
            if layer(text):
                return True
        return False

    def _compile(self) -> None:
        """Compile the anchors of new secrets, and with many layers those of all, without secrets that were removed."""
        mixed = 0
        for value, candidates in self._secrets.items():
            known = candidates or [Candidate(value, form) for form in secret_forms(value)]
            mixed += any(each.is_mixed for each in known)
            if self._max_mixed is not None and mixed > self._max_mixed:
                mixed -= 1
                known = [Candidate(value, form) for form in secret_forms(value, escapes=False)]
            self._secrets[value] = known
        if len(self._layers) >= MAX_LAYERS:
            self._layers, self._new = [], list(self._secrets)
        anchors = [anchor for value in self._new for each in self._secrets[value] for anchor in each.anchors]
        self._layers += map(_contains, _in_layers(anchors))
        self._new = []

    def _search_candidates(self, part: str) -> list[Candidate]:
        """Return the forms, of the longest secrets first, of which a part that was found may be a part.

        The forms of longer secrets that contain one of these secrets are among them.
        """
        found = self._index.find(part)
        values = {each.value for each in found}
        longer = {each for each in self._secrets if any(len(each) > len(value) and value in each for value in values)}
        return [
            each
            for value in sorted(values | longer, key=lambda each: (-len(each), each))
            for each in self._secrets[value]
            if each in found or value in longer
        ]

    @cached_property
    def _index(self) -> _Index:
        return _Index(each for candidates in self._secrets.values() for each in candidates)


class _Index:
    """Finds forms by a part of a text: a literal anchor contains it, or one that is a pattern may begin so."""

    def __init__(self, candidates: Iterable[Candidate]) -> None:
        texts, self._starts, self._owners, self._mixed = list[str](), list[int](), list[Candidate](), list[Candidate]()
        length = 0
        for candidate in candidates:
            if candidate.is_mixed:
                self._mixed.append(candidate)
            for anchor in candidate.anchors:
                texts.append(anchor.text)
                self._starts.append(length)
                self._owners.append(candidate)
                length += len(anchor.text) + 1
        self._text = "\0".join(texts)

    def find(self, part: str) -> set[Candidate]:
        """Return the forms of which a part of a text may be a part."""
        found = set[Candidate]()
        position = self._text.find(part)
        while position >= 0:
            index = bisect_right(self._starts, position) - 1
            found.add(self._owners[index])
            position = self._text.find(part, self._starts[index + 1]) if index + 1 < len(self._starts) else -1
        match = _FIRST_RUN.match(part)
        run = match[0].casefold() if match else ""
        return found.union(each for each in self._mixed if each.may_begin(run))


def _in_layers(anchors: Iterable[Anchor]) -> Iterator[list[str]]:
    """Yield the patterns of anchors in lists that Rust's `regex` compiles, and searches fast."""
    layer, length = list[str](), 0
    for anchor in anchors:
        pattern = anchor.pattern or escape(anchor.text)
        if layer and length + len(pattern) > MAX_LAYER_LENGTH:
            yield layer
            layer, length = [], 0
        layer.append(pattern)
        length += len(pattern)
    if layer:
        yield layer


class _Replacement:
    """Replaces the secrets in one text."""

    def __init__(
        self,
        text: str,
        may_be_in: Predicate,
        find_candidates: Callable[[str], list[Candidate]],
        holds_secret: Predicate,
    ) -> None:
        self._text = text
        self._may_be_in = may_be_in
        self._holds_secret = holds_secret
        self._find_candidates = find_candidates
        self._parts: list[str] = []
        self._copied = 0
        self._seen: set[str] = set()

    def run(self) -> str:
        """Return the text without the secrets."""
        position = 0
        for _ in range(MAX_PLACES):
            place = find_first(self._may_be_in, self._text, position)
            if place is None:
                return "".join((*self._parts, self._text[self._copied :]))
            position = self._replace_at(place)
        rest = self._text[self._copied :]
        return "".join((*self._parts, REDACTED if self._holds_secret(rest) else rest))

    def _replace_at(self, place: Place) -> int:
        """Replace the secret of which a part was found, if it is one; return where to search on."""
        secret = self._find_secret(place)
        if secret is None:
            return place[0] + 1
        self._cut_out(*secret)
        return self._copied

    def _find_secret(self, place: Place) -> Place | None:
        """Return where the longest secret is that has a part at this place."""
        candidates = self._find_candidates(self._text[slice(*place)])
        literal: Place | None = None
        value = ""
        for each in candidates:
            if (literal := each.find_text(self._text, self._copied, place)) is not None:
                value = each.value
                break
        for each in candidates:
            # Only a longer secret around the one whose text was found may take its place. Without one, value is empty.
            if len(each.value) > len(value) and value in each.value:
                found = each.find_pattern(self._text, self._copied, place)
                if found is not None:
                    return found
        return literal

    def _cut_out(self, start: int, end: int) -> None:
        """Replace a secret with the backslashes around it: half of an escape would break JSON."""
        text = self._text
        found = text[start:end]
        start = self._copied + len(text[self._copied : start].rstrip("\\"))
        while found.endswith("\\") and text[end : end + 1] == "\\":
            end += 1
        follows = start == self._copied and self._parts[-1:] == [REDACTED]  # pieces of one secret
        self._parts += () if follows else (text[self._copied : start], REDACTED)
        self._copied = end
        if found in self._seen and len(self._seen) < MAX_REPLACEMENTS:
            self._text = text[end:].replace(found, REDACTED)
            self._copied = 0
        self._seen.add(found)


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def find_first(is_in: Predicate, text: str, position: int) -> tuple[int, int] | None:
    """Return start and end of the first match from a position on, as short as possible; None if there is none."""
    span = _FIRST_SPAN
    while not is_in(text[position : position + span]):
        if position + span >= len(text):
            return None
        span *= 2
    end = _bisect(lambda size: is_in(text[position : position + size]), min(span, len(text) - position))
    span = MAX_ANCHOR
    while not is_in(text[max(position, position + end - span) : position + end]):
        span *= 2
    size = _bisect(lambda size: is_in(text[position + end - size : position + end]), min(span, end))
    return position + end - size, position + end


def _bisect(holds: Callable[[int], bool], high: int) -> int:
    """Return the smallest number for which a monotone condition holds; it holds for `high`."""
    low = 0
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle) else (middle, high)
    return high
