"""Which access tokens are accepted: the attacks of RFC 8725, and clocks that differ."""

from __future__ import annotations

import base64
import hmac
import json
import time
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from tests.server.auth.issuer import AUDIENCE, EC_KEY, RSA_KEY, Issuer, public_jwk
from utcp_ws_mcp.server.auth.keys import MAX_CANDIDATES, KeySet, UnusableDocument, parse_key_set
from utcp_ws_mcp.server.auth.tokens import TokenRejected, TokenRules, UnknownSignature, VerifiedToken, read_header

ISSUER = Issuer()
KEYS = parse_key_set(json.dumps({"keys": [public_jwk(EC_KEY, "k1"), public_jwk(RSA_KEY, "r1")]}).encode())
OTHER_KEY = rsa.generate_private_key(65537, 2048)


def verify(token: str, keys: KeySet = KEYS, now: float | None = None) -> VerifiedToken:
    rules = TokenRules(ISSUER.url, AUDIENCE, time.time if now is None else lambda: now)
    return rules.verify(token, read_header(token), keys)


def test_the_caller_of_a_token_is_its_subject_with_its_client_and_scopes() -> None:
    identity = verify(ISSUER.token(scope="tools:read tools:write")).identity
    assert (identity.issuer, identity.subject, identity.client) == (ISSUER.url, "ada", "app")
    assert identity.scopes == {"tools:read", "tools:write"}


@pytest.mark.parametrize(
    "claims",
    [
        {"scp": ["a", "b"]},
        {"scp": "a b"},
        {"aud": [AUDIENCE, "other"], "scope": "a b"},
        {"header_typ": "at+jwt", "scope": "b a"},
        {"scope": "", "scp": ["a", "b"]},
    ],
    ids=["scp-list", "scp-text", "several-audiences", "rfc-9068", "empty-scope"],
)
def test_the_forms_that_servers_write_are_understood(claims: dict[str, Any]) -> None:
    assert verify(ISSUER.token(**claims)).identity.scopes == {"a", "b"}


@pytest.mark.parametrize("algorithm", ["RS256", "PS512"])
def test_rsa_signatures_are_accepted(algorithm: str) -> None:
    assert verify(ISSUER.token(RSA_KEY, "r1", algorithm)).identity.subject == "ada"


@pytest.mark.parametrize(
    ("token", "reason"),
    [
        (ISSUER.token(aud="https://other.example.com"), "another audience"),
        (ISSUER.token(aud=AUDIENCE + "/"), "another audience"),
        (ISSUER.token(iss="https://evil.example.com"), "another issuer"),
        (ISSUER.token(iss=ISSUER.url + "/"), "another issuer"),
        (ISSUER.token(exp=time.time() - 120), "expired"),
        (ISSUER.token(exp=None), "no claim exp"),
        (ISSUER.token(sub=None), "no claim sub"),
        (ISSUER.token(aud=None), "no claim aud"),
        (ISSUER.token(iss=None), "no claim iss"),
        (ISSUER.token(nbf=time.time() + 86_400), "clock"),
        (ISSUER.token(iat=time.time() + 86_400), "clock"),
        (ISSUER.token(sub=""), "subject"),
        (ISSUER.token(sub="x" * 300), "subject"),
        (ISSUER.token(scope={"a": 1}), "scopes"),
        (ISSUER.token(scope=" ".join(map(str, range(200)))), "scopes"),
        (ISSUER.token(key_id="k2"), "key that the issuer does not publish"),
        (ISSUER.token(key_id="../../jwks"), "key that the issuer does not publish"),
        (ISSUER.token(key_id="x" * 1000), "key id"),
        (ISSUER.token(RSA_KEY, "k1", "RS256"), "key that the issuer does not publish"),
        (ISSUER.token(OTHER_KEY, "r1", "RS256"), "signature"),
        (ISSUER.token(OTHER_KEY, None, "RS256", header_jwk=public_jwk(OTHER_KEY, None)), "signature"),
        (ISSUER.token(OTHER_KEY, "r1", "RS256", header_jku="https://evil.example.com/jwks"), "signature"),
        (ISSUER.token(OTHER_KEY, "r1", "RS256", header_x5u="https://evil.example.com/chain"), "signature"),
        (ISSUER.token(header_crit=["exp"]), "critical|not a JWT"),
        (ISSUER.token(header_typ="dpop+jwt"), "typ"),
        (ISSUER.token(None, None, "none"), "algorithm"),
        (ISSUER.token("s3cret" * 10, "k1", "HS256"), "algorithm"),
        (ISSUER.token(exp=float("nan")), "not a number"),
        (ISSUER.token(exp=float("inf")), "not a number"),
        (ISSUER.token(exp=10**400), "not a number"),
        (ISSUER.token(nbf=float("nan")), "not a number"),
        ("eyJhbGciOltdfQ.e30.AAAA", "algorithm|not a JWT"),
        ("eyJhbGciOnt9fQ.e30.AAAA", "algorithm|not a JWT"),
        ("", "not a JWT"),
        ("a.b.c", "not a JWT"),
        ("\xff.\xff.\xff", "not a JWT"),
        ("x" * 9000, "characters"),
    ],
)
def test_a_token_that_was_not_issued_for_this_server_is_refused(token: str, reason: str) -> None:
    with pytest.raises(TokenRejected, match=reason):
        verify(token)


def test_a_public_key_is_never_used_as_a_shared_secret() -> None:
    pem = RSA_KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    signed = b".".join(map(_base64, (b'{"alg": "HS256", "kid": "r1"}', b'{"sub": "ada"}')))
    token = b".".join((signed, _base64(hmac.digest(pem, signed, "sha256")))).decode()
    with pytest.raises(TokenRejected, match="algorithm"):
        verify(token)


def _base64(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


@pytest.mark.parametrize(("seconds", "accepted"), [(59, True), (61, False)])
def test_clocks_may_differ_by_a_minute(seconds: int, *, accepted: bool) -> None:
    token = ISSUER.token(exp=1000, iat=900)
    for now in (1000 + seconds, 900 - seconds):
        if accepted:
            assert verify(token, now=now)
        else:
            with pytest.raises(TokenRejected):
                verify(token, now=now)


@pytest.mark.parametrize(
    "key",
    [
        {"kty": "oct", "kid": "k1", "k": "c2VjcmV0"},
        {**public_jwk(EC_KEY, "k1"), "use": "enc"},
        {**public_jwk(EC_KEY, "k1"), "key_ops": ["encrypt"]},
        {**public_jwk(EC_KEY, "k1"), "key_ops": 1},
        {**public_jwk(EC_KEY, "k1"), "alg": "RS256"},
        {**public_jwk(EC_KEY, "k1"), "x": "AA"},
        {**public_jwk(EC_KEY, "k1"), "x": 7},
        {**public_jwk(EC_KEY, "k1"), "crv": "P-384"},
        {**public_jwk(EC_KEY, "k1"), "kid": 7},
        public_jwk(rsa.generate_private_key(65537, 1024), "k1"),
        {"kty": ["RSA"]},
        {},
        "key",
    ],
)
def test_a_key_that_must_not_verify_signatures_is_left_out(key: Any) -> None:
    keys = parse_key_set(json.dumps({"keys": [key, public_jwk(RSA_KEY, "r1")]}).encode())
    assert [each.key_id for each in keys.keys] == ["r1"]


@pytest.mark.parametrize("body", [b"", b"[]", b"<html>", b'{"keys": {}}', b'{"keys": []}', b"[" * 100_000, b"\xff"])
def test_a_document_without_keys_is_refused(body: bytes) -> None:
    with pytest.raises(UnusableDocument):
        parse_key_set(body)


def test_a_set_with_too_many_keys_is_refused() -> None:
    with pytest.raises(UnusableDocument, match="at most"):
        parse_key_set(json.dumps({"keys": [{}] * 1000}).encode())


def key_set(*keys: dict[str, Any]) -> KeySet:
    return parse_key_set(json.dumps({"keys": keys}).encode())


def test_of_two_keys_with_one_id_each_may_have_signed() -> None:
    for keys in ((RSA_KEY, OTHER_KEY), (OTHER_KEY, RSA_KEY)):
        verified = verify(ISSUER.token(RSA_KEY, "r1", "RS256"), key_set(*(public_jwk(key, "r1") for key in keys)))
        assert verified.key.key == RSA_KEY.public_key()


def test_a_token_without_a_key_id_is_checked_with_all_keys_of_its_algorithm_during_a_rotation() -> None:
    rotating = key_set(public_jwk(OTHER_KEY, "new"), public_jwk(EC_KEY, "e"), public_jwk(RSA_KEY, "old"))
    assert verify(ISSUER.token(RSA_KEY, None, "RS256"), rotating).key.key_id == "old"
    assert verify(ISSUER.token(key_id=None), rotating).key.key_id == "e"


def test_few_keys_are_tried_for_one_token() -> None:
    many = [*(public_jwk(OTHER_KEY, f"k{number}") for number in range(MAX_CANDIDATES)), public_jwk(RSA_KEY, "last")]
    assert len(key_set(*many).find(None, "RS256")) == MAX_CANDIDATES
    with pytest.raises(UnknownSignature, match="the signature of the token is invalid"):
        verify(ISSUER.token(RSA_KEY, None, "RS256"), key_set(*many))
    assert verify(ISSUER.token(RSA_KEY, None, "RS256"), key_set(*many[1:])).key.key_id == "last"


JSON = st.sampled_from(
    [None, True, 0, 7, -1e99, "", "RSA", "EC", "P-256", "AQAB", "sig", "x" * 999, [], ["verify"], [[1]], {}]
)


@given(st.dictionaries(st.sampled_from(["kty", "crv", "x", "y", "n", "e", "kid", "alg", "use", "key_ops"]), JSON))
def test_no_key_breaks_the_set(key: dict[str, Any]) -> None:
    keys = parse_key_set(json.dumps({"keys": [key, public_jwk(RSA_KEY, "r1")]}).encode())
    assert "r1" in [each.key_id for each in keys.keys]


@given(st.dictionaries(st.sampled_from(["exp", "nbf", "iat", "scope", "scp", "sub", "client_id", "azp"]), JSON))
def test_no_claim_breaks_the_check(claims: dict[str, Any]) -> None:
    payload = {"iss": ISSUER.url, "aud": AUDIENCE, "sub": "ada", "exp": time.time() + 9, **claims}
    token = jwt.PyJWS().encode(json.dumps(payload).encode(), EC_KEY, "ES256", {"kid": "k1"})
    try:
        verified = verify(token)
    except TokenRejected:
        return
    assert isinstance(verified.identity.subject, str)
    assert verified.expires_at > time.time()
