"""The tools of one manual, compiled: chosen, overridden, and each one checked."""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase

from ...errors import ForbiddenURL, Problem
from ...manifest.loader import Entry, ToolEntry
from ...manifest.models.call_template import CallTemplate, Discovery, Tool
from ...manifest.pinning import Mode
from ...manifest.validation import check_model, join, nearest
from ..diagnostics import Problems, TemplateProblem
from ..expressions.scope import URL_NAMES
from ..handshake_request import UpgradeTemplate
from ..network_policy import URL, parse_url
from ..templates.compiler import Compiler
from ..templates.nodes import Hole
from .tool import Plan, WirePlan, compile_tool, compile_wire

DISCOVERY = "(discovery)"
"""The name of the call that fetches a manual; no tool can have it."""

_OF_CALLS = ("header_fields", "ignore", "let", "then")
"""Fields of an entry that only its tools are called with."""

_IS_MANUAL = "{0} is mapping and {0}.tools is defined and {0}.tools is sequence and {0}.tools is not string"


def compile_local(entry: Entry) -> tuple[list[Plan], list[Problem]]:
    """The tools that a manifest lists for an entry, and everything that is wrong with the entry's templates.

    Where the call template itself is wrong, its tools are not looked at: they would repeat it.
    """
    wire = None
    if entry.template is not None:
        try:
            stand_in = ToolEntry(Tool(name="(template)"), entry.template, entry.path, is_template=True)
            found = Problems(entry.path)
            wire = compile_wire(entry, stand_in, found)
            found.raise_any()
            if entry.options.discovery is not None:  # without it, discovery says nothing that could be wrong
                discovery_plan(entry)
        except TemplateProblem as wrong:
            return [], list(wrong.problems) + _check_allowed_origins(entry)
    plans, problems = compile_tools(entry, entry.tools, wire)
    return plans, problems + _check_names(entry) + _check_allowed_origins(entry)


def compile_tools(
    entry: Entry, tools: Iterable[ToolEntry], wire: WirePlan | None = None
) -> tuple[list[Plan], list[Problem]]:
    """The plans of those tools that the entry includes, and a problem for each one that cannot be called.

    `wire` is the entry's own call template, compiled: tools that say nothing of their own share it.
    """
    plans: dict[str, Plan] = {}
    problems: list[Problem] = []
    for tool in tools:
        if not _is_included(entry, tool.tool.name):
            continue
        try:
            shares = tool.template is entry.template
            plan = compile_tool(entry, tool, entry.options.tool_overrides.get(tool.tool.name), wire)
            wire = plan.wire if shares else wire
            if tool.remote:
                _check_origin(entry, plan.wire.upgrade)
        except TemplateProblem as wrong:
            problems += wrong.problems
        except ForbiddenURL as wrong:
            problems.append(Problem(tool.path, str(wrong)))
        else:
            if plan.name in plans:
                problems.append(Problem(join(tool.path, "name"), f"there are two tools named {plan.name!r}"))
            plans.setdefault(plan.name, plan)
    return list(plans.values()), problems


def discovery_plan(entry: Entry) -> Plan:
    """Discovery as a call: its message asks, its reply rules find the manual, its result is the manual.

    Raises:
        TemplateProblem: where the entry's templates cannot be read.
    """
    asked = entry.options.discovery or Discovery()
    manual = asked.manual or "message"
    found = asked.match or _IS_MANUAL.format(f"({manual})" if asked.manual else manual)
    inherited = {key: value for key, value in entry.raw.items() if key not in _OF_CALLS}
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
        entry, ToolEntry(Tool(name=DISCOVERY), template, join(entry.path, "discovery"), is_template=True)
    )


def pinned_origin(entry: Entry) -> tuple[str, Mode]:
    """The origin that an entry's tools are pinned for, and how: not at all by default on this machine."""
    url = _entry_url(entry)
    default: Mode = "off" if url.is_loopback_literal else "tofu"
    return f"{url.scheme}://{url.authority}", entry.options.pin or default


def _is_included(entry: Entry, name: str) -> bool:
    options = entry.options
    included = options.include_tools is None or any(fnmatchcase(name, glob) for glob in options.include_tools)
    return included and not any(fnmatchcase(name, glob) for glob in options.exclude_tools)


def _check_names(entry: Entry) -> list[Problem]:
    """Overrides of tools that do not exist, where all tools are known."""
    if entry.discovers:
        return []
    names = {tool.tool.name for tool in entry.tools}
    problems = []
    for name in entry.options.tool_overrides:
        if name not in names:
            near = nearest(name, names)
            hint = f"; did you mean {near!r}?" if near else ""
            problems.append(Problem(join(join(entry.path, "tool_overrides"), name), f"there is no such tool{hint}"))
    return problems


def _check_allowed_origins(entry: Entry) -> list[Problem]:
    found = Problems(entry.path)
    for index, origin in enumerate(entry.options.allow_origins):
        with found.at(f"allow_origins[{index}]"):
            parse_url(origin)
    return found.found


def _check_origin(entry: Entry, upgrade: UpgradeTemplate) -> None:
    """A discovered tool stays at its manual's origin, or goes to one that the manifest lists.

    Raises:
        ForbiddenURL: if it goes elsewhere.
    """
    own = parse_url(_sample(upgrade.url))
    allowed = [_entry_url(entry), *map(parse_url, entry.options.allow_origins)]
    if own.origin not in {url.origin for url in allowed}:
        scheme, host, port = own.origin
        raise ForbiddenURL(
            f'the discovered tool points at {scheme}://{host}:{port}; to allow that, add it to "allow_origins"'
        )


def _entry_url(entry: Entry) -> URL:
    """The URL of an entry, with a stand-in for what a call fills in."""
    assert entry.template is not None
    return parse_url(_sample(tuple(Compiler(entry.variables, names=URL_NAMES).parts(entry.template.url))))


def _sample(parts: tuple[str | Hole, ...]) -> str:
    return "".join(part if isinstance(part, str) else "x" for part in parts)
