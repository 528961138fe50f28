"""Credentials of a call template (manifest language, section 8)."""

import base64
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field, SecretStr, field_validator

from ...records import Record
from .base import FieldError, Model


def _require_utf8(value: Any) -> Any:
    """Reject text that UTF-8 cannot encode: an environment variable can contain any bytes (as lone surrogates)."""
    try:
        value.encode() if isinstance(value, str) else None
    except UnicodeEncodeError:
        message = "the text contains characters that UTF-8 cannot encode. Write it, or set its variable, in UTF-8."
        raise FieldError(message, code="invalid-encoding") from None
    return value


Utf8Str = Annotated[str, BeforeValidator(_require_utf8)]
Utf8Secret = Annotated[SecretStr, BeforeValidator(_require_utf8)]


class ApiKeyAuth(Model):
    """An API key in a header, in the query, or in a cookie."""

    auth_type: Literal["api_key"] = Field(description="The kind of credentials.")
    api_key: Utf8Secret = Field(description="The key; use ${NAME} instead of plain text.")
    var_name: Utf8Str = Field("X-Api-Key", description="The name of the header, the query parameter or the cookie.")
    location: Literal["header", "query", "cookie"] = Field("header", description="Where the key is sent.")


class BasicAuth(Model):
    """HTTP Basic authentication: a user name and a password (RFC 7617)."""

    auth_type: Literal["basic"] = Field(description="The kind of credentials.")
    username: Utf8Str = Field(description="The user name, without a colon.")
    password: Utf8Secret = Field(description="The password; use ${NAME} instead of plain text.")

    @field_validator("username")
    @classmethod
    def _no_colon(cls, username: str) -> str:
        if ":" in username:
            message = "a user name cannot contain ':' (RFC 7617 §2). Use another user name."
            raise FieldError(message, code="invalid-user-name")
        return username


class OAuth2Auth(Model):
    """OAuth2 client credentials: a token is fetched, and reused while it is valid (RFC 6749 §4.4)."""

    auth_type: Literal["oauth2"] = Field(description="The kind of credentials.")
    token_url: Utf8Str = Field(
        description="The token endpoint: https://, or http:// on this machine or as network.plaintext allows."
    )
    client_id: Utf8Str = Field(description="The client ID.")
    client_secret: Utf8Secret = Field(description="The client secret; use ${NAME} instead of plain text.")
    scope: Utf8Str | None = Field(None, description="The scope to request.")
    audience: Utf8Str | None = Field(None, description="The audience to request.")
    auth_method: Literal["post", "basic"] = Field(
        "post",
        description="How the client secret is sent (RFC 6749 §2.3.1): in the body (post) or in a header (basic).",
    )


Auth = Annotated[ApiKeyAuth | BasicAuth | OAuth2Auth, Field(discriminator="auth_type")]


class Credentials(Record):
    """What authentication adds to a handshake request. The values are secrets and are not part of `repr`."""

    not_in_repr: ClassVar = ("headers", "query")
    headers: tuple[tuple[str, str], ...] = ()
    query: tuple[tuple[str, str], ...] = ()


def credentials_for(auth: ApiKeyAuth | BasicAuth | OAuth2Auth | None, token: str | None = None) -> Credentials:
    """Return the headers and query parameters for `auth`.

    Args:
        auth: The credentials of the call template, or None for an endpoint without authentication.
        token: The fetched OAuth2 token; without it, `OAuth2Auth` adds nothing.
    """
    if isinstance(auth, ApiKeyAuth):
        pair = (auth.var_name, auth.api_key.get_secret_value())
        if auth.location == "query":
            return Credentials(query=(pair,))
        if auth.location == "cookie":
            return Credentials(headers=(("Cookie", "=".join(pair)),))
        return Credentials(headers=(pair,))
    if isinstance(auth, BasicAuth):
        user_pass = f"{auth.username}:{auth.password.get_secret_value()}".encode()
        return Credentials(headers=(("Authorization", "Basic " + base64.b64encode(user_pass).decode()),))
    if isinstance(auth, OAuth2Auth) and token is not None:
        return Credentials(headers=(("Authorization", f"Bearer {token}"),))
    return Credentials()
