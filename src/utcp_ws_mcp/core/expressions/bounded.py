"""Filters whose result may be far longer than what they are given: the length is checked before it is allocated.

MiniJinja's fuel counts steps, not bytes, so that these replace its own filters of the same name. Those that begin with
`_` are not written by authors: `rewrite` puts them in.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Sequence
from functools import wraps
from typing import Any, Final

from minijinja import Environment, TemplateError

from ..codecs.message import RejectedValue
from ..limits import MAX_VALUE_LENGTH
from ..value_size import is_too_large

MAX_FIELD_WIDTH: Final = 9_999
"""The width and the precision of a field in a format."""

MAX_JSON_INDENT: Final = 16

_PLAIN: Final = Environment(debug=False, undefined_behavior="chainable")
_LONG_NUMBER: Final = re.compile(r"\d{5}")
_HTML: Final = {ord(char): f"\\u{ord(char):04x}" for char in "<>&'"}
"""What MiniJinja's `tojson` escapes, so that the text may stand in HTML."""


ITEM_LENGTH: Final = 64
"""Characters that an item of a list counts as, because it takes about as much memory."""

MAX_ITEMS: Final = MAX_VALUE_LENGTH // ITEM_LENGTH
"""Items of a list that an expression makes of a text, and pairs or lists that it makes of the items of a list."""


MAX_COMPARED: Final = 5_000
"""Values in the objects and lists that a filter compares: MiniJinja asks Python for each, several times; `unique` takes
0.3 s for so many."""


def reject(reason: str) -> RejectedValue:
    """Return the error of a value that a filter cannot process."""
    return RejectedValue(reason, code="expression-failed")


def check_length(length: int) -> None:
    """Raise where a text, bytes or a list would be too long."""
    if length > MAX_VALUE_LENGTH:
        raise _too_large()


def _too_large() -> RejectedValue:
    return RejectedValue(f"the result would have more than {MAX_VALUE_LENGTH:,} characters.", code="value-too-large")


def bounded(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a filter that says its name where it fails, and whose result has a bound.

    Its own result is at most a few times as long as its input. The bound keeps a chain of filters from growing.
    """

    @wraps(function)
    def call(value: Any = None, *args: Any, **options: Any) -> Any:
        try:
            result = function(value, *args, **options)
        except RejectedValue:
            raise
        except (TypeError, ValueError, ArithmeticError, LookupError, AttributeError) as error:
            raise reject(f"the filter {name} cannot process {describe(value)}{_detail(error)}.") from None
        if isinstance(result, str | bytes):
            check_length(len(result))
        return result

    return call


def describe(value: Any) -> str:
    """Return which kind of value it is, for a message; a number is shown."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return f"the number {value}" if abs(value) < 1e21 else "this number"
    kinds = {str: "this text", dict: "an object", type(None): "null or a missing value"}
    return "bytes" if isinstance(value, bytes) else kinds.get(type(value), "a list")


def _detail(error: Exception) -> str:
    """Return what is known of the reason where it is about how the filter is called."""
    text = str(error)
    return " with these arguments" if isinstance(error, TypeError) and "argument" in text else ""


def text_of(value: Any) -> str:
    """Return a value as MiniJinja writes it into text."""
    if isinstance(value, str):
        return value
    return str(_PLAIN.eval_expr("value ~ ''", value=value))


def _slice(value: Any, start: int | None, stop: int | None, step: int | None) -> Any:
    if value is None:
        return []
    if isinstance(value, dict | bool | int | float):
        raise reject(f"{describe(value)} has no slices.")
    if isinstance(value, bytes):
        return type(value)(value[start:stop:step])
    return (value if isinstance(value, str | list | tuple) else list(value))[start:stop:step]


def _comparable(value: Any, attribute: str) -> Any:
    """Raise where a list has too much in the objects and lists that a filter is about to compare."""
    if not isinstance(value, list | tuple):
        return value
    steps = attribute.split(".") if attribute else []
    compared = [_at(item, steps) for item in value] if steps else value
    if _HOLDERS.isdisjoint(map(type, compared)):  # the usual case, in a tenth of the time
        return value
    left = MAX_COMPARED
    for each in compared:
        left -= _count(each, left) if type(each) in _HOLDERS else 0
        if left < 0:
            raise reject("it compares too many objects or lists. Name an attribute that is a text or a number.")
    return value


def _comparable_items(value: Any) -> Any:
    """Raise where the lists in a list hold together too much to be compared."""
    if isinstance(value, list | tuple):
        _comparable([each for item in value if isinstance(item, list | tuple) for each in item], "")
    return value


_HOLDERS: Final = frozenset({dict, list, tuple})


def _at(item: Any, steps: Sequence[str]) -> Any:
    for step in steps:
        item = item.get(step) if isinstance(item, dict) else None
    return item


def _count(value: Any, most: int) -> int:
    """Return how many values an object or a list holds, itself included; more than `most` if there are more."""
    waiting, count = [value], 0
    while waiting and count <= most:
        held = waiting.pop()
        count += 1 + len(held)
        items = held.values() if isinstance(held, dict) else held
        waiting += [each for each in items if isinstance(each, dict | list | tuple)]
    return count


def _factor(value: Any) -> Any:
    if isinstance(value, list | tuple):
        raise reject("a list cannot be multiplied.")
    if isinstance(value, str | bytes):
        raise reject("a text cannot be multiplied. Convert it with int or float.")
    return value


def _at_most(value: Any, length: int) -> Any:
    if isinstance(value, str | bytes | list | tuple) and len(value) > length:
        raise RejectedValue(f"a text of more than {length:,} characters is joined too often.", code="value-too-large")
    return value


def _measured(value: Any) -> Any:
    """Return a value that is not larger than may be written."""
    if is_too_large(value):
        raise _too_large()
    return value


def _check_items(count: int) -> None:
    if count > MAX_ITEMS:
        raise RejectedValue(f"a list would have more than {MAX_ITEMS:,} items.", code="value-too-large")


def _listed(value: Any) -> Any:
    """Return a value that becomes a list: a text is one of its characters."""
    if isinstance(value, str | bytes):
        _check_items(len(value))
    return value


def _paired(value: Any) -> Any:
    """Return a value that becomes a list of pairs, each of which is a list."""
    if isinstance(value, str | bytes | list | tuple | dict):
        _check_items(len(value))
    return value


def split(value: Any, separator: Any = None, limit: Any = None) -> Any:
    """Split a text."""
    if isinstance(value, str) and len(value) > MAX_ITEMS:
        blank = not isinstance(separator, str)
        count = len(value.split(None, MAX_ITEMS)) if blank else value.count(separator) + 1
        _check_items(min(count, limit + 1) if type(limit) is int and limit >= 0 else count)
    return _call_builtin("value | split(separator, limit)", value=value, separator=separator, limit=limit)


def _split(value: Any, separator: Any = None, limit: Any = None) -> Any:
    """Split as the method does: the value must be text."""
    return split(_text_with("split", value), separator, limit)


def lines(value: Any) -> Any:
    """Split a text into lines."""
    if isinstance(value, str):
        _check_items(value.count("\n") + 1)
    return _call_builtin("value | lines", value=value)


def _splitlines(value: Any, keep_ends: bool = False) -> Any:
    text = _text_with("splitlines", value)
    _check_items(text.count("\n") + 1)
    return _call_builtin("text.splitlines(keep)", text=text, keep=keep_ends)


def _text_with(method: str, value: Any) -> str:
    if not isinstance(value, str):
        raise MissingValue if value is None else reject(f"{describe(value)} has no method {method}.")
    return value


def _replace(value: Any, old: Any, new: Any, count: int = -1) -> Any:
    """Replace in text (or bytes), as a method does: the value must be text."""
    if not isinstance(value, str | bytes):
        raise MissingValue if value is None else reject(f"{describe(value)} has no method replace.")
    found = value.count(old)
    times = found if count < 0 else min(count, found)
    check_length(len(value) + times * (len(new) - len(old)))
    return value.replace(old, new, count)


def _join(separator: Any, values: Any) -> str:
    if not isinstance(separator, str):
        raise MissingValue if separator is None else reject(f"{describe(separator)} has no method join.")
    return join(values, separator)


def join(values: Any, separator: Any = "") -> str:
    """Return the values as one text."""
    if isinstance(values, bool | int | float):
        raise reject(f"{describe(values)} cannot be joined; join takes a list.")
    _listed(values)
    texts = list(map(_text_of_item, _iterate(values)))
    between = text_of(separator)
    check_length(sum(map(len, texts)) + len(between) * len(texts))
    return between.join(texts)


def _text_of_item(item: Any) -> str:
    """Return a value of a list as `text_of` does; a message may hold millions of whole numbers."""
    return str(item) if type(item) is int or type(item) is str else text_of(item)


def _iterate(values: Any) -> Iterable[Any]:
    return () if values is None else values


def replace(value: Any, old: Any, new: Any) -> str:
    """Return the text with every `old` replaced."""
    return str(_replace("" if value is None else text_of(value), text_of(old), text_of(new)))


def _format_text(value: Any) -> Any:
    if isinstance(value, str) and _LONG_NUMBER.search(value):
        raise reject(f"a field of a format is wider than {MAX_FIELD_WIDTH:,}.")
    return value


def format_(value: Any, *args: Any, **options: Any) -> Any:
    """Format as `%` does."""
    names = [f"a{index}" for index in range(len(args))]
    keywords = [f"{name}={name}" for name in options]
    source = f"value | format({', '.join(names + keywords)})"
    return _call_builtin(source, value=_format_text(value), **dict(zip(names, args, strict=True)), **options)


def _call_builtin(source: str, **values: Any) -> Any:
    try:
        return _PLAIN.eval_expr(source, **values)
    except TemplateError as error:
        raise reject(str(error).split(" (in <")[0] + ".") from None


def indent(value: Any, width: int = 4, first: bool = False, blank: bool = False) -> Any:
    """Indent the lines of a text."""
    text = text_of(value)
    check_length(len(text) + (text.count("\n") + 1) * max(width, 0))
    return _call_builtin("value | indent(width, first, blank)", value=text, width=width, first=first, blank=blank)


def slice_(value: Any, count: int, *fill: Any) -> Any:
    """Divide a list into `count` lists."""
    check_length(count * ITEM_LENGTH)
    return _call_builtin("value | slice(count, *fill) | list", value=value, count=count, fill=list(fill))


def batch(value: Any, count: int, *fill: Any) -> Any:
    """Divide a list into lists of `count` items; the last one is filled up with `fill`."""
    check_length(count * ITEM_LENGTH)
    if hasattr(value, "__len__"):
        _check_items(len(value) // max(count, 1))
    return _call_builtin("value | batch(count, *fill) | list", value=value, count=count, fill=list(fill))


def tojson(value: Any, indent: Any = None) -> str:
    """Return a value as JSON for HTML, in lines if `indent` says so."""
    width = (2 if indent is True else indent) if indent else None
    if width is not None and not 0 < width <= MAX_JSON_INDENT:
        raise reject(f"tojson takes an indent from 0 to {MAX_JSON_INDENT}.")
    encoder = json.JSONEncoder(ensure_ascii=False, allow_nan=False, indent=width)
    if is_too_large(value):
        raise _too_large()
    parts, length = list[str](), 0
    for part in encoder.iterencode(value) if width else [encoder.encode(value)]:
        length += len(part)
        check_length(length)
        parts.append(part)
    return "".join(parts).translate(_HTML)


class MissingValue(Exception):
    """A method of a value that is missing or null."""


BOUNDED_FILTERS: Final[dict[str, Callable[..., Any]]] = {
    "_comparable": _comparable,
    "_comparable_items": _comparable_items,
    "_listed": _listed,
    "_measured": _measured,
    "_paired": _paired,
    "_slice": _slice,
    "_split": _split,
    "_splitlines": _splitlines,
    "_factor": _factor,
    "_at_most": _at_most,
    "_replace": _replace,
    "_join": _join,
    "_format_text": _format_text,
    "format": format_,
    "indent": indent,
    "join": join,
    "lines": lines,
    "replace": replace,
    "slice": slice_,
    "split": split,
    "batch": batch,
    "tojson": tojson,
}
