"""Base images: resolving a name to a digest, reading what lies inside, copying layers."""
