"""The tools of one manual, compiled: chosen, overridden, and each one checked."""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase

from ...errors import ForbiddenURL, Problem
from ...manifest.loader import ManifestEntry, ResolvedTool
from ...manifest.models.call_template import CallTemplate, DiscoverySettings, Tool
from ...manifest.pinning import PinMode
from ...manifest.validation import check_model, closest_match, join_path
from ..diagnostics import CompileError, Diagnostics
from ..expressions.scope import URL_NAMES
from ..handshake_request import HandshakeTemplate
from ..network_policy import URL, parse_url
from ..templates.compiler import Compiler
from ..templates.nodes import Placeholder
from .tool import CompiledTemplate, CompiledTool, compile_template, compile_tool

DISCOVERY_TOOL_NAME = "(discovery)"
"""The name of the call that fetches a manual; no tool can have it."""

_CALL_ONLY_FIELDS = ("header_fields", "ignore", "let", "then")
"""Fields of an entry that only its tools are called with."""

_MANUAL_PREDICATE = "{0} is mapping and {0}.tools is defined and {0}.tools is sequence and {0}.tools is not string"


def compile_entry(entry: ManifestEntry) -> tuple[list[CompiledTool], list[Problem]]:
    """The tools that a manifest lists for an entry, and everything that is wrong with the entry's templates.

    Where the call template itself is wrong, its tools are not looked at: they would repeat it.
    """
    wire = None
    if entry.template is not None:
        try:
            stand_in = ResolvedTool(Tool(name="(template)"), entry.template, entry.path, is_template=True)
            found = Diagnostics(entry.path)
            wire = compile_template(entry, stand_in, found)
            found.raise_if_any()
            if entry.options.discovery is not None:  # without it, discovery says nothing that could be wrong
                compile_discovery(entry)
        except CompileError as wrong:
            return [], list(wrong.problems) + _check_allowed_origins(entry)
    plans, problems = compile_tools(entry, entry.tools, wire)
    return plans, problems + _check_override_names(entry) + _check_allowed_origins(entry)


def compile_tools(
    entry: ManifestEntry, tools: Iterable[ResolvedTool], compiled_template: CompiledTemplate | None = None
) -> tuple[list[CompiledTool], list[Problem]]:
    """The plans of those tools that the entry includes, and a problem for each one that cannot be called.

    `wire` is the entry's own call template, compiled: tools that say nothing of their own share it.
    """
    plans: dict[str, CompiledTool] = {}
    problems: list[Problem] = []
    for tool in tools:
        if not _is_included(entry, tool.tool.name):
            continue
        try:
            shares = tool.template is entry.template
            plan = compile_tool(entry, tool, entry.options.tool_overrides.get(tool.tool.name), compiled_template)
            compiled_template = plan.compiled_template if shares else compiled_template
            if tool.remote_fields:
                _check_origin(entry, plan.compiled_template.handshake)
        except CompileError as wrong:
            problems += wrong.problems
        except ForbiddenURL as wrong:
            problems.append(Problem(tool.path, str(wrong)))
        else:
            if plan.name in plans:
                problems.append(Problem(join_path(tool.path, "name"), f"there are two tools named {plan.name!r}"))
            plans.setdefault(plan.name, plan)
    return list(plans.values()), problems


def compile_discovery(entry: ManifestEntry) -> CompiledTool:
    """Discovery as a call: its message asks, its reply rules find the manual, its result is the manual.

    Raises:
        TemplateProblem: where the entry's templates cannot be read.
    """
    asked = entry.options.discovery or DiscoverySettings()
    manual = asked.manual or "message"
    found = asked.match or _MANUAL_PREDICATE.format(f"({manual})" if asked.manual else manual)
    inherited = {key: value for key, value in entry.raw.items() if key not in _CALL_ONLY_FIELDS}
    raw = {
        **inherited,
        "message": asked.send,
        "reply": {"match": found, "result": manual},
        "stream": {"on": False},
        "response_format": "json",
    }
    template, wrong = check_model(CallTemplate, raw, entry.path)
    assert template is not None, wrong
    return compile_tool(
        entry,
        ResolvedTool(Tool(name=DISCOVERY_TOOL_NAME), template, join_path(entry.path, "discovery"), is_template=True),
    )


def pin_settings(entry: ManifestEntry) -> tuple[str, PinMode]:
    """The origin that an entry's tools are pinned for, and how: not at all by default on this machine."""
    url = _entry_url(entry)
    default: PinMode = "off" if url.is_loopback_literal else "tofu"
    return f"{url.scheme}://{url.authority}", entry.options.pin or default


def _is_included(entry: ManifestEntry, name: str) -> bool:
    options = entry.options
    included = options.include_tools is None or any(fnmatchcase(name, glob) for glob in options.include_tools)
    return included and not any(fnmatchcase(name, glob) for glob in options.exclude_tools)


def _check_override_names(entry: ManifestEntry) -> list[Problem]:
    """Overrides of tools that do not exist, where all tools are known."""
    if entry.uses_discovery:
        return []
    names = {tool.tool.name for tool in entry.tools}
    problems = []
    for name in entry.options.tool_overrides:
        if name not in names:
            near = closest_match(name, names)
            hint = f"; did you mean {near!r}?" if near else ""
            problems.append(
                Problem(join_path(join_path(entry.path, "tool_overrides"), name), f"there is no such tool{hint}")
            )
    return problems


def _check_allowed_origins(entry: ManifestEntry) -> list[Problem]:
    found = Diagnostics(entry.path)
    for index, origin in enumerate(entry.options.allow_origins):
        with found.collect(f"allow_origins[{index}]"):
            parse_url(origin)
    return found.problems


def _check_origin(entry: ManifestEntry, handshake: HandshakeTemplate) -> None:
    """A discovered tool stays at its manual's origin, or goes to one that the manifest lists.

    Raises:
        ForbiddenURL: if it goes elsewhere.
    """
    own = parse_url(_sample_url(handshake.url))
    allowed = [_entry_url(entry), *map(parse_url, entry.options.allow_origins)]
    if own.origin not in {url.origin for url in allowed}:
        scheme, host, port = own.origin
        raise ForbiddenURL(
            f'the discovered tool points at {scheme}://{host}:{port}; to allow that, add it to "allow_origins"'
        )


def _entry_url(entry: ManifestEntry) -> URL:
    """The URL of an entry, with a stand-in for what a call fills in."""
    assert entry.template is not None
    return parse_url(_sample_url(tuple(Compiler(entry.variables, names=URL_NAMES).parts(entry.template.url))))


def _sample_url(parts: tuple[str | Placeholder, ...]) -> str:
    return "".join(part if isinstance(part, str) else "x" for part in parts)
