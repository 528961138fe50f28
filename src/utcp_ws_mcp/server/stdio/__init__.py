"""MCP over stdio.

`session` reads the messages of a host. `fast_path` answers the usual requests without the MCP SDK, whose import takes
longer than the rest of the start; `sdk_fallback` gives all other messages to the server of the SDK. The option
`--no-fast-path` gives it everything. Both answer in the same way, which tests/server/stdio/test_fast_path.py checks.
"""
