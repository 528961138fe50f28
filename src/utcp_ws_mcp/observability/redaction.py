"""Remove secrets from texts before they are shown, or cut: half of a secret would not be recognized."""

from __future__ import annotations

import base64
import json
import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from typing import Any, Final

from pydantic import BaseModel, SecretStr

from ..manifest.loader import Manifest, ManifestEntry
from ..manifest.models.call_template import CallTemplate
from ..manifest.secret_names import MIN_SECRET_LENGTH, REDACTED, credential_variables, is_user_name

MAX_TOKENS: Final = 64
"""Fetched tokens that are remembered; the oldest are forgotten."""


class Redactor:
    """A function that removes the secrets of manifests from a text. Secrets are only added: logs may repeat old ones.

    `redact_result` is for results: it removes credentials, but no other variables, because a variable such as the name
    of a room may be what the caller asked about.
    """

    def __init__(self, manifests: Iterable[Manifest]) -> None:
        self._secrets: set[str] = set()
        self._credentials: set[str] = set()
        self._tokens: deque[str] = deque(maxlen=MAX_TOKENS)
        self._redact_all: Callable[[str], str] = str
        self._redact_credentials: Callable[[str], str] = str
        self.add_secrets(manifests)

    def __call__(self, text: str) -> str:
        """Return the text without secrets."""
        return self._redact_all(text)

    def add_secrets(self, manifests: Iterable[Manifest]) -> None:
        """Redact the secrets of these manifests, too."""
        entries = [entry for manifest in manifests for entry in manifest.entries]
        self._secrets.update(secret_values(entries))
        self._credentials.update(credential_values(entries))
        self._rebuild()

    def add_token(self, token: str) -> None:
        """Redact a token or ticket that was fetched."""
        if token not in self._tokens:
            self._tokens.append(token)
            self._rebuild()

    def redact_result(self, text: str) -> str:
        """Return a text of an endpoint without credentials."""
        return self._redact_credentials(text)

    def _rebuild(self) -> None:
        self._redact_all = redactor([*self._secrets, *self._tokens])
        self._redact_credentials = fast_redactor([*self._credentials, *self._tokens])


def secret_values(entries: Iterable[ManifestEntry]) -> list[str]:
    """Return the values that must not be shown: credentials, and variables that call templates use."""
    return [secret for entry in entries for secret in _entry_secrets(entry)]


def _entry_secrets(entry: ManifestEntry) -> Iterator[str]:
    """Yield the secret values of an entry. Variables in the URL before its query are part of the address, and shown."""
    templates = _templates(entry)
    for template in templates:
        if template.auth is not None:
            yield from _secret_fields(template.auth)
    referred = {name for template in templates for name in re.findall(r"\$\{?(\w+)", template.url.partition("?")[0])}
    yield from (value for name, value in entry.variables.items() if name not in referred and not is_user_name(name))
    yield from (value for name, value in entry.own_variables.items() if not is_user_name(name))


def credential_values(entries: Iterable[ManifestEntry]) -> list[str]:
    """Return the values that must not appear in a result, see `manifest.secret_names`."""
    return [secret for entry in entries for secret in _entry_credentials(entry)]


def _entry_credentials(entry: ManifestEntry) -> Iterator[str]:
    for template in _templates(entry):
        if template.auth is not None:
            yield from _secret_fields(template.auth)
        named = credential_variables(template) if entry.variables else ()
        yield from (value for name, value in entry.variables.items() if name in named)
    yield from (value for name, value in entry.own_variables.items() if not is_user_name(name))


def _templates(entry: ManifestEntry) -> list[CallTemplate]:
    """Return the distinct call templates of an entry: most of its tools share the one of the entry."""
    templates = [tool.template for tool in entry.tools] + ([entry.template] if entry.template else [])
    return list({id(template): template for template in templates}.values())


def fast_redactor(secrets: Iterable[str]) -> Callable[[str], str]:
    """Return the function of `redactor` for large texts: most are only searched, if all secrets are plain words."""
    known = [secret for secret in secrets if len(secret) >= MIN_SECRET_LENGTH]
    hide = redactor(known)
    if not all(re.fullmatch(r"[\w~.-]+", secret, re.ASCII) for secret in known):
        return hide
    hints = tuple({hint for secret in known for hint in _encoded_forms(secret)})
    return lambda text: hide(text) if any(hint in text for hint in hints) else text


def _encoded_forms(secret: str) -> Iterator[str]:
    """Yield the forms of a secret of letters, digits and `_~.-`, which are not percent-encoded."""
    encoded = secret.encode()
    yield from (secret, encoded.hex(), encoded.hex().upper())
    yield from (form for offset in range(3) if len(form := _base64_core(encoded, offset)) >= MIN_SECRET_LENGTH)


def redactor(secrets: Iterable[str]) -> Callable[[str], str]:
    """Return a function that replaces these values: plain, in URLs, in JSON inside JSON, in base64 and in hex."""
    known = sorted({secret for secret in secrets if len(secret) >= MIN_SECRET_LENGTH}, key=len, reverse=True)
    if not known:
        return str
    pattern = re.compile("|".join(form for secret in known for form in _secret_patterns(secret)))
    return lambda text: pattern.sub(REDACTED, text)


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


@cache
def _char_pattern(char: str) -> str:
    """Return a pattern for a character in texts, in URLs, and after the backslashes of JSON in JSON."""
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
    """Return the part of base64 that depends only on `data`, which starts `offset` bytes into a group of three."""
    text = base64.b64encode(bytes(offset) + data).decode()
    start = (0, 2, 3)[offset]
    end = len(text) - (0, 3, 2)[(offset + len(data)) % 3]
    return text[start:end]
