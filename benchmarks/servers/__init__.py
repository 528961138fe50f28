"""The servers that this project is compared with; each is started by a host, with one file."""
