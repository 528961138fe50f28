"""Decide what is a credential by its name or its place: the one list of secret names of this package.

Redaction, the lint rule for secrets in manifests, the recorder and the login use it. User names are not secrets: they
open nothing on their own, and results are full of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import Any, Final

from ..core.expressions.analysis import expressions_in_text, find_members
from .models.call_template import CallTemplate

SECRET_FIELDS: Final = frozenset(
    {"query", "auth", "headers", "protocol", "proxy", "before_connect", "on_connect", "before_message"}
)
"""Fields of a call template in which every variable is a credential, unless it is a user name."""

MIN_SECRET_LENGTH: Final = 6
"""The minimum length of a value that is searched for in texts; shorter values occur everywhere."""

MIN_KEYED_LENGTH: Final = 4
"""The minimum length of a secret that is recognized by its key: that of a PIN."""

REDACTED: Final = "***"

_SESSION: Final = r"sid|[a-z]*sess(?:ion)?_?(?:id|key|token|cookie)"
_STEMS: Final = (
    r"tokens?|secrets?|passw(?:or)?ds?|pass_?phrase|pass_?code|credentials?|bearer|jwt|tickets?|cookies?|signature|csrf|xsrf"
    r"|authorization|authentication"
)
_WORDS: Final = r"auth|pass|pwd|pin(?:_?code)?|t?otp(?:_?code)?|psk"
_KEY_PREFIXES: Final = (
    r"access|account|api|app|auth|client|consumer|developer|device|encryption|license|listen|mac|master|private|secret"
    r"|service|shared|signing|stream|subscription|user|wallet"
)

_SECRET_NAME: Final = re.compile(
    rf"(?:{_STEMS})$|(?:^|_)(?:{_WORDS}|{_SESSION})$|(?:^|_|{_KEY_PREFIXES})(?:{_KEY_PREFIXES})_?key$"
)
"""Names, as `_words` returns them, whose last word is a secret: `client_key`, but not `token_url` or `sort_key`."""

_SECRET_WORD: Final = re.compile(
    rf"{_STEMS}|auth(?!or)|passw|(?:^|_)(?:{_WORDS}|{_SESSION}|session|key)(?:_|\d|$)|key$"
)
"""Names with a secret word anywhere: `TOKEN_2`, `KEY_LIVE`."""

_SESSION_NAME: Final = re.compile(rf"(?:^|_)(?:{_SESSION})$")
_USER_NAME: Final = re.compile(r"(?:^|_)(?:user(?:_?(?:name|id))?|login|auth_?id)$")
_KEY: Final = re.compile(
    # Possessive, behind a boundary: a long text without a colon is scanned once, and not once per character.
    r"(?<![\w.-])([\w.-]++)(?:\\*+[\"']?\s*+[:=]\s*+|\ is\ (?:now\ )?)(?:(?P<escape>\\*+)(?P<quote>[\"']))?"
)
"""A name and what precedes its value: in JSON, also inside of JSON, or in a sentence of a trace."""

_UNQUOTED: Final = re.compile(
    r"(?<==)[^\s&;,\"'<>()\[\]{}=]{6,}+"
    r"|(?:(?:bearer|basic|token|digest)\s++)?+[^\s\"'{}\[\],]{6,}+(?=[ \t]*+(?:\Z|\n|\r|\x00))",
    re.IGNORECASE,
)
"""A value without quotes: in a query or a form, or at the end of a line with a header."""

_DIGITS: Final = re.compile(r"[0-9]{4,}+")
_LIST_OF_TEXTS: Final = re.compile(r"\[\s*+\\*+\"[^\]]*+\]?")
_NUMERIC_NAME: Final = re.compile(r"(?:^|_)(?:pin|t?otp|pass_?code|pin_?code|otp_?code|pwd|password)$")
MAX_ESCAPES: Final = 15
"""Backslashes in front of a quotation mark that count."""

_VARIABLE: Final = re.compile(r"\$\{?(\w+)")


def is_secret_name(name: str) -> bool:
    """Return whether a field, header or variable of this name holds a secret.

    The last word decides: an `access_token` is a secret, a `token_type` is not. Words may be separated by `_`, `-`, `.`
    or by upper case.
    """
    return bool(_SECRET_NAME.search(_words(name)))


def mentions_secret(name: str) -> bool:
    """Return whether any word of a name is that of a secret, for places where too much is better than too little."""
    return bool(_SECRET_WORD.search(_words(name)))


def is_session_name(name: str) -> bool:
    """Return whether a name is that of the ID of a session, which is a secret but no login."""
    return bool(_SESSION_NAME.search(_words(name)))


def is_user_name(name: str) -> bool:
    """Return whether a name is that of a user name, such as `API_USER`, `login` or `WAMP_AUTHID`."""
    return bool(_USER_NAME.search(_words(name)))


def credential_variables(template: CallTemplate) -> set[str]:
    """Return the names of the variables of a call template that are credentials."""
    document = template.model_dump(mode="json", exclude_defaults=True)
    document["url"], _, query = template.url.partition("?")
    document["query"] = [query, document.get("query", {}), *(feed.query for feed in template.feeds)]
    return {
        name
        for field, value in document.items()
        for keys, text in _leaf_strings(value, (field,))
        for name in _variable_names(text)
        if not is_user_name(name) and (field in SECRET_FIELDS or any(map(mentions_secret, (name, *keys))))
    }


def redact_by_key(message: str) -> str:
    """Return a message for logs, traces and errors without the values whose key is the name of a secret."""
    shown: list[str] = []
    copied = position = 0
    while found := _KEY.search(message, position):
        position = found.end()
        value = _find_value(message, found) if is_secret_name(found[1]) else None
        if value is not None:
            replacement, end = value
            shown += (message[copied : found.end()], replacement)
            copied = position = end
    return "".join((*shown, message[copied:])) if shown else message


@cache
def _closing(count: int) -> re.Pattern[str]:
    """Return the end of a text in quotes that so many backslashes escape."""
    return re.compile(r"(?<!\\)" + r"\\" * count + "[\"']")


def _find_value(message: str, found: re.Match[str]) -> tuple[str, int] | None:
    """Return what replaces the value of a secret name, and where the value ends; None if it may be shown."""
    start = found.end()
    if found["quote"] is not None:
        closing = _closing(min(len(found["escape"]), MAX_ESCAPES)).search(message, start)
        if closing is None:  # the end was cut off
            return (f"{REDACTED}{found['escape']}{found['quote']}", len(message)) if len(message) - start > 1 else None
        return (REDACTED, closing.start()) if closing.start() - start >= MIN_KEYED_LENGTH else None
    if texts := _LIST_OF_TEXTS.match(message, start):
        return f'["{REDACTED}"]', texts.end()
    if digits := _NUMERIC_NAME.search(_words(found[1])) and _DIGITS.match(message, start):
        return f'"{REDACTED}"', digits.end()
    value = _UNQUOTED.match(message, start)
    return (REDACTED, value.end()) if value else None


def secrets_in(name: str, source: str, value: Any) -> Iterator[str]:
    """Yield the credentials in a captured value of an HTTP response.

    Args:
        name: The name under which the value is stored in `session`.
        source: The expression that selected it.
        value: The value: a text, or JSON with texts and their keys.
    """
    is_secret = mentions_secret(name) or mentions_secret(source.removeprefix("session."))
    for keys, text in _leaf_strings(value, ()):
        if any(map(mentions_secret, keys)) or (is_secret and not any(map(is_user_name, keys))):
            yield text


def _words(name: str) -> str:
    """Return a name in snake case: `X-API-Key`, `apiKey` and `api.key` give words separated by `_`."""
    separated = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name)
    return re.sub(r"[\W_]+", "_", separated).strip("_").lower()


def _leaf_strings(value: Any, keys: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], str]]:
    """Yield the strings in a value with the keys that lead to them."""
    if isinstance(value, str):
        yield keys, value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _leaf_strings(item, (*keys, str(key)))
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _leaf_strings(item, keys)


def _variable_names(text: str) -> Iterator[str]:
    """The names of the variables in a string, whether it is a template or an expression."""
    yield from _VARIABLE.findall(text)
    for expression in (text, *expressions_in_text(text)):
        yield from find_members(expression, "vars")
