"""The MCP face of a bridge (the only importer of the SDK)."""
