"""Secrets that can be recognised wherever and however they come out, and the manifest that puts them everywhere."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from random import Random
from typing import Any, Final

JSONObject = dict[str, Any]
TAIL: Final = '"+/&=%\\x'
"""What makes a secret look different in JSON, in a URL and in base64."""


@dataclass(frozen=True, slots=True)
class Canary:
    """A secret: `core` is random, and no other text holds it. It may be sent to the origins in `to` only."""

    name: str
    core: str
    allowed_origins: frozenset[str] = frozenset()

    @property
    def value(self) -> str:
        """The whole secret."""
        return self.core + TAIL

    def is_in(self, data: bytes) -> bool:
        """Whether it, or the better half of it, stands in the data: plain, in base64 (any offset) or in hex."""
        return any(form in data for form in self._forms())

    def _forms(self) -> list[bytes]:
        core = self.core.encode()
        inside = [base64.b64encode(bytes(offset) + core)[(0, 2, 3)[offset] : -4] for offset in range(3)]
        return [core[:10], *inside, core.hex().encode(), core.hex().upper().encode()]


ENDPOINT, TOKENS, NOBODY = frozenset({"endpoint"}), frozenset({"tokens"}), frozenset[str]()
CANARY_KINDS: Final[Mapping[str, tuple[frozenset[str], JSONObject]]] = {
    "HEADER": (ENDPOINT, {"auth": {"auth_type": "api_key", "api_key": "${HEADER}"}}),
    "QUERY": (ENDPOINT, {"auth": {"auth_type": "api_key", "api_key": "${QUERY}", "location": "query"}}),
    "COOKIE": (ENDPOINT, {"auth": {"auth_type": "api_key", "api_key": "${COOKIE}", "location": "cookie"}}),
    "PASSWORD": (ENDPOINT, {"auth": {"auth_type": "basic", "username": "${USER_NAME}", "password": "${PASSWORD}"}}),
    "BEARER": (ENDPOINT, {"headers": {"Authorization": "Bearer ${BEARER}"}}),
    "IN_URL": (ENDPOINT, {"url_query": "?key={{ vars.IN_URL | urlencode }}"}),
    "MESSAGE": (ENDPOINT, {"message": {"token": "{{ vars.MESSAGE }}"}}),
    "LOGIN": (ENDPOINT, {"on_connect": [{"send": {"login": "{{ vars.LOGIN }}"}}]}),
    "BEFORE": (TOKENS, {"before_connect": [{"http": {"url": "{tokens}", "headers": {"X-Key": "${BEFORE}"}}}]}),
    "CLIENT": (
        TOKENS,
        {
            "auth": {
                "auth_type": "oauth2",
                "token_url": "{tokens}",
                "client_id": "id",
                "client_secret": "${CLIENT}",
            }
        },
    ),
    "PROXY": (NOBODY, {"proxy": "http://ann:${PROXY}@127.0.0.1:1"}),
    "KEY_PATH": (NOBODY, {"tls": {"client_cert": "${KEY_PATH}.pem", "client_key": "${KEY_PATH}.key"}, "secure": True}),
}
"""Where a secret stands: the origins that it is for, and what the call template says. USER_NAME is one as well."""


def canaries(random: Random) -> dict[str, Canary]:
    """A canary of each kind, and two that stand beside: in the dotenv file, and in the environment."""
    places = {
        "USER_NAME": ENDPOINT,
        **{name: to for name, (to, _) in CANARY_KINDS.items()},
        "DOTENV": NOBODY,
        "HOST": NOBODY,
    }
    letters = "abcdefghjkmnpqrstuvwxyzABCDEFGHJKMNPQRSTUVWXYZ23456789"
    return {name: Canary(name, "".join(random.choices(letters, k=18)), to) for name, to in places.items()}
