"""Query parameters of a URL: the field `query`, whose members are templates.

| value | parameters |
| --- | --- |
| a text, a number, true, false | one; what is no text is written as JSON writes it |
| a list | one for each element, in order |
| null, `omit`, or an argument that the call does not have | none |
| an object | an error |

null gives none because a query has no null: APIs would read the text "null", and models pass null for an argument that
they do not need. A name that the URL has already is an error: servers take the first value, the last one or both.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, ClassVar, Final
from urllib.parse import quote, unquote_plus

from ..errors import ForbiddenURL, InvalidTemplate
from ..manifest.models.base import Json
from ..manifest.validation import join_path
from ..records import Record, replace
from .diagnostics import Diagnostics
from .templates.compiler import Compiler
from .templates.forms import is_form
from .templates.nodes import OMIT, Argument, Constant, ExpressionValue, Node, Placeholder, RenderError, to_text
from .templates.tokens import has_placeholders

UNKNOWN: Final = "\0"
"""What stands for a placeholder in the text of a URL, so that it is a part of no known name."""

_OBJECT: Final = "is an object, which has no form in a query. Write a parameter for each member, or {{ … | to_json }}."
_NESTED: Final = "is a list in a list, which has no form in a query. Write a list of texts, or {{ … | to_json }}."


class QueryParameter(Record):
    """A compiled query parameter.

    Args:
        name: The name, as it is written.
        node: Gives its value, or its values.
        placeholders: What is filled in for each call.
    """

    not_in_repr: ClassVar = ("node",)
    name: str
    node: Node
    placeholders: tuple[Placeholder, ...]

    def render(self, scope: Mapping[str, Any]) -> list[str]:
        """Return the parameters `name=value` for these values, percent-encoded.

        Raises:
            RenderError: where a value is missing inside a longer text, or has no form in a query.
        """
        value = self.node.render(scope)
        values = value if isinstance(value, list | tuple) else (value,)
        return [self._encode(each) for each in values if each is not OMIT and each is not None]

    def _encode(self, value: Any) -> str:
        if isinstance(value, dict | list | tuple):
            problem = _OBJECT if isinstance(value, dict) else _NESTED
            raise RenderError(f"the query parameter {self.name!r} {problem}", code="invalid-query-value")
        try:
            return f"{quote(self.name, safe='')}={quote(to_text(value), safe='')}"
        except UnicodeEncodeError:
            message = f"the query parameter {self.name!r} contains a character that UTF-8 cannot encode. Remove it."
            raise RenderError(message, code="invalid-query-value") from None


class QueryTemplate(Record):
    """The compiled parameters that a URL gets in addition to its own."""

    parameters: tuple[QueryParameter, ...]

    @property
    def placeholders(self) -> tuple[Placeholder, ...]:
        """Return the placeholders in order."""
        return tuple(each for parameter in self.parameters for each in parameter.placeholders)

    def append_to(self, url: str, scope: Mapping[str, Any]) -> str:
        """Return a URL with its parameters and those of the template.

        Raises:
            RenderError: where a value cannot be written, or the URL has the parameter already.
        """
        pairs = [pair for parameter in self.parameters for pair in parameter.render(scope)]
        check_new("&".join(pairs), url)
        if not pairs:
            return url
        mark = "?" if "?" not in url else "" if url.endswith(("?", "&")) else "&"
        return f"{url}{mark}{'&'.join(pairs)}"


def compile_query(
    query: Mapping[str, Json], compiler: Compiler, own: Collection[str], diagnostics: Diagnostics, path: str
) -> QueryTemplate:
    """Compile the parameters of a URL.

    Args:
        query: The parameters, as they are written.
        compiler: The compiler of the field.
        own: The names of the parameters that the URL has already, as far as they are known.
        diagnostics: Collects what is wrong.
        path: The path of the field, such as `before_connect[0].http.query`.
    """
    # Not the separator of messages: it has no meaning in a URL. Typed, so that a list is several parameters.
    compiler = replace(compiler, typed=True, separator="")
    parameters: list[QueryParameter] = []
    for name, value in query.items():
        with diagnostics.collect(join_path(path, name)):
            if name in own:
                raise InvalidTemplate(_duplicate(name), code="duplicate-parameter")
            parameters.append(_compile_parameter(name, value, compiler))
    return QueryTemplate(tuple(parameters))


def names_in(url: str) -> set[str]:
    """Return the names of the parameters in the text of a URL."""
    return _names(url.partition("?")[2])


def check_new(parameters: str, url: str) -> None:
    """Check that a URL has none of some parameters.

    Args:
        parameters: The parameters, percent-encoded.
        url: The text of the URL.

    Raises:
        RenderError: if it has one of them.
    """
    if parameters and (known := _names(parameters) & names_in(url)):
        raise RenderError(_duplicate(min(known)), code="duplicate-parameter")


def _names(query: str) -> set[str]:
    return {unquote_plus(part.partition("=")[0]) for part in query.split("&")}


def _duplicate(name: str) -> str:
    return (
        f"the URL has the parameter {name!r} already, and servers read a parameter that is there twice in different "
        'ways. Write it either into "url" or into "query".'
    )


def _compile_parameter(name: str, value: Json, compiler: Compiler) -> QueryParameter:
    if has_placeholders(name):
        raise InvalidTemplate(
            f"the name {name!r} contains a placeholder. Placeholders are allowed only in values.",
            code="placeholder-in-key",
        )
    _check_shape(value, compiler)
    node = compiler.value(value)
    placeholders = tuple(_find_placeholders(node))
    if not compiler.is_local and any(isinstance(each, ExpressionValue) for each in placeholders):
        raise ForbiddenURL(
            "a discovered tool cannot have an expression in its query. Write the tool into the manifest.",
            code="origin-not-allowed",
        )
    parameter = QueryParameter(name, node, placeholders)
    _check_written(parameter)
    return parameter


def _check_shape(value: Json, compiler: Compiler, *, in_list: bool = False) -> None:
    """Refuse what is an object or a list in a list, whatever fills it. `$each` is a list."""
    is_each = compiler.is_local and is_form(value, "$each")
    if isinstance(value, dict) and not is_each:
        raise InvalidTemplate(f"the value {_OBJECT}", code="invalid-query-value")
    if isinstance(value, list):
        if in_list:
            raise InvalidTemplate(f"the value {_NESTED}", code="invalid-query-value")
        for item in value:
            _check_shape(item, compiler, in_list=True)


def _check_written(parameter: QueryParameter) -> None:
    """Check what no call changes of a parameter: its name, and a value without placeholders."""
    node = parameter.node if isinstance(parameter.node, Constant) else Constant("")
    try:
        replace(parameter, node=node).render({"args": {}})
    except RenderError as error:
        raise InvalidTemplate(str(error), code=error.code) from None


def _find_placeholders(part: Any) -> Iterator[Placeholder]:
    """Yield the placeholders in a compiled template."""
    if isinstance(part, Argument | ExpressionValue):
        yield part
        return
    inner: Iterable[Any] = ()
    if isinstance(part, Record):
        inner = (getattr(part, name) for name in part.__struct_fields__)
    elif isinstance(part, tuple | list):
        inner = part
    for each in inner:
        yield from _find_placeholders(each)
