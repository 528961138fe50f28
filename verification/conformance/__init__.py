"""The official MCP conformance suite against `serve --http`, with an endpoint that provides its fixtures."""
