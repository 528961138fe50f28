"""Credentials of a call template (manifest language, section 8)."""

import base64
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, SecretStr, field_validator

from .base import Model


def _require_utf8(value: Any) -> Any:
    """Refuse a text that UTF-8 cannot encode: a variable of the environment can hold any bytes."""
    try:
        value.encode() if isinstance(value, str) else None
    except UnicodeEncodeError:
        raise ValueError("holds what UTF-8 cannot encode; write it, or set its variable, in UTF-8") from None
    return value


Utf8Str = Annotated[str, BeforeValidator(_require_utf8)]
Utf8Secret = Annotated[SecretStr, BeforeValidator(_require_utf8)]


class ApiKeyAuth(Model):
    """A key in a header, in the query, or in a cookie."""

    auth_type: Literal["api_key"]
    api_key: Utf8Secret
    var_name: Utf8Str = "X-Api-Key"
    location: Literal["header", "query", "cookie"] = "header"


class BasicAuth(Model):
    """HTTP Basic (RFC 7617)."""

    auth_type: Literal["basic"]
    username: Utf8Str
    password: Utf8Secret

    @field_validator("username")
    @classmethod
    def _no_colon(cls, username: str) -> str:
        if ":" in username:
            raise ValueError("a user name cannot contain ':' (RFC 7617 §2)")
        return username


class OAuth2Auth(Model):
    """OAuth2 client credentials (RFC 6749 §4.4). `auth_method` says where the client's secret goes (§2.3.1)."""

    auth_type: Literal["oauth2"]
    token_url: Utf8Str
    client_id: Utf8Str
    client_secret: Utf8Secret
    scope: Utf8Str | None = None
    audience: Utf8Str | None = None
    auth_method: Literal["post", "basic"] = "post"


Auth = Annotated[ApiKeyAuth | BasicAuth | OAuth2Auth, Field(discriminator="auth_type")]


@dataclass(frozen=True, slots=True)
class Credentials:
    """What an authenticated upgrade carries in addition; the values are secrets and stay out of `repr`."""

    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    query: tuple[tuple[str, str], ...] = field(default=(), repr=False)


def credentials_for(auth: ApiKeyAuth | BasicAuth | OAuth2Auth | None, token: str | None = None) -> Credentials:
    """The headers and query parameters of `auth`; an OAuth2 `token` goes into the Authorization header."""
    if isinstance(auth, ApiKeyAuth):
        pair = (auth.var_name, auth.api_key.get_secret_value())
        if auth.location == "query":
            return Credentials(query=(pair,))
        if auth.location == "cookie":
            return Credentials(headers=(("Cookie", "=".join(pair)),))
        return Credentials(headers=(pair,))
    if isinstance(auth, BasicAuth):
        userpass = f"{auth.username}:{auth.password.get_secret_value()}".encode()
        return Credentials(headers=(("Authorization", "Basic " + base64.b64encode(userpass).decode()),))
    if isinstance(auth, OAuth2Auth) and token is not None:
        return Credentials(headers=(("Authorization", f"Bearer {token}"),))
    return Credentials()
