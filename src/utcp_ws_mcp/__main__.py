"""`python -m utcp_ws_mcp manifest.json`, and the command `utcp-ws-mcp`."""

import gc
import sys
from types import ModuleType

INTERRUPTED = 130
"""`cli.exit_codes.ExitCode.INTERRUPTED`, which may not be imported yet."""


def run() -> None:
    """Run the command line.

    Garbage collection is off while modules are imported: their objects live until the end, and the collector would
    visit them again and again. `cli.options.run` turns it on before a command runs.
    """
    gc.disable()
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
