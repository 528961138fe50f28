"""The bounds of tokens and keys, and the sentences that say which one was missed."""

from __future__ import annotations

import base64
import json
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from tests.server.auth.issuer import AUDIENCE, EC_KEY, RSA_KEY, Issuer, public_jwk
from utcp_ws_mcp.server.auth.keys import MAX_KEYS, UnusableDocument, parse_key_set
from utcp_ws_mcp.server.auth.tokens import (
    CLOCK_SKEW,
    MAX_CLAIM_LENGTH,
    MAX_SCOPES,
    MAX_TOKEN_LENGTH,
    TokenRejected,
    TokenRules,
    VerifiedToken,
    read_header,
)

ISSUER = Issuer()
NOW = 1_000_000.0
KEYS = parse_key_set(json.dumps({"keys": [public_jwk(EC_KEY, "k1"), public_jwk(RSA_KEY, "r1")]}).encode())


def verify(now: float = NOW, **claims: Any) -> VerifiedToken:
    token = ISSUER.token(**{"iat": NOW, "exp": NOW + 60, **claims})
    return TokenRules(ISSUER.url, AUDIENCE, lambda: now).verify(token, read_header(token), KEYS)


def refusal(now: float = NOW, **claims: Any) -> str:
    with pytest.raises(TokenRejected) as rejected:
        verify(now, **claims)
    return str(rejected.value)


def test_a_token_may_be_a_minute_too_old_and_says_when_it_ends() -> None:
    assert verify(NOW + 60 + CLOCK_SKEW - 1).expires_at == NOW + 60 + CLOCK_SKEW
    assert refusal(NOW + 60 + CLOCK_SKEW) == "the token has expired"
    assert CLOCK_SKEW == 60


@pytest.mark.parametrize("claim", ["nbf", "iat"])
def test_a_token_may_be_a_minute_too_young(claim: str) -> None:
    assert verify(NOW, **{claim: NOW + 60, "exp": NOW + 999}).identity.subject == "ada"
    assert refusal(NOW, **{claim: NOW + 61, "exp": NOW + 999}) == (
        "the token is valid 61 seconds from now: the clock of the issuer or of this server is wrong"
    )


def test_a_token_needs_no_time_but_its_end() -> None:
    assert verify(iat=None).expires_at == NOW + 60 + CLOCK_SKEW


@pytest.mark.parametrize("claim", ["exp", "nbf", "iat"])
@pytest.mark.parametrize("value", [True, "1", [1], -1, 10**12 + 1, 10**400])
def test_a_time_is_a_number_in_its_bounds(claim: str, value: Any) -> None:
    assert refusal(**{claim: value}) in (
        "a time of the token is not a number",
        "the signature or the claims of the token are invalid",
    )


def test_the_bounds_of_a_time_are_times() -> None:
    assert verify(exp=10**12).expires_at == 10**12 + CLOCK_SKEW
    assert verify(nbf=0).identity.subject == "ada"
    assert refusal(exp=0) == "the token has expired"


@pytest.mark.parametrize(("length", "is_read"), [(MAX_TOKEN_LENGTH, True), (MAX_TOKEN_LENGTH + 1, False)])
def test_a_token_has_a_greatest_length(length: int, is_read: bool) -> None:
    header = base64.urlsafe_b64encode(b'{"alg": "ES256", "kid": "k1"}').rstrip(b"=").decode()
    token = f"{header}.e30.".ljust(length, "A")
    if is_read:
        assert read_header(token).key_id == "k1"
    else:
        with pytest.raises(TokenRejected, match=r"the token has more than 8,192 characters"):
            read_header(token)


@pytest.mark.parametrize(
    ("claims", "client"),
    [
        ({"client_id": "app", "azp": "other"}, "app"),
        ({"client_id": None, "azp": "other"}, "other"),
        ({"client_id": "", "azp": "other"}, "other"),
        ({"client_id": None}, ""),
        ({"client_id": "x" * MAX_CLAIM_LENGTH}, "x" * MAX_CLAIM_LENGTH),
    ],
)
def test_the_client_is_that_of_the_token(claims: dict[str, Any], client: str) -> None:
    assert verify(**claims).identity.client == client


@pytest.mark.parametrize(
    "claims", [{"client_id": "x" * (MAX_CLAIM_LENGTH + 1)}, {"client_id": 7}, {"azp": [1], "client_id": None}]
)
def test_a_client_that_is_no_text_is_refused(claims: dict[str, Any]) -> None:
    assert refusal(**claims) == "the subject or the client of the token is not a text of a usable length"


@pytest.mark.parametrize(("length", "is_accepted"), [(MAX_CLAIM_LENGTH, True), (MAX_CLAIM_LENGTH + 1, False)])
def test_a_subject_and_a_key_id_have_a_greatest_length(length: int, is_accepted: bool) -> None:
    text = "x" * length
    assert ("subject" in refusal(sub=text)) if not is_accepted else verify(sub=text).identity.subject == text
    token = ISSUER.token(key_id=text)
    if is_accepted:
        assert read_header(token).key_id == text
    else:
        with pytest.raises(TokenRejected, match="the key id of the token is not a text of a usable length"):
            read_header(token)


@pytest.mark.parametrize("name", ["scope", "scp"])
def test_a_token_has_at_most_a_hundred_scopes(name: str) -> None:
    scopes = [f"s{number}" for number in range(MAX_SCOPES)]
    assert verify(**{name: " ".join(scopes)}).identity.scopes == {*scopes}
    assert verify(**{name: [*scopes[:-1], 7]}).identity.scopes == {*scopes[:-1]}
    assert refusal(**{name: [*scopes, "more"]}) == (
        "the scopes of the token are neither a text nor a list of a usable length"
    )
    assert MAX_SCOPES == 100


def test_scope_counts_before_scp_and_a_token_may_have_neither() -> None:
    assert verify(scope="a", scp=["b"]).identity.scopes == {"a"}
    assert verify().identity.scopes == frozenset()
    assert "scopes" in refusal(scope=7)


@pytest.mark.parametrize("kind", ["JWT", "jwt", "at+jwt", "AT+JWT", "application/at+jwt"])
def test_the_kinds_of_access_tokens_are_accepted(kind: str) -> None:
    header = read_header(ISSUER.token(header_typ=kind))
    assert (header.key_id, header.algorithm) == ("k1", "ES256")


def test_a_token_is_checked_with_the_key_that_its_header_names() -> None:
    verified = verify()
    assert verified.key.key_id == "k1"
    assert verified.key in KEYS.keys


@pytest.mark.parametrize(
    ("claims", "reason"),
    [
        ({"aud": "https://other.example/"}, f"the token is for another audience than {AUDIENCE}"),
        ({"iss": "https://other.example/"}, f"the token is from another issuer than {ISSUER.url}"),
        ({"sub": None}, "the token has no claim sub"),
        ({"exp": None}, "the token has no claim exp"),
        ({"sub": 7}, "the subject or the client of the token is not a text of a usable length"),
        ({"jti": 7}, "the claims of the token are invalid"),
    ],
)
def test_the_refusal_says_which_claim_does_not_fit(claims: dict[str, Any], reason: str) -> None:
    assert refusal(**claims) == reason


OKP = ed25519.Ed25519PrivateKey.generate()
ED25519 = {**json.loads(jwt.algorithms.OKPAlgorithm.to_jwk(OKP.public_key())), "kid": "o1"}
CURVES = {"ES384": ec.SECP384R1(), "ES512": ec.SECP521R1()}


def key_set(*keys: Any) -> Any:
    return parse_key_set(json.dumps({"keys": list(keys)}).encode())


@pytest.mark.parametrize(
    ("key", "algorithms"),
    [
        (public_jwk(RSA_KEY, "k"), ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")),
        (public_jwk(RSA_KEY, "k", alg="PS384"), ("PS384",)),
        (public_jwk(EC_KEY, "k"), ("ES256",)),
        (ED25519, ("EdDSA", "Ed25519")),
        *((public_jwk(ec.generate_private_key(curve), "k"), (name,)) for name, curve in CURVES.items()),
    ],
    ids=["RSA", "RSA for one", "P-256", "Ed25519", "P-384", "P-521"],
)
def test_a_key_verifies_the_signatures_of_its_kind(key: dict[str, Any], algorithms: tuple[str, ...]) -> None:
    (found,) = key_set(key).keys
    assert found.algorithms == algorithms
    assert not hasattr(found.key, "private_bytes")


@pytest.mark.parametrize("members", [{}, {"alg": "EdDSA"}, {"alg": "Ed25519"}], ids=["undeclared", "old", "new"])
@pytest.mark.parametrize("algorithm", ["EdDSA", "Ed25519"])
def test_a_signature_of_ed25519_is_accepted_under_its_old_and_its_new_name(
    members: dict[str, str], algorithm: str
) -> None:
    keys = key_set({**ED25519, **members})
    token = ISSUER.token(OKP, "o1", algorithm, iat=NOW, exp=NOW + 60)
    if members.get("alg", algorithm) != algorithm:
        with pytest.raises(TokenRejected, match="key that the issuer does not publish for this algorithm"):
            TokenRules(ISSUER.url, AUDIENCE, lambda: NOW).verify(token, read_header(token), keys)
    else:
        assert TokenRules(ISSUER.url, AUDIENCE, lambda: NOW).verify(token, read_header(token), keys).key == keys.keys[0]


@pytest.mark.parametrize("members", [{"use": None}, {"key_ops": ["sign", "verify"], "use": "sig"}, {"kid": None}])
def test_a_key_need_not_say_what_it_is_for(members: dict[str, Any]) -> None:
    key = {name: value for name, value in {**public_jwk(EC_KEY, "k"), **members}.items() if value is not None}
    assert len(key_set(key).keys) == 1


def test_the_private_part_of_a_key_is_not_used() -> None:
    private = {**json.loads(jwt.algorithms.ECAlgorithm.to_jwk(EC_KEY)), "kid": "k1"}
    assert "d" in private
    (found,) = key_set(private).keys
    assert not hasattr(found.key, "private_numbers")


@pytest.mark.parametrize("count", [MAX_KEYS, MAX_KEYS + 1])
def test_a_set_may_have_a_hundred_keys(count: int) -> None:
    keys = [public_jwk(EC_KEY, "k1")] + [{}] * (count - 1)
    if count <= 100:
        assert len(key_set(*keys).keys) == 1
    else:
        with pytest.raises(UnusableDocument, match="the JWK Set has 101 keys; at most 100 are read"):
            key_set(*keys)


def test_rsa_keys_of_2048_bits_are_strong_enough() -> None:
    weak = public_jwk(rsa.generate_private_key(65537, 2040), "weak")
    assert [key.key_id for key in key_set(weak, public_jwk(RSA_KEY, "strong")).keys] == ["strong"]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"{", "the answer is not JSON"),
        (b"[1]", 'the answer is not a JWK Set: it has no list "keys"'),
        (b'{"keys": 7}', 'the answer is not a JWK Set: it has no list "keys"'),
        (b'{"keys": [7]}', "the JWK Set has no key that verifies signatures"),
    ],
)
def test_the_refusal_of_a_set_says_why(body: bytes, reason: str) -> None:
    with pytest.raises(UnusableDocument) as refused:
        parse_key_set(body)
    assert str(refused.value) == reason


def test_a_key_is_found_by_its_id_and_its_algorithm() -> None:
    assert KEYS.find("k1", "ES256") == KEYS.keys[:1]
    assert KEYS.find("k1", "RS256") == ()
    assert KEYS.find(None, "RS256") == KEYS.keys[1:]
    assert KEYS.find("other", "ES256") == ()
    assert (KEYS.has("k1"), KEYS.has(None), KEYS.has("other")) == (True, True, False)
