"""Which endpoints may be reached, how TLS is checked, and the limits of connections (section 9)."""

import re
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, field_validator, model_validator

from .base import FieldError, Model, OneOrMore


class Network(Model):
    """Which addresses are allowed in addition to public addresses over TLS."""

    allow: tuple[str, ...] = Field(
        (),
        description="Additional addresses: private, loopback, an IP address, or a network such as 192.168.0.0/24 or "
        "fe80::/10.",
    )
    plaintext: bool = Field(
        False,
        description="Whether ws://, and http:// in the endpoint's own network, may be used beyond this machine, where "
        "others on the network path can read and change all messages.",
    )


def _hex_digits(value: object) -> object:
    """Return fingerprints as lower-case hex without colons, the form in which they are compared."""
    listed = (value,) if isinstance(value, str) else value
    if not isinstance(listed, list | tuple):
        return value
    digits = [re.sub(r"^sha256[:/]|[:\s]", "", each.lower()) if isinstance(each, str) else each for each in listed]
    if not all(isinstance(each, str) and re.fullmatch("[0-9a-f]{64}", each) for each in digits):
        message = "expected the SHA-256 of a certificate: 64 hexadecimal digits."
        raise FieldError(message, code="invalid-value")
    return tuple(digits)


Fingerprints = Annotated[OneOrMore, BeforeValidator(_hex_digits, json_schema_input_type=str | tuple[str, ...])]


class Tls(Model):
    """Certificates of the endpoint and of this client; paths are relative to the manifest."""

    ca_file: str | None = Field(
        None, description="The file of CA certificates (PEM) that are trusted in addition to those of the system."
    )
    client_cert: str | None = Field(None, description="The file of the client certificate (PEM).")
    client_key: str | None = Field(
        None,
        description="The file of the private key (PEM) of the client certificate, unless client_cert contains it.",
    )
    server_name: str | None = Field(
        None, description="The name that the certificate must have and that TLS asks for (SNI), instead of the URL's."
    )
    check_hostname: bool = Field(
        True,
        description="Whether the certificate must have the name of the endpoint; false needs ca_file or fingerprint, "
        "and the authorities of the system are not trusted then.",
    )
    fingerprint: Fingerprints = Field(
        (),
        description="The SHA-256 of the endpoint's certificate in hex: only this certificate is accepted, whatever its "
        "name and authority; a list while one replaces another.",
    )
    insecure: bool = Field(
        False,
        description="Whether any certificate is accepted, so that others on the network path can impersonate the "
        "endpoint.",
    )

    @field_validator("server_name")
    @classmethod
    def _is_name(cls, value: str | None) -> str | None:
        if value is not None and not re.fullmatch(r"[A-Za-z0-9_]([A-Za-z0-9_.-]{0,251}[A-Za-z0-9_])?", value):
            raise FieldError("expected the name of a host, without a port.", code="invalid-value")
        return value

    @model_validator(mode="after")
    def _require_authority(self) -> Self:
        if not self.check_hostname and not (self.ca_file or self.fingerprint):
            message = (
                'is false, but nothing says which certificate is right. Write its file as "ca_file", or its SHA-256 as '
                '"fingerprint".'
            )
            raise FieldError(message, code="certificate-required")
        return self


class Limits(Model):
    """Limits of the connections of an endpoint: bytes, counts, seconds."""

    max_message_bytes: int = Field(
        16 << 20, ge=1024, description="The maximum size in bytes of an incoming message, and of what it inflates to."
    )
    max_in_flight: int = Field(64, ge=1, description="The maximum number of concurrent calls on a shared connection.")
    max_connections: int = Field(
        4, ge=1, description="The maximum number of open connections with the same URL, headers and login."
    )
    connect_timeout: float = Field(10, gt=0, description="The timeout for opening a connection in seconds.")
    ping_interval: float = Field(20, ge=0, description="Seconds between WebSocket pings; 0 sends none.")
    ping_timeout: float = Field(20, gt=0, description="Seconds to wait for the answer to a ping.")
    requests_per_second: float | None = Field(
        None, gt=0, description="The maximum number of requests per second; further requests wait."
    )
    scope: Literal["fleet", "replica"] = Field(
        "fleet",
        description="Whether the replicas of serve --shared together keep requests_per_second and a max_connections of "
        "1, and open each feed once, or each replica for itself.",
    )
