"""Layers of the project's dependencies: locked wheels, downloaded and unpacked."""
