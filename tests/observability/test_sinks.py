"""Every place where bytes leave: found in the code, compared with the list of those that are guarded."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import utcp_ws_mcp

ROOT = Path(utcp_ws_mcp.__file__).parent

WRITERS = {"print", "write", "writelines", "write_text", "write_bytes", "echo", "secho", "confirm", "prompt"}
WRITERS |= {"StreamHandler", "FileHandler", "basicConfig", "lastResort", "print_exc", "print_exception", "warn"}
WRITERS |= {"start_span", "set_attribute", "set_status", "add_event", "labels", "PlainTextResponse", "Response"}
WRITERS |= {"copyfile", "dump", "makefile", "handle_request"}

GUARDED = {
    "cli.terminal: click.echo": "tests/cli/test_terminal.py",
    "cli.terminal: out.buffer.write": "results, redacted by cli.call",
    "cli.call: output.write_bytes": "results, redacted by cli.call",
    "cli.record: new.write": "the draft, tests/cli/test_record.py",
    "observability.logging: print": "what cli.terminal has redacted, tests/cli/test_json_log.py, and addresses",
    "observability.trace: print": "the trace, tests/observability/test_logging.py",
    "observability.opentelemetry: self._tracer.start_span": "tests/observability/test_opentelemetry.py",
    "observability.opentelemetry: span.add_event": "only a number",
    "observability.opentelemetry: span.set_attribute": "the name of a class",
    "observability.opentelemetry: span.set_status": "tests/observability/test_opentelemetry.py",
    "server.http.fast_response: cycle.transport.write": "tests/server/http/test_fast_path.py",
    "server.stdio.outbound: self._writer.write": "tests/server/test_guard.py",
    "server.stdio.writer: os.write": "what server.stdio.outbound gave it",
    "server.http.app: PlainTextResponse": "behind the GuardMiddleware, tests/server/test_guard.py",
    "server.http.app: Response": "behind the GuardMiddleware, tests/server/test_guard.py",
    "server.http.app: self._manager.handle_request": "behind the GuardMiddleware, tests/server/test_guard.py",
    "files: file.write": "for client.state_files, names and digests without credentials and manuals without secrets; "
    "for hosts.config_file, commands and paths; for cli.import_, what tests/cli/test_import_credentials.py shows",
    "server.http.batch: self._response.write": "behind the GuardMiddleware, tests/server/test_guard.py",
}
"""The places where text of an endpoint or a value of a manifest may leave, and what shows that none holds a secret."""

OWN_WORDS = {
    "core.value_size: pickler.dump": "counts bytes, writes none",
    "__main__: print": "the places of a defect, without texts of exceptions",
    "server.run: print": "a fixed hint",
    "studio.ui.server: print": "an address, with the token of this start",
    "server.http.connections: transport.write": "fixed responses",
    "server.http.connections: self.transport.write": "fixed responses",
    "cli.install: click.confirm": "a fixed question",
    "cli.init: new.write": "a file of the package",
    "hosts.trial_start: manifest.write_text": "a manifest of this module, in a folder that is removed",
    "cli.import_: click.confirm": "a question with a path of the user",
    "importers.schemas: run.write": "returns a schema, writes none",
    "importers.schemas: self.write": "returns a schema, writes none",
}
"""Places that write only what this program or the user wrote."""

NETWORK = {
    "client.websocket: self.transport.write": "to the endpoint, which gets its credentials",
}


def calls(tree: ast.AST) -> Iterator[str]:
    guarded = {
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module == "terminal"
        for alias in node.names
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            if name.rpartition(".")[2] in WRITERS and name not in guarded:
                yield name


def test_every_place_that_writes_is_known() -> None:
    found = {
        f"{'.'.join(path.relative_to(ROOT).with_suffix('').parts)}: {name}"
        for path in sorted(ROOT.rglob("*.py"))
        if path.relative_to(ROOT).parts[0] != "demo"  # an endpoint of its own, without secrets
        for name in calls(ast.parse(path.read_text(encoding="utf-8")))
    }
    assert found == {*GUARDED, *OWN_WORDS, *NETWORK}


def test_every_handler_of_a_log_has_the_formatter_that_guards() -> None:
    text = (ROOT / "observability" / "logging.py").read_text(encoding="utf-8")
    assert text.count("StderrHandler()") == text.count("handler.setFormatter(") == 2
    others = [path for path in ROOT.rglob("*.py") if "Handler(" in path.read_text(encoding="utf-8")]
    assert {path.name for path in others} <= {"logging.py", "sdk_notifications.py"}
