"""Search for credentials in the project's files."""
