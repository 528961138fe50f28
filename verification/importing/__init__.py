"""Measure `utcp-ws-mcp import`: real descriptions, times, and calls to real servers."""
