"""What commands write: no credential, and nothing that controls a terminal."""

from __future__ import annotations

import click
import pytest
from click.testing import CliRunner

from utcp_ws_mcp.cli.terminal import echo, hide_secrets
from utcp_ws_mcp.observability.redaction import Redactor


@pytest.mark.parametrize("err", [False, True], ids=["stdout", "stderr"])
def test_a_command_writes_no_credential_that_it_has_loaded(err: bool) -> None:
    @click.command()
    def command() -> None:
        redactor = hide_secrets(Redactor())
        echo("before: topsecret-value-1", err=err)
        redactor.add_tokens("m", ["topsecret-value-1"])
        echo("after: topsecret-value-1 \x1b[2J\u202e", err=err)

    shown = CliRunner().invoke(command)
    assert shown.output == "before: topsecret-value-1\nafter: *** ␛[2J\\u202e\n"


def test_what_one_command_knows_the_next_one_does_not() -> None:
    @click.command()
    @click.option("--hide", is_flag=True)
    def command(hide: bool) -> None:
        if hide:
            hide_secrets(Redactor()).add_tokens("m", ["topsecret-value-1"])
        echo("topsecret-value-1")

    assert CliRunner().invoke(command, ["--hide"]).output == "***\n"
    assert CliRunner().invoke(command).output == "topsecret-value-1\n"
