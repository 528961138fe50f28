"""What the operator allows an agent: hosts to connect to, and variables to send to them.

Variables are bound to hosts, because an endpoint may tell a model to send the secrets of another one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import ClassVar, Final, Self

from ..core.network_policy import URL, classify_address, parse_ip
from ..errors import AuthoringRefused, HostNotAllowed, VariableNotAllowed
from ..records import MutableRecord, Record, field

_HOST: Final = re.compile(r"(?P<host>\[[0-9A-Fa-f:]+\]|[A-Za-z0-9._*-]+)(?::(?P<port>[0-9]{1,5}))?\Z")
_VARIABLE: Final = re.compile(r"(?P<name>[A-Za-z_][A-Za-z0-9_]*)@(?P<host>.+)\Z")
_LOCAL_NAME: Final = re.compile(r"[^.]+\Z|.*\.(?:local|lan|home|internal|home\.arpa)\.?\Z")
"""Names of machines in the own network."""


class HostPattern(Record):
    """`HOST` or `HOST:PORT`, where `*` in HOST stands for any characters. Without a port, every port is meant.

    `*` stands for names; an address must be written, or be part of the pattern as in `192.168.1.*`.
    """

    host: str
    port: int | None = None

    @classmethod
    def parse(cls, text: str, option: str = "--allow-host") -> Self:
        """Return the pattern that a text stands for.

        Raises:
            AuthoringRefused: if it is none.
        """
        found = _HOST.match(text)
        is_host = found is not None and (found["host"][0] != "[" or parse_ip(found["host"][1:-1]) is not None)
        if found is None or not is_host or int(found["port"] or 1) not in range(1, 65536):
            example = "such as api.example.com, *.example.com or localhost:8765, without ws://"
            raise AuthoringRefused(f"{option} {text!r}: expected HOST or HOST:PORT, {example}.", code="invalid-grant")
        return cls(found["host"].strip("[]").lower(), int(found["port"]) if found["port"] else None)

    @classmethod
    def of(cls, url: URL) -> Self:
        """Return the pattern that only the host and the port of a URL match."""
        return cls(url.host, url.port)

    def matches(self, url: URL) -> bool:
        """Return whether the pattern allows the host and the port of a URL."""
        if self.port not in (None, url.port):
            return False
        return url.host == self.host or (self._covers(url) and fnmatchcase(url.host, self.host))

    def _covers(self, url: URL) -> bool:
        """Return whether `*` may stand for parts of a host: not of this machine, and only for digits of an address."""
        is_address = parse_ip(url.host) is not None
        return not url.is_loopback_literal and (not is_address or self.host.replace("*", "").replace(".", "").isdigit())

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port is None else f"{host}:{self.port}"


class VariableGrant(Record):
    """`NAME@HOST`: the variable NAME may be sent to the hosts of a pattern."""

    name: str
    host: HostPattern

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the grant that a text stands for.

        Raises:
            AuthoringRefused: if it is none.
        """
        found = _VARIABLE.match(text)
        if found is None:
            example = "such as API_TOKEN@api.example.com"
            raise AuthoringRefused(
                f"--allow-variable {text!r}: expected NAME@HOST, {example}: a variable and the host that may get it.",
                code="invalid-grant",
            )
        return cls(found["name"], HostPattern.parse(found["host"], "--allow-variable"))

    def __str__(self) -> str:
        return f"{self.name}@{self.host}"


class Grants(MutableRecord):
    """What is allowed now. A person may add to it while the server runs.

    Attributes:
        hosts: The hosts that may be connected to.
        variables: The variables that hosts may get.
        environ: The values of all variables; only those that `variables` names are used.
        allow_private: Whether a host that is no IP address and no local name may have a private address.
    """

    not_in_repr: ClassVar = ("environ",)
    hosts: list[HostPattern] = field(default_factory=list)
    variables: list[VariableGrant] = field(default_factory=list)
    environ: Mapping[str, str] = field(default_factory=dict)
    allow_private: bool = False

    def check_url(self, url: URL) -> None:
        """Check that the host of a URL may be connected to.

        Raises:
            HostNotAllowed: if it may not.
        """
        self.check_urls([url])

    def check_urls(self, urls: Iterable[URL]) -> None:
        """Check that the hosts of URLs may be connected to.

        Raises:
            HostNotAllowed: with all hosts that may not.
        """
        refused = dict.fromkeys(str(HostPattern.of(url)) for url in urls if not self._allows(url))
        if refused:
            raise HostNotAllowed(tuple(refused))

    def check_addresses(self, host: str, addresses: Sequence[str]) -> None:
        """Check the addresses of a name: a public name must not lead into the network of the operator.

        The manifest says which addresses it allows, but here the agent writes the manifest.

        Raises:
            AuthoringRefused: if one of them is not public, and nothing says that it may be.
        """
        if self.allow_private or _LOCAL_NAME.match(host):
            return
        for text in addresses:
            address = parse_ip(text)
            kind = classify_address(address) if address is not None else "special"
            if kind != "public":
                cause = f"it resolves to the {kind} address {text}, and is no name of the own network"
                raise AuthoringRefused(
                    f"{host}: connection blocked because {cause}. The operator allows it with --allow-private.",
                    code="address-not-allowed",
                )

    def names(self) -> frozenset[str]:
        """Return the variables that some host may get, and that are set."""
        return frozenset(each.name for each in self.variables if each.name in self.environ)

    def may_send(self, name: str, urls: Iterable[URL]) -> bool:
        """Return whether every one of these hosts may get a variable."""
        granted = [each.host for each in self.variables if each.name == name]
        return all(any(pattern.matches(url) for pattern in granted) for url in urls)

    def values(self, names: Iterable[str]) -> dict[str, str]:
        """Return the values of variables, for what is sent."""
        return {name: self.environ[name] for name in names if name in self.environ}

    def secrets(self) -> list[str]:
        """Return the values of all variables that some host may get, for redaction."""
        return list(self.values(self.names()).values())

    def values_for(self, names: Iterable[str], url: URL) -> dict[str, str]:
        """Return the values of the variables that are used in what is sent to a URL.

        Raises:
            VariableNotAllowed: if the host may not get one of them, or it is not set.
        """
        used = list(dict.fromkeys(names))
        refused = [name for name in used if name not in self.environ or not self.may_send(name, [url])]
        if refused:
            raise VariableNotAllowed(tuple(refused), (str(HostPattern.of(url)),))
        return self.values(used)

    def _allows(self, url: URL) -> bool:
        return any(pattern.matches(url) for pattern in self.hosts)
