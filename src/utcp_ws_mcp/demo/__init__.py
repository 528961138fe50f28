"""The demonstration: a small UTCP WebSocket endpoint, and a session that shows the product."""
