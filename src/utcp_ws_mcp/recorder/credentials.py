"""Put variables in place of the credentials of a conversation: in messages, headers, subprotocols and the URL."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from itertools import chain, count
from typing import Any, ClassVar, Final
from urllib.parse import unquote

from ..core.expressions.paths import Path
from ..core.templates.tokens import has_placeholders
from ..manifest.secret_names import is_secret_name, is_session_name, is_user_name
from ..manifest.variables import VARIABLE
from ..records import MutableRecord, field
from .messages import KIND_KEYS, leaves
from .templates import escape_template

_QUERY_PARAMETER = re.compile(r"(?<=[?&])([\w.-]+)=([^&#]+)")
_KEPT_AS_IT_IS: Final = re.compile(r"[+#]|\$\{|\{\{|UTCP_ARG_")
"""What a query holds that has another form or meaning in the field `query`: `+` can be a blank."""

_PATH_PART: Final = re.compile(r"(?<=[^/:]/)[^/]+")
"""A part of the path of a URL."""

_TOKEN: Final = re.compile(r"(?=.*\d)(?=.*[A-Za-z])[A-Za-z0-9_.=+/~-]{20,}\Z")
"""A text that is probably a token: long, with digits and letters."""

_PROTOCOL_NAME: Final = re.compile(r"[a-z]+(?:[.-](?:v?\d+(?:\.\d+)*|[a-z]+))*\Z")
"""The name of a subprotocol, such as `graphql-transport-ws` or `v12.stomp`: words and versions."""


class SecretVariables(MutableRecord):
    """The variables that replace the secrets of a conversation, and what each replaces."""

    not_in_repr: ClassVar = ("values",)
    values: dict[str, str] = field(default_factory=dict)

    def variable_for(self, value: str, name: str) -> str:
        """Return the variable of a secret, named after its field. Fields of one name may have different secrets."""
        base = re.sub(r"\W+", "_", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name)).upper()
        base = base if re.match(r"[A-Z_]", base) else f"SECRET_{base}"
        candidates = chain([base], (f"{base}_{number}" for number in count(2)))
        return next(each for each in candidates if self.values.setdefault(each, value) == value)


def is_login(value: Any, variables: Collection[str]) -> bool:
    """Return whether a message contains a credential: by the name of a field, or of a variable in a text.

    The ID of a session is a secret as well, but requests repeat it long after the login.
    """
    if isinstance(value, str):
        names = [name for name in VARIABLE.findall(value) if name in variables]
    else:
        names = [name for path, item in leaves(value) if item for name in _names_of(path)]
    return any(is_secret_name(name) and not is_session_name(name) for name in names)


def _names_of(path: Path) -> list[str]:
    """Return what names a field: its key, and the keys above it, unless the field says what kind of thing it is."""
    keys = [step for step in path if isinstance(step, str)]
    return [] if keys and _is_open(keys[-1]) else keys


def _is_open(name: str) -> bool:
    """Return whether a field below one with the name of a secret holds none, such as `auth.type` and `auth.user`."""
    return name in KIND_KEYS or is_user_name(name)


_OPENING: Final = frozenset(
    {"initialize", "initialized", "init", "hello", "hi", "handshake", "connect", "identify", "setup"}
)
"""Kinds of the messages with which a client introduces itself."""


def opens_session(kind: Any) -> bool:
    """Return whether a message of this kind introduces the client: `initialize`, `session.hello`, `#handshake`."""
    return re.split(r"[./:#]", str(kind))[-1].lower() in _OPENING


def without_secrets(value: Any, name: str, variables: Collection[str], secrets: SecretVariables) -> Any:
    """Return a message with a variable in place of each secret, and note the variable in `secrets`."""
    if isinstance(value, dict):
        names = {key: _name_below(name, str(key)) for key in value}
        return {key: without_secrets(item, names[key], variables, secrets) for key, item in value.items()}
    if isinstance(value, list):
        return [without_secrets(item, name, variables, secrets) for item in value]
    if not is_secret_name(name) or not _can_be_secret(value):
        return escape_template(value, variables) if isinstance(value, str) else value
    if isinstance(value, str):
        return _variable_for(value, name, variables, secrets)
    variable = _variable_for(str(value), name, variables, secrets)[2:-1]
    return f"{{{{ vars.{variable} | {'float' if isinstance(value, float) else 'int'} }}}}"


def _name_below(above: str, key: str) -> str:
    """Return the name of a field: below the name of a secret, everything is a part of it."""
    if not is_secret_name(above) or is_secret_name(key):
        return key
    return key if _is_open(key) else f"{key}_{above}"


def _can_be_secret(value: Any) -> bool:
    return isinstance(value, str | int | float) and not isinstance(value, bool)


def protocols_without_secrets(
    protocols: Sequence[str], variables: Collection[str], secrets: SecretVariables
) -> list[str]:
    """Return the subprotocols; one that is a token is replaced by a variable."""
    return [
        _variable_for(each, "protocol_token", variables, secrets)
        if _TOKEN.match(each) and not _PROTOCOL_NAME.match(each)
        else each
        for each in protocols
    ]


def url_fields(url: str, variables: Collection[str], secrets: SecretVariables) -> dict[str, Any]:
    """Return `url`, and `query` where its parameters can stand there: decoded, so that each can become an argument.

    In `query` a variable is percent-encoded, which the value of a secret may need. Parameters with variables that were
    typed stay in `url`: their values were sent as they are.
    """
    address, _, query = url.partition("?")
    parameters = _decoded_parameters(query)
    if parameters is None:
        return {"url": url_without_secrets(url, variables, secrets)}
    shown = url_without_secrets(address, variables, secrets)
    values: dict[str, list[str]] = {}
    for name, value in parameters:
        is_secret = _is_secret_parameter(name, value)
        text = _variable_for(value, name, variables, secrets) if is_secret else escape_template(value, variables)
        values.setdefault(name, []).append(text)
    return {"url": shown, "query": {name: each if len(each) > 1 else each[0] for name, each in values.items()}}


def _decoded_parameters(query: str) -> list[tuple[str, str]] | None:
    """Return the names and values of a query; None if the field `query` would not send the same."""
    if not query or _KEPT_AS_IT_IS.search(query):
        return None
    pairs = [part.partition("=") for part in query.split("&")]
    try:
        decoded = [(unquote(name, errors="strict"), unquote(value, errors="strict")) for name, _, value in pairs]
    except UnicodeDecodeError:
        return None
    is_usual = all(mark and name for name, mark, _ in pairs) and not any(has_placeholders(name) for name, _ in decoded)
    return decoded if is_usual else None


def _is_secret_parameter(name: str, value: str) -> bool:
    return is_secret_name(name) or name.lower().endswith("key") or bool(_TOKEN.match(value))


def url_without_secrets(url: str, variables: Collection[str], secrets: SecretVariables) -> str:
    """Return the URL; a parameter with the name of a secret, and what looks like a token, is replaced by a variable."""

    def replaced(found: re.Match[str]) -> str:
        name, value = found[1], unquote(found[2])
        is_secret = _is_secret_parameter(name, value)
        return f"{name}={_variable_for(value, name, variables, secrets)}" if is_secret else found[0]

    def replaced_in_path(found: re.Match[str]) -> str:
        part = unquote(found[0])
        return _variable_for(part, "path_token", variables, secrets) if _TOKEN.match(part) else found[0]

    address, mark, query = url.partition("?")
    return _PATH_PART.sub(replaced_in_path, address) + _QUERY_PARAMETER.sub(replaced, mark + query)


def headers_without_secrets(
    headers: Mapping[str, str], variables: Collection[str], secrets: SecretVariables
) -> dict[str, Any]:
    """Return the headers; one with the name of a secret, or that looks like a token, is replaced by a variable."""
    shown = without_secrets(headers, "", variables, secrets)
    return {
        name: _variable_for(text, name, variables, secrets) if _TOKEN.match(text) else text
        for name, text in shown.items()
    }


def _variable_for(value: str, name: str, variables: Collection[str], secrets: SecretVariables) -> str:
    if {found[1] for found in VARIABLE.finditer(value)} & set(variables):
        return value
    return f"${{{secrets.variable_for(value, name)}}}"
