import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_utcp_bridge_uses_the_reference_plugin(tmp_path):
    (tmp_path / "client.json").write_text(json.dumps({"manual_call_templates": []}))
    program = """
import asyncio, sys
from benchmarks.servers import utcp_bridge as bench

async def main():
    client = await bench.UtcpClient.create(config=sys.argv[1])
    print(type(client._protocol_for("websocket")).__module__, "utcp_ws_mcp" in sys.modules)

asyncio.run(main())
"""
    command = [sys.executable, "-c", program, str(tmp_path / "client.json")]
    completed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
    assert completed.stdout.split() == ["utcp_websocket.websocket_communication_protocol", "False"]
