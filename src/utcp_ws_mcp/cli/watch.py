"""`utcp-ws-mcp watch`: print the events of a feed as they come."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from contextlib import aclosing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anyio
import click

from ..authoring.trial import full_name, restrict_to_tool
from ..bridge import Bridge
from ..client.feeds.reading import FeedGap, FeedItem
from ..client.manifest_files import LoadedManifest
from ..errors import BridgeError, MissingVariable
from ..observability import events
from ..observability.redaction import Redactor
from ..observability.trace import Trace
from ..records import Record
from .call import parse_arguments
from .exit_codes import ExitCode
from .options import Number, env_file_option, load_manifests, run, split_manifests
from .terminal import echo, hide_secrets


class WatchOptions(Record):
    """The options of `watch`: `count` and `duration` (seconds) end it, None for never."""

    feed: str
    pairs: Sequence[str]
    input_json: str | None
    cursor: str | None
    where: str | None
    count: int | None
    duration: float | None
    as_json: bool
    trace: bool


@click.command()
@click.argument("words", nargs=-1, required=True, metavar="[MANIFEST] [MANUAL.]FEED [KEY=VALUE]...")
@click.option("--input-json", metavar="OBJECT", help="All arguments as one JSON object.")
@click.option("--cursor", help="Continue behind this cursor; by default the newest events come first.")
@click.option("--where", metavar="EXPRESSION", help="Only events for which this is true, such as 'data.price > 10'.")
@click.option("--count", type=click.IntRange(1), help="End after this number of events.")
@click.option("--duration", type=Number(0, min_open=True), help="End after this number of seconds.")
@click.option("--json", "as_json", is_flag=True, help="Print each event as a JSON object with offset, time and cursor.")
@click.option("--trace", is_flag=True, help="Show every message on stderr, with times, secrets redacted.")
@env_file_option
def watch(words: tuple[str, ...], env_files: tuple[Path, ...], **given: Any) -> None:
    """Print the events of a feed as they come, and on stderr its gaps and its state; Ctrl-C ends it.

    MANIFEST can be omitted: then it is $UTCP_WS_MCP_MANIFEST, or manifest.json in the working directory. MANUAL can be
    omitted if the manifest has only one call template.
    """
    manifests, rest = split_manifests(words)
    if not rest:
        raise click.UsageError("no feed given: expected MANUAL.FEED")
    loaded = load_manifests(manifests, env_files)
    run(watch_feed, loaded, WatchOptions(full_name(loaded, rest[0]), rest[1:], **given))


async def watch_feed(manifests: Sequence[LoadedManifest], options: WatchOptions) -> int:
    """Print the events of a feed; return the exit code."""
    redact = hide_secrets(Redactor(each.manifest for each in manifests))
    observe = Trace(redact, sys.stderr, redact.guard) if options.trace else events.noop
    try:
        async with Bridge(restrict_to_tool(manifests, options.feed), observe=observe, redactor=redact) as bridge:
            with anyio.move_on_after(options.duration):
                await _print_events(bridge, options, redact)
    except MissingVariable:
        return ExitCode.FAILURE  # already printed when the manifest was loaded
    except BridgeError as failed:
        echo(str(failed), err=True)
        return ExitCode.FAILURE
    return ExitCode.SUCCESS


async def _print_events(bridge: Bridge, options: WatchOptions, redact: Redactor) -> None:
    schema = await bridge.feed_schema(options.feed)
    arguments = parse_arguments(options.pairs, options.input_json, schema)
    following = bridge.feed(
        options.feed,
        arguments,
        cursor=options.cursor,
        where=options.where,
        on_state=lambda state: echo(f"{options.feed} is {state}", err=True),
        on_hint=lambda hint: echo(f"{options.feed}: {hint}", err=True),
    )
    printed = 0
    async with aclosing(following) as items:
        async for item in items:
            if isinstance(item, FeedGap):
                missed = "an unknown number of" if item.missed is None else item.missed
                echo(f"gap after event {item.after}, {missed} events missed: {item.reason}", err=True)
                continue
            _print_event(item, options.as_json, redact)
            printed += 1
            if printed == options.count:
                return


def _print_event(item: FeedItem, as_json: bool, redact: Redactor) -> None:
    shown: Any = item.data
    if as_json:
        at = datetime.fromtimestamp(item.at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        shown = {"offset": item.offset, "at": at, "cursor": item.cursor, "data": item.data}
    text = shown if isinstance(shown, str) else json.dumps(shown, ensure_ascii=False)
    echo(redact.redact_result(text))
    sys.stdout.flush()
