"""Find the names that expressions use: the one place that answers this, for compiling, manifests, lint and traces.

This module imports nothing of the package but the syntax of expressions, so that every layer may use it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, Final

from minijinja import TemplateError

from .paths import STRING_LITERAL, Path, find_paths, node_path, parse_path
from .syntax import parse_expression

ALL_MEMBERS: Final = "*"
"""Stands for every member of a name that an expression uses as a whole, or whose member only the call decides."""

EXPRESSION_MAP_KEYS: Final = frozenset({"let", "capture", "set"})
"""Keys whose objects map names that the author chooses to expressions: a value may be named like any other key."""

DEFINING: Final = frozenset({("filter", "default"), ("filter", "d"), ("test", "defined"), ("test", "undefined")})
"""Filters and tests that define what happens without the value that they are applied to."""

_ARGUMENT: Final = re.compile(r"UTCP_ARG_(.{1,256}?)_UTCP_ARG", re.DOTALL)


@lru_cache(maxsize=4096)  # each tool repeats the expressions of its preset
def find_references(source: str) -> tuple[Path, ...]:
    """Return the paths of all names that an expression uses, in the order in which they are first written.

    A path goes as far as its steps are constants: `args.rows[args.i].x` gives `("args", "rows")` and `("args", "i")`.
    The method of a call is no step.

    Raises:
        TemplateError: if the expression cannot be parsed.
        ValueError: if it holds a character that UTF-8 cannot encode.
    """
    if path := parse_path(source.strip()):
        return (path,)
    paths = (path for path, _ in find_paths(parse_expression(source)))
    return tuple(dict.fromkeys(paths))


@lru_cache(maxsize=4096)  # lint asks for the members of several owners, again and again
def find_members(source: str, owner: str) -> frozenset[str]:
    """Return the names of the members of `owner` (such as `args`) that an expression uses.

    `ALL_MEMBERS` is among them where it uses the owner as a whole. An expression that cannot be parsed uses none:
    compiling it reports that.
    """
    paths = [path for path in _references_or_none(source) if path[0] == owner]
    return frozenset(path[1] if len(path) > 1 and isinstance(path[1], str) else ALL_MEMBERS for path in paths)


@lru_cache(maxsize=4096)
def find_optional_members(source: str, owner: str) -> frozenset[str]:
    """Return the members of `owner` for which an expression defines what happens without them.

    That is `owner.name is defined` and `owner.name | default(…)`.
    """
    try:
        nodes = list(parse_expression(source).walk())
    except (TemplateError, ValueError):
        return frozenset()
    defined = (node.parts[0] for node in nodes if (node.kind, node.name) in DEFINING)
    paths = (path for node in defined if (path := node_path(node)) is not None and len(path) == 2)
    return frozenset(str(path[1]) for path in paths if path[0] == owner)


@lru_cache(maxsize=256)
def find_defaulted_names(source: str) -> frozenset[str]:
    """Return the names for which an expression defines what happens without them, such as `name | default(…)`."""
    try:
        nodes = list(parse_expression(source).walk())
    except (TemplateError, ValueError):
        return frozenset()
    paths = (node_path(node.parts[0]) for node in nodes if (node.kind, node.name) in DEFINING)
    return frozenset(str(path[0]) for path in paths if path is not None and len(path) == 1)


def uses_name(source: str, *names: str) -> bool:
    """Return whether an expression uses one of these names, such as `request_id`."""
    return any(path[0] in names for path in _references_or_none(source))


def find_expressions(document: Any, template_keys: frozenset[str], in_template: bool = False) -> list[str]:
    """Return the sources of all expressions in a document of the manifest language.

    Args:
        document: A JSON value. A string is an expression; in a template its `{{ … }}` are.
        template_keys: The keys below which strings are templates.
        in_template: Whether the document itself is (part of) a template.
    """
    found: list[str] = []
    _add_expressions(found, document, template_keys, in_template)
    return found


def _add_expressions(found: list[str], document: Any, template_keys: frozenset[str], in_template: bool) -> None:
    if isinstance(document, str):
        found += expressions_in_text(document) if in_template else (document,)
    elif isinstance(document, dict):
        for key, item in document.items():
            if not isinstance(item, _WITH_TEXT):
                continue
            if key in EXPRESSION_MAP_KEYS and isinstance(item, dict) and not in_template:
                _add_expressions(found, list(item.values()), template_keys, in_template=False)
            else:
                _add_expressions(found, item, template_keys, in_template or key in template_keys)
    elif isinstance(document, list | tuple):
        for item in document:
            _add_expressions(found, item, template_keys, in_template)


_WITH_TEXT: Final = (str, dict, list, tuple)
"""Values that may hold expressions; most fields of a template have other ones."""


def find_arguments(document: Any, template_keys: frozenset[str], in_template: bool = False) -> frozenset[str]:
    """Return the arguments that the templates and expressions in a document need; `ALL_MEMBERS` for all of them.

    Args:
        document: A JSON value of the manifest language.
        template_keys: The keys below which strings are templates.
        in_template: Whether the document itself is (part of) a template.
    """
    placeholders = {name for text in _strings(document) if "UTCP" in text for name in _ARGUMENT.findall(text)}
    expressions = find_expressions(document, template_keys, in_template)
    return frozenset(placeholders.union(*(find_members(each, "args") for each in expressions)))


def expressions_in_text(text: str) -> list[str]:
    """Return the sources of the expressions in a text; one that never ends is left out."""
    found: list[str] = []
    start = text.find("{{")
    while start >= 0 and (end := expression_end(text, start + 2)) is not None:
        found.append(text[start + 2 : end])
        start = text.find("{{", end + 2)
    return found


def expression_end(text: str, start: int) -> int | None:
    """Return where the `}}` is that ends the expression which begins at `start`, or None where it never ends.

    Braces and quotes inside the expression do not end it.
    """
    if simple := _SIMPLE_EXPRESSION.match(text, start):
        return simple.end()
    depth, quote, position = 0, "", start
    while position < len(text):
        char = text[position]
        if quote:
            position += char == "\\"
            quote = "" if char == quote else quote
        elif char in "'\"":
            quote = char
        elif char == "{":
            depth += 1
        elif char == "}" and depth:
            depth -= 1
        elif text.startswith("}}", position):
            return position
        position += 1
    return None


_SIMPLE_EXPRESSION: Final = re.compile(r"[^{}'\"]*(?=\}\})")
"""An expression without braces and quotes, up to its end."""


def _references_or_none(source: str) -> tuple[Path, ...]:
    try:
        return find_references(source)
    except (TemplateError, ValueError):
        return ()


def _strings(document: Any) -> Iterator[str]:
    waiting = [document]
    while waiting:
        value = waiting.pop()
        if isinstance(value, str):
            yield value
        elif isinstance(value, dict | list | tuple):
            waiting.extend(value.values() if isinstance(value, dict) else value)


_TERM: Final = re.compile(r"\s*(\S+)\s*==\s*(\S+)\s*\Z")


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
