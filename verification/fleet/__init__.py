"""What `serve --shared` promises, measured with real replicas, a real redis-server and a real nginx on loopback."""
