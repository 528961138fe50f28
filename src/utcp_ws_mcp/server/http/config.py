"""The options of `serve --http`: parsed, checked against each other, and turned into a listening socket."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from ipaddress import ip_address
from typing import ClassVar, Final
from urllib.parse import urlsplit

from ...errors import ServeOptionsError
from ...records import Record
from ..auth.caller_variables import CallerVariables
from ..auth.options import OAuthOptions, OAuthSettings, check_oauth_options
from .defaults import DEFAULT_HOST, DEFAULT_MAX_SESSIONS, TOKEN_VARIABLE
from .security import Authority, HttpAccessPolicy, Origin, parse_authority, parse_origin

LISTEN_BACKLOG: Final = 2048


class SharedOptions(Record):
    """The options of the shared store: URL, name of the fleet, key of the tokens, and where URL and key were given."""

    not_in_repr: ClassVar = ("url", "key")
    url: str
    source: str
    fleet: str
    key: str | None = None
    key_source: str = ""


class HttpOptions(Record):
    """The options of the command line. `address` is `[HOST:]PORT`; `token` is None if none was given."""

    not_in_repr: ClassVar = ("token",)
    address: str
    token: str | None = None
    no_auth: bool = False
    allowed_hosts: Sequence[str] = ()
    allowed_origins: Sequence[str] = ()
    stateless: bool = False
    max_sessions: int = DEFAULT_MAX_SESSIONS
    oauth: OAuthOptions | None = None
    shared: SharedOptions | None = None
    caller_variables: CallerVariables | None = None


class ListenAddress(Record):
    """An IP address and a port to listen on; port 0 is any free one."""

    host: str
    port: int

    @property
    def is_loopback(self) -> bool:
        """Return whether only this machine can reach the address."""
        return ip_address(self.host).is_loopback

    @property
    def is_unspecified(self) -> bool:
        """Return whether the address means all addresses of this machine."""
        return ip_address(self.host).is_unspecified

    @property
    def url_host(self) -> str:
        """Return the host as written in a URL."""
        return f"[{self.host}]" if ":" in self.host else self.host


def parse_address(text: str) -> ListenAddress:
    """Parse `PORT` (on loopback), `HOST:PORT` or `[IPV6]:PORT`.

    Raises:
        ServeOptionsError: if the text is none of them.
    """
    host, _, port = text.rpartition(":")
    host = {"": DEFAULT_HOST, "localhost": DEFAULT_HOST}.get(host, host.removeprefix("[").removesuffix("]"))
    try:
        address = ListenAddress(str(ip_address(host)), int(port) if port.isascii() and port.isdigit() else -1)
    except ValueError:
        address = ListenAddress("", -1)
    if not 0 <= address.port < 1 << 16 or text.startswith(":"):
        raise ServeOptionsError(
            f"cannot listen on {text}: expected PORT, or HOST:PORT with an IP address or localhost, "
            "such as 8080, 0.0.0.0:8080 or [::1]:8080.",
            code="invalid-listen-address",
        )
    return address


def check_token(options: HttpOptions, address: ListenAddress) -> str | None:
    """Return the token to require; None if loopback is served without one, or access tokens are required instead.

    Raises:
        ServeOptionsError: if there is none, or if it cannot be sent in a header.
    """
    if options.no_auth and options.oauth is not None:
        raise ServeOptionsError(
            "--no-auth and --issuer contradict each other. Remove one of them.", code="oauth-options-conflict"
        )
    if options.oauth is not None and options.token is None:
        return None
    if options.no_auth:
        if not address.is_loopback:
            raise ServeOptionsError(
                f"--no-auth is for loopback only: {address.url_host} can be reached from other machines. Set a token.",
                code="no-auth-not-allowed",
            )
        if options.token is not None:
            raise ServeOptionsError(
                f"--no-auth and a token contradict each other. Remove one of them ({TOKEN_VARIABLE} is set).",
                code="no-auth-not-allowed",
            )
        return None
    if options.token is None:
        raise ServeOptionsError(
            f"serve --http needs a token. Set {TOKEN_VARIABLE}, or pass --token-file FILE "
            "(`openssl rand -hex 32` prints a good token). On loopback, --no-auth serves without a token.",
            code="token-required",
        )
    if not options.token or not all("!" <= char <= "~" for char in options.token):
        raise ServeOptionsError(
            f"the token of --token-file or {TOKEN_VARIABLE} must be visible ASCII characters without spaces, at least "
            "one",
            code="invalid-token",
        )
    return options.token


def make_access_policy(
    options: HttpOptions, address: ListenAddress, port: int, token: str | None, audience: str | None = None
) -> HttpAccessPolicy:
    """Return the rules for requests: the server's own addresses with `port`, and the allowed hosts and origins.

    `audience` is the URL that clients use with access tokens: its host is allowed.

    Raises:
        ServeOptionsError: if an allowed host or origin is malformed, or if no Host would be accepted.
    """
    if address.is_unspecified and not options.allowed_hosts and audience is None:
        raise ServeOptionsError(
            f"{address.url_host} is every address of this machine, so the name that clients use is not known. "
            "Add it with --allowed-host NAME[:PORT].",
            code="allowed-host-required",
        )
    own: list[Authority] = [] if address.is_unspecified else [(address.url_host, port)]
    own += [(name, port) for name in ("127.0.0.1", "localhost", "[::1]")] if address.is_loopback else []
    hosts = [*own, *(_parse_allowed_host(text) for text in options.allowed_hosts)]
    if audience is not None:
        hosts.append(_parse_allowed_host(urlsplit(audience).netloc))
    origins: list[Origin] = [("http", *authority) for authority in own]
    origins += [_parse_allowed_origin(text) for text in options.allowed_origins]
    return HttpAccessPolicy(frozenset(hosts), frozenset(origins), token)


def _parse_allowed_host(text: str) -> Authority:
    authority = parse_authority(text)
    if authority is None:
        raise ServeOptionsError(
            f"--allowed-host {text}: expected NAME or NAME:PORT, such as mcp.example.com", code="invalid-allowed-host"
        )
    return authority


def _parse_allowed_origin(text: str) -> Origin:
    origin = parse_origin(text)
    if origin is None:
        raise ServeOptionsError(
            f"--allowed-origin {text}: expected SCHEME://NAME[:PORT], such as https://app.example.com",
            code="invalid-allowed-origin",
        )
    return origin


class HttpListener(Record):
    """A listening socket with the rules for requests; `url` has no path."""

    sock: socket.socket
    access_policy: HttpAccessPolicy
    url: str
    is_loopback: bool
    stateless: bool
    max_sessions: int
    oauth: OAuthSettings | None = None
    caller_variables: CallerVariables | None = None


@contextmanager
def bind_listener(options: HttpOptions) -> Iterator[HttpListener]:
    """Listen as the options say, until the block ends.

    Raises:
        ServeOptionsError: if the options are invalid, or the address cannot be used.
    """
    address = parse_address(options.address)
    token = check_token(options, address)
    oauth = check_oauth_options(options.oauth) if options.oauth is not None else None
    audience = oauth.audience if oauth is not None else None
    with listen(address) as listener:
        port = listener.getsockname()[1]
        policy, url = make_access_policy(options, address, port, token, audience), f"http://{address.url_host}:{port}"
        yield HttpListener(
            listener,
            policy,
            url,
            address.is_loopback,
            options.stateless,
            options.max_sessions,
            oauth,
            options.caller_variables,
        )


def listen(address: ListenAddress) -> socket.socket:
    """Return a listening socket.

    Raises:
        ServeOptionsError: if the address is in use, is not one of this machine, or is not permitted.
    """
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    # asyncio sets TCP_NODELAY only on sockets whose protocol is named; without it, small answers are delayed.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        if os.name == "posix":
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind((address.host, address.port))
        listener.listen(LISTEN_BACKLOG)
    except OSError as failed:
        listener.close()
        reason = os.strerror(failed.errno) if failed.errno else "the address cannot be used"
        message = f"cannot listen on {address.url_host}:{address.port}: {reason}. {_LISTEN_REMEDY}"
        raise ServeOptionsError(message, code="cannot-listen") from failed
    return listener


_LISTEN_REMEDY: Final = "Choose another port with --port, or an address of this machine with --host."
