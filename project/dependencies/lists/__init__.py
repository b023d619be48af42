"""Lists of dependencies that lie beside the usual place or need uv to be read."""
