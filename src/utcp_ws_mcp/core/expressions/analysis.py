"""Find the names that expressions use: the one place that answers this, for compiling, manifests, lint and traces.

MiniJinja parses the expression and returns the names (`undeclared_variables_in_str(nested=True)`). It has three limits,
which `_Rewriter` works around by rewriting the source before it is parsed, never before it is evaluated:

* Subscripts are not followed: of `args['user-id']` and `message.rows[0].id` it returns `args` and `message.rows`.
* The base of a slice is not visited: of `message.rows[args.first:]` it returns `args.first` only.
* Methods count as members: of `message.startswith('a')` it returns `message.startswith`.

This module imports nothing of the package but paths, so that every layer may use it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final

from minijinja import Environment, TemplateError

from .paths import Path, parse_path

ALL_MEMBERS: Final = "*"
"""Stands for every member of a name that an expression uses as a whole, or whose member only the call decides."""

EXPRESSION_MAP_KEYS: Final = frozenset({"let", "capture", "set"})
"""Keys whose objects map names that the author chooses to expressions: a value may be named like any other key."""

_PARSER: Final = Environment(debug=False)
_ALIAS: Final = "_utcp_ws_mcp_step_"
_TOKEN: Final = re.compile(
    r"""(?P<subscript>(?<=[\w)\]])(?<!\bin)(?<!\bor)(?<!\bif)(?<!\bis)(?<!\band)(?<!\bnot)(?<!\belse)\[\s*(?:(?P<index>-?\d+)|'(?P<single>[^'\\]*)'|"(?P<double>[^"\\]*)")\s*\])
    | '(?:[^'\\]|\\.)*' | "(?:[^"\\]|\\.)*"
    | (?P<method>\.[A-Za-z_]\w*(?=\s*\()) | (?P<member>\.\d+) | [A-Za-z_]\w* | \d+(?:\.\d+)?
    | (?P<open>[\[({]) | (?P<close>[\])}]) | (?P<colon>:)""",
    re.VERBOSE | re.DOTALL,
)
_OPTIONAL: Final = r"\s*(?:\|\s*default\b|is\s+(?:not\s+)?(?:un)?defined\b)"
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
    rewriter = _Rewriter()
    rewritten = rewriter.rewrite(source)
    # MiniJinja returns a set; traces and errors list the names in the order of the source.
    names = sorted(_PARSER.undeclared_variables_in_str("{{" + rewritten + "}}", nested=True))
    names.sort(key=lambda name: _place(name, rewritten))
    return tuple(dict.fromkeys(rewriter.decode(name) for name in names))


def find_members(source: str, owner: str) -> frozenset[str]:
    """Return the names of the members of `owner` (such as `args`) that an expression uses.

    `ALL_MEMBERS` is among them where it uses the owner as a whole. An expression that cannot be parsed uses none:
    compiling it reports that.
    """
    paths = [path for path in _references_or_none(source) if path[0] == owner]
    return frozenset(path[1] if len(path) > 1 and isinstance(path[1], str) else ALL_MEMBERS for path in paths)


def find_optional_members(source: str, owner: str) -> frozenset[str]:
    """Return the members of `owner` for which an expression defines what happens without them.

    That is `owner.name is defined` and `owner.name | default(…)`. MiniJinja does not distinguish a test or a filter of
    a name from any other use, so that a pattern finds these two.
    """
    return frozenset(re.findall(rf"(?<![\w.]){owner}\.([A-Za-z_]\w*){_OPTIONAL}", source))


def uses_name(source: str, *names: str) -> bool:
    """Return whether an expression uses one of these names, such as `request_id`."""
    return any(path[0] in names for path in _references_or_none(source))


def find_expressions(document: Any, template_keys: frozenset[str], in_template: bool = False) -> Iterator[str]:
    """Yield the sources of all expressions in a document of the manifest language.

    Args:
        document: A JSON value. A string is an expression; in a template its `{{ … }}` are.
        template_keys: The keys below which strings are templates.
        in_template: Whether the document itself is (part of) a template.
    """
    if isinstance(document, str):
        yield from expressions_in_text(document) if in_template else (document,)
    elif isinstance(document, dict):
        for key, item in document.items():
            if key in EXPRESSION_MAP_KEYS and isinstance(item, dict) and not in_template:
                yield from find_expressions(list(item.values()), template_keys)
            else:
                yield from find_expressions(item, template_keys, in_template or key in template_keys)
    elif isinstance(document, list | tuple):
        for item in document:
            yield from find_expressions(item, template_keys, in_template)


def find_arguments(document: Any, template_keys: frozenset[str], in_template: bool = False) -> frozenset[str]:
    """Return the arguments that the templates and expressions in a document need; `ALL_MEMBERS` for all of them.

    Args:
        document: A JSON value of the manifest language.
        template_keys: The keys below which strings are templates.
        in_template: Whether the document itself is (part of) a template.
    """
    placeholders = {name for text in _strings(document) for name in _ARGUMENT.findall(text)}
    expressions = find_expressions(document, template_keys, in_template)
    return frozenset(placeholders.union(*(find_members(each, "args") for each in expressions)))


def expressions_in_text(text: str) -> Iterator[str]:
    """Yield the sources of the expressions in a text; one that never ends is left out."""
    start = text.find("{{")
    while start >= 0 and (end := expression_end(text, start + 2)) is not None:
        yield text[start + 2 : end]
        start = text.find("{{", end + 2)


def expression_end(text: str, start: int) -> int | None:
    """Return where the `}}` is that ends the expression which begins at `start`, or None where it never ends.

    Braces and quotes inside the expression do not end it.
    """
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


def _references_or_none(source: str) -> tuple[Path, ...]:
    try:
        return find_references(source)
    except (TemplateError, ValueError):
        return ()


def _strings(document: Any) -> Iterator[str]:
    if isinstance(document, str):
        yield document
    elif isinstance(document, dict | list | tuple):
        for item in document.values() if isinstance(document, dict) else document:
            yield from _strings(item)


def _place(name: str, rewritten: str) -> int:
    match = re.search(rf"(?<![\w.]){re.escape(name)}(?!\w)", rewritten)
    return match.start() if match else len(rewritten)


@dataclass(slots=True)
class _Rewriter:
    """Rewrites an expression so that MiniJinja reports every name in it, and decodes what it reports."""

    steps: list[str | int | None] = field(default_factory=list)
    """What each alias stands for; None for the method of a call, which is no step."""

    def rewrite(self, source: str) -> str:
        """Return the source with constant subscripts as members, and slices as something that is visited."""
        opened: list[str] = []
        parts: list[str] = []
        position = 0
        for token in _TOKEN.finditer(source):
            parts.append(source[position : token.start()])
            position = token.end()
            parts.append(self._rewrite_token(token, opened))
        return "".join(parts) + source[position:]

    def decode(self, name: str) -> Path:
        """Return the path of a name that MiniJinja reports, such as `message.rows._step_0.id`."""
        steps: list[str | int] = []
        for step in name.split("."):
            number = step.removeprefix(_ALIAS)
            meant = self.steps[int(number)] if number != step and number.isdigit() else step
            if meant is None:
                break
            steps.append(meant)
        return tuple(steps)

    def _rewrite_token(self, token: re.Match[str], opened: list[str]) -> str:
        if token["subscript"]:
            index = token["index"]
            return self._alias(int(index) if index else token["single"] or token["double"] or "")
        if token["member"]:
            return self._alias(int(token["member"][1:]))
        if token["method"]:
            return self._alias(None)
        if token["open"]:
            opened.append(token["open"])
        elif token["close"] and opened:
            opened.pop()
        elif token["colon"] and opened and opened[-1] == "[":
            return self._slice_colon(token)
        return token[0]

    def _alias(self, step: str | int | None) -> str:
        self.steps.append(step)
        return f".{_ALIAS}{len(self.steps) - 1}"

    @staticmethod
    def _slice_colon(token: re.Match[str]) -> str:
        """Return what replaces the colon of a slice: `x[a:]` becomes `x[a~0~0]`, a subscript: its base is visited."""
        before, after = token.string[: token.start()].rstrip()[-1:], token.string[token.end() :].lstrip()[:1]
        return ("0" if before in ("[", ":") else "") + "~0~" + ("0" if after == "]" else "")
