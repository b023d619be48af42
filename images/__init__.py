"""The image engine, for the steps build and push: layers, images, registries. It doesn't import Prefect."""
