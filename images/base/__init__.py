"""Base images: resolving a name to a digest, reading their config and Python, copying their layers."""
