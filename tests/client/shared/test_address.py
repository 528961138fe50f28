"""The address of the shared store: what is wrong is said without the password."""

import pytest

from utcp_ws_mcp.client.shared.address import parse_store_address
from utcp_ws_mcp.errors import ServeOptionsError

WRONG = {
    "a password with a slash": "redis://:s3cret/x@host:6379/0",
    "a password with a question mark": "redis://:s3cret?x@host:6379/0",
    "a password with a number sign": "redis://:s3cret#x@host:6379/0",
    "a bracket": "redis://u:s3cret@[::1",
    "a port": "redis://u:s3cret@host:99999999/0",
    "another scheme": "http://u:s3cret@host",
    "a path": "redis://u:s3cret@host/s3cret",
}


@pytest.mark.parametrize("url", WRONG.values(), ids=WRONG)
def test_a_wrong_address_is_reported_without_its_password(url: str) -> None:
    with pytest.raises(ServeOptionsError, match=r"^--shared is not the URL of a Redis server: ") as wrong:
        parse_store_address(url, "--shared")
    assert "s3cret" not in str(wrong.value)


def test_a_password_may_be_percent_encoded() -> None:
    address = parse_store_address("redis://u:s3cret%2F%23@host/1", "--shared")
    assert (address.password, address.database) == ("s3cret/#", 1)
    assert "s3cret" not in repr(address) + str(address)


def test_a_url_without_port_and_database_names_the_usual_ones():
    address = parse_store_address("redis://h", "--shared")
    assert (address.port, address.database, address.tls) == (6379, 0, False)
    assert (address.username, address.password) == (None, None)
    address = parse_store_address("rediss://u:p%40@h:7/3", "--shared")
    assert (address.port, address.database, address.tls) == (7, 3, True)
    assert (address.username, address.password) == ("u", "p@")
