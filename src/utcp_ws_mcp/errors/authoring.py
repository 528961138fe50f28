"""What an agent may not do with the tools of `author`."""

from __future__ import annotations

from collections.abc import Sequence

from .policy import PolicyError


class AuthoringRefused(PolicyError):
    """What an agent may not do with the tools of `author`, or asked for in a form that cannot be used."""

    code = "invalid-author-arguments"


class HostNotAllowed(AuthoringRefused):
    """Hosts that the operator has not allowed; each is `HOST:PORT`."""

    code = "host-not-allowed"

    def __init__(self, hosts: Sequence[str]) -> None:
        self.hosts = tuple(hosts)
        options = " ".join(f"--allow-host {host}" for host in hosts)
        super().__init__(
            f"no connection to {', '.join(hosts)}: the operator has not allowed it. Ask the person whom you work for; "
            f"they allow it with: utcp-ws-mcp author FOLDER {options}."
        )


class VariableNotAllowed(AuthoringRefused):
    """Variables that are not set, or that hosts may not get."""

    code = "variable-not-allowed"

    def __init__(self, names: Sequence[str], hosts: Sequence[str]) -> None:
        self.names, self.hosts = tuple(names), tuple(hosts)
        listed, options = (
            ", ".join(names),
            " ".join(f"--allow-variable {name}@{host}" for name in names for host in hosts),
        )
        super().__init__(
            f"nothing is sent: {listed} may not be sent to {', '.join(hosts)}, or is not set. Ask the person whom you "
            f"work for; they set it in the environment or with --env-file, and allow it with: {options}."
        )
