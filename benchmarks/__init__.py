"""Reproducible measurements beside what they are compared with: `python -m benchmarks`, or one: `python -m benchmarks.call`.

`host` is an MCP host that costs next to nothing, `endpoint` the WebSocket server, `servers/` what this project is
compared with, `world` what all of them bridge, `comparison` how rounds become ratios, targets and verdicts.
"""
