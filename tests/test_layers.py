import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

import utcp_ws_mcp

PACKAGE = utcp_ws_mcp.__name__
ROOT = Path(utcp_ws_mcp.__file__).parent
REPOSITORY = Path(__file__).parents[1]

BELOW_MANIFEST = {"records", "errors", "observability.events", "observability.feed_events", "__init__"}
LEAVES = {"core.limits", "core.expressions.analysis", "core.value_size"}
"""Modules of the core that import nothing of the layers above it, so that the manifest may use them."""

BELOW_CORE = BELOW_MANIFEST | {"manifest"}
BELOW_CLIENT = BELOW_CORE | {"core", "files"}
BELOW_BRIDGE = BELOW_CLIENT | {"client", "observability.redaction"}
BELOW_SERVER = BELOW_BRIDGE | {"bridge", "observability"}
BELOW_CLI = BELOW_SERVER | {"server"}

MAY_IMPORT = {
    "records": set(),
    "errors": {"records"},
    "files": set(),
    "manifest": BELOW_MANIFEST | LEAVES,
    "core": BELOW_CORE,
    "observability": {"records", "errors", "__init__", "manifest.secret_names", "core.codecs.message", "manifest"},
    "client": BELOW_CLIENT,
    "bridge": BELOW_BRIDGE,
    "server": BELOW_SERVER,
    "demo": BELOW_CLI,
    "lint": BELOW_BRIDGE,
    "recorder": BELOW_CORE | {"core", "lint"},
    "importers": BELOW_CORE | {"core", "recorder"},
    "authoring": BELOW_CLI | {"lint", "recorder", "importers"},
    "studio": BELOW_CLI | {"lint", "recorder", "importers", "authoring", "hosts"},
    "plugins": BELOW_BRIDGE | {"bridge"},
    "hosts": BELOW_BRIDGE,
    "cli": BELOW_CLI | {"lint", "recorder", "importers", "authoring", "studio", "hosts", "demo"},
    "__init__": {"bridge", "errors", "client.manifest_files", "client.feeds.reading", "core.exchange.result"},
    "__main__": {"cli"},
}

OWNERS = {
    "websockets": {
        "client.frames",
        "client.incoming",
        "client.messages",
        "client.handshake",
        "client.proxy",
        "client.websocket",
        "demo",
    },
    "msgspec": {"records", "core.codecs.json_text", "manifest.variables"},
    "aiohappyeyeballs": {"client.dial"},
    "minijinja": {f"core.expressions.{name}" for name in ("expression", "analysis", "syntax", "checks", "bounded")},
    "re2": {"core.expressions.patterns"},
    "jsonschema_rs": {"core.tools.argument_schema"},
    "httpx2": {"client.http_client"},
    "dotenv": {"client.dotenv_files"},
    "platformdirs": {"client.state_files"},
    "filelock": {"client.pin_store"},
    "yaml": {"importers.yaml_reader"},
    "graphql": {f"importers.graphql.{name}" for name in ("schema", "arguments", "selections")},
    "ruamel": {"hosts.yaml_config"},
    "tomlkit": {"hosts.toml_config"},
    "uvicorn": {
        *(
            f"server.http.{name}"
            for name in ("app", "connections", "fast_connection", "fast_response", "graceful", "known_heads")
        ),
        "studio.ui.server",
    },
    "sse_starlette": {"server.http.graceful"},
    "nicegui": {"studio.ui"},
    "fastapi": {"studio.ui.editor", "studio.ui.server"},
    "starlette": {
        "server.http.app",
        "server.http.batch",
        "server.http.body",
        "studio.ui.server",
    },
    "prometheus_client": {"observability.metrics"},
    "opentelemetry": {"observability.opentelemetry"},
    "redis": {"client.shared.store"},
    "cryptography": {"client.shared.sealing"},
    "click": {"cli"},
    "msgpack": {"core.codecs.msgpack_cbor"},
    "cbor2": {"core.codecs.msgpack_cbor"},
    "backports": {"core.codecs.zstd"},
    "compression": {"core.codecs.zstd"},
    "google": {"core.codecs.protobuf", "core.codecs.proto_schema"},
    "proto_schema_parser": {"core.codecs.proto_schema"},
    "python_socks": {"client.dial"},
    "jwt": {"core.expressions.filters", "server.auth.keys", "server.auth.tokens"},
    "mcp": {"server", "demo", "authoring.server"},
    "mcp_types": {"server", "demo", "authoring.server"},
    "utcp": {"plugins.utcp"},
    "asyncio": {
        "client.eager",
        "client.wakeup",
        "client.handshake",
        "client.inbox",
        "client.pending_pings",
        "client.proxy",
        "client.resolver",
        "client.websocket",
        "server",
        "plugins.utcp",
    },
}

PURE = (
    "manifest",
    "core",
    "errors",
    "importers",
    "client.pool.circuit_breaker",
    "client.pool.entry",
    "client.pool.planner",
    "client.pool.state",
    "observability.events",
    "observability.metrics",
    "observability.redaction",
    "server.http.security",
)
IMPURE = {"asyncio", "anyio", "logging", "os", "socket", "ssl", "sys", "threading", "subprocess"}
IMPURE |= {"time", "random", "secrets"}
IO_CALLS = {"open", "print", "input", "breakpoint"}

FILES = sorted(ROOT.rglob("*.py"))


def dotted(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if len(parts) > 1 and parts[-1] == "__init__" else parts)


MODULES = {dotted(path): path for path in FILES}


def is_within(module: str, places: set[str] | tuple[str, ...]) -> bool:
    return any(module == place or module.startswith(f"{place}.") for place in places)


@cache
def nodes_of(path: Path) -> tuple[Any, ...]:
    return tuple(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))


@cache
def read_imports(path: Path, root: Path = ROOT) -> tuple[tuple[bool, str], ...]:
    return tuple(iterate_imports(path, root))


def iterate_imports(path: Path, root: Path) -> Iterator[tuple[bool, str]]:
    package = (PACKAGE, *path.relative_to(root).parent.parts)
    for node in nodes_of(path):
        if isinstance(node, ast.Import):
            yield from (own_or_foreign(alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join((*base, *([node.module] if node.module else [])))
            submodules = [f"{module}.{alias.name}" for alias in node.names]
            known = [name for name in submodules if name.removeprefix(f"{PACKAGE}.") in MODULES]
            yield from (own_or_foreign(name) for name in known or [module])


def own_or_foreign(name: str) -> tuple[bool, str]:
    head, _, rest = name.partition(".")
    return (True, rest or "__init__") if head == PACKAGE else (False, name)


def own_imports(path: Path) -> set[str]:
    return {name for ours, name in read_imports(path) if ours}


def libraries(path: Path) -> set[str]:
    return {name.partition(".")[0] for ours, name in read_imports(path) if not ours}


def pure_files() -> list[Path]:
    return [path for name, path in MODULES.items() if is_within(name, PURE)]


@pytest.mark.parametrize("path", FILES, ids=dotted)
def test_imports_go_one_way(path):
    layer = dotted(path).partition(".")[0]
    allowed = MAY_IMPORT[layer] | ({layer} if layer != "__init__" else set())

    assert [name for name in sorted(own_imports(path)) if not is_within(name, allowed)] == []


@pytest.mark.parametrize("path", FILES, ids=dotted)
def test_a_library_is_imported_by_its_owner_only(path):
    foreign = libraries(path) & OWNERS.keys()

    assert [name for name in sorted(foreign) if not is_within(dotted(path), OWNERS[name])] == []


@pytest.mark.parametrize("library", OWNERS)
def test_an_owner_still_uses_its_library(library):
    users = {name for name, path in MODULES.items() if library in libraries(path)}

    assert users
    assert all(any(is_within(user, {owner}) for user in users) for owner in OWNERS[library])


@pytest.mark.parametrize("path", pure_files(), ids=dotted)
def test_a_pure_module_imports_nothing_that_acts(path):
    assert sorted(libraries(path) & IMPURE) == []


@pytest.mark.parametrize("path", pure_files(), ids=dotted)
def test_a_pure_module_never_waits(path):
    waits = (ast.AsyncFunctionDef, ast.Await, ast.AsyncFor, ast.AsyncWith)

    assert [node.lineno for node in nodes_of(path) if isinstance(node, waits)] == []
    assert [node.lineno for node in nodes_of(path) if isinstance(node, ast.comprehension) and node.is_async] == []


@pytest.mark.parametrize("path", pure_files(), ids=dotted)
def test_a_pure_module_opens_and_prints_nothing(path):
    calls = (node.func for node in nodes_of(path) if isinstance(node, ast.Call))

    assert [call.id for call in calls if isinstance(call, ast.Name) and call.id in IO_CALLS] == []


READS_PACKAGED_FILES = "manifest.presets"
"""The one pure module that reads files, those of the package: they are constant while it is installed."""

FILE_METHODS = {"read_text", "read_bytes", "write_text", "write_bytes", "glob", "rglob", "iterdir", "exists", "is_file"}


@pytest.mark.parametrize("path", pure_files(), ids=dotted)
def test_a_pure_module_uses_no_files(path):
    used = {
        node.func.attr for node in nodes_of(path) if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
    }

    assert used & FILE_METHODS == ({"glob", "read_text"} if dotted(path) == READS_PACKAGED_FILES else set())


def test_the_reader_of_imports_sees_those_inside_functions(tmp_path):
    file = tmp_path / "core" / "sample.py"
    file.parent.mkdir()
    file.write_text(
        "from ..observability import events\nfrom ..manifest.loader import Entry\n"
        "from . import backoff\nimport utcp_ws_mcp.client.dial\n"
        "def late():\n    import asyncio.events\n    from ..bridge import Bridge\n"
    )

    assert list(read_imports(file, tmp_path)) == [
        (True, "observability.events"),
        (True, "manifest.loader"),
        (True, "core.backoff"),
        (True, "client.dial"),
        (False, "asyncio.events"),
        (True, "bridge"),
    ]


MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 40
"""Lines of a function without its docstring."""

PROGRAMS = [
    path
    for folder in ("verification", "benchmarks", "scripts")
    for path in (REPOSITORY / folder).rglob("*.py")
    if "node_modules" not in path.parts
]


@pytest.mark.parametrize("path", [*FILES, *PROGRAMS], ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_a_file_has_at_most_400_lines(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= MAX_FILE_LINES


def code_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    first = function.body[0]
    docstring = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
    documented = first.end_lineno - first.lineno + 1 if docstring else 0
    return function.end_lineno - function.lineno + 1 - documented


@pytest.mark.parametrize("path", FILES, ids=dotted)
def test_a_function_is_short(path):
    functions = (node for node in nodes_of(path) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))

    assert [each.name for each in functions if code_lines(each) > MAX_FUNCTION_LINES] == []


DIALS = {"create_connection", "open_connection", "connect_tcp", "sock_connect", "connect", "start_connection"}
"""Calls that open a connection, whatever they are called on, unless they get the socket of one (`sock`)."""

SANS_IO = {"self.protocol.connect"}
"""Calls with such a name that open nothing: websockets' `ClientProtocol.connect` returns a request."""

NEVER = {"eval", "exec", "compile", "__import__", "system", "popen", "Popen", "spawn", "fork", "execv", "open_process"}
"""Calls that run code from elsewhere."""


def called(path: Path, without: str = "") -> Iterator[str]:
    """The names of what a module calls, as it writes them; not the calls that have a keyword `without`."""
    for node in nodes_of(path):
        if isinstance(node, ast.Call) and without not in {keyword.arg for keyword in node.keywords}:
            yield ast.unparse(node.func)


STARTS_A_PROGRAM = {
    "hosts.change": "`claude mcp add`, because Claude Code changes its own file while it runs",
    "hosts.trial_start": "this program, to save the byte code of what a new process imports",
}
"""The modules that may start one."""


@pytest.mark.parametrize("path", FILES, ids=dotted)
def test_only_one_module_dials(path):
    opens = {name for name in called(path, without="sock") if name.rpartition(".")[2] in DIALS}

    assert opens <= SANS_IO or dotted(path) == "client.dial"


def test_the_module_that_dials_does():
    assert {name.rpartition(".")[2] for name in called(MODULES["client.dial"])} & DIALS


MEASURES = "core.value_size"


def test_the_module_that_measures_values_only_writes_them():
    assert not {name for name in called(MODULES[MEASURES]) if "load" in name or "Unpickler" in name}


@pytest.mark.parametrize("path", FILES, ids=dotted)
def test_no_module_runs_what_others_wrote(path):
    ran = [
        name for name in called(path) if name.rpartition(".")[2] in NEVER and name not in ("re.compile", "re2.compile")
    ]

    assert ran == []
    allowed = {**{name: {"subprocess"} for name in STARTS_A_PROGRAM}, MEASURES: {"pickle"}}.get(dotted(path), set())
    assert libraries(path) & {"subprocess", "pickle", "marshal", "ctypes", "code", "runpy"} == allowed
