"""Cut the text of a template into tokens: literal text, variables, placeholders and expressions."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from ...errors import InvalidTemplate
from ...records import Record
from ..expressions.analysis import expression_end

_TOKEN: Final = re.compile(
    r"(?P<escape>\$\$\{)|\$\{(?P<variable>[A-Za-z_]\w*)\}|UTCP_ARG_(?P<argument>.{1,256}?)_UTCP_ARG|(?P<open>\{\{)",
    re.DOTALL,
)
# The length of an argument's name is bounded because its end is searched from every beginning.


class LiteralToken(Record):
    """Text that is sent as it is."""

    text: str


class VariableToken(Record):
    """`${NAME}`: its value is known when the template is compiled."""

    name: str


class PlaceholderToken(Record):
    """`UTCP_ARG_name_UTCP_ARG`: the argument of a call."""

    name: str


class ExpressionToken(Record):
    """`{{ source }}`."""

    source: str


Token = LiteralToken | VariableToken | PlaceholderToken | ExpressionToken


def tokenize(text: str, *, variables: bool) -> Iterator[Token]:
    """Yield the tokens of a template.

    Args:
        text: The template.
        variables: Whether `${NAME}` is a variable, and `$${` the escape of a literal `${`. In a template from the
            network both are literal text.

    Raises:
        InvalidTemplate: where an expression never ends.
    """
    position = start = 0
    while token := _TOKEN.search(text, position):
        position = token.end()
        if not variables and (token["escape"] or token["variable"]):
            continue
        if token.start() > start:
            yield LiteralToken(text[start : token.start()])
        if token["open"]:
            end = _required_end(text, position)
            yield ExpressionToken(text[position:end])
            position = end + 2
        elif token["argument"]:
            yield PlaceholderToken(token["argument"])
        else:
            yield VariableToken(token["variable"]) if token["variable"] else LiteralToken("${")
        start = position
    if start < len(text):
        yield LiteralToken(text[start:])


def has_tokens(text: str) -> bool:
    """Return whether a text may contain anything but literal text."""
    return _TOKEN.search(text) is not None


def has_placeholders(text: str) -> bool:
    """Return whether a text contains a placeholder or an expression."""
    return any(token["argument"] or token["open"] for token in _TOKEN.finditer(text))


def _required_end(text: str, start: int) -> int:
    end = expression_end(text, start)
    if end is None:
        excerpt = text[start - 2 : start + 40]
        odd = next((quote for quote in "'\"" if text.count(quote, start) % 2), None)
        fix = (
            f"A quote in it has no end. Inside of {odd}…{odd} write \\x{ord(odd):02x} (in JSON \\\\x{ord(odd):02x})."
            if odd and "}}" in text[start:]
            else "Close it with }}; for two literal braces write {{ '{{' }}."
        )
        raise InvalidTemplate(
            f"{excerpt!r} opens an expression that never ends. {fix}",
            code="unclosed-expression",
        )
    return end
