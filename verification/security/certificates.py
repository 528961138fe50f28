"""S12: a certificate that does not fit is refused with an error that says so, and one that fits is accepted.

Endpoints with certificates of many kinds stand on loopback. Oracle: whether the endpoint's WebSocket is opened at all
(no request may reach a server that was not verified), the class of the error, and the word in it that names the cause.
"""

from __future__ import annotations

import datetime
import ssl
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import trustme

from utcp_ws_mcp import BridgeError
from utcp_ws_mcp.errors import ConnectError
from verification.harness.command import Size, run
from verification.harness.figure import Figure
from verification.security.bridges import JSONObject, open_bridge
from verification.security.endpoint import endpoint

DAY: Final = datetime.timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Case:
    """An endpoint, and the words of the error that a call must end with; none where it must succeed."""

    name: str
    context: ssl.SSLContext
    words: str = ""
    tls: JSONObject = field(default_factory=lambda: {"ca_file": "ca.pem"})
    host: str = "localhost"


def server_context(certificate: trustme.LeafCert) -> ssl.SSLContext:
    """A server's context with this certificate."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    certificate.configure_cert(context)
    return context


def cases(folder: Path) -> Iterator[Case]:
    """All of them; the certificate files are in the folder."""
    authority, other = trustme.CA(), trustme.CA()
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    for name, issuer in (("client", authority), ("stranger", other)):
        issuer.issue_cert("client.example").private_key_and_cert_chain_pem.write_to_path(str(folder / f"{name}.pem"))
    good = authority.issue_cert("localhost")
    yield from _refused(authority, other, good)
    yield Case("own authority", server_context(good))
    yield Case("address in the certificate", server_context(authority.issue_cert("127.0.0.1")), host="127.0.0.1")
    yield Case("wildcard", server_context(authority.issue_cert("*.example", "localhost")))
    yield Case("insecure", server_context(other.issue_cert("localhost")), tls={"insecure": True})
    yield Case(
        "client certificate",
        _client_cert_context(good, authority),
        tls={"ca_file": "ca.pem", "client_cert": "client.pem"},
    )


def _refused(authority: trustme.CA, other: trustme.CA, good: trustme.LeafCert) -> Iterator[Case]:
    now = datetime.datetime.now(datetime.UTC)
    invalid = "certificate is not valid"
    yield Case("unknown authority", server_context(good), invalid, tls={})
    yield Case("other authority", server_context(other.issue_cert("localhost")), invalid)
    yield Case("self-signed", _self_signed(), invalid)
    yield Case("other host", server_context(authority.issue_cert("example.org")), invalid)
    yield Case("other host below", server_context(authority.issue_cert("*.localhost")), invalid)
    yield Case("name for an address", server_context(good), invalid, host="127.0.0.1")
    yield Case("other address", server_context(authority.issue_cert("127.0.0.2")), invalid, host="127.0.0.1")
    expired = authority.issue_cert("localhost", not_before=now - 2 * DAY, not_after=now - DAY)
    yield Case("expired", server_context(expired), "expired")
    early = authority.issue_cert("localhost", not_before=now + DAY, not_after=now + 2 * DAY)
    yield Case("not yet valid", server_context(early), "not yet valid")
    yield Case("TLS 1.0", _outdated_context(good, ssl.TLSVersion.TLSv1), "TLS")
    yield Case("TLS 1.1", _outdated_context(good, ssl.TLSVersion.TLSv1_1), "TLS")
    mutual = {"ca_file": "ca.pem", "client_cert": "stranger.pem"}
    yield Case("no client certificate", _client_cert_context(good, authority), "client certificate")
    yield Case(
        "no client certificate, TLS 1.2",
        _client_cert_context(good, authority, ssl.TLSVersion.TLSv1_2),
        "client certificate",
    )
    yield Case("a stranger's client certificate", _client_cert_context(good, authority), "client certificate", mutual)


def _self_signed() -> ssl.SSLContext:
    """A server whose certificate is an authority's own."""
    authority = trustme.CA()
    with authority.private_key_pem.tempfile() as key, authority.cert_pem.tempfile() as certificate:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(certificate, key)
    return context


def _outdated_context(certificate: trustme.LeafCert, version: ssl.TLSVersion) -> ssl.SSLContext:
    """A server that speaks nothing newer."""
    context = server_context(certificate)
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
        context.maximum_version = version
    return context


def _client_cert_context(
    certificate: trustme.LeafCert, authority: trustme.CA, newest: ssl.TLSVersion | None = None
) -> ssl.SSLContext:
    """A server that wants a client certificate of an authority."""
    context = server_context(certificate)
    context.verify_mode = ssl.CERT_REQUIRED
    context.maximum_version = newest or ssl.TLSVersion.MAXIMUM_SUPPORTED
    authority.configure_trust(context)
    return context


async def measure(size: Size) -> Sequence[Figure]:
    """Every case."""
    wrong: dict[bool, list[str]] = {True: [], False: []}
    tried = {True: 0, False: 0}
    with TemporaryDirectory() as name:
        for case in cases(Path(name)):
            tried[bool(case.words)] += 1
            wrong[bool(case.words)] += await _check_case(case, Path(name))
    return [
        Figure("S12", "certificates that must be refused", *_shown(wrong[True], tried[True])),
        Figure("S12", "certificates that must be accepted", *_shown(wrong[False], tried[False])),
    ]


async def _check_case(case: Case, folder: Path) -> list[str]:
    async with endpoint(ssl=case.context) as asked:
        document: dict[str, Any] = {"name": "m", "url": f"wss://{case.host}:{asked.port}/", "tls": case.tls}
        reached: BridgeError | None = None
        async with open_bridge({**document, "tools": [{"name": "t"}]}, folder=folder) as bridge:
            try:
                await bridge.call_tool("m.t")
            except BridgeError as failed:
                reached = failed
    if not case.words:
        return [] if reached is None else [f"{case.name}: {reached}"]
    right = type(reached) is ConnectError and case.words in str(reached) and not asked.connections
    return [] if right else [f"{case.name}: {reached!r}"]


def _shown(wrong: Sequence[str], tried: int) -> tuple[str, str, bool]:
    return f"{len(wrong)} of {tried} judged wrongly" + (f", such as {wrong[0]}" if wrong else ""), "0", not wrong


if __name__ == "__main__":
    run(measure)
