"""What is a credential: by where it stands, or by what it or its key is called."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from .models.call_template import CallTemplate

SECRET_FIELDS: Final = frozenset({"query", "auth", "headers", "protocol", "proxy", "before_connect", "on_connect"})
"""Fields in which every variable is a credential."""

SECRET_NAME: Final = re.compile(
    r"token|secret|passw|pwd|passphrase|credential|auth(?!or)|bearer|signature|cookie|(?:^|[^a-z])key|key$",
    re.IGNORECASE,
)
"""Names of variables, and keys of messages, that tell of a credential."""

USERNAME: Final = re.compile(r"(?:^|[^a-z])user(?:_?name)?$", re.IGNORECASE)
"""Names of variables that hold the name of a user: results are full of it, and it opens nothing by itself."""

SESSION_SECRET_NAME: Final = re.compile(r"ticket|session|csrf|xsrf|jwt", re.IGNORECASE)
"""What else tells of a credential where an HTTP answer brings it."""

MIN_SECRET_LENGTH: Final = 6
"""Characters below which a value is not looked for: it would be found everywhere."""

REDACTED: Final = "***"

_VALUE_OF_SECRET_KEY: Final = re.compile(
    r'((?:token|secret|password|passwd|passphrase|api_?key|authorization|cookie)(?:"\s*:\s*| is (?:now )?))'
    rf'"(?:[^"\\]|\\.){{{MIN_SECRET_LENGTH},}}"?',
    re.IGNORECASE,
)
"""A text under a key that tells of a credential: in JSON, or in a sentence of a trace."""

_VARIABLE: Final = re.compile(r"\$\{?(\w+)|vars\.(\w+)|vars\[\s*[\"'](\w+)")


def credential_variables(template: CallTemplate) -> set[str]:
    """The names of the variables of a template that are credentials."""
    written = template.model_dump(mode="json", exclude_defaults=True)
    written["url"], _, written["query"] = template.url.partition("?")
    return {
        name
        for field, value in written.items()
        for keys, text in _leaf_strings(value, (field,))
        for name in _variable_names(text)
        if not USERNAME.search(name)
        and (field in SECRET_FIELDS or SECRET_NAME.search(name) or any(SECRET_NAME.search(key) for key in keys))
    }


def redact_by_key(message: str) -> str:
    """A message for logs, traces and errors without what its keys call a credential, such as a fetched token."""
    return _VALUE_OF_SECRET_KEY.sub(rf'\1"{REDACTED}"', message)


def secrets_in(name: str, source: str, value: Any) -> Iterator[str]:
    """The credentials in a value of an HTTP answer: by the name under which it is kept, or by what it is there."""
    told = _is_secret_name(name) or _is_secret_name(source.removeprefix("session."))
    for keys, text in _leaf_strings(value, ()):
        if any(map(_is_secret_name, keys)) or (told and not any(map(USERNAME.search, keys))):
            yield text


def _is_secret_name(text: str) -> bool:
    return bool(SECRET_NAME.search(text) or SESSION_SECRET_NAME.search(text))


def _leaf_strings(value: Any, keys: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], str]]:
    """The strings in a value with the keys that lead to them."""
    if isinstance(value, str):
        yield keys, value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _leaf_strings(item, (*keys, str(key)))
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _leaf_strings(item, keys)


def _variable_names(text: str) -> Iterator[str]:
    return ("".join(found) for found in _VARIABLE.findall(text))
