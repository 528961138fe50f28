"""Defaults of `serve --http`.

The command line shows them in `--help`. They are not in `config`, because every start on stdio would import it.
"""

from __future__ import annotations

from typing import Final

TOKEN_VARIABLE: Final = "UTCP_WS_MCP_TOKEN"  # noqa: S105  # the name of a variable
"""The environment variable with the bearer token that clients must send."""

DEFAULT_HOST: Final = "127.0.0.1"
DEFAULT_PORT: Final = 8080
DEFAULT_MAX_SESSIONS: Final = 500
SHARED_VARIABLE: Final = "UTCP_WS_MCP_SHARED"
"""Has the URL of the shared store if no option does."""
SHARED_KEY_VARIABLE: Final = "UTCP_WS_MCP_SHARED_KEY"
"""Has the key of the shared tokens if no file does."""
DEFAULT_FLEET: Final = "default"
