"""`python -m verification.reliability`: all commands, one after the other, as a table."""

from verification.harness.table import run_all

COMMANDS: tuple[str, ...] = (
    "killed_connections",
    "crossed_replies",
    "fault_matrix",
    "half_open",
    "stall_points",
    "shutdown",
    "message_flood",
    "ping_flood",
    "bombs",
    "cold_start",
    "head_of_line",
    "many_endpoints",
    "herd",
    "soak",
    "simulated",
)

if __name__ == "__main__":
    run_all("verification.reliability", COMMANDS)
