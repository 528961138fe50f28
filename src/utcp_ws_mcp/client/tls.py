"""TLS settings of an endpoint: authorities, client certificate, names, pinned certificates; and what failed in TLS."""

from __future__ import annotations

import hashlib
import hmac
import ssl
from collections.abc import Collection
from pathlib import Path, PurePath
from typing import Final

from ..errors import InvalidTemplate, end_sentence
from ..manifest.models.network import Tls


class CertificateMismatch(ssl.SSLError):
    """The certificate of the server is none of those that the manifest pins. `found` is its fingerprint."""

    def __init__(self, found: str) -> None:
        super().__init__(1, "certificate is not pinned")
        self.found = found


CERTIFICATE_FILES: Final = ("ca_file", "client_cert", "client_key")
"""The fields of `tls` that name a file."""


def make_ssl_context(manual: str, tls: Tls, folder: PurePath) -> ssl.SSLContext:
    """Return the context for the TLS settings of a call template.

    The system's authorities vouch for names. Where no name is compared, they would vouch for any server, so that only
    `ca_file` or a fingerprint counts then.

    Args:
        manual: The name of the manual, for errors.
        tls: The settings.
        folder: Where relative paths of certificates start.

    Raises:
        InvalidTemplate: where a certificate file cannot be used.
    """
    if tls.check_hostname and not tls.fingerprint:
        context = ssl.create_default_context()
    else:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = tls.check_hostname and not tls.fingerprint
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        if tls.ca_file:
            context.load_verify_locations(folder / tls.ca_file)
            # A certificate in the file is trusted itself, also one that an authority outside of it has signed; and
            # devices have certificates that the strict checks of Python 3.13 refuse.
            context.verify_flags |= ssl.VerifyFlags.VERIFY_X509_PARTIAL_CHAIN
            context.verify_flags &= ~ssl.VerifyFlags.VERIFY_X509_STRICT
        if tls.client_cert:
            context.load_cert_chain(folder / tls.client_cert, folder / tls.client_key if tls.client_key else None)
    except (OSError, ssl.SSLError) as error:
        raise InvalidTemplate(
            f"{manual}: a certificate file cannot be used: {_file_reason(tls, folder)}",
            code="certificate-file-not-usable",
        ) from error
    if tls.insecure or (tls.fingerprint and not tls.ca_file):
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if tls.fingerprint:
        context.sslobject_class = _pinned_ssl_object(tls.fingerprint)
    return context


def _file_reason(tls: Tls, folder: PurePath) -> str:
    for name in CERTIFICATE_FILES:
        file = getattr(tls, name)
        if file and not Path(folder, file).is_file():
            # Not the path: a variable may have brought it, and this text goes to the host.
            return f"tls.{name} names no file. Correct the path, which begins at the folder of the manifest."
    return "it is not a certificate or key in PEM form, or cannot be read. Correct the file."


def _pinned_ssl_object(fingerprints: Collection[str]) -> type[ssl.SSLObject]:
    """Return the class of TLS connections whose handshake fails unless the certificate is one of these.

    In the handshake, because nothing may be sent before: neither by the WebSocket nor by the HTTP client.
    """

    class PinnedSSLObject(ssl.SSLObject):
        def do_handshake(self) -> None:
            super().do_handshake()
            found = hashlib.sha256(self.getpeercert(binary_form=True) or b"").hexdigest()
            if not any(hmac.compare_digest(found, pinned) for pinned in fingerprints):
                raise CertificateMismatch(found)

    return PinnedSSLObject


_SELF_SIGNED: Final = {18, 19, 20, 21}
"""OpenSSL's X509_V_ERR codes of a certificate that no known authority has signed."""

_WRONG_NAME: Final = {62, 64}
_EXPIRED: Final = 10

_PIN_ADVICE: Final = 'pin the certificate: "tls": {"fingerprint": "…"}, its SHA-256'


def tls_reason(error: Exception) -> str:
    """Return why TLS failed, and what to write."""
    if isinstance(error, CertificateMismatch):
        return (
            f"the certificate is not the one that the manifest pins; its SHA-256 is {error.found}. If the server has a "
            'new certificate, and only then, write that into "tls": {"fingerprint": …}.'
        )
    if isinstance(error, ssl.SSLCertVerificationError):
        cause = f"the TLS certificate is not valid: {end_sentence(error.verify_message)}"
        return f"{cause} {_certificate_advice(error.verify_code)}".strip()
    if isinstance(error, ssl.SSLError):
        return f"TLS failed ({error.reason or 'no reason given'}). Check that the server speaks TLS at this port."
    return (
        "the connection was cut during the TLS handshake. Check whether the server speaks TLS, requires a client "
        'certificate ("tls"), or supports only TLS before 1.2.'
    )


def _certificate_advice(code: int) -> str:
    if code in _SELF_SIGNED:
        return (
            'If the server is yours, save its certificate, or that of its authority, as "tls": {"ca_file": …}, or '
            f"{_PIN_ADVICE}."
        )
    if code in _WRONG_NAME:
        return (
            'Write the name that the certificate has as "tls": {"server_name": …}, or, if it has none, set '
            f'"check_hostname": false beside "ca_file", or {_PIN_ADVICE}.'
        )
    if code == _EXPIRED:
        return f"Renew it on the server, or {_PIN_ADVICE}."
    return ""
