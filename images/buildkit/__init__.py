"""Builds Dockerfiles with a BuildKit daemon alone, where no Docker engine answers."""
