"""Run all commands, one after the other, and print a table: `python -m verification.reliability`."""

from verification.harness.table import run_all

COMMANDS: tuple[str, ...] = (
    "killed_connections",
    "crossed_replies",
    "fault_matrix",
    "half_open",
    "stall_points",
    "shutdown",
    "message_flood",
    "flooding_neighbor",
    "ping_flood",
    "bombs",
    "cold_start",
    "head_of_line",
    "many_endpoints",
    "thundering_herd",
    "feed_loss",
    "feed_flood",
    "feed_waits",
    "soak",
    "simulation_runs",
)

if __name__ == "__main__":
    run_all("verification.reliability", COMMANDS)
