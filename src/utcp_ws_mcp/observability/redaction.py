"""Take secrets out of texts before they are shown."""

from __future__ import annotations

import base64
import json
import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from typing import Any, Final

from pydantic import BaseModel, SecretStr

from ..manifest.loader import Manifest, ManifestEntry
from ..manifest.models.call_template import CallTemplate
from ..manifest.secret_names import MIN_SECRET_LENGTH, REDACTED, credential_variables, is_user_name

MAX_TRUNCATED_PREFIX: Final = 64
"""Characters of a secret that are recognised one by one where a text was cut off in its middle."""


MAX_TOKENS: Final = 64
"""Fetched tokens that are remembered; the oldest are forgotten."""


class Redactor:
    """A function that hides the secrets of manifests; it never forgets any that it has learned.

    `in_result` is for what endpoints say: it hides credentials, but no other variable, for that may be what somebody
    asked for.
    """

    def __init__(self, manifests: Iterable[Manifest]) -> None:
        self._secrets: set[str] = set()
        self._credentials: set[str] = set()
        self._tokens: deque[str] = deque(maxlen=MAX_TOKENS)
        self._redact_all: Callable[[str], str] = str
        self._redact_credentials: Callable[[str], str] = str
        self.add_secrets(manifests)

    def __call__(self, text: str) -> str:
        """The text without secrets."""
        return self._redact_all(text)

    def add_secrets(self, manifests: Iterable[Manifest]) -> None:
        """Hide the secrets of these manifests too."""
        entries = [entry for manifest in manifests for entry in manifest.entries]
        self._secrets.update(secret_values(entries))
        self._credentials.update(credential_values(entries))
        self._rebuild()

    def add_token(self, token: str) -> None:
        """Hide a token or a ticket that was fetched."""
        if token not in self._tokens:
            self._tokens.append(token)
            self._rebuild()

    def redact_result(self, text: str) -> str:
        """A text from an endpoint without credentials."""
        return self._redact_credentials(text)

    def _rebuild(self) -> None:
        self._redact_all = redactor([*self._secrets, *self._tokens])
        self._redact_credentials = fast_redactor([*self._credentials, *self._tokens])


def secret_values(entries: Iterable[ManifestEntry]) -> list[str]:
    """Values that must not be shown: credentials and bound variables."""
    return [secret for entry in entries for secret in _entry_secrets(entry)]


def _entry_secrets(entry: ManifestEntry) -> Iterator[str]:
    """The secret values of an entry. What stands in its URL before the query is an address, and shown."""
    templates = _templates(entry)
    for template in templates:
        if template.auth is not None:
            yield from _secret_fields(template.auth)
    referred = {name for template in templates for name in re.findall(r"\$\{?(\w+)", template.url.partition("?")[0])}
    yield from (value for name, value in entry.variables.items() if name not in referred and not is_user_name(name))
    yield from (value for name, value in entry.own_variables.items() if not is_user_name(name))


def credential_values(entries: Iterable[ManifestEntry]) -> list[str]:
    """Values that an endpoint must not bring into a result: see `manifest.secret_names`."""
    return [secret for entry in entries for secret in _entry_credentials(entry)]


def _entry_credentials(entry: ManifestEntry) -> Iterator[str]:
    for template in _templates(entry):
        if template.auth is not None:
            yield from _secret_fields(template.auth)
        named = credential_variables(template) if entry.variables else ()
        yield from (value for name, value in entry.variables.items() if name in named)
    yield from (value for name, value in entry.own_variables.items() if not is_user_name(name))


def _templates(entry: ManifestEntry) -> list[CallTemplate]:
    """The call templates of an entry, each once: most of its tools have the entry's own."""
    templates = [tool.template for tool in entry.tools] + ([entry.template] if entry.template else [])
    return list({id(template): template for template in templates}.values())


def fast_redactor(secrets: Iterable[str]) -> Callable[[str], str]:
    """What `redactor` gives, for large texts: where all secrets are plain words, most texts are only searched."""
    known = [secret for secret in secrets if len(secret) >= MIN_SECRET_LENGTH]
    hide = redactor(known)
    if not all(re.fullmatch(r"[\w~.-]+", secret, re.ASCII) for secret in known):
        return hide
    hints = tuple({hint for secret in known for hint in _encoded_forms(secret)})
    return lambda text: hide(text) if any(hint in text for hint in hints) else text


def _encoded_forms(secret: str) -> Iterator[str]:
    """How a secret of letters, digits and `_~.-` can stand in a text; percent-encoding of these is not usual."""
    encoded = secret.encode()
    yield from (secret, encoded.hex(), encoded.hex().upper())
    yield from (form for offset in range(3) if len(form := _base64_core(encoded, offset)) >= MIN_SECRET_LENGTH)


def redactor(secrets: Iterable[str]) -> Callable[[str], str]:
    """A function that hides these values: as they are, in URLs, in JSON inside JSON, in base64, in hex, cut by "…"."""
    known = sorted({secret for secret in secrets if len(secret) >= MIN_SECRET_LENGTH}, key=len, reverse=True)
    if not known:
        return str
    whole = re.compile("|".join(pattern for secret in known for pattern in _secret_patterns(secret)))

    @cache
    def cut() -> re.Pattern[str]:
        return re.compile("|".join(map(_truncated_pattern, known)))

    return lambda text: cut().sub(REDACTED, shown) if "…" in (shown := whole.sub(REDACTED, text)) else shown


def _secret_fields(auth: BaseModel) -> Iterator[str]:
    values: dict[str, Any] = {name: getattr(auth, name) for name in type(auth).model_fields}
    yield from (value.get_secret_value() for value in values.values() if isinstance(value, SecretStr))
    if isinstance(password := values.get("password"), SecretStr):
        pair = f"{values['username']}:{password.get_secret_value()}"
        yield base64.b64encode(pair.encode()).decode()


def _secret_patterns(secret: str) -> Iterator[str]:
    encoded = secret.encode("utf-8", "replace")
    yield "".join(map(_char_pattern, secret))
    yield f"(?i:{encoded.hex()})"
    yield from (
        re.escape(form) for offset in range(3) if len(form := _base64_core(encoded, offset)) >= MIN_SECRET_LENGTH
    )


def _truncated_pattern(secret: str) -> str:
    """The beginning of a secret, as text or in hex, in front of the sign that something was cut off."""
    hex_digits = [f"(?i:{byte:02x})" for byte in secret.encode("utf-8", "replace")]
    return rf"(?:{_prefix_pattern([_char_pattern(char) for char in secret])}\\*(?:%[0-9A-Fa-f]?)?|{_prefix_pattern(hex_digits)})(?=…)"


def _prefix_pattern(units: Sequence[str]) -> str:
    """A pattern for the first units of a secret, at least SHORTEST.

    Of a long secret only NESTED units are compared: a pattern cannot be nested without bound.
    """
    middle, rest = units[MIN_SECRET_LENGTH:MAX_TRUNCATED_PREFIX], units[MAX_TRUNCATED_PREFIX:]
    optional = "".join(f"(?:{unit}" for unit in middle)
    longer = f"(?:[^…]{{0,{12 * len(rest)}}})" if rest else ""
    return "".join(units[:MIN_SECRET_LENGTH]) + optional + longer + ")?" * len(middle)


@cache
def _char_pattern(char: str) -> str:
    """A pattern for a character as it stands in texts, in URLs, and behind the backslashes of JSON in JSON."""
    if char.isascii() and char.isalnum():
        return char
    percent = "".join(f"%{byte:02x}" for byte in char.encode("utf-8", "replace"))
    forms = {r"\\*" + re.escape(char), f"(?i:{percent})", *([r"\+"] if char == " " else [])}
    if (escape := json.dumps(char)[1:-1]).startswith("\\"):
        forms.add(r"\\+" + re.escape(escape.lstrip("\\")))
    if char == "\\":
        forms.add(r"\\+")
    return f"(?:{'|'.join(sorted(forms))})"


def _base64_core(data: bytes, offset: int) -> str:
    """The part of the base64 text that depends on `data` alone when it starts `offset` bytes into a group of three."""
    text = base64.b64encode(bytes(offset) + data).decode()
    start = (0, 2, 3)[offset]
    end = len(text) - (0, 3, 2)[(offset + len(data)) % 3]
    return text[start:end]
