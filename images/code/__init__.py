"""Layers of the project's own files."""
