"""Which headers of a request bring the values of the caller's variables (`--caller-variable NAME=HEADER`)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Final

from ...errors import CallerValueMissing, CallerValueRefused, ServeOptionsError
from ...manifest.caller_variables import MAX_VALUE_LENGTH, MIN_VALUE_LENGTH, USABLE_VALUE, stand_in
from ...manifest.variables import CallerValues
from ...records import Record
from ..http.security import Headers

MAX_VARIABLES: Final = 16

_OPTION: Final = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)=([A-Za-z0-9!#$%&'*+.^_`|~-]{1,64})")
_RESERVED: Final = frozenset(
    {"accept", "authorization", "connection", "cookie", "date", "expect", "forwarded", "from", "host", "keep-alive"}
    | {"last-event-id", "origin", "range", "referer", "te", "trailer", "transfer-encoding", "upgrade", "user-agent"}
    | {"via"}
)
_RESERVED_PREFIXES: Final = ("accept-", "access-control-", "content-", "if-", "mcp-", "proxy-", "sec-", "x-forwarded-")
"""Headers with a meaning of their own. The token in Authorization is for this server; MCP forbids to pass it on."""

_FORM: Final = (
    f"is not usable: expected once, with {MIN_VALUE_LENGTH} to {MAX_VALUE_LENGTH:,} letters, digits and "
    "- . _ ~ + / = : @ ! $ *, without a scheme such as Bearer"
)

GivenValues = Mapping[str, Sequence[bytes]]
"""What the headers of a request bring, by the names of the variables: unchecked."""


class CallerVariables(Record, dict=True):
    """The variables of callers.

    Attributes:
        headers: The header that brings each variable, as the operator wrote it.
    """

    headers: Mapping[str, str]

    @cached_property
    def _names(self) -> Mapping[bytes, Sequence[str]]:
        names: dict[bytes, list[str]] = {}
        for name, header in self.headers.items():
            names.setdefault(header.lower().encode(), []).append(name)
        return names

    @property
    def stand_ins(self) -> CallerValues:
        """Return what takes the place of the values when a manifest is loaded."""
        return CallerValues(lambda name: stand_in(name) if name in self.headers else None, are_stand_ins=True)

    def read(self, headers: Headers) -> GivenValues:
        """Return what the headers of a request bring."""
        found: dict[str, list[bytes]] = {}
        for header, value in headers:
            for name in self._names.get(header, ()):
                found.setdefault(name, []).append(value)
        return found

    def take(self, tool: str, names: frozenset[str], given: GivenValues) -> dict[str, str]:
        """Return the values that a tool needs.

        Args:
            tool: The name of the tool, for errors.
            names: The variables.
            given: What the request brought.

        Raises:
            CallerValueMissing: if a header is not there.
            CallerValueRefused: if one occurs twice, or its value cannot be used.
        """
        if missing := list(dict.fromkeys(self.headers[name] for name in sorted(names) if not given.get(name))):
            raise CallerValueMissing(tool, missing)
        values: dict[str, str] = {}
        for name in sorted(names):
            text = given[name][0].decode("latin-1").strip(" \t")
            if len(given[name]) > 1 or not USABLE_VALUE.fullmatch(text):
                raise CallerValueRefused(tool, [self.headers[name]], _FORM)
            values[name] = text
        return values


def parse_caller_variables(options: Sequence[str]) -> CallerVariables | None:
    """Return the variables that the options name; None without options.

    Raises:
        ServeOptionsError: if one is malformed, names a variable twice, or a header with a meaning of its own.
    """
    headers: dict[str, str] = {}
    for option in options:
        found = _OPTION.fullmatch(option)
        if found is None:
            raise _invalid(option, "expected NAME=HEADER, such as API_TOKEN=X-Api-Token")
        name, header = found.groups()
        if header.lower() in _RESERVED or header.lower().startswith(_RESERVED_PREFIXES):
            raise _invalid(
                option, f"the header {header} has a meaning of its own. Choose another one, such as X-Api-Token"
            )
        if name in headers:
            raise _invalid(option, f"{name} comes from {headers[name]} already. Remove one of them")
        headers[name] = header
    if len(headers) > MAX_VARIABLES:
        raise _invalid(options[-1], f"at most {MAX_VARIABLES} variables are possible")
    return CallerVariables(headers) if headers else None


def _invalid(option: str, reason: str) -> ServeOptionsError:
    return ServeOptionsError(f"--caller-variable {option}: {reason}.", code="invalid-caller-variable")
