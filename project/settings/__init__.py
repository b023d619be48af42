"""The project's settings, from its pyproject.toml."""
