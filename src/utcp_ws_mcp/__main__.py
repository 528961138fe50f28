"""`python -m utcp_ws_mcp manifest.json`, and the command `utcp-ws-mcp`."""

import gc
import os
import sys
from types import ModuleType, TracebackType

INTERRUPTED = 130
"""`cli.exit_codes.ExitCode.INTERRUPTED`, which may not be imported yet."""


def run() -> None:
    """Run the command line.

    Garbage collection is off while modules are imported: their objects live until the end, and the collector would
    visit them again and again. `cli.options.run` turns it on before a command runs.
    """
    gc.disable()
    _open_standard_streams()
    if sys.excepthook is sys.__excepthook__:
        sys.excepthook = report_crash_without_text
    _disable_pydantic_plugins()
    for stream in (sys.stdout, sys.stderr):
        # A terminal's encoding, such as cp1252, cannot write every character of a description. None may end a command.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    try:
        from .cli.main import main

        main(prog_name="utcp-ws-mcp")
    except KeyboardInterrupt:  # during the imports
        sys.exit(INTERRUPTED)


def _open_standard_streams() -> None:
    """Open the null device for standard streams that are closed, as with `<&-` in a shell.

    Otherwise the next file or socket that is opened gets the number of the closed one, and what is meant for stdout is
    written to it.
    """
    while (opened := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(opened)
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_RDWR), mode, encoding="utf-8"))


def report_crash_without_text(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Write where a defect is, without the texts of exceptions, which may hold values of variables.

    It counts until a command knows what to remove: then `observability.logging` writes the texts as well.
    """
    import traceback  # only a defect needs it

    text = "".join(traceback.format_tb(trace)) + kind.__qualname__
    print(f"internal error:\n{text} (its text is left out: it may contain a credential)", file=sys.stderr)


report_crash_without_text.knows_no_secrets = True  # type: ignore[attr-defined]


def _disable_pydantic_plugins() -> None:
    """Keep pydantic from looking for plugins, which trace validation.

    `PYDANTIC_DISABLE_PLUGINS` would save the search in all installed packages, but not the imports for it (`email`,
    `zipfile`), which take a tenth of the start. Where pydantic has no module of this name, nothing changes.
    """
    loader = ModuleType("pydantic.plugin._loader")
    loader.__dict__["get_plugins"] = tuple
    sys.modules.setdefault(loader.__name__, loader)


if __name__ == "__main__":
    run()
