"""The tools of one manual, compiled: chosen, overridden, and each one checked."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from ...errors import ForbiddenURL, Problem
from ...manifest.entries import ManifestEntry, ResolvedTool
from ...manifest.models.call_template import CallTemplate
from ...manifest.models.manual import DiscoverySettings, Tool, ToolOverride
from ...manifest.steps import Steps, complete
from ...manifest.validation import check_model, closest_match, join_path
from ..diagnostics import CompileError, Diagnostics
from ..expressions.scope import URL_NAMES
from ..handshake_request import HandshakeTemplate
from ..network_policy import URL, parse_url
from ..templates.compiler import Compiler
from ..url_template import UrlTemplate
from .template import SharedParts, TemplateCompiler
from .tool import CompiledTool, compile_tool

if TYPE_CHECKING:
    from ...manifest.pinning import PinMode

DISCOVERY_TOOL_NAME = "(discovery)"
"""The name of the call that fetches a manual; no tool can have it."""

_CALL_ONLY_FIELDS = ("header_fields", "ignore", "let", "listen", "then")
"""Fields of an entry that only its tools are called with."""

_MANUAL_PREDICATE = "{0} is mapping and {0}.tools is defined and {0}.tools is sequence and {0}.tools is not string"


_UNCHANGED = ToolOverride.model_construct()


def compile_entry(entry: ManifestEntry, shared: SharedParts | None = None) -> tuple[list[CompiledTool], list[Problem]]:
    """Compile the tools that a manifest lists for an entry.

    Args:
        entry: The entry.
        shared: What it shares with the other entries of its manifest.

    Returns:
        The compiled tools, and everything that is wrong with the templates of the entry. Where the call template of the
        entry itself is wrong, its tools are not compiled: they would repeat its problems.
    """
    templates = TemplateCompiler(entry, shared)
    if entry.template is not None:
        try:
            _check_own_template(entry, templates)
        except CompileError as error:
            return [], list(error.problems) + _check_allowed_origins(entry)
    compiled_tools, problems = compile_tools(entry, entry.tools, templates)
    feed_tools, found = _compile_feed_tools(entry, templates, {tool.name for tool in compiled_tools})
    compiled_tools += feed_tools
    problems += found
    return compiled_tools, problems + _check_override_names(entry) + _check_allowed_origins(entry)


def _compile_feed_tools(
    entry: ManifestEntry, templates: TemplateCompiler, names: Collection[str]
) -> tuple[list[CompiledTool], list[Problem]]:
    """Return the tools that read the feeds of an entry, and a problem for each one whose name is in use."""
    if entry.template is None or not entry.template.feeds:
        return [], []
    from ..feeds.compiler import compile_feeds  # manifests without feeds do not need it

    diagnostics = Diagnostics(entry.path)
    tools = [tool for tool in compile_feeds(entry, templates, diagnostics) if _is_included(entry, tool.name)]
    seen = {*names}
    for tool in tools:
        if tool.name in seen:
            message = f"another tool is also named {tool.name!r}. Rename the feed or the tool."
            diagnostics.add("feeds", message, "duplicate-tool")
        seen.add(tool.name)
    return tools, diagnostics.problems


def compile_tools(
    entry: ManifestEntry, tools: Iterable[ResolvedTool], templates: TemplateCompiler | None = None
) -> tuple[list[CompiledTool], list[Problem]]:
    """Return what `compile_tools_in_steps` returns, at once."""
    return complete(compile_tools_in_steps(entry, tools, templates))


def compile_tools_in_steps(
    entry: ManifestEntry, tools: Iterable[ResolvedTool], templates: TemplateCompiler | None = None
) -> Steps[tuple[list[CompiledTool], list[Problem]]]:
    """Compile those of the tools that the entry includes. It yields after each tool.

    Args:
        entry: The entry that the tools belong to.
        tools: The tools with their call templates.
        templates: Compiles the call templates of the entry; a new one if it is left out.

    Returns:
        The compiled tools, and a problem for each one that cannot be called.
    """
    templates = templates or TemplateCompiler(entry)
    compiled_tools: dict[str, CompiledTool] = {}
    problems: list[Problem] = []
    is_too_slow = False
    for tool in tools:
        if is_too_slow:
            message = "its manual takes too long to compile, so that this tool and those after it are left out."
            problems.append(Problem(tool.path, message, code="manual-too-large"))
            break
        if not _is_included(entry, tool.tool.name):
            continue
        try:
            override = entry.options.tool_overrides.get(tool.tool.name, _UNCHANGED)
            compiled = compile_tool(entry, tool, templates, override)
            if tool.remote_fields:
                _check_origin(entry, compiled.compiled_template.handshake)
        except CompileError as error:
            problems += error.problems
        except ForbiddenURL as error:
            problems.append(Problem(tool.path, error.message, code=error.code))
        else:
            name = compiled.name
            if name in compiled_tools:
                message = f"another tool is also named {name!r}. Rename one of them."
                problems.append(Problem(join_path(tool.path, "name"), message, code="duplicate-tool"))
            compiled_tools.setdefault(name, compiled)
        is_too_slow = yield
    return list(compiled_tools.values()), problems


def _check_own_template(entry: ManifestEntry, templates: TemplateCompiler) -> None:
    """Compile the call template of an entry for its tools, and raise what is wrong with it."""
    assert entry.template is not None
    diagnostics = Diagnostics(entry.path)
    templates.compile_template(ResolvedTool(Tool(name="(template)"), entry.template, entry.path), diagnostics)
    diagnostics.raise_if_any()
    if entry.options.discovery is not None:  # without it, the manifest writes nothing about it that could be wrong
        compile_discovery(entry)


def compile_discovery(entry: ManifestEntry) -> CompiledTool:
    """Compile discovery as a call: its message requests the manual, its reply rules find it, its result is the manual.

    Raises:
        CompileError: where the templates of the entry cannot be compiled.
    """
    settings = entry.options.discovery or DiscoverySettings()
    manual = settings.manual or "message"
    match = settings.match or _MANUAL_PREDICATE.format(f"({manual})" if settings.manual else manual)
    inherited = {key: value for key, value in entry.raw.items() if key not in _CALL_ONLY_FIELDS}
    document = {
        **inherited,
        "message": settings.send,
        "reply": {"match": match, "result": manual},
        "stream": {"on": False},
        "response_format": "json",
    }
    template, problems = check_model(CallTemplate, document, entry.path)
    assert template is not None, problems
    tool = ResolvedTool(Tool(name=DISCOVERY_TOOL_NAME), template, join_path(entry.path, "discovery"), is_template=True)
    return compile_tool(entry, tool, TemplateCompiler(entry))


def pin_settings(entry: ManifestEntry) -> tuple[str, PinMode]:
    """Return the origin that the tools of an entry are pinned for, and the mode; for loopback, off by default."""
    url = _entry_url(entry)
    default: PinMode = "off" if url.is_loopback_literal else "tofu"
    return f"{url.scheme}://{url.authority}", entry.options.pin or default


def sample_url(entry: ManifestEntry) -> str:
    """Return the URL of an entry, with sample text for what is only known during a call."""
    assert entry.template is not None
    return UrlTemplate(tuple(Compiler(entry.variables, names=URL_NAMES).parts(entry.template.url))).sample


def _is_included(entry: ManifestEntry, name: str) -> bool:
    options = entry.options
    included = options.include_tools is None or any(fnmatchcase(name, glob) for glob in options.include_tools)
    return included and not any(fnmatchcase(name, glob) for glob in options.exclude_tools)


def _check_override_names(entry: ManifestEntry) -> list[Problem]:
    """Return a problem for each override of a tool that does not exist, if all tools are known."""
    if entry.uses_discovery:
        return []
    names = {tool.tool.name for tool in entry.tools}
    problems = []
    for name in entry.options.tool_overrides:
        if name not in names:
            suggestion = closest_match(name, names)
            hint = f" Did you mean {suggestion!r}?" if suggestion else ""
            path = join_path(join_path(entry.path, "tool_overrides"), name)
            problems.append(Problem(path, f"there is no tool of this name.{hint}", code="unknown-tool-override"))
    return problems


def _check_allowed_origins(entry: ManifestEntry) -> list[Problem]:
    diagnostics = Diagnostics(entry.path)
    for index, origin in enumerate(entry.options.allow_origins):
        with diagnostics.collect(f"allow_origins[{index}]"):
            parse_url(origin)
    return diagnostics.problems


def _check_origin(entry: ManifestEntry, handshake: HandshakeTemplate) -> None:
    """Check that a discovered tool connects to the origin of its manual, or to one that the manifest lists.

    Raises:
        ForbiddenURL: if it does not.
    """
    own = parse_url(handshake.url.sample)
    allowed = [_entry_url(entry), *map(parse_url, entry.options.allow_origins)]
    if own.origin not in {url.origin for url in allowed}:
        scheme, host, port = own.origin
        raise ForbiddenURL(
            f"the discovered tool uses another origin than its manual: {scheme}://{host}:{port}. To allow it, add "
            'the origin to "allow_origins".',
            code="origin-not-allowed",
        )


def _entry_url(entry: ManifestEntry) -> URL:
    """Return the URL of an entry, with sample text for its placeholders."""
    return parse_url(sample_url(entry))
