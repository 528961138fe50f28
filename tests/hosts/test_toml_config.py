"""Codex's TOML: an entry goes in and comes out, and nothing else changes."""

from __future__ import annotations

import pytest

from utcp_ws_mcp.errors import InstallError
from utcp_ws_mcp.hosts.toml_config import entries, remove_entry, secrets, set_entry

ENTRY = {"command": "/bin/x y", "args": ["--a", "ü: #"], "required": True, "startup_timeout_sec": 20}
MADE = '[mcp_servers.new]\ncommand = "/bin/x y"\nargs = ["--a", "ü: #"]\nrequired = true\nstartup_timeout_sec = 20\n'

KEPT = {
    "an empty file": "",
    "other settings": '# mine\nmodel = "x"   # best\n\n[profiles.a]\nmodel = "y"\n',
    "other servers": '[mcp_servers.git]\ncommand = "git-mcp"\n\n[mcp_servers.git.env]\nKEY = "their-own-secret"\n',
    "a table of servers": '[mcp_servers]\ngit = { command = "git-mcp" }\n',
    "line ends of Windows": 'model = "x"\r\n\r\n[mcp_servers.git]\r\ncommand = "a"\r\n',
    "arrays of several lines": 'notify = [\n  "a", # one\n  "b",\n]\n',
}


@pytest.mark.parametrize("text", KEPT.values(), ids=KEPT)
def test_an_entry_goes_in_and_comes_out_again(text: str) -> None:
    with_it = set_entry(text, "mcp_servers", "new", ENTRY)
    assert "new" in entries(with_it, "mcp_servers")
    assert "/bin/x y" in entries(with_it, "mcp_servers")["new"]
    assert all(line in with_it.splitlines() for line in text.splitlines() if line)
    removed = remove_entry(with_it, "mcp_servers", "new")
    assert removed.strip() == text.strip()


def test_a_new_file_has_only_the_entry() -> None:
    assert set_entry("", "mcp_servers", "new", ENTRY) == MADE


def test_an_entry_takes_the_place_of_the_one_with_its_name() -> None:
    before = set_entry('model = "x"\n', "mcp_servers", "new", {"command": "old"})
    assert set_entry(before, "mcp_servers", "new", ENTRY) == f'model = "x"\n\n{MADE}'


def test_values_of_the_environment_are_secrets() -> None:
    assert secrets(KEPT["other servers"]) == {"their-own-secret"}


@pytest.mark.parametrize(
    "text", ["[mcp_servers", "mcp_servers = 5\n", "mcp_servers = [1]\n", "[mcp_servers]\na = 1\n", "a = 1\na = 2\n"]
)
def test_a_file_of_another_form_is_refused(text: str) -> None:
    with pytest.raises(InstallError):
        set_entry(text, "mcp_servers", "new", ENTRY)
