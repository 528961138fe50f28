"""Make and correct manifests: the core of the commands `record`, `check`, `import` and `call`, and of `author`.

`author` serves this core to agents over MCP (`authoring.server`). What an agent asks for is bounded by `grants`: the
hosts that it may reach, and the variables that each host may get.
"""
