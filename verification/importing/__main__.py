"""Run all measurements of `import`, and print a table: `python -m verification.importing [documents light real]`."""

from verification.harness.table import run_all

COMMANDS = ("documents", "light", "real")

if __name__ == "__main__":
    run_all("verification.importing", COMMANDS)
