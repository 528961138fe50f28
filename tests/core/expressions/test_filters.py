"""The filters, against the examples that their standards publish."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
import sys
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils

from utcp_ws_mcp.core.codecs.binary import Binary
from utcp_ws_mcp.core.expressions.byte_formats import format_sizes
from utcp_ws_mcp.core.expressions.expression import EvaluationError, Expression

PEM = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


def evaluate(source: str, **names: Any) -> Any:
    return Expression(source, frozenset(names)).evaluate(names)


@pytest.mark.parametrize(
    ("message", "sha256", "sha512_begins"),
    [
        ("abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", "ddaf35a193617abacc417349ae204131"),
        ("", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", "cf83e1357eefb8bdf1542850d66d8007"),
        (
            "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1",
            "204a8fc6dda82f0a0ced7beb8e08a416",
        ),
    ],
)
def test_digests_are_those_of_fips_180(message: str, sha256: str, sha512_begins: str) -> None:
    assert evaluate("m | sha256 | hex", m=message) == sha256
    assert evaluate("m | sha512 | hex", m=message).startswith(sha512_begins)
    assert evaluate("m | sha256", m=message.encode()) == bytes.fromhex(sha256)


def test_the_older_digests_are_those_of_rfc_1321_fips_180_and_rfc_2202() -> None:
    assert evaluate("m | md5 | hex", m="abc") == "900150983cd24fb0d6963f7d28e17f72"
    assert evaluate("m | sha1 | hex", m="abc") == "a9993e364706816aba3e25717850c26c9cd0d89d"
    hi_there = evaluate("d | hmac_sha1(k) | hex", d=b"Hi There", k=b"\x0b" * 20)
    assert hi_there == "b617318655057264e28bc0b6fb378c8ef146be00"


def test_the_digests_with_384_bits_are_those_of_fips_180_and_rfc_4231() -> None:
    assert evaluate("m | sha384 | hex", m="abc").startswith("cb00753f45a35e8bb5a03d699ac65007")
    assert evaluate("d | hmac_sha384(k) | hex", d=b"Hi There", k=b"\x0b" * 20).startswith("afd03944d84895626b0825f4")


@pytest.mark.parametrize(
    ("key", "data", "sha256", "sha512_begins"),
    [
        (
            b"\x0b" * 20,
            b"Hi There",
            "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
            "87aa7cdea5ef619d4ff0b4241a1d6cb0",
        ),
        (
            b"Jefe",
            b"what do ya want for nothing?",
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
            "164b7a7bfcf819e2e395fbe73b56e0a3",
        ),
        (
            b"\xaa" * 131,
            b"Test Using Larger Than Block-Size Key - Hash Key First",
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
            "80b24263c7c1a3ebb71493c1dd7be8b4",
        ),
    ],
)
def test_hmac_is_that_of_rfc_4231(key: bytes, data: bytes, sha256: str, sha512_begins: str) -> None:
    assert evaluate("d | hmac_sha256(k) | hex", d=data, k=key) == sha256
    assert evaluate("d | hmac_sha512(k) | hex", d=data, k=key).startswith(sha512_begins)


@pytest.mark.parametrize(
    ("encoded", "plain"),
    [
        ("a%20b%2cc", "a b,c"),
        ("Z%C3%BCrich", "Z\u00fcrich"),
        ("1+1", "1+1"),
        ("100%", "100%"),
        ("%ff", "\ufffd"),
        (b"%7B%7D", "{}"),
    ],
)
def test_urldecode_reads_percent_encoding_as_rfc_3986_defines_it(encoded: str | bytes, plain: str) -> None:
    assert evaluate("t | urldecode", t=encoded) == plain


def test_urldecode_reads_what_urlencode_wrote() -> None:
    text = "BID & OFFER, 100% \u20ac+\u00e9"
    assert evaluate("t | urlencode | urldecode", t=text) == text


@pytest.mark.parametrize(
    ("plain", "encoded"),
    [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="), ("foobar", "Zm9vYmFy")],
)
def test_base64_is_that_of_rfc_4648(plain: str, encoded: str) -> None:
    assert evaluate("p | base64", p=plain) == encoded
    assert evaluate("e | unbase64", e=encoded) == plain.encode()
    assert evaluate("e | unbase64 | utf8", e=encoded.rstrip("=")) == plain


def test_hex_is_read_in_either_case() -> None:
    assert evaluate("h | unhex", h="00fFa1") == b"\x00\xff\xa1"


def test_a_binary_string_has_a_character_for_each_byte() -> None:
    data = bytes(range(256))
    assert evaluate("d | latin1", d=data) == data.decode("latin-1")
    assert evaluate("t | latin1", t=data.decode("latin-1")) == data


@pytest.mark.parametrize(("name", "wrong"), [("unhex", "abc"), ("unhex", "xy"), ("latin1", "\u2713")])
def test_text_that_is_no_hex_or_has_characters_beyond_a_byte_is_an_error(name: str, wrong: str) -> None:
    with pytest.raises(EvaluationError, match=name):
        evaluate(f"v | {name}", v=wrong)


def test_base64url_has_the_other_alphabet_and_no_padding() -> None:
    data = bytes([3, 236, 255, 224, 193])  # RFC 7515, appendix C
    assert evaluate("d | base64url", d=data) == "A-z_4ME"
    assert evaluate("d | base64", d=data) == "A+z/4ME="
    assert evaluate("e | unbase64", e="A-z_4ME") == data


@pytest.mark.parametrize("wrong", ["a", "a b=", "ab\u00e9d"])
def test_text_that_is_no_base64_is_an_error(wrong: str) -> None:
    with pytest.raises(EvaluationError, match="unbase64"):
        evaluate("e | unbase64", e=wrong)


def test_a_salt_in_hex_is_hashed_together_with_a_password() -> None:
    digest = hashlib.sha256(b"\x85\xb1pass").hexdigest()

    assert evaluate("(salt ~ (password | hex)) | unhex | sha256 | hex", salt="85B1", password="pass") == digest


def test_a_signature_is_that_of_rfc_7515() -> None:
    key = base64.urlsafe_b64decode(
        "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow=="
    )
    signed = (
        "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9."
        "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"
    )
    signature = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"  # appendix A.1
    assert evaluate("s | hmac_sha256(k) | base64url", s=signed, k=key) == signature


@pytest.mark.parametrize(("alg", "digest"), [("HS256", "sha256"), ("HS384", "sha384"), ("HS512", "sha512")])
def test_a_jwt_with_a_shared_secret_is_that_of_rfc_7519(alg: str, digest: str) -> None:
    claims = {"iss": "joe", "exp": 1300819380, "http://example.com/is_root": True}
    signed, _, signature = evaluate("c | jwt(k, alg)", c=claims, k="secret", alg=alg).rpartition(".")
    header, payload = (json.loads(evaluate("t | unbase64", t=part)) for part in signed.split("."))
    assert header == {"alg": alg, "typ": "JWT"}
    assert payload == claims
    assert evaluate("s | unbase64", s=signature) == hmac.digest(b"secret", signed.encode(), digest)


def test_a_jwt_is_the_one_that_other_libraries_make() -> None:
    token = (  # the example of jwt.io
        "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9."
        "eyJzdWIiOiIxMjM0NTY3ODkwIiwibmFtZSI6IkpvaG4gRG9lIiwiaWF0IjoxNTE2MjM5MDIyfQ."
        "SflKxwRJSMeKKF2QT4fwpMeJf36POk6yJV_adQssw5c"
    )
    claims = '{"sub":"1234567890","name":"John Doe","iat":1516239022}'
    head = evaluate("h | base64url", h='{"alg":"HS256","typ":"JWT"}')
    signed = f"{head}.{evaluate('c | base64url', c=claims)}"
    assert f"{signed}.{evaluate('s | hmac_sha256(k) | base64url', s=signed, k='your-256-bit-secret')}" == token


def test_a_jwt_with_es256_is_two_numbers_of_32_bytes() -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    token = evaluate("c | jwt(k, 'ES256')", c={"a": 1}, k=key.private_bytes(*PEM).decode())
    signed, _, text = token.rpartition(".")
    signature = evaluate("s | unbase64", s=text)
    assert len(signature) == 64
    numbers = (int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big"))
    key.public_key().verify(utils.encode_dss_signature(*numbers), signed.encode(), ec.ECDSA(hashes.SHA256()))


def test_a_jwt_with_rs256_is_verified_by_its_public_key() -> None:
    key = rsa.generate_private_key(65537, 2048)
    token = evaluate("c | jwt(k, 'RS256')", c={"a": 1}, k=key.private_bytes(*PEM).decode())
    signed, _, text = token.rpartition(".")
    signature = evaluate("s | unbase64", s=text)
    key.public_key().verify(signature, signed.encode(), padding.PKCS1v15(), hashes.SHA256())  # raises InvalidSignature


@pytest.mark.parametrize(("key", "alg"), [("no key", "ES256"), ("secret", "none"), ("secret", "HS1")])
def test_a_jwt_that_cannot_be_signed_is_an_error(key: str, alg: str) -> None:
    with pytest.raises(EvaluationError, match="jwt"):
        evaluate("c | jwt(k, alg)", c={}, k=key, alg=alg)


def test_the_login_of_obs_websocket_is_what_its_documentation_describes() -> None:
    salt, challenge = "lM1GncleQOaCu9lT1yeUZhFYnqhsLLP1G5lAGo3ixaI=", "+IxH4CnCiqpX1rM9scsNynZzbOe4KhDeYcTNS3PDaeY="
    given = {"password": "supersecretpassword", "salt": salt, "challenge": challenge}
    secret = base64.b64encode(hashlib.sha256(("supersecretpassword" + salt).encode()).digest())
    expected = base64.b64encode(hashlib.sha256(secret + challenge.encode()).digest()).decode()
    source = "((password ~ salt) | sha256 | base64 ~ challenge) | sha256 | base64"
    assert evaluate(source, **given) == expected == "1Ct943GAT+6YQUUX47Ia/ncufilbe6+oD6lY+5kaCu4="


@pytest.mark.parametrize(
    ("value", "form", "data"),
    [
        (1, ">H", "0001"),
        ([1, 2], "<HI", "010002000000"),
        (1.5, ">d", "3ff8000000000000"),
        ([b"ab", True], "2s?", "616201"),
        (0, "v", "00"),
        (127, "v", "7f"),
        (128, "v", "8001"),
        (624485, "v", "e58e26"),  # the example of LEB128 in the DWARF specification
        ((1 << 64) - 1, "v", "ffffffffffffffffff01"),
        ([1, 300, 2, 5], ">B2vH", "01ac02020005"),
        ([1, 300, 2], "BvH", "01ac020200"),  # no alignment
        ([b"ab", 3, b"c"], ">2sxvs", "616200" + "03" + "63"),
    ],
)
def test_numbers_are_packed_and_unpacked_as_in_c(value: Any, form: str, data: str) -> None:
    assert evaluate("v | pack(f) | hex", v=value, f=form) == data
    unpacked = evaluate("d | unpack(f)", d=bytes.fromhex(data), f=form)
    assert list(unpacked) == (value if isinstance(value, list) else [value])


@pytest.mark.parametrize("message", [b"17:\xffend", "17:\xffend"])
def test_a_part_of_bytes_is_bytes_and_a_part_of_a_text_is_text(message: str | bytes) -> None:
    assert evaluate("m | part(3)", m=message) == message[3:]
    assert evaluate("m | part(0, 2)", m=message) == message[:2]
    assert evaluate("m | part(-3)", m=message) == message[-3:]
    assert evaluate("m | part(99)", m=message) == message[:0]


@pytest.mark.parametrize("value", [[1, 2], {"a": 1}, 12, None])
def test_only_bytes_and_texts_have_parts(value: Any) -> None:
    with pytest.raises(EvaluationError):
        evaluate("v | part(1)", v=value)


@pytest.mark.parametrize(
    ("source", "given", "data"),
    [
        ("v | bytes", "né", b"n\xc3\xa9"),
        ("v | bytes", b"\xff", b"\xff"),
        ("[v, 'né', 7, [1] | pack('>H')] | bytes", b"\xff", b"\xffn\xc3\xa9\x07\x00\x01"),
        ("v[1:3] | bytes", b"\x00\xff\xfe\x01", b"\xff\xfe"),
        ("[] | bytes", b"", b""),
    ],
)
def test_texts_bytes_and_numbers_are_joined_to_bytes(source: str, given: Any, data: bytes) -> None:
    assert evaluate(source, v=given) == data


@pytest.mark.parametrize("value", [12, None, True, {"a": 1}, [256], [-1], [True], [1.0], [[1]], [None]])
def test_what_is_neither_text_nor_byte_is_not_joined(value: Any) -> None:
    with pytest.raises(EvaluationError, match="the filter bytes takes text"):
        evaluate("v | bytes", v=value)


def test_a_signature_over_text_and_a_digest_is_that_of_kraken_s_documentation() -> None:
    key = "kQH5HW/8p1uGOVjbgWA7FunAmGO8lsSUXNsu3eow76sz84Q18fWxnyRzBHCd3pd5nE9qa99HAZtuZuj6F1huXg=="
    body = "nonce=1616492376594&ordertype=limit&pair=XBTUSD&price=37500&type=buy&volume=1.25"
    signed = evaluate(
        "['/0/private/AddOrder', (nonce ~ body) | sha256] | bytes | hmac_sha512(key | unbase64) | base64",
        nonce=1616492376594,
        body=body,
        key=key,
    )
    assert signed == "4/dpxb3iT4tp/ZCVEwSnEsLxx0bqyhLpdfOpc6fn7OR8+UClSV5n9E6aSS8MPtnRfp32bAb0nmbRn6H8ndwLUQ=="


@pytest.mark.parametrize("value", ["123456789", b"123456789"])
def test_the_checksum_is_that_of_the_crc_catalogue(value: str | bytes) -> None:
    assert evaluate("v | crc32", v=value) == 0xCBF43926


@pytest.mark.parametrize(
    "source",
    [
        "v ~ 'x'",
        "'x' ~ (v | sha256)",
        "(v ~ 'key') | hmac_sha256('k')",
        "('x' | hmac_sha1('k')) ~ v | hex",
        "(v | part(1)) ~ '' | upper",
        "('eA' | unbase64) | string",
        "[v, v] | join | base64",
        "'%s' | format(1 | pack('B'))",
        "('ff' | unhex) ~ 'x'",
        "(v | to_msgpack) ~ 'x'",
        "(v | to_msgpack | from_msgpack) ~ 'x'",
        "((v ~ 'x') | regex_find('x'))",
    ],
)
def test_bytes_never_become_text_unnoticed(source: str) -> None:
    with pytest.raises(EvaluationError, match="text cannot contain binary data[.] .*bytes") as failed:
        evaluate(source, v=b"a\xff")
    assert failed.value.code == "binary-in-text"


DECODED: dict[str, Any] = {"data": Binary(b"a\xff"), "parts": [Binary(b"a")], "text": "%s and {}"}
WRITES_DECODED_BYTES = [
    "v.data ~ 'x'",
    "v.data | string",
    "v.data | upper",
    "v.data | trim",
    "v.data | urlencode",
    "v.data | escape",
    "v.data | indent",
    "v.data | pprint",
    "v.data | replace('a', 'b')",
    "v.text | replace('a', v.data)",
    "v.text | format(v.data)",
    "v.text.format(v.data)",
    "v.parts | join(',')",
    "', '.join(v.parts)",
    "v.parts | map('string') | list",
    "v.data.strip() ~ ''",
    "v.data.upper() ~ ''",
    "v.data[:1] ~ ''",
    "(v.data | unpack('>2s'))[0] ~ ''",
    "v.parts ~ ''",
    "v ~ ''",
    "{'a': v.data} ~ ''",
    "v | items | list ~ ''",
    "(v.data ~ '') | length",
    "(v.data ~ 'x')[:1]",
    "(v.data ~ 'x') | from_json",
    "(v.data ~ '') == 'a'",
]


@pytest.mark.parametrize("source", WRITES_DECODED_BYTES)
def test_bytes_inside_a_decoded_message_never_become_text_unnoticed(source: str) -> None:
    with pytest.raises(EvaluationError, match="text cannot contain binary data[.] .*hex") as failed:
        evaluate(source, v=DECODED)
    assert failed.value.code == "binary-in-text"


def test_a_predicate_that_writes_bytes_into_text_is_not_decided() -> None:
    with pytest.raises(EvaluationError, match="text cannot contain binary data"):
        Expression("'a' in (v.data ~ '')", frozenset({"v"})).decide({"v": DECODED})


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("v.data", b"a\xff"),
        ("v.data | hex", "61ff"),
        ("v.data | base64", "Yf8="),
        ("v.data | utf8", "a\ufffd"),
        ("v.data.hex() ~ '!'", "61ff!"),
        ("v.data | length", 2),
        ("v.data | list", [97, 255]),
        ("v.data[:1]", b"a"),
        ("[v.data, 'é'] | bytes", b"a\xff\xc3\xa9"),
        ("v.data == 'a'", False),
        ("v.data is string", False),
        ("v.parts | first", b"a"),
        ("v.parts | sort", [b"a"]),
        ("v.parts | unique", [b"a"]),
        ("v.data | default('x')", b"a\xff"),
        ("v.data if v.data is defined else 'x'", b"a\xff"),
    ],
)
def test_bytes_inside_a_decoded_message_can_be_used(source: str, expected: Any) -> None:
    assert evaluate(source, v=DECODED) == expected


def test_a_long_expression_that_fails_is_shown_in_part_before_the_reason() -> None:
    with pytest.raises(EvaluationError) as failed:
        evaluate("[" + "v, " * 300 + "v] | pack('>B')", v=1)
    assert len(str(failed.value)) < 300
    assert "cannot be packed as '>B'" in str(failed.value)


def test_unpack_reads_the_beginning_of_longer_data() -> None:
    assert evaluate("(d | unpack('>H'))[0]", d=b"\x00\x05hello") == 5


@pytest.mark.parametrize(
    ("source", "given", "reason"),
    [
        ("v | pack('>H')", 65536, "a number is too large"),
        ("v | unpack('>I')", b"\x00", "takes 4 bytes, and there are 1"),
        ("v | pack('v')", -1, "a number is too large, or of another kind"),
        ("v | pack('v')", 1 << 64, "a number is too large"),
        ("v | pack('v')", 1.5, "or of another kind"),
        ("v | pack('v')", True, "or of another kind"),
        ("v | pack('2v')", [1], "cannot be packed"),
        ("v | pack('vB')", [1], "cannot be packed"),
        ("v | pack('vB')", [1, 2, 3], "cannot be packed"),
        ("v | pack('999999999999v')", [1], "more than"),
        ("v | pack('v~')", [1, 2], "is not a format"),
        ("v | unpack('Hv')", b"\x00", "takes at least 3 bytes, and there are 1"),
        ("v | unpack('999999999999v')", b"\x00", "takes at least 999999999999 bytes"),
        ("v | unpack('v')", b"\x80\x80", "they end too early"),
        ("v | unpack('vH')", b"\x80\x01\x00", "they end too early"),
        ("v | unpack('v')", b"\xff" * 10, "more than 64 bits"),
        ("v | unpack('v')", b"\xff" * 9 + b"\x02", "more than 64 bits"),
    ],
)
def test_data_that_does_not_fit_is_an_error(source: str, given: Any, reason: str) -> None:
    with pytest.raises(EvaluationError, match=reason):
        evaluate(source, v=given)


def test_json_is_read_and_written() -> None:
    assert evaluate("""t | from_json""", t='{"a": [1, NaN]}') == {"a": [1, "NaN"]}
    assert evaluate("v | to_json", v={"a": "\u00e9"}) == '{"a":"\u00e9"}'
    assert evaluate("(t | from_json).a", t=b'{"a": 1}') == 1


@pytest.mark.parametrize("text", ["{", "[" * 100_000, "9" * 5000], ids=["cut", "deep", "long"])
def test_text_that_is_no_json_is_an_error(text: str) -> None:
    with pytest.raises(EvaluationError, match="from_json"):
        evaluate("t | from_json", t=text)


def test_lengths_are_counted_in_bytes() -> None:
    assert evaluate("t | byte_length", t="h\u00e9") == 3
    assert evaluate("t | length", t="h\u00e9") == 2
    assert evaluate("t | byte_length", t=b"\xff\xff") == 2


@pytest.mark.parametrize(
    ("text", "pattern", "found"),
    [("id=42;", r"id=(\d+)", "42"), ("id=42;", r"\d+", "42"), ("none", r"\d+", None), (b"v=1\xff", "v=(.)", "1")],
)
def test_a_pattern_gives_its_group_or_all_that_it_matched(text: Any, pattern: str, found: Any) -> None:
    assert evaluate("t | regex_find(p)", t=text, p=pattern) == found


@pytest.mark.parametrize("text", ["a < b & 'c' > \"d\"", "&lt;", "h\u00e9"])
def test_what_escape_wrote_unescape_reads(text: str) -> None:
    assert evaluate("(t | escape ~ '') | unescape", t=text) == text
    assert evaluate("t | unescape", t="&#233;&#xe9;&apos;&nonesuch;") == "\u00e9\u00e9'&nonesuch;"


BLOCK = {"number": 7, "bloom": "0x00", "hash": 12345678901234567890123}


def test_objects_are_given_with_some_of_their_members():
    assert evaluate("m | only('number', 'absent')", m=BLOCK) == {"number": 7}
    assert evaluate("m | without('bloom', 'absent')", m=BLOCK) == {"number": 7, "hash": 12345678901234567890123}
    assert evaluate("m | without('bloom')", m=[BLOCK, {}]) == [{"number": 7, "hash": 12345678901234567890123}, {}]
    assert evaluate("m | only()", m=BLOCK) == {}


@pytest.mark.parametrize("value", ["text", 5, [1]])
def test_what_has_no_members_is_reported(value):
    with pytest.raises(EvaluationError, match="only an object, or a list of objects, has members"):
        evaluate("v | without('a')", v=value)


def test_a_value_that_may_be_null_is_reported_with_what_to_write():
    fix = "null has no members. Write 'x | only(…) if x else none' if the value can be null."
    with pytest.raises(EvaluationError, match=re.escape(fix)):
        evaluate("v | only('number')", v=None)
    assert evaluate("v | only('number') if v else none", v=None) is None
    assert evaluate("v | only('number') if v else none", v=BLOCK) == {"number": 7}


def test_bytes_are_put_together_in_hex():
    assert evaluate("('0d' ~ (t | hex) ~ (b | hex)) | unhex", t="é", b=b"\xff") == b"\x0d\xc3\xa9\xff"
    with pytest.raises(EvaluationError, match="is not hexadecimal"):
        evaluate("'0x' | unhex")


@pytest.mark.parametrize(
    ("value", "packed"),
    [
        ({"compact": True, "schema": 0}, "82a7636f6d70616374c3a6736368656d6100"),  # msgpack.org
        ({"b": b"\x01", "n": None, "d": 1.5}, "83a162c40101a16ec0a164cb3ff8000000000000"),
        ([2**63, -1, "é"], "93cf8000000000000000ffa2c3a9"),
    ],
)
def test_messagepack_stands_inside_a_message(value, packed):
    assert evaluate("v | to_msgpack | hex", v=value) == packed
    assert evaluate("(p | unhex) | from_msgpack", p=packed) == value


@pytest.mark.parametrize("packed", ["", "c1", "0102", "91" * 3000, "dfffffffff", "81930102030a"])
def test_what_is_not_one_value_in_messagepack_is_reported(packed):
    with pytest.raises(EvaluationError, match="from_msgpack. failed"):
        evaluate("p | unhex | from_msgpack", p=packed)


def test_a_filter_whose_package_is_missing_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "msgpack", None)
    with pytest.raises(EvaluationError, match=re.escape("pip install 'utcp-ws-mcp[msgpack]'")) as missing:
        evaluate("v | to_msgpack", v=1)
    assert missing.value.code == "extra-not-installed"


def test_text_is_packed_as_its_utf_8() -> None:
    assert evaluate("[2, 'ü!', t] | pack('>B3s5s')", t="x") == b"\x02\xc3\xbc!x\0\0\0\0"


def test_cbor_is_written_and_read_as_by_the_codec() -> None:
    assert evaluate("v | to_cbor | hex", v={"a": 1, "b": [2, 3]}) == "a26161016162820203"  # RFC 8949, appendix A
    assert evaluate("p | unhex | from_cbor", p="a26161016162820203") == {"a": 1, "b": [2, 3]}
    assert evaluate("p | unhex | from_cbor", p="c11a514b67b0") == "2013-03-21T20:04:00Z"


@pytest.mark.parametrize("packed", ["", "a161", "0102", "d81c81d81d00"])
def test_what_is_not_one_value_in_cbor_is_an_error(packed: str) -> None:
    with pytest.raises(EvaluationError, match="from_cbor. failed"):
        evaluate("p | unhex | from_cbor", p=packed)


def refusal(source: str, **names: Any) -> str:
    with pytest.raises(EvaluationError) as failed:
        evaluate(source, **names)
    return str(failed.value).partition(" failed: ")[2]


PACKED = {
    "v | pack('>B')": (
        [300, 1],
        "the number 300, the number 1 cannot be packed as '>B': a number is too large, or of another kind.",
    ),
    "v | pack('>3B')": (
        [1, "a", None],
        "the number 1, this text … cannot be packed as '>3B': a number is too large, or of another kind.",
    ),
    "v | pack('>H')": (70_000, "the number 70000 cannot be packed as '>H': a number is too large, or of another kind."),
    f"v | pack('{'B' * 41}')": (
        1,
        f"the number 1 cannot be packed as '{'B' * 40}': a number is too large, or of another kind.",
    ),
    "v | pack('~')": (1, "'~' is not a format of pack and unpack, such as '>BH'."),
    f"v | pack('{'~' * 41}')": (1, f"'{'~' * 40}' is not a format of pack and unpack, such as '>BH'."),
    "v | pack(5)": (1, "'5' is not a format of pack and unpack, such as '>BH'."),
    "v | unpack('>I')": (b"abc", "'>I' takes 4 bytes, and there are 3."),
    "v | unpack('>Hv')": (b"ab", "'>Hv' takes at least 3 bytes, and there are 2."),
    f"v | unpack('{'B' * 41}')": (b"", f"'{'B' * 40}' takes 41 bytes, and there are 0."),
    "v | unpack('v')": (b"\x80", "the bytes do not fit 'v': they end too early, or a number has more than 64 bits."),
    f"v | unpack('{'v' * 41}')": (
        b"\x80" * 41,
        f"the bytes do not fit '{'v' * 40}': they end too early, or a number has more than 64 bits.",
    ),
}


@pytest.mark.parametrize(("source", "case"), PACKED.items(), ids=PACKED)
def test_what_does_not_fit_a_format_is_said(source: str, case: tuple[Any, str]) -> None:
    value, reason = case
    assert refusal(source, v=value) == reason


@pytest.mark.parametrize(
    ("form", "values", "data"),
    [
        ("2Bv", [1, 2, 300], "0102ac02"),
        ("<Hv3s", [1, 5, b"abc"], "010005616263"),
        ("!Hv", [1, 5], "000105"),
        ("=2xv", [5], "000005"),
        ("2vpx", [1, 2, b""], "01020000"),
    ],
)
def test_formats_with_varints_are_packed_and_unpacked(form: str, values: list[Any], data: str) -> None:
    assert evaluate("v | pack(f) | hex", v=values, f=form) == data
    assert evaluate("d | unpack(f)", d=bytes.fromhex(data), f=form) == values
    assert evaluate("d | unpack(f)", d=bytes.fromhex(data) + b"more", f=form) == values


@pytest.mark.parametrize(("form", "sizes"), [("v", (1, 10)), ("Bv", (2, 11)), (">H2v", (4, 22)), (">HI", (6, 6))])
def test_a_format_has_a_size_at_least_and_at_most(form: str, sizes: tuple[int, int]) -> None:
    assert format_sizes(form) == sizes


def test_the_largest_varint_has_64_bits() -> None:
    largest = b"\xff" * 9 + b"\x01"
    assert evaluate("d | unpack('v')", d=largest) == [(1 << 64) - 1]
    assert "more than 64 bits" in refusal("d | unpack('v')", d=b"\x80" * 9 + b"\x02")


NOT_DECODED = {
    "v | unhex": [("x", "the value is not hexadecimal."), (5, "the number 5 is not hexadecimal.")],
    "v | unbase64": [
        ("a", "the value is not base64."),
        (b"?", "the value is not base64."),
        ([1], "a list is not base64."),
    ],
    "v | from_json": [("x", "the value is not JSON."), (b"{", "the value is not JSON.")],
}


@pytest.mark.parametrize(("source", "cases"), NOT_DECODED.items(), ids=NOT_DECODED)
def test_what_is_not_decoded_is_said_without_the_value(source: str, cases: list[tuple[Any, str]]) -> None:
    for value, reason in cases:
        assert refusal(source, v=value) == reason


def test_json_has_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("utcp_ws_mcp.core.expressions.filters.MAX_JSON_LENGTH", 1_000)
    assert len(evaluate("v | to_json", v="a" * 998)) == 1_000
    for value in ("a" * 999, [["x" * (1 << 20)] * 70]):
        assert refusal("v | to_json", v=value) == "the JSON has more than 1,000 characters."
    assert refusal("v | hex", v=["a" * 999]) == "the JSON has more than 1,000 characters."


def test_entities_have_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("utcp_ws_mcp.core.expressions.filters.MAX_ENTITIES", 3)
    assert evaluate("v | unescape", v="&lt;&amp;&gt;") == "<&>"
    assert refusal("v | unescape", v="&&&&") == "unescape takes a text with at most 3 times '&'."


def test_numbers_from_0_to_255_are_bytes() -> None:
    assert evaluate("[0, 255] | bytes") == b"\x00\xff"
    reason = "the filter bytes takes text, bytes, or a list of these and of numbers from 0 to 255."
    for source in ("[256] | bytes", "[-1] | bytes", "0 | bytes", "[true] | bytes"):
        assert refusal(source) == reason


def test_pieces_are_counted() -> None:
    assert evaluate("v | pieces(3)", v="abcdefg") == ["abc", "def", "g"]
    assert evaluate("v | pieces(3)", v=b"") == []
    for value, size in (([1], 1), ("a", 0), ("a", True)):
        assert (
            refusal("v | pieces(s)", v=value, s=size)
            == "the filter pieces takes text or bytes, and a size of at least 1."
        )
    assert (
        refusal("v | pieces(1)", v="a" * 10_001) == "the filter pieces gives more than 10,000 pieces. Make them larger."
    )


@pytest.mark.parametrize("source", ["v | part(0)", "v | from_msgpack", "v | from_cbor", "v | unbase64", "v[0:]"])
def test_bytes_stay_bytes_for_the_filters_behind(source: str) -> None:
    packed = {"v | from_msgpack": b"\xc4\x01\xff", "v | from_cbor": b"\x41\xff", "v | unbase64": b"/w=="}
    data = packed.get(source, b"\xff")
    assert evaluate(f"({source}) | hex", v=data) == "ff"
    assert "binary data" in refusal(f"({source}) ~ ''", v=data)


def test_claims_of_a_token_are_not_changed() -> None:
    token = evaluate("c | jwt('k')", c={"é": "ü", "exp": "never", "n": 1.0})
    assert evaluate("t | unbase64 | utf8", t=token.split(".")[1]) == '{"é":"ü","exp":"never","n":1.0}'
    assert refusal("c | jwt('k', 'none')", c={}) == "the algorithm is unknown, or the key is of another kind."


def test_a_short_key_makes_no_warning(recwarn: pytest.WarningsRecorder) -> None:
    evaluate("c | jwt('k')", c={})
    assert not recwarn.list


def test_members_are_reported_in_words() -> None:
    assert refusal("v | only('a')", v=5) == "only an object, or a list of objects, has members."
    assert evaluate("v | without('a', 'b')", v=[{"a": 1, "c": 2}]) == [{"c": 2}]
