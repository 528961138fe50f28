"""The command line: one module per command, `options` for what they share, `exit_codes`."""
