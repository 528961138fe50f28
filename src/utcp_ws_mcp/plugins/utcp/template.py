"""A WebSocket call template as `utcp` holds it, and the document of the manifest language that it stands for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, Literal, Self

from pydantic import ConfigDict, Field, ValidationError, field_validator, model_validator
from utcp.data.auth import Auth
from utcp.data.auth_implementations import OAuth2Auth
from utcp.data.call_template import CallTemplate
from utcp.exceptions import UtcpSerializerValidationError
from utcp.interfaces.serializer import Serializer

from ...core.network_policy import check_scheme, parse_url
from ...errors import ForbiddenURL
from ...manifest.models.base import Json
from ...manifest.models.network import Network
from ...manifest.variables import WHOLE_STRING_VARIABLE

WEBSOCKET: Final = "websocket"

DOLLAR: Final = "DOLLAR"
"""The variable that stands for a dollar sign which is none of a variable."""

_CLIENT_FIELDS: Final = {"allowed_communication_protocols"}
"""What the client itself heeds."""


class TokenAuth(OAuth2Auth):  # type: ignore[misc]  # utcp ships no types
    """OAuth2 with the fields that the manifest language adds: `audience` and `auth_method`."""

    model_config = ConfigDict(extra="allow")


class WebSocketCallTemplate(CallTemplate):  # type: ignore[misc]  # utcp ships no types
    """A call template of the manifest language. The fields that UTCP names have its defaults; others are kept."""

    model_config = ConfigDict(extra="allow", hide_input_in_errors=True)

    call_template_type: Literal["websocket"] = WEBSOCKET
    url: str
    message: str | dict[str, Any] | list[Any] | None = None
    protocol: str | list[str] | None = None
    keep_alive: bool = True
    response_format: Literal["json", "text", "raw"] | None = None
    timeout: float = Field(30, gt=0)
    headers: dict[str, str] | None = None
    header_fields: list[str] | None = None

    def __repr_args__(self) -> Iterable[tuple[str | None, Any]]:
        return (("name", self.name),)

    @model_validator(mode="after")
    def _check_url(self) -> Self:
        """Refuse a URL that can never be used; one with variables or placeholders is checked when it is registered."""
        if not any(sign in self.url for sign in ("$", "{{", "UTCP_ARG_")):
            network = Network.model_validate((self.model_extra or {}).get("network") or {})
            try:
                check_scheme(parse_url(self.url), network)
            except ForbiddenURL as wrong:
                raise ValueError(f"this WebSocket URL cannot be used: {wrong}") from None
        return self

    @field_validator("auth", mode="before")
    @classmethod
    def _validate_auth_fields(cls, auth: Any) -> Auth | None:
        if isinstance(auth, dict) and auth.get("auth_type") == "oauth2":
            return TokenAuth.model_validate(auth)
        return CallTemplate.validate_auth(auth)


class WebSocketCallTemplateSerializer(Serializer[CallTemplate]):  # type: ignore[misc]  # utcp ships no types
    """Call templates from and to documents; also those that are objects of `utcp-websocket`."""

    def to_dict(self, obj: CallTemplate) -> dict[str, Any]:
        """What was written, with the name that the client gave it."""
        written: dict[str, Any] = obj.model_dump(exclude_unset=True)
        return {**written, "name": obj.name, "call_template_type": WEBSOCKET}

    def validate_dict(self, obj: dict[str, Any]) -> WebSocketCallTemplate:
        """Read a document.

        Raises:
            UtcpSerializerValidationError: where a field is of another type, or the URL cannot be used.
        """
        try:
            template: WebSocketCallTemplate = WebSocketCallTemplate.model_validate(obj)
        except ValidationError as wrong:
            found = (f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in wrong.errors(include_input=False))
            raise UtcpSerializerValidationError("; ".join(found)) from None
        return template


def to_manifest(template: CallTemplate) -> dict[str, Json]:
    """The document of a call template whose variables the client has put in: no dollar sign is a variable's any more.

    Nothing is pinned unless it asks for that: the client asks for a manual each time, and has nobody who approves.
    """
    written = WebSocketCallTemplateSerializer().to_dict(template)
    document = {key: escape_dollars(value) for key, value in written.items() if key not in _CLIENT_FIELDS}
    return {"pin": "off", **document}


def escape_dollars(value: Json) -> Json:
    """A value, written so that the manifest language reads it as it stands here."""
    if isinstance(value, str):
        return f"${{{DOLLAR}}}{value[1:]}" if WHOLE_STRING_VARIABLE.match(value) else value.replace("${", "$${")
    if isinstance(value, Mapping):
        return {key: escape_dollars(item) for key, item in value.items()}
    return [escape_dollars(item) for item in value] if isinstance(value, list | tuple) else value
