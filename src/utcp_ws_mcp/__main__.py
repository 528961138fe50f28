"""`python -m utcp_ws_mcp manifest.json`, and the command `utcp-ws-mcp`."""

import gc


def run() -> None:
    """Run the command line. What the start makes stays: garbage is looked for only when a command runs."""
    gc.disable()
    from .cli.main import main

    main(prog_name="utcp-ws-mcp")


if __name__ == "__main__":
    run()
