"""What the errors of TLS say and advise, and what the context of a call template verifies."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

import pytest
import trustme

from utcp_ws_mcp.client.tls import CertificateMismatch, make_ssl_context, tls_reason
from utcp_ws_mcp.errors import InvalidTemplate
from utcp_ws_mcp.manifest.models.network import Tls

PIN = 'pin the certificate: "tls": {"fingerprint": "…"}, its SHA-256.'
SAVE = 'If the server is yours, save its certificate, or that of its authority, as "tls": {"ca_file": …}, or '
NAME = 'Write the name that the certificate has as "tls": {"server_name": …}, or, if it has none, set '


def unverified(code: int, message: str = "why") -> ssl.SSLError:
    error = ssl.SSLCertVerificationError(1, "certificate verify failed")
    error.verify_code, error.verify_message = code, message
    return error


@pytest.mark.parametrize(
    ("code", "advice"),
    [
        *((code, f" {SAVE}{PIN}") for code in (18, 19, 20, 21)),
        *((code, f' {NAME}"check_hostname": false beside "ca_file", or {PIN}') for code in (62, 64)),
        (10, f" Renew it on the server, or {PIN}"),
        *((code, "") for code in (9, 11, 17, 22, 61, 63, 65)),
    ],
)
def test_a_certificate_that_is_not_valid_is_reported_with_what_to_write(code: int, advice: str) -> None:
    assert tls_reason(unverified(code)) == f"the TLS certificate is not valid: why.{advice}"


def test_a_certificate_that_is_not_pinned_is_reported_with_its_fingerprint() -> None:
    reason = tls_reason(CertificateMismatch("ab12"))
    assert reason.startswith("the certificate is not the one that the manifest pins; its SHA-256 is ab12. ")


@pytest.mark.parametrize(
    ("reason", "shown"), [("WRONG_VERSION_NUMBER", "WRONG_VERSION_NUMBER"), (None, "no reason given")]
)
def test_another_failure_of_tls_is_reported_with_its_reason(reason: str | None, shown: str) -> None:
    error = ssl.SSLError(1, "x")
    error.reason = reason
    assert tls_reason(error) == f"TLS failed ({shown}). Check that the server speaks TLS at this port."


def test_a_cut_is_reported_with_what_the_server_may_require() -> None:
    assert tls_reason(OSError("cut")).startswith("the connection was cut during the TLS handshake. Check whether")


def context(folder: Path, **fields: Any) -> ssl.SSLContext:
    return make_ssl_context("m", Tls(**fields), folder)


@pytest.fixture
def authority(tmp_path: Path) -> trustme.CA:
    made = trustme.CA()
    made.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    issued = made.issue_cert("a.example")
    issued.cert_chain_pems[0].write_to_path(str(tmp_path / "cert.pem"))
    issued.private_key_pem.write_to_path(str(tmp_path / "key.pem"))
    issued.private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "both.pem"))
    return made


FINGERPRINT = "ab" * 32


@pytest.mark.parametrize(
    ("fields", "checks_name", "verifies", "has_system_authorities"),
    [
        ({}, True, True, True),
        ({"server_name": "b.example"}, True, True, True),
        ({"ca_file": "ca.pem"}, True, True, True),
        ({"ca_file": "ca.pem", "check_hostname": False}, False, True, False),
        ({"fingerprint": FINGERPRINT}, False, False, False),
        ({"fingerprint": FINGERPRINT, "ca_file": "ca.pem"}, False, True, False),
        ({"insecure": True}, False, False, True),
    ],
    ids=str,
)
def test_what_vouches_for_a_server(
    tmp_path: Path, authority: trustme.CA, fields: Any, checks_name: bool, verifies: bool, has_system_authorities: bool
) -> None:
    made = context(tmp_path, **fields)
    assert made.check_hostname is checks_name
    assert made.verify_mode is (ssl.CERT_REQUIRED if verifies else ssl.CERT_NONE)
    assert made.minimum_version is ssl.TLSVersion.TLSv1_2
    plain = ssl.create_default_context().cert_store_stats()["x509_ca"]
    own = 1 if "ca_file" in fields else 0
    assert made.cert_store_stats()["x509_ca"] == (plain if has_system_authorities else 0) + own
    assert (made.sslobject_class is ssl.SSLObject) is ("fingerprint" not in fields)


def test_an_own_authority_may_be_an_intermediate_one_with_a_simple_certificate(
    tmp_path: Path, authority: trustme.CA
) -> None:
    flags = context(tmp_path, ca_file="ca.pem").verify_flags
    assert flags & ssl.VerifyFlags.VERIFY_X509_PARTIAL_CHAIN
    assert not flags & ssl.VerifyFlags.VERIFY_X509_STRICT


@pytest.mark.parametrize("fields", [{"client_cert": "cert.pem", "client_key": "key.pem"}, {"client_cert": "both.pem"}])
def test_a_certificate_of_the_client_may_have_its_key_in_the_same_file(
    tmp_path: Path, authority: trustme.CA, fields: Any
) -> None:
    context(tmp_path, **fields)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"ca_file": "none.pem"}, "tls.ca_file names no file. Correct the path"),
        ({"client_cert": "none.pem", "client_key": "key.pem"}, "tls.client_cert names no file."),
        ({"client_cert": "cert.pem", "client_key": "none.pem"}, "tls.client_key names no file."),
        ({"ca_file": "wrong.pem"}, "it is not a certificate or key in PEM form, or cannot be read."),
        ({"client_cert": "cert.pem"}, "it is not a certificate or key in PEM form"),
        ({"client_cert": "folder"}, "tls.client_cert names no file."),
    ],
    ids=str,
)
def test_a_file_that_cannot_be_used_is_named_by_its_field(
    tmp_path: Path, authority: trustme.CA, fields: Any, reason: str
) -> None:
    (tmp_path / "wrong.pem").write_text("x")
    (tmp_path / "folder").mkdir()
    with pytest.raises(InvalidTemplate) as refused:
        context(tmp_path, **fields)
    assert refused.value.code == "certificate-file-not-usable"
    assert f"m: a certificate file cannot be used: {reason}" in str(refused.value)
    assert str(tmp_path) not in str(refused.value)
