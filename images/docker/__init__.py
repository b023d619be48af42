"""Builds with a Docker engine: Dockerfiles, build contexts, export and push."""
