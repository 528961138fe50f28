"""Run all commands, one after the other, and print a table: `python -m verification.security`."""

from verification.harness.table import run_all

COMMANDS = (
    "addresses",
    "redirects",
    "injection",
    "canaries",
    "remote_variables",
    "shared_connections",
    "changed_manuals",
    "certificates",
    "token_answers",
    "fuzz",
    "template_properties",
    "hostile_schemas",
    "http_access",
    "malformed_input",
    "stdout_purity",
    "url_holes",
    "sinks",
    "loop_blocking",
    "foreign_expressions",
    "pins",
    "idle_peers",
    "names_and_texts",
    "hanging_dns",
    "access_tokens",
    "caller_isolation",
)

if __name__ == "__main__":
    run_all("verification.security", COMMANDS)
