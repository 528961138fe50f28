"""Secrets that can be found in any output and encoding, and the call templates that use them."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from random import Random
from typing import Any, Final

JSONObject = dict[str, Any]
TAIL: Final = '"+/&=%\\x'
"""Characters that JSON, URLs and base64 encode differently."""


@dataclass(frozen=True, slots=True)
class Canary:
    """A secret. `core` is random and unique. The secret may only be sent to `allowed_origins`."""

    name: str
    core: str
    allowed_origins: frozenset[str] = frozenset()

    @property
    def value(self) -> str:
        """The whole secret."""
        return self.core + TAIL

    def is_in(self, data: bytes) -> bool:
        """Return whether data holds the first 10 characters of `core`, or all of it in base64 (any offset) or hex."""
        return any(form in data for form in self._forms())

    def _forms(self) -> list[bytes]:
        core = self.core.encode()
        inside = [base64.b64encode(bytes(offset) + core)[(0, 2, 3)[offset] : -4] for offset in range(3)]
        return [core[:10], *inside, core.hex().encode(), core.hex().upper().encode()]


ENDPOINT, TOKENS, NOWHERE = frozenset({"endpoint"}), frozenset({"tokens"}), frozenset[str]()
CANARY_KINDS: Final[Mapping[str, tuple[frozenset[str], JSONObject]]] = {
    "HEADER": (ENDPOINT, {"auth": {"auth_type": "api_key", "api_key": "${HEADER}"}}),
    "QUERY": (ENDPOINT, {"auth": {"auth_type": "api_key", "api_key": "${QUERY}", "location": "query"}}),
    "COOKIE": (ENDPOINT, {"auth": {"auth_type": "api_key", "api_key": "${COOKIE}", "location": "cookie"}}),
    "PASSWORD": (ENDPOINT, {"auth": {"auth_type": "basic", "username": "${USER_NAME}", "password": "${PASSWORD}"}}),
    "BEARER": (ENDPOINT, {"headers": {"Authorization": "Bearer ${BEARER}"}}),
    "IN_URL": (ENDPOINT, {"url_query": "?key={{ vars.IN_URL | urlencode }}"}),
    "MESSAGE": (ENDPOINT, {"message": {"token": "{{ vars.MESSAGE }}"}}),
    "LOGIN_TOKEN": (ENDPOINT, {"on_connect": [{"send": {"token": "{{ vars.LOGIN_TOKEN }}"}}]}),
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
    "PROXY": (NOWHERE, {"proxy": "http://ann:${PROXY}@127.0.0.1:1"}),
    "KEY_PATH": (NOWHERE, {"tls": {"client_cert": "${KEY_PATH}.pem", "client_key": "${KEY_PATH}.key"}, "secure": True}),
}
"""By kind of secret: the origins that may receive it, and fields of the call template. USER_NAME is a canary, too."""


def canaries(random: Random) -> dict[str, Canary]:
    """Return a canary of each kind, and two that no template uses: in the dotenv file and in the environment."""
    places = {
        "USER_NAME": ENDPOINT,
        **{name: to for name, (to, _) in CANARY_KINDS.items()},
        "DOTENV": NOWHERE,
        "HOST": NOWHERE,
    }
    letters = "abcdefghjkmnpqrstuvwxyzABCDEFGHJKMNPQRSTUVWXYZ23456789"
    return {name: Canary(name, "".join(random.choices(letters, k=18)), to) for name, to in places.items()}
