"""`python -m utcp_ws_mcp manifest.json`"""

from .cli import main

main(prog_name="utcp-ws-mcp")
