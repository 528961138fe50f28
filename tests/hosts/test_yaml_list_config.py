"""Continue's YAML: an entry goes in and comes out, and nothing else changes."""

from __future__ import annotations

import pytest

from utcp_ws_mcp.errors import InstallError
from utcp_ws_mcp.hosts.yaml_config import LIST

NEW_FILE = LIST.new_file
entries, remove_entry, set_entry = LIST.entries, LIST.remove_entry, LIST.set_entry

KEY = "mcpServers"
ENTRY = {"name": "new", "command": "/bin/x y", "args": ["--a", "ü: #"]}


def made(indent: int) -> str:
    pad = " " * indent
    return f'{pad}- name: "new"\n{pad}  command: "/bin/x y"\n{pad}  args: ["--a", "ü: #"]\n'


KEPT = {
    "as Continue writes it": (f"name: x\n{KEY}:\n  - name: git\n    command: git-mcp\nmodels: []\n", "models: []\n", 2),
    "without indentation": (f"{KEY}:\n- name: git\n  args:\n  - a\n", "", 0),
    "with comments": (
        f"# mine\n{KEY}: # all\n  # one\n  - name: git # x\n    env: {{A: b}}\n\n# below\nz: 1\n",
        "\n# below\nz: 1\n",
        2,
    ),
    "an empty list": (f"a: 1\n{KEY}: []\nb: 2\n", "b: 2\n", 2),
}


@pytest.mark.parametrize(("text", "behind", "indent"), KEPT.values(), ids=KEPT)
def test_an_entry_goes_in_behind_the_others_and_comes_out_again(text: str, behind: str, indent: int) -> None:
    with_it = set_entry(text, KEY, "new", ENTRY)
    assert with_it == text.removesuffix(behind).replace(f"{KEY}: []", f"{KEY}:") + made(indent) + behind
    assert list(entries(with_it, KEY))[-1] == "new"
    assert remove_entry(with_it, KEY, "new") == text


def test_a_new_file_has_what_continue_requires() -> None:
    assert set_entry("", KEY, "new", ENTRY) == f"{NEW_FILE}{KEY}:\n{made(2)}"


def test_an_entry_takes_the_place_of_the_one_with_its_name() -> None:
    text = f"{KEY}:\n  - name: new\n    command: old\n  - name: b\n"
    assert set_entry(text, KEY, "new", ENTRY) == f"{KEY}:\n{made(2)}  - name: b\n"


@pytest.mark.parametrize(
    "text", [f"{KEY}: 5\n", f"{KEY}: [{{name: a}}]\n", f"{KEY}:\n  - a\n", f"{KEY}:\n  a: b\n", "a: [\n"]
)
def test_a_file_of_another_form_is_refused(text: str) -> None:
    with pytest.raises(InstallError):
        set_entry(text, KEY, "new", ENTRY)
