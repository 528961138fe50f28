"""Bytes in values, which never become text unnoticed."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, Final, TypeVar

from .message import RejectedValue

T = TypeVar("T")


_written: Final = ContextVar("written", default=0)
"""How often bytes were written into text. The context keeps threads apart."""


def _keep_kind(name: str) -> Callable[..., Binary]:
    """Return a method of bytes whose result is of this kind, too."""
    method = getattr(bytes, name)
    return lambda *args: Binary(method(*args))


class Binary(bytes):
    r"""Bytes in a value: of an incoming message, or the result of a filter.

    MiniJinja writes bytes into text as Python shows them, `b'\xff'`, and ignores exceptions meanwhile. So it is noted
    that it did, and `refuse_binary` refuses the text.
    """

    __slots__ = ()

    def __repr__(self) -> str:
        """Note that the bytes were written: alone, or with the list or the object that holds them."""
        _written.set(_written.get() + 1)
        return f"<{len(self)} bytes>"

    __str__ = __repr__

    capitalize, lower, title, upper = map(_keep_kind, ("capitalize", "lower", "title", "upper"))
    lstrip, replace, rstrip, strip = map(_keep_kind, ("lstrip", "replace", "rstrip", "strip"))


def as_binary(value: Any) -> Any:
    """Return bytes as `Binary`, any other value unchanged."""
    return Binary(value) if type(value) is bytes else value


def refuse_binary(render: Callable[[], T]) -> T:
    """Return what `render` returns.

    Raises:
        RejectedValue: if it wrote bytes into text, whatever came of it.
    """
    before = _written.get()
    try:
        return render()
    finally:
        if _written.get() != before:
            raise RejectedValue(
                "text cannot contain binary data. Encode it with a filter such as base64, hex or utf8, or join bytes "
                "with [a, b] | bytes.",
                code="binary-in-text",
            ) from None
