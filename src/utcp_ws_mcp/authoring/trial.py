"""Call a tool of a manifest that is being made, and show its result as a host sees it, with the trace."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import anyio

from ..bridge import Bridge
from ..client.dial import Resolver
from ..client.manifest_files import LoadedManifest
from ..core.codecs.message import redact_beginning
from ..core.tools.mcp_names import may_belong
from ..core.tools.tool import CompiledTool
from ..errors import AuthoringRefused
from ..manifest.invisible import escape_invisible
from ..observability.redaction import Redactor
from ..records import replace
from .quoting import DATA_NOTICE, ShownConversation

MAX_TRIAL_SECONDS: Final = 60.0
DEFAULT_TRIAL_SECONDS: Final = 30.0
MAX_SHOWN_RESULT: Final = 8_000
"""Characters of a result that are shown."""


def full_name(manifests: Sequence[LoadedManifest], name: str) -> str:
    """Return the name of a tool or feed as `manual.name`. The name of the only call template may be left out."""
    manuals = [entry.name for each in manifests for entry in each.manifest.entries]
    manuals += [entry.name for each in manifests for entry in each.manifest.disabled]
    return f"{manuals[0]}.{name}" if len(manuals) == 1 and not may_belong(name, manuals[0]) else name


def restrict_to_tool(manifests: Sequence[LoadedManifest], tool: str) -> list[LoadedManifest]:
    """Return the manifests with only the call templates that may have the tool.

    Without this, a call would also discover the tools of all other endpoints of the manifests.
    """
    names = [entry.name for each in manifests for entry in each.manifest.entries]
    wanted = {name for name in names if may_belong(tool, name)} or set(names)
    return [
        replace(
            each,
            manifest=replace(
                each.manifest, entries=tuple(entry for entry in each.manifest.entries if entry.name in wanted)
            ),
        )
        for each in manifests
    ]


async def try_call(
    loaded: LoadedManifest,
    name: str,
    arguments: Mapping[str, Any],
    resolver: Resolver,
    redact: Callable[[str], str],
    seconds: float = DEFAULT_TRIAL_SECONDS,
) -> str:
    """Return what a host would get from a call, and the conversation with the rules that decided.

    Args:
        loaded: The manifest.
        name: `manual.tool`, the name that hosts see, or the name of the tool alone.
        arguments: The arguments.
        resolver: Resolves hosts.
        redact: Removes secrets from texts.
        seconds: When the call is given up.

    Raises:
        AuthoringRefused: if there is no such tool.
    """
    redactor = Redactor([loaded.manifest])
    trace = ShownConversation(lambda text: redactor(redact(text)))
    bridge_of_tool = Bridge(
        restrict_to_tool([loaded], name), observe=trace, resolver=resolver, trace_rules=True, redactor=redactor
    )
    result = f"(isError) no result within {seconds:g} s. Is the reply among the lines below? [try-timeout]"
    async with bridge_of_tool as bridge:
        with anyio.move_on_after(seconds):
            result = await _call(bridge, name, dict(arguments))
    shown = escape_invisible(redact_beginning(result, MAX_SHOWN_RESULT, redact)[:MAX_SHOWN_RESULT])
    more = f"… (cut: {len(result):,} characters)" if len(result) > MAX_SHOWN_RESULT else ""
    return f"{DATA_NOTICE}\n\n< result of {name}: {shown}{more}\n\n{trace.text()}"


async def _call(bridge: Bridge, name: str, arguments: dict[str, Any]) -> str:
    from ..server.tools import ToolService  # here, because `call` of the command line has no server

    service = ToolService(bridge)
    tool = await service.find(name) or _with_short_name(bridge, name)
    if tool is None:
        listed = ", ".join(list(bridge.tools)[:20])
        raise AuthoringRefused(f"there is no tool {name[:128]!r}. The manifest has: {listed or 'none'}.")
    result = await service.call(tool, arguments, None)
    texts = [_block_text(block) for block in result.content]
    return ("(isError) " if result.is_error else "") + "\n".join(texts)


def _with_short_name(bridge: Bridge, name: str) -> CompiledTool | None:
    found = [tool for full_name, tool in bridge.tools.items() if full_name.partition(".")[2] == name]
    return found[0] if len(found) == 1 else None


def _block_text(block: Mapping[str, Any]) -> str:
    if block["type"] == "text":
        return str(block["text"])
    return f"({block['type']} block of {len(str(block)):,} characters)"
