"""Find out which values a message was rendered with: the reverse of a template, as far as it has one."""

from __future__ import annotations

import re
from typing import Any, Final

from ..records import MutableRecord, field

_WHOLE: Final = re.compile(r"\{\{-?\s*([A-Za-z_][\w.]*)\s*-?\}\}|UTCP_ARG_(\w+?)_UTCP_ARG|\$\{(\w+)\}")
_PART: Final = re.compile(r"\{\{|\{%|UTCP_ARG_|\$\{|\$[A-Za-z_]")


class Unrendered(MutableRecord):
    """What a message says of its template.

    Attributes:
        names: The values that stand for `request_id`, `tool`, `args` and single arguments (`args.city`).
        constants: How many values of the template the message repeats: the more, the surer it is made of it.
    """

    names: dict[str, Any] = field(default_factory=dict)
    constants: int = 0

    @property
    def arguments(self) -> dict[str, Any]:
        """Return the arguments."""
        whole = self.names.get("args")
        single = {name[5:]: value for name, value in self.names.items() if name.startswith("args.")}
        return {**(whole if isinstance(whole, dict) else {}), **single}


def unrender(template: Any, value: Any) -> Unrendered | None:
    """Return the values with which a template gives a message, or None if it never does.

    What an expression computes is not known; it can be anything.
    """
    found = Unrendered()
    return found if _fits(template, value, found) else None


def _fits(template: Any, value: Any, found: Unrendered) -> bool:
    if isinstance(template, str):
        return _text_fits(template, value, found)
    if isinstance(template, dict):
        # An optional argument is left out with its key.
        present = {key: part for key, part in template.items() if not key.startswith("$")}
        return isinstance(value, dict) and all(
            _fits(part, value[key], found) if key in value else _may_be_absent(part) for key, part in present.items()
        )
    if isinstance(template, list | tuple):
        is_long = isinstance(value, list) and len(value) == len(template)
        return is_long and all(_fits(part, item, found) for part, item in zip(template, value, strict=True))
    found.constants += 1
    return type(template) is type(value) and bool(template == value)


def _text_fits(template: str, value: Any, found: Unrendered) -> bool:
    if whole := _WHOLE.fullmatch(template):
        name = whole[1] or f"args.{whole[2] or whole[3]}"
        found.names[name] = value
        return name != "args" or isinstance(value, dict)
    if _PART.search(template):
        return True
    found.constants += 1
    return bool(template == value)


def _may_be_absent(template: Any) -> bool:
    return isinstance(template, str) and _PART.search(template) is not None
