"""Encryption of what replicas share."""

from __future__ import annotations

import pytest

from utcp_ws_mcp.client.shared.sealing import MIN_KEY_LENGTH, Sealer, check_key
from utcp_ws_mcp.errors import ServeOptionsError

KEY = "k" * 44


@pytest.mark.parametrize("text", ["", "the text of an event", "é\u2028 🙂 and more"])
def test_a_text_can_be_decrypted_where_it_was_stored(text):
    sealed = Sealer(KEY, "tokens").seal(text, "here")

    assert Sealer(KEY, "tokens").open(sealed, "here") == text.encode()
    assert not text or text.encode() not in sealed


@pytest.mark.parametrize(
    ("key", "purpose", "place"),
    [(KEY, "tokens", "there"), ("x" * 44, "tokens", "here"), (KEY, "other", "here")],
    ids=["another place", "another key", "another purpose"],
)
def test_a_text_cannot_be_decrypted_otherwise(key, purpose, place):
    sealed = Sealer(KEY, "tokens").seal("t", "here")

    with pytest.raises(ValueError, match="not encrypted with the key of this replica"):
        Sealer(key, purpose).open(sealed, place)


@pytest.mark.parametrize("damaged", [b"", b"short", bytes(12), bytes(100)])
def test_damaged_bytes_are_refused(damaged):
    with pytest.raises(ValueError, match="not encrypted"):
        Sealer(KEY, "tokens").open(damaged, "here")


def test_two_encryptions_of_a_text_differ():
    sealer = Sealer(KEY, "tokens")

    assert sealer.seal("t", "here") != sealer.seal("t", "here")


def test_an_encrypted_text_has_a_nonce_of_96_bits_and_a_tag_of_128():
    assert len(Sealer(KEY, "tokens").seal("text", "here")) == 12 + 4 + 16


def test_names_depend_on_each_part_on_the_key_and_on_the_purpose():
    name = Sealer(KEY, "tokens").name
    others = [Sealer("x" * 44, "tokens").name("a", "b"), Sealer(KEY, "other").name("a", "b")]

    names = [name("a", "b"), name("ab"), name("a", ""), name("a", None), name("b", "a"), *others]

    assert name("a", "b") == names[0]
    assert len(set(names)) == len(names)


def test_a_short_key_is_refused_with_how_to_make_a_good_one():
    assert check_key("k" * MIN_KEY_LENGTH, "--shared-key-file") == "k" * MIN_KEY_LENGTH
    with pytest.raises(ServeOptionsError, match=r"--shared-key-file: .*at least 32 .*openssl rand") as refused:
        check_key("k" * (MIN_KEY_LENGTH - 1), "--shared-key-file")

    assert refused.value.code == "invalid-shared-key"
