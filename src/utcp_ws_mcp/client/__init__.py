"""The shell: it opens sockets, waits and sends what the pure modules decide."""
