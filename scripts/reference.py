"""Generated parts of the reference, the JSON Schema and .env.example: `python -m scripts.reference` (`make reference`).

A generated part stands between the marks `<!-- generated: KIND NAME -->` and `<!-- end of generated -->` of a page.
Everything else on the page is written by hand. tests/docs/test_generated.py fails where a part is not current.
"""

from __future__ import annotations

import inspect
import json
import re
import sys
import textwrap
import typing
from collections.abc import Callable, Iterable, Iterator, Sequence
from logging import Handler
from pathlib import Path
from typing import Any, Final

import click

import utcp_ws_mcp
from scripts import manifest_reference
from utcp_ws_mcp.cli.main import main as cli
from utcp_ws_mcp.client.catalog import read_catalog
from utcp_ws_mcp.manifest.json_schema import manifest_schema
from utcp_ws_mcp.observability import events, feed_events, logging
from utcp_ws_mcp.observability.metrics import BUCKET_BOUNDS, INSTRUMENTS, Instrument
from utcp_ws_mcp.records import MutableRecord, Record
from utcp_ws_mcp.server.resources import RESOURCE_TEMPLATES, RESOURCES

ROOT: Final = Path(__file__).parents[1]
REFERENCE: Final = ROOT / "docs" / "reference"
SCHEMA_FILE: Final = REFERENCE / "manifest.schema.json"
ENV_FILE: Final = ROOT / ".env.example"
_ENV_HEADER: Final = """\
# The variables of the manifests of the catalogue; made by `python -m scripts.reference`.
#
# Copy the lines that you need to a file of your own, without the '#', fill them in, and pass the file on:
#     utcp-ws-mcp catalog doctor obs --env-file obs.env
# A line with an empty value counts as set. Keep the file out of version control.
"""
WIDTH: Final = 100
"""Characters of a signature that fits one line."""

_PART = re.compile(r"(<!-- generated: (\w+)(?: (\S+))? -->\n).*?(<!-- end of generated -->)", re.DOTALL)
_SECTION = re.compile(r"^(Args|Returns|Raises|Yields):$", re.MULTILINE)


def render_page(text: str) -> str:
    """Return the text of a page with every generated part made again."""
    return _PART.sub(lambda part: f"{part[1]}\n{RENDERERS[part[2]](part[3] or '').strip()}\n\n{part[4]}", text)


def find_pages() -> list[Path]:
    """Return the pages that have generated parts."""
    every = sorted(REFERENCE.rglob("*.md"))
    return [page for page in every if "<!-- generated: " in page.read_text(encoding="utf-8")]


def write_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def render_command(name: str) -> str:
    """Return the usage, the description and the options of a command."""
    command: click.Command = cli
    context = click.Context(cli, info_name="utcp-ws-mcp")
    for word in name.split("/"):  # a command of a group: group/command
        assert isinstance(command, click.Group)
        command = command.commands[word]
        context = click.Context(command, info_name=word, parent=context)
    usage = " ".join([context.command_path, *command.collect_usage_pieces(context)])
    options = [param for param in command.params if isinstance(param, click.Option)]
    text = f"```text\n{usage}\n```\n\n{_reflow(command.help or '')}\n"
    if options:
        rows = [_option_row(option, context) for option in options]
        text += "\n" + write_table(("option", "default", "description"), rows)
    return text


def _option_row(option: click.Option, context: click.Context) -> tuple[str, str, str]:
    default = option.get_default(context)
    # click has a value of its own for "no default"
    is_shown = isinstance(default, str | int) and default != ""
    shown = f"`{default:g}`" if isinstance(default, float) else f"`{default}`" if is_shown else ""
    help_text, _, written = (option.help or "").partition("  [default: ")
    if option.is_flag:
        names, shown = option.opts, "on" if default else "off"
    else:
        names = [f"{opt} {option.make_metavar(context)}" for opt in option.opts]
        shown = f"`{written.removesuffix(']')}`" if written else shown
    names = [*names, *option.secondary_opts]
    return ", ".join(f"`{_escape(name)}`" for name in names), shown, _escape(help_text)


def render_catalog(_: str) -> str:
    """Return a table of the entries of the catalogue."""
    rows = []
    for entry in read_catalog():
        link = f"[`{entry.name}`](../../manifests/{entry.file.name})"
        against = entry.info.run_against or "the documentation only"
        needs = ", ".join(f"`{name}`" for name in entry.required)
        rows.append((link, _escape(entry.info.summary), _escape(against), needs))
    return write_table(("name", "for", "run against", "needs"), rows)


def render_env_example() -> str:
    """Return a dotenv file with every variable of the catalogue, each as a comment."""
    blocks = [_ENV_HEADER]
    for entry in read_catalog():
        lines = [f"# {entry.name}: {entry.info.summary}."] if entry.variables else []
        for name in entry.variables:
            lines += textwrap.wrap(entry.info.variables[name], 110, initial_indent="# ", subsequent_indent="# ")
            lines.append(f"#{name}=")
        blocks += ["\n".join(lines) + "\n"] if lines else []
    return "\n".join(blocks)


def render_metrics(_: str) -> str:
    """Return a table of all metrics."""

    def row(instrument: Instrument) -> tuple[str, str, str, str]:
        name = f"{instrument.name}_total" if instrument.kind == "counter" else instrument.name
        labels = ", ".join(f"`{label}`" for label in instrument.labels)
        return f"`{name}`", instrument.kind, labels, _escape(instrument.description)

    bounds = ", ".join(f"{bound:g}" for bound in BUCKET_BOUNDS)
    table = write_table(("metric", "type", "labels", "description"), map(row, INSTRUMENTS))
    return f"{table}\nBuckets of the histograms, in seconds: {bounds}.\n"


def render_events(_: str) -> str:
    """Return a table of all events, with the level at which each is logged and its fields in JSON."""
    rows = []
    listed: list[Any] = [*typing.get_args(events.Event), *vars(feed_events).values()]
    for event in (each for each in listed if isinstance(each, type) and each is not events.FeedEvent):
        level, name, keys = _log(event)
        meaning = _reflow(inspect.getdoc(event) or "").replace("\n\n", " ")
        rows.append((f"`{name}`", level, ", ".join(f"`{key}`" for key in keys), _escape(meaning)))
    return write_table(("event", "level", "fields", "meaning"), rows)


def _log(event: type[Any]) -> tuple[str, str, list[str]]:
    """Log an event, and return its level, its name and its fields; one that is not logged has no level."""
    samples = {"str": "x", "float": 1.0, "int": 1, "bool": True, "str | bytes": "x", "tuple[str, ...]": ("x",)}
    values = [samples.get(event.__annotations__[name]) for name in event.__struct_fields__]
    records: list[Any] = []
    handler = _Collector(records)
    logger, level = logging.logger, logging.logger.level
    logger.addHandler(handler)
    logger.setLevel("DEBUG")
    try:
        logging.log_event(event(*values))
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
    if not records:
        return "", event.__name__, list(event.__struct_fields__)
    line = json.loads(logging._JsonFormatter(str).format(records[0]))
    name, keys = line.pop("event"), [key for key in line if key not in ("time", "level", "message")]
    return records[0].levelname.lower(), name, keys


class _Collector(Handler):
    def __init__(self, records: list[Any]) -> None:
        super().__init__()
        self._records = records

    def emit(self, record: Any) -> None:
        """Collect a record."""
        self._records.append(record)


def render_resources(_: str) -> str:
    """Return a table of the resources of the server."""
    rows = [(f"`{each['uri']}`", each["mimeType"], each["description"]) for each in RESOURCES]
    rows += [(f"`{each['uriTemplate']}`", each["mimeType"], each["description"]) for each in RESOURCE_TEMPLATES]
    return write_table(("URI", "media type", "content"), rows)


def render_python(name: str) -> str:
    """Return the description of a class or a function of the public API."""
    value = getattr(utcp_ws_mcp, name)
    if not inspect.isclass(value):
        return _describe(f"### `{name}`", name, value)
    text = _describe(f"### `{name}`", name, value)
    own = [each for each in inspect.getmro(value) if each.__module__.startswith(utcp_ws_mcp.__name__)]
    members = {key: member for each in reversed(own) for key, member in vars(each).items() if key[0] != "_"}
    return text + "".join(_member(name, key, member) for key, member in members.items())


def render_errors(_: str) -> str:
    """Return which exception classes can be imported from where, and a table of all."""
    from utcp_ws_mcp import errors

    classes = [each for each in vars(errors).values() if inspect.isclass(each) and issubclass(each, Exception)]
    rows = []
    for each in classes:
        own = vars(each).get("__init__")
        attributes = [key for key in inspect.signature(own).parameters if key != "self"] if own else []
        bases = ", ".join(f"`{base.__name__}`" for base in each.__bases__)
        first = _reflow(inspect.getdoc(each) or "").replace("\n\n", " ")
        rows.append((f"`{each.__name__}`", bases, ", ".join(f"`{key}`" for key in attributes), _escape(first)))
    exported = ", ".join(f"`{name}`" for name in utcp_ws_mcp.__all__ if name in vars(errors))
    importable = f"{exported} can be imported from `utcp_ws_mcp`, all classes from `utcp_ws_mcp.errors`.\n\n"
    return importable + write_table(("class", "bases", "arguments", "meaning"), rows)


def _member(owner: str, key: str, member: Any) -> str:
    if isinstance(member, property):
        return _describe(f"#### `{owner}.{key}`", key, member)
    if isinstance(member, classmethod | staticmethod) or inspect.isfunction(member):
        return _describe(f"#### `{owner}.{key}`", f"{owner}.{key}", member)
    return ""


def _describe(heading: str, name: str, value: Any) -> str:
    if isinstance(value, property):
        result = inspect.signature(value.fget).return_annotation if value.fget else ""
        signature = f"{name}: {result}"
    else:
        signature = write_signature(name, value)
    return f"{heading}\n\n```py\n{signature}\n```\n\n{write_docstring(inspect.getdoc(value) or '')}\n\n"


class _Annotation:
    """An annotation or a default that is shown as it is written."""

    def __init__(self, text: Any) -> None:
        self._text = text if isinstance(text, str) else inspect.formatannotation(text)

    def __repr__(self) -> str:
        return self._text


def write_signature(name: str, value: Any) -> str:
    """Return the signature of a callable, on several lines if it is long."""
    if inspect.isclass(value) and issubclass(value, (Record, MutableRecord)):
        lines = [f"    {name}: {value.__annotations__[name]}" for name in value.__struct_fields__]
        return "\n".join([f"class {name}", *lines])
    function = value.__func__ if isinstance(value, classmethod | staticmethod) else value
    prefix = "class " if inspect.isclass(value) else ""
    if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
        prefix = "async "
    signature = inspect.signature(function)
    parameters = [_as_written(each) for each in signature.parameters.values() if each.name not in ("self", "cls")]
    result = signature.return_annotation
    shown = signature.empty if result is signature.empty or inspect.isclass(value) else _Annotation(result)
    signature = signature.replace(parameters=parameters, return_annotation=shown)
    line = f"{prefix}{name}{signature}"
    if len(line) <= WIDTH:
        return line
    one_each = "".join(f"    {each},\n" for each in _separated(parameters))
    arrow = "" if shown is signature.empty else f" -> {shown!r}"
    return f"{prefix}{name}(\n{one_each}){arrow}"


def _as_written(parameter: inspect.Parameter) -> inspect.Parameter:
    """Return a parameter whose annotation and default are shown as in the source."""
    if parameter.annotation is not parameter.empty:
        parameter = parameter.replace(annotation=_Annotation(parameter.annotation))
    if inspect.isfunction(parameter.default):
        parameter = parameter.replace(
            default=_Annotation("..." if "<" in parameter.default.__name__ else parameter.default.__name__)
        )
    return parameter


def _separated(parameters: Sequence[inspect.Parameter]) -> Iterator[str]:
    """Yield the parameters, with the star that separates those which are given by name."""
    starred = False
    for each in parameters:
        if each.kind is each.KEYWORD_ONLY and not starred:
            yield "*"
        starred = starred or each.kind in (each.KEYWORD_ONLY, each.VAR_POSITIONAL)
        yield str(each)


def write_docstring(text: str) -> str:
    """Return a docstring as Markdown; its sections Args, Returns and Raises become lists."""
    head, *parts = _SECTION.split(text)
    written = [_reflow(head)]
    for title, body in zip(parts[::2], parts[1::2], strict=True):
        items = re.split(r"\n(?=\S)", inspect.cleandoc(body).strip())
        shown = [re.sub(r"^([\w*, ]+):", r"`\1`:", " ".join(item.split())) for item in items]
        written.append(f"**{title}**\n\n" + "\n".join(f"- {item}" for item in shown))
    return "\n\n".join(part for part in written if part)


def _reflow(text: str) -> str:
    """Return a text with each paragraph on one line; indented code stays."""
    paragraphs = re.split(r"\n\s*\n", inspect.cleandoc(text).replace("\b\n", ""))
    shown = [part if part.startswith("    ") else " ".join(part.split()) for part in paragraphs]
    return "\n\n".join(shown).strip()


def _escape(text: str) -> str:
    return text.replace("|", "\\|")


RENDERERS: Final[dict[str, Callable[[str], str]]] = {
    "command": render_command,
    "catalog": render_catalog,
    "metrics": render_metrics,
    "events": render_events,
    "resources": render_resources,
    "python": render_python,
    "errors": render_errors,
    **manifest_reference.RENDERERS,
}
"""What each kind of generated part is made by; the argument is the name behind the kind."""


def render_schema() -> str:
    """Return the JSON Schema of a manifest, as `utcp-ws-mcp schema` prints it."""
    return json.dumps(manifest_schema(), indent=2, ensure_ascii=False) + "\n"


def main() -> None:
    """Write the generated parts of all pages, the JSON Schema, and the variables of the catalogue."""
    ENV_FILE.write_text(render_env_example(), encoding="utf-8")
    SCHEMA_FILE.write_text(render_schema(), encoding="utf-8")
    for page in find_pages():
        text = page.read_text(encoding="utf-8")
        current = render_page(text)
        if current != text:
            page.write_text(current, encoding="utf-8")
            print(page.relative_to(ROOT), file=sys.stderr)


if __name__ == "__main__":
    main()
