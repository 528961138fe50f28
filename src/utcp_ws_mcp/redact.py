"""Take secrets out of texts before they are shown."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final
from urllib.parse import quote, quote_plus

from pydantic import BaseModel, SecretStr

from .manifest.load import Entry, Manifest

SHORTEST: Final = 6
"""Characters below which a value is not looked for: it would be found everywhere."""

HIDDEN: Final = "***"


class Redactor:
    """A function that hides the secrets of manifests; it never forgets any that it has learned."""

    def __init__(self, manifests: Iterable[Manifest]) -> None:
        self._secrets: set[str] = set()
        self._hide: Callable[[str], str] = str
        self.learn(manifests)

    def __call__(self, text: str) -> str:
        """The text without secrets."""
        return self._hide(text)

    def learn(self, manifests: Iterable[Manifest]) -> None:
        """Hide the secrets of these manifests too."""
        self._secrets.update(secret_values(entry for manifest in manifests for entry in manifest.entries))
        self._hide = redactor(self._secrets)


def secret_values(entries: Iterable[Entry]) -> list[str]:
    """Values that must not be shown: credentials and bound variables."""
    return [secret for entry in entries for secret in _entry_secrets(entry)]


def _entry_secrets(entry: Entry) -> Iterator[str]:
    """The secret values of an entry. What stands in its URL before the query is an address, and shown."""
    templates = [tool.template for tool in entry.tools] + ([entry.template] if entry.template else [])
    for template in templates:
        if template.auth is not None:
            yield from _secret_fields(template.auth)
    referred = {name for template in templates for name in re.findall(r"\$\{?(\w+)", template.url.partition("?")[0])}
    yield from (value for name, value in entry.variables.items() if name not in referred)
    yield from entry.own_variables.values()


def redactor(secrets: Iterable[str]) -> Callable[[str], str]:
    """A function that hides these values, as they are and as they stand in URLs, JSON and Basic credentials."""
    forms = {form for secret in secrets if len(secret) >= SHORTEST for form in _forms(secret)}
    if not forms:
        return str
    pattern = re.compile("|".join(re.escape(form) for form in sorted(forms, key=len, reverse=True)))
    return lambda text: pattern.sub(HIDDEN, text)


def _secret_fields(auth: BaseModel) -> Iterator[str]:
    values: dict[str, Any] = {name: getattr(auth, name) for name in type(auth).model_fields}
    yield from (value.get_secret_value() for value in values.values() if isinstance(value, SecretStr))
    if isinstance(password := values.get("password"), SecretStr):
        pair = f"{values['username']}:{password.get_secret_value()}"
        yield base64.b64encode(pair.encode()).decode()


def _forms(secret: str) -> Iterator[str]:
    encoded = secret.encode("utf-8", "replace")
    yield secret
    yield quote(encoded, safe="")
    yield quote_plus(encoded)
    yield json.dumps(secret)[1:-1]
    yield json.dumps(secret, ensure_ascii=False)[1:-1]
    yield from (form for offset in range(3) if len(form := _base64_core(encoded, offset)) >= SHORTEST)


def _base64_core(data: bytes, offset: int) -> str:
    """The part of the base64 text that depends on `data` alone when it starts `offset` bytes into a group of three."""
    text = base64.b64encode(bytes(offset) + data).decode()
    start = (0, 2, 3)[offset]
    end = len(text) - (0, 3, 2)[(offset + len(data)) % 3]
    return text[start:end]
