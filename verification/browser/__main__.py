"""Run all commands, one after the other, and print a table: `python -m verification.browser`."""

from verification.harness.table import run_all

COMMANDS = ("panels", "access", "accessibility", "hostile_text", "flood", "changes")

if __name__ == "__main__":
    run_all("verification.browser", COMMANDS)
