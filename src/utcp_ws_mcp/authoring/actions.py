"""The tools of `author`: each takes the arguments of an agent and returns the text for it."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any, Final

from ..client.manifest_files import LoadedManifest
from ..core.tools.argument_schema import SchemaValidator
from ..errors import AuthoringRefused, BridgeError, InvalidManifest, Problem
from ..importers.model import ImportOptions
from ..manifest.invisible import escape_invisible
from ..server.listing import ToolListing, build_listing
from .admission import admit, check_reserved_names, load_with, missing_variables, parse_bounded, require_variables
from .definitions import TOOLS
from .examination import Examination, examine, field_description, marked
from .import_sources import Source, SourceOptions, import_within, read_source, source_of_text
from .probing import ProbeRequest, as_messages, check_request, probe
from .quoting import shown_json, without_comment
from .reading import describe_catalog, describe_presets, read_guide_page
from .trial import DEFAULT_TRIAL_SECONDS, try_call
from .workspace import Workspace

IMPORT_SECONDS: Final = 60.0
MAX_REPORT_LINES: Final = 15
MAX_FINDINGS: Final = 40
_SCHEMES: Final = ("ws", "wss", "http", "https")

Arguments = Mapping[str, Any]
Action = Callable[[Workspace, Arguments], Awaitable[str]]

_MANIFEST: Final = {"manifest": {"type": ["object", "string", "array", "null"]}}
_LENIENT: Final[Mapping[str, Mapping[str, Any]]] = {
    "probe": {"messages": {"type": "array"}},
    **dict.fromkeys(("check_manifest", "try_call", "save_manifest"), _MANIFEST),
}
"""Forms that models use although the schemas, which have to be simple for hosts, do not show them."""

_VALIDATORS: Final = {
    name: SchemaValidator(
        {**tool["inputSchema"], "properties": {**tool["inputSchema"]["properties"], **_LENIENT.get(name, {})}}
    )
    for name, tool in TOOLS.items()
}


async def run_action(workspace: Workspace, name: str, arguments: Arguments) -> str:
    """Run a tool of `author`; return its text, without secrets and control characters.

    Raises:
        BridgeError: with what the agent has to change.
    """
    if wrong := _VALIDATORS[name].check(dict(arguments)):
        raise AuthoringRefused(f"{name}: {wrong}.")
    text = await ACTIONS[name](workspace, arguments)
    return workspace.redact(escape_invisible(text))


async def _guide(_: Workspace, arguments: Arguments) -> str:
    return read_guide_page(arguments.get("topic"), arguments.get("section"))


async def _list_catalog(_: Workspace, arguments: Arguments) -> str:
    return describe_catalog(arguments.get("name"))


async def _list_presets(_: Workspace, arguments: Arguments) -> str:
    return describe_presets(arguments.get("name"))


async def _import_description(workspace: Workspace, arguments: Arguments) -> str:
    options = ImportOptions(
        url=arguments.get("endpoint"),
        include=tuple(arguments.get("include", ())),
        exclude=tuple(arguments.get("exclude", ())),
        read_only=arguments.get("read_only", False),
    )
    imported = await import_within(
        IMPORT_SECONDS, partial(_read_description, workspace, arguments), options, workspace.redact
    )
    workspace.draft = without_comment(imported.manifest)
    report = "\n".join(imported.report[:MAX_REPORT_LINES])
    listed = shown_json(workspace.draft)
    return f'{report}\n\nThe manifest, now the base "draft" (its texts are those of the description):\n{listed}'


async def _read_description(workspace: Workspace, arguments: Arguments) -> Source:
    text, url = arguments.get("text"), arguments.get("url")
    if (text is None) == (url is None):
        raise AuthoringRefused("import_description takes either text or url.")
    if text is not None:
        return await source_of_text(text, "the text")
    assert isinstance(url, str)
    headers = arguments.get("headers", {})
    request = ProbeRequest(url, headers)
    target = check_request(request, _SCHEMES)
    workspace.grants.check_url(target)
    values = workspace.grants.values_for(request.variables(), target)
    options = SourceOptions(None, None, headers, values, remote_references=False, resolver=workspace.resolver)
    return await read_source(url, options)


async def _probe(workspace: Workspace, arguments: Arguments) -> str:
    messages = as_messages(arguments.get("messages", ()), binary=arguments.get("binary", False))
    protocols = tuple(arguments.get("protocol", ()))
    request = ProbeRequest(
        arguments["url"], arguments.get("headers", {}), protocols, messages, arguments.get("seconds")
    )
    url = check_request(request)
    workspace.grants.check_url(url)
    values = workspace.grants.values_for(request.variables(), url)
    probed = await probe(request, values, workspace.resolver, workspace.redact)
    if probed.draft is not None:
        workspace.draft = probed.draft
    return probed.text


async def _check_manifest(workspace: Workspace, arguments: Arguments) -> str:
    text, source = workspace.text_of(arguments.get("manifest"), arguments.get("base"))
    try:
        loaded = admit(text, source, workspace.grants)
        found = _examine(workspace, text, loaded)
        lines = _finding_lines(found)
        listing = build_listing([tool for tools in loaded.tools.values() for tool in tools])
        check_reserved_names(loaded, tuple(listing.tools), frozenset(TOOLS))
    except BridgeError as failed:
        problems = workspace.unavailable(failed)[:MAX_FINDINGS]
        lines = [line for problem in problems for line in _problem_lines("error", problem)]
        return "\n".join(["Not valid:", *lines])
    state = "Correct the errors." if found.errors else "Valid. Next: try_call, then save_manifest."
    return "\n".join([state, *lines, *_tool_lines(listing)])


def _examine(workspace: Workspace, text: str, loaded: LoadedManifest) -> Examination:
    grants, source = workspace.grants, loaded.manifest.source
    document = parse_bounded(text, source)
    known = grants.values(grants.names())
    return examine(text, loaded, lambda values: load_with(text, document, source, {**known, **values}))


def _finding_lines(found: Examination) -> list[str]:
    groups = (("error", found.errors), ("warning", found.warnings), ("note", found.notes))
    lines = [line for kind, problems in groups for problem in problems for line in _problem_lines(kind, problem)]
    return [*(f"missing: {problem}" for problem in found.missing), *lines][:MAX_FINDINGS]


def _problem_lines(kind: str, problem: Problem) -> list[str]:
    description = field_description(problem) if kind == "error" else ""
    return [str(marked(kind, problem)), *([f"  {description}"] if description else [])]


def _tool_lines(listing: ToolListing) -> list[str]:
    shown = [tool for page in listing.modern for tool in json.loads(page)]
    if not shown:
        return ["No tools are listed; those that the endpoint announces appear when the manifest is saved."]
    kept = ("name", "description", "inputSchema")
    lines = [json.dumps({key: tool[key] for key in kept}, ensure_ascii=False) for tool in shown]
    return [f"{len(lines)} tools, as a host sees them:", *lines[:MAX_FINDINGS]]


async def _try_call(workspace: Workspace, arguments: Arguments) -> str:
    text, source = workspace.text_of(arguments.get("manifest"), arguments.get("base"))
    loaded = admit(text, source, workspace.grants)
    require_variables(text, loaded, workspace.grants)
    return await try_call(
        loaded,
        arguments["tool"],
        arguments.get("arguments", {}),
        workspace.resolver,
        workspace.redact,
        arguments.get("seconds", DEFAULT_TRIAL_SECONDS),
    )


async def _save_manifest(workspace: Workspace, arguments: Arguments) -> str:
    name = arguments["name"]
    workspace.folder.file_of(name)
    text, _ = workspace.text_of(arguments.get("manifest"), arguments.get("base"))
    loaded = admit(text, name, workspace.grants)
    listing = build_listing([tool for tools in loaded.tools.values() for tool in tools])
    check_reserved_names(loaded, tuple(listing.tools), frozenset(TOOLS))
    found = _examine(workspace, text, loaded)
    refused = [*found.errors, *(each for each in found.warnings if each.code == "secret-in-manifest")]
    if refused:
        raise InvalidManifest(name, refused)
    saved, replaced = workspace.save(name, text)
    tools = ", ".join(listing.tools) or "those that the endpoint announces"
    lines = [f"{name} is {'replaced' if replaced else 'saved'}. Tools: {tools}."]
    if missing := missing_variables(saved.manifest):
        lines.append(f"Disabled until the operator sets and allows {', '.join(missing)}.")
    return "\n".join([*lines, *(str(marked("warning", each)) for each in found.warnings)])


async def _list_manifests(workspace: Workspace, arguments: Arguments) -> str:
    name = arguments.get("name")
    if name is not None:
        return workspace.folder.read(name)
    served = {one.manifest.source: one for one in workspace.load_all()}
    refused, names = workspace.refused, workspace.folder.names()
    lines = [_manifest_line(each, served.get(each), refused.get(each, "")) for each in names]
    return "\n".join(lines) or "There are none. save_manifest adds one."


def _manifest_line(name: str, loaded: LoadedManifest | None, refused: str) -> str:
    if loaded is None:
        return f"{name}: not served: {refused}"
    tools = [tool.full_name for tools in loaded.tools.values() for tool in tools]
    missing = missing_variables(loaded.manifest)
    waits = f" (disabled: {', '.join(missing)} missing)" if missing else ""
    return f"{name}: {', '.join(tools) or 'tools that the endpoint announces'}{waits}"


async def _remove_manifest(workspace: Workspace, arguments: Arguments) -> str:
    workspace.remove(arguments["name"])
    return f"{arguments['name']} is removed with its tools."


ACTIONS: Final[Mapping[str, Action]] = {
    "guide": _guide,
    "list_catalog": _list_catalog,
    "list_presets": _list_presets,
    "import_description": _import_description,
    "probe": _probe,
    "check_manifest": _check_manifest,
    "try_call": _try_call,
    "save_manifest": _save_manifest,
    "list_manifests": _list_manifests,
    "remove_manifest": _remove_manifest,
}
