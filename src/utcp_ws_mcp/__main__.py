"""`python -m utcp_ws_mcp manifest.json`, and the command `utcp-ws-mcp`."""

import gc
import sys


def run() -> None:
    """Run the command line.

    Garbage collection is off while modules are imported: their objects live until the end, and the collector would
    visit them again and again. `cli.options.run` turns it on before a command runs.
    """
    gc.disable()
    for stream in (sys.stdout, sys.stderr):
        # A terminal's encoding, such as cp1252, cannot write every character of a description. None may end a command.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    from .cli.main import main

    main(prog_name="utcp-ws-mcp")


if __name__ == "__main__":
    run()
