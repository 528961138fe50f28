"""Reproducible measurements of this project and what it is compared with: `python -m benchmarks`, or only one of them.

`host` is an MCP host with almost no cost of its own, `endpoint` the WebSocket server, `servers/` the other contenders,
`environment` what all of them bridge, `comparison` turns rounds into ratios, targets and verdicts.
"""
