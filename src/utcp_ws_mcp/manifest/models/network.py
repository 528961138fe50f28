"""Which endpoints may be reached, how TLS is checked, and the limits of connections (section 9)."""

from pydantic import Field

from .base import Model


class Network(Model):
    """Which addresses are allowed in addition to public addresses over TLS."""

    allow: tuple[str, ...] = Field(
        (),
        description="Additional addresses: private, loopback, an IP address, or a network such as 192.168.0.0/24.",
    )
    plaintext: bool = Field(
        False,
        description="Whether ws:// may be used beyond this machine, where others on the network path can read and "
        "change all messages.",
    )


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
    insecure: bool = Field(
        False,
        description="Whether any certificate is accepted, so that others on the network path can impersonate the "
        "endpoint.",
    )


class Limits(Model):
    """Limits of the connections of an endpoint: bytes, counts, seconds."""

    max_message_bytes: int = Field(16 << 20, ge=1024, description="The maximum size of an incoming message in bytes.")
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
