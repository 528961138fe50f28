"""Objects in a message that stand for something else, and keys that look like theirs."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final

from ...errors import InvalidTemplate
from ...manifest.validation import closest_match

FORMS: Final[Mapping[str, Collection[str]]] = {
    "$each": ("$each", "$template"),
    "$raw": ("$raw",),
    "$base64": ("$base64",),
    "$file": ("$file",),
}
"""The keys of each form, by the one that makes an object a form."""

FORM_KEYS: Final = ("$each", "$template", "$raw", "$base64", "$file")
_TYPING_ERROR: Final = 0.75
"""How similar a key must be to be a typing error: protocols have keys of their own, such as `$time` and `$search`."""

_AS_DATA: Final = "To send the key itself, write the object as an expression: {{ {'%s': …} }}."


def is_form(value: Any, key: str) -> bool:
    """Return whether a value is an object that stands for something else."""
    return isinstance(value, dict) and key in value and value.keys() <= set(FORMS[key])


def check_keys(value: Mapping[str, Any]) -> None:
    """Check that an object which is no form does not look like one.

    Raises:
        InvalidTemplate: where it has the key of a form with others, or one that is nearly the same.
    """
    own = [key for key in value if key.startswith("$")]
    if not own:
        return
    known = next((key for key in FORM_KEYS if key in value), None)
    if known is not None:
        raise _unexpected(known, value)
    if len(own) == len(value):
        for key in own:
            if meant := _meant(key):
                raise InvalidTemplate(
                    f"unknown key {key!r} in a message. Did you mean {meant!r}? {_AS_DATA % key}", code="unknown-key"
                )


def own_keys(value: Any) -> Iterator[str]:
    """Yield the keys in a message that begin with `$`, at any depth, and have no meaning."""
    if isinstance(value, dict):
        yield from (key for key in value if key.startswith("$") and key not in FORM_KEYS)
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from own_keys(item)


def _unexpected(known: str, value: Mapping[str, Any]) -> InvalidTemplate:
    if known == "$template":
        problem = '"$template" is without "$each". Add the list.'
    else:
        others = ", ".join(repr(key) for key in value if key not in FORMS[known])
        allowed = 'only "$template"' if known == "$each" else "nothing"
        problem = f'"{known}" is beside {others}, and may have {allowed} beside it. Remove the other keys.'
    return InvalidTemplate(f"{problem} {_AS_DATA % known}", code="unknown-key")


def _meant(key: str) -> str | None:
    similar = [known for known in FORM_KEYS if abs(len(known) - len(key)) <= 1]
    return closest_match(key, similar, _TYPING_ERROR)
