"""What a value of a call may hold where it is a part of a header, such as a cookie beside others.

A header has the structure that its template shows: items behind `;` and `,`, and texts in quotes (RFC 9110 §5.6). A
value that is a whole header may hold all of these. The filter `verbatim` allows them in a part, too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from .nodes import Argument, Placeholder, render_text
from .text_rule import NO_BREAKS, TextRule, allowing_fix, is_checked

_IN_QUOTES: Final = frozenset('"\\')
_BETWEEN_ITEMS: Final = frozenset(';,"')
_FROM_SESSION: Final = frozenset(";")
"""What a value that an endpoint returned may not hold: only cookies are sent back, and a comma may stand in one."""

_FROM_CALL: Final = frozenset({"args", "let", "item"})


def render_header(parts: Sequence[str | Placeholder], scope: Mapping[str, Any]) -> str | None:
    """Return the value of a header; None where an expression says that it is to be left out.

    Raises:
        RenderError: if a value is missing, or holds what would end its part of the header.
    """
    texts: list[str] = []
    literal = ""
    for part in parts:
        if isinstance(part, str):
            literal += part
            texts.append(part)
            continue
        text = render_text([part], scope)
        if text is None:
            return None
        if len(parts) > 1 and is_checked(part):
            TextRule(NO_BREAKS, _refused(literal, part), "", allowing_fix(part), "header").check(text, part)
        texts.append(text)
    return "".join(texts)


def _refused(before: str, placeholder: Placeholder) -> frozenset[str]:
    """Return the characters that a value may not hold behind this text of the template."""
    if before.count('"') % 2:
        return _IN_QUOTES
    is_from_call = isinstance(placeholder, Argument) or not _FROM_CALL.isdisjoint(placeholder.expression.names)
    return _BETWEEN_ITEMS if is_from_call else _FROM_SESSION
