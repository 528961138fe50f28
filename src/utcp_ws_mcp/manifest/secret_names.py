"""What is a credential: by where it stands, or by what it or its key is called."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from .models.call_template import CallTemplate

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

SHORTEST: Final = 6
"""Characters below which a value is not looked for: it would be found everywhere."""

HIDDEN: Final = "***"

_UNDER_TELLING_KEY: Final = re.compile(
    r'((?:token|secret|password|passwd|passphrase|api_?key|authorization|cookie)(?:"\s*:\s*| is (?:now )?))'
    rf'"(?:[^"\\…]|\\.){{{SHORTEST},}}["…]?',
    re.IGNORECASE,
)
"""A text under a key that tells of a credential: in JSON, or in a sentence of a trace."""

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


def without_credentials(message: str) -> str:
    """A message for logs, traces and errors without what its keys call a credential, such as a fetched token."""
    return _UNDER_TELLING_KEY.sub(rf'\1"{HIDDEN}"', message)


def tickets(name: str, source: str, value: Any) -> Iterator[str]:
    """The credentials in a value of an HTTP answer: by the name under which it is kept, or by what it is there."""
    told = _tells_ticket(name) or _tells_ticket(source.removeprefix("session."))
    for keys, text in _leaves(value, ()):
        if any(map(_tells_ticket, keys)) or (told and not any(map(USER.search, keys))):
            yield text


def _tells_ticket(text: str) -> bool:
    return bool(TELLING.search(text) or TICKET.search(text))


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
