"""Run all commands, one after the other, and print a table: `python -m verification.fleet`."""

from verification.harness.table import run_all

COMMANDS: tuple[str, ...] = (
    "shared_rate",
    "feed_faults",
    "rolling_restart",
    "shared_tokens",
    "caller_feeds",
    "store_faults",
    "call_cost",
)

if __name__ == "__main__":
    run_all("verification.fleet", COMMANDS)
