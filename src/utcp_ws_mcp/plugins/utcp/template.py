"""WebSocket call templates as objects of `utcp`, and as documents of the manifest language."""

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
"""The variable for a literal dollar sign."""

_CLIENT_FIELDS: Final = {"allowed_communication_protocols"}
"""Fields that the client itself evaluates."""


class TokenAuth(OAuth2Auth):  # type: ignore[misc]  # utcp ships no types
    """OAuth2 with the additional fields of the manifest language: `audience` and `auth_method`."""

    model_config = ConfigDict(extra="allow")


class WebSocketCallTemplate(CallTemplate):  # type: ignore[misc]  # utcp ships no types
    """A call template of the manifest language. Fields of UTCP have its defaults; all others are preserved."""

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
        """Reject a URL that can never be used. One with variables or placeholders is checked at registration."""
        if not any(sign in self.url for sign in ("$", "{{", "UTCP_ARG_")):
            network = Network.model_validate((self.model_extra or {}).get("network") or {})
            try:
                check_scheme(parse_url(self.url), network)
            except ForbiddenURL as forbidden:
                raise ValueError(f"this WebSocket URL cannot be used: {forbidden}") from None
        return self

    @field_validator("auth", mode="before")
    @classmethod
    def _validate_auth_fields(cls, auth: Any) -> Auth | None:
        if isinstance(auth, dict) and auth.get("auth_type") == "oauth2":
            return TokenAuth.model_validate(auth)
        return CallTemplate.validate_auth(auth)


class WebSocketCallTemplateSerializer(Serializer[CallTemplate]):  # type: ignore[misc]  # utcp ships no types
    """Converts call templates from and to documents, also call templates of `utcp-websocket`."""

    def to_dict(self, obj: CallTemplate) -> dict[str, Any]:
        """Return the fields that were set, and the name that the client assigned."""
        fields: dict[str, Any] = obj.model_dump(exclude_unset=True)
        return {**fields, "name": obj.name, "call_template_type": WEBSOCKET}

    def validate_dict(self, obj: dict[str, Any]) -> WebSocketCallTemplate:
        """Return the call template of a document.

        Raises:
            UtcpSerializerValidationError: If a field has another type, or the URL cannot be used.
        """
        try:
            template: WebSocketCallTemplate = WebSocketCallTemplate.model_validate(obj)
        except ValidationError as invalid:
            errors = invalid.errors(include_input=False)
            problems = (f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in errors)
            raise UtcpSerializerValidationError("; ".join(problems)) from None
        return template


def to_manifest(template: CallTemplate) -> dict[str, Json]:
    """Return the document of a call template whose variables the client has already replaced.

    Tools are not pinned by default: the client requests the manual each time, and has no way to approve a tool.
    """
    fields = WebSocketCallTemplateSerializer().to_dict(template)
    document = {key: escape_dollars(value) for key, value in fields.items() if key not in _CLIENT_FIELDS}
    return {"pin": "off", **document}


def escape_dollars(value: Json) -> Json:
    """Return a value in which no dollar sign begins a variable of the manifest language."""
    if isinstance(value, str):
        return f"${{{DOLLAR}}}{value[1:]}" if WHOLE_STRING_VARIABLE.match(value) else value.replace("${", "$${")
    if isinstance(value, Mapping):
        return {key: escape_dollars(item) for key, item in value.items()}
    return [escape_dollars(item) for item in value] if isinstance(value, list | tuple) else value
