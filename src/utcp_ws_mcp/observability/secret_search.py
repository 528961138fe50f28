"""Find and replace many secrets in a text, in a time that grows with its length and not with what is in it.

Rust's `regex` only says whether a text contains something, at a gigabyte per second. So a text without secrets is
searched once, and the places of secrets are found by halving. All patterns are compiled when they are first needed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import cached_property
from typing import Any, Final

from pydantic_core import SchemaValidator, core_schema

from ..manifest.secret_names import MIN_SECRET_LENGTH, REDACTED
from .secret_forms import MAX_ANCHOR, secret_forms

MAX_PLACES: Final = 2048
"""Places of a text that are looked at one by one. What follows more of them is replaced as a whole."""

MAX_REPLACEMENTS: Final = 64
"""Different forms of secrets in a text of which a second one replaces all others, which searches the text once."""

_FIRST_SPAN: Final = 256
"""Characters that are searched for the next place, then twice as many, and so on."""

_SURROGATE: Final = re.compile("[\ud800-\udfff]")

Predicate = Callable[[str], bool]


def _contains(patterns: Iterable[str]) -> Predicate:
    """Return a function that says whether a text contains a match of one of the patterns."""
    schema = core_schema.str_schema(pattern="|".join(dict.fromkeys(patterns)), regex_engine="rust-regex", strict=True)
    accepts: Any = SchemaValidator(schema).isinstance_python
    return accepts  # type: ignore[no-any-return]


class Secret:
    """One secret in all of its forms."""

    def __init__(self, value: str) -> None:
        self._value = value

    def __repr__(self) -> str:
        return "Secret()"

    @cached_property
    def anchors(self) -> list[tuple[str, bool]]:
        """Patterns for a part of each form, and whether they are literal."""
        return [anchor for form in secret_forms(self._value) for anchor in form.anchors]

    @cached_property
    def max_length(self) -> int:
        """The length of the text around a part in which the whole secret is searched."""
        return max(form.max_length for form in secret_forms(self._value))

    @cached_property
    def is_in(self) -> Predicate:
        """Whether a text contains the secret."""
        return _contains(form.pattern for form in secret_forms(self._value))


class SecretGroup:
    """Secrets that are searched for together."""

    def __init__(self, values: Iterable[str] = ()) -> None:
        self._secrets: dict[str, Secret] = {}
        self.replace(values)

    def __repr__(self) -> str:
        return f"SecretGroup({len(self._secrets)} secrets)"

    def replace(self, values: Iterable[str]) -> None:
        """Search for these secrets from now on; shorter ones than MIN_SECRET_LENGTH occur everywhere."""
        known = sorted({each for each in values if len(each) >= MIN_SECRET_LENGTH}, key=lambda each: (-len(each), each))
        if known != list(self._secrets):
            self._secrets = {each: self._secrets.get(each) or Secret(each) for each in known}
            self._may_be_in: Predicate | None = None
            self._candidates: dict[str, list[Secret]] = {}

    def add(self, values: Iterable[str]) -> None:
        """Search for these secrets, too."""
        self.replace([*self._secrets, *values])

    def redact(self, text: str) -> str:
        """Return the text without the secrets."""
        if not self._secrets:
            return text
        if self._may_be_in is None:
            self._may_be_in = _contains(anchor for secret in self._secrets.values() for anchor, _ in secret.anchors)
        if self._may_be_in(text):
            return _Replacement(text, self._may_be_in, self._find_candidates, self._secrets.values()).run()
        # What is searched must be UTF-8. A text with lone surrogates cannot be written as it is anyway.
        return text if text.isascii() or _is_utf8(text) else self.redact(_SURROGATE.sub("\ufffd", text))

    def _find_candidates(self, part: str) -> list[Secret]:
        """Return the secrets, longest first, of which a part that was found may be a part."""
        if part not in self._candidates:
            self._candidates[part] = [
                secret
                for secret in self._secrets.values()
                if any(not is_literal or part in anchor for anchor, is_literal in secret.anchors)
            ]
        return self._candidates[part]


class _Replacement:
    """Replaces the secrets in one text."""

    def __init__(
        self,
        text: str,
        may_be_in: Predicate,
        find_candidates: Callable[[str], list[Secret]],
        secrets: Iterable[Secret],
    ) -> None:
        self._text = text
        self._may_be_in = may_be_in
        self._secrets = secrets
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
            position = self._replace_at(*place)
        rest = self._text[self._copied :]
        return "".join((*self._parts, REDACTED if self._holds_secret(rest) else rest))

    def _holds_secret(self, text: str) -> bool:
        return any(secret.is_in(text) for secret in self._secrets)

    def _replace_at(self, start: int, end: int) -> int:
        """Replace the secret of which a part was found, if it is one; return where to search on."""
        for secret in self._find_candidates(self._text[start:end]):
            first = max(self._copied, start - secret.max_length)
            around = self._text[first : end + secret.max_length]
            found = find_first(secret.is_in, around, 0)
            if found is not None and first + found[0] <= start:  # else it is another place, behind this one
                self._cut_out(first + found[0], first + found[1])
                return self._copied
        return start + 1

    def _cut_out(self, start: int, end: int) -> None:
        """Replace a secret with the backslashes around it: half of an escape would break JSON."""
        text = self._text
        found = text[start:end]
        start = self._copied + len(text[self._copied : start].rstrip("\\"))
        while found.endswith("\\") and text[end : end + 1] == "\\":
            end += 1
        self._parts += (text[self._copied : start], REDACTED)
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
