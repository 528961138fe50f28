"""Templates of URLs: the one place that fills a URL, whatever field of the manifest it is in.

What a placeholder may do depends on where its value comes from:

| value | where | how |
| --- | --- | --- |
| variables, time, randomness | anywhere | as it is |
| `session`, untouched by arguments | the beginning of the URL | as it is |
| anything else, such as an argument | behind the host | percent-encoded; no segment becomes `.` or `..` |

Whether a value of `session` depends on an argument is decided when the manifest is loaded, by the expressions that
capture it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Final
from urllib.parse import quote

from ..errors import ForbiddenURL, InvalidTemplate
from ..manifest.models.base import Json
from ..manifest.models.call_template import CallTemplate
from ..records import Record, replace
from .diagnostics import Diagnostics
from .expressions.analysis import ALL_MEMBERS, find_members, uses_name
from .expressions.expression import compile_expression
from .expressions.paths import parse_path
from .templates.compiler import Compiler
from .templates.nodes import OMIT, ExpressionValue, Placeholder, RenderError, to_text
from .templates.tokens import has_placeholders

if TYPE_CHECKING:
    from .query_template import QueryTemplate

Parts = tuple[str | Placeholder, ...]
"""Literal text and placeholders in turn."""

_TRUSTED_NAMES: Final = frozenset({"vars", "now", "now_s", "now_ms", "uuid", "random_hex", "omit"})
_BEHIND_HOST: Final = re.compile(r"[a-z]+://[^/?#]+[/?#]")
_URLENCODE: Final = re.compile(r"\s*\|\s*urlencode\s*\Z")


class UrlTemplate(Record, dict=True):
    """A compiled URL.

    Args:
        parts: The parts of its text.
        verbatim: The indexes of the placeholders in them whose value is filled in as it is.
        query: The parameters that it gets in addition to those of its text.
    """

    not_in_repr: ClassVar = ("parts",)
    parts: Parts = ()
    verbatim: frozenset[int] = frozenset()
    query: QueryTemplate | None = None

    @property
    def is_constant(self) -> bool:
        """Return whether the URL has no placeholder."""
        return not self.placeholders and (self.query is None or not self.query.placeholders)

    @property
    def placeholders(self) -> tuple[Placeholder, ...]:
        """Return the placeholders of its text in order."""
        return tuple(part for part in self.parts if not isinstance(part, str))

    @property
    def begins_with_value(self) -> bool:
        """Return whether a value that is only known later is the beginning of the URL, and so its server."""
        first = self.parts[0] if self.parts else ""
        return isinstance(first, ExpressionValue) and "session" in first.expression.names

    @cached_property
    def sample(self) -> str:
        """Return the URL with sample text for its placeholders."""
        return "".join(part if isinstance(part, str) else "x" for part in self.parts)

    @property
    def parameter_names(self) -> set[str]:
        """Return the names of the query parameters that are known before a call."""
        from .query_template import UNKNOWN, names_in  # few manifests need them

        text = "".join(part if isinstance(part, str) else UNKNOWN for part in self.parts)
        added = () if self.query is None else self.query.parameters
        return {*names_in(text), *(each.name for each in added)}

    def render(self, scope: Mapping[str, Any]) -> str:
        """Return the URL with these values.

        Raises:
            RenderError: where a value is missing, makes a segment of the path `.` or `..`, or cannot be written.
        """
        text = "".join(self._render_part(index, part, scope) for index, part in enumerate(self.parts))
        encoded = len(self.placeholders) - len(self.verbatim)
        if encoded and _count_dot_segments(text) > self._own_dot_segments(scope):
            raise RenderError(
                "an argument makes a segment of the URL's path '.' or '..'. Pass another value.",
                code="invalid-url-argument",
            )
        return text if self.query is None else self.query.append_to(text, scope)

    def _own_dot_segments(self, scope: Mapping[str, Any]) -> int:
        """Return how many dot segments the URL has by what its author and its endpoint wrote."""
        own = [
            self._render_part(index, part, scope) if isinstance(part, str) or index in self.verbatim else "x"
            for index, part in enumerate(self.parts)
        ]
        return _count_dot_segments("".join(own))

    def _render_part(self, index: int, part: str | Placeholder, scope: Mapping[str, Any]) -> str:
        if isinstance(part, str):
            return part
        value = part.value(scope)
        if value is OMIT:
            raise part.missing_error()
        text = to_text(value)
        return text if index in self.verbatim else quote(text, safe="")


def compile_url(text: str, compiler: Compiler, tainted: frozenset[str]) -> UrlTemplate:
    """Compile a URL with placeholders.

    Args:
        text: The URL, as it is written.
        compiler: The compiler of its field.
        tainted: The values of `session` that depend on arguments.

    Raises:
        InvalidTemplate: where it cannot be read.
        ForbiddenURL: where a placeholder is in the scheme, host or port.
    """
    parts = tuple(_decoded(part, compiler) for part in compiler.parts(text))
    before, verbatim, leading = "", set(), False
    for index, part in enumerate(parts):
        if isinstance(part, str):
            before += part
            leading = leading and not re.search("[/?&]", part)
        elif not compiler.is_local and isinstance(part, ExpressionValue):
            raise ForbiddenURL(
                "a discovered tool cannot have an expression in its URL. Write the tool into the manifest.",
                code="origin-not-allowed",
            )
        elif _is_trusted(part):
            verbatim.add(index)
            before += "x" if before else "wss://host/"
        elif index == 0 and isinstance(part, ExpressionValue) and not _depends_on_arguments(part, tainted):
            verbatim.add(index)
            before, leading = "wss://host/", True
        elif leading or not _BEHIND_HOST.match(before):
            raise ForbiddenURL(_misplaced(part, tainted), code="argument-in-host")
    return UrlTemplate(parts, frozenset(verbatim))


def with_query(
    url: UrlTemplate, query: Mapping[str, Json], compiler: Compiler, diagnostics: Diagnostics, path: str
) -> UrlTemplate:
    """Return a URL with the parameters of a field `query`.

    Args:
        url: The compiled URL.
        query: The parameters, as they are written.
        compiler: The compiler of their field.
        diagnostics: Collects what is wrong.
        path: The path of the field.
    """
    if not query:
        return url
    from .query_template import compile_query  # few manifests have it

    return replace(url, query=compile_query(query, compiler, url.parameter_names, diagnostics, path))


def check_no_placeholders(text: str) -> None:
    """Check a URL that no call may change, such as that of a proxy or a token endpoint.

    Raises:
        InvalidTemplate: where it contains a placeholder.
    """
    if has_placeholders(text):
        raise InvalidTemplate(
            "a placeholder is not allowed here. Write the URL, or a variable ${NAME}.", code="placeholder-not-allowed"
        )


def session_values_from_arguments(template: CallTemplate) -> frozenset[str]:
    """Return the names of the values of `session` that depend on arguments of a call, directly or by each other."""
    captures = [step.capture for step in template.before_connect]
    captures += [step.capture for step in template.on_connect]
    captures += [rule.set for rule in template.capture]
    sources = [(name, source) for capture in captures for name, source in capture.items()]
    tainted: set[str] = set()
    while found := {name for name, source in sources if name not in tainted and _uses_arguments(source, tainted)}:
        tainted |= found
    return frozenset(tainted)


def _uses_arguments(source: str, tainted: Iterable[str]) -> bool:
    of_session = find_members(source, "session")
    return (
        uses_name(source, "args", "let") or bool(of_session & {*tainted}) or bool(tainted and ALL_MEMBERS in of_session)
    )


def _is_trusted(part: Placeholder) -> bool:
    return isinstance(part, ExpressionValue) and _TRUSTED_NAMES.issuperset(part.expression.names)


def _depends_on_arguments(part: ExpressionValue, tainted: frozenset[str]) -> bool:
    others = set(part.expression.names) - _TRUSTED_NAMES - {"session"}
    return bool(others) or _uses_arguments(part.expression.source, tainted)


def _misplaced(part: Placeholder, tainted: frozenset[str]) -> str:
    where = "in the scheme, host or port of the URL"
    if part.arguments:
        return f"an argument is {where}. Arguments are allowed in the path and query."
    assert isinstance(part, ExpressionValue)
    if _uses_arguments(part.expression.source, tainted):
        return f"a value of session that depends on an argument is {where}. Use it in the path and query only."
    return (
        f"{{{{ {part.expression.source} }}}} is {where}. It is allowed in the path and query; for another host, "
        "capture the whole URL and begin with it."
    )


def _decoded(part: str | Placeholder, compiler: Compiler) -> str | Placeholder:
    """Return a placeholder without its filter `urlencode`: the value is encoded anyway, and would be twice."""
    if isinstance(part, str) or not isinstance(part, ExpressionValue):
        return part
    source = _URLENCODE.sub("", part.expression.source)
    if source == part.expression.source or parse_path(source) is None or _is_trusted(part):
        return part
    return ExpressionValue(compile_expression(source, compiler.names, local=compiler.is_local))


def _count_dot_segments(url: str) -> int:
    """Return how many segments of a URL's path are `.` or `..`."""
    return sum(segment in (".", "..") for segment in url.partition("?")[0].split("/"))
