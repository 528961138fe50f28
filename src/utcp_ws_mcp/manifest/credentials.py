"""Which variables of a call template are credentials: by where they stand, or by what they or their keys are called."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from .models import CallTemplate

ALWAYS: Final = frozenset({"query", "auth", "headers", "protocol", "proxy", "before_connect", "on_connect"})
"""Fields in which every variable is a credential."""

TELLING: Final = re.compile(
    r"token|secret|passw|pwd|passphrase|credential|auth(?!or)|bearer|signature|cookie|(?:^|[^a-z])key|key$",
    re.IGNORECASE,
)
"""Names of variables, and keys of messages, that tell of a credential."""

USER: Final = re.compile(r"(?:^|[^a-z])user(?:_?name)?$", re.IGNORECASE)
"""Names of variables that hold the name of a user: results are full of it, and it opens nothing by itself."""

TICKET: Final = re.compile(r"ticket|session|csrf|xsrf|jwt", re.IGNORECASE)
"""What else tells of a credential where an HTTP answer brings it."""

_REFERENCE: Final = re.compile(r"\$\{?(\w+)|vars\.(\w+)|vars\[\s*[\"'](\w+)")


def credential_variables(template: CallTemplate) -> set[str]:
    """The names of the variables of a template that are credentials."""
    written = template.model_dump(mode="json", exclude_defaults=True)
    written["url"], _, written["query"] = template.url.partition("?")
    return {
        name
        for field, value in written.items()
        for keys, text in _leaves(value, (field,))
        for name in _names(text)
        if not USER.search(name)
        and (field in ALWAYS or TELLING.search(name) or any(TELLING.search(key) for key in keys))
    }


def tells_ticket(name: str, source: str) -> bool:
    """Whether a value of an HTTP answer is a credential: by the name under which it is kept, or by what it is there."""
    return any(told.search(text) for told in (TELLING, TICKET) for text in (name, source.removeprefix("session.")))


def _leaves(value: Any, keys: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], str]]:
    """The strings in a value with the keys that lead to them."""
    if isinstance(value, str):
        yield keys, value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _leaves(item, (*keys, str(key)))
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _leaves(item, keys)


def _names(text: str) -> Iterator[str]:
    return ("".join(found) for found in _REFERENCE.findall(text))
