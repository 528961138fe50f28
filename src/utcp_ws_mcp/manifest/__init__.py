"""What the user wrote: frozen models of the manifest language, without I/O."""
