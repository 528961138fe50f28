"""OpenRPC, and the other forms in which JSON-RPC endpoints describe their methods."""
