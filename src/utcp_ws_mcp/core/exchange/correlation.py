"""The correlation id in a message: where a predicate compares one, and which one is there."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from ..codecs.message import Message
from ..expressions.paths import STRING_LITERAL, Path, parse_path, value_at

_TERM: Final = re.compile(r"\s*(\S+)\s*==\s*(\S+)\s*\Z")


def correlation_id_at(message: Message, path: Path) -> int | str | None:
    """Return the correlation id at a path of a message, or None where there is none.

    JSON has one kind of number, so 1.0 is 1. A boolean is no id, although Python takes True for 1: a reply with
    `"id": true` would reach the exchange 1.
    """
    found = value_at(message.value, path)
    if isinstance(found, float) and found.is_integer():
        return int(found)
    return found if isinstance(found, str | int) and not isinstance(found, bool) else None


@lru_cache(maxsize=256)  # the tools of a preset have the same `match`
def find_correlation_path(match: str) -> tuple[Path | None, str]:
    """Return where the correlation id is in a message that a predicate matches, and what else the predicate demands.

    Only `message.path == request_id`, alone or as a term of a conjunction, ties a message to one exchange for certain.
    Of any other predicate the path is None, and it is evaluated for each pending exchange.
    """
    terms = _conjunction(match)
    for place, term in enumerate(terms):
        if path := _id_path(term):
            return path, " and ".join(terms[:place] + terms[place + 1 :])
    return None, ""


def _conjunction(source: str) -> list[str]:
    """Return the terms of `a and b and c`; an expression that may be anything else is one term."""
    masked = STRING_LITERAL.sub(lambda literal: "_" * len(literal[0]), source)
    if re.search(r"\b(or|if|else)\b|[()]", masked):
        return [source]
    cuts = [0, *(place for word in re.finditer(r"\s+and\s+", masked) for place in word.span()), len(source)]
    return [source[start:end] for start, end in zip(cuts[::2], cuts[1::2], strict=True)]


def _id_path(term: str) -> Path | None:
    """Return the path that a term `message.id == request_id` compares with the correlation id."""
    match = _TERM.match(term)
    sides = match.groups() if match else ()
    for side, other in (sides, sides[::-1]) if sides else ():
        path = parse_path(side)
        if other == "request_id" and path and path[0] == "message" and len(path) > 1:
            return path[1:]
    return None
