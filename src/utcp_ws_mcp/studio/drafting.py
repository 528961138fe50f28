"""Make a draft of a manifest: from the conversation, or from a description of an API."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Final

import anyio

from ..authoring.import_sources import Source, SourceOptions, import_within, read_source, source_of_text
from ..authoring.quoting import without_comment
from ..errors import StudioRefused
from ..importers.har import longest_conversation
from ..importers.model import ImportOptions
from ..observability.redaction import Redactor, redact_strings
from ..recorder.manifest import HOW_TO_TRY, format_json
from ..records import Record, replace
from .conversation import Conversation, State

IMPORT_SECONDS: Final = 60.0
_HOW_TO_TRY_HERE: Final = "Use it as the manifest, then call its tools in the panel Tools."


class Drafted(Record):
    """A draft.

    Attributes:
        source: What it was made from, for its heading.
        text: The manifest.
        notes: What is to be said of it.
        is_of_conversation: Whether marks of messages change it.
    """

    source: str
    text: str
    notes: tuple[str, ...]
    is_of_conversation: bool = False


async def draft_conversation(conversation: Conversation) -> Drafted:
    """Return the draft for the messages of the last connection, with what a person says that they are.

    Raises:
        StudioRefused: if there was no connection, or the messages are nested too deeply.
    """
    recording, url = conversation.recording, conversation.url
    if url is None or not conversation.endpoint:
        raise StudioRefused("there is no conversation yet. Connect to an endpoint and send a message first.")
    count = len(recording.messages)
    try:
        draft = await anyio.to_thread.run_sync(recording.draft, dict(conversation.endpoint), url)
    except RecursionError:
        raise StudioRefused("nothing can be drafted: a message is nested too deeply.") from None
    notes = [str(line).replace(HOW_TO_TRY, _HOW_TO_TRY_HERE) for line in draft.document.get("$comment", ())]
    secrets = draft.missing_variables
    notes += [f"Set {name}: a secret was typed, and the draft has its name instead." for name in secrets]
    if recording.full.is_set():
        notes.append(f"Made from the first {count:,} messages; later ones are left out.")
    text = format_json(without_comment(draft.document)) + "\n"
    return Drafted(f"{count:,} message{'s' * (count != 1)}", text, tuple(notes), is_of_conversation=True)


async def draft_from_address(address: str, environ: Mapping[str, str]) -> Drafted:
    """Return the manifest for the description at a URL, or for an endpoint that is asked for its methods.

    Raises:
        BridgeError: if it cannot be read or imported.
    """
    address = address.strip()
    if "://" not in address:
        message = "write http:// or https:// for a description, ws:// or wss:// for an endpoint that describes itself."
        raise StudioRefused(f"{address!r} is no URL: {message}")
    options = SourceOptions(None, None, {}, environ, remote_references=False)
    redactor = Redactor()
    redactor.add_values(options.credentials(address))
    return await _import(partial(read_source, address, options), redactor)


async def draft_from_text(text: str, name: str, conversation: Conversation) -> Drafted:
    """Return the manifest for the text of a description; the messages of a HAR file are shown, and can be marked.

    Args:
        text: The text.
        name: What it is called.
        conversation: Gets the messages, unless it is connected.

    Raises:
        BridgeError: if it cannot be imported.
    """
    source = await source_of_text(text, name)

    async def read() -> Source:
        return source

    drafted = await _import(read, Redactor())
    recorded = longest_conversation(source.document)
    if recorded is None:
        return drafted
    if conversation.state is not State.CLOSED:
        note = "Disconnect and give the file again to see its messages here, and to say what they are."
        return replace(drafted, notes=(*drafted.notes, note))
    conversation.load(recorded.endpoint, recorded.url, recorded.messages, recorded.variables)
    return replace(drafted, is_of_conversation=True)


async def _import(read: Callable[[], Awaitable[Source]], redactor: Redactor) -> Drafted:
    imported = await import_within(IMPORT_SECONDS, read, ImportOptions(), redactor.guard)
    manifest = redact_strings(without_comment(imported.manifest), redactor.guard)
    return Drafted(imported.report[0], format_json(manifest) + "\n", tuple(imported.report[1:]))
