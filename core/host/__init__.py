"""What this machine offers: its Python interpreters, and downloads over its network."""
