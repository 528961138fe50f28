"""The files in which MCP hosts keep their servers, and changes of them that leave everything else as it stands."""
