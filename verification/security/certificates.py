"""S12: an invalid certificate is rejected with an error that names the cause, and a valid one is accepted.

Endpoints on loopback have certificates of many kinds. Pass criteria: no request reaches a server that was not verified,
the class of the error, and the words of its message that name the cause.
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
from verification.security.bridge_fixture import JSONObject, open_bridge
from verification.security.endpoint import endpoint

DAY: Final = datetime.timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Case:
    """An endpoint, and words of the error that a call must raise; "" where the call must succeed."""

    name: str
    context: ssl.SSLContext
    words: str = ""
    tls: JSONObject = field(default_factory=lambda: {"ca_file": "ca.pem"})
    host: str = "localhost"


def server_context(certificate: trustme.LeafCert) -> ssl.SSLContext:
    """Return a server context with this certificate."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    certificate.configure_cert(context)
    return context


def cases(folder: Path) -> Iterator[Case]:
    """Yield all cases after writing the certificate files into the folder."""
    authority, other = trustme.CA(), trustme.CA()
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    for name, issuer in (("client", authority), ("other_client", other)):
        issuer.issue_cert("client.example").private_key_and_cert_chain_pem.write_to_path(str(folder / f"{name}.pem"))
    good = authority.issue_cert("localhost")
    yield from _invalid(authority, other, good)
    yield Case("own authority", server_context(good))
    yield Case("address in the certificate", server_context(authority.issue_cert("127.0.0.1")), host="127.0.0.1")
    yield Case("wildcard", server_context(authority.issue_cert("*.example", "localhost")))
    yield Case("insecure", server_context(other.issue_cert("localhost")), tls={"insecure": True})
    yield Case(
        "client certificate",
        _client_cert_context(good, authority),
        tls={"ca_file": "ca.pem", "client_cert": "client.pem"},
    )


def _invalid(authority: trustme.CA, other: trustme.CA, good: trustme.LeafCert) -> Iterator[Case]:
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
    mutual = {"ca_file": "ca.pem", "client_cert": "other_client.pem"}
    yield Case("no client certificate", _client_cert_context(good, authority), "client certificate")
    yield Case(
        "no client certificate, TLS 1.2",
        _client_cert_context(good, authority, ssl.TLSVersion.TLSv1_2),
        "client certificate",
    )
    yield Case(
        "client certificate of another authority", _client_cert_context(good, authority), "client certificate", mutual
    )


def _self_signed() -> ssl.SSLContext:
    """Return a server context with a self-signed certificate."""
    authority = trustme.CA()
    with authority.private_key_pem.tempfile() as key, authority.cert_pem.tempfile() as certificate:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(certificate, key)
    return context


def _outdated_context(certificate: trustme.LeafCert, version: ssl.TLSVersion) -> ssl.SSLContext:
    """Return a server context whose newest TLS version is `version`."""
    context = server_context(certificate)
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
        context.maximum_version = version
    return context


def _client_cert_context(
    certificate: trustme.LeafCert, authority: trustme.CA, newest: ssl.TLSVersion | None = None
) -> ssl.SSLContext:
    """Return a server context that requires a client certificate of an authority."""
    context = server_context(certificate)
    context.verify_mode = ssl.CERT_REQUIRED
    context.maximum_version = newest or ssl.TLSVersion.MAXIMUM_SUPPORTED
    authority.configure_trust(context)
    return context


async def measure(size: Size) -> Sequence[Figure]:
    """Check every case."""
    failures: dict[bool, list[str]] = {True: [], False: []}
    counts = {True: 0, False: 0}
    with TemporaryDirectory() as name:
        for case in cases(Path(name)):
            counts[bool(case.words)] += 1
            failures[bool(case.words)] += await _check_case(case, Path(name))
    return [
        Figure("S12", "certificates that must be rejected", *_result(failures[True], counts[True])),
        Figure("S12", "certificates that must be accepted", *_result(failures[False], counts[False])),
    ]


async def _check_case(case: Case, folder: Path) -> list[str]:
    async with endpoint(ssl=case.context) as served:
        document: dict[str, Any] = {"name": "m", "url": f"wss://{case.host}:{served.port}/", "tls": case.tls}
        error: BridgeError | None = None
        async with open_bridge({**document, "tools": [{"name": "t"}]}, folder=folder) as bridge:
            try:
                await bridge.call_tool("m.t")
            except BridgeError as failed:
                error = failed
    if not case.words:
        return [] if error is None else [f"{case.name}: {error}"]
    right = type(error) is ConnectError and case.words in str(error) and not served.connections
    return [] if right else [f"{case.name}: {error!r}"]


def _result(failures: Sequence[str], count: int) -> tuple[str, str, bool]:
    example = f", such as {failures[0]}" if failures else ""
    return f"{len(failures)} of {count} with another result{example}", "0", not failures


if __name__ == "__main__":
    run(measure)
