"""What commands share: which words are manifests, variables, exit codes, and texts that a stream can write."""

from __future__ import annotations

import io
from pathlib import Path
from unittest import mock

import click
import pytest
from click.testing import CliRunner

from utcp_ws_mcp.cli.exit_codes import ExitCode
from utcp_ws_mcp.cli.options import combine, encodable_json, read_variables, run, split_manifests
from utcp_ws_mcp.cli.terminal import with_name, write_result
from utcp_ws_mcp.errors import ServeOptionsError


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("UTCP_WS_MCP_MANIFEST", raising=False)
    (tmp_path / "named").write_text("{}")
    return tmp_path


WORDS: dict[str, tuple[list[str], list[str], list[str]]] = {
    "a file of JSON": (["m.json", "m.t", "a=1"], ["m.json"], ["m.t", "a=1"]),
    "two files of JSON": (["m.json", "n.json", "m.t"], ["m.json", "n.json"], ["m.t"]),
    "an existing file": (["named", "t"], ["named"], ["t"]),
    "an entry of the catalogue": (["obs", "t"], ["obs"], ["t"]),
    "only manifests": (["m.json"], ["m.json"], []),
    "no manifest": (["m.t", "a=1"], ["manifest.json"], ["m.t", "a=1"]),
    "a name of a tool": (["t", "a=1"], ["manifest.json"], ["t", "a=1"]),
    "nothing": ([], ["manifest.json"], []),
    "a manifest behind a tool": (["m.t", "m.json"], ["manifest.json"], ["m.t", "m.json"]),
}


@pytest.mark.parametrize(("words", "manifests", "rest"), WORDS.values(), ids=WORDS)
def test_the_first_words_that_name_manifests_are_manifests(
    words: list[str], manifests: list[str], rest: list[str]
) -> None:
    assert split_manifests(words) == ([Path(each) for each in manifests], rest)


def test_the_environment_names_the_manifest_if_no_word_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UTCP_WS_MCP_MANIFEST", "theirs.json")
    assert split_manifests(["m.t"]) == ([Path("theirs.json")], ["m.t"])
    assert split_manifests(["m.json", "m.t"]) == ([Path("m.json")], ["m.t"])


def test_files_of_variables_come_before_the_environment_and_later_ones_before_earlier(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("A", "environment")
    monkeypatch.setenv("B", "environment")
    (folder / "one.env").write_text("B=one\nC=one\nno assignment\n")
    (folder / "two.env").write_text("C=two\n")
    read = read_variables([Path("one.env"), Path("two.env")])
    assert (read["A"], read["B"], read["C"]) == ("environment", "one", "two")
    warnings = capsys.readouterr().err
    assert warnings.startswith("one.env")
    assert warnings.count("\n") == 1


@pytest.mark.parametrize(("encoding", "text"), [("utf-8", '"é ✓"'), ("latin-1", r'"\u00e9 \u2713"'), (None, '"é ✓"')])
def test_json_has_escapes_where_stdout_lacks_a_character(encoding: str | None, text: str) -> None:
    with mock.patch("sys.stdout", mock.Mock(encoding=encoding)):
        assert encodable_json('"é ✓"') == text


def test_the_help_lists_options_in_the_order_in_which_they_were_combined() -> None:
    @click.command()
    @combine(click.option("--first"), click.option("--second"), click.option("--third"))
    def command(**_: str) -> None: ...

    shown = CliRunner().invoke(command, ["--help"]).output
    assert shown.index("--first") < shown.index("--second") < shown.index("--third")


async def ends(outcome: int | BaseException) -> int:
    if isinstance(outcome, BaseException):
        raise outcome
    return outcome


@pytest.mark.parametrize(
    ("outcome", "code", "said"),
    [
        (ExitCode.SUCCESS, 0, ""),
        (ExitCode.FAILURE, 1, ""),
        (KeyboardInterrupt(), 130, ""),
        (ServeOptionsError("it is wrong.", code="cannot-listen"), 2, "it is wrong. [cannot-listen]\n"),
    ],
)
def test_a_command_exits_with_the_code_of_its_end(
    outcome: int | BaseException, code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        run(ends, outcome)
    assert ended.value.code == code
    assert capsys.readouterr().err == said


def test_a_defect_is_not_taken_for_a_failure() -> None:
    with pytest.raises(ZeroDivisionError):
        run(ends, ZeroDivisionError())


@pytest.mark.parametrize(
    ("text", "shown"), [("m: failed", "m: failed"), ("failed", "m: failed"), ("mm: failed", "m: mm: failed")]
)
def test_a_text_about_a_call_template_begins_with_its_name_once(text: str, shown: str) -> None:
    assert with_name("m", text) == shown


class Stream(io.TextIOWrapper):
    """A stream that may be a terminal."""

    def __init__(self, *, terminal: bool) -> None:
        super().__init__(io.BytesIO())
        self.terminal = terminal

    def isatty(self) -> bool:
        return self.terminal


@pytest.mark.parametrize(
    ("terminal", "written"), [(False, b"\x1b[31m\xff\n"), (True, "␛[31m\ufffd\n".encode())], ids=["pipe", "terminal"]
)
def test_a_result_is_written_unchanged_unless_a_terminal_shows_it(terminal: bool, written: bytes) -> None:
    out = Stream(terminal=terminal)
    with mock.patch("sys.stdout", out):
        write_result(b"\x1b[31m\xff\n")
    assert out.buffer.getvalue() == written  # type: ignore[attr-defined]
