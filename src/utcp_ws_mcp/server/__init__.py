"""The MCP server: the tools of a bridge over stdio and HTTP. Only this package and the demo import the MCP SDK."""
