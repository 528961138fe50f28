"""Remove secrets from texts before they are shown, or cut: half of a secret would not be recognized.

A text of an endpoint is redacted where it is read, quoted or cut (`Redactor`, `redact_result`). In addition every place
where bytes leave, such as the line to a host, the log or the terminal, passes everything through `Redactor.guard`.
"""

from __future__ import annotations

import base64
import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any, ClassVar, Final

from pydantic import BaseModel, SecretStr

from ..manifest.entries import Manifest, ManifestEntry
from ..manifest.models.call_template import CallTemplate
from ..manifest.secret_names import credential_variables, is_user_name
from ..records import Record
from .secret_forms import is_word
from .secret_search import SecretGroup

MAX_LOGINS: Final = 64
"""Logins of one endpoint whose tokens are remembered, or eight times as many as it has connections at a time."""

MAX_TOKENS: Final = 16
"""Tokens of one login that are remembered."""

MAX_TOKEN_CHARACTERS: Final = 1 << 19
"""Characters of the tokens of one endpoint that are remembered: their patterns are compiled on the event loop."""

MAX_MIXED_TOKENS: Final = 16
"""Tokens of one endpoint, without five letters and digits in a row, that are found when their signs are escaped: the
patterns of such tokens are large, and an endpoint chooses them."""


class TokenGroup(SecretGroup):
    """The tokens of one endpoint: those of its last logins, whatever other endpoints do."""

    def __init__(self) -> None:
        self._logins: deque[tuple[str, ...]] = deque()
        super().__init__(max_mixed=MAX_MIXED_TOKENS)

    def learn(self, tokens: Iterable[str], max_connections: int) -> None:
        """Search for the tokens of a login, too, and forget logins whose connections are closed."""
        kept = tuple(islice(tokens, MAX_TOKENS))
        if kept in self._logins:
            self._logins.remove(kept)
        self._logins.append(kept)
        length = sum(len(token) for login in self._logins for token in login)
        while len(self._logins) > max(MAX_LOGINS, 8 * max_connections) or (
            length > MAX_TOKEN_CHARACTERS and len(self._logins) > 1
        ):
            length -= sum(map(len, self._logins.popleft()))
        self.replace(token for login in self._logins for token in login)


class Redactor:
    """Removes the secrets of manifests from texts. Secrets of manifests are only added: logs may repeat old ones.

    Called with a text of an endpoint for a log, a trace or an error, it removes all values of variables.
    `redact_result` is for results: it removes credentials, but no other variables, because a variable such as the name
    of a room may be what the caller asked about. `guard` is for everything that leaves, sentences of this package
    included: it removes the credentials that are not a word, which would be known by its absence in such a sentence.
    """

    def __init__(self, manifests: Iterable[Manifest] = ()) -> None:
        self._secrets = SecretGroup()
        self._credentials = SecretGroup()
        self._guarded = SecretGroup()
        self._tokens: dict[str, TokenGroup] = {}
        self.add_secrets(manifests)

    def __call__(self, text: str) -> str:
        """Return a text of an endpoint without secrets."""
        text = self._secrets.redact(text)
        return self._without_tokens(text) if self._tokens else text

    def redact_result(self, text: str) -> str:
        """Return a result of an endpoint without credentials."""
        text = self._credentials.redact(text)
        return self._without_tokens(text) if self._tokens else text

    def guard(self, text: str) -> str:
        """Return a text that leaves the process without credentials."""
        text = self._guarded.redact(text)
        return self._without_tokens(text) if self._tokens else text

    def add_secrets(self, manifests: Iterable[Manifest]) -> None:
        """Redact the secrets of these manifests, too."""
        found = [secrets_of(entry) for manifest in manifests for entry in manifest.entries]
        credentials = [value for each in found for value in each.credentials]
        self._secrets.add(value for each in found for value in each.values)
        self._credentials.add(credentials)
        self._guarded.add(each for each in credentials if not is_word(each))

    def add_values(self, values: Iterable[str]) -> None:
        """Redact credentials that belong to no manifest, too."""
        given = tuple(values)
        self._secrets.add(given)
        self._credentials.add(given)
        self._guarded.add(each for each in given if not is_word(each))

    def add_tokens(self, manual: str, tokens: Iterable[str], max_connections: int = 1) -> None:
        """Redact tokens and tickets that a login of a manual fetched; it has so many connections at a time."""
        self._tokens.setdefault(manual, TokenGroup()).learn(tokens, max_connections)

    def _without_tokens(self, text: str) -> str:
        for tokens in self._tokens.values():
            text = tokens.redact(text)
        return text


class SinkRedactor:
    """Removes the secrets of manifests and of callers from what is logged and exported.

    A result is not searched for the secrets of other callers: who chooses a value could find out by what is missing
    whether a text holds it, and hide words from others.
    """

    def __init__(self, shared: Redactor) -> None:
        self._shared = shared
        self._callers: list[Redactor] = []

    def __call__(self, text: str) -> str:
        """Return a text of an endpoint without secrets."""
        for each in self._callers:
            text = each(text)
        return self._shared(text)

    def guard(self, text: str) -> str:
        """Return a text that leaves the process without credentials."""
        for each in self._callers:
            text = each.guard(text)
        return self._shared.guard(text)

    def guard_names(self, text: str) -> str:
        """Return a text that holds nothing of an endpoint, such as a line of the audit or a label of a metric.

        Callers can hide nothing in it by the values that they choose.
        """
        return self._shared.guard(text)

    def add(self, caller: Redactor) -> None:
        """Remove the secrets of a caller, too."""
        self._callers.append(caller)

    def remove(self, caller: Redactor) -> None:
        """Forget the secrets of a caller."""
        self._callers.remove(caller)


def redactor(secrets: Iterable[str]) -> Callable[[str], str]:
    """Return a function that replaces these values in every form."""
    return SecretGroup(secrets).redact


def redact_strings(value: Any, redact: Callable[[str], str]) -> Any:
    """Return a JSON value whose strings and keys are redacted."""
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, dict):
        return {redact(key): redact_strings(item, redact) for key, item in value.items()}
    return [redact_strings(item, redact) for item in value] if isinstance(value, list) else value


class EntrySecrets(Record):
    """The secrets of an entry: the values that must not be shown, and those that must not appear in a result."""

    not_in_repr: ClassVar = ("values", "credentials")
    values: tuple[str, ...] = ()
    credentials: tuple[str, ...] = ()


_NO_SECRETS: Final = EntrySecrets()


def secrets_of(entry: ManifestEntry) -> EntrySecrets:
    """Return the secrets of an entry.

    Variables in the URL before its query are part of the address, and shown. Which of the others are credentials,
    `manifest.secret_names` says.
    """
    templates = _templates(entry)
    fields = [value for template in templates if template.auth is not None for value in _secret_fields(template.auth)]
    if not (fields or entry.variables or entry.own_variables):  # most of many entries
        return _NO_SECRETS
    named = entry.own_variables.items()
    always = (*fields, *entry.caller_values, *(value for name, value in named if not is_user_name(name)))
    if not entry.variables:
        return EntrySecrets(always, always)
    referred = {name for template in templates for name in re.findall(r"\$\{?(\w+)", template.url.partition("?")[0])}
    credentials = {name for template in templates for name in credential_variables(template)}
    variables = entry.own_values.items()
    return EntrySecrets(
        (*always, *(value for name, value in variables if name not in referred and not is_user_name(name))),
        (*always, *(value for name, value in variables if name in credentials)),
    )


def _templates(entry: ManifestEntry) -> list[CallTemplate]:
    """Return the distinct call templates of an entry: most of its tools share the one of the entry."""
    own = entry.template
    templates = {id(tool.template): tool.template for tool in entry.tools if tool.template is not own}
    return [*templates.values(), *(() if own is None else (own,))]


def _secret_fields(auth: BaseModel) -> Iterator[str]:
    values: dict[str, Any] = {name: getattr(auth, name) for name in type(auth).model_fields}
    yield from (value.get_secret_value() for value in values.values() if isinstance(value, SecretStr))
    if isinstance(password := values.get("password"), SecretStr):
        pair = f"{values['username']}:{password.get_secret_value()}"
        yield base64.b64encode(pair.encode()).decode()
