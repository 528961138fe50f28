"""What replicas share through a Redis server; imported only with `serve --shared`."""
