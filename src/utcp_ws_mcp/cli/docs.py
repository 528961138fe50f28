"""`utcp-ws-mcp docs`: print the guide for writing manifests, a page of the reference, or what a code means."""

from __future__ import annotations

import sys

import click

from ..errors.codes import CODES
from ..manifest.validation import closest_match
from ..server.documentation import GUIDE_TOPIC, read_code, read_topic, topics
from .exit_codes import ExitCode
from .terminal import echo


@click.command()
@click.argument("topic", default=GUIDE_TOPIC)
@click.option("--list", "list_only", is_flag=True, help="List the topics.")
def docs(topic: str, list_only: bool) -> None:
    """Print the guide for writing manifests, or what TOPIC names, as Markdown.

    TOPIC is a page of the reference, "patterns" (find your API's pattern), "presets", or the code at the end of an
    error or a warning. The guide is written for language models, and fits into a prompt.
    """
    if list_only:
        echo("\n".join(topics()))
        return
    text = read_topic(topic) or read_code(topic.strip("[]"))
    if text is None:
        similar = closest_match(topic, topics()) or closest_match(topic, CODES)
        hint = f"Did you mean {similar!r}? " if similar else ""
        echo(f"there is no topic {topic!r}. {hint}Topics: {', '.join(topics())}, or the code of an error.", err=True)
        sys.exit(ExitCode.USAGE_ERROR)
    echo(text, nl=False)
