"""Where a correlation id stands in a reply, read off the predicate that compares it."""

from __future__ import annotations

import re
from functools import lru_cache

from ..expressions.paths import STRING_LITERAL, Path, parse_path

_TERM = re.compile(r"\s*(\S+)\s*==\s*(\S+)\s*\Z")


@lru_cache(maxsize=256)  # the tools of a preset have the same `match`
def find_correlation_path(match: str) -> tuple[Path | None, bool]:
    """Where the correlation id stands in a message for which a predicate holds, and whether it asks no more."""
    terms = _conjunction(match)
    paths = [path for term in terms if (path := _id_path(term))]
    return (paths[0], len(terms) == 1) if paths else (None, False)


def _conjunction(source: str) -> list[str]:
    """The terms of `a and b and c`; an expression that may be anything else is one term."""
    masked = STRING_LITERAL.sub(lambda found: "_" * len(found[0]), source)
    if re.search(r"\b(or|if|else)\b|[()]", masked):
        return [source]
    cuts = [0, *(place for found in re.finditer(r"\s+and\s+", masked) for place in found.span()), len(source)]
    return [source[start:end] for start, end in zip(cuts[::2], cuts[1::2], strict=True)]


def _id_path(term: str) -> Path | None:
    """The path that a term `message.id == request_id` compares with the correlation id."""
    found = _TERM.match(term)
    sides = found.groups() if found else ()
    for side, other in (sides, sides[::-1]) if sides else ():
        path = parse_path(side)
        if other == "request_id" and path and path[0] == "message" and len(path) > 1:
            return path[1:]
    return None
