"""Layers of the project's dependencies: locked wheels, downloaded and turned into layers."""
