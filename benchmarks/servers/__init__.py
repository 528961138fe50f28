"""The servers that this project is compared with; each is started as a host starts a server, with one file."""
