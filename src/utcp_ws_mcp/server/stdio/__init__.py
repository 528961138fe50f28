"""MCP over stdio."""
