"""Certificates: authorities, names, fingerprints; and what the errors advise."""

from __future__ import annotations

import hashlib
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import trustme

from tests.peer import Peer, bridge_to, entry, jsonrpc, peer
from utcp_ws_mcp.errors import ConnectError, InvalidManifest

RPC = {"preset": "jsonrpc2"}


class Device:
    """A server with a certificate that no public authority has signed, and files for it."""

    def __init__(self, folder: Path, *names: str, **options: Any) -> None:
        authority = trustme.CA()
        issued = authority.issue_cert(*names, **options)
        authority.cert_pem.write_to_path(str(folder / "authority.pem"))
        issued.cert_chain_pems[0].write_to_path(str(folder / "device.pem"))
        self.context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        issued.configure_cert(self.context)
        der = ssl.PEM_cert_to_DER_cert((folder / "device.pem").read_text(encoding="ascii"))
        self.fingerprint = hashlib.sha256(der).hexdigest()

    @asynccontextmanager
    async def serve(self) -> AsyncIterator[Peer]:
        def hand_out(connection: Any, request: Any) -> Any:
            return connection.respond(200, '{"ticket": "t1"}') if request.path == "/ticket" else None

        async with peer(jsonrpc, scheme="wss", ssl=self.context, process_request=hand_out) as seen:
            yield seen


async def call(folder: Path, device: Device, tls: dict[str, Any], *, over_http: bool = False) -> Any:
    async with device.serve() as seen:
        step = {"http": {"url": f"https://localhost:{seen.port}/ticket"}, "capture": {"ticket": "body.ticket"}}
        document = entry(seen, "t", tls=tls, **RPC, **({"before_connect": [step]} if over_http else {}))
        async with bridge_to(folder, document) as bridge:
            return await bridge.call_tool("m.t", {"n": 1})


def colons(fingerprint: str) -> str:
    return ":".join(fingerprint[place : place + 2] for place in range(0, 64, 2)).upper()


@pytest.mark.parametrize("over_http", [False, True], ids=["upgrade", "HTTP step"])
@pytest.mark.parametrize("form", ["hex", "colons", "prefix", "one of two"])
async def test_a_pinned_certificate_is_accepted_whatever_its_name_and_authority(
    tmp_path: Path, over_http: bool, form: str
) -> None:
    device = Device(tmp_path, "device.internal")
    pinned = {
        "hex": device.fingerprint,
        "colons": colons(device.fingerprint),
        "prefix": f"sha256:{device.fingerprint}",
        "one of two": ["0" * 64, device.fingerprint],
    }[form]
    assert await call(tmp_path, device, {"fingerprint": pinned}, over_http=over_http) == {"n": 1}


@pytest.mark.parametrize("over_http", [False, True], ids=["upgrade", "HTTP step"])
@pytest.mark.parametrize("more", [{}, {"insecure": True}, {"ca_file": "authority.pem"}], ids=str)
async def test_another_certificate_than_the_pinned_one_is_refused_before_anything_is_sent(
    tmp_path: Path, over_http: bool, more: dict[str, Any]
) -> None:
    device = Device(tmp_path, "localhost")
    with pytest.raises(ConnectError) as failed:
        await call(tmp_path, device, {"fingerprint": "0" * 64, **more}, over_http=over_http)
    assert f"its SHA-256 is {device.fingerprint}" in str(failed.value)
    assert failed.value.code == ("before-connect-failed" if over_http else "tls-failed")


ACCEPTED = {
    "another name, written": ({"ca_file": "authority.pem", "server_name": "device.internal"}, "device.internal"),
    "no check of the name": ({"ca_file": "authority.pem", "check_hostname": False}, "device.internal"),
    "its own authority": ({"ca_file": "device.pem", "check_hostname": False}, "device.internal"),
    "its own authority, with the name": ({"ca_file": "device.pem"}, "localhost"),
}


@pytest.mark.parametrize("over_http", [False, True], ids=["upgrade", "HTTP step"])
@pytest.mark.parametrize(("tls", "name"), ACCEPTED.values(), ids=ACCEPTED)
async def test_a_certificate_of_a_device_is_accepted(
    tmp_path: Path, tls: dict[str, Any], name: str, over_http: bool
) -> None:
    assert await call(tmp_path, Device(tmp_path, name), tls, over_http=over_http) == {"n": 1}


async def test_without_a_check_of_the_name_another_certificate_is_still_refused(tmp_path: Path) -> None:
    device = Device(tmp_path, "device.internal")
    other = tmp_path / "other"
    other.mkdir()
    Device(other, "device.internal")
    with pytest.raises(ConnectError, match=r"not valid.*\[tls-failed\]"):
        await call(tmp_path, device, {"ca_file": "other/device.pem", "check_hostname": False})


ADVICE = {
    "unknown authority": ({}, "localhost", {}, ("ca_file", "fingerprint")),
    "another name": (
        {"ca_file": "authority.pem"},
        "device.internal",
        {},
        ("server_name", "check_hostname", "fingerprint"),
    ),
    "expired": (
        {"ca_file": "authority.pem"},
        "localhost",
        {"not_before": datetime(2020, 1, 1, tzinfo=UTC), "not_after": datetime(2021, 1, 1, tzinfo=UTC)},
        ("Renew", "fingerprint"),
    ),
}


@pytest.mark.parametrize("over_http", [False, True], ids=["upgrade", "HTTP step"])
@pytest.mark.parametrize(("tls", "name", "options", "words"), ADVICE.values(), ids=ADVICE)
async def test_a_certificate_that_is_refused_says_what_to_write(
    tmp_path: Path, tls: dict[str, Any], name: str, options: dict[str, Any], words: tuple[str, ...], over_http: bool
) -> None:
    with pytest.raises(ConnectError) as failed:
        await call(tmp_path, Device(tmp_path, name, **options), tls, over_http=over_http)
    assert all(word in str(failed.value) for word in words)


WRONG = {
    "no certificate without a check of the name": ({"check_hostname": False}, "certificate-required"),
    "a short fingerprint": ({"fingerprint": "00:11"}, "invalid-value"),
    "a fingerprint that is a number": ({"fingerprint": 5}, "wrong-type"),
    "a name with a port": ({"server_name": "a:443"}, "invalid-value"),
}


@pytest.mark.parametrize(("tls", "code"), WRONG.values(), ids=WRONG)
async def test_tls_settings_that_cannot_work_are_refused(tmp_path: Path, tls: dict[str, Any], code: str) -> None:
    with pytest.raises(InvalidManifest, match=rf"tls.*\[{code}\]"):
        async with bridge_to(tmp_path, {"name": "m", "url": "wss://a.example/", "tools": [{"name": "t"}], "tls": tls}):
            pass
