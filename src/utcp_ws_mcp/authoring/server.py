"""`author` over MCP: its own tools and those of the saved manifests, prompts, and questions to the person."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping
from typing import Any, Final

import anyio
import mcp_types as types
from mcp.server.caching import CacheHint
from mcp.server.stdio import stdio_server
from mcp.shared.exceptions import MCPError
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from ..bridge import Bridge
from ..core.codecs.message import encode_json
from ..errors import BridgeError, HostNotAllowed, VariableNotAllowed
from ..server.auth.access import Caller
from ..server.content import text_block
from ..server.listing import ToolListing
from ..server.progress import ProgressCallback
from ..server.result import Result, error_result
from ..server.sdk_server import SdkServer
from ..server.stdio.transport import handle_signals
from ..server.tools import INTERNAL_ERROR_MESSAGE, ToolService
from .actions import run_action
from .definitions import INSTRUCTIONS, PROMPTS, TOOLS, prompt_text
from .grants import HostPattern, VariableGrant
from .workspace import Workspace

logger = logging.getLogger(__name__)

MAX_QUESTIONS: Final = 5
"""Questions to the person for one call."""

_SCHEMA: Final = {
    "type": "object",
    "properties": {"allow": {"type": "boolean", "title": "Allow", "description": "Until this server ends."}},
    "required": ["allow"],
}

Refusal = HostNotAllowed | VariableNotAllowed


class AuthorTools(ToolService):
    """The tools of `author`, followed by those of the saved manifests."""

    def __init__(self, workspace: Workspace, bridge: Any) -> None:
        super().__init__(bridge)
        self.workspace = workspace

    async def list_tools(self, caller: Caller | None = None) -> ToolListing:
        """Return all tools; a discovered tool with the name of one of `author` is left out."""
        saved = await super().list_tools(caller)
        kept = {name: tool for name, tool in saved.tools.items() if name not in TOOLS}
        return ToolListing(kept, _with_own(saved.modern), _with_own(saved.handshake), saved.names, saved.arguments)

    async def find(self, name: str) -> Any:
        """Return the name of a tool of `author`, or a tool of a saved manifest; None if there is none."""
        return name if name in TOOLS else await super().find(name)

    def input_schema(self, name: str) -> Mapping[str, Any] | None:
        """Return the input schema that hosts see of a tool."""
        return TOOLS[name]["inputSchema"] if name in TOOLS else super().input_schema(name)

    async def call(
        self, tool: Any, arguments: dict[str, Any] | None, report: ProgressCallback | None, caller: Caller | None = None
    ) -> Result:
        """Call a tool; `tool` is what `find` returned.

        Raises:
            HostNotAllowed, VariableNotAllowed: for which the person can be asked.
        """
        if not isinstance(tool, str):
            return await super().call(tool, arguments, report, caller)
        try:
            text = await run_action(self.workspace, tool, arguments or {})
            return Result([text_block(text)])
        except (HostNotAllowed, VariableNotAllowed):
            raise
        except BridgeError as failed:
            return self.refusal(failed)
        except Exception:  # the text of an unexpected exception may contain anything, and would go to the model
            logger.exception("internal error in %s", tool)
            return Result([text_block(INTERNAL_ERROR_MESSAGE)], is_error=True)

    def refusal(self, failed: BridgeError) -> Result:
        """Return the result for an error."""
        return error_result(failed, [text_block(self.workspace.redact(str(failed)))])


class AuthorServer(SdkServer):
    """The SDK's server for `author`. It asks the person for hosts and variables where the client can."""

    def __init__(self, tools: AuthorTools) -> None:
        settings = {
            "instructions": INSTRUCTIONS,
            "cache_hints": {"tools/list": CacheHint(ttl_ms=0, scope="private")},  # old as soon as a manifest is saved
            "on_list_prompts": _list_prompts,
            "on_get_prompt": _get_prompt,
        }
        super().__init__(tools, settings=settings)
        self._author = tools
        self._asked: dict[str, HostPattern | VariableGrant] = {}
        self._declined: set[str] = set()

    async def _call_tool(self, ctx: Any, params: types.CallToolRequestParams) -> Any:
        """Call a tool; if something is not allowed, ask the person once, and call it again."""
        modern = ctx.protocol_version in MODERN_PROTOCOL_VERSIONS
        self._take_answers(params.input_responses or {})
        for _ in range(MAX_QUESTIONS):
            try:
                return await super()._call_tool(ctx, params)
            except (HostNotAllowed, VariableNotAllowed) as refused:
                questions = self._questions(refused) if _can_ask(ctx) else {}
                if not questions:
                    return self._author.refusal(refused).to_dict(modern=modern)
                if modern:
                    return types.InputRequiredResult(input_requests=questions)
                for key, question in questions.items():
                    answer = await ctx.session.elicit_form(question.params.message, _SCHEMA, ctx.request_id)
                    self._take_answers({key: answer})
        raise MCPError(types.INTERNAL_ERROR, "too many questions for one call; call again")

    def _questions(self, refused: Refusal) -> dict[str, Any]:
        """Return what to ask the person, by keys; nothing that was declined before, or that no answer would solve."""
        wanted: dict[str, tuple[HostPattern | VariableGrant, str]] = {}
        if isinstance(refused, HostNotAllowed):
            for host in refused.hosts:
                wanted[f"host {host}"] = (HostPattern.parse(host), f"Allow connections to {host}?")
        else:
            for name in refused.names:
                for host in refused.hosts if name in self._author.workspace.grants.environ else ():
                    grant = VariableGrant(name, HostPattern.parse(host))
                    wanted[f"variable {name} {host}"] = (grant, f"Send the value of the variable {name} to {host}?")
        if self._declined & wanted.keys():
            return {}
        new = dict(list(wanted.items())[:MAX_QUESTIONS])
        self._asked |= {key: grant for key, (grant, _) in new.items()}
        return {key: _elicitation(message) for key, (_, message) in new.items()}

    def _take_answers(self, answers: Mapping[str, Any]) -> None:
        """Allow what the person has allowed; a key that was not asked for is ignored."""
        grants = self._author.workspace.grants
        for key, answer in answers.items():
            grant = self._asked.pop(key, None)
            if grant is None:
                continue
            accepted = isinstance(answer, types.ElicitResult) and answer.action == "accept"
            if not accepted or (answer.content or {}).get("allow") is not True:
                self._declined.add(key)
            elif isinstance(grant, HostPattern):
                grants.hosts.append(grant)
            else:
                grants.variables.append(grant)


def _elicitation(message: str) -> types.ElicitRequest:
    text = f"{message} An agent asks for it while it makes tools for a WebSocket API."
    return types.ElicitRequest(params=types.ElicitRequestFormParams(message=text, requested_schema=_SCHEMA))


def _can_ask(ctx: Any) -> bool:
    capabilities = ctx.session.client_capabilities
    return capabilities is not None and capabilities.elicitation is not None


def _with_own(pages: tuple[str, ...]) -> tuple[str, ...]:
    """Return pages of tools that begin with the tools of `author`."""
    saved = [tool for page in pages for tool in json.loads(page) if tool["name"] not in TOOLS]
    return (encode_json([*TOOLS.values(), *saved]),)


async def _list_prompts(_: Any, __: Any) -> types.ListPromptsResult:
    return types.ListPromptsResult.model_validate({"prompts": list(PROMPTS.values())})


async def _get_prompt(_: Any, params: types.GetPromptRequestParams) -> types.GetPromptResult:
    if params.name not in PROMPTS:
        raise MCPError(types.INVALID_PARAMS, f"there is no prompt {params.name[:64]!r}: {', '.join(PROMPTS)}")
    try:
        text = prompt_text(params.name, params.arguments or {})
    except KeyError as missing:
        raise MCPError(types.INVALID_PARAMS, f"the prompt needs the argument {missing}") from None
    message = {"role": "user", "content": {"type": "text", "text": text}}
    description = PROMPTS[params.name]["description"]
    return types.GetPromptResult.model_validate({"description": description, "messages": [message]})


async def serve_author(workspace: Workspace) -> int:
    """Serve over stdio until the host closes stdin, and return 0, or sends a signal."""
    interrupted = anyio.Event()
    async with workspace.open_bridge() as bridge, anyio.create_task_group() as tasks:
        handle_signals(interrupted.set)
        tasks.start_soon(_exit_after, interrupted, bridge)
        server = AuthorServer(AuthorTools(workspace, bridge)).server
        async with stdio_server() as (read, write):
            await server.run(read, write, server.create_initialization_options())
        tasks.cancel_scope.cancel()
    return 0


async def _exit_after(interrupted: anyio.Event, bridge: Bridge) -> None:
    """Close the connections and end the process: the thread in which the SDK reads stdin cannot be interrupted."""
    await interrupted.wait()
    await bridge.aclose()
    os._exit(0)
