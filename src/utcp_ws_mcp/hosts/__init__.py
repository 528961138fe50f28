"""Install a server into the configuration of an MCP host, and remove it; the rest of the file stays unchanged."""
