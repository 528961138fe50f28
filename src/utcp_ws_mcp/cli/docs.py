"""`utcp-ws-mcp docs`: print the guide for writing manifests, or a page of the manifest reference."""

from __future__ import annotations

import sys

import click

from ..server.documentation import GUIDE_TOPIC, read_topic, topics
from .exit_codes import ExitCode
from .terminal import echo


@click.command()
@click.argument("topic", default=GUIDE_TOPIC)
@click.option("--list", "list_only", is_flag=True, help="List the topics.")
def docs(topic: str, list_only: bool) -> None:
    """Print the guide for writing manifests, or the reference page about TOPIC, as Markdown.

    The guide is written for language models, and fits into a prompt.
    """
    if list_only:
        echo("\n".join(topics()))
        return
    text = read_topic(topic)
    if text is None:
        echo(f"there is no topic {topic!r}. Topics: {', '.join(topics())}.", err=True)
        sys.exit(ExitCode.USAGE_ERROR)
    echo(text, nl=False)
