r"""What an argument may hold where it stands in a text message, so that it cannot change another part of it.

JSON escapes what it holds; text has no structure that the bridge knows but what is written in the template. From it
this module reads, for each placeholder, which characters would end the argument:

| characters | refused where |
| --- | --- |
| line breaks, NUL and other control characters | the template writes something beside the argument |
| the separator of `framing` | everywhere |
| a blank | a blank is behind the placeholder, and something else on its line |
| `,` `;` `:` `\|` `/` `=` `&` | it is behind the placeholder, and another placeholder follows on its line |
| a quote and `\` | the placeholder stands in these quotes |
| `<` `>` `&` and quotes | the template is XML, and the filter `escape` is not applied |

So the last argument of a line may hold blanks, such as the text of a chat message. The filter `verbatim` allows all.
The rule is for values that a call brings: those that use `args`, or `item`, `let` and `session`, which may hold
an argument.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final

from ...records import Record
from ..codecs.binary import as_binary, refuse_binary
from ..codecs.message import RejectedValue
from ..expressions.bounded import text_of
from ..expressions.syntax import Node as SyntaxNode
from .nodes import (
    OMIT,
    Argument,
    ExpressionValue,
    Placeholder,
    RenderError,
    check_message_length,
    required_value,
    to_text,
)

_SEPARATORS: Final = frozenset(",;:|/=&")
_QUOTES: Final = frozenset("\"'`")
_BREAKS: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_XML_BREAKS: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
"""The control characters that XML does not have; a line break is white space in it."""

_XML: Final = re.compile(r"\s*<[A-Za-z/!?][^<>]*>?")
_SAFE_IN_XML: Final = frozenset({"escape", "e", "urlencode", "base64", "base64url", "hex"})
_CHECKED_NAMES: Final = frozenset({"args", "let", "session", "item"})
VERBATIM: Final = "verbatim"
NO_BREAKS: Final = re.compile(r"(?!)")
_NAMES: Final = {" ": "a blank", "\n": "a line feed", "\r": "a carriage return", "\0": "NUL", "\t": "a tab"}


class TextRule(Record):
    """Which characters the text of one placeholder may not hold.

    Args:
        breaks: Finds the control characters that are refused.
        refused: Further characters.
        separator: The separator of the framing, or an empty text.
        fix: What to write to allow them.
        place: What the text is a part of.
    """

    breaks: re.Pattern[str]
    refused: frozenset[str]
    separator: str
    fix: str
    place: str = "message"

    def check(self, text: str, placeholder: Placeholder) -> None:
        """Check the text of a placeholder.

        Raises:
            RenderError: if it holds a character that would end it.
        """
        found = self.breaks.search(text)
        holds_separator = self.separator and self.separator in text
        if found is None and not holds_separator and self.refused.isdisjoint(text):
            return
        char = found[0] if found else next((each for each in text if each in self.refused), "")
        raise RenderError(
            f"{describe_source(placeholder)} contains {_name(char or self.separator)}, which would end it in this "
            f"{self.place}. Remove it; {self.fix}",
            code="argument-breaks-message",
        )


Part = tuple[Placeholder, TextRule | None]


def compile_rules(parts: Sequence[str | Placeholder], separator: str = "") -> tuple[str | Part, ...]:
    """Return the parts of a text message, each placeholder with its rule; None for one that no call brings.

    Args:
        parts: Literal text and placeholders in turn.
        separator: The separator of the framing.
    """
    is_xml = any(isinstance(part, str) and _XML.match(part) for part in parts[:1])
    return tuple(
        part if isinstance(part, str) else (part, _rule(parts, index, part, separator, is_xml=is_xml))
        for index, part in enumerate(parts)
    )


def is_checked(placeholder: Placeholder) -> bool:
    """Return whether a call brings the value of a placeholder, and its template does not allow any text."""
    if isinstance(placeholder, Argument):
        return True
    names = placeholder.expression.names
    return not _CHECKED_NAMES.isdisjoint(names) and outer_filter(placeholder) != VERBATIM


def outer_filter(placeholder: Placeholder) -> str:
    """Return the filter that is applied last, or an empty text."""
    tree = None if isinstance(placeholder, Argument) else placeholder.expression.tree
    return tree.name if tree is not None and tree.kind == "filter" else ""


def describe_source(placeholder: Placeholder) -> str:
    """Return what an error calls the value of a placeholder."""
    if isinstance(placeholder, Argument):
        return f"argument {placeholder.name!r}"
    path = placeholder.expression.path
    if path and path[0] == "args" and len(path) > 1:
        return f"argument {'.'.join(map(str, path[1:]))!r}"
    return f"{{{{ {placeholder.expression.source} }}}}"


def render_parts(parts: Sequence[str | Part], scope: Mapping[str, Any]) -> str | None:
    """Return the text of a message; None where an expression says that it is to be left out.

    Raises:
        RenderError: if a value is missing, or would change another part of the message.
    """
    texts, length = [], 0
    for part in parts:
        if isinstance(part, str):
            texts.append(part)
            continue
        placeholder, rule = part
        value = placeholder.value(scope)
        if value is OMIT:
            if placeholder.may_omit:
                return None
            raise placeholder.missing_error()
        text = to_text(value)
        if rule is not None and not isinstance(value, int | float):
            rule.check(text, placeholder)
        length += len(text)
        check_message_length(length)
        texts.append(text)
    return "".join(texts)


def _rule(
    parts: Sequence[str | Placeholder], index: int, placeholder: Placeholder, separator: str, *, is_xml: bool
) -> TextRule | None:
    if not is_checked(placeholder):
        return None
    if len(parts) == 1:
        return TextRule(NO_BREAKS, frozenset(), separator, allowing_fix(placeholder)) if separator else None
    before = parts[index - 1] if index else ""
    line, others = _rest_of_line(parts, index)
    refused: set[str] = set()
    if is_xml:
        refused = set() if outer_filter(placeholder) in _SAFE_IN_XML else set("<>&\"'")
    elif line:
        refused |= {line[0]} & _QUOTES if isinstance(before, str) and before[-1:] == line[0] else set()
        refused |= {"\\"} if refused else set()
        refused |= {" "} if line[0] == " " and (line.strip() or others) else set()
        refused |= {line[0]} & _SEPARATORS if others else set()
    fix = allowing_fix(placeholder)
    if is_xml and refused:
        fix = _fix(placeholder, "escape")
    return TextRule(_XML_BREAKS if is_xml else _BREAKS, frozenset(refused), separator, fix)


def allowing_fix(placeholder: Placeholder) -> str:
    """Return what the manifest writes to allow any text at a placeholder."""
    return _fix(placeholder, VERBATIM)


def _fix(placeholder: Placeholder, filter_name: str) -> str:
    source = f"args.{placeholder.name}" if isinstance(placeholder, Argument) else placeholder.expression.source
    return f"to allow it here, the manifest writes {{{{ {source} | {filter_name} }}}}."


def _rest_of_line(parts: Sequence[str | Placeholder], index: int) -> tuple[str, bool]:
    """Return the literal text behind a placeholder on its line, and whether another placeholder is on the line."""
    literal, others = "", False
    for part in parts[index + 1 :]:
        if not isinstance(part, str):
            others = True
            continue
        line = re.split(r"[\r\n\0]", part, maxsplit=1)
        literal += line[0]
        if len(line) > 1:
            break
    first = parts[index + 1] if index + 1 < len(parts) else ""
    return (literal if isinstance(first, str) else "", others)


def _name(char: str) -> str:
    if char in _NAMES:
        return _NAMES[char]
    return repr(char) if char.isprintable() else f"the control character U+{ord(char[0]):04X}"


class TextNode(Record):
    """Literal text with placeholders, which must all have a value and keep the structure of the text.

    Where an expression gives `omit`, a text that `can_be_left_out` is: the value of a key, or an element.
    """

    not_in_repr: ClassVar = ("parts",)
    parts: tuple[str | Part, ...]
    can_be_left_out: bool = False

    def render(self, scope: Mapping[str, Any]) -> Any:
        """Return the text."""
        text = render_parts(self.parts, scope)
        if text is not None:
            return text
        if self.can_be_left_out:
            return OMIT
        raise RenderError("omit cannot leave out a whole message. Write a default.", code="value-missing")


class JoinedText(Record):
    """A message that is one expression `a ~ b ~ …`: its operands are checked as those of a text."""

    whole: ExpressionValue
    operands: tuple[str | Part, ...]

    def render(self, scope: Mapping[str, Any]) -> str:
        """Return the text."""
        if self.whole.expression.has_missing_inputs(scope) or self.whole.expression.lacks_session(scope):
            raise self.whole.missing_error()
        texts = []
        for part in self.operands:
            if isinstance(part, str):
                texts.append(part)
                continue
            placeholder, rule = part
            value = placeholder.value(scope)
            text = "" if value is OMIT else _write(value)
            if rule is not None and not isinstance(value, int | float):
                rule.check(text, placeholder)
            texts.append(text)
        return "".join(texts)


def _write(value: Any) -> str:
    """Return an operand of a text as MiniJinja writes it.

    Raises:
        RenderError: if it is bytes, or holds bytes.
    """
    try:
        return refuse_binary(lambda: text_of(as_binary(value)))
    except RejectedValue as error:
        raise RenderError(str(error), code=error.code) from None


class WholeMessage(Record):
    """A message that is one expression: its value with its type, which must be there."""

    placeholder: ExpressionValue
    part: str | Part

    def render(self, scope: Mapping[str, Any]) -> Any:
        """Return the value."""
        value = required_value(self.placeholder, scope)
        if not isinstance(self.part, str) and self.part[1] is not None and isinstance(value, str):
            self.part[1].check(value, self.placeholder)
        return value


def joined_nodes(tree: SyntaxNode | None) -> list[SyntaxNode]:
    """Return the operands of `a ~ b ~ …`; none for any other expression."""
    if tree is None or tree.name != "~":
        return []
    operands: list[SyntaxNode] = []
    node = tree
    while node.name == "~":
        left, right = node.parts
        operands.append(right)
        node = left
    return [node, *reversed(operands)]
