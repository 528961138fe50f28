"""The query parameters of the connection that a feed has for itself, which may say where its events go on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Final

from ...errors import InvalidTemplate
from ...manifest.models.feed import Feed
from ...manifest.validation import join_path
from ...records import Record
from ..diagnostics import Diagnostics
from ..expressions.analysis import find_defaulted_names
from ..expressions.scope import URL_NAMES
from ..handshake_request import HandshakeTemplate
from ..query_template import QueryParameter, compile_query
from ..templates.compiler import Compiler
from ..templates.nodes import ExpressionValue, RenderError

MAX_LENGTH: Final = 2_048
"""Characters of all parameters of a feed: half of what a URL may have. A position comes from the endpoint, and one that
is too long for its servers would keep the feed closed."""

POSITION: Final = "position"
NAMES: Final = URL_NAMES - {"session"} | {POSITION}
"""Names in the query of a feed. What a login brings belongs into the `query` of the call template."""


class FeedParameters(Record):
    """The parameters of one connection of a feed.

    Attributes:
        text: The parameters, percent-encoded, as they stand in a URL.
        resumes: Whether they say behind which event the endpoint goes on.
        problem: Why they do not, although there is a position.
    """

    not_in_repr: ClassVar = ("text",)
    text: str
    resumes: bool = False
    problem: str = ""


class FeedQuery(Record):
    """The compiled `query` of a feed.

    Attributes:
        parameters: All parameters in order.
        with_position: The names of those that use the position.
        only_with_position: The names of those that are left out as long as there is none.
    """

    parameters: tuple[QueryParameter, ...]
    with_position: frozenset[str]
    only_with_position: frozenset[str]

    def render(self, scope: Mapping[str, Any], position: Any) -> FeedParameters:
        """Return the parameters behind a position, or None.

        A position that no URL can have is left out, so that it does not keep the feed closed.

        Args:
            scope: The values of the other names.
            position: The last position that was read.

        Raises:
            RenderError: where a value cannot be written.
        """
        if position is None or not self.with_position:
            return FeedParameters(self._text(scope))
        try:
            text = self._text({**scope, POSITION: position}, resumes=True)
        except RenderError as error:
            return FeedParameters(self._text(scope), problem=str(error))
        return FeedParameters(text, resumes=True)

    def _text(self, scope: Mapping[str, Any], *, resumes: bool = False) -> str:
        left_out = frozenset() if resumes else self.only_with_position
        pairs: list[str] = []
        for parameter in self.parameters:
            if parameter.name not in left_out:
                rendered = parameter.render(scope)
                if resumes and parameter.name in self.with_position and len(rendered) != 1:
                    # A list, or null: the endpoint decides what a position is, but not which parameters there are.
                    reason = f"the position gives the query parameter {parameter.name!r} {len(rendered)} values"
                    raise RenderError(f"{reason} instead of one.", code="invalid-query-value")
                pairs += rendered
        text = "&".join(pairs)
        if len(text) > MAX_LENGTH:
            raise RenderError(f"the query parameters have more than {MAX_LENGTH:,} characters.", code="value-too-large")
        return text


def compile_feed_query(
    feed: Feed, handshake: HandshakeTemplate, compiler: Compiler, diagnostics: Diagnostics
) -> FeedQuery | None:
    """Return the compiled `query` of a feed, or None if it has none.

    Args:
        feed: The feed.
        handshake: The connection of its call template, whose parameters it cannot have a second time.
        compiler: The compiler of the field.
        diagnostics: Collects what is wrong.
    """
    if not feed.query:
        return None
    compiled = compile_query(feed.query, compiler, handshake.parameter_names, diagnostics, "query")
    with_position, only_with_position = set(), set()
    for parameter in compiled.parameters:
        used = [each.expression.source for each in _expressions(parameter) if POSITION in each.expression.names]
        if not used:
            continue
        with diagnostics.collect(join_path("query", parameter.name)):
            _check_position(feed, parameter.name)
        with_position.add(parameter.name)
        if not all(POSITION in find_defaulted_names(source) for source in used):
            only_with_position.add(parameter.name)
    return FeedQuery(compiled.parameters, frozenset(with_position), frozenset(only_with_position))


def _expressions(parameter: QueryParameter) -> Iterable[ExpressionValue]:
    return (each for each in parameter.placeholders if isinstance(each, ExpressionValue))


def _check_position(feed: Feed, name: str) -> None:
    if feed.position is None:
        message = 'position is used here, and the feed has no "position". Add one.'
        raise InvalidTemplate(message, code="feed-position-required")
    if not isinstance(feed.query[name], str):
        message = "position is used in a list. Write one text: an endpoint takes one position."
        raise InvalidTemplate(message, code="invalid-query-value")
